//! Transaction ids of sent events.

pub(crate) mod forget;

use crate::{Error, EventNo, Read, RoomNo, Tx, UserNo, params, statements, values};

/// A transaction id, in the scope that makes it unique within a room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransactionKey {
    /// Who sent it.
    pub user: UserNo,
    /// From which device.
    pub device: String,
    /// The endpoint with its path parameters other than the room and the transaction id.
    pub endpoint: String,
    /// The id.
    pub txn_id: String,
}

impl TransactionKey {
    /// What stands for it in the table. Others may have the same: who finds an event by it compares user, device and id.
    #[must_use]
    pub fn digest(&self) -> i64 {
        // FNV-1a: the same in every release, and nothing is gained by making two keys collide.
        let mut digest: u64 = 0xcbf2_9ce4_8422_2325;
        let user = self.user.0.to_le_bytes();
        for part in [&user[..], self.device.as_bytes(), self.endpoint.as_bytes(), self.txn_id.as_bytes()] {
            // 0xff is in no UTF-8 text, so that parts can not run into each other.
            for byte in part.iter().chain(&[0xff]) {
                digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        i64::from_le_bytes(digest.to_le_bytes())
    }
}

statements! {
    FIND = "SELECT digest, event_no FROM transactions WHERE room_no = $1 AND digest IN ints($2)";
    INSERT = "INSERT INTO transactions (room_no, digest, event_no) VALUES ($1, $2, $3)";
}

/// What may have been sent into the room under any of these digests.
pub fn find(read: &Read<'_>, room: RoomNo, digests: &[i64]) -> Result<Vec<(i64, EventNo)>, Error> {
    read.all(FIND, params![room, digests], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Remembers what was sent.
pub fn insert(tx: &Tx<'_>, room: RoomNo, sent: &[(i64, EventNo)]) -> Result<(), Error> {
    let rows: Vec<_> = sent.iter().map(|(digest, event)| values![room, *digest, *event]).collect();
    tx.execute_many(INSERT, &rows)?;
    Ok(())
}
