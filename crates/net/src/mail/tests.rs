use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    network::Table,
    testing::{self, Authority},
};

/// What a mail server was told, line by line.
type Log = Arc<Mutex<Vec<String>>>;

/// How a mail server behaves.
#[derive(Clone, Default)]
struct Manners {
    /// TLS from the first byte.
    implicit: Option<Arc<ServerConfig>>,
    /// TLS after STARTTLS.
    starttls: Option<Arc<ServerConfig>>,
    /// The answer to RCPT instead of 250.
    rcpt: Option<&'static str>,
    /// What it says beside its answer to STARTTLS, still in plain text.
    smuggles: bool,
}

#[expect(clippy::disallowed_methods, reason = "a server of a test")]
async fn server(manners: Manners) -> (SocketAddr, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let log = Log::default();
    let kept = Arc::clone(&log);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (manners, log) = (manners.clone(), Arc::clone(&kept));
            tokio::spawn(async move {
                if let Some(tls) = &manners.implicit {
                    let Ok(stream) = TlsAcceptor::from(Arc::clone(tls)).accept(stream).await else { return };
                    let _ = converse(stream, &manners, &log, true).await;
                } else if let Ok(Some(stream)) = converse(stream, &manners, &log, true).await
                    && let Some(tls) = &manners.starttls
                    && let Ok(stream) = TlsAcceptor::from(Arc::clone(tls)).accept(stream).await
                {
                    log.lock().unwrap().push("(TLS)".to_owned());
                    let inside = Manners { starttls: None, ..manners.clone() };
                    let _ = converse(stream, &inside, &log, false).await;
                }
            });
        }
    });
    (address, log)
}

/// Speaks SMTP until QUIT, or until STARTTLS, which gives the stream back.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    manners: &Manners,
    log: &Log,
    greet: bool,
) -> std::io::Result<Option<S>> {
    let mut stream = BufReader::new(stream);
    if greet {
        stream.write_all(b"220-mail.example\r\n220 ready\r\n").await?;
    }
    let mut data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_owned();
        log.lock().unwrap().push(line.clone());
        let answer = match line.split(' ').next().unwrap_or_default() {
            "." if data => {
                data = false;
                "250 taken"
            }
            _ if data => continue,
            "EHLO" if manners.starttls.is_some() => "250-mail.example\r\n250-8BITMIME\r\n250 STARTTLS",
            "EHLO" => "250-mail.example\r\n250-8BITMIME\r\n250 AUTH PLAIN",
            "AUTH" => "235 welcome",
            "RCPT" => manners.rcpt.unwrap_or("250 fine"),
            "MAIL" => "250 fine",
            "DATA" => {
                data = true;
                "354 go on"
            }
            "STARTTLS" if manners.smuggles => "220 go on\r\n250 smuggled",
            "STARTTLS" => "220 go on",
            "QUIT" => "221 bye",
            _ => "500 what",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        if line == "STARTTLS" {
            return Ok(Some(stream.into_inner()));
        }
        if line == "QUIT" {
            return Ok(None);
        }
    }
}

fn mailer(url: &str, trust: &Trust) -> Mailer {
    let (world, _) = testing::world();
    let table = Table::new();
    table.host("mail.example", &["127.0.0.1".parse().unwrap()]);
    Mailer::new(url, "roost.example", Arc::new(table), trust, world).unwrap()
}

fn mail() -> Mail {
    Mail {
        from: "Roost <roost@example.org>".to_owned(),
        to: "alice@example.com".to_owned(),
        subject: "Grüße".to_owned(),
        text: "Your code is 1234.\n.\nA line of a dot.".to_owned(),
        html: Some("<p>Your code is <b>1234</b>.</p>".to_owned()),
    }
}

fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap().clone()
}

#[tokio::test]
async fn a_mail_goes_out_in_plain_text_with_text_and_html() {
    let (address, log) = server(Manners::default()).await;
    mailer(&format!("smtp://{address}"), &Authority::new().trust()).send(&mail()).await.unwrap();
    let lines = lines(&log);
    let has = |text: &str| assert!(lines.iter().any(|line| line == text), "{text} in {lines:#?}");
    has("EHLO roost.example");
    has("RCPT TO:<alice@example.com>");
    has("From: Roost <roost@example.org>");
    has("Your code is 1234.");
    has("<p>Your code is <b>1234</b>.</p>");
    has("..");
    assert!(lines.iter().any(|line| line.starts_with("MAIL FROM:<roost@example.org>")));
    assert!(lines.iter().any(|line| line.starts_with("Content-Type: multipart/alternative")));
    assert!(lines.iter().any(|line| line.starts_with("Message-ID: <") && line.ends_with("@example.org>")));
    assert!(lines.iter().any(|line| line.starts_with("Date: ")));
    assert_eq!(lines.last().map(String::as_str), Some("QUIT"));
}

#[tokio::test]
async fn starttls_is_used_when_it_is_offered_and_nothing_is_said_before_it() {
    let authority = Authority::new();
    let manners = Manners { starttls: Some(authority.server(&["mail.example"], &[])), ..Manners::default() };
    let (address, log) = server(manners).await;
    let port = address.port();
    for url in [format!("smtp://mail.example:{port}"), format!("smtp://mail.example:{port}?tls=required")] {
        log.lock().unwrap().clear();
        mailer(&url, &authority.trust()).send(&mail()).await.unwrap();
        let lines = lines(&log);
        assert_eq!(lines.get(..3).unwrap(), ["EHLO roost.example", "STARTTLS", "(TLS)"]);
        assert!(lines.iter().any(|line| line.starts_with("MAIL FROM")));
    }
}

#[tokio::test]
async fn a_bad_certificate_matters_when_tls_is_required_and_only_then() {
    let manners = Manners { starttls: Some(Authority::new().server(&["x.example"], &[])), ..Manners::default() };
    let (address, log) = server(manners).await;
    let (port, trust) = (address.port(), Authority::new().trust());
    mailer(&format!("smtp://mail.example:{port}"), &trust).send(&mail()).await.unwrap();
    log.lock().unwrap().clear();
    for url in [format!("smtp://mail.example:{port}?tls=required"), format!("smtp://u:p@mail.example:{port}")] {
        let error = mailer(&url, &trust).send(&mail()).await.unwrap_err();
        assert!(matches!(error, Error::Tls { .. }), "{error}");
    }
    assert!(!lines(&log).iter().any(|line| line.starts_with("MAIL") || line.starts_with("AUTH")));
    mailer(&format!("smtp://mail.example:{port}?tls=required"), &trust.verifying(false)).send(&mail()).await.unwrap();
}

#[tokio::test]
async fn a_password_is_not_sent_to_another_machine_in_plain_text() {
    let (address, log) = server(Manners::default()).await;
    let trust = Authority::new().trust();
    let url = format!("smtp://user:secret@mail.example:{}", address.port());
    let error = mailer(&url, &trust).send(&mail()).await.unwrap_err();
    assert!(matches!(error, Error::Mail(MailError::NoTls)) && !error.is_transient(), "{error}");
    assert!(!lines(&log).iter().any(|line| line.starts_with("AUTH")));
    // To this machine it is.
    mailer(&format!("smtp://us%40er:se%3Acret@{address}"), &trust).send(&mail()).await.unwrap();
    assert!(lines(&log).iter().any(|line| line.starts_with("AUTH PLAIN")));
}

#[tokio::test]
async fn smtps_speaks_tls_from_the_first_byte_and_checks_the_certificate() {
    let authority = Authority::new();
    let manners = Manners { implicit: Some(authority.server(&["mail.example"], &[])), ..Manners::default() };
    let (address, log) = server(manners).await;
    let url = format!("smtps://user:secret@mail.example:{}", address.port());
    assert!(mailer(&url, &Authority::new().trust()).send(&mail()).await.is_err());
    assert!(lines(&log).is_empty());
    mailer(&url, &authority.trust()).send(&mail()).await.unwrap();
    assert!(lines(&log).iter().any(|line| line.starts_with("AUTH PLAIN")));
}

#[tokio::test]
async fn plain_text_after_starttls_is_not_taken_for_encrypted() {
    let manners =
        Manners { starttls: Some(Authority::new().server(&["x"], &[])), smuggles: true, ..Manners::default() };
    let (address, _) = server(manners).await;
    let error = mailer(&format!("smtp://{address}"), &Authority::new().trust()).send(&mail()).await.unwrap_err();
    assert!(matches!(error, Error::Mail(MailError::Io(_))), "{error}");
}

#[tokio::test]
async fn a_refusal_says_whether_trying_again_makes_sense() {
    let trust = Authority::new().trust();
    for (code, transient) in [("550 no such user", false), ("451 later", true)] {
        let (address, _) = server(Manners { rcpt: Some(code), ..Manners::default() }).await;
        let error = mailer(&format!("smtp://{address}"), &trust).send(&mail()).await.unwrap_err();
        assert_eq!(error.is_transient(), transient, "{error}");
    }
    let error = mailer("smtp://127.0.0.1:1", &trust).send(&mail()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn no_header_is_smuggled_in_by_subject_or_addresses() {
    let (address, log) = server(Manners::default()).await;
    let mailer = mailer(&format!("smtp://{address}"), &Authority::new().trust());
    mailer.send(&Mail { subject: "hello\r\nBcc: eve@example.com".to_owned(), ..mail() }).await.unwrap();
    assert!(!lines(&log).iter().any(|line| line.starts_with("Bcc") || line.contains("RCPT TO:<eve")));
    for wrong in ["", "alice", "alice@example.com\r\nBcc: eve@example.com", "a@b.example, c@d.example"] {
        let error = mailer.send(&Mail { to: wrong.to_owned(), ..mail() }).await.unwrap_err();
        assert!(matches!(error, Error::Mail(MailError::Address(_))), "{wrong}: {error}");
    }
}

#[test]
fn urls_say_host_port_security_and_credentials() {
    let parsed = |url: &str| {
        let (server, security, credentials) = parse(url).unwrap();
        (server.to_string(), security, credentials.is_some())
    };
    assert_eq!(parsed("smtp://localhost:25"), ("localhost:25".to_owned(), Security::Opportunistic, false));
    assert_eq!(parsed("smtp://a.example"), ("a.example:25".to_owned(), Security::Opportunistic, false));
    assert_eq!(parsed("smtp://u:p@a.example:587"), ("a.example:587".to_owned(), Security::Required, true));
    assert_eq!(parsed("smtp://u:p@[::1]:587"), ("[::1]:587".to_owned(), Security::Opportunistic, true));
    assert_eq!(parsed("smtp://a.example?tls=never"), ("a.example:25".to_owned(), Security::Never, false));
    assert_eq!(parsed("smtps://u:p@a.example"), ("a.example:465".to_owned(), Security::Implicit, true));
    for wrong in ["", "smtp:", "http://a.example", "smtp://user@a.example", "smtp://a.example?tls=perhaps"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
