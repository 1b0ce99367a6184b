//! Sending: from what a client wants said to a request that the room's appender understands.

use std::{collections::HashSet, sync::Arc, time::Duration};

use roost_matrix::ids::{DeviceId, EventId, OwnedDeviceId, OwnedEventId, OwnedUserId, RoomAliasId, RoomId, UserId};
use roost_store::{account_data, aliases, transactions::TransactionKey};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    Appended, Error, Room, Rooms, Stored,
    head::{Expect, Wanted},
    summary::text_of,
};

/// An event to be appended.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Who says it.
    pub sender: OwnedUserId,
    /// The event type.
    pub kind: String,
    /// The state key of a state event.
    pub state_key: Option<String>,
    /// The content, a JSON object.
    pub content: Box<RawValue>,
    /// What a redaction redacts, where the content does not say it.
    pub redacts: Option<OwnedEventId>,
    /// The transaction id, for events that a device may send twice.
    pub transaction: Option<Transaction>,
    /// The time in milliseconds since the epoch, where it is not now.
    pub timestamp: Option<u64>,
}

impl NewEvent {
    /// A state event.
    #[must_use]
    pub fn state(sender: &UserId, kind: &str, state_key: &str, content: Box<RawValue>) -> Self {
        Self { state_key: Some(state_key.to_owned()), ..Self::message(sender, kind, content, None) }
    }

    /// A message event.
    #[must_use]
    pub fn message(sender: &UserId, kind: &str, content: Box<RawValue>, transaction: Option<Transaction>) -> Self {
        Self {
            sender: sender.to_owned(),
            kind: kind.to_owned(),
            state_key: None,
            content,
            redacts: None,
            transaction,
            timestamp: None,
        }
    }
}

/// A transaction id with its scope.
/// <https://spec.matrix.org/v1.19/client-server-api/#transaction-identifiers>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The device that sends.
    pub device: OwnedDeviceId,
    /// The endpoint with its path parameters other than the room and the transaction id.
    pub endpoint: String,
    /// The id.
    pub txn_id: String,
}

impl Transaction {
    /// Of `PUT …/send/{eventType}/{txnId}`.
    #[must_use]
    pub fn send(device: &DeviceId, kind: &str, txn_id: &str) -> Self {
        Self { device: device.to_owned(), endpoint: format!("send/{kind}"), txn_id: txn_id.to_owned() }
    }

    /// Of `PUT …/redact/{eventId}/{txnId}`.
    #[must_use]
    pub fn redact(device: &DeviceId, event: &EventId, txn_id: &str) -> Self {
        Self { device: device.to_owned(), endpoint: format!("redact/{event}"), txn_id: txn_id.to_owned() }
    }
}

/// How long a request waits for the members of a room that are still being fetched.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Where a join says who vouches for it.
pub(crate) const AUTHORISER: &str = "join_authorised_via_users_server";

/// JSON that is known to serialise.
pub(crate) fn raw(value: &Value) -> Result<Box<RawValue>, Error> {
    serde_json::value::to_raw_value(value).map_err(|error| Error::BadJson(error.to_string()))
}

pub(crate) fn object(content: &RawValue) -> Result<Map<String, Value>, Error> {
    serde_json::from_str(content.get()).map_err(|_| Error::BadJson("The content must be a JSON object".to_owned()))
}

impl Rooms {
    /// Appends an event to a room and answers once it is committed.
    pub async fn append(&self, room: &RoomId, event: NewEvent) -> Result<Appended, Error> {
        self.append_if(room, event, None).await
    }

    /// A member event as it was asked for. Who vouches for a join is the server's to say: it signs for all of its
    /// users, so that whoever could name one of them would walk past every `restricted` join rule.
    async fn vouched(&self, room: &Arc<Room>, event: &mut NewEvent) -> Result<(), Error> {
        let mut content = object(&event.content)?;
        let membership = content.get("membership").and_then(Value::as_str);
        if membership == Some("invite")
            && let Some(Ok(target)) = event.state_key.as_deref().map(UserId::parse)
        {
            self.check_accepts_invites(&target).await?;
        }
        let joins = membership == Some("join") && event.state_key.as_deref() == Some(event.sender.as_str());
        let named = content.remove(AUTHORISER).is_some();
        let authoriser = if joins { self.authoriser(room, &event.sender).await? } else { None };
        if named || authoriser.is_some() {
            content.extend(authoriser.map(|user| (AUTHORISER.to_owned(), user.as_str().into())));
            event.content = raw(&Value::Object(content))?;
        }
        Ok(())
    }

    /// Refuses to invite a user who has blocked all invitations.
    /// <https://spec.matrix.org/v1.19/client-server-api/#invite-permission>
    pub(crate) async fn check_accepts_invites(&self, user: &UserId) -> Result<(), Error> {
        let no = self.0.store.user_no(user).await?;
        let config = self
            .0
            .store
            .read(move |read| account_data::get(read, no, None, "m.invite_permission_config").map_err(Error::from))
            .await?;
        let config = config.and_then(|config| serde_json::from_str::<Value>(&config).ok());
        if config.is_some_and(|config| config.get("default_action").and_then(Value::as_str) == Some("block")) {
            return Err(Error::InviteBlocked(user.to_string()));
        }
        Ok(())
    }

    pub(crate) async fn append_if(
        &self,
        room: &RoomId,
        event: NewEvent,
        expect: Option<Expect>,
    ) -> Result<Appended, Error> {
        let room = self.room(room).await.map_err(|error| match error {
            // Whether a room exists is nobody's business who is not in it.
            Error::UnknownRoom => Error::forbidden("You are not in this room"),
            other => other,
        })?;
        if event.kind == "m.room.member" {
            // Whether somebody is banned can only be told when everybody is known.
            self.wait_until_whole(&room, PATIENCE).await?;
        }
        let wanted = self.want(&room, event, expect).await?;
        self.enqueue(&room, wanted).await
    }

    pub(crate) async fn want(
        &self,
        room: &Arc<Room>,
        mut event: NewEvent,
        expect: Option<Expect>,
    ) -> Result<Wanted, Error> {
        // Where something is expected, the server has written the event itself.
        if event.kind == "m.room.member" && event.state_key.is_some() && expect.is_none() {
            self.vouched(room, &mut event).await?;
        }
        let redacts = if event.kind == "m.room.redaction" && event.state_key.is_none() {
            Some(self.redacted(room, &mut event).await?)
        } else {
            None
        };
        if event.kind == "m.room.canonical_alias" && event.state_key.as_deref() == Some("") {
            self.check_canonical_alias(room, &event.content).await?;
        }
        let sender_no = self.0.store.user_no(&event.sender).await?;
        let member_no = match event.state_key.as_deref().filter(|_| event.kind == "m.room.member") {
            Some(key) => {
                let user = UserId::parse(key).map_err(|_| Error::InvalidParam(format!("{key} is not a user id")))?;
                Some(self.0.store.user_no(&user).await?)
            }
            None => None,
        };
        Ok(Wanted {
            transaction: event.transaction.map(|transaction| TransactionKey {
                user: sender_no,
                device: transaction.device.to_string(),
                endpoint: transaction.endpoint,
                txn_id: transaction.txn_id,
            }),
            timestamp: event.timestamp.unwrap_or_else(|| self.0.world.now_ms()),
            sender: event.sender,
            sender_no,
            kind: event.kind,
            state_key: event.state_key,
            member_no,
            content: event.content,
            redacts,
            expect,
        })
    }

    /// What a redaction redacts. The room versions before 11 have `redacts` beside the content and not in it; clients put it
    /// into the content in all of them.
    async fn redacted(&self, room: &Arc<Room>, event: &mut NewEvent) -> Result<Arc<Stored>, Error> {
        let mut content = object(&event.content)?;
        let redacts = match (&event.redacts, content.remove("redacts")) {
            (Some(redacts), _) => redacts.clone(),
            (None, Some(Value::String(redacts))) => {
                EventId::parse(redacts).map_err(|_| Error::BadJson("`redacts` is not an event id".to_owned()))?
            }
            (None, _) => return Err(Error::BadJson("A redaction says in `redacts` what it redacts".to_owned())),
        };
        event.content = raw(&Value::Object(content))?;
        let (rooms, room) = (self.clone(), room.clone());
        let target = self.0.store.read(move |read| rooms.stored_by_id(read, &room, &redacts)).await?;
        target.ok_or(Error::NotFound("The event to be redacted"))
    }

    /// Aliases that `m.room.canonical_alias` adds must be aliases, and point to the room.
    /// <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey>
    async fn check_canonical_alias(&self, room: &Arc<Room>, content: &RawValue) -> Result<(), Error> {
        let content = object(content)?;
        let mut named = Vec::new();
        match content.get("alias") {
            None | Some(Value::Null) => {}
            Some(Value::String(alias)) if alias.is_empty() => {}
            Some(Value::String(alias)) => named.push(alias.clone()),
            Some(_) => return Err(Error::BadJson("`alias` must be a text".to_owned())),
        }
        match content.get("alt_aliases") {
            None | Some(Value::Null) => {}
            Some(Value::Array(aliases)) => {
                for alias in aliases {
                    match alias {
                        Value::String(alias) => named.push(alias.clone()),
                        _ => return Err(Error::BadJson("`alt_aliases` must hold texts".to_owned())),
                    }
                }
            }
            Some(_) => return Err(Error::BadJson("`alt_aliases` must be a list".to_owned())),
        }
        // Each costs a look, and a request can name one alias very often.
        named.sort_unstable();
        named.dedup();
        if named.is_empty() {
            return Ok(());
        }
        let (rooms, room) = (self.clone(), room.clone());
        self.0
            .store
            .read(move |read| {
                let before = match rooms.current(read, &room, "m.room.canonical_alias", "")? {
                    Some(stored) => rooms.effective(read, &stored)?,
                    None => return rooms.check_aliases(read, &room, &named),
                };
                let mut old: HashSet<String> = text_of(&before, "alias").into_iter().collect();
                if let Ok(content) = serde_json::from_str::<Map<String, Value>>(before.content())
                    && let Some(Value::Array(aliases)) = content.get("alt_aliases")
                {
                    old.extend(aliases.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                named.retain(|alias| !old.contains(alias.as_str()));
                rooms.check_aliases(read, &room, &named)
            })
            .await
    }

    fn check_aliases(&self, read: &roost_store::Read<'_>, room: &Room, named: &[String]) -> Result<(), Error> {
        for alias in named {
            let parsed =
                RoomAliasId::parse(alias).map_err(|_| Error::InvalidParam(format!("{alias} is not a room alias")))?;
            let here = parsed.server_name() == self.0.identity.server_name;
            let found = aliases::resolve(read, alias)?;
            if !here || found.is_none_or(|found| found.room != room.no) {
                return Err(Error::BadAlias(alias.clone()));
            }
        }
        Ok(())
    }
}
