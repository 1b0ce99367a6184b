//! Invitations of addresses that nobody had bound, and what homeservers are still to be told of them.

use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId};

use crate::{Error, Read, Row, Tx, params, statements};

statements! {
    INSERT = "INSERT INTO identity_invites (token, medium, address, room_id, sender, public_key, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    DELETE = "DELETE FROM identity_invites WHERE token = $1";
    SENDER = "SELECT sender FROM identity_invites WHERE token = $1";
    KEY = "SELECT 1 FROM identity_invites WHERE public_key = $1";
    PENDING = "SELECT token, room_id, sender FROM identity_invites WHERE medium = $1 AND address = $2 AND bound_at IS NULL \
        ORDER BY created_at, token LIMIT $3";
    BOUND = "UPDATE identity_invites SET bound_at = $2, bound_by = $3 WHERE token = $1";
    DELETE_BOUND = "DELETE FROM identity_invites WHERE bound_at < $1";
    DELETE_OF = "DELETE FROM identity_invites WHERE medium = $1 AND address = $2";
    QUEUE = "INSERT INTO identity_deliveries (delivery_id, server_name, body, created_at, next_try_at, tries) \
        VALUES ($1, $2, $3, $4, $4, 0)";
    DUE = "SELECT delivery_id, server_name, body, created_at, next_try_at, tries, problem FROM identity_deliveries \
        WHERE next_try_at <= $1 ORDER BY next_try_at LIMIT $2";
    WAITING = "SELECT delivery_id, server_name, body, created_at, next_try_at, tries, problem FROM identity_deliveries \
        ORDER BY created_at, delivery_id LIMIT $1";
    NEXT = "SELECT min(next_try_at) FROM identity_deliveries";
    CLAIM = "UPDATE identity_deliveries SET next_try_at = $3 WHERE delivery_id = $1 AND next_try_at = $2";
    FAILED = "UPDATE identity_deliveries SET next_try_at = $2, tries = tries + 1, problem = $3 WHERE delivery_id = $1";
    DONE = "DELETE FROM identity_deliveries WHERE delivery_id = $1";
}

/// An invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite<'a> {
    /// Its token.
    pub token: &'a str,
    /// The kind of address.
    pub medium: &'a str,
    /// The canonical address.
    pub address: &'a str,
    /// The room.
    pub room_id: &'a RoomId,
    /// Who invites.
    pub sender: &'a UserId,
    /// The ephemeral public key as it is handed out.
    pub public_key: &'a str,
}

/// An invitation whose address nobody has bound yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its token.
    pub token: String,
    /// The room.
    pub room_id: OwnedRoomId,
    /// Who invites.
    pub sender: OwnedUserId,
}

/// Something that a homeserver is still to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: String,
    /// The homeserver.
    pub server: OwnedServerName,
    /// The body of the request.
    pub body: String,
    /// Since when it waits.
    pub created_at: u64,
    /// When it is tried next.
    pub next_try_at: u64,
    /// How often it was tried in vain.
    pub tries: u64,
    /// Why the last try failed.
    pub problem: Option<String>,
}

impl Delivery {
    fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            id: row.get(0)?,
            server: row.get(1)?,
            body: row.get(2)?,
            created_at: row.get(3)?,
            next_try_at: row.get(4)?,
            tries: row.get(5)?,
            problem: row.get(6)?,
        })
    }
}

/// Stores an invitation.
pub fn insert(tx: &Tx<'_>, invite: &Invite<'_>, now_ms: u64) -> Result<(), Error> {
    let Invite { token, medium, address, room_id, sender, public_key } = *invite;
    tx.execute(INSERT, params![token, medium, address, room_id, sender, public_key, now_ms])?;
    Ok(())
}

/// Removes an invitation.
pub fn delete(tx: &Tx<'_>, token: &str) -> Result<(), Error> {
    tx.execute(DELETE, params![token])?;
    Ok(())
}

/// Who has sent the invitation with that token.
pub fn sender(read: &Read<'_>, token: &str) -> Result<Option<OwnedUserId>, Error> {
    read.one(SENDER, params![token], |row| row.get(0))
}

/// Whether an invitation has this ephemeral key, by the very text that was handed out.
pub fn has_key(read: &Read<'_>, public_key: &str) -> Result<bool, Error> {
    read.exists(KEY, params![public_key])
}

/// Up to `count` invitations of an address that wait for somebody to bind it, oldest first.
pub fn pending(read: &Read<'_>, medium: &str, address: &str, count: i64) -> Result<Vec<Pending>, Error> {
    read.all(PENDING, params![medium, address, count], |row| {
        Ok(Pending { token: row.get(0)?, room_id: row.get(1)?, sender: row.get(2)? })
    })
}

/// Somebody has bound the address of an invitation.
pub fn bound(tx: &Tx<'_>, token: &str, by: &UserId, now_ms: u64) -> Result<(), Error> {
    tx.execute(BOUND, params![token, now_ms, by])?;
    Ok(())
}

/// Removes the invitations whose address was bound before `before_ms`; how many.
pub fn delete_bound(tx: &Tx<'_>, before_ms: u64) -> Result<u64, Error> {
    tx.execute(DELETE_BOUND, params![before_ms])
}

/// Removes the invitations of an address; how many.
pub fn delete_of(tx: &Tx<'_>, medium: &str, address: &str) -> Result<u64, Error> {
    tx.execute(DELETE_OF, params![medium, address])
}

/// Queues what a homeserver is to be told, to be tried at once.
pub fn queue(tx: &Tx<'_>, id: &str, server: &ServerName, body: &str, now_ms: u64) -> Result<(), Error> {
    tx.execute(QUEUE, params![id, server, body, now_ms])?;
    Ok(())
}

/// Up to `count` deliveries that are to be tried now.
pub fn due(read: &Read<'_>, now_ms: u64, count: i64) -> Result<Vec<Delivery>, Error> {
    read.all(DUE, params![now_ms, count], Delivery::from_row)
}

/// Up to `count` deliveries that wait, oldest first.
pub fn waiting(read: &Read<'_>, count: i64) -> Result<Vec<Delivery>, Error> {
    read.all(WAITING, params![count], Delivery::from_row)
}

/// When the next delivery is to be tried.
pub fn next_try(read: &Read<'_>) -> Result<Option<u64>, Error> {
    Ok(read.one(NEXT, params![], |row| row.get::<Option<u64>>(0))?.flatten())
}

/// Takes a delivery for a try that is over at `until_ms`; `false` when another node was quicker.
pub fn claim(tx: &Tx<'_>, delivery: &Delivery, until_ms: u64) -> Result<bool, Error> {
    Ok(tx.execute(CLAIM, params![&delivery.id, delivery.next_try_at, until_ms])? > 0)
}

/// Gives back a delivery that was taken until `until_ms` and not tried to its end.
pub fn release(tx: &Tx<'_>, id: &str, until_ms: u64, now_ms: u64) -> Result<(), Error> {
    tx.execute(CLAIM, params![id, until_ms, now_ms])?;
    Ok(())
}

/// A try was in vain; the next one is at `next_ms`.
pub fn failed(tx: &Tx<'_>, id: &str, next_ms: u64, problem: &str) -> Result<(), Error> {
    tx.execute(FAILED, params![id, next_ms, problem])?;
    Ok(())
}

/// A delivery has arrived, or is given up.
pub fn done(tx: &Tx<'_>, id: &str) -> Result<(), Error> {
    tx.execute(DONE, params![id])?;
    Ok(())
}
