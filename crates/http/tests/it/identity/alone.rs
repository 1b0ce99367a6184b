//! The identity server alone, beside homeservers that it reaches over federation.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use http::Method;
use roost_matrix::{
    base64,
    ids::ServerName,
    signing::{self, KeyPair, PublicKey},
};
use roost_testkit::{
    IdentityServer, Mailbox, Server,
    config::Config,
    eventually,
    outside::{self, Authority},
};
use serde_json::{Value, json};

use super::{errcode, openid, token_in};

/// A homeserver of another make: it has a key, knows one OpenID token and keeps what it is told.
struct Homeserver {
    server: outside::Server,
    name: String,
    key: Arc<KeyPair>,
    /// What it answers to `onbind`.
    status: Arc<AtomicU16>,
}

impl Homeserver {
    async fn start(authority: &Authority, subject: &'static str) -> Self {
        let key = Arc::new(KeyPair::from_seed([5; 32], "hs"));
        let status = Arc::new(AtomicU16::new(200));
        let name = Arc::new(std::sync::OnceLock::<String>::new());
        let (its_key, its_status, its_name) = (Arc::clone(&key), Arc::clone(&status), Arc::clone(&name));
        let server = outside::Server::start(Some(authority.server(&["127.0.0.1"], &[])), move |seen| {
            let name = its_name.get().cloned().unwrap_or_default();
            match seen.uri.path() {
                "/_matrix/federation/v1/openid/userinfo" if seen.uri.query() == Some("access_token=good%20token") => {
                    outside::Answer::ok(json!({ "sub": subject.replace("{name}", &name) }).to_string())
                }
                "/_matrix/federation/v1/openid/userinfo" => outside::Answer::status(401),
                "/_matrix/key/v2/server" => {
                    let keys = json!({
                        "server_name": name,
                        "valid_until_ts": 4_000_000_000_000_u64,
                        "verify_keys": { its_key.key_id(): { "key": base64::encode(&its_key.public_key()) } },
                        "old_verify_keys": {},
                    });
                    outside::Answer::ok(signing::sign_json(keys.to_string().as_bytes(), &name, &its_key).unwrap())
                }
                "/_matrix/federation/v1/3pid/onbind" => outside::Answer::status(its_status.load(Ordering::SeqCst)),
                _ => outside::Answer::status(404),
            }
        })
        .await;
        let own = server.address().to_string();
        name.set(own.clone()).unwrap();
        Self { server, name: own, key, status }
    }

    fn told(&self) -> Vec<outside::Seen> {
        self.server.seen().into_iter().filter(|seen| seen.uri.path().ends_with("/onbind")).collect()
    }

    /// The header of a request that it signs.
    fn signed(&self, member: &str, destination: &str, uri: &str, body: &Value) -> String {
        let request =
            json!({ "method": "POST", "uri": uri, "origin": self.name, member: destination, "content": body });
        let signed = signing::sign_json(request.to_string().as_bytes(), &self.name, &self.key).unwrap();
        let signed: Value = serde_json::from_slice(&signed).unwrap();
        let sig = signed["signatures"][&self.name][self.key.key_id()].as_str().unwrap();
        format!("X-Matrix origin=\"{}\",key=\"{}\",sig=\"{sig}\"", self.name, self.key.key_id())
    }
}

struct Alone {
    identity: IdentityServer,
    /// Its file is read again after a restart.
    _authority: Authority,
    mailbox: Mailbox,
    homeserver: Homeserver,
    token: String,
    user: String,
}

fn reaching(config: &mut Config, authority: &Authority, mail: &str) {
    "id.example".clone_into(&mut config.top.server_name);
    config.federation.extra_ca_files = vec![authority.file().to_str().unwrap().to_owned()];
    config.outbound.allow_ranges = vec!["127.0.0.0/8".to_owned()];
    mail.clone_into(&mut config.email.smtp_url);
    config.identity.plain_lookups = true;
}

async fn register(identity: &IdentityServer, server: &str, token: &str) -> (u16, Value) {
    let body = json!({ "access_token": token, "token_type": "Bearer", "matrix_server_name": server, "expires_in": 60 });
    identity.client().call(Method::POST, "/_matrix/identity/v2/account/register", "", Some(&body)).await
}

impl Alone {
    async fn new() -> Self {
        let (authority, mailbox) = (Authority::new(), Mailbox::open().await);
        let homeserver = Homeserver::start(&authority, "@alice:{name}").await;
        let identity = IdentityServer::with(|config| reaching(config, &authority, &mailbox.url())).await;
        let (status, body) = register(&identity, &homeserver.name, "good token").await;
        assert_eq!(status, 200, "{body}");
        let (token, user) = (body["token"].as_str().unwrap().to_owned(), format!("@alice:{}", homeserver.name));
        Self { identity, _authority: authority, mailbox, homeserver, token, user }
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let path = format!("/_matrix/identity/v2{path}");
        self.identity.client().call(Method::POST, &path, &self.token, Some(body)).await
    }

    async fn bind(&self, address: &str) -> (u16, Value) {
        let body = json!({ "client_secret": "s", "email": address, "send_attempt": 1 });
        let (_, answer) = self.post("/validate/email/requestToken", &body).await;
        let token = token_in(&self.mailbox.last().text);
        let body = json!({ "sid": answer["sid"], "client_secret": "s", "token": token });
        assert_eq!(self.post("/validate/email/submitToken", &body).await.0, 200);
        self.post("/3pid/bind", &json!({ "sid": answer["sid"], "client_secret": "s", "mxid": self.user })).await
    }

    async fn is_bound(&self, address: &str) -> bool {
        let path = "/_matrix/identity/v2/hash_details";
        let (_, details) = self.identity.client().call(Method::GET, path, &self.token, None).await;
        let asked = format!("{address} email");
        let body = json!({ "algorithm": "none", "pepper": details["lookup_pepper"], "addresses": [asked] });
        self.post("/lookup", &body).await.1["mappings"][&asked].is_string()
    }

    async fn unbind(&self, authorization: &str, body: &Value) -> (u16, Value) {
        let headers = [("authorization", authorization)];
        let path = "/_matrix/identity/v2/3pid/unbind";
        let answer = self.identity.client().raw(Method::POST, path, &headers, body.to_string()).await;
        (answer.status, answer.json())
    }

    /// Reads the public key with which the identity server signs.
    async fn verify(&self, signed: &Value) {
        let by = signed["signatures"]["id.example"].as_object().expect("its signature");
        let key_id = by.keys().next().unwrap();
        let path = format!("/_matrix/identity/v2/pubkey/{key_id}");
        let (_, key) = self.identity.client().call(Method::GET, &path, "", None).await;
        let key = PublicKey::from_base64(key["public_key"].as_str().unwrap()).unwrap();
        signing::verify_json(signed.to_string().as_bytes(), "id.example", |_| Some(key)).unwrap();
    }
}

#[tokio::test]
async fn health_and_metrics_answer_and_the_homeserver_is_not_there() {
    let alone = Alone::new().await;
    let client = alone.identity.client();
    for path in ["/_roost/health/live", "/_roost/health/ready"] {
        assert_eq!(client.raw(Method::GET, path, &[], "").await.status, 200, "{path}");
    }
    let metrics = client.raw(Method::GET, "/_roost/metrics", &[], "").await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains(r#"route="/_matrix/identity/v2/account/register""#), "{text}");
    assert_eq!(client.raw(Method::GET, "/_matrix/client/versions", &[], "").await.status, 404);
}

#[tokio::test]
async fn the_users_own_homeserver_is_asked_over_federation() {
    let alone = Alone::new().await;
    let (status, body) = register(&alone.identity, &alone.homeserver.name, "bad token").await;
    assert_eq!((status, errcode(&body)), (401, "M_UNAUTHORIZED"));
    let path = "/_matrix/identity/v2/account";
    let (_, body) = alone.identity.client().call(Method::GET, path, &alone.token, None).await;
    assert_eq!(body["user_id"], alone.user);
}

#[tokio::test]
async fn a_homeserver_can_not_vouch_for_users_of_another() {
    let (authority, mailbox) = (Authority::new(), Mailbox::open().await);
    let identity = IdentityServer::with(|config| reaching(config, &authority, &mailbox.url())).await;
    for subject in ["@alice:matrix.org", "@alice", "alice", "@alice:127.0.0.1"] {
        let homeserver = Homeserver::start(&authority, subject).await;
        let (status, body) = register(&identity, &homeserver.name, "good token").await;
        assert_eq!((status, errcode(&body)), (401, "M_UNAUTHORIZED"), "{subject}");
    }
}

#[tokio::test]
async fn a_homeserver_with_a_certificate_of_its_own_making_is_not_believed() {
    let (authority, mailbox) = (Authority::new(), Mailbox::open().await);
    let identity = IdentityServer::with(|config| {
        reaching(config, &authority, &mailbox.url());
        config.outbound.verify_certificates = false;
    })
    .await;
    let homeserver = Homeserver::start(&Authority::new(), "@alice:{name}").await;
    let (status, body) = register(&identity, &homeserver.name, "good token").await;
    assert_eq!((status, errcode(&body)), (400, "M_CONNECTION_FAILED"));
}

#[tokio::test]
async fn a_roost_homeserver_vouches_for_its_users() {
    let (authority, mailbox) = (Authority::new(), Mailbox::open().await);
    let (certificate, key) = authority.issue(&["127.0.0.1"]);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path: PathBuf = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (file("cert.pem", &certificate), file("key.pem", &key));
    // Its name carries the port, so the port is chosen before.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::with(|config| {
        config.top.server_name = format!("127.0.0.1:{port}");
        let mut federation = config.listen[0].clone();
        federation.address = format!("127.0.0.1:{port}");
        (federation.tls_certificate, federation.tls_private_key) = (Some(certificate), Some(key));
        config.listen.push(federation);
    })
    .await;
    let identity = IdentityServer::with(|config| reaching(config, &authority, &mailbox.url())).await;
    let alice = server.register("alice").await;
    let openid = openid(&alice).await;
    let path = "/_matrix/identity/v2/account/register";
    let (status, body) = identity.client().call(Method::POST, path, "", Some(&openid)).await;
    assert_eq!(status, 200, "{body}");
    let token = body["token"].as_str().unwrap();
    let (_, body) = identity.client().call(Method::GET, "/_matrix/identity/v2/account", token, None).await;
    assert_eq!(body["user_id"], alice.id);
}

#[tokio::test]
async fn a_homeserver_unbinds_the_addresses_of_its_users_by_signing() {
    let alone = Alone::new().await;
    let uri = "/_matrix/identity/v2/3pid/unbind";
    let body = json!({ "mxid": alone.user, "threepid": { "medium": "email", "address": "alice@example.org" } });
    // By the name of this server or by the host of its URL, and under either name of the member.
    let host = alone.identity.address().to_string();
    for (member, destination) in
        [("destination_is", host.as_str()), ("destination", "id.example"), ("destination_is", "id.example")]
    {
        alone.bind("alice@example.org").await;
        assert!(alone.is_bound("alice@example.org").await);
        let authorization = alone.homeserver.signed(member, destination, uri, &body);
        assert_eq!(alone.unbind(&authorization, &body).await, (200, json!({})), "{member} {destination}");
        assert!(!alone.is_bound("alice@example.org").await);
        // The same request once more finds nothing to do.
        assert_eq!(alone.unbind(&authorization, &body).await, (200, json!({})));
    }
}

#[tokio::test]
async fn one_good_signature_of_several_is_enough() {
    let alone = Alone::new().await;
    alone.bind("alice@example.org").await;
    let uri = "/_matrix/identity/v2/3pid/unbind";
    let body = json!({ "mxid": alone.user, "threepid": { "medium": "email", "address": "alice@example.org" } });
    let bad = alone.homeserver.signed("destination", "elsewhere.example", uri, &body);
    let good = alone.homeserver.signed("destination_is", "id.example", uri, &body);
    let client = alone.identity.client();
    for (second, status) in [(&bad, 403), (&good, 200)] {
        let headers = [("authorization", bad.as_str()), ("authorization", second.as_str())];
        assert_eq!(client.raw(Method::POST, uri, &headers, body.to_string()).await.status, status);
    }
    assert!(!alone.is_bound("alice@example.org").await);
}

#[tokio::test]
async fn a_signature_is_good_for_one_request_to_one_server() {
    let alone = Alone::new().await;
    alone.bind("alice@example.org").await;
    alone.bind("other@example.org").await;
    let uri = "/_matrix/identity/v2/3pid/unbind";
    let body =
        |user: &str, address: &str| json!({ "mxid": user, "threepid": { "medium": "email", "address": address } });
    let good = body(&alone.user, "alice@example.org");
    let homeserver = &alone.homeserver;
    let header = homeserver.signed("destination_is", "id.example", uri, &good);
    for (what, authorization, body) in [
        ("another body", header.clone(), body(&alone.user, "other@example.org")),
        ("another server", homeserver.signed("destination_is", "other.example", uri, &good), good.clone()),
        (
            "another endpoint",
            homeserver.signed("destination_is", "id.example", "/_matrix/identity/v2/3pid/bind", &good),
            good.clone(),
        ),
        ("no destination", homeserver.signed("nothing", "id.example", uri, &good), good.clone()),
        (
            "another's user",
            {
                let body = body("@alice:matrix.org", "alice@example.org");
                homeserver.signed("destination_is", "id.example", uri, &body)
            },
            body("@alice:matrix.org", "alice@example.org"),
        ),
        ("another key", header.replace("ed25519:hs", "ed25519:other"), good.clone()),
        ("no signature", header.split(",sig").next().unwrap().to_owned(), good.clone()),
        ("another destination", format!("{header},destination=\"other.example\""), good.clone()),
    ] {
        let (status, answer) = alone.unbind(&authorization, &body).await;
        assert_eq!((status, errcode(&answer)), (403, "M_FORBIDDEN"), "{what}");
    }
    assert!(alone.is_bound("alice@example.org").await && alone.is_bound("other@example.org").await);
    // An origin that can not be asked for its keys.
    let unknown = header.replace(&homeserver.name, "127.0.0.1:1");
    assert_eq!(errcode(&alone.unbind(&unknown, &good).await.1), "M_CONNECTION_FAILED");
}

#[tokio::test]
async fn invitations_reach_the_homeserver_when_their_address_is_bound() {
    let mut alone = Alone::new().await;
    let invite =
        |room: &str| json!({ "medium": "email", "address": "bob@example.org", "room_id": room, "sender": alone.user });
    let mut tokens = Vec::new();
    for room in ["!one:example.org", "!two:example.org"] {
        let (status, answer) = alone.post("/store-invite", &invite(room)).await;
        assert_eq!(status, 200, "{answer}");
        tokens.push(answer["token"].clone());
    }
    // The homeserver does not hear it at first, and then the identity server is restarted in the midst of it.
    alone.homeserver.status.store(503, Ordering::SeqCst);
    assert_eq!(alone.bind("bob@example.org").await.0, 200);
    eventually("the first try", async || (!alone.homeserver.told().is_empty()).then_some(())).await;
    alone.identity.restart().await;
    alone.homeserver.status.store(200, Ordering::SeqCst);
    let told = eventually_longer(async || {
        let told = alone.homeserver.told();
        (told.len() >= 2).then_some(told)
    })
    .await;
    assert_eq!(told[0].body, told[1].body, "a retry says the same");
    for seen in &told {
        assert_eq!(seen.method, Method::PUT);
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        alone.verify(&body).await;
        assert_eq!((&body["medium"], &body["address"]), (&json!("email"), &json!("bob@example.org")));
        assert_eq!(body["mxid"], alone.user);
        let invites = body["invites"].as_array().unwrap();
        assert_eq!(invites.len(), 2);
        for invite in invites {
            assert_eq!((&invite["mxid"], &invite["sender"]), (&json!(alone.user), &json!(alone.user)));
            assert_eq!((&invite["medium"], &invite["address"]), (&json!("email"), &json!("bob@example.org")));
            assert!(tokens.contains(&invite["signed"]["token"]));
            assert_eq!(invite["signed"]["mxid"], alone.user);
            alone.verify(&invite["signed"]).await;
        }
        assert!(invites.iter().any(|invite| invite["room_id"] == "!one:example.org"));
    }
    assert!(ServerName::parse(&alone.homeserver.name).is_ok());
    // Bound again, nothing is waiting any more.
    let before = alone.homeserver.told().len();
    assert_eq!(alone.bind("bob@example.org").await.0, 200);
    roost_testkit::sleep(Duration::from_millis(300)).await;
    assert_eq!(alone.homeserver.told().len(), before);
}

/// The second try comes after ten seconds.
async fn eventually_longer<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    for _ in 0..900 {
        if let Some(answer) = ask().await {
            return answer;
        }
        roost_testkit::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within 18 s: the second try");
}

#[tokio::test]
async fn a_homeserver_that_knows_only_post_is_told_by_post() {
    let alone = Alone::new().await;
    alone.homeserver.status.store(405, Ordering::SeqCst);
    let invite =
        json!({ "medium": "email", "address": "bob@example.org", "room_id": "!one:example.org", "sender": alone.user });
    assert_eq!(alone.post("/store-invite", &invite).await.0, 200);
    assert_eq!(alone.bind("bob@example.org").await.0, 200);
    let told = eventually("both methods", async || {
        let told = alone.homeserver.told();
        (told.len() >= 2).then_some(told)
    })
    .await;
    assert_eq!((&told[0].method, &told[1].method), (&Method::PUT, &Method::POST));
}
