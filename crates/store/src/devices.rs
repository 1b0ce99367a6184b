//! Devices of local users.

use ruma::OwnedDeviceId;

use crate::{Change, Error, Read, Row, Tx, UserNo, params, statements};

statements! {
    LIST = "SELECT device_id, display_name, created_at, last_seen_at, last_seen_ip FROM devices WHERE user_no = $1 ORDER BY device_id";
    GET = "SELECT device_id, display_name, created_at, last_seen_at, last_seen_ip FROM devices WHERE user_no = $1 AND device_id = $2";
    INSERT = "INSERT INTO devices (user_no, device_id, display_name, created_at, last_seen_at, last_seen_ip) \
        VALUES ($1, $2, $3, $4, NULL, NULL)";
    RENAME = "UPDATE devices SET display_name = $3 WHERE user_no = $1 AND device_id = $2";
    SEEN = "UPDATE devices SET last_seen_at = $3, last_seen_ip = $4 WHERE user_no = $1 AND device_id = $2";
    COUNT = "SELECT COUNT(*) FROM devices WHERE user_no = $1";
    LONGEST_UNSEEN = "SELECT device_id FROM devices WHERE user_no = $1 \
        ORDER BY CASE WHEN last_seen_at IS NULL OR last_seen_at < created_at THEN created_at ELSE last_seen_at END, device_id LIMIT $2";
    DELETE_SOME = "DELETE FROM devices WHERE user_no = $1 AND device_id IN texts($2)";
    DELETE_ALL = "DELETE FROM devices WHERE user_no = $1";
    DELETE_OTHERS = "DELETE FROM devices WHERE user_no = $1 AND device_id <> $2";
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id, unique among its user's.
    pub device_id: OwnedDeviceId,
    /// What its user calls it.
    pub display_name: Option<String>,
    /// When it first logged in, in milliseconds since the epoch.
    pub created_at: u64,
    /// When it was last heard of.
    pub last_seen_at: Option<u64>,
    /// From which address.
    pub last_seen_ip: Option<String>,
}

impl Device {
    fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            device_id: row.get(0)?,
            display_name: row.get(1)?,
            created_at: row.get(2)?,
            last_seen_at: row.get(3)?,
            last_seen_ip: row.get(4)?,
        })
    }
}

/// When and from where a device was last heard of.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The device's user.
    pub user: UserNo,
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// When, in milliseconds since the epoch.
    pub at: u64,
    /// From which address.
    pub ip: Option<String>,
}

/// The devices of a user, by their ids.
pub fn list(read: &Read<'_>, user: UserNo) -> Result<Vec<Device>, Error> {
    read.all(LIST, params![user], Device::from_row)
}

/// One device of a user.
pub fn get(read: &Read<'_>, user: UserNo, device_id: &str) -> Result<Option<Device>, Error> {
    read.one(GET, params![user, device_id], Device::from_row)
}

/// How many devices a user has.
pub fn count(read: &Read<'_>, user: UserNo) -> Result<u64, Error> {
    Ok(read.one(COUNT, params![user], |row| row.get(0))?.unwrap_or(0))
}

/// The devices of a user that were not heard of for the longest time, or never since they first logged in; up to `limit`.
pub fn longest_unseen(read: &Read<'_>, user: UserNo, limit: u64) -> Result<Vec<OwnedDeviceId>, Error> {
    read.all(LONGEST_UNSEEN, params![user, limit], |row| row.get(0))
}

/// Makes a device; the caller has checked that there is none of that id.
pub fn insert(
    tx: &Tx<'_>,
    user: UserNo,
    device_id: &str,
    display_name: Option<&str>,
    now_ms: u64,
) -> Result<(), Error> {
    tx.execute(INSERT, params![user, device_id, display_name, now_ms])?;
    let _ = tx.log(Change::Devices { user });
    Ok(())
}

/// Renames a device; `false` when there is none of that id.
pub fn rename(tx: &Tx<'_>, user: UserNo, device_id: &str, display_name: &str) -> Result<bool, Error> {
    let renamed = tx.execute(RENAME, params![user, device_id, display_name])? > 0;
    if renamed {
        let _ = tx.log(Change::Devices { user });
    }
    Ok(renamed)
}

/// Writes down when devices were last heard of. Nobody is told.
pub fn seen(tx: &Tx<'_>, sightings: &[Sighting]) -> Result<(), Error> {
    for Sighting { user, device_id, at, ip } in sightings {
        tx.execute(SEEN, params![user, device_id, *at, ip.as_deref()])?;
    }
    Ok(())
}

/// Which devices of a user to delete.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// All of them.
    All,
    /// All but this one.
    Others(&'a str),
    /// These; unknown ids are passed over.
    These(&'a [&'a str]),
}

/// Deletes devices with their sessions, and tells whoever caches them.
pub fn delete(tx: &Tx<'_>, user: UserNo, which: Which<'_>) -> Result<(), Error> {
    let (deleted, revoked) = match which {
        Which::All => (tx.execute(DELETE_ALL, params![user])?, super::sessions::delete_all(tx, user)?),
        Which::Others(kept) => {
            (tx.execute(DELETE_OTHERS, params![user, kept])?, super::sessions::delete_others(tx, user, kept)?)
        }
        Which::These(ids) => {
            (tx.execute(DELETE_SOME, params![user, ids])?, super::sessions::delete_of_devices(tx, user, ids)?)
        }
    };
    if deleted > 0 {
        let _ = tx.log(Change::Devices { user });
    }
    if revoked > 0 {
        let _ = tx.log(Change::Sessions { user });
    }
    Ok(())
}
