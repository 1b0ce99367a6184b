//! A room's history as its readers page through it.
//!
//! Places between events are called boundaries: boundary `n` lies before the event with index `n`. Backwards from it come
//! the events below `n`, forwards those from `n` on. Tokens carry boundaries.

use std::{collections::BTreeSet, sync::Arc};

use roost_matrix::{
    event::ClientForm,
    ids::{DeviceId, EventId, OwnedDeviceId, OwnedEventId, OwnedUserId, RoomId, UserId},
};
use roost_store::{
    Position, Read, UserNo, events, rooms, state,
    state_map::{self, Snapshot},
    timeline,
    token::{MessagesToken, Token},
};

use crate::{Error, EventFilter, OUTSIDE, Peers, Reader, Rendered, Room, Rooms, Stored, Vision, visibility::Range};

/// Which way to page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Newest first.
    Backwards,
    /// Oldest first.
    Forwards,
}

/// Events found, in the direction of the search.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// The events.
    pub events: Vec<Arc<Stored>>,
    /// The boundary to go on from; `None` when there is nothing more to be seen.
    pub next: Option<i64>,
}

/// What `/messages` is asked.
#[derive(Clone, Debug)]
pub struct MessagesQuery {
    /// Where to begin; `None` for the end that the direction points away from.
    pub from: Option<Token>,
    /// Where to stop.
    pub to: Option<Token>,
    /// Which way.
    pub direction: Direction,
    /// How many events at most.
    pub limit: usize,
    /// Which events.
    pub filter: EventFilter,
}

/// What `/messages` answers.
#[derive(Clone, Debug)]
pub struct Messages {
    /// Where the chunk begins.
    pub start: Token,
    /// Where it ends, if there is more beyond.
    pub end: Option<Token>,
    /// The events.
    pub chunk: Vec<Rendered>,
    /// Member events of those who sent them, if members are loaded lazily.
    pub state: Vec<Rendered>,
}

/// What `/context` answers.
#[derive(Clone, Debug)]
pub struct Context {
    /// From where to page backwards.
    pub start: Token,
    /// From where to page forwards.
    pub end: Token,
    /// The event.
    pub event: Rendered,
    /// Newest first.
    pub before: Vec<Rendered>,
    /// Oldest first.
    pub after: Vec<Rendered>,
    /// The state at the last event.
    pub state: Vec<Rendered>,
}

/// How many events one request looks at, at most, before it lets the client ask again.
const MAX_SCAN: usize = 2000;
/// How many gaps are filled for one request at most.
const MAX_FILLS: usize = 3;
/// How many entries one statement reads at most.
const PAGE: usize = 200;

/// Who asks, owned, so that it can go into a closure.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) user: OwnedUserId,
    pub(crate) user_no: UserNo,
    pub(crate) device: Option<OwnedDeviceId>,
    pub(crate) now_ms: u64,
}

impl Asker {
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { user: &self.user, user_no: self.user_no, device: self.device.as_deref(), now_ms: self.now_ms }
    }
}

impl Rooms {
    pub(crate) async fn asker(&self, user: &UserId, device: Option<&DeviceId>) -> Result<Asker, Error> {
        Ok(Asker {
            user: user.to_owned(),
            user_no: self.0.store.user_no(user).await?,
            device: device.map(ToOwned::to_owned),
            now_ms: self.0.world.now_ms(),
        })
    }

    /// The boundary after everything that a reader at that position has seen.
    pub fn boundary(&self, read: &Read<'_>, room: &Room, position: Position) -> Result<i64, Error> {
        Ok(timeline::index_at(read, room.no, position)?.map_or(1, |idx| idx + 1))
    }

    /// The boundary after the last event.
    pub fn end(&self, read: &Read<'_>, room: &Room) -> Result<i64, Error> {
        Ok(rooms::by_no(read, room.no)?.ok_or(Error::UnknownRoom)?.head.idx + 1)
    }

    /// Events that the reader may see and the filter wants, from boundary `from` towards boundary `to`, at most `limit`.
    #[expect(clippy::too_many_arguments, reason = "a search has many sides")]
    pub fn scan(
        &self,
        read: &Read<'_>,
        room: &Room,
        user: &UserId,
        vision: &Vision,
        filter: &EventFilter,
        direction: Direction,
        from: i64,
        to: i64,
        limit: usize,
    ) -> Result<Scan, Error> {
        let mut scan = Scan::default();
        if !filter.wants_room(&room.id) {
            return Ok(scan);
        }
        let (low, high) = match direction {
            Direction::Backwards => (to, from.saturating_sub(1)),
            Direction::Forwards => (from, to.saturating_sub(1)),
        };
        let mut looked_at = 0;
        for stretch in stretches(vision.ranges(), low, high, direction) {
            let mut range = stretch.range;
            while range.first <= range.last {
                // One more than wanted, to know whether there is more.
                let page = if filter.wants_all() { (limit - scan.events.len() + 1).min(PAGE) } else { PAGE };
                let count = i64::try_from(page).unwrap_or(i64::MAX);
                let (first, last) = (range.first.saturating_sub(1), range.last);
                let entries = match (direction, stretch.visible) {
                    (Direction::Backwards, true) => timeline::backwards(read, room.no, last, first, count)?,
                    (Direction::Forwards, true) => timeline::forwards(read, room.no, first, last, count)?,
                    (Direction::Backwards, false) => timeline::asides_backwards(read, room.no, last, first, count)?,
                    (Direction::Forwards, false) => timeline::asides_forwards(read, room.no, first, last, count)?,
                };
                self.look_aside(read, room, user, vision, &entries)?;
                let nos: Vec<_> = entries.iter().map(|entry| entry.event).collect();
                for stored in self.stored(read, room, &nos)? {
                    if !vision.sees(stored.idx) || !filter.wants(&stored.pdu) {
                        continue;
                    }
                    if scan.events.len() == limit {
                        scan.next = Some(match (scan.events.last(), direction) {
                            (Some(last), Direction::Backwards) => last.idx,
                            (Some(last), Direction::Forwards) => last.idx + 1,
                            (None, _) => from,
                        });
                        return Ok(scan);
                    }
                    scan.events.push(stored);
                }
                looked_at += entries.len();
                let Some(last) = entries.last().filter(|_| entries.len() == page) else { break };
                match direction {
                    Direction::Backwards => range.last = last.idx - 1,
                    Direction::Forwards => range.first = last.idx + 1,
                }
                if looked_at >= MAX_SCAN {
                    scan.next = Some(if direction == Direction::Backwards { last.idx } else { last.idx + 1 });
                    return Ok(scan);
                }
            }
        }
        Ok(scan)
    }

    /// The token of a boundary.
    #[must_use]
    pub fn token(&self, boundary: i64) -> Token {
        Token::Messages(MessagesToken { generation: self.0.store.generation(), index: boundary })
    }

    /// The boundary that a token stands for in this room. A token of `/sync` stands for what the reader had seen.
    pub fn boundary_of(&self, read: &Read<'_>, room: &Room, token: &Token) -> Result<i64, Error> {
        match token {
            // A client may write anything into it, and there are places before and after.
            Token::Messages(token) => Ok(token.index.clamp(i64::MIN + 2, i64::MAX - 2)),
            Token::Sync(token) => self.boundary(read, room, token.position),
        }
    }

    /// What a user may see of a room; `Forbidden` when that is nothing at all.
    pub(crate) fn vision_or_forbidden(
        &self,
        read: &Read<'_>,
        room: &Room,
        user: &UserId,
        no: UserNo,
    ) -> Result<Vision, Error> {
        let vision = self.vision(read, room, user, no)?;
        if vision.was_joined() || !vision.ranges().is_empty() {
            Ok(vision)
        } else {
            Err(Error::forbidden("You are not in this room"))
        }
    }

    /// `/messages`. Where it comes to a gap of the history, `peers` are asked to fill it.
    pub async fn messages(
        &self,
        room: &RoomId,
        user: &UserId,
        device: Option<&DeviceId>,
        query: MessagesQuery,
        peers: &dyn Peers,
    ) -> Result<Messages, Error> {
        let asker = self.asker(user, device).await?;
        for _ in 0..MAX_FILLS {
            let (rooms, room_id, asker, query) = (self.clone(), room.to_owned(), asker.clone(), query.clone());
            let (room, messages, low, high) =
                self.0.store.read(move |read| rooms.messages_in(read, &room_id, &asker, &query)).await?;
            // The nearest gap within what was looked at; only who pages back comes to one from above.
            let gap = self.gap_at(&room, high).await?.filter(|gap| gap.idx >= low);
            let Some(gap) = gap else { return Ok(messages) };
            if self.fill(&room, &gap, peers).await? == 0 {
                return Ok(messages);
            }
        }
        let (rooms, room_id) = (self.clone(), room.to_owned());
        self.0.store.read(move |read| Ok(rooms.messages_in(read, &room_id, &asker, &query)?.1)).await
    }

    fn messages_in(
        &self,
        read: &Read<'_>,
        room: &RoomId,
        asker: &Asker,
        query: &MessagesQuery,
    ) -> Result<(Arc<Room>, Messages, i64, i64), Error> {
        let room = self.room_in(read, room)?;
        let vision = self.vision_or_forbidden(read, &room, &asker.user, asker.user_no)?;
        let from = match (&query.from, query.direction) {
            (Some(token), _) => self.boundary_of(read, &room, token)?,
            (None, Direction::Backwards) => self.end(read, &room)?,
            (None, Direction::Forwards) => i64::MIN + 1,
        };
        let to = match (&query.to, query.direction) {
            (Some(token), _) => self.boundary_of(read, &room, token)?,
            (None, Direction::Backwards) => i64::MIN + 1,
            (None, Direction::Forwards) => i64::MAX,
        };
        let scan =
            self.scan(read, &room, &asker.user, &vision, &query.filter, query.direction, from, to, query.limit)?;
        let state = if query.filter.lazy_load_members {
            let at = scan.events.iter().map(|event| event.idx).max().unwrap_or(0);
            self.members_of_senders(read, &room, &scan.events, at)?
        } else {
            Vec::new()
        };
        let reader = asker.reader();
        let messages = Messages {
            start: query.from.unwrap_or_else(|| self.token(from)),
            end: scan.next.map(|next| self.token(next)),
            chunk: self.render(read, &room, &reader, &vision, &scan.events, ClientForm::WithRoomId)?,
            state: self.render(read, &room, &reader, &vision, &state, ClientForm::WithRoomId)?,
        };
        // What was looked at.
        let (low, high) = match query.direction {
            Direction::Backwards => (scan.next.unwrap_or(to).max(to), from.saturating_sub(1)),
            Direction::Forwards => (from, scan.next.unwrap_or(to).min(to).saturating_sub(1)),
        };
        Ok((room, messages, low, high))
    }

    /// The member events, as of an index, of those who sent the events.
    pub fn members_of_senders(
        &self,
        read: &Read<'_>,
        room: &Room,
        events: &[Arc<Stored>],
        at: i64,
    ) -> Result<Vec<Arc<Stored>>, Error> {
        let senders: BTreeSet<_> = events.iter().map(|event| event.pdu.sender().as_str()).collect();
        if senders.is_empty() {
            return Ok(Vec::new());
        }
        let senders: Vec<_> = senders.into_iter().collect();
        if let Some(state) = self.own_state(read, room, at)? {
            let pairs: Vec<_> = senders.iter().map(|sender| ("m.room.member", *sender)).collect();
            let keys: Vec<_> = state_map::find_keys(read, &pairs)?.into_values().collect();
            let found = self.0.states.get_many(read, &state, &keys)?;
            return self.stored(read, room, &found.into_iter().flatten().collect::<Vec<_>>());
        }
        let members = state::keys_at(read, room.no, "m.room.member", &senders, at)?;
        self.stored(read, room, &members.into_iter().map(|(_, no)| no).collect::<Vec<_>>())
    }

    /// The state after an event that stands aside from the line of current states; `None` for all others.
    fn own_state(&self, read: &Read<'_>, room: &Room, idx: i64) -> Result<Option<Snapshot>, Error> {
        let entry = timeline::forwards(read, room.no, idx.saturating_sub(1), idx, 1)?.pop();
        let Some(entry) = entry.filter(|entry| entry.aside) else { return Ok(None) };
        match events::after(read, entry.event)? {
            Some(no) => Ok(self.0.states.snapshot(read, room.no, no)?),
            None => Ok(None),
        }
    }

    /// One event, if the user may see it.
    pub async fn event(
        &self,
        room: &RoomId,
        event: &EventId,
        user: &UserId,
        device: Option<&DeviceId>,
    ) -> Result<Rendered, Error> {
        let (rooms, room, event, asker) =
            (self.clone(), room.to_owned(), event.to_owned(), self.asker(user, device).await?);
        self.0
            .store
            .read(move |read| {
                let room = rooms.room_in(read, &room).map_err(hide("Event"))?;
                let (vision, stored) = rooms.visible(read, &room, &event, &asker)?;
                let mut rendered =
                    rooms.render(read, &room, &asker.reader(), &vision, &[stored], ClientForm::WithRoomId)?;
                rendered.pop().ok_or(Error::NotFound("Event"))
            })
            .await
    }

    /// An event that the asker may see. Whether it does not exist or may not be seen is all the same to them.
    fn visible(
        &self,
        read: &Read<'_>,
        room: &Room,
        event: &EventId,
        asker: &Asker,
    ) -> Result<(Vision, Arc<Stored>), Error> {
        let vision = self.vision(read, room, &asker.user, asker.user_no)?;
        let found = self.stored_by_id(read, room, event)?.filter(|stored| stored.idx != OUTSIDE);
        let Some(stored) = found else { return Err(Error::NotFound("Event")) };
        let entries = timeline::forwards(read, room.no, stored.idx - 1, stored.idx, 1)?;
        self.look_aside(read, room, &asker.user, &vision, &entries)?;
        if vision.sees(stored.idx) { Ok((vision, stored)) } else { Err(Error::NotFound("Event")) }
    }

    /// `/context`: an event with what is around it.
    pub async fn context(
        &self,
        room: &RoomId,
        event: &EventId,
        user: &UserId,
        device: Option<&DeviceId>,
        limit: usize,
        filter: EventFilter,
    ) -> Result<Context, Error> {
        let (rooms, room, event, asker) =
            (self.clone(), room.to_owned(), event.to_owned(), self.asker(user, device).await?);
        self.0.store.read(move |read| rooms.context_in(read, &room, &event, &asker, limit, &filter)).await
    }

    fn context_in(
        &self,
        read: &Read<'_>,
        room: &RoomId,
        event: &EventId,
        asker: &Asker,
        limit: usize,
        filter: &EventFilter,
    ) -> Result<Context, Error> {
        let room = self.room_in(read, room).map_err(hide("Event"))?;
        let (vision, stored) = self.visible(read, &room, event, asker)?;
        let earlier = limit / 2;
        let before = self.scan(
            read,
            &room,
            &asker.user,
            &vision,
            filter,
            Direction::Backwards,
            stored.idx,
            i64::MIN + 1,
            limit - earlier,
        )?;
        let after = self.scan(
            read,
            &room,
            &asker.user,
            &vision,
            filter,
            Direction::Forwards,
            stored.idx + 1,
            i64::MAX,
            earlier,
        )?;
        let last = after.events.last().map_or(stored.idx, |event| event.idx);
        let first = before.events.last().map_or(stored.idx, |event| event.idx);

        let mut around = before.events.clone();
        around.push(stored.clone());
        around.extend(after.events.iter().cloned());
        let mut state = match self.own_state(read, &room, last)? {
            Some(own) => self.events_of(read, &room, own.no)?,
            None => self.stored(read, &room, &state::all_at(read, room.no, last)?)?,
        };
        let senders: BTreeSet<_> = around.iter().map(|event| event.pdu.sender().to_owned()).collect();
        state.retain(|event| {
            filter.wants(&event.pdu)
                && (!filter.lazy_load_members
                    || event.pdu.kind() != "m.room.member"
                    || senders.iter().any(|sender| Some(sender.as_str()) == event.pdu.state_key()))
        });

        let reader = asker.reader();
        let write = |events: &[Arc<Stored>]| self.render(read, &room, &reader, &vision, events, ClientForm::WithRoomId);
        Ok(Context {
            start: self.token(first),
            end: self.token(last + 1),
            event: write(&[stored])?.pop().ok_or(Error::NotFound("Event"))?,
            before: write(&before.events)?,
            after: write(&after.events)?,
            state: write(&state)?,
        })
    }

    /// `/timestamp_to_event`: the nearest visible event at or after (forwards), or at or before (backwards), a moment.
    ///
    /// Searched by halving, since a server's own clock makes timestamps grow along the history; where an application
    /// service has set older ones, the answer may miss the very nearest.
    pub async fn event_at(
        &self,
        room: &RoomId,
        user: &UserId,
        timestamp: u64,
        direction: Direction,
    ) -> Result<(OwnedEventId, u64), Error> {
        let (rooms, room, asker) = (self.clone(), room.to_owned(), self.asker(user, None).await?);
        self.0
            .store
            .read(move |read| {
                let room = rooms.room_in(read, &room)?;
                let vision = rooms.vision_or_forbidden(read, &room, &asker.user, asker.user_no)?;
                // The first index whose event is not before (or, backwards, after) the moment.
                let first = timeline::first(read, room.no)?.unwrap_or(1);
                let (mut low, mut high) = (first, rooms.end(read, &room)?);
                while low < high {
                    let middle = low + (high - low) / 2;
                    let entry = timeline::forwards(read, room.no, middle - 1, i64::MAX, 1)?;
                    let nos: Vec<_> = entry.iter().map(|entry| entry.event).collect();
                    let Some(event) = rooms.stored(read, &room, &nos)?.pop() else { break };
                    let earlier = match direction {
                        Direction::Forwards => event.pdu.origin_server_ts() < timestamp,
                        Direction::Backwards => event.pdu.origin_server_ts() <= timestamp,
                    };
                    if earlier {
                        low = middle + 1;
                    } else {
                        high = middle;
                    }
                }
                let to = if direction == Direction::Forwards { i64::MAX } else { i64::MIN + 1 };
                let scan =
                    rooms.scan(read, &room, &asker.user, &vision, &EventFilter::default(), direction, low, to, 1)?;
                let event = scan.events.first().ok_or(Error::NotFound("Event"))?;
                Ok((event.pdu.event_id().to_owned(), event.pdu.origin_server_ts()))
            })
            .await
    }
}

/// A stretch of the history: one that may be seen, or one between those, in which only events that stand aside are looked at.
struct Stretch {
    range: Range,
    visible: bool,
}

/// Takes a history apart into what may be seen and what lies between, in the direction of a search.
fn stretches(ranges: &[Range], low: i64, high: i64, direction: Direction) -> Vec<Stretch> {
    let mut stretches = Vec::with_capacity(ranges.len() * 2 + 1);
    let mut next = low;
    for range in ranges {
        let (first, last) = (range.first.max(low), range.last.min(high));
        if first > last {
            continue;
        }
        if next < first {
            stretches.push(Stretch { range: Range { first: next, last: first - 1 }, visible: false });
        }
        stretches.push(Stretch { range: Range { first, last }, visible: true });
        next = last.saturating_add(1);
    }
    // The last range may go on for ever, and then nothing comes after it.
    if next <= high && stretches.last().is_none_or(|last| last.range.last < high) {
        stretches.push(Stretch { range: Range { first: next, last: high }, visible: false });
    }
    if direction == Direction::Backwards {
        stretches.reverse();
    }
    stretches
}

/// An unknown room looks like an unknown thing in it.
fn hide(what: &'static str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::UnknownRoom => Error::NotFound(what),
        other => other,
    }
}

#[cfg(test)]
mod tests;
