//! Creating rooms: all events of a new room are built in memory and committed as one, so that a room exists as it was
//! asked for or not at all.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom>

use std::sync::{Arc, atomic::Ordering};

use roost_matrix::{
    ids::{OwnedRoomId, OwnedUserId, RoomAliasId, RoomId, UserId},
    room_version::{RoomIds, RoomVersion, Rules},
};
use roost_store::{EventNo, Membership, RoomNo, Sequence};
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    Error, MemberProfile, NewEvent, Room, Rooms,
    commit::{NewRoom, NotCommitted, Plan},
    head::{Head, Step, Wanted},
    members::member_content,
    send::raw,
    surround::surround,
};

/// Ready-made combinations of join rules, history visibility and guest access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// By invitation.
    PrivateChat,
    /// Open to all.
    PublicChat,
    /// By invitation, and everybody invited has the creator's powers.
    TrustedPrivateChat,
}

/// A state event that a new room begins with.
#[derive(Clone, Debug)]
pub struct InitialState {
    /// The event type.
    pub kind: String,
    /// The state key.
    pub state_key: String,
    /// The content.
    pub content: Box<RawValue>,
}

/// What `createRoom` is asked.
#[derive(Clone, Debug)]
pub struct CreateRoom {
    /// Who creates it.
    pub creator: OwnedUserId,
    /// Their name and avatar.
    pub profile: MemberProfile,
    /// The room version; the server's default if none is named.
    pub version: Option<String>,
    /// The preset; if none is named it follows from `published`.
    pub preset: Option<Preset>,
    /// Whether the room directory shows it.
    pub published: bool,
    /// The localpart of an alias.
    pub alias: Option<String>,
    /// `m.room.name`.
    pub name: Option<String>,
    /// `m.room.topic`.
    pub topic: Option<String>,
    /// Who is invited, with their names and avatars.
    pub invites: Vec<(OwnedUserId, MemberProfile)>,
    /// Whether the invitations are to a direct chat.
    pub is_direct: bool,
    /// Further content of `m.room.create`.
    pub creation_content: Map<String, Value>,
    /// State events.
    pub initial_state: Vec<InitialState>,
    /// Laid over the power levels that the room would get.
    pub power_levels: Map<String, Value>,
}

impl CreateRoom {
    /// A private room with nothing in it but its creator.
    #[must_use]
    pub fn new(creator: &UserId) -> Self {
        Self {
            creator: creator.to_owned(),
            profile: MemberProfile::default(),
            version: None,
            preset: None,
            published: false,
            alias: None,
            name: None,
            topic: None,
            invites: Vec::new(),
            is_direct: false,
            creation_content: Map::new(),
            initial_state: Vec::new(),
            power_levels: Map::new(),
        }
    }
}

/// The events of a room that is to be, in order, the create event first.
pub(crate) struct Founding {
    pub(crate) rules: &'static Rules,
    pub(crate) creator: OwnedUserId,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) published: bool,
    pub(crate) alias: Option<String>,
}

impl Rooms {
    /// Creates a room.
    pub async fn create(&self, request: CreateRoom) -> Result<OwnedRoomId, Error> {
        let version = match &request.version {
            Some(version) => version.parse().map_err(|_| Error::UnsupportedVersion(version.clone()))?,
            None => self.0.options.default_room_version,
        };
        if let Some((user, _)) = request.invites.iter().find(|(user, _)| !self.is_local(user)) {
            // Until federation comes, nobody could tell them.
            return Err(Error::forbidden(format!("{user} is on another server, which can not be reached")));
        }
        for (user, _) in &request.invites {
            self.check_accepts_invites(user).await?;
        }
        let alias = match &request.alias {
            Some(localpart) => Some(self.local_alias(localpart)?),
            None => None,
        };
        let events = events(&request, version, alias.as_deref())?;
        let founding =
            Founding { rules: version.rules(), creator: request.creator, events, published: request.published, alias };
        Ok(self.found(founding).await?.id.clone())
    }

    fn local_alias(&self, localpart: &str) -> Result<String, Error> {
        let alias = format!("#{localpart}:{}", self.0.identity.server_name);
        // The specification forbids `:` and NUL; white space would only be confusing.
        let is_plain =
            !localpart.is_empty() && !localpart.contains([':', '\0']) && !localpart.contains(char::is_whitespace);
        if is_plain && RoomAliasId::parse(&alias).is_ok() {
            Ok(alias)
        } else {
            Err(Error::InvalidParam(format!("{alias} is not a room alias")))
        }
    }

    /// Builds and commits the events of a new room.
    pub(crate) async fn found(&self, founding: Founding) -> Result<Arc<Room>, Error> {
        for _ in 0..10 {
            if let Some(room) = self.try_to_found(&founding).await? {
                return Ok(room);
            }
        }
        Err(Error::Damaged("every room id was taken".to_owned()))
    }

    /// A moment that no other room of this process was created in: where the room's id is a hash of the create event, two
    /// rooms that are alike in everything must at least differ in that.
    fn moment(&self) -> u64 {
        let now = self.0.world.now_ms();
        let next = |last: u64| Some(last.saturating_add(1).max(now));
        match self.0.created_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(last) | Err(last) => last.saturating_add(1).max(now),
        }
    }

    /// `None` when another node has made a room with the same id in the same moment.
    async fn try_to_found(&self, founding: &Founding) -> Result<Option<Arc<Room>>, Error> {
        let rules = founding.rules;
        let no = RoomNo(self.0.store.take_numbers(Sequence::Room, 1).await?);
        let count = u32::try_from(founding.events.len()).map_err(|_| Error::TooLarge)?;
        let first = self.0.store.take_numbers(Sequence::Event, count).await?;
        let creator = self.0.store.user_no(&founding.creator).await?;
        let mut id = match rules.room_ids {
            RoomIds::CreateEvent => None,
            RoomIds::Chosen => {
                let id = format!("!{}:{}", self.0.world.random_text(18), self.0.identity.server_name);
                Some(RoomId::parse(id).map_err(|error| Error::Damaged(error.to_string()))?)
            }
        };

        let now = self.moment();
        let mut head = Head::new_room(no, rules);
        let mut built = Vec::with_capacity(founding.events.len());
        for (number, event) in (first..).zip(&founding.events) {
            let wanted = self.want_new(event.clone(), now).await?;
            match head.extend(&self.0.identity, id.as_deref(), EventNo(number), &wanted) {
                Ok(Step::Built(event)) => {
                    id.get_or_insert_with(|| event.stored.pdu.room_id().to_owned());
                    built.push(*event);
                }
                Ok(Step::Same(_)) => {}
                Ok(Step::Missing(_)) => return Err(Error::Damaged("a new room lacks state".to_owned())),
                Err(Error::Forbidden(why)) => {
                    return Err(Error::InvalidRoomState(format!("{} is not allowed: {why}", event.kind)));
                }
                Err(error) => return Err(error),
            }
        }
        let Some(id) = id else { return Err(Error::InvalidRoomState("it has no events".to_owned())) };

        let keys = self.intern_state_keys(built.iter().map(|built| &built.stored.pdu)).await?;
        let mut planner = self.0.states.planner(no);
        let rooms = self.clone();
        let (mut head, built, planner, chains) = self
            .0
            .store
            .read(move |read| {
                surround(read, &mut planner, &mut head, &mut built, &keys)?;
                let chains = rooms.index(read, no, &built, &keys)?;
                Ok::<_, Error>((head, built, planner, chains))
            })
            .await?;
        let new = NewRoom {
            room_id: id.to_string(),
            version: rules.version.as_str(),
            published: founding.published,
            creator,
            alias: founding.alias.clone(),
        };
        let states = planner.finish().await?;
        let plan = Arc::new(Plan::new(no, &mut head, built, states, Some(Arc::new(chains)), Some(new), now));
        let job = plan.clone();
        match self.0.store.write(move |tx| job.write(tx)).await {
            Ok(_) => {}
            Err(NotCommitted::Stale) => return Ok(None),
            Err(NotCommitted::Error(error)) => return Err(error),
        }
        for built in &plan.built {
            self.0.events.put(built.stored.clone());
        }
        self.room(&id).await.map(Some)
    }

    async fn want_new(&self, event: NewEvent, now: u64) -> Result<Wanted, Error> {
        let sender_no = self.0.store.user_no(&event.sender).await?;
        let member_no = match event.state_key.as_deref().filter(|_| event.kind == "m.room.member") {
            Some(key) => {
                let user = UserId::parse(key).map_err(|_| Error::InvalidParam(format!("{key} is not a user id")))?;
                Some(self.0.store.user_no(&user).await?)
            }
            None => None,
        };
        Ok(Wanted {
            sender: event.sender,
            sender_no,
            kind: event.kind,
            state_key: event.state_key,
            member_no,
            content: event.content,
            redacts: None,
            transaction: None,
            timestamp: now,
            expect: None,
        })
    }
}

fn events(request: &CreateRoom, version: RoomVersion, alias: Option<&str>) -> Result<Vec<NewEvent>, Error> {
    let rules = version.rules();
    let preset = request.preset.unwrap_or(if request.published { Preset::PublicChat } else { Preset::PrivateChat });
    let creator = &request.creator;
    let state = |kind: &str, state_key: &str, content: Value| {
        Ok::<_, Error>(NewEvent::state(creator, kind, state_key, raw(&content)?))
    };

    let mut events = vec![
        state("m.room.create", "", Value::Object(create_content(request, rules, preset)))?,
        NewEvent::state(
            creator,
            "m.room.member",
            creator.as_str(),
            member_content(Membership::Join, &request.profile, false)?,
        ),
        state("m.room.power_levels", "", Value::Object(power_levels(request, rules, preset)))?,
    ];
    if let Some(alias) = alias {
        events.push(state("m.room.canonical_alias", "", json!({ "alias": alias }))?);
    }

    let (join_rule, guests) = match preset {
        Preset::PrivateChat | Preset::TrustedPrivateChat => ("invite", "can_join"),
        Preset::PublicChat => ("public", "forbidden"),
    };
    for (kind, content) in [
        ("m.room.join_rules", json!({ "join_rule": join_rule })),
        ("m.room.history_visibility", json!({ "history_visibility": "shared" })),
        ("m.room.guest_access", json!({ "guest_access": guests })),
    ] {
        // What the initial state says itself takes the preset's place.
        if !request.initial_state.iter().any(|initial| initial.kind == kind && initial.state_key.is_empty()) {
            events.push(state(kind, "", content)?);
        }
    }
    for initial in &request.initial_state {
        let is_overwritten = initial.state_key.is_empty()
            && match initial.kind.as_str() {
                "m.room.name" => request.name.is_some(),
                "m.room.topic" => request.topic.is_some(),
                _ => false,
            };
        if !is_overwritten {
            events.push(NewEvent::state(creator, &initial.kind, &initial.state_key, initial.content.clone()));
        }
    }
    if let Some(name) = &request.name {
        events.push(state("m.room.name", "", json!({ "name": name }))?);
    }
    if let Some(topic) = &request.topic {
        let content = json!({ "topic": topic, "m.topic": { "m.text": [{ "body": topic, "mimetype": "text/plain" }] } });
        events.push(state("m.room.topic", "", content)?);
    }
    for (user, profile) in &request.invites {
        let content = member_content(Membership::Invite, profile, request.is_direct)?;
        events.push(NewEvent::state(creator, "m.room.member", user.as_str(), content));
    }
    Ok(events)
}

fn create_content(request: &CreateRoom, rules: &Rules, preset: Preset) -> Map<String, Value> {
    let mut content = request.creation_content.clone();
    content.remove("creator");
    content.insert("room_version".to_owned(), rules.version.as_str().into());
    if rules.auth.creator_in_content {
        content.insert("creator".to_owned(), request.creator.as_str().into());
    }
    if rules.auth.privileged_creators && preset == Preset::TrustedPrivateChat {
        let mut creators = match content.remove("additional_creators") {
            Some(Value::Array(creators)) => creators,
            None => Vec::new(),
            // Not a list: the authorisation rules refuse it.
            Some(other) => {
                content.insert("additional_creators".to_owned(), other);
                return content;
            }
        };
        for (user, _) in &request.invites {
            let user = Value::from(user.as_str());
            if !creators.contains(&user) {
                creators.push(user);
            }
        }
        if !creators.is_empty() {
            content.insert("additional_creators".to_owned(), creators.into());
        }
    }
    content
}

fn power_levels(request: &CreateRoom, rules: &Rules, preset: Preset) -> Map<String, Value> {
    let mut users = Map::new();
    if !rules.auth.privileged_creators {
        users.insert(request.creator.to_string(), 100.into());
        if preset == Preset::TrustedPrivateChat {
            users.extend(request.invites.iter().map(|(user, _)| (user.to_string(), 100.into())));
        }
    }
    // Above `state_default` where creators stand above everything: closing a room is theirs.
    let tombstone = if rules.auth.privileged_creators { 150 } else { 100 };
    let invite = if preset == Preset::PublicChat { 50 } else { 0 };
    let content = json!({
        "ban": 50,
        "events": {
            "m.room.avatar": 50,
            "m.room.canonical_alias": 50,
            "m.room.encryption": 100,
            "m.room.history_visibility": 100,
            "m.room.name": 50,
            "m.room.power_levels": 100,
            "m.room.server_acl": 100,
            "m.room.tombstone": tombstone,
        },
        "events_default": 0,
        "invite": invite,
        "kick": 50,
        "redact": 50,
        "state_default": 50,
        "users": users,
        "users_default": 0,
    });
    let mut content = match content {
        Value::Object(content) => content,
        _ => Map::new(),
    };
    content.extend(request.power_levels.clone());
    content
}

#[cfg(test)]
mod tests;
