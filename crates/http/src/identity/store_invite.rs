//! `POST /_matrix/identity/v2/store-invite`
//!
//! Keeps an invitation until somebody binds the address, and sends a mail about it.
//!
//! Spec: <https://spec.matrix.org/v1.19/identity-service-api/#invitation-storage>

use axum::{Json, Router, extract::State as Extract, routing::post};
use roost_identity::{Error as IdentityError, InviteDetails, Medium, ThirdPartyId};
use roost_matrix::ids::RoomId;
use serde_json::{Value, json};

use super::{IdentityRoutes as _, IdentityState, caller::Caller, fields::Fields};
use crate::{Error, limits::Class};

pub(crate) fn routes() -> Router<IdentityState> {
    Router::new().v2("/store-invite", post(store_invite))
}

async fn store_invite(
    Extract(state): Extract<IdentityState>,
    Caller(account): Caller,
    fields: Fields,
) -> Result<Json<Value>, Error> {
    if Medium::named(fields.needed("medium")?) != Some(Medium::Email) {
        return Err(IdentityError::InviteMedium.into());
    }
    let id = ThirdPartyId::email(fields.needed("address")?)?;
    let room_id =
        RoomId::parse(fields.needed("room_id")?).map_err(|_| Error::invalid_param("room_id is not a room id"))?;
    let sender = fields.user_id("sender")?;
    let text = |name| fields.text(name).map(|text| text.map(ToOwned::to_owned));
    let details = InviteDetails {
        room_alias: text("room_alias")?,
        room_avatar_url: text("room_avatar_url")?,
        room_join_rules: text("room_join_rules")?,
        room_name: text("room_name")?,
        room_type: text("room_type")?,
        sender_display_name: text("sender_display_name")?,
        sender_avatar_url: text("sender_avatar_url")?,
    };
    state.limits.user(Class::IdentityThirdPartyId, &id.key())?;
    let stored = state.identity.store_invite(&account, &id, &room_id, &sender, &details).await?;
    let base = format!("{}/_matrix/identity/v2/pubkey", state.identity.base_url());
    Ok(Json(json!({
        "token": stored.token,
        "public_keys": [
            { "public_key": stored.public_key, "key_validity_url": format!("{base}/isvalid") },
            { "public_key": stored.ephemeral_key, "key_validity_url": format!("{base}/ephemeral/isvalid") },
        ],
        "display_name": stored.display_name,
    })))
}
