//! Events as clients see them, spliced from the stored bytes.

use super::{Key, Pdu};
use crate::canonical_json::write_string;

/// In which form an event is written for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientForm {
    /// With `room_id`: most endpoints.
    WithRoomId,
    /// Without `room_id`: inside of a response that names the room, as in `/sync`.
    WithoutRoomId,
}

impl Pdu {
    /// Writes the [event as clients see it](https://spec.matrix.org/v1.19/client-server-api/#room-event-format): `content`,
    /// `event_id`, `origin_server_ts`, `sender`, `type` and, where there is one, `state_key`, `redacts`, `room_id` and
    /// `unsigned` (a JSON object). The content of a redaction that stands beside it in older rooms, or in it in newer ones,
    /// is told in both places, as the specification asks for clients of either age.
    pub fn write_client(&self, out: &mut Vec<u8>, form: ClientForm, unsigned: Option<&str>) {
        out.extend_from_slice(b"{\"content\":");
        self.write_content(out);
        out.extend_from_slice(b",\"event_id\":");
        write_string(self.event_id().as_str(), out);
        self.write_member(Key::OriginServerTs, out);
        if let Some(redacts) = self.redacts() {
            out.extend_from_slice(b",\"redacts\":");
            write_string(redacts.as_str(), out);
        }
        if form == ClientForm::WithRoomId {
            out.extend_from_slice(b",\"room_id\":");
            write_string(self.room_id().as_str(), out);
        }
        self.write_member(Key::Sender, out);
        self.write_member(Key::StateKey, out);
        self.write_member(Key::Type, out);
        if let Some(unsigned) = unsigned {
            out.extend_from_slice(b",\"unsigned\":");
            out.extend_from_slice(unsigned.as_bytes());
        }
        out.push(b'}');
    }

    /// Writes [stripped state](https://spec.matrix.org/v1.19/client-server-api/#stripped-state): `content`, `sender`,
    /// `state_key` and `type`.
    pub fn write_stripped(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"content\":");
        self.write_content(out);
        self.write_member(Key::Sender, out);
        self.write_member(Key::StateKey, out);
        self.write_member(Key::Type, out);
        out.push(b'}');
    }

    fn write_content(&self, out: &mut Vec<u8>) {
        let content = self.content();
        // In older rooms `redacts` stands beside the content; newer clients look for it inside.
        let redacts = if self.rules().redacts_in_content { None } else { self.redacts() };
        match redacts {
            Some(redacts) if self.content_member("redacts").is_none() => {
                out.extend_from_slice(b"{\"redacts\":");
                write_string(redacts.as_str(), out);
                if content != "{}" {
                    out.push(b',');
                }
                out.extend_from_slice(content.get(1..).unwrap_or("}").as_bytes());
            }
            _ => out.extend_from_slice(content.as_bytes()),
        }
    }

    /// Writes a comma and a member as it stands, if there is one.
    fn write_member(&self, key: Key, out: &mut Vec<u8>) {
        if let Some(member) = self.0.members.member(&self.0.json, key) {
            out.push(b',');
            out.extend_from_slice(member.as_bytes());
        }
    }
}
