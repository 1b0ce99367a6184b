//! A certificate authority that nobody else believes.

use std::{path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::tls::Trust;

/// A certificate authority, made for one test.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    /// A new authority.
    ///
    /// # Panics
    /// When it can not be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority of the tests");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("a file");
        Self { issuer, folder }
    }

    /// Its certificate as a PEM file, which goes away with it.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Trust in it and in nobody else.
    ///
    /// # Panics
    /// When its own file can not be read.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust::only([self.file()]).expect("the authority's own file")
    }

    /// Certificate chain and key in PEM for names and addresses.
    ///
    /// # Panics
    /// When they are no names.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> (String, String) {
        let (certificate, key) = self.certificate(names);
        (certificate.pem(), key.serialize_pem())
    }

    /// TLS for a server with these names and addresses.
    ///
    /// # Panics
    /// When they are no names.
    #[must_use]
    pub fn server(&self, names: &[&str], alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let (certificate, key) = self.certificate(names);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a fitting key");
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    fn certificate(&self, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate, key)
    }
}
