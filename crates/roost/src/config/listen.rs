//! `[[listen]]`

use roost_http::Serves;
use toml::Value;

use super::schema::{Setting, section};

section! {
    /// Where the server listens; repeat it for several addresses. Health (`/_roost/health/live`, `ready`) answers on all.
    Listen in "listen" {
        /// Address and port.
        address: String = "127.0.0.1:8008".to_owned();
        /// What is served there: "client", "federation", "admin", "metrics", "identity".
        serves: Families = Families(vec![Serves::Client, Serves::Federation]);
        /// A PEM file with the certificate chain: this address then speaks TLS.
        tls_certificate: Option<String> = None, example "cert.pem";
        /// A PEM file with the certificate's private key.
        tls_private_key: Option<String> = None, example "key.pem";
    }
}

/// What a listener serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Families(pub Vec<Serves>);

const WORDS: [(&str, Serves); 5] = [
    ("client", Serves::Client),
    ("federation", Serves::Federation),
    ("admin", Serves::Admin),
    ("metrics", Serves::Metrics),
    ("identity", Serves::Identity),
];

impl Setting for Families {
    fn read(value: Value) -> Result<Self, String> {
        let wanted = || "wants a list of \"client\", \"federation\", \"admin\", \"metrics\", \"identity\"".to_owned();
        let words: Vec<String> = value.try_into().map_err(|_| wanted())?;
        let family = |word: &String| WORDS.iter().find(|(known, _)| known == word).map(|(_, family)| *family);
        words.iter().map(family).collect::<Option<_>>().map(Self).ok_or_else(wanted)
    }

    fn write(&self) -> Option<Value> {
        let word = |family: &Serves| WORDS.iter().find(|(_, known)| known == family).map(|(word, _)| (*word).into());
        Some(Value::Array(self.0.iter().filter_map(word).collect()))
    }
}

impl Listen {
    /// What is listened to when the configuration says nothing.
    pub(crate) fn alone() -> Self {
        let serves = Families(vec![Serves::Client, Serves::Federation, Serves::Admin, Serves::Metrics]);
        Self { serves, ..Self::default() }
    }

    /// Where the identity server listens, when it runs alone and the configuration says nothing.
    pub(crate) fn identity_alone() -> Self {
        let serves = Families(vec![Serves::Identity, Serves::Metrics]);
        Self { address: "127.0.0.1:8090".to_owned(), serves, ..Self::default() }
    }
}
