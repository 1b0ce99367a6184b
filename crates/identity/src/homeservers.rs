//! What homeservers are asked and told.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use roost_matrix::{
    ids::{OwnedUserId, ServerName, UserId},
    signing::{self, PublicKey},
};
use roost_net::client::{Client, JsonAnswer, Limits, Request};
use roost_world::{BoxFuture, World};
use serde_json::Value;

use crate::{Discover, Error};

/// How much of an answer is read, and how long it may take.
const LIMITS: Limits = Limits { bytes: 256 * 1024, silence: Duration::from_secs(20), total: Duration::from_secs(30) };

/// The homeserver in this very process, which need not be asked over the network.
pub trait OwnHomeserver: Send + Sync + 'static {
    /// Its name.
    fn server_name(&self) -> &ServerName;
    /// Whose OpenID token this is.
    fn openid_user(&self, token: &str) -> BoxFuture<Result<Option<OwnedUserId>, String>>;
}

/// All homeservers.
pub(crate) struct Homeservers {
    pub(crate) client: Client,
    pub(crate) discover: Arc<dyn Discover>,
    pub(crate) own: Option<Arc<dyn OwnHomeserver>>,
    pub(crate) world: World,
}

impl Homeservers {
    /// Whose OpenID token this is, as its homeserver says.
    ///
    /// Spec: <https://spec.matrix.org/v1.19/server-server-api/#openid>
    pub(crate) async fn openid_user(&self, server: &ServerName, token: &str) -> Result<OwnedUserId, Error> {
        if let Some(own) = self.own.as_ref().filter(|own| own.server_name() == server) {
            let user = own.openid_user(token).await.map_err(Error::Homeserver)?;
            return user.ok_or(Error::OpenId);
        }
        let path = format!("/_matrix/federation/v1/openid/userinfo?access_token={}", escaped(token));
        let answer = self.ask(Method::GET, server, path, None).await.map_err(Error::Homeserver)?;
        if matches!(answer.status.as_u16(), 400 | 401 | 403 | 404) {
            return Err(Error::OpenId);
        }
        if answer.status != StatusCode::OK {
            return Err(Error::Homeserver(format!("{server} answers {}", answer.status)));
        }
        let user = answer.body.get("sub").and_then(Value::as_str).and_then(|user| UserId::parse(user).ok());
        // A homeserver can vouch for nobody but its own users.
        user.filter(|user| user.server_name() == server).ok_or(Error::OpenId)
    }

    /// Tells a homeserver that one of its users has bound an address for which invitations are waiting; the error is for the
    /// operator.
    pub(crate) async fn on_bind(&self, server: &ServerName, body: &str) -> Result<(), String> {
        let path = "/_matrix/federation/v1/3pid/onbind";
        let mut answer = self.ask(Method::PUT, server, path.to_owned(), Some(body)).await?;
        // The definition of the endpoint says PUT and the text of the specification says POST; there are servers of either mind.
        if matches!(answer.status.as_u16(), 404 | 405) {
            answer = self.ask(Method::POST, server, path.to_owned(), Some(body)).await?;
        }
        if answer.status.is_success() { Ok(()) } else { Err(describe(&answer)) }
    }

    /// The key of that id that a homeserver signs with today, if it has one.
    pub(crate) async fn key(&self, server: &ServerName, key_id: &str) -> Result<Option<PublicKey>, Error> {
        let keys = self.keys(server).await.map_err(Error::Homeserver)?;
        Ok(keys.into_iter().find(|(known, _)| known == key_id).map(|(_, key)| key))
    }

    /// The keys that a homeserver signs with today.
    ///
    /// Spec: <https://spec.matrix.org/v1.19/server-server-api/#publishing-keys>
    async fn keys(&self, server: &ServerName) -> Result<Vec<(String, PublicKey)>, String> {
        let answer = self.ask(Method::GET, server, "/_matrix/key/v2/server".to_owned(), None).await?;
        if answer.status != StatusCode::OK {
            return Err(describe(&answer));
        }
        let body = &answer.body;
        if body.get("server_name").and_then(Value::as_str) != Some(server.as_str()) {
            return Err(format!("{server} answers with the keys of another server"));
        }
        if body.get("valid_until_ts").and_then(Value::as_u64).is_none_or(|until| until < self.world.now_ms()) {
            return Err(format!("the keys of {server} are no longer valid"));
        }
        let keys: Vec<(String, PublicKey)> = body
            .get("verify_keys")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .take(16)
            .filter_map(|(key_id, key)| {
                let key = PublicKey::from_base64(key.get("key")?.as_str()?).ok()?;
                Some((key_id.clone(), key))
            })
            .collect();
        let key = |key_id: &str| keys.iter().find(|(known, _)| known == key_id).map(|(_, key)| *key);
        match signing::verify_json(body.to_string().as_bytes(), server.as_str(), key) {
            Ok(()) => Ok(keys),
            Err(error) => Err(format!("the keys of {server} are not signed by it: {error}")),
        }
    }

    async fn ask(
        &self,
        method: Method,
        server: &ServerName,
        path: String,
        body: Option<&str>,
    ) -> Result<JsonAnswer, String> {
        let target = self.discover.target(server).await?;
        let mut request = Request::new(method, target, path).limits(LIMITS);
        if let Some(body) = body {
            request = request.json(body.to_owned());
        }
        self.client.json(request).await.map_err(|error| error.to_string())
    }
}

fn describe(answer: &JsonAnswer) -> String {
    let text = |key| answer.body.get(key).and_then(Value::as_str).unwrap_or_default();
    format!("{} {} {}", answer.status.as_u16(), text("errcode"), text("error"))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
