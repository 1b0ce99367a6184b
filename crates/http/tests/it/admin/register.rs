//! `/_synapse/admin/v1/register`: registration by shared secret.

use hmac::{Hmac, KeyInit as _, Mac as _};
use roost_testkit::Server;
use roost_testkit::config::Mode;
use serde_json::{Value, json};
use sha1::Sha1;

const REGISTER: &str = "/_synapse/admin/v1/register";
const SECRET: &str = "rabbit hole";

async fn server() -> Server {
    Server::with(|config| {
        config.registration.mode = Mode::Closed;
        SECRET.clone_into(&mut config.registration.shared_secret);
    })
    .await
}

async fn nonce(server: &Server) -> String {
    let (status, body) = server.get(REGISTER).await;
    assert_eq!(status, 200, "{body}");
    body["nonce"].as_str().expect("a nonce").to_owned()
}

fn mac(parts: &[&str]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(parts.join("\0").as_bytes());
    mac.finalize().into_bytes().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn request(nonce: &str, name: &str, admin: bool) -> Value {
    let mac = mac(&[nonce, name, "wonderland", if admin { "admin" } else { "notadmin" }]);
    json!({ "nonce": nonce, "username": name, "password": "wonderland", "admin": admin, "mac": mac })
}

fn errcode(body: &Value) -> &str {
    body["errcode"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn whoever_knows_the_secret_makes_accounts() {
    let server = server().await;
    for (name, admin) in [("alice", false), ("bob", true)] {
        let mut request = request(&nonce(&server).await, name, admin);
        request["displayname"] = json!("Somebody");
        let (status, body) = server.post(REGISTER, &request).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(
            (&body["user_id"], &body["home_server"]),
            (&json!(format!("@{name}:localhost")), &json!("localhost"))
        );
        assert!(body["access_token"].is_string() && body["device_id"].is_string(), "{body}");
        let user_id = ruma::UserId::parse(format!("@{name}:localhost")).expect("an id");
        assert_eq!(server.house().users.account(&user_id).await.expect("read").expect("an account").admin, admin);
        let (_, profile) = server.get(&format!("/_matrix/client/v3/profile/@{name}:localhost")).await;
        assert_eq!(profile, json!({ "displayname": "Somebody" }));
        let login = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": name },
            "password": "wonderland",
        });
        assert_eq!(server.post("/_matrix/client/v3/login", &login).await.0, 200);
    }
}

#[tokio::test]
async fn the_type_of_user_is_part_of_the_mac() {
    let server = server().await;
    let nonce = nonce(&server).await;
    let mut request = request(&nonce, "alice", false);
    request["user_type"] = json!("bot");
    request["mac"] = json!(mac(&[&nonce, "alice", "wonderland", "notadmin", "bot"]));
    assert_eq!(server.post(REGISTER, &request).await.0, 200);
}

#[tokio::test]
async fn a_wrong_mac_makes_nothing() {
    let server = server().await;
    let mut cases = Vec::new();
    for mac in ["", "00", "nonsense", "0000000000000000000000000000000000000000", "ä"] {
        let mut request = request(&nonce(&server).await, "alice", false);
        request["mac"] = json!(mac);
        cases.push(request);
    }
    let mut promoted = request(&nonce(&server).await, "alice", false);
    promoted["admin"] = json!(true);
    cases.push(promoted);
    for request in cases {
        let (status, body) = server.post(REGISTER, &request).await;
        assert_eq!((status, errcode(&body)), (403, "M_FORBIDDEN"), "{request}");
    }
    assert!(!server.house().users.has_accounts().await.expect("read"));
}

#[tokio::test]
async fn a_nonce_is_good_once() {
    let server = server().await;
    let nonce = nonce(&server).await;
    assert_eq!(server.post(REGISTER, &request(&nonce, "alice", false)).await.0, 200);
    for nonce in [nonce.as_str(), "invented"] {
        let (status, body) = server.post(REGISTER, &request(nonce, "bob", false)).await;
        assert_eq!((status, errcode(&body)), (400, "M_UNKNOWN"));
    }
}

#[tokio::test]
async fn names_are_checked() {
    let server = server().await;
    for (name, expected) in [("alice", ""), ("alice", "M_USER_IN_USE"), ("a b", "M_INVALID_USERNAME")] {
        let (_, body) = server.post(REGISTER, &request(&nonce(&server).await, name, false)).await;
        assert_eq!(errcode(&body), expected, "{name}");
    }
    for key in ["nonce", "username", "password", "mac"] {
        let mut request = request(&nonce(&server).await, "bob", false);
        request.as_object_mut().expect("an object").remove(key);
        let (status, body) = server.post(REGISTER, &request).await;
        assert_eq!((status, errcode(&body)), (400, "M_BAD_JSON"), "{key}");
    }
    let nul = request(&nonce(&server).await, "bob\0wonderland", false);
    let (status, body) = server.post(REGISTER, &nul).await;
    assert_eq!((status, errcode(&body)), (400, "M_UNKNOWN"));
}

#[tokio::test]
async fn without_a_secret_there_is_no_such_endpoint() {
    let server = Server::start().await;
    let (status, body) = server.get(REGISTER).await;
    assert_eq!((status, errcode(&body)), (404, "M_UNRECOGNIZED"));
    let (status, body) = server.post(REGISTER, &json!({})).await;
    assert_eq!((status, errcode(&body)), (404, "M_UNRECOGNIZED"));
}
