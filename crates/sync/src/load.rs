//! Reading a user into the tail.

use std::sync::Arc;

use roost_rooms::Membership;
use roost_store::{Position, Read, UserNo, account_data, memberships, receipts, timeline};

use crate::{
    Error, Inner,
    tail::{Finish, Loaded, Member},
};

/// Makes the user known to the tail.
pub(crate) async fn load(inner: &Arc<Inner>, user: UserNo) -> Result<(), Error> {
    loop {
        // From here on the tail keeps what the log says about the user, so nothing is lost between the snapshot and the end.
        inner.tail.begin_loading(&inner.store, user, inner.world.clock.monotonic());
        let loaded = inner.store.read(move |read| read_user(read, user)).await?;
        loop {
            let mut frontier = inner.store.frontier_changes();
            match inner.tail.finish_loading(&inner.store, user, &loaded) {
                Finish::Done => return Ok(()),
                Finish::Lost => break,
                // On PostgreSQL a snapshot may be ahead of what this node knows to be final.
                Finish::Behind => {
                    let _ = frontier.wait_for(|position| *position >= loaded.at).await;
                }
            }
        }
    }
}

fn read_user(read: &Read<'_>, user: UserNo) -> Result<Loaded, Error> {
    let rows = memberships::of_user(read, user)?;
    let joined: Vec<_> = rows.iter().filter(|row| row.membership == Membership::Join).map(|row| row.room).collect();
    let events = timeline::last_positions(read, &joined)?;
    let receipts = receipts::last_positions(read, &joined)?;
    let rooms = rows
        .into_iter()
        .map(|row| {
            let member = Member { membership: row.membership, position: row.position };
            let last = |positions: &std::collections::HashMap<_, Position>| {
                positions.get(&row.room).copied().unwrap_or(Position::START)
            };
            (row.room, member, last(&events), last(&receipts))
        })
        .collect();
    Ok(Loaded { at: read.frontier()?, rooms, data: account_data::last_position(read, user)? })
}
