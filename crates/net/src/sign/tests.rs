use proptest::prelude::*;

use super::*;

const SIG: &str = "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ";

fn server(name: &str) -> OwnedServerName {
    OwnedServerName::try_from(name).unwrap()
}

fn key() -> KeyPair {
    KeyPair::from_seed([7; 32], "key1")
}

#[test]
fn the_header_that_is_made_is_the_one_that_older_servers_read() {
    let (origin, destination) = (server("origin.hs.example.com"), server("destination.hs.example.com"));
    let header = authorization(&key(), &Method::GET, "/target", &origin, &destination, None).unwrap();
    let start = "X-Matrix origin=\"origin.hs.example.com\",destination=\"destination.hs.example.com\",key=\"ed25519:key1\",sig=\"";
    assert!(header.starts_with(start) && header.ends_with('"'), "{header}");
    assert!(!header.contains('\\') && !header.contains(", "));
}

#[test]
fn what_is_signed_is_method_uri_origin_destination_and_the_body_as_json() {
    let (origin, destination) = (server("o.example"), server("d.example:8448"));
    let signed = |content| request_json(&Method::PUT, "/_matrix/x?a=b", &origin, &destination, content).unwrap();
    assert_eq!(
        String::from_utf8(signed(Some(br#"{ "b": 1, "a": [] }"#))).unwrap(),
        r#"{"content":{"a":[],"b":1},"destination":"d.example:8448","method":"PUT","origin":"o.example","uri":"/_matrix/x?a=b"}"#
    );
    assert!(!String::from_utf8(signed(None)).unwrap().contains("content"));
}

#[test]
fn a_body_can_not_reach_out_of_its_place_in_what_is_signed() {
    let (origin, destination) = (server("o.example"), server("d.example"));
    for body in [r#"{},"origin":"x.example""#, "", "{", r"{}{}"] {
        assert!(request_json(&Method::PUT, "/", &origin, &destination, Some(body.as_bytes())).is_err(), "{body}");
    }
}

#[test]
fn the_signature_holds_for_this_request_and_no_other() {
    let (origin, us) = (server("o.example"), server("d.example"));
    let body: &[u8] = br#"{"a":1.5}"#;
    let header = authorization(&key(), &Method::PUT, "/x?y", &origin, &us, Some(body)).unwrap();
    let auth = XMatrix::parse(&header).unwrap();
    assert_eq!((&auth.origin, auth.destination.as_ref(), auth.key.as_str()), (&origin, Some(&us), "ed25519:key1"));
    let public = PublicKey::from_bytes(&key().public_key()).unwrap();
    let holds = |us: &str, method: &Method, uri: &str, body: Option<&[u8]>| {
        auth.verify(public, &server(us), method, uri, body).unwrap()
    };
    assert!(holds("d.example", &Method::PUT, "/x?y", Some(body)));
    assert!(holds("d.example", &Method::PUT, "/x?y", Some(br#" { "a" : 1.5 } "#)), "it is the JSON that is signed");
    assert!(!holds("e.example", &Method::PUT, "/x?y", Some(body)));
    assert!(!holds("d.example", &Method::POST, "/x?y", Some(body)));
    assert!(!holds("d.example", &Method::PUT, "/x?z", Some(body)));
    assert!(!holds("d.example", &Method::PUT, "/x?y", Some(b"{}")));
    assert!(!holds("d.example", &Method::PUT, "/x?y", None));
    let other = XMatrix { origin: server("p.example"), ..auth.clone() };
    assert!(!other.verify(public, &us, &Method::PUT, "/x?y", Some(body)).unwrap());
}

#[test]
fn the_grammar_of_the_specification_is_read() {
    for header in [
        format!(r#"X-Matrix origin="o.example:1",destination="d.example",key="ed25519:k",sig="{SIG}""#),
        // One or more spaces, spaces and tabs around commas, names in any case and order.
        format!("x-matrix   SIG=\"{SIG}\" ,\tKey=\"ed25519:k\"  ,  Destination=d.example,ORIGIN=\"o.example:1\" "),
        // Tokens without quotes, and colons in them as older servers have it.
        format!(r#"X-Matrix origin=o.example:1,key=ed25519:k,destination=d.example,sig="{SIG}""#),
        // Backslash pairs, and unknown parameters.
        format!(
            r#"X-Matrix origin="o\.exam\ple:1",key="ed25519:k",new="a\"b,c=d\\",destination="d.example",sig="{SIG}""#
        ),
        // Empty elements; the other name of the signature; padding.
        format!(r#"X-Matrix ,origin="o.example:1",,key="ed25519:k",destination="d.example",signature="{SIG}==","#),
    ] {
        let auth = XMatrix::parse(&header).unwrap_or_else(|error| panic!("{header}: {error}"));
        assert_eq!(auth.origin, "o.example:1", "{header}");
        assert_eq!(auth.destination, Some(server("d.example")), "{header}");
        assert_eq!(auth.key, "ed25519:k", "{header}");
        assert_eq!(base64::encode(&auth.signature), SIG, "{header}");
    }
}

#[test]
fn a_header_without_destination_is_read() {
    let header = format!(r#"X-Matrix origin="o.example",key="ed25519:k",sig="{SIG}""#);
    assert_eq!(XMatrix::parse(&header).unwrap().destination, None);
}

#[test]
fn what_is_no_such_header_is_refused_with_a_reason() {
    let with = |text: &str| XMatrix::parse(&text.replace("SIG", SIG));
    for (header, error) in [
        ("", HeaderError::Scheme),
        ("X-Matrix", HeaderError::Scheme),
        ("Bearer abc", HeaderError::Scheme),
        ("X-Matrix ", HeaderError::Missing("key")),
        ("X-Matrix key=\"ed25519:k\",sig=\"SIG\"", HeaderError::Missing("origin")),
        ("X-Matrix origin=a.example,sig=\"SIG\"", HeaderError::Missing("key")),
        ("X-Matrix origin=a.example,key=\"ed25519:k\"", HeaderError::Missing("sig")),
        ("X-Matrix origin=a.example,origin=b.example,key=\"ed25519:k\",sig=\"SIG\"", HeaderError::Twice("origin")),
        ("X-Matrix origin=\"a b\",key=\"ed25519:k\",sig=\"SIG\"", HeaderError::Value("origin")),
        ("X-Matrix origin=a.example,destination=\"\",key=\"ed25519:k\",sig=\"SIG\"", HeaderError::Value("destination")),
        ("X-Matrix origin=a.example,key=\"rsa:k\",sig=\"SIG\"", HeaderError::Value("key")),
        ("X-Matrix origin=a.example,key=\"ed25519:k\",sig=\"abc\"", HeaderError::Value("sig")),
        ("X-Matrix origin=a.example key=\"ed25519:k\",sig=\"SIG\"", HeaderError::Grammar),
        ("X-Matrix origin=a.example,key=\"ed25519:k,sig=SIG", HeaderError::Grammar),
        ("X-Matrix origin=a.example,key=\"ed25519:k\\", HeaderError::Grammar),
        ("X-Matrix origin", HeaderError::Grammar),
        ("X-Matrix =x", HeaderError::Grammar),
    ] {
        assert_eq!(with(header), Err(error), "{header}");
    }
    assert_eq!(XMatrix::parse(&format!("X-Matrix {}", "a=b,".repeat(40))), Err(HeaderError::TooLong));
    assert_eq!(XMatrix::parse(&format!("X-Matrix a=\"{}\"", "b".repeat(5000))), Err(HeaderError::TooLong));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text: String, fragments in "[\\x00-\\x7f]{0,60}") {
        let _ = XMatrix::parse(&text);
        let _ = XMatrix::parse(&format!("X-Matrix {text}"));
        let _ = XMatrix::parse(&format!("X-Matrix origin=a.example,{fragments},key=\"ed25519:k\",sig=\"{SIG}\""));
    }

    #[test]
    fn what_is_quoted_and_escaped_reads_back(
        host in "[a-z0-9]{1,20}(\\.[a-z0-9]{1,20}){0,3}",
        version in "[A-Za-z0-9_]{1,20}",
        escape: bool,
        space in "[ \t]{0,3}",
    ) {
        let quote = |value: &str| {
            let escaped = value.chars().map(|c| if escape { format!("\\{c}") } else { c.to_string() });
            format!("\"{}\"", escaped.collect::<String>())
        };
        let header = format!(
            "X-Matrix origin={}{space},{space}key={}{space},{space}sig={}",
            quote(&host), quote(&format!("ed25519:{version}")), quote(SIG),
        );
        let auth = XMatrix::parse(&header).unwrap();
        prop_assert_eq!(auth.origin.as_str(), host.as_str());
        prop_assert_eq!(auth.key, format!("ed25519:{version}"));
    }

    #[test]
    fn every_signed_request_verifies(seed: [u8; 32], uri in "/[a-zA-Z0-9/?=&%_.~-]{0,60}", number: i32) {
        let (origin, us) = (server("o.example"), server("d.example"));
        let (key, body) = (KeyPair::from_seed(seed, "k"), format!("{{\"a\":{number}}}"));
        let header = authorization(&key, &Method::POST, &uri, &origin, &us, Some(body.as_bytes())).unwrap();
        let auth = XMatrix::parse(&header).unwrap();
        let public = PublicKey::from_bytes(&key.public_key()).unwrap();
        prop_assert!(auth.verify(public, &us, &Method::POST, &uri, Some(body.as_bytes())).unwrap());
    }
}
