//! Joining and leaving rooms across servers: from either side.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#joining-rooms>,
//! <https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites>

use std::{sync::Arc, time::Duration};

use http::Method;
use roost_matrix::{
    event::{Draft, Pdu},
    ids::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, RoomId, ServerName, UserId},
    room_version::RoomVersion,
    signing::countersign,
};
use roost_net::client::Limits;
use roost_rooms::{Admitted, Adoption, MemberProfile, NewEvent, Nobody, Outcome, Room};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    Error, Exchange,
    path::{path, query},
};

/// Where a join says who vouches for it.
const VOUCHER: &str = "join_authorised_via_users_server";
/// What a join may take: the state of the largest rooms.
const JOIN: Limits = Limits { bytes: 512 << 20, silence: Duration::from_secs(60), total: Duration::from_secs(300) };

/// A membership that servers agree on with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// `make_join`, `send_join`.
    Join,
    /// `make_leave`, `send_leave`.
    Leave,
}

impl Handshake {
    fn membership(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
        }
    }
}

/// What a server is answered that has joined.
#[derive(Debug)]
pub struct Answered {
    /// The event as it was accepted.
    pub event: Pdu,
    /// The state before it.
    pub state: Vec<Pdu>,
    /// The auth chain of that state, without what is part of the state.
    pub auth_chain: Vec<Pdu>,
    /// Whether member events were left out.
    pub members_omitted: bool,
    /// The servers that are in the room, when they can not be told from the state.
    pub servers_in_room: Vec<OwnedServerName>,
}

#[derive(Deserialize)]
struct Made {
    room_version: Option<String>,
    event: Box<RawValue>,
}

#[derive(Deserialize)]
struct Joined {
    #[serde(default)]
    state: Vec<Box<RawValue>>,
    #[serde(default)]
    auth_chain: Vec<Box<RawValue>>,
    event: Option<Box<RawValue>>,
    #[serde(default)]
    members_omitted: bool,
    #[serde(default)]
    servers_in_room: Vec<OwnedServerName>,
}

impl Exchange {
    /// Joins a room that nobody of this server is in, through one of the servers. Its members may still be arriving afterwards.
    pub async fn join(
        &self,
        room: &RoomId,
        user: &UserId,
        profile: &MemberProfile,
        reason: Option<&str>,
        via: &[OwnedServerName],
    ) -> Result<Arc<Room>, Error> {
        let mut last = Error::Nobody;
        for server in self.candidates(via) {
            match self.join_through(server, room, user, profile, reason).await {
                Ok(room) => return Ok(room),
                Err(error) => {
                    tracing::debug!(%server, %error, "a room could not be joined through a server");
                    last = error;
                }
            }
        }
        Err(last)
    }

    async fn join_through(
        &self,
        server: &ServerName,
        room: &RoomId,
        user: &UserId,
        profile: &MemberProfile,
        reason: Option<&str>,
    ) -> Result<Arc<Room>, Error> {
        let asked = path(&["federation", "v1", "make_join", room.as_str(), user.as_str()]);
        let versions: Vec<_> = RoomVersion::ALL.iter().map(|version| ("ver", version.as_str())).collect();
        let template: Made = self.ask(server, Method::GET, &query(&asked, &versions), None, Limits::default()).await?;
        // Servers that do not say it are from before there were versions.
        let version = template.room_version.as_deref().unwrap_or("1");
        let wrong = |why: String| Error::Answer { server: server.to_owned(), why };
        let version: RoomVersion = version.parse().map_err(|_| wrong(format!("room version {version}")))?;
        let rules = version.rules();
        let mut draft =
            Draft::from_template(template.event.get().as_bytes(), rules).map_err(|error| wrong(error.to_string()))?;
        let is_ours = draft.kind == "m.room.member"
            && draft.state_key.as_deref() == Some(user.as_str())
            && draft.sender == user
            && draft.room_id.as_deref() == Some(room);
        let content: Map<String, Value> =
            serde_json::from_str(draft.content.get()).map_err(|error| wrong(error.to_string()))?;
        if !is_ours || content.get("membership").and_then(Value::as_str) != Some("join") {
            return Err(wrong("the event is no join of this user".to_owned()));
        }
        // What is ours to say is said by us; who vouches for a join is theirs.
        let mut own = Map::new();
        own.insert("membership".to_owned(), "join".into());
        for (key, value) in [
            ("displayname", profile.displayname.as_deref()),
            ("avatar_url", profile.avatar_url.as_deref()),
            ("reason", reason),
        ] {
            own.extend(value.map(|value| (key.to_owned(), value.into())));
        }
        own.extend(content.get(VOUCHER).map(|voucher| (VOUCHER.to_owned(), voucher.clone())));
        draft.content = serde_json::value::to_raw_value(&own).map_err(|error| wrong(error.to_string()))?;
        draft.origin_server_ts = self.federation.world().now_ms();
        let identity = self.federation.peers.identity();
        let join = draft
            .seal(rules, &identity.server_name, &identity.key)
            .map_err(|error| wrong(format!("an event that can not be signed: {error}")))?;

        let send = path(&["federation", "v2", "send_join", room.as_str(), join.event_id().as_str()]);
        let send = query(&send, &[("omit_members", "true")]);
        let joined: Joined = self.ask(server, Method::PUT, &send, Some(join.as_str().to_owned()), JOIN).await?;
        // A server that vouches for the join has signed it, too.
        let join = match joined.event.as_ref().map(|raw| Pdu::parse(raw.get().as_bytes(), rules)) {
            Some(Ok(signed)) if signed.event_id() == join.event_id() => signed,
            _ => join,
        };
        let mut servers = vec![server.to_owned()];
        servers.extend(joined.servers_in_room.into_iter().filter(|other| other != server).take(1000));
        let adoption = Adoption {
            origin: server.to_owned(),
            version,
            join,
            state: self.verified(rules, &joined.state).await?,
            auth_chain: self.verified(rules, &joined.auth_chain).await?,
            partial: joined.members_omitted.then(|| servers.clone()),
        };
        let room = self.rooms.adopt(adoption).await?;
        if joined.members_omitted {
            self.complete_in_background(room.clone(), servers);
        }
        Ok(room)
    }

    /// Fetches the members that a join left out, until it is done; a restart takes it up again.
    pub fn complete_in_background(&self, room: Arc<Room>, servers: Vec<OwnedServerName>) {
        let exchange = self.clone();
        let world = self.federation.world().clone();
        world.executor.clone().spawn(
            "members of a joined room",
            Box::pin(async move {
                let mut pause = Duration::from_secs(1);
                loop {
                    match exchange.rooms.complete(&room, &exchange.asking_only(servers.clone())).await {
                        Ok(()) | Err(roost_rooms::Error::Stopping) => return,
                        Err(error) => tracing::warn!(room = %room.id, %error, "members of a room could not be fetched"),
                    }
                    world.clock.sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(3600));
                }
            }),
        );
    }

    /// The servers to which an alias of another server points, with the room.
    /// <https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1querydirectory>
    pub async fn resolve_alias(
        &self,
        server: &ServerName,
        alias: &str,
    ) -> Result<(OwnedRoomId, Vec<OwnedServerName>), Error> {
        #[derive(Deserialize)]
        struct Found {
            room_id: OwnedRoomId,
            #[serde(default)]
            servers: Vec<OwnedServerName>,
        }
        let path = query(&path(&["federation", "v1", "query", "directory"]), &[("room_alias", alias)]);
        let Found { room_id, mut servers } = self.ask(server, Method::GET, &path, None, Limits::default()).await?;
        servers.truncate(1000);
        if !servers.iter().any(|known| known == server) {
            servers.push(server.to_owned());
        }
        Ok((room_id, servers))
    }

    /// The event that a user of another server is to sign: `make_join`, `make_leave`. The answer's `event`, and the room's version.
    pub async fn make(
        &self,
        origin: &ServerName,
        room: &RoomId,
        user: &UserId,
        handshake: Handshake,
        versions: &[String],
    ) -> Result<(String, RoomVersion), Error> {
        let room = self.rooms.room(room).await?;
        let version = room.rules.version;
        if handshake == Handshake::Join && !versions.iter().any(|known| known == version.as_str()) {
            return Err(Error::Incompatible(version));
        }
        if user.server_name() != origin {
            return Err(roost_rooms::Error::Forbidden("The user is not of your server".to_owned()).into());
        }
        self.check_admitted(&room, origin).await?;
        let content = json!({ "membership": handshake.membership() });
        let content = serde_json::value::to_raw_value(&content)
            .map_err(|error| roost_rooms::Error::BadJson(error.to_string()))?;
        let event = NewEvent::state(user, "m.room.member", user.as_str(), content);
        let draft = self.rooms.draft(&room, event).await?;
        let template = draft.template(room.rules).map_err(|error| roost_rooms::Error::BadJson(error.to_string()))?;
        Ok((template, version))
    }

    async fn check_admitted(&self, room: &Arc<Room>, server: &ServerName) -> Result<(), Error> {
        match self.rooms.admits(room, server).await? {
            Admitted::Denied => {
                let why = "The room's access control list shuts your server out".to_owned();
                Err(roost_rooms::Error::Forbidden(why).into())
            }
            Admitted::Inside | Admitted::Outside => Ok(()),
        }
    }

    /// Takes in the signed event: `send_join`, `send_leave`. For a leave the state is empty.
    pub async fn take(
        &self,
        origin: &ServerName,
        room: &RoomId,
        event: &EventId,
        body: &[u8],
        handshake: Handshake,
        omit_members: bool,
    ) -> Result<Answered, Error> {
        let room = self.rooms.room(room).await?;
        self.check_admitted(&room, origin).await?;
        let bad = |why: &str| Error::Rooms(roost_rooms::Error::InvalidParam(why.to_owned()));
        let pdu = Pdu::parse(body, room.rules)
            .map_err(|error| Error::Rooms(roost_rooms::Error::BadJson(format!("This is not an event: {error}"))))?;
        if pdu.event_id() != event || pdu.room_id() != room.id {
            return Err(bad("The event is another one than the path says"));
        }
        let membership = pdu.content_member("membership").and_then(|json| serde_json::from_str::<String>(json).ok());
        let is_own = pdu.kind() == "m.room.member"
            && pdu.state_key() == Some(pdu.sender().as_str())
            && membership.as_deref() == Some(handshake.membership());
        if !is_own || pdu.sender().server_name() != origin {
            return Err(bad("The event is no such membership of a user of your server"));
        }
        // Who was named to vouch for it is of this server, which signs when the rules have let it.
        let pdu = self.vouch(&room, pdu)?;
        let verified = self.verify(vec![pdu]).await?.pop();
        let pdu = match verified {
            Some(Ok(pdu)) => pdu,
            Some(Err(error)) => return Err(roost_rooms::Error::Forbidden(error.to_string()).into()),
            None => return Err(Error::Nobody),
        };
        let id = pdu.event_id().to_owned();
        let became = self.rooms.receive(&room, &origin.to_owned(), vec![pdu.clone()], &Nobody).await?;
        match became.into_iter().next() {
            Some((_, Outcome::Accepted(at))) => self.pass_on(&room, origin, &pdu, at).await?,
            Some((_, Outcome::Known)) => {}
            Some((_, Outcome::Rejected(why) | Outcome::SoftFailed(why))) => {
                return Err(roost_rooms::Error::Forbidden(why).into());
            }
            Some((_, Outcome::Missing)) | None => {
                return Err(bad("The event builds on events that are not known here"));
            }
        }
        if handshake == Handshake::Leave {
            let (state, auth_chain, servers_in_room) = (Vec::new(), Vec::new(), Vec::new());
            return Ok(Answered { event: pdu, state, auth_chain, members_omitted: false, servers_in_room });
        }
        self.answer(&room, pdu, &id, omit_members).await
    }

    /// Signs a join for which a user of this server vouches. Only a template of ours names one of ours ([`Exchange::make`] looks
    /// whether the user is in one of the rooms that open this one), and the rules check that they may invite.
    fn vouch(&self, room: &Room, pdu: Pdu) -> Result<Pdu, Error> {
        let named = pdu.content_member(VOUCHER);
        let user = named.and_then(|json| serde_json::from_str::<roost_matrix::ids::OwnedUserId>(json).ok());
        if !room.rules.auth.restricted || user.is_none_or(|user| user.server_name() != self.server_name()) {
            return Ok(pdu);
        }
        let identity = self.federation.peers.identity();
        countersign(&pdu, &identity.server_name, &identity.key)
            .map_err(|error| Error::Rooms(roost_rooms::Error::BadJson(error.to_string())))
    }

    async fn answer(&self, room: &Arc<Room>, event: Pdu, id: &EventId, omit_members: bool) -> Result<Answered, Error> {
        let ids = self.rooms.state_ids(room, id).await?.unwrap_or_default();
        let mut state = self.rooms.pdus(room, &ids.state).await?;
        let mut chain_ids = ids.auth_chain;
        let servers_in_room = match self.rooms.servers(room).await? {
            // Whoever does not know all members can not answer for them.
            roost_rooms::Known::Partial(_) => return Err(roost_rooms::Error::Partial.into()),
            roost_rooms::Known::Whole(servers) => servers,
        };
        if omit_members {
            state.retain(|pdu| pdu.kind() != "m.room.member");
            // What is left, and the join, goes back to fewer events.
            let mut of: Vec<OwnedEventId> = state.iter().map(|pdu| pdu.event_id().to_owned()).collect();
            of.push(id.to_owned());
            chain_ids = self.rooms.auth_chain_ids(room, &of).await?;
        }
        let told: std::collections::BTreeSet<&EventId> = state.iter().map(Pdu::event_id).collect();
        chain_ids.retain(|id| !told.contains(&**id));
        let auth_chain = self.rooms.pdus(room, &chain_ids).await?;
        Ok(Answered { event, state, auth_chain, members_omitted: omit_members, servers_in_room })
    }
}
