//! What follows a user from a room into the one that replaces it.
//!
//! "When a user joins the new room, the server should automatically transfer/replicate some of the user's personalized settings
//! such as notifications, tags, etc." <https://spec.matrix.org/v1.19/client-server-api/#room-upgrades>

use roost_matrix::ids::{OwnedRoomId, RoomId, UserId};
use roost_store::{UserNo, account_data};
use serde_json::Value;

use crate::{Error, NewPushRule, PushRuleError, PushRuleKind, PushRules, Users, account_data::MAX_PIECE_BYTES};

/// The type of the account data that says which rooms are conversations with one person.
const DIRECT: &str = "m.direct";

impl Users {
    /// Takes what a user has set for the room that `room` replaces over to it: tags, push rules about that room, and its
    /// place among direct chats. What they have set for `room` already stays as it is.
    ///
    /// A room can claim to replace any other, so only one that the other names as its replacement is believed; and only what
    /// the user may read of the two rooms counts. Nothing happens otherwise.
    pub async fn follow_upgrade(&self, user: UserNo, user_id: &UserId, room: &RoomId) -> Result<(), Error> {
        let Some(old) = self.room_named(room, user_id, "m.room.create", &["predecessor", "room_id"]).await? else {
            return Ok(());
        };
        let successor = self.room_named(&old, user_id, "m.room.tombstone", &["replacement_room"]).await?;
        if successor.as_deref() != Some(room) {
            return Ok(());
        }
        if self.tags(user, room).await?.is_empty() {
            for (tag, info) in self.tags(user, &old).await? {
                self.set_tag(user, room, &tag, info).await?;
            }
        }
        let (from, to) = (old.to_string(), room.to_string());
        let copied = self.change_push_rules(user, user_id, move |rules| follow(rules, &from, &to)).await;
        // Where there is no room for one more rule it is not copied.
        if let Err(PushRuleError::Store(error)) = copied {
            return Err(error.into());
        }
        self.follow_direct(user, old, room.to_owned()).await
    }

    /// The room that a state event with an empty state key names, as far as the user may read it.
    async fn room_named(
        &self,
        room: &RoomId,
        user_id: &UserId,
        kind: &str,
        at: &[&str],
    ) -> Result<Option<OwnedRoomId>, Error> {
        use roost_rooms::Error::{Forbidden, NotFound, UnknownRoom};
        let content = match self.0.rooms.state_content(room, user_id, kind, "").await {
            Ok(content) => content,
            Err(Forbidden(_) | NotFound(_) | UnknownRoom) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let content: Value = serde_json::from_str(&content).unwrap_or_default();
        let named = at.iter().try_fold(&content, |value, name| value.get(name)).and_then(Value::as_str);
        Ok(named.and_then(|id| RoomId::parse(id).ok()))
    }

    async fn follow_direct(&self, user: UserNo, old: OwnedRoomId, new: OwnedRoomId) -> Result<(), Error> {
        let write = self.0.store.write(move |tx| {
            let before = account_data::get(tx, user, None, DIRECT)?;
            let Some(after) = before.and_then(|before| direct(&before, old.as_str(), new.as_str())) else {
                return Ok(());
            };
            Ok::<_, Error>(account_data::set(tx, user, None, DIRECT, &after)?)
        });
        write.await
    }
}

/// Adds rules for the new room where the user has some for the old: those whose id it is, as clients write them to mute a room
/// or to hear of mentions in it only.
fn follow(rules: &mut PushRules, old: &str, new: &str) -> Result<(), PushRuleError> {
    for kind in [PushRuleKind::Override, PushRuleKind::Room, PushRuleKind::Underride] {
        let Some(rule) = rules.get(kind, old).filter(|_| rules.get(kind, new).is_none()).cloned() else { continue };
        let mut conditions = rule.conditions;
        for condition in conditions.iter_mut().flatten() {
            if condition.get("key").is_some_and(|key| key == "room_id")
                && let Some(pattern) = condition.get_mut("pattern").filter(|pattern| *pattern == old)
            {
                *pattern = new.into();
            }
        }
        let copy = NewPushRule { actions: rule.actions, conditions, pattern: None };
        rules.put(kind, new, &copy, &crate::Neighbours::default())?;
        rules.set_enabled(kind, new, rule.enabled)?;
    }
    Ok(())
}

/// The content of `m.direct` with the new room wherever the old one stands; `None` when that changes nothing.
fn direct(content: &str, old: &str, new: &str) -> Option<String> {
    let mut chats: serde_json::Map<String, Value> = serde_json::from_str(content).ok()?;
    let mut changed = false;
    for rooms in chats.values_mut().filter_map(Value::as_array_mut) {
        if rooms.iter().any(|room| room == old) && !rooms.iter().any(|room| room == new) {
            rooms.push(new.into());
            changed = true;
        }
    }
    let content = serde_json::to_string(&chats).ok().filter(|_| changed)?;
    (content.len() <= MAX_PIECE_BYTES).then_some(content)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn direct_chats_get_the_new_room_beside_the_old() {
        let content =
            json!({ "@bob:x": ["!old"], "@carol:x": ["!other"], "@dave:x": ["!old", "!new"], "odd": 5 }).to_string();
        let changed: Value = serde_json::from_str(&direct(&content, "!old", "!new").unwrap()).unwrap();
        assert_eq!(
            changed,
            json!({ "@bob:x": ["!old", "!new"], "@carol:x": ["!other"], "@dave:x": ["!old", "!new"], "odd": 5 })
        );
        assert_eq!(direct(&changed.to_string(), "!old", "!new"), None);
        assert_eq!(direct("[]", "!old", "!new"), None);
    }
}
