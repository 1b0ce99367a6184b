//! What is asked of `/sync`.

use std::time::Duration;

use roost_matrix::ids::{OwnedDeviceId, OwnedUserId};
use roost_store::{UserNo, token::SyncToken};

use crate::filter::Filter;

/// A request for what is new.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    /// Who asks.
    pub user: UserNo,
    /// Who asks, as an id.
    pub user_id: OwnedUserId,
    /// From which device: it alone is shown the transaction ids of what it sent.
    pub device: OwnedDeviceId,
    /// What the client has already; `None` for nothing.
    pub since: Option<SyncToken>,
    /// What the client wants to see.
    pub filter: Filter,
    /// For how long to wait when there is nothing to tell.
    pub timeout: Duration,
    /// Whether all state is wanted, and not only what changed.
    pub full_state: bool,
    /// Whether state is wanted as of the end of the timeline, and not as of its start: then the name under which it is told,
    /// since clients that asked by the older name look for the answer under that.
    pub state_after: Option<&'static str>,
}
