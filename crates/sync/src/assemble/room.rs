//! What an answer says of one room.

use std::{collections::HashSet, sync::Arc};

use roost_matrix::event::ClientForm;
use roost_rooms::{Membership, Reader, Room, Stored, Vision};
use roost_store::{EventNo, Position, memberships, rooms::Head, state, timeline, token::MessagesToken};

use super::{Assembly, Beside};
use crate::{
    Error, json,
    tail::Touched,
    window::{Span, Window, Wish, is_member},
};

/// Before everything in a room's history, what was filled in later included.
const START: i64 = i64::MIN + 1;
const MEMBER: &str = "m.room.member";
/// How many heroes a room has at least, if it has that many members.
const HEROES: i64 = 5;

/// A room with what was read about it.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) room: &'a Room,
    pub(super) head: &'a Head,
    pub(super) vision: &'a Vision,
    pub(super) touched: &'a Touched,
    /// How many bytes its timeline may have.
    pub(super) left: usize,
    /// Whether it is told as a whole although the user has been in it before.
    pub(super) renewed: bool,
}

/// What is wanted of a room.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    span: Span,
    /// Whether the client knows nothing of the room yet.
    fresh: bool,
    /// Whether it gets the whole state.
    full: bool,
    /// Whether state is to be told at all.
    state: bool,
}

impl Assembly<'_> {
    /// A room that the user is in.
    pub(super) fn joined(&self, subject: Subject<'_>, beside: &Beside<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let vision = subject.vision;
        let end = self.index_at(subject, self.to)?;
        let since = self.since.map(|since| self.index_at(subject, since)).transpose()?;
        // Who has left and come back meanwhile has not forgotten the room; what happened in between is shown as far as
        // they may see it.
        let from = since.filter(|since| !subject.renewed && vision.membership_at(*since) == Membership::Join);
        let fresh = from.is_none();
        let wanted = Wanted {
            span: Span { from: from.unwrap_or(START), end },
            fresh,
            full: fresh || self.request.full_state,
            state: true,
        };
        let mut window = self.window(subject, wanted.span, None)?;
        if fresh && since.is_some_and(|since| vision.joins_within(0, since)) {
            // The client may have an older part of the timeline, to which this one does not connect.
            window.limited = true;
        }
        self.write(subject, wanted, &window, beside, out)
    }

    /// A room that the user has left, or was banned from: up to there.
    pub(super) fn left(&self, subject: Subject<'_>, beside: &Beside<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let vision = subject.vision;
        let end = self.index_at(subject, subject.touched.member.position)?;
        let since = self.since.map(|since| self.index_at(subject, since)).transpose()?.filter(|since| *since < end);
        let known = since.filter(|since| vision.membership_at(*since) == Membership::Join);
        // Joined and left again since, so that the client knows nothing of the room.
        let entered = known.is_none() && vision.joins_within(since.unwrap_or(0), end);
        let from = match known {
            Some(from) => from,
            None if entered => START,
            // All that there is to see is how the invitation, the knock or the ban ended.
            None => end - 1,
        };
        let wanted = Wanted {
            span: Span { from, end },
            fresh: known.is_none(),
            full: entered || (known.is_some() && self.request.full_state),
            state: entered || known.is_some(),
        };
        let window = self.window(subject, wanted.span, Some(end))?;
        self.write(subject, wanted, &window, &Beside { data: beside.data, ..Beside::default() }, out)
    }

    /// An invitation, unless it is one that the user does not want to hear of.
    pub(super) fn invited(&self, subject: Subject<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let room = subject.room;
        if !self.is_news(subject.touched) || self.blocks_invites()? {
            return Ok(());
        }
        let Some(own) = memberships::one(self.read, self.request.user, room.no)? else { return Ok(()) };
        let invitation = self.inner.rooms.stored(self.read, room, &[own.event])?;
        if invitation.first().is_some_and(|stored| self.ignored.contains(stored.pdu.sender())) {
            return Ok(());
        }
        self.stripped(room, own.event, "invite_state", out)
    }

    /// A knock that waits for an answer.
    pub(super) fn knocked(&self, subject: Subject<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        if !self.is_news(subject.touched) {
            return Ok(());
        }
        let Some(own) = memberships::one(self.read, self.request.user, subject.room.no)? else { return Ok(()) };
        self.stripped(subject.room, own.event, "knock_state", out)
    }

    fn is_news(&self, touched: &Touched) -> bool {
        self.request.full_state || self.since.is_none_or(|since| touched.member.position > since)
    }

    /// Whether the user has blocked all invitations.
    ///
    /// <https://spec.matrix.org/v1.19/client-server-api/#invite-permission>
    fn blocks_invites(&self) -> Result<bool, Error> {
        #[derive(serde::Deserialize)]
        struct Content {
            #[serde(default)]
            default_action: Option<String>,
        }
        let content = roost_store::account_data::get(self.read, self.request.user, None, "m.invite_permission_config")?;
        let content = content.and_then(|content| serde_json::from_str::<Content>(&content).ok());
        Ok(content.and_then(|content| content.default_action).is_some_and(|action| action == "block"))
    }

    fn stripped(&self, room: &Room, own: EventNo, name: &str, out: &mut Vec<u8>) -> Result<(), Error> {
        let events = self.inner.rooms.stripped(self.read, room, own)?;
        json::key(out, room.id.as_str());
        out.push(b'{');
        let mut list = vec![];
        for event in &events {
            json::comma(&mut list);
            list.extend_from_slice(event);
        }
        json::events(out, name, &list);
        out.push(b'}');
        Ok(())
    }

    fn index_at(&self, subject: Subject<'_>, position: Position) -> Result<i64, Error> {
        Ok(timeline::index_at(self.read, subject.room.no, position)?.unwrap_or(0))
    }

    /// The timeline. The event at `always` is shown whoever may see it.
    fn window(&self, subject: Subject<'_>, span: Span, always: Option<i64>) -> Result<Window, Error> {
        let sees = |stored: &Stored| {
            let visible = subject.vision.sees(stored.idx) || always == Some(stored.idx);
            visible && (stored.pdu.state_key().is_some() || !self.ignored.contains(stored.pdu.sender()))
        };
        let wish = Wish {
            filter: &self.request.filter.room.timeline,
            bytes: subject.left,
            replayed: self.request.state_after.is_none(),
            reader: &self.request.user_id,
            vision: subject.vision,
        };
        Window::read(&self.inner.rooms, self.read, subject.room, span, wish, sees)
    }

    fn write(
        &self,
        subject: Subject<'_>,
        wanted: Wanted,
        window: &Window,
        beside: &Beside<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let room = subject.room;
        let mut state = if wanted.state { self.changes(room, wanted, window)? } else { vec![] };
        // The summary is of now, and who has left is not to hear who came and went after them.
        let is_in = subject.touched.member.membership == Membership::Join;
        let summarise = is_in
            && wanted.state
            && (wanted.full || window.members_changed || state.iter().any(|stored| is_member(stored)));
        let heroes = if summarise { self.heroes(room)? } else { vec![] };
        if wanted.state && self.request.filter.room.state.lazy_load_members {
            self.members(room, wanted, window, &heroes, &mut state)?;
        }
        let filter = &self.request.filter.room.state;
        let shown =
            |stored: &Stored| filter.allows(stored.pdu.kind(), stored.pdu.sender().as_str(), stored.pdu.content());
        if filter.allows_room(room.id.as_str()) {
            state.retain(|stored| shown(stored));
        } else {
            state.clear();
        }
        let ephemeral = self.ephemeral(room, beside);
        let data = self.data(room, beside);
        let quiet = window.kept.is_empty() && !window.limited && state.is_empty() && !summarise;
        if quiet && !wanted.fresh && ephemeral.is_empty() && data.is_empty() {
            return Ok(());
        }
        self.remember(&state, window);

        json::key(out, room.id.as_str());
        out.push(b'{');
        let name = self.request.state_after.unwrap_or("state");
        json::events(out, name, &self.events(subject, &state)?);
        json::name(out, "timeline");
        out.extend_from_slice(b"{\"events\":[");
        out.extend_from_slice(&self.events(subject, &window.kept)?);
        out.extend_from_slice(b"],\"limited\":");
        out.extend_from_slice(if window.limited { b"true" } else { b"false" });
        // Nothing comes before the event that created the room.
        if window.kept.first().is_none_or(|first| first.pdu.kind() != "m.room.create") {
            let generation = self.inner.store.generation();
            let token = MessagesToken { generation, index: window.base + 1 };
            json::name(out, "prev_batch");
            json::string(out, &token.to_string());
        }
        out.push(b'}');
        json::events(out, "ephemeral", &ephemeral);
        json::events(out, "account_data", &data);
        if summarise {
            summary(subject.head, &heroes, out);
        }
        out.push(b'}');
        Ok(())
    }

    /// The state to be told, without the members that lazy loading adds.
    fn changes(&self, room: &Room, wanted: Wanted, window: &Window) -> Result<Vec<Arc<Stored>>, Error> {
        let at = self.state_index(wanted, window);
        let lazy = self.request.filter.room.state.lazy_load_members;
        let unwanted = !self.request.filter.room.state.allows_kind(MEMBER);
        let numbers = if wanted.full && (lazy || unwanted) {
            state::all_at_except(self.read, room.no, MEMBER, at)?
        } else if wanted.full {
            state::all_at(self.read, room.no, at)?
        } else if at > wanted.span.from {
            state::delta(self.read, room.no, wanted.span.from, at)?
        } else {
            vec![]
        };
        let mut events = self.inner.rooms.stored(self.read, room, &numbers)?;
        if self.request.state_after.is_none() {
            for hidden in &window.hidden {
                let key = |stored: &Stored| {
                    (stored.pdu.kind() == hidden.pdu.kind()) && (stored.pdu.state_key() == hidden.pdu.state_key())
                };
                events.retain(|stored| !key(stored));
                events.push(Arc::clone(hidden));
            }
        }
        Ok(events)
    }

    /// Up to and including the event of which index the state is told.
    fn state_index(&self, wanted: Wanted, window: &Window) -> i64 {
        if self.request.state_after.is_some() { wanted.span.end } else { window.base }
    }

    /// Adds the members without which a lazily loading client could not show what it is told.
    fn members(
        &self,
        room: &Room,
        wanted: Wanted,
        window: &Window,
        heroes: &[Arc<Stored>],
        state: &mut Vec<Arc<Stored>>,
    ) -> Result<(), Error> {
        let filter = &self.request.filter.room.state;
        let mut users: HashSet<&str> = window.kept.iter().map(|stored| stored.pdu.sender().as_str()).collect();
        users.extend(heroes.iter().filter_map(|hero| hero.pdu.state_key()));
        if wanted.full {
            users.insert(self.request.user_id.as_str());
        }
        // Those that changed are told anyway.
        for stored in state.iter().filter(|stored| is_member(stored)) {
            if let Some(user) = stored.pdu.state_key() {
                users.remove(user);
            }
        }
        let users: Vec<&str> = users.into_iter().collect();
        if users.is_empty() {
            return Ok(());
        }
        let at = self.state_index(wanted, window);
        let found = state::keys_at(self.read, room.no, MEMBER, &users, at)?;
        let redundant = |event: EventNo| match self.since {
            Some(since) if !wanted.full && !filter.include_redundant_members => {
                self.inner.sent.has(self.client, event, since)
            }
            _ => false,
        };
        let numbers: Vec<_> = found.into_iter().map(|(_, event)| event).filter(|event| !redundant(*event)).collect();
        state.extend(self.inner.rooms.stored(self.read, room, &numbers)?);
        Ok(())
    }

    /// Remembers which members the client is sent.
    fn remember(&self, state: &[Arc<Stored>], window: &Window) {
        if self.request.filter.room.state.lazy_load_members {
            let timeline = window.kept.iter().filter(|_| self.request.state_after.is_none());
            for stored in state.iter().chain(timeline).filter(|stored| is_member(stored)) {
                self.inner.sent.add(self.client, stored.no, self.to);
            }
        }
    }

    /// The member events of the room's heroes: those by whom a room without a name is called.
    fn heroes(&self, room: &Room) -> Result<Vec<Arc<Stored>>, Error> {
        // One more than are wanted, since the user is not one of them.
        let limit = HEROES + 1;
        for (first, second) in [(Membership::Join, Membership::Invite), (Membership::Leave, Membership::Ban)] {
            let mut rows = memberships::of_room_as(self.read, room.no, first, limit)?;
            rows.extend(memberships::of_room_as(self.read, room.no, second, limit)?);
            rows.retain(|row| row.user != self.request.user);
            rows.sort_unstable_by_key(|row| row.idx);
            rows.truncate(usize::try_from(HEROES).unwrap_or(0));
            if !rows.is_empty() {
                let numbers: Vec<_> = rows.iter().map(|row| row.event).collect();
                return Ok(self.inner.rooms.stored(self.read, room, &numbers)?);
            }
        }
        Ok(vec![])
    }

    /// Events as the client wants them, as the inside of a list.
    fn events(&self, subject: Subject<'_>, events: &[Arc<Stored>]) -> Result<Vec<u8>, Error> {
        let mut out = vec![];
        if events.is_empty() {
            return Ok(out);
        }
        let rooms = &self.inner.rooms;
        if self.request.filter.federation_format {
            for pdu in rooms.effective_all(self.read, events)? {
                json::comma(&mut out);
                out.extend_from_slice(pdu.json());
            }
            return Ok(out);
        }
        let reader = Reader {
            user: &self.request.user_id,
            user_no: self.request.user,
            device: Some(&self.request.device),
            now_ms: self.now_ms,
        };
        let form = ClientForm::WithoutRoomId;
        for rendered in rooms.render(self.read, subject.room, &reader, subject.vision, events, form)? {
            json::comma(&mut out);
            let pruned = self.request.filter.fields.as_ref().and_then(|fields| {
                let event: serde_json::Map<_, _> = serde_json::from_slice(&rendered.json).ok()?;
                serde_json::to_vec(&fields.prune(&event)).ok()
            });
            out.extend_from_slice(pruned.as_ref().unwrap_or(&rendered.json));
        }
        Ok(out)
    }
}

fn summary(head: &Head, heroes: &[Arc<Stored>], out: &mut Vec<u8>) {
    json::name(out, "summary");
    out.push(b'{');
    json::name(out, "m.heroes");
    out.push(b'[');
    for user in heroes.iter().filter_map(|hero| hero.pdu.state_key()) {
        json::comma(out);
        json::string(out, user);
    }
    out.push(b']');
    let counts = head.members.so_far();
    for (name, count) in [("m.joined_member_count", counts.joined), ("m.invited_member_count", counts.invited)] {
        json::name(out, name);
        json::number(out, u64::try_from(count).unwrap_or(0));
    }
    out.push(b'}');
}
