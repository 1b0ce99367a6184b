//! From what changed to the bytes of an answer, in one snapshot.

use std::collections::{HashMap, HashSet};

use roost_matrix::ids::OwnedUserId;
use roost_rooms::{Membership, Room};
use roost_store::{
    Position, Read, RoomNo,
    account_data::{self, AccountData},
    memberships,
    receipts::{self, Receipt},
    rooms,
};
use roost_users::PushRules;

use crate::{
    Error, Inner, SyncRequest,
    answer::Answer,
    ephemeral, json,
    lazy::Client,
    tail::{News, Touched},
};

mod room;

use room::Subject;

const PUSH_RULES: &str = "m.push_rules";

/// What an answer is made from, besides the tables.
#[derive(Debug)]
pub(crate) struct Ingredients {
    /// What the client has seen; `None` for nothing.
    pub(crate) since: Option<Position>,
    /// Whether the client comes with a token that means nothing any more: it is told of the rooms it has lost, too.
    pub(crate) stale: bool,
    /// What the tail says.
    pub(crate) news: News,
    /// Who is typing, of the rooms where that is to be told.
    pub(crate) typing: HashMap<RoomNo, Vec<OwnedUserId>>,
}

/// Assembles one answer.
struct Assembly<'a> {
    inner: &'a Inner,
    read: &'a Read<'a>,
    request: &'a SyncRequest,
    since: Option<Position>,
    to: Position,
    client: Client,
    ignored: HashSet<OwnedUserId>,
    now_ms: u64,
}

/// Everything beside the events that is told of one room.
#[derive(Debug, Default)]
struct Beside<'a> {
    data: &'a [AccountData],
    receipts: &'a [Receipt],
    typing: Option<&'a [OwnedUserId]>,
}

impl Beside<'_> {
    fn is_empty(&self) -> bool {
        self.data.is_empty() && self.receipts.is_empty() && self.typing.is_none()
    }
}

/// Puts the answer together.
pub(crate) fn assemble(
    inner: &Inner,
    read: &Read<'_>,
    request: &SyncRequest,
    ingredients: &Ingredients,
) -> Result<Answer, Error> {
    let news = &ingredients.news;
    let client = Client::new(request.user, &request.device);
    if ingredients.since.is_none() {
        inner.sent.begin(client, news.to);
    }
    let mut assembly = Assembly {
        inner,
        read,
        request,
        since: ingredients.since,
        to: news.to,
        client,
        ignored: HashSet::new(),
        now_ms: inner.world.now_ms(),
    };
    let mut answer = Answer::default();
    let data = assembly.account_data(news, &mut answer)?;
    if news.rooms.iter().any(|touched| touched.events || touched.receipts) || !ingredients.typing.is_empty() {
        assembly.ignored = ignored_users(read, request)?;
    }
    assembly.rooms(ingredients, &data, &mut answer)?;
    Ok(answer)
}

impl Assembly<'_> {
    /// Writes the global account data; returns that of rooms.
    fn account_data(&self, news: &News, answer: &mut Answer) -> Result<HashMap<RoomNo, Vec<AccountData>>, Error> {
        let mut of_rooms: HashMap<RoomNo, Vec<AccountData>> = HashMap::new();
        let filter = &self.request.filter.account_data;
        let initial = self.since.is_none();
        let mut push_rules = false;
        let mut write = |kind: &str, content: &str| {
            // Nobody but the user sends account data.
            if filter.allows(kind, self.request.user_id.as_str(), content) {
                json::basic_event(&mut answer.account_data, kind, content);
            }
        };
        // A room that was joined since is told as a whole, also what the user has noted about it before.
        let new_rooms: HashSet<RoomNo> =
            news.rooms.iter().filter(|touched| self.is_new(touched)).map(|it| it.room).collect();
        let after = if new_rooms.is_empty() { self.since.unwrap_or(Position::START) } else { Position::START };
        if news.data || !new_rooms.is_empty() || initial {
            for data in account_data::changed(self.read, self.request.user, after, self.to)? {
                let news = self.since.is_none_or(|since| data.position > since);
                match data.room {
                    Some(room) if news || new_rooms.contains(&room) => of_rooms.entry(room).or_default().push(data),
                    // With the server's own rules as they are today.
                    None if news && data.kind == PUSH_RULES => {
                        push_rules = true;
                        let rules = PushRules::of(Some(&data.content), &self.request.user_id);
                        write(PUSH_RULES, &rules.to_json());
                    }
                    None if news => write(&data.kind, &data.content),
                    _ => {}
                }
            }
        }
        if initial && !push_rules {
            write(PUSH_RULES, &PushRules::of(None, &self.request.user_id).to_json());
        }
        Ok(of_rooms)
    }

    fn rooms(
        &self,
        ingredients: &Ingredients,
        data: &HashMap<RoomNo, Vec<AccountData>>,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        let remembered = self.remembered(ingredients)?;
        let receipts = self.receipts(&ingredients.news)?;
        let beside = |no: &RoomNo| Beside {
            data: data.get(no).map_or(&[][..], Vec::as_slice),
            receipts: receipts.get(no).map_or(&[][..], Vec::as_slice),
            typing: ingredients.typing.get(no).map(Vec::as_slice),
        };
        let wanted = |touched: &&Touched| match touched.member.membership {
            Membership::Leave | Membership::Ban => {
                remembered.contains(&touched.room) || self.since.is_some_and(|since| touched.member.position > since)
            }
            _ => touched.events || self.request.full_state || !beside(&touched.room).is_empty(),
        };
        let touched: Vec<&Touched> = ingredients.news.rooms.iter().filter(wanted).collect();
        let numbers: Vec<RoomNo> = touched.iter().map(|touched| touched.room).collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let heads: HashMap<_, _> =
            rooms::many(self.read, &numbers)?.into_iter().map(|row| (row.room, row.head)).collect();
        let visions = self.inner.rooms.visions(self.read, &numbers, &self.request.user_id)?;
        // Who does not load members lazily is given a room when all of them are known, and then as a whole.
        let whole_at: HashMap<_, _> = match self.since {
            Some(_) if !self.is_lazy() => rooms::whole_at(self.read, &numbers)?.into_iter().collect(),
            _ => HashMap::new(),
        };
        let rooms: HashMap<_, _> =
            self.inner.rooms.rooms_in(self.read, &numbers)?.into_iter().map(|room| (room.no, room)).collect();
        for touched in touched {
            let no = touched.room;
            let (Some(room), Some(head), Some(vision)) = (rooms.get(&no), heads.get(&no), visions.get(&no)) else {
                continue;
            };
            if !self.request.filter.room.allows(room.id.as_str()) {
                continue;
            }
            // Without all its members a room would look like another one to who does not load them lazily.
            if head.members.is_partial() && !self.is_lazy() && touched.member.membership == Membership::Join {
                continue;
            }
            let left = self.inner.options.answer_bytes.saturating_sub(answer.len());
            let renewed = whole_at.get(&no).is_some_and(|at| self.since.is_some_and(|since| *at > since));
            let subject = Subject { room, head, vision, touched, left, renewed };
            match touched.member.membership {
                Membership::Join => self.joined(subject, &beside(&no), &mut answer.join)?,
                Membership::Invite => self.invited(subject, &mut answer.invite)?,
                Membership::Knock => self.knocked(subject, &mut answer.knock)?,
                Membership::Leave | Membership::Ban => self.left(subject, &beside(&no), &mut answer.leave)?,
            }
        }
        Ok(())
    }

    fn is_lazy(&self) -> bool {
        self.request.filter.room.state.lazy_load_members
    }

    /// Whether the room was joined after what the client has seen, so that it is told as a whole.
    fn is_new(&self, touched: &Touched) -> bool {
        touched.member.membership == Membership::Join && self.since.is_none_or(|since| touched.member.position > since)
    }

    /// The rooms that were left earlier and are to be shown nevertheless: never those that the user has forgotten.
    fn remembered(&self, ingredients: &Ingredients) -> Result<HashSet<RoomNo>, Error> {
        let anew = self.since.is_none() || self.request.full_state;
        if !(ingredients.stale || anew && self.request.filter.room.include_leave) {
            return Ok(HashSet::new());
        }
        let rows = memberships::of_user(self.read, self.request.user)?;
        Ok(rows.into_iter().filter(|row| !row.forgotten).map(|row| row.room).collect())
    }

    /// The new receipts of the rooms that have some.
    fn receipts(&self, news: &News) -> Result<HashMap<RoomNo, Vec<Receipt>>, Error> {
        let mut all: HashMap<RoomNo, Vec<Receipt>> = HashMap::new();
        if !self.request.filter.room.ephemeral.allows_kind("m.receipt") {
            return Ok(all);
        }
        let joined =
            news.rooms.iter().filter(|touched| touched.receipts && touched.member.membership == Membership::Join);
        let (new, old): (Vec<_>, Vec<_>) = joined.partition(|touched| self.is_new(touched));
        for (list, after) in [(new, Position::START), (old, self.since.unwrap_or(Position::START))] {
            let rooms: Vec<_> = list.into_iter().map(|touched: &Touched| touched.room).collect();
            if !rooms.is_empty() {
                for receipt in receipts::of_rooms(self.read, &rooms, self.request.user, after, self.to)? {
                    if !self.ignored.contains(&receipt.user_id) {
                        all.entry(receipt.room).or_default().push(receipt);
                    }
                }
            }
        }
        Ok(all)
    }

    /// Typing notifications and receipts, as a list of events.
    fn ephemeral(&self, room: &Room, beside: &Beside<'_>) -> Vec<u8> {
        let mut out = vec![];
        let filter = &self.request.filter.room.ephemeral;
        if !filter.allows_room(room.id.as_str()) {
            return out;
        }
        if let Some(typing) = beside.typing
            && filter.allows_kind("m.typing")
        {
            let shown = typing.iter().filter(|user| !self.ignored.contains(*user));
            ephemeral::typing(&mut out, shown.map(|user| user.as_str()));
        }
        // Those of kinds that are filtered out were not read.
        ephemeral::receipts(
            &mut out,
            beside.receipts.iter().map(|receipt| ephemeral::Receipt {
                user: receipt.user_id.as_str(),
                kind: receipt.kind(),
                event: receipt.event_id.as_str(),
                thread: receipt.thread.as_deref(),
                ts: receipt.ts,
            }),
        );
        out
    }

    /// A room's account data, as a list of events.
    fn data(&self, room: &Room, beside: &Beside<'_>) -> Vec<u8> {
        let mut out = vec![];
        let filter = &self.request.filter.room.account_data;
        if filter.allows_room(room.id.as_str()) {
            for data in beside.data {
                if filter.allows(&data.kind, self.request.user_id.as_str(), &data.content) {
                    json::basic_event(&mut out, &data.kind, &data.content);
                }
            }
        }
        out
    }
}

/// Whom the user wants to hear nothing from.
///
/// <https://spec.matrix.org/v1.19/client-server-api/#ignoring-users>
fn ignored_users(read: &Read<'_>, request: &SyncRequest) -> Result<HashSet<OwnedUserId>, Error> {
    #[derive(serde::Deserialize)]
    struct Content {
        #[serde(default)]
        ignored_users: serde_json::Map<String, serde_json::Value>,
    }
    let content = account_data::get(read, request.user, None, "m.ignored_user_list")?;
    // What a client has written there may be anything; what is not understood ignores nobody.
    let content = content.and_then(|content: String| serde_json::from_str::<Content>(&content).ok());
    let users = content.into_iter().flat_map(|content| content.ignored_users.into_iter().map(|(user, _)| user));
    Ok(users.filter_map(|user| user.try_into().ok()).filter(|user| *user != request.user_id).collect())
}
