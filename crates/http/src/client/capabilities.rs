//! `GET /_matrix/client/v3/capabilities`
//!
//! What this server offers beyond what every server does.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#capabilities-negotiation>

use axum::{Json, Router, extract::State as Extract, routing::get};
use serde_json::{Map, Value, json};

use crate::{Caller, State, routes::ClientRoutes as _};

/// The room versions that can be created and joined.
const ROOM_VERSIONS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];

pub(crate) fn routes() -> Router<State> {
    Router::new().client("/capabilities", get(capabilities))
}

async fn capabilities(Extract(state): Extract<State>, _caller: Caller) -> Json<Value> {
    let available: Map<String, Value> =
        ROOM_VERSIONS.iter().map(|version| ((*version).to_owned(), "stable".into())).collect();
    Json(json!({
        "capabilities": {
            "m.room_versions": { "default": state.settings.default_room_version, "available": available },
            "m.change_password": { "enabled": true },
            "m.set_displayname": { "enabled": true },
            "m.set_avatar_url": { "enabled": true },
            "m.profile_fields": { "enabled": true },
            "m.3pid_changes": { "enabled": false },
            "m.get_login_token": { "enabled": false },
            "m.forget_forced_upon_leave": { "enabled": false },
        }
    }))
}
