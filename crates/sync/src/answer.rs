//! The answer to a `/sync` request, put together from its parts.

use crate::json;

/// The parts of an answer; each is the inside of an object or a list.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// `"!room":{…}` of joined rooms.
    pub(crate) join: Vec<u8>,
    /// `"!room":{…}` of invitations.
    pub(crate) invite: Vec<u8>,
    /// `"!room":{…}` of knocks.
    pub(crate) knock: Vec<u8>,
    /// `"!room":{…}` of left rooms.
    pub(crate) leave: Vec<u8>,
    /// Global account data.
    pub(crate) account_data: Vec<u8>,
}

impl Answer {
    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes its parts have together.
    pub(crate) fn len(&self) -> usize {
        self.join.len() + self.invite.len() + self.knock.len() + self.leave.len() + self.account_data.len()
    }

    /// The answer's bytes. Presence, messages to devices and keys do not exist yet: they are shown as empty, since clients look
    /// at some of them without asking whether they are there.
    pub(crate) fn finish(self, next_batch: &str, incremental: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + self.len());
        out.push(b'{');
        json::name(&mut out, "next_batch");
        json::string(&mut out, next_batch);
        json::events(&mut out, "account_data", &self.account_data);
        json::name(&mut out, "rooms");
        out.push(b'{');
        for (name, part) in
            [("join", &self.join), ("invite", &self.invite), ("knock", &self.knock), ("leave", &self.leave)]
        {
            json::name(&mut out, name);
            out.push(b'{');
            out.extend_from_slice(part);
            out.push(b'}');
        }
        out.push(b'}');
        json::events(&mut out, "presence", b"");
        json::events(&mut out, "to_device", b"");
        if incremental {
            json::name(&mut out, "device_lists");
            out.extend_from_slice(br#"{"changed":[],"left":[]}"#);
        }
        json::name(&mut out, "device_one_time_keys_count");
        out.extend_from_slice(b"{}");
        json::name(&mut out, "device_unused_fallback_key_types");
        out.extend_from_slice(b"[]}");
        out
    }
}
