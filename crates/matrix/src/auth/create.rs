//! `m.room.create`: rule 1, and what other rules read of it.

use std::str::FromStr;

use serde::Deserialize;

use super::{Denied, content::Raw};
use crate::{
    event::Pdu,
    ids::is_user_id,
    room_version::{RoomIds, RoomVersion},
};

#[derive(Deserialize, Default)]
struct Content<'a> {
    #[serde(borrow, default)]
    creator: Raw<'a>,
    #[serde(borrow, default)]
    room_version: Raw<'a>,
    #[serde(borrow, default)]
    additional_creators: Raw<'a>,
    #[serde(borrow, default, rename = "m.federate")]
    federate: Raw<'a>,
}

/// What the rules for other events need of the create event.
#[derive(Debug, Default)]
pub(super) struct Creation {
    /// The one creator of versions 1 to 11, who has power level 100 as long as there are no power levels.
    pub(super) creator: Option<Box<str>>,
    /// The creators of version 12, who are above all levels.
    pub(super) above_all: Vec<Box<str>>,
    pub(super) federate: bool,
}

impl Creation {
    pub(super) fn read(create: &Pdu) -> Self {
        let rules = &create.rules().auth;
        let content = serde_json::from_str::<Content<'_>>(create.content()).unwrap_or_default();
        let sender = || Box::<str>::from(create.sender().as_str());
        let creator = if rules.creator_in_content {
            content.creator.string().map(|creator| Box::from(&*creator))
        } else {
            Some(sender())
        };
        let above_all = if rules.privileged_creators {
            // An event with malformed additional creators has been rejected by rule 1.4.
            let additional = content.additional_creators.read::<Vec<Box<str>>>().unwrap_or_default();
            std::iter::once(sender()).chain(additional).collect()
        } else {
            Vec::new()
        };
        Self { creator, above_all, federate: !content.federate.is_false() }
    }
}

/// Rule 1: if type is `m.room.create` …
pub(super) fn check(pdu: &Pdu) -> Result<(), Denied> {
    let rules = &pdu.rules().auth;
    let room_ids = pdu.rules().room_ids;

    if !pdu.prev_events().is_empty() {
        return Err(Denied::CreateWithPrevEvents);
    }
    if room_ids == RoomIds::CreateEvent {
        if pdu.has_room_id() {
            return Err(Denied::CreateWithRoomId);
        }
    } else if pdu.room_id().server_name() != Some(pdu.sender().server_name()) {
        return Err(Denied::CreateOfAnotherServer);
    }

    let content = serde_json::from_str::<Content<'_>>(pdu.content()).unwrap_or_default();
    if content.room_version.is_present()
        && content.room_version.string().is_none_or(|version| RoomVersion::from_str(&version).is_err())
    {
        return Err(Denied::UnknownRoomVersion);
    }
    if rules.creator_in_content && !content.creator.is_present() {
        return Err(Denied::NoCreator);
    }
    if rules.privileged_creators && content.additional_creators.is_present() {
        let creators = content.additional_creators.read::<Vec<String>>().ok_or(Denied::BadAdditionalCreators)?;
        if creators.iter().any(|creator| !is_user_id(creator)) {
            return Err(Denied::BadAdditionalCreators);
        }
    }
    Ok(())
}
