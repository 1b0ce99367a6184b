//! New events.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{FormatError, Members, Pdu, format, hashes, redaction};
use crate::{
    base64,
    canonical_json::{self, scan, write_string},
    ids::{OwnedEventId, OwnedRoomId, OwnedUserId, ServerName},
    room_version::{EventIds, Rules},
    signing::KeyPair,
};

/// What a server fills in to make a new event.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The room; none for the create event of a version 12 room.
    pub room_id: Option<OwnedRoomId>,
    /// The sender.
    pub sender: OwnedUserId,
    /// The `type`.
    pub kind: String,
    /// The `state_key` of a state event.
    pub state_key: Option<String>,
    /// The content, a JSON object.
    pub content: Box<RawValue>,
    /// What an `m.room.redaction` redacts; goes where the room version has it.
    pub redacts: Option<OwnedEventId>,
    /// The events before this one.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that authorise this one.
    pub auth_events: Vec<OwnedEventId>,
    /// The [reference hashes](Pdu::reference_hash) of the events named in the two lists before, for room versions 1 and 2,
    /// which put them beside the IDs. Not looked at in other versions.
    pub reference_hashes: Vec<(OwnedEventId, [u8; 32])>,
    /// One more than the deepest of `prev_events`.
    pub depth: u64,
    /// The time in milliseconds since 1970.
    pub origin_server_ts: u64,
}

/// Why a draft can not become an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A size limit is broken: `M_TOO_LARGE`.
    #[error(transparent)]
    TooLarge(FormatError),
    /// The content is no JSON that events of this room version may hold, or a field is not valid: `M_BAD_JSON`.
    #[error(transparent)]
    BadJson(FormatError),
}

impl From<FormatError> for SealError {
    fn from(error: FormatError) -> Self {
        if error.is_too_large() { Self::TooLarge(error) } else { Self::BadJson(error) }
    }
}

impl Draft {
    /// Makes the event: puts it in canonical form, hashes it, [signs
    /// it](https://spec.matrix.org/v1.19/server-server-api/#adding-hashes-and-signatures-to-outgoing-events) as `server` with
    /// `key`, and checks it as one from elsewhere would be.
    ///
    /// In versions 1 and 2 the event ID's localpart comes from the content hash, so that no chance is needed.
    pub fn seal(self, rules: &'static Rules, server: &ServerName, key: &KeyPair) -> Result<Pdu, SealError> {
        let content = self.canonical_content(rules)?;
        let event_id = (rules.event_ids == EventIds::Chosen).then(|| {
            let json = self.assemble(rules, &content, None, None, None);
            let hash = base64::encode_url(&hashes::content_hash_of(&json, &Members::of(&json)));
            format!("${}:{server}", &hash[..24])
        });
        let event_id = event_id.as_deref();

        let bare = self.assemble(rules, &content, event_id, None, None);
        let hash = base64::encode(&hashes::content_hash_of(&bare, &Members::of(&bare)));
        let hashed = self.assemble(rules, &content, event_id, Some(&hash), None);
        let mut signed_bytes = Vec::with_capacity(hashed.len());
        redaction::write_redacted(&hashed, &Members::of(&hashed), rules, false, &mut signed_bytes);
        let signature = base64::encode(&key.sign(&signed_bytes));
        let mut signatures = Vec::with_capacity(160);
        signatures.push(b'{');
        write_string(server.as_str(), &mut signatures);
        signatures.extend_from_slice(b":{");
        write_string(key.key_id(), &mut signatures);
        signatures.push(b':');
        write_string(&signature, &mut signatures);
        signatures.extend_from_slice(b"}}");
        let json = self.assemble(rules, &content, event_id, Some(&hash), Some(&String::from_utf8_lossy(&signatures)));
        let event_id = format::event_id_of(event_id.unwrap_or_default(), rules, || signed_bytes)?;
        Ok(format::sealed(json, event_id, rules)?)
    }

    /// The draft as JSON, for a server that is to [sign it](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_joinroomiduserid).
    pub fn template(&self, rules: &'static Rules) -> Result<String, SealError> {
        Ok(self.assemble(rules, &self.canonical_content(rules)?, None, None, None))
    }

    /// Reads a draft that another server has made. What is missing or of the wrong type is an error; everything else than
    /// what a draft has is dropped.
    pub fn from_template(json: &[u8], rules: &'static Rules) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Template {
            room_id: Option<OwnedRoomId>,
            sender: OwnedUserId,
            #[serde(rename = "type")]
            kind: String,
            state_key: Option<String>,
            content: Box<RawValue>,
            prev_events: Vec<Reference>,
            auth_events: Vec<Reference>,
            depth: u64,
            origin_server_ts: u64,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Reference {
            Id(OwnedEventId),
            WithHash(OwnedEventId, Hash),
        }
        #[derive(Deserialize)]
        struct Hash {
            sha256: String,
        }
        let template: Template = serde_json::from_slice(json)?;
        let mut reference_hashes = Vec::new();
        let mut ids = |references: Vec<Reference>| {
            let id = |reference| match reference {
                Reference::Id(id) => id,
                Reference::WithHash(id, hash) => {
                    let hash = base64::decode_exact::<32>(hash.sha256.as_bytes());
                    reference_hashes.extend(hash.ok().map(|hash| (id.clone(), hash)));
                    id
                }
            };
            references.into_iter().map(id).collect::<Vec<_>>()
        };
        let (prev_events, auth_events) = (ids(template.prev_events), ids(template.auth_events));
        Ok(Self {
            room_id: template.room_id,
            sender: template.sender,
            kind: template.kind,
            state_key: template.state_key,
            content: template.content,
            redacts: None,
            prev_events,
            auth_events,
            reference_hashes,
            depth: template.depth.min(rules.max_depth),
            origin_server_ts: template.origin_server_ts,
        })
    }

    fn canonical_content(&self, rules: &Rules) -> Result<String, SealError> {
        let content = canonical_json::canonicalize_object(self.content.get().as_bytes(), rules.integers)
            .map_err(|error| SealError::BadJson(error.into()))?;
        let mut content = String::from_utf8(content).unwrap_or_default();
        if let (Some(redacts), true) = (&self.redacts, rules.redacts_in_content) {
            // Takes the place of one that the content has.
            let mut member = Vec::new();
            write_string(redacts.as_str(), &mut member);
            let member = String::from_utf8(member).unwrap_or_default();
            let others: Vec<&str> = scan::members(&content)
                .filter(|member| member.key != "redacts")
                .filter_map(|member| content.get(member.start..member.end))
                .collect();
            let separator = if others.is_empty() { "" } else { "," };
            let joined = format!("{{{}{separator}\"redacts\":{member}}}", others.join(","));
            let ordered = canonical_json::canonicalize_object(joined.as_bytes(), rules.integers)
                .map_err(|error| SealError::BadJson(error.into()))?;
            content = String::from_utf8(ordered).unwrap_or_default();
        }
        Ok(content)
    }

    /// Writes the event with the members that are known so far.
    fn assemble(
        &self,
        rules: &Rules,
        content: &str,
        event_id: Option<&str>,
        hash: Option<&str>,
        signatures: Option<&str>,
    ) -> String {
        let mut out = Vec::with_capacity(content.len() + 1024);
        out.extend_from_slice(b"{\"auth_events\":");
        self.write_references(&self.auth_events, rules, &mut out);
        out.extend_from_slice(b",\"content\":");
        out.extend_from_slice(content.as_bytes());
        out.extend_from_slice(format!(",\"depth\":{}", self.depth).as_bytes());
        if let Some(event_id) = event_id {
            out.extend_from_slice(b",\"event_id\":");
            write_string(event_id, &mut out);
        }
        if let Some(hash) = hash {
            out.extend_from_slice(format!(",\"hashes\":{{\"sha256\":\"{hash}\"}}").as_bytes());
        }
        out.extend_from_slice(format!(",\"origin_server_ts\":{},\"prev_events\":", self.origin_server_ts).as_bytes());
        self.write_references(&self.prev_events, rules, &mut out);
        if let (Some(redacts), false) = (&self.redacts, rules.redacts_in_content) {
            out.extend_from_slice(b",\"redacts\":");
            write_string(redacts.as_str(), &mut out);
        }
        if let Some(room_id) = &self.room_id {
            out.extend_from_slice(b",\"room_id\":");
            write_string(room_id.as_str(), &mut out);
        }
        out.extend_from_slice(b",\"sender\":");
        write_string(self.sender.as_str(), &mut out);
        if let Some(signatures) = signatures {
            out.extend_from_slice(b",\"signatures\":");
            out.extend_from_slice(signatures.as_bytes());
        }
        if let Some(state_key) = &self.state_key {
            out.extend_from_slice(b",\"state_key\":");
            write_string(state_key, &mut out);
        }
        out.extend_from_slice(b",\"type\":");
        write_string(&self.kind, &mut out);
        out.push(b'}');
        String::from_utf8(out).unwrap_or_default()
    }

    fn write_references(&self, ids: &[OwnedEventId], rules: &Rules, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, id) in ids.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            if rules.event_ids == EventIds::Chosen {
                out.push(b'[');
                write_string(id.as_str(), out);
                out.extend_from_slice(b",{");
                if let Some((_, hash)) = self.reference_hashes.iter().find(|(named, _)| named == id) {
                    out.extend_from_slice(format!("\"sha256\":\"{}\"", base64::encode(hash)).as_bytes());
                }
                out.extend_from_slice(b"}]");
            } else {
                write_string(id.as_str(), out);
            }
        }
        out.push(b']');
    }
}
