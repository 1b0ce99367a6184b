//! Deleting rooms.
//!
//! Local members are taken out first, with events of their own, so that clients hear of it. Then one write takes the room out of
//! everybody's sight: its row goes, so that whoever looks for it finds none, and its appender, on whatever node, can move no head.
//! What is left goes in pieces; after an interruption [`Rooms::keep_deleting`] goes on.

use std::time::Duration;

use roost_matrix::ids::{OwnedUserId, RoomId, UserId};
use roost_store::{Membership, RoomNo, deletion, memberships, users_no};
use roost_world::Stop;

use crate::{Error, Rooms};

/// What deleting a room has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Local users who were taken out of the room first.
    pub left: usize,
    /// Rows that were deleted with it.
    pub rows: u64,
}

/// Rows that one write deletes.
const BATCH: i64 = 500;
/// How long clients that are waiting have to fetch the leave events, before the room is gone.
const GRACE: Duration = Duration::from_secs(2);
/// How often there is a look for what an interruption has left.
const PAUSE: Duration = Duration::from_secs(300);

impl Rooms {
    /// Deletes a room with all that belongs to it. Unless it is done `by_force`, every local member, invited or knocking user leaves first,
    /// and when one of them can not, nothing is deleted. Once they have left it can not be taken back.
    ///
    /// Until it is done, no room of that id can be made or joined.
    pub async fn delete(&self, room: &RoomId, by_force: bool) -> Result<Deleted, Error> {
        let room = self.room(room).await?;
        let mut done = Deleted::default();
        if !by_force {
            for user in self.local_members(room.no).await? {
                self.leave(&room.id, &user, Some("This room is being deleted")).await?;
                done.left += 1;
            }
            if done.left > 0 {
                self.0.world.clock.sleep(GRACE).await;
            }
        }
        let (no, now) = (room.no, i64::try_from(self.0.world.now_ms()).unwrap_or(i64::MAX));
        let marked = self.0.store.write(move |tx| deletion::mark(tx, no, now)).await?;
        self.forget_room(no);
        if !marked {
            return Err(Error::UnknownRoom);
        }
        tracing::info!(room = %room.id, "deleting");
        done.rows = self.delete_rest(no, None).await?;
        Ok(done)
    }

    async fn local_members(&self, room: RoomNo) -> Result<Vec<OwnedUserId>, Error> {
        let rooms = self.clone();
        self.0
            .store
            .read(move |read| {
                let present = [Membership::Join, Membership::Invite, Membership::Knock];
                let mut users = Vec::new();
                for membership in present {
                    let rows = memberships::of_room_as(read, room, membership, i64::MAX)?;
                    let nos: Vec<_> = rows.iter().map(|row| row.user).collect();
                    for piece in nos.chunks(1000) {
                        users.extend(users_no::names(read, piece)?.into_iter().map(|(_, name)| name));
                    }
                }
                let users = users.into_iter().filter_map(|name| UserId::parse(name).ok());
                Ok::<_, Error>(users.filter(|user| rooms.is_local(user)).collect())
            })
            .await
    }

    /// Deletes what is left of a marked room, and answers how many rows that was. Where a `stop` comes in between, a later call goes on.
    async fn delete_rest(&self, no: RoomNo, stop: Option<&Stop>) -> Result<u64, Error> {
        let mut rows = 0;
        while stop.is_none_or(|stop| !stop.is_set()) {
            let gone = self.0.store.write(move |tx| deletion::step(tx, no, BATCH)).await?;
            if gone == 0 {
                self.forget_room(no);
                break;
            }
            rows += gone;
        }
        Ok(rows)
    }

    /// Goes on with deletions that were interrupted, and answers how many rows went.
    pub async fn resume_deletions(&self, stop: &Stop) -> Result<u64, Error> {
        let mut rows = 0;
        for deletion in self.0.store.read(deletion::pending).await? {
            tracing::info!(room = deletion.room_id, "going on with a deletion");
            rows += self.delete_rest(deletion.room, Some(stop)).await?;
        }
        Ok(rows)
    }

    /// Does that now and every so often, until it is told to stop. Start it as a worker.
    pub async fn keep_deleting(self, mut stop: Stop) {
        loop {
            if let Err(error) = self.resume_deletions(&stop).await {
                tracing::warn!(%error, "a room could not be deleted");
            }
            tokio::select! {
                biased;
                () = stop.wait() => return,
                () = self.0.world.clock.sleep(PAUSE) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
