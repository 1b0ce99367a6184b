//! A bounded run of what `cargo fuzz` runs without bound (`crates/matrix/fuzz`): a small corpus, and changes of it at random
//! with a fixed seed.

use roost_matrix::{
    canonical_json::{self, Integers},
    event::{ClientForm, Pdu},
    room_version::RoomVersion,
};

const CORPUS: [&str; 3] = [
    include_str!("../fixtures/spec_events.jsonl"),
    include_str!("../fixtures/spec_pdus.jsonl"),
    include_str!("../fixtures/hostile.jsonl"),
];

/// A small generator of numbers that are random enough (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }
}

/// What the fuzz target `canonical_json` holds.
fn canonical_json_holds(bytes: &[u8]) {
    for integers in [Integers::Strict, Integers::Lenient] {
        if let Ok(canonical) = canonical_json::canonicalize(bytes, integers) {
            assert!(serde_json::from_slice::<serde_json::Value>(&canonical).is_ok());
            assert_eq!(canonical_json::canonicalize(&canonical, integers).as_ref(), Ok(&canonical));
            assert_eq!(canonical_json::check_depth(bytes), Ok(()));
        }
    }
}

/// What the fuzz target `pdu` holds.
fn pdu_holds(bytes: &[u8]) {
    for version in RoomVersion::ALL {
        let Ok(pdu) = Pdu::parse(bytes, version.rules()) else { continue };
        assert_eq!(Pdu::parse(pdu.json(), version.rules()).as_ref(), Ok(&pdu));
        let stored = Pdu::from_stored(pdu.json(), pdu.event_id().to_owned(), version.rules()).unwrap();
        assert_eq!(stored, pdu);
        let redacted = pdu.redacted();
        assert_eq!(redacted.reference_hash(), pdu.reference_hash());
        assert_eq!(redacted.redacted(), redacted);
        let mut out = Vec::new();
        pdu.write_client(&mut out, ClientForm::WithRoomId, None);
        assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
    }
}

fn mutations(seed: u64, count: usize) -> impl Iterator<Item = Vec<u8>> {
    let corpus: Vec<&[u8]> = CORPUS.iter().flat_map(|file| file.lines()).map(str::as_bytes).collect();
    let mut numbers = Numbers(seed);
    (0..count).map(move |_| {
        let mut bytes = corpus[numbers.below(corpus.len())].to_vec();
        // A PDU may stand inside of a line; mutate it alone.
        if let Some(start) = bytes.windows(7).position(|window| window == b"{\"pdu\":") {
            let end = bytes.windows(11).rposition(|window| window == b",\"version\":").unwrap_or(bytes.len());
            bytes = bytes[start + 7..end].to_vec();
        }
        for _ in 0..numbers.below(4) {
            let at = numbers.below(bytes.len());
            let other = corpus[numbers.below(corpus.len())];
            let from = numbers.below(other.len());
            let until = (from + numbers.below(20)).min(other.len());
            match numbers.below(6) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
                1 if !bytes.is_empty() => {
                    bytes.remove(at);
                }
                2 => bytes.truncate(at),
                3 => {
                    let structure = b"{}[]\",:\\-0e.u";
                    bytes.insert(at, structure[numbers.below(structure.len())]);
                }
                _ => {
                    bytes.splice(at..at, other[from..until].iter().copied());
                }
            }
        }
        bytes
    })
}

#[test]
fn canonical_json_holds_on_the_corpus_and_changes_of_it() {
    CORPUS.iter().flat_map(|file| file.lines()).for_each(|line| canonical_json_holds(line.as_bytes()));
    mutations(1, 20_000).for_each(|bytes| canonical_json_holds(&bytes));
}

#[test]
fn events_hold_on_the_corpus_and_changes_of_it() {
    CORPUS.iter().flat_map(|file| file.lines()).for_each(|line| pdu_holds(line.as_bytes()));
    mutations(2, 5_000).for_each(|bytes| pdu_holds(&bytes));
}
