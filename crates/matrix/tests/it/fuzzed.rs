//! A bounded run of what `cargo fuzz` runs without bound (`crates/matrix/fuzz`): a small corpus, and changes of it at random
//! with a fixed seed.

use crate::holds;

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
    CORPUS.iter().flat_map(|file| file.lines()).for_each(|line| holds::canonical_json(line.as_bytes()));
    mutations(1, 10_000).for_each(|bytes| holds::canonical_json(&bytes));
}

#[test]
fn events_hold_on_the_corpus_and_changes_of_it() {
    CORPUS.iter().flat_map(|file| file.lines()).for_each(|line| holds::pdu(line.as_bytes()));
    mutations(2, 3_000).for_each(|bytes| holds::pdu(&bytes));
}
