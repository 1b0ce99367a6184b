//! Which user an address belongs to, and the hashes under which it is found.

use ruma::{OwnedUserId, UserId};

use crate::{Error, Read, Row, Tx, identity_peppers::Pepper, params, statements, values};

statements! {
    GET = "SELECT medium, address, user_id, bound_at FROM identity_associations WHERE medium = $1 AND address = $2";
    OF_USER = "SELECT medium, address, user_id, bound_at FROM identity_associations WHERE user_id = $1 \
        ORDER BY medium, address";
    PLAIN = "SELECT address, user_id FROM identity_associations WHERE medium = $1 AND address IN texts($2)";
    AFTER = "SELECT medium, address, user_id, bound_at FROM identity_associations \
        WHERE (medium, address) > ($1, $2) ORDER BY medium, address LIMIT $3";
    COUNT = "SELECT count(*) FROM identity_associations";
    PUT = "INSERT INTO identity_associations (medium, address, user_id, bound_at) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (medium, address) DO UPDATE SET user_id = excluded.user_id, bound_at = excluded.bound_at";
    DELETE = "DELETE FROM identity_associations WHERE medium = $1 AND address = $2";
    PUT_HASH = "INSERT INTO identity_hashes (pepper_no, head, hash, user_id) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (pepper_no, head, hash) DO UPDATE SET user_id = excluded.user_id";
    DELETE_HASH = "DELETE FROM identity_hashes WHERE pepper_no = $1 AND head = $2 AND hash = $3";
    FIND = "SELECT hash, user_id FROM identity_hashes WHERE pepper_no = $1 AND head IN ints($2)";
    MARK = "SELECT head FROM identity_hashes WHERE pepper_no = $1 ORDER BY head LIMIT 1 OFFSET $2";
    DELETE_BELOW = "DELETE FROM identity_hashes WHERE pepper_no = $1 AND head < $2";
    DELETE_ALL = "DELETE FROM identity_hashes WHERE pepper_no = $1";
}

/// The SHA-256 of an address with a pepper.
pub type Hash = [u8; 32];

/// An association.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Association {
    /// The kind of address.
    pub medium: String,
    /// The canonical address.
    pub address: String,
    /// Whose it is.
    pub user_id: OwnedUserId,
    /// Since when.
    pub bound_at: u64,
}

impl Association {
    fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self { medium: row.get(0)?, address: row.get(1)?, user_id: row.get(2)?, bound_at: row.get(3)? })
    }
}

/// The association of an address.
pub fn get(read: &Read<'_>, medium: &str, address: &str) -> Result<Option<Association>, Error> {
    read.one(GET, params![medium, address], Association::from_row)
}

/// A user's associations.
pub fn of_user(read: &Read<'_>, user: &UserId) -> Result<Vec<Association>, Error> {
    read.all(OF_USER, params![user], Association::from_row)
}

/// Up to `count` associations behind an address, in the order of the addresses.
pub fn after(read: &Read<'_>, medium: &str, address: &str, count: i64) -> Result<Vec<Association>, Error> {
    read.all(AFTER, params![medium, address, count], Association::from_row)
}

/// How many there are.
pub fn count(read: &Read<'_>) -> Result<u64, Error> {
    Ok(read.one(COUNT, params![], |row| row.get(0))?.unwrap_or(0))
}

/// Those of some addresses that are bound, and to whom.
pub fn plain(read: &Read<'_>, medium: &str, addresses: &[String]) -> Result<Vec<(String, OwnedUserId)>, Error> {
    read.all(PLAIN, params![medium, addresses], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Those of some hashes that are known with a pepper, and to whom they lead.
pub fn hashed(read: &Read<'_>, pepper: i64, hashes: &[Hash]) -> Result<Vec<(Hash, OwnedUserId)>, Error> {
    let heads: Vec<i64> = hashes.iter().map(head).collect();
    read.all(FIND, params![pepper, &heads], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Binds an address to a user, whoever had it before. `hash` makes the hash with a pepper; `peppers` are those in use, read
/// under their lock.
pub fn put(
    tx: &Tx<'_>,
    association: &Association,
    peppers: &[Pepper],
    hash: impl Fn(&Association, &str) -> Hash,
) -> Result<(), Error> {
    let Association { medium, address, user_id, bound_at } = association;
    tx.execute(PUT, params![medium, address, user_id, *bound_at])?;
    put_hashes(tx, std::slice::from_ref(association), peppers, hash)
}

/// Writes the hashes of associations.
pub fn put_hashes(
    tx: &Tx<'_>,
    associations: &[Association],
    peppers: &[Pepper],
    hash: impl Fn(&Association, &str) -> Hash,
) -> Result<(), Error> {
    for pepper in peppers {
        let hashes: Vec<Hash> = associations.iter().map(|association| hash(association, &pepper.pepper)).collect();
        let rows: Vec<_> = associations
            .iter()
            .zip(&hashes)
            .map(|(association, hash)| values![pepper.number, head(hash), hash, &association.user_id])
            .collect();
        tx.execute_many(PUT_HASH, &rows)?;
    }
    Ok(())
}

/// Removes an association and its hashes.
pub fn delete(
    tx: &Tx<'_>,
    association: &Association,
    peppers: &[Pepper],
    hash: impl Fn(&Association, &str) -> Hash,
) -> Result<(), Error> {
    tx.execute(DELETE, params![&association.medium, &association.address])?;
    for pepper in peppers {
        let hash = hash(association, &pepper.pepper);
        tx.execute(DELETE_HASH, params![pepper.number, head(&hash), &hash])?;
    }
    Ok(())
}

/// Removes about `count` hashes of a pepper; `false` when that were all of them.
pub fn delete_hashes(tx: &Tx<'_>, pepper: i64, count: i64) -> Result<bool, Error> {
    let mark = tx.one(MARK, params![pepper, count], |row| row.get::<i64>(0))?;
    if let Some(mark) = mark {
        tx.execute(DELETE_BELOW, params![pepper, mark])?;
    } else {
        tx.execute(DELETE_ALL, params![pepper])?;
    }
    Ok(mark.is_some())
}

/// A hash's first eight bytes as a number: sets of numbers are what both engines search well for.
fn head(hash: &Hash) -> i64 {
    hash.first_chunk().map_or(0, |head| i64::from_be_bytes(*head))
}
