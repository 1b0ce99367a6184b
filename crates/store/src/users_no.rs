//! Users by their numbers. A user gets one when first heard of and keeps it for ever.

use std::collections::{BTreeSet, HashMap};

use ruma::{OwnedUserId, UserId};

use crate::{Error, Read, Sequence, Store, Tx, UserNo, params, statements, values};

statements! {
    NUMBER = "SELECT user_no FROM users_no WHERE user_id = $1";
    NAME = "SELECT user_id FROM users_no WHERE user_no = $1";
    NAMES = "SELECT user_no, user_id FROM users_no WHERE user_no IN ints($1)";
    NUMBERS = "SELECT user_id, user_no FROM users_no WHERE user_id IN texts($1)";
    INSERT = "INSERT INTO users_no (user_no, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
}

/// Names and numbers that are kept in memory. Both are for ever, so nothing has to be dropped but for room.
const CACHED: usize = 50_000;

pub(crate) struct Cache {
    numbers: quick_cache::sync::Cache<OwnedUserId, UserNo>,
    names: quick_cache::sync::Cache<UserNo, OwnedUserId>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self { numbers: quick_cache::sync::Cache::new(CACHED), names: quick_cache::sync::Cache::new(CACHED) }
    }

    fn keep(&self, number: UserNo, name: &UserId) {
        self.numbers.insert(name.to_owned(), number);
        self.names.insert(number, name.to_owned());
    }
}

/// The number of a user, if they have one.
pub fn find(read: &Read<'_>, id: &UserId) -> Result<Option<UserNo>, Error> {
    read.one(NUMBER, params![id], |row| row.get(0))
}

/// The id of a user.
pub fn name(read: &Read<'_>, number: UserNo) -> Result<Option<OwnedUserId>, Error> {
    read.one(NAME, params![number], |row| row.get(0))
}

/// The ids of many users, in no order; numbers that nobody has are left out.
pub fn names(read: &Read<'_>, numbers: &[UserNo]) -> Result<Vec<(UserNo, OwnedUserId)>, Error> {
    read.all(NAMES, params![numbers], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Gives a user the number that `number` has reserved for them, unless they have one. Returns the one they have.
pub fn intern(tx: &Tx<'_>, id: &UserId, number: UserNo) -> Result<UserNo, Error> {
    if tx.execute(INSERT, params![number, id])? == 1 {
        return Ok(number);
    }
    find(tx, id)?.ok_or(Error::Inconsistent("two users have one number"))
}

impl Store {
    /// The number of a user, who gets one now when they have none.
    pub async fn user_no(&self, id: &UserId) -> Result<UserNo, Error> {
        if let Some(number) = self.find_user_no(id).await? {
            return Ok(number);
        }
        let number = UserNo(self.take_numbers(Sequence::User, 1).await?);
        let name = id.to_owned();
        let number = self.write(move |tx| intern(tx, &name, number)).await?;
        self.users().keep(number, id);
        Ok(number)
    }

    /// The numbers of many users. Those without one get one now, in one write.
    pub async fn user_nos(&self, ids: &BTreeSet<OwnedUserId>) -> Result<HashMap<OwnedUserId, UserNo>, Error> {
        let mut known = HashMap::with_capacity(ids.len());
        let mut missing = Vec::new();
        for id in ids {
            match self.users().numbers.get(id) {
                Some(number) => drop(known.insert(id.clone(), number)),
                None => missing.push(id.clone()),
            }
        }
        let look = |read: &Read<'_>, ids: &[OwnedUserId]| {
            let mut found = HashMap::with_capacity(ids.len());
            for piece in ids.chunks(1000) {
                let names: Vec<&str> = piece.iter().map(|id| id.as_str()).collect();
                let rows = read.all(NUMBERS, params![&names], |row| Ok((row.get::<OwnedUserId>(0)?, row.get(1)?)))?;
                found.extend(rows);
            }
            Ok::<HashMap<OwnedUserId, UserNo>, Error>(found)
        };
        if !missing.is_empty() {
            let wanted = missing.clone();
            let mut found = self.read(move |read| look(read, &wanted)).await?;
            missing.retain(|id| !found.contains_key(id));
            if !missing.is_empty() {
                let count = u32::try_from(missing.len()).map_err(|_| Error::Inconsistent("too many users at once"))?;
                let first = self.take_numbers(Sequence::User, count).await?;
                let new = self
                    .write(move |tx| {
                        let rows: Vec<_> = (first..).zip(&missing).map(|(number, id)| values![number, id]).collect();
                        tx.execute_many(INSERT, &rows)?;
                        look(tx, &missing)
                    })
                    .await?;
                found.extend(new);
            }
            for (id, number) in found {
                self.users().keep(number, &id);
                known.insert(id, number);
            }
        }
        if known.len() == ids.len() { Ok(known) } else { Err(Error::Inconsistent("two users have one number")) }
    }

    /// The number of a user, if they have one.
    pub async fn find_user_no(&self, id: &UserId) -> Result<Option<UserNo>, Error> {
        if let Some(number) = self.users().numbers.get(id) {
            return Ok(Some(number));
        }
        let name = id.to_owned();
        let number = self.read(move |read| find(read, &name)).await?;
        if let Some(number) = number {
            self.users().keep(number, id);
        }
        Ok(number)
    }

    /// The id of a user.
    pub async fn user_id(&self, number: UserNo) -> Result<Option<OwnedUserId>, Error> {
        if let Some(id) = self.users().names.get(&number) {
            return Ok(Some(id));
        }
        let id = self.read(move |read| name(read, number)).await?;
        if let Some(id) = &id {
            self.users().keep(number, id);
        }
        Ok(id)
    }
}
