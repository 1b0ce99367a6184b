//! Rooms of which not all members are known yet. A room of another server can be used as soon as the rest of its state is here;
//! its members follow in the background, and then every event since gets the state that it would have had with them.
//!
//! Who reads members says what they want: [`Known`] is what counts are wrapped in, and lists of members wait
//! ([`Rooms::wait_until_whole`]).
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid> (`omit_members`)

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use roost_matrix::{
    event::Pdu,
    ids::{EventId, OwnedEventId, OwnedServerName, UserId},
};
use roost_store::{
    Change, EventNo, Membership, Read, RoomNo, SnapshotNo, StateKeyNo, Tx, UserNo,
    events::{self, Place, Standing},
    memberships,
    rooms::{self, Known},
    state::{self, Change as StateChange},
    state_map::{self, Difference, Planner, Snapshot},
    users_no,
};

use crate::{
    Error, Peers, Room, Rooms, Stored,
    commit::NotCommitted,
    head::{Head, membership_of, word_of},
    receive::{Bundle, sort},
};

/// How often a waiting request looks whether all members are known.
const LOOK: Duration = Duration::from_millis(200);
/// State events that are stored in one commit.
const AT_ONCE: usize = 5_000;

/// The states of a room once all members are known.
pub(crate) struct Restated {
    planner: Planner,
    work: Work,
}

/// What is to be written, with the planner's numbers until [`Work::settle`].
pub(crate) struct Work {
    revision: i64,
    head: rooms::Head,
    current: Snapshot,
    places: Vec<(EventNo, Snapshot, Snapshot, bool)>,
    /// Members that were there before the join, at its place.
    past: Vec<Line>,
    /// Keys of the current state that are other ones now.
    now: Vec<Line>,
    members: Vec<Member>,
    /// Users of this server who are in the room.
    locals: Vec<UserNo>,
}

struct Line {
    kind: String,
    state_key: String,
    idx: i64,
    event: Option<EventNo>,
    word: Option<String>,
}

struct Member {
    user: UserNo,
    membership: Membership,
    event: EventNo,
    sender: UserNo,
    idx: i64,
    is_local: bool,
}

pub(crate) struct Settled {
    work: Work,
    places: Vec<(EventNo, Place)>,
    states: state_map::Plan,
}

impl Rooms {
    /// Rooms of which some members are not known yet, with the servers that know them: their completion was interrupted.
    pub async fn partial_rooms(&self) -> Result<Vec<(Arc<Room>, Vec<OwnedServerName>)>, Error> {
        let rooms = self.clone();
        self.0
            .store
            .read(move |read| {
                let (mut found, mut after) = (Vec::new(), RoomNo(i64::MIN));
                loop {
                    let page = rooms::partial_after(read, after, 1000)?;
                    let Some(last) = page.last() else { return Ok(found) };
                    after = last.room;
                    for row in page {
                        let servers = serde_json::from_str(&row.servers).unwrap_or_default();
                        found.extend(rooms.rooms_in(read, &[row.room])?.pop().map(|room| (room, servers)));
                    }
                }
            })
            .await
    }

    /// Fetches the members of a room that are not known yet, and gives the events since the join the states that they would have
    /// had. Nothing is done for a room of which all are known. May be called again after an error or an interruption.
    pub async fn complete(&self, room: &Arc<Room>, peers: &dyn Peers) -> Result<(), Error> {
        let (rooms, at) = (self.clone(), room.clone());
        let join = self
            .0
            .store
            .read(move |read| {
                let Some(partial) = rooms::partial_one(read, at.no)? else { return Ok(None) };
                let stored = rooms.stored(read, &at, &[partial.event])?.pop();
                stored.map(Some).ok_or_else(|| Error::Damaged(format!("the join of room {} is missing", at.id)))
            })
            .await?;
        let Some(join) = join else { return Ok(()) };
        let unknown = || Error::NotFound("The state of the room at other servers");
        let ids = peers.state_ids(room, join.pdu.event_id()).await.ok_or_else(unknown)?;
        let fetched = self.fetch_state(room, &ids, peers).await?;
        for piece in fetched.chunks(AT_ONCE) {
            let bundle = Bundle {
                origin: self.0.identity.server_name.clone(),
                outliers: piece.to_vec(),
                events: Vec::new(),
                starts_over: false,
                fills: None,
            };
            self.enqueue_received(room, Arc::new(bundle)).await?;
        }
        self.enqueue_whole(room, Arc::new(ids.state)).await
    }

    /// Waits until all members of a room are known, which is at once in nearly all rooms.
    ///
    /// # Errors
    /// [`Error::Partial`] when they are not after `limit`.
    pub async fn wait_until_whole(&self, room: &Arc<Room>, limit: Duration) -> Result<(), Error> {
        let until = self.0.world.clock.monotonic() + limit;
        loop {
            let no = room.no;
            let row = self.0.store.read(move |read| rooms::by_no(read, no)).await?;
            if row.is_none_or(|row| !row.head.members.is_partial()) {
                return Ok(());
            }
            if self.0.world.clock.monotonic() >= until {
                return Err(Error::Partial);
            }
            self.0.world.clock.sleep(LOOK).await;
        }
    }

    /// Works out the states of the events since the join from the whole state before it. `None` when the room is whole already.
    pub(crate) fn restate(
        &self,
        read: &Read<'_>,
        room: &Room,
        mut head: Head,
        ids: &[OwnedEventId],
    ) -> Result<Option<Restated>, Error> {
        let Some(partial) = rooms::partial_one(read, room.no)? else { return Ok(None) };
        let mut planner = self.0.states.planner(room.no);
        let old = head.state.clone().ok_or_else(|| Error::Damaged("a room has no state".to_owned()))?;
        let whole = self.whole_state(read, room, &mut planner, ids)?;
        let mut afters: HashMap<OwnedEventId, Snapshot> = HashMap::new();
        let (mut places, mut before_join, mut join_idx) = (Vec::new(), None, 1);
        for (stored, place) in since_join(read, room, partial.event)? {
            let pdu = &stored.pdu;
            let is_join = stored.no == partial.event;
            let (Some(was_before), Some(was_after)) = (place.before, place.after) else { continue };
            let before = if is_join {
                before_join = self.0.states.snapshot(read, room.no, was_before)?;
                join_idx = stored.idx;
                Some(whole.clone())
            } else {
                self.state_of_prevs(read, room, &mut planner, pdu, &afters)?
            };
            // Where events before it are missing, another server has told the state, and told it whole.
            let Some(before) = before else {
                let after = self.0.states.snapshot(read, room.no, was_after)?;
                afters.extend(after.map(|after| (pdu.event_id().to_owned(), after)));
                continue;
            };
            let changes = place.standing != Standing::Rejected;
            let key = match pdu.state_key().filter(|_| changes) {
                Some(state_key) => state_map::find_keys(read, &[(pdu.kind(), state_key)])?.into_values().next(),
                None => None,
            };
            let after = match key {
                Some(key) => planner.apply(read, Some(&before), &[(key, Some(stored.no))])?,
                None => before.clone(),
            };
            afters.insert(pdu.event_id().to_owned(), after.clone());
            let merges = is_join || pdu.prev_events().len() != 1;
            places.push((stored.no, before, after, merges));
        }
        let mut tips = Vec::new();
        for (_, tip) in head.tips() {
            tips.push(self.state_after(read, room, &afters, tip.event_id())?);
        }
        let tips: Vec<_> = tips.into_iter().flatten().collect();
        let current = self.merge(read, room, &mut planner, &tips)?.state;
        let known = before_join.ok_or_else(|| Error::Damaged("the join of a room has no state".to_owned()))?;
        let past = planner.diff(read, &known, &whole)?;
        let now = planner.diff(read, &old, &current)?;
        let names = names_of(read, past.iter().chain(&now))?;
        let (past, members) = self.lines(read, room, &mut head, &names, &past, &now, join_idx)?;
        let now = now
            .iter()
            .filter_map(|change| {
                let (kind, state_key) = names.get(&change.key)?.clone();
                Some(Line { kind, state_key, idx: head.at.idx, event: change.right, word: None })
            })
            .collect();
        let mut locals = Vec::new();
        for user in self.local_members(read, room, usize::MAX)? {
            locals.extend(users_no::find(read, &user)?);
        }
        let head_at = rooms::Head { members: Known::Whole(head.at.members.so_far()), ..head.at };
        let work = Work { revision: head.revision, head: head_at, current, places, past, now, members, locals };
        Ok(Some(Restated { planner, work }))
    }

    fn whole_state(
        &self,
        read: &Read<'_>,
        room: &Room,
        planner: &mut Planner,
        ids: &[OwnedEventId],
    ) -> Result<Snapshot, Error> {
        let found = self.known(read, room, ids.iter().map(|id| &**id))?;
        let kept: Vec<_> = found.iter().filter(|(_, place)| !place.standing.is_rejected()).collect();
        let pairs: Vec<_> =
            kept.iter().filter_map(|(stored, _)| Some((stored.pdu.kind(), stored.pdu.state_key()?))).collect();
        let mut keys = HashMap::with_capacity(pairs.len());
        for piece in pairs.chunks(1000) {
            keys.extend(state_map::find_keys(read, piece)?);
        }
        let changes: Vec<_> = kept
            .iter()
            .filter_map(|(stored, _)| {
                let key = keys.get(&(stored.pdu.kind(), stored.pdu.state_key()?))?;
                Some((*key, Some(stored.no)))
            })
            .collect();
        Ok(planner.apply(read, None, &changes)?)
    }

    fn state_after(
        &self,
        read: &Read<'_>,
        room: &Room,
        afters: &HashMap<OwnedEventId, Snapshot>,
        id: &EventId,
    ) -> Result<Option<Snapshot>, Error> {
        if let Some(state) = afters.get(id) {
            return Ok(Some(state.clone()));
        }
        let after = events::places(read, &[id.as_str()])?.pop().and_then(|(_, _, _, place)| place.after);
        match after {
            Some(no) if no.0 > 0 => Ok(self.0.states.snapshot(read, room.no, no)?),
            _ => Ok(None),
        }
    }

    /// What the events before one leave; `None` where one of them is missing.
    fn state_of_prevs(
        &self,
        read: &Read<'_>,
        room: &Room,
        planner: &mut Planner,
        pdu: &Pdu,
        afters: &HashMap<OwnedEventId, Snapshot>,
    ) -> Result<Option<Snapshot>, Error> {
        let mut states = Vec::with_capacity(pdu.prev_events().len());
        for prev in pdu.prev_events() {
            match self.state_after(read, room, afters, prev)? {
                Some(state) => states.push(state),
                None => return Ok(None),
            }
        }
        Ok(Some(self.merge(read, room, planner, &states)?.state))
    }

    /// What the past was lacking, and the memberships that follow from what is known now.
    #[expect(clippy::too_many_arguments, reason = "two differences and what belongs to them")]
    fn lines(
        &self,
        read: &Read<'_>,
        room: &Room,
        head: &mut Head,
        names: &HashMap<StateKeyNo, (String, String)>,
        past: &[Difference],
        now: &[Difference],
        join_idx: i64,
    ) -> Result<(Vec<Line>, Vec<Member>), Error> {
        let nos: BTreeSet<EventNo> =
            past.iter().chain(now).flat_map(|change| [change.left, change.right]).flatten().collect();
        let stored = self.stored_map(read, room, &nos.into_iter().collect::<Vec<_>>())?;
        let lines = past
            .iter()
            .filter_map(|change| {
                let (kind, state_key) = names.get(&change.key)?.clone();
                let word = change.right.and_then(|no| stored.get(&no)).and_then(|stored| word_of(&stored.pdu));
                // Before the join, which is where they were.
                Some(Line { kind, state_key, idx: join_idx - 1, event: change.right, word })
            })
            .collect();
        let mut members = Vec::new();
        for change in now {
            let Some((kind, state_key)) = names.get(&change.key) else { continue };
            if kind != "m.room.member" {
                continue;
            }
            let of = |no: Option<EventNo>| no.and_then(|no| stored.get(&no));
            let is = of(change.right).and_then(|stored| membership_of(&stored.pdu));
            head.count(of(change.left).and_then(|stored| membership_of(&stored.pdu)), is);
            let (Some(event), Some(membership), Ok(user)) = (of(change.right), is, UserId::parse(state_key)) else {
                continue;
            };
            let Some(no) = users_no::find(read, &user)? else { continue };
            let sender = users_no::find(read, event.pdu.sender())?.unwrap_or(no);
            let (idx, is_local) = (join_idx, self.is_local(&user));
            members.push(Member { user: no, membership, event: event.no, sender, idx, is_local });
        }
        members.sort_unstable_by_key(|member| member.user);
        Ok((lines, members))
    }
}

/// The events of the graph since the join, each after those that it follows.
fn since_join(read: &Read<'_>, room: &Room, join: EventNo) -> Result<Vec<(Arc<Stored>, Place)>, Error> {
    let mut all = Vec::new();
    for piece in events::of_room(read, room.no)?.chunks(1000) {
        for row in events::many(read, piece)? {
            // What was filled in later has its state from another server.
            if !row.place.standing.is_outlier() && row.place.idx.is_none_or(|idx| idx > 0) {
                let place = row.place;
                all.push((Arc::new(Stored::from_row(row, room.rules)?), place));
            }
        }
    }
    let by_id: HashMap<_, _> = all.iter().map(|pair| (pair.0.pdu.event_id().to_owned(), pair.clone())).collect();
    let sorted = sort::by(&all.iter().map(|(stored, _)| stored.pdu.clone()).collect::<Vec<_>>(), Pdu::prev_events);
    let mut found: Vec<_> = sorted.iter().filter_map(|pdu| by_id.get(pdu.event_id()).cloned()).collect();
    // The join comes first: nothing that is here comes before it.
    found.sort_by_key(|(stored, _)| stored.no != join);
    Ok(found)
}

fn names_of<'a>(
    read: &Read<'_>,
    changes: impl Iterator<Item = &'a Difference>,
) -> Result<HashMap<StateKeyNo, (String, String)>, Error> {
    let keys: BTreeSet<StateKeyNo> = changes.map(|change| change.key).collect();
    let keys: Vec<_> = keys.into_iter().collect();
    let mut names = HashMap::with_capacity(keys.len());
    for piece in keys.chunks(1000) {
        for (no, kind, state_key) in state_map::key_names(read, piece)? {
            names.insert(no, (kind, state_key));
        }
    }
    Ok(names)
}

impl Restated {
    pub(crate) fn take(self) -> (Planner, Work) {
        (self.planner, self.work)
    }
}

impl Work {
    /// Puts the final numbers of the snapshots in the place of the planner's.
    pub(crate) fn settle(mut self, states: state_map::Plan) -> Settled {
        self.head.state = states.snapshot(&self.current).no;
        let number = |state: &Snapshot| -> SnapshotNo { states.snapshot(state).no };
        let places = self
            .places
            .iter()
            .map(|(no, before, after, merges)| {
                let (before, after) = (Some(number(before)), Some(number(after)));
                let place = Place { before, after, merges: *merges, ..Place::outside(Standing::Accepted) };
                (*no, place)
            })
            .collect();
        Settled { work: self, places, states }
    }
}

impl Settled {
    /// Writes it, or refuses before the first change.
    pub(crate) fn write(&self, tx: &Tx<'_>, room: RoomNo) -> Result<(), NotCommitted> {
        let work = &self.work;
        if !rooms::move_head(tx, room, work.revision, &work.head)? {
            return Err(NotCommitted::Stale);
        }
        self.states.write(tx).map_err(|error| match error {
            roost_store::Error::Gone => NotCommitted::Stale,
            error => error.into(),
        })?;
        events::restate(tx, &self.places)?;
        let past: Vec<_> = work
            .past
            .iter()
            .map(|line| StateChange {
                kind: &line.kind,
                state_key: &line.state_key,
                idx: line.idx,
                event: line.event,
                word: line.word.as_deref(),
            })
            .collect();
        state::amend(tx, room, &past)?;
        let now: Vec<_> =
            work.now.iter().map(|line| (line.kind.as_str(), line.state_key.as_str(), line.event)).collect();
        state::set_current(tx, room, &now)?;
        let slot = tx.log(Change::Whole { room });
        rooms::complete(tx, room, &slot);
        for member in &work.members {
            let (user, event) = (member.user, member.event);
            memberships::set(tx, user, room, member.membership, event, member.idx, member.sender, &slot);
            if member.is_local {
                let _ = tx.log(Change::Membership { room, event, user, membership: member.membership });
            }
        }
        // Who was told nothing of the room so far is told now, as if they had just joined.
        for user in &work.locals {
            memberships::renew(tx, *user, room, Membership::Join, &slot);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
