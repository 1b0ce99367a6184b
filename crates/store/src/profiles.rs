//! Profiles: what users say about themselves, one row per field.

use crate::{Change, Error, Read, Tx, UserNo, params, statements, user_directory};

statements! {
    ALL = "SELECT field, value FROM profiles WHERE user_no = $1 ORDER BY field";
    GET = "SELECT value FROM profiles WHERE user_no = $1 AND field = $2";
    NAMES_OF = "SELECT user_no, field, value FROM profiles WHERE user_no IN ints($1) AND field IN ('displayname', 'avatar_url')";
    SET = "INSERT INTO profiles (user_no, field, value, position) VALUES ($1, $2, $3, 0) \
        ON CONFLICT (user_no, field) DO UPDATE SET value = excluded.value";
    MOVE = "UPDATE profiles SET position = position($3) WHERE user_no = $1 AND field = $2";
    DELETE = "DELETE FROM profiles WHERE user_no = $1 AND field = $2";
    DELETE_ALL = "DELETE FROM profiles WHERE user_no = $1";
}

/// What a user's member events repeat of their profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The display name.
    pub displayname: Option<String>,
    /// The avatar, an `mxc:` URI.
    pub avatar_url: Option<String>,
}

impl Names {
    fn set(&mut self, field: &str, json: &str) -> Result<(), Error> {
        let value =
            serde_json::from_str(json).map_err(|_| Error::Inconsistent("a profile's name is not a JSON string"))?;
        match field {
            "displayname" => self.displayname = Some(value),
            _ => self.avatar_url = Some(value),
        }
        Ok(())
    }
}

/// The fields of a profile and their values as JSON, by name.
pub fn all(read: &Read<'_>, user: UserNo) -> Result<Vec<(String, String)>, Error> {
    read.all(ALL, params![user], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The value of one field as JSON.
pub fn get(read: &Read<'_>, user: UserNo, field: &str) -> Result<Option<String>, Error> {
    read.one(GET, params![user, field], |row| row.get(0))
}

/// Display name and avatar of a user.
pub fn names(read: &Read<'_>, user: UserNo) -> Result<Names, Error> {
    Ok(names_of(read, &[user])?.pop().map(|(_, names)| names).unwrap_or_default())
}

/// Display names and avatars of a set of users, by their numbers; those who have neither are left out.
pub fn names_of(read: &Read<'_>, users: &[UserNo]) -> Result<Vec<(UserNo, Names)>, Error> {
    let mut rows = read.all(NAMES_OF, params![users], |row| {
        Ok((row.get::<UserNo>(0)?, row.get::<String>(1)?, row.get::<String>(2)?))
    })?;
    rows.sort_by_key(|(user, ..)| *user);
    let mut all: Vec<(UserNo, Names)> = Vec::new();
    for (user, field, json) in rows {
        match all.last_mut() {
            Some((last, names)) if *last == user => names.set(&field, &json)?,
            _ => {
                let mut names = Names::default();
                names.set(&field, &json)?;
                all.push((user, names));
            }
        }
    }
    Ok(all)
}

/// Sets a field to a JSON value.
pub fn set(tx: &Tx<'_>, user: UserNo, field: &str, value: &str) -> Result<(), Error> {
    // At once, and only the position at the end of the group: the group's next job may weigh the profile's size.
    tx.execute(SET, params![user, field, value])?;
    let slot = tx.log(Change::Profile { user });
    tx.at_position(slot, MOVE, params![user, field]);
    user_directory::refresh(tx, user)
}

/// Removes a field; `false` when it was not there.
pub fn delete(tx: &Tx<'_>, user: UserNo, field: &str) -> Result<bool, Error> {
    let deleted = tx.execute(DELETE, params![user, field])? > 0;
    if deleted {
        let _ = tx.log(Change::Profile { user });
        user_directory::refresh(tx, user)?;
    }
    Ok(deleted)
}

/// Removes a whole profile.
pub fn delete_all(tx: &Tx<'_>, user: UserNo) -> Result<(), Error> {
    if tx.execute(DELETE_ALL, params![user])? > 0 {
        let _ = tx.log(Change::Profile { user });
    }
    Ok(())
}
