//! Whom to believe: TLS by rustls with ring, and no other.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use roost_world::World;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    time_provider::TimeProvider,
};

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of certificate authorities is of no use.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The certificates can not be used.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// The certificate authorities that are believed, and whether certificates are checked at all. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    verify: bool,
}

impl Trust {
    /// The system's authorities and those in some PEM files.
    pub fn system<P: AsRef<Path>>(extra_ca_files: impl IntoIterator<Item = P>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in found.errors {
            tracing::warn!(%error, "some of the system's certificate authorities cannot be read");
        }
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            tracing::warn!("the system knows no certificate authorities: hardly any server can be reached over TLS");
        }
        Self::with(roots, extra_ca_files)
    }

    /// The authorities in some PEM files and no others.
    pub fn only<P: AsRef<Path>>(ca_files: impl IntoIterator<Item = P>) -> Result<Self, TlsError> {
        Self::with(RootCertStore::empty(), ca_files)
    }

    fn with<P: AsRef<Path>>(mut roots: RootCertStore, files: impl IntoIterator<Item = P>) -> Result<Self, TlsError> {
        for path in files {
            let path = path.as_ref();
            let failed = |problem: String| TlsError::File { path: path.to_owned(), problem };
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| failed(error.to_string()))?;
            if certificates.is_empty() {
                return Err(failed("no certificate in it".to_owned()));
            }
            for certificate in certificates {
                roots.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
        }
        Ok(Self { roots: Arc::new(roots), verify: true })
    }

    /// The same, without looking at certificates when `verify` is false. For test networks; never for federation.
    #[must_use]
    pub fn verifying(&self, verify: bool) -> Self {
        Self { roots: Arc::clone(&self.roots), verify }
    }

    /// Whether certificates are checked.
    #[must_use]
    pub fn verifies(&self) -> bool {
        self.verify
    }

    /// TLS as a client, offering the application protocols `alpn` in this order.
    pub(crate) fn client(&self, alpn: &[&[u8]], world: &World) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(Time(world.clone())))
            .with_safe_default_protocol_versions()?;
        let mut config = if self.verify {
            builder.with_root_certificates(Arc::clone(&self.roots)).with_no_client_auth()
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Credulous(provider))).with_no_client_auth()
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }
}

/// Whether a certificate has expired is a question to the world's clock.
#[derive(Debug)]
struct Time(World);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.now_ms())))
    }
}

/// Takes any certificate, but holds the other side to having its key.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "nothing").unwrap();
        let error = Trust::only([&path]).unwrap_err().to_string();
        assert!(error.contains("ca.pem"), "{error}");
        assert!(Trust::only([folder.path().join("absent.pem")]).is_err());
    }
}
