//! Events as one reader sees them: redactions applied, `unsigned` computed.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#definition-clientevent>

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    sync::Arc,
};

use roost_matrix::{
    event::{ClientForm, Pdu},
    ids::{DeviceId, UserId},
};
use roost_store::{EventNo, Read, UserNo, events};

use crate::{Error, Room, Rooms, Stored, Vision};

/// Who reads.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The user.
    pub user: &'a UserId,
    /// Their number.
    pub user_no: UserNo,
    /// The device, which is told its own transaction ids.
    pub device: Option<&'a DeviceId>,
    /// The time, from which `age` is reckoned.
    pub now_ms: u64,
}

/// An event in the form for clients.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The event.
    pub stored: Arc<Stored>,
    /// Its JSON.
    pub json: Vec<u8>,
}

/// What belongs to several events and was looked up for all of them at once.
struct Around {
    redactions: HashMap<EventNo, EventNo>,
    others: HashMap<EventNo, Arc<Stored>>,
}

impl Rooms {
    /// Writes events of one room for a reader, in the order given. Two statements at most, however many events there are.
    ///
    /// Whether the reader may see the events was decided before; `vision` says whether they may see what the events
    /// replaced, and what their membership was.
    pub fn render(
        &self,
        read: &Read<'_>,
        room: &Room,
        reader: &Reader<'_>,
        vision: &Vision,
        stored: &[Arc<Stored>],
        form: ClientForm,
    ) -> Result<Vec<Rendered>, Error> {
        let around = self.around(read, room, stored)?;
        Ok(stored
            .iter()
            .map(|event| {
                let mut json = Vec::with_capacity(event.pdu.json().len());
                around.write(event, reader, vision, form, &mut json);
                Rendered { stored: event.clone(), json }
            })
            .collect())
    }

    fn around(&self, read: &Read<'_>, room: &Room, stored: &[Arc<Stored>]) -> Result<Around, Error> {
        let mut nos: Vec<_> = stored.iter().flat_map(|event| [Some(event.no), event.replaces]).flatten().collect();
        nos.sort_unstable();
        nos.dedup();
        let mut redactions = HashMap::new();
        for piece in nos.chunks(1000) {
            redactions.extend(events::redactions(read, piece)?);
        }
        let others: HashSet<_> = stored
            .iter()
            .filter_map(|event| event.replaces)
            .chain(stored.iter().filter_map(|event| redactions.get(&event.no).copied()))
            .collect();
        let others = self.stored_map(read, room, &others.into_iter().collect::<Vec<_>>())?;
        Ok(Around { redactions, others })
    }

    /// The event as everybody is to see it: redacted when it is.
    pub fn effective(&self, read: &Read<'_>, event: &Stored) -> Result<Pdu, Error> {
        let redacted = !events::redactions(read, &[event.no])?.is_empty();
        Ok(if redacted { event.pdu.redacted() } else { event.pdu.clone() })
    }

    /// The same for many events.
    pub fn effective_all(&self, read: &Read<'_>, stored: &[Arc<Stored>]) -> Result<Vec<Pdu>, Error> {
        let mut redacted = HashSet::new();
        for piece in stored.chunks(1000) {
            let nos: Vec<_> = piece.iter().map(|event| event.no).collect();
            redacted.extend(events::redactions(read, &nos)?.into_iter().map(|(event, _)| event));
        }
        Ok(stored
            .iter()
            .map(|event| if redacted.contains(&event.no) { event.pdu.redacted() } else { event.pdu.clone() })
            .collect())
    }
}

fn age(event: &Stored, now_ms: u64) -> i128 {
    i128::from(now_ms) - i128::from(event.pdu.origin_server_ts())
}

fn text(out: &mut String, value: &str) {
    // Serialising a str can not fail.
    out.push_str(&serde_json::to_string(value).unwrap_or_default());
}

impl Around {
    fn write(&self, event: &Stored, reader: &Reader<'_>, vision: &Vision, form: ClientForm, out: &mut Vec<u8>) {
        let mut unsigned = String::with_capacity(64);
        // Writing to a String can not fail.
        let _ = write!(
            unsigned,
            "{{\"age\":{},\"membership\":\"{}\"",
            age(event, reader.now_ms),
            vision.membership_at(event.idx).as_str()
        );
        if let Some(replaced) = event.replaces.and_then(|no| self.others.get(&no)) {
            unsigned.push_str(",\"replaces_state\":");
            text(&mut unsigned, replaced.pdu.event_id().as_str());
            if vision.sees(replaced.idx) {
                unsigned.push_str(",\"prev_content\":");
                match self.redactions.get(&replaced.no) {
                    Some(_) => unsigned.push_str(replaced.pdu.redacted().content()),
                    None => unsigned.push_str(replaced.pdu.content()),
                }
            }
        }
        if let Some(sent) = &event.sent
            && event.pdu.sender() == reader.user
            && reader.device.is_some_and(|device| device.as_str() == &*sent.device)
        {
            unsigned.push_str(",\"transaction_id\":");
            text(&mut unsigned, &sent.txn_id);
        }
        let redaction = self.redactions.get(&event.no);
        if let Some(redaction) = redaction.and_then(|no| self.others.get(no)) {
            let mut because = Vec::with_capacity(redaction.pdu.json().len());
            let age = format!("{{\"age\":{}}}", age(redaction, reader.now_ms));
            redaction.pdu.write_client(&mut because, form, Some(&age));
            unsigned.push_str(",\"redacted_because\":");
            unsigned.push_str(&String::from_utf8_lossy(&because));
        }
        unsigned.push('}');
        match redaction {
            Some(_) => event.pdu.redacted().write_client(out, form, Some(&unsigned)),
            None => event.pdu.write_client(out, form, Some(&unsigned)),
        }
    }
}
