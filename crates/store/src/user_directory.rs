//! What local users are found by. Derived from accounts and profiles, in the transactions that change those.

use crate::{Error, Membership, Read, RoomNo, Tx, UserNo, accounts, params, profiles, statements};

statements! {
    SEARCH = "SELECT user_no FROM user_directory WHERE words LIKE $1 ESCAPE '!' AND user_no <> $2 ORDER BY user_no LIMIT $3";
    SEARCH_IN = "SELECT d.user_no FROM user_directory d WHERE d.words LIKE $1 ESCAPE '!' AND d.user_no <> $2 \
        AND d.user_no IN (SELECT m.user_no FROM memberships m WHERE m.room_no IN ints($3) AND m.membership = $4) \
        ORDER BY CASE WHEN d.words LIKE $5 ESCAPE '!' OR d.words LIKE $6 ESCAPE '!' THEN 0 ELSE 1 END, d.user_no LIMIT $7";
    OWN_ROOMS = "SELECT r.room_no, r.joined FROM memberships m JOIN rooms r ON r.room_no = m.room_no \
        WHERE m.user_no = $1 AND m.membership = $2 ORDER BY r.joined, r.room_no";
    PUBLISHED = "SELECT room_no, joined FROM rooms WHERE published ORDER BY joined DESC, room_no DESC LIMIT $1";
    SHARING = "SELECT DISTINCT m.user_no FROM memberships m WHERE m.user_no IN ints($1) AND m.membership = $2 \
        AND m.room_no IN (SELECT own.room_no FROM memberships own WHERE own.user_no = $3 AND own.membership = $2)";
    ROOMS = "SELECT user_no, room_no FROM memberships WHERE user_no IN ints($1) AND membership = $2 ORDER BY user_no, room_no";
    SET = "INSERT INTO user_directory (user_no, words) VALUES ($1, $2) ON CONFLICT (user_no) DO UPDATE SET words = excluded.words";
    DELETE = "DELETE FROM user_directory WHERE user_no = $1";
}

/// Writes down afresh what a user is found by; nothing for one without an account in use.
pub(crate) fn refresh(tx: &Tx<'_>, user: UserNo) -> Result<(), Error> {
    let account = accounts::get(tx, user)?.filter(|account| account.deactivated_at.is_none());
    let Some(account) = account else {
        tx.execute(DELETE, params![user])?;
        return Ok(());
    };
    let name = profiles::names(tx, user)?.displayname.unwrap_or_default();
    let words = format!("{}\n{}", account.user_id, name).to_lowercase();
    tx.execute(SET, params![user, &words])?;
    Ok(())
}

/// What `LIKE` takes for nothing but itself.
fn escaped(term: &str) -> String {
    let mut pattern = String::with_capacity(term.len());
    for letter in term.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern
}

/// Up to `limit` users other than `reader` whose id or display name holds `term`, whichever its case.
pub fn search(read: &Read<'_>, reader: UserNo, term: &str, limit: u32) -> Result<Vec<UserNo>, Error> {
    let pattern = format!("%{}%", escaped(term));
    read.all(SEARCH, params![&pattern, reader, limit], |row| row.get(0))
}

/// The same among those who are in one of `rooms`; first those whose id or display name begins with `term`.
pub fn search_in(
    read: &Read<'_>,
    reader: UserNo,
    rooms: &[RoomNo],
    term: &str,
    limit: u32,
) -> Result<Vec<UserNo>, Error> {
    let term = escaped(term);
    let (anywhere, name) = (format!("%{term}%"), format!("%\n{term}%"));
    let id = if term.starts_with('@') { format!("{term}%") } else { format!("@{term}%") };
    let parameters = params![&anywhere, reader, rooms, Membership::Join, &id, &name, limit];
    read.all(SEARCH_IN, parameters, |row| row.get(0))
}

/// The rooms that a user is in, with the number of their members, the smallest first.
pub fn own_rooms(read: &Read<'_>, user: UserNo) -> Result<Vec<(RoomNo, u64)>, Error> {
    read.all(OWN_ROOMS, params![user, Membership::Join], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Up to `limit` rooms of the public list, with the number of their members, the largest first.
pub fn published_rooms(read: &Read<'_>, limit: u32) -> Result<Vec<(RoomNo, u64)>, Error> {
    read.all(PUBLISHED, params![limit], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Those of `users` who are in a room that `reader` is in, too.
pub fn sharing(read: &Read<'_>, users: &[UserNo], reader: UserNo) -> Result<Vec<UserNo>, Error> {
    read.all(SHARING, params![users, Membership::Join, reader], |row| row.get(0))
}

/// The rooms that each of `users` is in.
pub fn rooms_of(read: &Read<'_>, users: &[UserNo]) -> Result<Vec<(UserNo, RoomNo)>, Error> {
    read.all(ROOMS, params![users, Membership::Join], |row| Ok((row.get(0)?, row.get(1)?)))
}
