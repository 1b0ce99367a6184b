//! The [server-default rules](https://spec.matrix.org/v1.19/client-server-api/#predefined-rules).

use serde_json::{Value, json};

use ruma::UserId;

/// The rules that every user starts with, as the content of an `m.push_rules` event: `{"global": {"override": […], …}}`.
#[must_use]
pub fn default_rules_json(user: &UserId) -> String {
    default_rules(user).to_string()
}

fn default_rules(user: &UserId) -> Value {
    let highlight = json!({"set_tweak": "highlight"});
    let sound = json!({"set_tweak": "sound", "value": "default"});
    let ring = json!({"set_tweak": "sound", "value": "ring"});

    let mut master = rule(".m.rule.master", &[], &[]);
    if let Some(enabled) = master.get_mut("enabled") {
        *enabled = false.into();
    }
    let overrides = [
        master,
        rule(".m.rule.suppress_notices", &[matches("content.msgtype", "m.notice")], &[]),
        rule(
            ".m.rule.invite_for_me",
            &[
                matches("type", "m.room.member"),
                matches("content.membership", "invite"),
                matches("state_key", user.as_str()),
            ],
            &["notify".into(), sound.clone()],
        ),
        rule(".m.rule.member_event", &[matches("type", "m.room.member")], &[]),
        rule(
            ".m.rule.is_user_mention",
            &[json!({
                "kind": "event_property_contains",
                "key": r"content.m\.mentions.user_ids",
                "value": user.as_str(),
            })],
            &["notify".into(), sound.clone(), highlight.clone()],
        ),
        rule(
            ".m.rule.is_room_mention",
            &[
                is(r"content.m\.mentions.room", &true.into()),
                json!({"kind": "sender_notification_permission", "key": "room"}),
            ],
            &["notify".into(), highlight.clone()],
        ),
        rule(
            ".m.rule.tombstone",
            &[matches("type", "m.room.tombstone"), matches("state_key", "")],
            &["notify".into(), highlight],
        ),
        rule(".m.rule.reaction", &[matches("type", "m.reaction")], &[]),
        rule(".m.rule.room.server_acl", &[matches("type", "m.room.server_acl"), matches("state_key", "")], &[]),
        rule(".m.rule.suppress_edits", &[is(r"content.m\.relates_to.rel_type", &"m.replace".into())], &[]),
    ];

    let two_members = json!({"kind": "room_member_count", "is": "2"});
    let underrides = [
        rule(".m.rule.call", &[matches("type", "m.call.invite")], &["notify".into(), ring]),
        rule(
            ".m.rule.encrypted_room_one_to_one",
            &[two_members.clone(), matches("type", "m.room.encrypted")],
            &["notify".into(), sound.clone()],
        ),
        rule(".m.rule.room_one_to_one", &[two_members, matches("type", "m.room.message")], &["notify".into(), sound]),
        rule(".m.rule.message", &[matches("type", "m.room.message")], &["notify".into()]),
        rule(".m.rule.encrypted", &[matches("type", "m.room.encrypted")], &["notify".into()]),
    ];

    json!({"global": {"override": overrides, "content": [], "room": [], "sender": [], "underride": underrides}})
}

fn rule(id: &str, conditions: &[Value], actions: &[Value]) -> Value {
    json!({"rule_id": id, "default": true, "enabled": true, "conditions": conditions, "actions": actions})
}

fn matches(key: &str, pattern: &str) -> Value {
    json!({"kind": "event_match", "key": key, "pattern": pattern})
}

fn is(key: &str, value: &Value) -> Value {
    json!({"kind": "event_property_is", "key": key, "value": value})
}
