//! `/_matrix/identity`: a homeserver with the identity server in its process, a mail server and an SMS gateway.

mod account;
mod alone;
mod associations;
mod email;
mod hostile;
mod invites;
mod keys;
mod limits;
mod lookup;
mod phone;
mod terms;

use http::Method;
use roost_testkit::{
    Mailbox, Server, User,
    config::{Config, Serves},
    outside,
};
use serde_json::{Value, json};

/// A homeserver with an identity server, and what that one sends to.
struct Scene {
    server: Server,
    mailbox: Mailbox,
    gateway: outside::Server,
}

/// A user of the identity server.
struct Member {
    user: User,
    token: String,
    client: roost_testkit::Client,
}

impl Scene {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mailbox = Mailbox::open().await;
        let gateway = outside::Server::start(None, |_| outside::Answer::ok("{}")).await;
        let (mail, sms) = (mailbox.url(), format!("http://{}/send?key=secret", gateway.address()));
        let server = Server::with(|config| {
            config.identity.enabled = true;
            config.listen[0].serves.0.push(Serves::Identity);
            config.email.smtp_url = mail;
            "Identity <id@id.example>".clone_into(&mut config.email.from);
            config.identity.plain_lookups = true;
            config.identity.sms_gateways.0 = vec![roost_identity::GatewayOptions {
                countries: vec!["GB".to_owned(), "DE".to_owned()],
                url: sms,
                headers: vec![("Authorization".to_owned(), "Bearer gateway".to_owned())],
                from: "Roost".to_owned(),
                ..Default::default()
            }];
            change(config);
        })
        .await;
        Self { server, mailbox, gateway }
    }

    /// Registers a user at the homeserver and, with an OpenID token, at the identity server.
    async fn member(&self, name: &str) -> Member {
        let user = self.server.register(name).await;
        let token = self.token(&user).await;
        Member { user, token, client: self.server.client().clone() }
    }

    async fn token(&self, user: &User) -> String {
        let openid = openid(user).await;
        let (status, body) = self.server.post("/_matrix/identity/v2/account/register", &openid).await;
        assert_eq!(status, 200, "{body}");
        body["token"].as_str().expect("a token").to_owned()
    }
}

/// An OpenID token of a user.
async fn openid(user: &User) -> Value {
    let path = format!("/_matrix/client/v3/user/{}/openid/request_token", user.id);
    let (status, body) = user.post(&path, &json!({})).await;
    assert_eq!(status, 200, "{body}");
    body
}

impl Member {
    async fn get(&self, path: &str) -> (u16, Value) {
        self.client.call(Method::GET, &format!("/_matrix/identity/v2{path}"), &self.token, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.client.call(Method::POST, &format!("/_matrix/identity/v2{path}"), &self.token, Some(body)).await
    }

    /// Begins a session for a mail address; its id.
    async fn request_email(&self, secret: &str, address: &str) -> String {
        let body = json!({ "client_secret": secret, "email": address, "send_attempt": 1 });
        let (status, answer) = self.post("/validate/email/requestToken", &body).await;
        assert_eq!(status, 200, "{answer}");
        answer["sid"].as_str().expect("a sid").to_owned()
    }

    /// Proves a mail address; the session's id.
    async fn validate(&self, mailbox: &Mailbox, secret: &str, address: &str) -> String {
        let sid = self.request_email(secret, address).await;
        let token = token_in(&mailbox.last().text);
        let body = json!({ "sid": sid, "client_secret": secret, "token": token });
        assert_eq!(self.post("/validate/email/submitToken", &body).await, (200, json!({ "success": true })));
        sid
    }

    /// Proves a mail address and binds it to this user.
    async fn bind(&self, mailbox: &Mailbox, address: &str) -> Value {
        let sid = self.validate(mailbox, "a_secret", address).await;
        let body = json!({ "sid": sid, "client_secret": "a_secret", "mxid": self.user.id });
        let (status, answer) = self.post("/3pid/bind", &body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Whom a mail address belongs to.
    async fn look_up(&self, address: &str) -> Option<String> {
        let (_, details) = self.get("/hash_details").await;
        let asked = format!("{address} email");
        let body = json!({ "algorithm": "none", "pepper": details["lookup_pepper"], "addresses": [asked] });
        let (status, answer) = self.post("/lookup", &body).await;
        assert_eq!(status, 200, "{answer}");
        answer["mappings"][&asked].as_str().map(ToOwned::to_owned)
    }
}

/// The link in a mail: path and query.
fn link_in(text: &str) -> String {
    let start = text.find("/_matrix/identity/v2/validate").expect("a link");
    text[start..].split_whitespace().next().unwrap().to_owned()
}

fn token_in(text: &str) -> String {
    let link = link_in(text);
    link.split_once("token=").unwrap().1.split('&').next().unwrap().to_owned()
}

fn errcode(body: &Value) -> &str {
    body["errcode"].as_str().unwrap_or_default()
}
