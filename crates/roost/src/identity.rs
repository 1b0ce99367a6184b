//! The identity server, inside the homeserver's process or alone.

use std::{path::Path, sync::Arc, time::Duration};

use roost_identity::{Gateways, Identity, Options, Outside, OwnHomeserver, Texts, ThirdPartyId};
use roost_matrix::ids::{OwnedUserId, ServerName, UserId};
use roost_store::{Database, Store};
use roost_users::Users;
use roost_world::{BoxFuture, Workers, World};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    config::{Config, Problems, filled},
    data_dir::DataDir,
    house::{HouseError, size, worker_list},
    outward::Outward,
    socket::{Behind, Request},
};

/// What commands want of an identity server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum IdentityRequest {
    /// The keys; `rotate` makes a new one first.
    Keys {
        /// Whether there is to be another one.
        rotate: bool,
    },
    /// The addresses of a user.
    Associations {
        /// The user id.
        user: String,
    },
    /// Takes an address from its user.
    Unbind {
        /// The kind of address.
        medium: String,
        /// The address.
        address: String,
    },
    /// Removes everything about a user.
    PurgeUser {
        /// The user id.
        user: String,
    },
    /// Removes everything about an address.
    PurgeAddress {
        /// The kind of address.
        medium: String,
        /// The address.
        address: String,
    },
    /// What homeservers are still to be told.
    Deliveries,
}

/// An identity server alone, without listeners. Cheap to clone.
#[derive(Clone)]
pub(crate) struct IdentityHouse {
    pub(crate) world: World,
    pub(crate) workers: Workers,
    pub(crate) store: Store,
    pub(crate) identity: Identity,
}

impl IdentityHouse {
    /// Opens it on a data directory; `url` is where it listens.
    pub(crate) async fn open(config: &Config, data_dir: &DataDir, url: &str, world: World) -> Result<Self, HouseError> {
        let database = Database::parse(&config.identity.database_url, data_dir.path())?;
        let store = Store::open(crate::house::store_options(config, database), world.clone()).await?;
        let workers = Workers::new(world.clone());
        workers.start_future("log", |stop| store.clone().compact_log(world.clone(), stop));
        let identity = open(config, url, &store, None, &world, &workers).await?;
        Ok(Self { world, workers, store, identity })
    }

    /// Ends the background loops and closes the database.
    pub(crate) async fn close(&self) {
        self.workers.stop().await;
        self.store.close().await;
    }
}

impl Behind for IdentityHouse {
    fn world(&self) -> &World {
        &self.world
    }

    async fn answer(&self, request: Request) -> Result<Value, String> {
        match request {
            Request::Identity(request) => answer(&self.identity, request).await,
            Request::Workers => Ok(worker_list(&self.workers)),
            Request::CreateUser { .. } => Err("an identity server has no accounts to create".to_owned()),
        }
    }
}

/// The users of the homeserver in this process.
struct Own(Users);

impl OwnHomeserver for Own {
    fn server_name(&self) -> &ServerName {
        self.0.server_name()
    }

    fn openid_user(&self, token: &str) -> BoxFuture<Result<Option<OwnedUserId>, String>> {
        let (users, token) = (self.0.clone(), token.to_owned());
        Box::pin(async move { users.openid_user(&token).await.map_err(|error| error.to_string()) })
    }
}

/// Opens the domain. `url` is where it listens, for those who have not said how it is reached.
pub(crate) async fn open(
    config: &Config,
    url: &str,
    store: &Store,
    users: Option<&Users>,
    world: &World,
    workers: &Workers,
) -> Result<Identity, HouseError> {
    let Outward { federation, discovery, trusted, mailer } = Outward::open(config, world)?;
    let own = users.map(|users| Arc::new(Own(users.clone())) as Arc<dyn OwnHomeserver>);
    let outside = Outside { federation, discover: Arc::new(discovery), own, trusted, mailer };
    let options = options(config, url)?;
    Ok(Identity::open(store.clone(), options, outside, world.clone(), workers).await?)
}

fn options(config: &Config, url: &str) -> Result<Options, Problems> {
    let section = &config.identity;
    let problem = |key: &str, problem: &dyn std::fmt::Display| Problems(vec![format!("{key}: {problem}")]);
    let name = config.identity_name();
    let server_name = ServerName::parse(name).map_err(|error| problem("identity.server_name", &error))?;
    let base_url = section.public_base_url.as_deref().or(config.top.public_base_url.as_deref()).unwrap_or(url);
    let texts = Texts::load(filled(&section.texts).map(Path::new));
    let gateways = Gateways::new(&section.sms_gateways.0);
    let mail_from = filled(&config.email.from).map_or_else(|| format!("noreply@{}", server_name.host()), str::to_owned);
    Ok(Options {
        server_name,
        base_url: base_url.trim_end_matches('/').to_owned(),
        policies: section.terms.0.clone(),
        plain_lookups: section.plain_lookups,
        max_lookup: size(section.max_lookup),
        pepper_lifetime: Duration::from_secs(u64::from(section.pepper_lifetime) * 3600),
        pepper_grace: Duration::from_secs(u64::from(section.pepper_grace) * 60),
        next_link_hosts: section.next_link_hosts.clone(),
        mail_from,
        web_client: filled(&section.web_client).map(|url| url.trim_end_matches('/').to_owned()),
        gateways: gateways.map_err(|error| problem("identity.sms_gateways", &error))?,
        texts: texts.map_err(|error| problem("identity.texts", &error))?,
    })
}

/// Does what a command wants; the error is for whoever typed it.
pub(crate) async fn answer(identity: &Identity, request: IdentityRequest) -> Result<Value, String> {
    let failed = |error: roost_identity::Error| error.to_string();
    let user = |text: String| UserId::parse(&text).map_err(|_| format!("{text} is not a user id"));
    let address = |medium: &str, address: &str| ThirdPartyId::named(medium, address).map_err(failed);
    match request {
        IdentityRequest::Keys { rotate } => {
            if rotate {
                identity.rotate_key().await.map_err(failed)?;
            }
            let keys = identity.keys().into_iter().map(|key| {
                json!({ "key_id": key.key_id, "public_key": key.public_key, "created_at": key.created_at,
                    "retired_at": key.retired_at })
            });
            Ok(json!({ "keys": keys.collect::<Value>() }))
        }
        IdentityRequest::Associations { user: text } => {
            let found = identity.addresses_of(&user(text)?).await.map_err(failed)?;
            let found = found.into_iter().map(|association| {
                json!({ "medium": association.medium, "address": association.address, "bound_at": association.bound_at })
            });
            Ok(json!({ "associations": found.collect::<Value>() }))
        }
        IdentityRequest::Unbind { medium, address: text } => {
            let user = identity.remove(&address(&medium, &text)?, None).await.map_err(failed)?;
            Ok(json!({ "user_id": user }))
        }
        IdentityRequest::PurgeUser { user: text } => {
            let (associations, account) = identity.purge_user(&user(text)?).await.map_err(failed)?;
            Ok(json!({ "associations": associations, "account": account }))
        }
        IdentityRequest::PurgeAddress { medium, address: text } => {
            let found = identity.purge_address(&address(&medium, &text)?).await.map_err(failed)?;
            Ok(json!({ "found": found }))
        }
        IdentityRequest::Deliveries => {
            let waiting = identity.deliveries().await.map_err(failed)?;
            let waiting = waiting.into_iter().map(|delivery| {
                json!({ "server": delivery.server, "created_at": delivery.created_at, "tries": delivery.tries,
                    "next_try_at": delivery.next_try_at, "problem": delivery.problem })
            });
            Ok(json!({ "deliveries": waiting.collect::<Value>() }))
        }
    }
}
