//! What every endpoint can reach.

use std::{ops::Deref, sync::Arc};

use axum::extract::FromRef;
use roost_rooms::Rooms;
use roost_users::Users;
use ruma::{OwnedServerName, RoomVersionId};

use crate::{Front, admin::register::Nonces, uia::Uia};

/// What every endpoint can reach: a shared [`Parts`], and what the HTTP layer itself remembers between requests.
#[derive(Clone)]
pub struct State(Arc<Inner>);

struct Inner {
    parts: Parts,
    uia: Uia,
    nonces: Nonces,
}

/// The parts of a [`State`].
pub struct Parts {
    /// What every listener has, whatever it serves.
    pub front: Front,
    /// The room engine.
    pub rooms: Rooms,
    /// Accounts, sessions, devices, profiles, account data.
    pub users: Users,
    /// What clients see of the changes here.
    pub sync: roost_sync::Sync,
    /// What the configuration says about HTTP.
    pub settings: Settings,
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
    /// Whether other servers may be told where to find this one.
    pub federation: bool,
    /// Whether the public room list wants an access token.
    pub directory_requires_authentication: bool,
    /// Whom `/.well-known/matrix/support` names.
    pub support: Support,
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
        Self(Arc::new(Inner { parts, uia: Uia::default(), nonces: Nonces::default() }))
    }

    /// The sessions of user-interactive authentication.
    pub(crate) fn uia(&self) -> &Uia {
        &self.0.uia
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

/// Time, workers and limits are the front's.
impl Deref for Parts {
    type Target = Front;

    fn deref(&self) -> &Front {
        &self.front
    }
}

impl FromRef<State> for Front {
    fn from_ref(state: &State) -> Self {
        state.front.clone()
    }
}
