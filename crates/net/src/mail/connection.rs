//! One conversation with a mail server.

use std::{io, sync::Arc};

use lettre::{
    Message,
    transport::smtp::{authentication::DEFAULT_MECHANISMS, client::AsyncSmtpConnection, extension::ClientId},
};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::{Inner, MailError, Security, stream::Wire};
use crate::{
    Error,
    client::{Host, Target},
    guard::Guard,
    network::BoxStream,
};

/// The longest reply that is read before TLS.
const MAX_REPLY: usize = 16 * 1024;

impl Inner {
    pub(super) async fn deliver(&self, message: &Message) -> Result<(), Error> {
        let everywhere = Guard::new(["0.0.0.0/0", "::/0"]).map_err(|_| MailError::Url("it has no host"))?;
        let target = Target::plain(vec![self.server.clone()], self.server.host.to_string());
        let stream = crate::client::reach(&*self.network, &everywhere, &self.world, &target).await?;
        let wire = self.secure(stream).await?;
        let hello = ClientId::Domain(self.hello.clone());
        let mut connection =
            AsyncSmtpConnection::connect_with_transport(Box::new(wire), &hello).await.map_err(MailError::from)?;
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await.map_err(MailError::from)?;
        }
        connection.send(message.envelope(), &message.formatted()).await.map_err(MailError::from)?;
        // The mail is delivered; whether the goodbye arrives is nobody's concern.
        let _ = connection.quit().await;
        Ok(())
    }

    /// TLS on the connection, as far as it is wanted.
    async fn secure(&self, mut stream: BoxStream) -> Result<Wire, Error> {
        let (checked, unchecked) = &self.tls;
        match self.security {
            Security::Never => Ok(Wire::new(stream, Vec::new())),
            Security::Implicit => Ok(Wire::new(self.tls(checked, stream).await?, Vec::new())),
            Security::Required | Security::Opportunistic => {
                let greeting = reply(&mut stream, 220).await?;
                let offered = say(&mut stream, &format!("EHLO {}", self.hello), 250).await?;
                let offered = String::from_utf8_lossy(&offered);
                let starttls = offered.lines().any(|line| {
                    line.get(4..).is_some_and(|keyword| keyword.trim_end().eq_ignore_ascii_case("STARTTLS"))
                });
                if starttls {
                    say(&mut stream, "STARTTLS", 220).await?;
                    let config = if self.security == Security::Required { checked } else { unchecked };
                    stream = self.tls(config, stream).await?;
                } else if self.security == Security::Required {
                    return Err(MailError::NoTls.into());
                }
                // The conversation begins anew, and there it begins with the greeting.
                Ok(Wire::new(stream, greeting))
            }
        }
    }

    async fn tls(&self, config: &Arc<rustls::ClientConfig>, stream: BoxStream) -> Result<BoxStream, Error> {
        let name = match &self.server.host {
            Host::Address(address) => ServerName::IpAddress((*address).into()),
            Host::Name(name) => {
                ServerName::try_from(name.clone()).map_err(|_| MailError::Url("its host is no domain name"))?
            }
        };
        let failed = |source| Error::Tls { name: self.server.host.to_string(), source };
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(failed)?;
        Ok(Box::new(stream))
    }
}

async fn say(stream: &mut BoxStream, command: &str, code: u16) -> Result<Vec<u8>, MailError> {
    stream.write_all(format!("{command}\r\n").as_bytes()).await?;
    stream.flush().await?;
    reply(stream, code).await
}

/// A whole reply, lines and all. What the server said beyond it would be plain text taken for encrypted, so it is refused.
async fn reply(stream: &mut BoxStream, code: u16) -> Result<Vec<u8>, MailError> {
    let mut read = Vec::new();
    let end = loop {
        let mut piece = [0; 512];
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        read.extend_from_slice(piece.get(..length).unwrap_or_default());
        if let Some(end) = end_of_reply(&read) {
            break end;
        }
        if read.len() > MAX_REPLY {
            return Err(io::Error::other("a reply without end").into());
        }
    };
    if end != read.len() {
        return Err(io::Error::other("it speaks before it is asked").into());
    }
    if read.starts_with(code.to_string().as_bytes()) {
        Ok(read)
    } else {
        let text: String = String::from_utf8_lossy(&read).chars().take(200).collect();
        Err(io::Error::other(text).into())
    }
}

/// Where the last line of a reply ends: the first one whose code is not followed by a hyphen.
fn end_of_reply(read: &[u8]) -> Option<usize> {
    let mut start = 0;
    loop {
        let line = read.get(start..)?;
        let length = line.iter().position(|byte| *byte == b'\n')? + 1;
        start += length;
        if line.get(3) != Some(&b'-') {
            return Some(start);
        }
    }
}
