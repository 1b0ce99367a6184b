//! What the scenarios need to find on a server: accounts, rooms and history, each made once and when first asked for.

use std::cell::RefCell;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::{self, User};
use crate::client::{Connection, Failure};
use crate::measure::{Bound, Run, drive};
use crate::process::Processes;
use crate::target::Target;

/// How big the big things are.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Rooms of the account that syncs.
    pub(crate) rooms: usize,
    /// Messages in each of them.
    pub(crate) messages: usize,
    /// Members of the big room.
    pub(crate) members: usize,
}

/// What stands on one server; kept in the file of `--state`, so that a second run need not make it again.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Fixtures {
    /// The prefix of the accounts' names.
    prefix: String,
    /// A number for whatever must be new: transactions, names.
    serial: u64,
    users: Vec<User>,
    shared: Option<String>,
    own: Vec<String>,
    pair: Option<String>,
    fan: Option<String>,
    many: Vec<String>,
    big: Option<String>,
    history: Option<String>,
}

/// How many accounts send, and how many sync in the fan-out.
pub(crate) const SENDERS: usize = 20;
pub(crate) const SYNCERS: usize = 50;
// Who plays which part. The first twenty send, the first fifty after the first sync.
const READER: usize = 51;
const WRITER: usize = 52;
pub(crate) const VISITOR: usize = 53;
const HOST: usize = 54;

/// One server with what has been prepared on it.
pub(crate) struct Workbench {
    pub(crate) target: Target,
    pub(crate) processes: Processes,
    pub(crate) fixtures: Fixtures,
    sizes: Sizes,
}

impl Workbench {
    pub(crate) fn new(target: Target, processes: Processes, sizes: Sizes, mut fixtures: Fixtures) -> Self {
        if fixtures.prefix.is_empty() {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            fixtures.prefix = format!("bench{:x}", now.as_millis());
        }
        Self { target, processes, fixtures, sizes }
    }

    /// A text that has not been used on this server before: for names and transactions.
    pub(crate) fn fresh(&mut self) -> String {
        let serial = self.serial();
        format!("{}-{serial}", self.fixtures.prefix)
    }

    /// A number that has not been used on this server before.
    pub(crate) fn serial(&mut self) -> u64 {
        self.fixtures.serial += 1;
        self.fixtures.serial
    }

    /// Runs a round and notes what it cost the server.
    pub(crate) async fn measure<L>(
        &self,
        lanes: &mut [L],
        bound: Bound,
        operation: impl AsyncFn(&mut L, u64) -> Result<(), Failure>,
    ) -> Result<Run, Failure> {
        let before = self.processes.cpu();
        let mut run = drive(lanes, bound, operation).await?;
        run.cpu = before.zip(self.processes.cpu()).map(|(before, after)| after.saturating_sub(before));
        Ok(run)
    }

    /// Does the job for each item on a few connections at once; the results stand in the items' order.
    async fn each<T, R>(
        &self,
        width: usize,
        items: impl IntoIterator<Item = T>,
        job: impl AsyncFn(&mut Connection, T) -> Result<R, Failure>,
    ) -> Result<Vec<R>, Failure> {
        let items = RefCell::new(items.into_iter().enumerate());
        let done = RefCell::new(Vec::new());
        try_join_all((0..width).map(async |_| {
            let mut connection = self.target.connection();
            loop {
                let next = items.borrow_mut().next();
                let Some((index, item)) = next else { return Ok::<_, Failure>(()) };
                let result = job(&mut connection, item).await?;
                done.borrow_mut().push((index, result));
            }
        }))
        .await?;
        let mut done = done.into_inner();
        done.sort_unstable_by_key(|(index, _)| *index);
        Ok(done.into_iter().map(|(_, result)| result).collect())
    }

    fn note(&self, what: &str) {
        eprintln!("{}: preparing {what}", self.target.name);
    }

    /// The first `count` accounts.
    pub(crate) async fn users(&mut self, count: usize) -> Result<Vec<User>, Failure> {
        let have = self.fixtures.users.len();
        if have < count {
            self.note(&format!("{} accounts", count - have));
            let prefix = self.fixtures.prefix.clone();
            let new = self
                .each(4, have..count, async |connection, n| {
                    api::register(connection, &self.target, &format!("{prefix}-u{n}")).await
                })
                .await?;
            self.fixtures.users.extend(new);
        }
        Ok(self.fixtures.users[..count].to_vec())
    }

    async fn user(&mut self, number: usize) -> Result<User, Failure> {
        Ok(self.users(number + 1).await?.swap_remove(number))
    }

    /// A room of its first member, open to whoever wants to join.
    async fn room_of(&self, members: &[User], name: &str) -> Result<String, Failure> {
        let Some((owner, others)) = members.split_first() else {
            return Err(Failure::Unexpected("a room needs a member".to_owned()));
        };
        let body = json!({ "preset": "public_chat", "name": name });
        let room = api::create_room(&mut self.target.connection(), &self.target, owner, body).await?;
        self.each(8, others, async |connection, user| api::join(connection, user, &room).await).await?;
        Ok(room)
    }

    async fn fill(&mut self, room: &str, user: &User, messages: usize) -> Result<(), Failure> {
        let batch = self.fresh();
        let bearer = user.bearer()?;
        self.each(4, 0..messages as u64, async |connection, n| {
            api::send(connection, &bearer, room, &format!("{batch}-{n}"), api::message(n)).await
        })
        .await
        .map(drop)
    }

    /// One room with all senders in it.
    pub(crate) async fn shared_room(&mut self) -> Result<String, Failure> {
        if self.fixtures.shared.is_none() {
            let users = self.users(SENDERS).await?;
            self.note("the room of 20 senders");
            self.fixtures.shared = Some(self.room_of(&users, "twenty senders").await?);
        }
        Ok(self.fixtures.shared.clone().unwrap_or_default())
    }

    /// A room for each sender.
    pub(crate) async fn own_rooms(&mut self) -> Result<Vec<String>, Failure> {
        let users = self.users(SENDERS).await?;
        while self.fixtures.own.len() < SENDERS {
            let user = self.fixtures.own.len();
            let room = self.room_of(&users[user..=user], "a room of my own").await?;
            self.fixtures.own.push(room);
        }
        Ok(self.fixtures.own.clone())
    }

    /// A room of two.
    pub(crate) async fn pair_room(&mut self) -> Result<String, Failure> {
        if self.fixtures.pair.is_none() {
            let users = self.users(2).await?;
            self.fixtures.pair = Some(self.room_of(&users, "the two of us").await?);
        }
        Ok(self.fixtures.pair.clone().unwrap_or_default())
    }

    /// A room of one who sends and fifty who sync; the sender first.
    pub(crate) async fn fan_room(&mut self) -> Result<(Vec<User>, String), Failure> {
        let users = self.users(SYNCERS + 1).await?;
        if self.fixtures.fan.is_none() {
            self.note("the room of 50 syncing members");
            self.fixtures.fan = Some(self.room_of(&users, "fifty listeners").await?);
        }
        Ok((users, self.fixtures.fan.clone().unwrap_or_default()))
    }

    /// The account with many rooms, in each of which another one has written.
    pub(crate) async fn many_rooms(&mut self) -> Result<(User, usize), Failure> {
        let (reader, writer) = (self.user(READER).await?, self.user(WRITER).await?);
        let missing = self.sizes.rooms.saturating_sub(self.fixtures.many.len());
        if missing > 0 {
            self.note(&format!("{missing} rooms with {} messages each", self.sizes.messages));
            let (messages, batch, bearer) = (self.sizes.messages as u64, self.fresh(), writer.bearer()?);
            let rooms = self
                .each(4, 0..missing, async |connection, n| {
                    let body = json!({ "preset": "private_chat", "name": format!("room {n}"), "invite": [reader.id] });
                    let room = api::create_room(connection, &self.target, &writer, body).await?;
                    api::join(connection, &reader, &room).await?;
                    for message in 0..messages {
                        let transaction = format!("{batch}-{n}-{message}");
                        api::send(connection, &bearer, &room, &transaction, api::message(message)).await?;
                    }
                    Ok(room)
                })
                .await?;
            self.fixtures.many.extend(rooms);
        }
        Ok((reader, self.fixtures.many.len()))
    }

    /// The big room, and how many members it has; the host is the one who made it.
    pub(crate) async fn big_room(&mut self) -> Result<(User, String, usize), Failure> {
        let members = self.sizes.members;
        let users = self.users(HOST + members).await?.split_off(HOST);
        if self.fixtures.big.is_none() {
            self.note(&format!("the room of {members} members"));
            self.fixtures.big = Some(self.room_of(&users, "the market place").await?);
        }
        Ok((users[0].clone(), self.fixtures.big.clone().unwrap_or_default(), members))
    }

    /// A room with some pages of history.
    pub(crate) async fn history_room(&mut self) -> Result<(User, String), Failure> {
        let user = self.user(0).await?;
        if self.fixtures.history.is_none() {
            self.note("a room with 500 messages");
            let room = self.room_of(std::slice::from_ref(&user), "long ago").await?;
            self.fill(&room, &user, 500).await?;
            self.fixtures.history = Some(room);
        }
        Ok((user, self.fixtures.history.clone().unwrap_or_default()))
    }
}
