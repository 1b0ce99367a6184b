//! What every endpoint can reach.

use std::{ops::Deref, sync::Arc, time::Duration};

use http::HeaderName;
use roost_federation::{Exchange, Federation, Sender};
use roost_rooms::Rooms;
use roost_users::Users;
use roost_world::{Workers, World};
use ruma::{OwnedServerName, RoomVersionId};

use crate::{admin::register::Nonces, door::Seldom, limits::Limits, tallies::Tallies, uia::Uia};

/// What every endpoint can reach: a shared [`Parts`], and what the HTTP layer itself remembers between requests.
#[derive(Clone)]
pub struct State(Arc<Inner>);

struct Inner {
    parts: Parts,
    uia: Uia,
    nonces: Nonces,
    tallies: Tallies,
    outages: Seldom,
}

/// The parts of a [`State`].
pub struct Parts {
    /// Time, chance and execution.
    pub world: World,
    /// The background loops; long polls watch their stop signal.
    pub workers: Workers,
    /// The room engine.
    pub rooms: Rooms,
    /// Accounts, sessions, devices, profiles, account data.
    pub users: Users,
    /// Other servers.
    pub federation: Federation,
    /// What is exchanged with them about rooms.
    pub exchange: Exchange,
    /// What goes out to them.
    pub sender: Sender,
    /// What clients see of the changes here.
    pub sync: roost_sync::Sync,
    /// What the configuration says about HTTP.
    pub settings: Settings,
    /// The rate limits.
    pub limits: Limits,
    /// Writes the metrics in Prometheus' text format, when there is a recorder.
    pub metrics_text: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

/// What the configuration says about HTTP.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of this homeserver.
    pub server_name: OwnedServerName,
    /// Where clients reach it, without a trailing slash.
    pub public_base_url: Option<String>,
    /// The version of new rooms.
    pub default_room_version: RoomVersionId,
    /// Who may register.
    pub registration: RegistrationMode,
    /// The secret of `POST /_synapse/admin/v1/register`; `None` switches it off.
    pub registration_secret: Option<String>,
    /// Whether this server talks with others: they are told where to find it, and are answered.
    pub federation: bool,
    /// Whether the public room list wants an access token.
    pub directory_requires_authentication: bool,
    /// Whom `/.well-known/matrix/support` names.
    pub support: Support,
    /// The largest accepted request body, in bytes.
    pub max_body: usize,
    /// The longest a request body may take to arrive.
    pub body_timeout: Duration,
    /// The largest accepted request head (URI and headers), in bytes.
    pub max_head: usize,
    /// The header in which a trusted proxy names the client's address.
    pub client_address_header: Option<HeaderName>,
    /// Whether every answered request is logged, and not only the failed ones.
    pub log_requests: bool,
}

/// Who may register an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationMode {
    /// Everybody.
    Open,
    /// Whoever holds a registration token.
    Token,
    /// Nobody.
    Closed,
}

/// Whom to turn to about this server.
#[derive(Clone, Debug, Default)]
pub struct Support {
    /// A page about support.
    pub page: Option<String>,
    /// The administrator's mail address.
    pub email: Option<String>,
    /// The administrator's Matrix id.
    pub matrix_id: Option<String>,
}

impl State {
    /// Shares `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            parts,
            uia: Uia::default(),
            nonces: Nonces::default(),
            tallies: Tallies::default(),
            outages: Seldom::default(),
        }))
    }

    /// The sessions of user-interactive authentication.
    pub(crate) fn uia(&self) -> &Uia {
        &self.0.uia
    }

    /// How many requests were answered, and how fast.
    pub(crate) fn tallies(&self) -> &Tallies {
        &self.0.tallies
    }

    /// When the log was last told that the database can not be reached.
    pub(crate) fn outages(&self) -> &Seldom {
        &self.0.outages
    }

    /// The nonces of registration by shared secret.
    pub(crate) fn nonces(&self) -> &Nonces {
        &self.0.nonces
    }
}

impl Deref for State {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}
