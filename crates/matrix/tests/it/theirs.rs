//! Events and rules as `ruma-state-res` wants them.

use roost_matrix::{
    event::Pdu,
    ids::{OwnedEventId, RoomId, UserId},
    room_version::RoomVersion,
};
use ruma::{
    MilliSecondsSinceUnixEpoch, RoomVersionId, UInt, events::TimelineEventType, room_version_rules::RoomVersionRules,
};
use ruma_state_res::Event;
use serde_json::value::RawValue;

/// An event as ruma wants it.
#[derive(Debug, Clone)]
pub(crate) struct Theirs {
    pdu: Pdu,
    id: OwnedEventId,
    kind: TimelineEventType,
    content: Box<RawValue>,
    redacts: Option<OwnedEventId>,
}

impl Theirs {
    pub(crate) fn of(pdu: &Pdu) -> Self {
        Self {
            id: pdu.event_id().to_owned(),
            kind: pdu.kind().into(),
            content: RawValue::from_string(pdu.content().to_owned()).unwrap(),
            redacts: pdu.redacts().map(ToOwned::to_owned),
            pdu: pdu.clone(),
        }
    }
}

impl Event for Theirs {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.pdu.has_room_id().then(|| self.pdu.room_id())
    }

    fn sender(&self) -> &UserId {
        self.pdu.sender()
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(UInt::try_from(self.pdu.origin_server_ts()).unwrap())
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.pdu.state_key()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.pdu.prev_events().iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.pdu.auth_events().iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        false
    }
}

pub(crate) fn rules(version: RoomVersion) -> RoomVersionRules {
    RoomVersionId::try_from(version.as_str()).unwrap().rules().unwrap()
}
