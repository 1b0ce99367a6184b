//! Typing notifications and receipts as a client sees them.

use std::collections::BTreeMap;

use crate::json;

/// A receipt, as far as it is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receipt<'a> {
    pub(crate) user: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) event: &'a str,
    pub(crate) thread: Option<&'a str>,
    pub(crate) ts: u64,
}

type ByEvent<'a> = BTreeMap<&'a str, BTreeMap<&'a str, BTreeMap<&'a str, Receipt<'a>>>>;

/// Appends the `m.receipt` events that hold these receipts: one for each thread, since in one event a user has one receipt of a
/// kind at an event.
///
/// <https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-8>
pub(crate) fn receipts<'a>(out: &mut Vec<u8>, all: impl Iterator<Item = Receipt<'a>>) {
    let mut threads: BTreeMap<Option<&str>, ByEvent<'_>> = BTreeMap::new();
    for receipt in all {
        let events = threads.entry(receipt.thread).or_default();
        events.entry(receipt.event).or_default().entry(receipt.kind).or_default().insert(receipt.user, receipt);
    }
    for events in threads.values() {
        json::comma(out);
        out.extend_from_slice(br#"{"type":"m.receipt","content":{"#);
        for (event, kinds) in events {
            json::key(out, event);
            out.push(b'{');
            for (kind, users) in kinds {
                json::key(out, kind);
                out.push(b'{');
                for (user, receipt) in users {
                    json::key(out, user);
                    out.extend_from_slice(br#"{"ts":"#);
                    json::number(out, receipt.ts);
                    if let Some(thread) = receipt.thread {
                        json::name(out, "thread_id");
                        json::string(out, thread);
                    }
                    out.push(b'}');
                }
                out.push(b'}');
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"}}");
    }
}

/// Appends an `m.typing` event: everybody who is typing now.
pub(crate) fn typing<'a>(out: &mut Vec<u8>, users: impl Iterator<Item = &'a str>) {
    json::comma(out);
    out.extend_from_slice(br#"{"type":"m.typing","content":{"user_ids":["#);
    for user in users {
        json::comma(out);
        json::string(out, user);
    }
    out.extend_from_slice(b"]}}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Receipt, receipts, typing};

    fn parsed(bytes: &[u8]) -> serde_json::Value {
        serde_json::from_slice(&[b"[", bytes, b"]"].concat()).unwrap()
    }

    #[test]
    fn receipts_of_one_thread_share_an_event_and_threads_do_not() {
        let read = |user, event, thread, ts| Receipt { user, kind: "m.read", event, thread, ts };
        let all = [
            read("@a:x", "$1", None, 1),
            read("@b:x", "$1", None, 2),
            read("@a:x", "$1", Some("main"), 3),
            Receipt { kind: "m.read.private", ..read("@a:x", "$2", None, 4) },
        ];
        let mut out = vec![];
        receipts(&mut out, all.into_iter());
        assert_eq!(
            parsed(&out),
            json!([
                {"type": "m.receipt", "content": {
                    "$1": {"m.read": {"@a:x": {"ts": 1}, "@b:x": {"ts": 2}}},
                    "$2": {"m.read.private": {"@a:x": {"ts": 4}}},
                }},
                {"type": "m.receipt", "content": {"$1": {"m.read": {"@a:x": {"ts": 3, "thread_id": "main"}}}}},
            ])
        );
    }

    #[test]
    fn no_receipts_make_no_event() {
        let mut out = vec![];
        receipts(&mut out, std::iter::empty());
        assert!(out.is_empty());
    }

    #[test]
    fn a_typing_event_lists_everybody_and_may_be_empty() {
        let mut out = vec![];
        typing(&mut out, ["@a:x", "@\"b:x"].into_iter());
        typing(&mut out, std::iter::empty());
        assert_eq!(
            parsed(&out),
            json!([
                {"type": "m.typing", "content": {"user_ids": ["@a:x", "@\"b:x"]}},
                {"type": "m.typing", "content": {"user_ids": []}},
            ])
        );
    }
}
