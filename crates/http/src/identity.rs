//! The Identity Service API.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/>

mod account;
mod associations;
mod caller;
mod fields;
mod invitation_signing;
mod lookup;
mod ping;
mod pubkey;
mod store_invite;
mod terms;
mod validate;
mod versions;

use std::ops::Deref;

use axum::{Router, extract::FromRef, routing::MethodRouter};
use roost_identity::Identity;

use crate::Front;

/// What the identity server's endpoints can reach.
#[derive(Clone)]
pub struct IdentityState {
    /// What every listener has.
    pub front: Front,
    /// The domain.
    pub identity: Identity,
}

/// Time, workers and limits are the front's.
impl Deref for IdentityState {
    type Target = Front;

    fn deref(&self) -> &Front {
        &self.front
    }
}

impl FromRef<IdentityState> for Front {
    fn from_ref(state: &IdentityState) -> Self {
        state.front.clone()
    }
}

/// Puts endpoints under their prefix.
trait IdentityRoutes {
    /// `path` (from the slash on) below `/_matrix/identity/v2`.
    fn v2(self, path: &str, handlers: MethodRouter<IdentityState>) -> Self;
}

impl IdentityRoutes for Router<IdentityState> {
    fn v2(self, path: &str, handlers: MethodRouter<IdentityState>) -> Self {
        self.route(&format!("/_matrix/identity/v2{path}"), handlers)
    }
}

/// Every endpoint of the Identity Service API.
pub(crate) fn routes() -> Router<IdentityState> {
    Router::new()
        .merge(account::routes())
        .merge(associations::routes())
        .merge(invitation_signing::routes())
        .merge(lookup::routes())
        .merge(ping::routes())
        .merge(pubkey::routes())
        .merge(store_invite::routes())
        .merge(terms::routes())
        .merge(validate::routes())
        .merge(versions::routes())
}
