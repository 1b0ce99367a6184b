//! Accounts: who can log in here.

use ruma::OwnedUserId;

use crate::{Change, Error, Read, Row, Tx, UserNo, params, statements, user_directory};

statements! {
    GET = "SELECT a.user_no, u.user_id, a.password, a.admin, a.locked, a.suspended, a.created_at, a.deactivated_at, a.erased \
        FROM accounts a JOIN users_no u ON u.user_no = a.user_no WHERE a.user_no = $1";
    LIST = "SELECT a.user_no, u.user_id, a.password, a.admin, a.locked, a.suspended, a.created_at, a.deactivated_at, a.erased \
        FROM accounts a JOIN users_no u ON u.user_no = a.user_no WHERE a.user_no > $1 ORDER BY a.user_no LIMIT $2";
    EXISTS = "SELECT 1 FROM accounts WHERE user_no = $1";
    ANY = "SELECT 1 FROM accounts LIMIT 1";
    INSERT = "INSERT INTO accounts (user_no, password, admin, locked, suspended, created_at, deactivated_at, erased, departing) \
        VALUES ($1, $2, $3, FALSE, FALSE, $4, NULL, FALSE, FALSE)";
    SET_PASSWORD = "UPDATE accounts SET password = $2 WHERE user_no = $1 AND deactivated_at IS NULL";
    LOCK = "UPDATE accounts SET locked = $2 WHERE user_no = $1";
    SUSPEND = "UPDATE accounts SET suspended = $2 WHERE user_no = $1";
    DEACTIVATE = "UPDATE accounts SET password = NULL, deactivated_at = $2, erased = $3, departing = TRUE \
        WHERE user_no = $1 AND deactivated_at IS NULL";
    DEPARTING = "SELECT a.user_no, u.user_id FROM accounts a JOIN users_no u ON u.user_no = a.user_no WHERE a.departing ORDER BY a.user_no";
    DEPARTED = "UPDATE accounts SET departing = FALSE WHERE user_no = $1";
}

/// An account.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "four things that are true of an account or not, each by itself")]
pub struct Account {
    /// Its user.
    pub user: UserNo,
    /// The user's id.
    pub user_id: OwnedUserId,
    /// The PHC string of its password, if it has one.
    pub password: Option<String>,
    /// Whether its user administers the server.
    pub admin: bool,
    /// Whether an administrator has locked it.
    pub locked: bool,
    /// Whether an administrator has suspended it.
    pub suspended: bool,
    /// When it was made, in milliseconds since the epoch.
    pub created_at: u64,
    /// When it was deactivated, if it was.
    pub deactivated_at: Option<u64>,
    /// Whether its user asked for erasure.
    pub erased: bool,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the password, not even hashed: this ends up in logs.
        f.debug_struct("Account").field("user", &self.user).field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

impl Account {
    fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            user: row.get(0)?,
            user_id: row.get(1)?,
            password: row.get(2)?,
            admin: row.get(3)?,
            locked: row.get(4)?,
            suspended: row.get(5)?,
            created_at: row.get(6)?,
            deactivated_at: row.get(7)?,
            erased: row.get(8)?,
        })
    }
}

/// The account of a user.
pub fn get(read: &Read<'_>, user: UserNo) -> Result<Option<Account>, Error> {
    read.one(GET, params![user], Account::from_row)
}

/// Up to `limit` accounts in the order of their creation, from after `after` (0: from the start).
pub fn list(read: &Read<'_>, after: UserNo, limit: i64) -> Result<Vec<Account>, Error> {
    read.all(LIST, params![after, limit], Account::from_row)
}

/// Whether the user has, or once had, an account.
pub fn exists(read: &Read<'_>, user: UserNo) -> Result<bool, Error> {
    read.exists(EXISTS, params![user])
}

/// Whether there is any account at all.
pub fn any(read: &Read<'_>) -> Result<bool, Error> {
    read.exists(ANY, params![])
}

/// Makes an account; the caller has checked that there is none.
pub fn insert(tx: &Tx<'_>, user: UserNo, password: Option<&str>, admin: bool, now_ms: u64) -> Result<(), Error> {
    tx.execute(INSERT, params![user, password, admin, now_ms])?;
    user_directory::refresh(tx, user)
}

/// Changes the password of an account in use.
pub fn set_password(tx: &Tx<'_>, user: UserNo, password: &str) -> Result<(), Error> {
    tx.execute(SET_PASSWORD, params![user, password])?;
    Ok(())
}

/// Locks an account, or unlocks it. Whoever caches its sessions is told.
pub fn lock(tx: &Tx<'_>, user: UserNo, locked: bool) -> Result<(), Error> {
    if tx.execute(LOCK, params![user, locked])? > 0 {
        let _ = tx.log(Change::Sessions { user });
    }
    Ok(())
}

/// Suspends an account, or lifts that. Whoever caches its sessions is told.
pub fn suspend(tx: &Tx<'_>, user: UserNo, suspended: bool) -> Result<(), Error> {
    if tx.execute(SUSPEND, params![user, suspended])? > 0 {
        let _ = tx.log(Change::Sessions { user });
    }
    Ok(())
}

/// Ends an account for good; `false` when that has happened before. Its user is then departing.
pub fn deactivate(tx: &Tx<'_>, user: UserNo, now_ms: u64, erase: bool) -> Result<bool, Error> {
    let deactivated = tx.execute(DEACTIVATE, params![user, now_ms, erase])? > 0;
    if deactivated {
        user_directory::refresh(tx, user)?;
    }
    Ok(deactivated)
}

/// The deactivated accounts whose users are still to be taken out of their rooms.
pub fn departing(read: &Read<'_>) -> Result<Vec<(UserNo, OwnedUserId)>, Error> {
    read.all(DEPARTING, params![], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The user is out of all rooms.
pub fn departed(tx: &Tx<'_>, user: UserNo) -> Result<(), Error> {
    tx.execute(DEPARTED, params![user])?;
    Ok(())
}
