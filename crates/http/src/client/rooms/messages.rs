//! `GET /_matrix/client/v3/rooms/{roomId}/messages`
//!
//! Pages through a room's history in either direction.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages>

use axum::{Router, extract::State as Extract, routing::get};
use roost_rooms::{Direction, MessagesQuery, Nobody, Peers};
use ruma::OwnedRoomId;
use serde::Deserialize;

use super::splice::{Json, Object};
use crate::{Caller, Error, PathArgs, QueryArgs, State, routes::ClientRoutes as _};

pub(super) fn routes() -> Router<State> {
    Router::new().client("/rooms/{room_id}/messages", get(messages))
}

#[derive(Deserialize)]
struct Query {
    from: Option<String>,
    to: Option<String>,
    dir: Dir,
    limit: Option<u64>,
    filter: Option<String>,
}

/// `dir`.
#[derive(Clone, Copy, Deserialize)]
pub(super) enum Dir {
    #[serde(rename = "b")]
    Backwards,
    #[serde(rename = "f")]
    Forwards,
}

impl From<Dir> for Direction {
    fn from(dir: Dir) -> Self {
        match dir {
            Dir::Backwards => Self::Backwards,
            Dir::Forwards => Self::Forwards,
        }
    }
}

async fn messages(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(room_id): PathArgs<OwnedRoomId>,
    QueryArgs(query): QueryArgs<Query>,
) -> Result<Json, Error> {
    let filter = super::filter(query.filter.as_deref())?;
    let wanted = MessagesQuery {
        from: super::token(query.from.as_deref())?,
        to: super::token(query.to.as_deref())?,
        direction: query.dir.into(),
        limit: super::limit(query.limit, &filter),
        filter,
    };
    let lazy = wanted.filter.lazy_load_members;
    // Whoever may have what is missing here is looked for only when something is.
    let others = state.exchange.asking(Vec::new());
    let peers: &dyn Peers = if state.settings.federation { &others } else { &Nobody };
    let found = state.rooms.messages(&room_id, &caller.user_id, Some(&caller.device_id), wanted, peers).await?;
    let mut answer = Object::new().token("start", &found.start).events("chunk", &found.chunk);
    if let Some(end) = &found.end {
        answer = answer.token("end", end);
    }
    if lazy {
        answer = answer.events("state", &found.state);
    }
    Ok(answer.end())
}
