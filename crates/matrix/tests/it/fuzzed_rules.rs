//! A bounded run of the fuzz targets for the rules: contents that have been troublesome elsewhere with changes at random, and
//! graphs at random, always the same ones.

use crate::holds_rules;

const CONTENTS: &str = include_str!("../fixtures/hostile_contents.jsonl");

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound.max(1)
    }
}

#[test]
fn the_rules_answer_whatever_the_contents_say() {
    let lines: Vec<&str> = CONTENTS.lines().collect();
    for line in &lines {
        holds_rules::auth(line.as_bytes());
    }
    let mut numbers = Numbers(0x5EED);
    for _ in 0..300 {
        let mut bytes = lines[numbers.below(lines.len())].as_bytes().to_vec();
        for _ in 0..=numbers.below(3) {
            let at = numbers.below(bytes.len());
            let other = lines[numbers.below(lines.len())].as_bytes();
            match numbers.below(3) {
                0 => bytes[at] = b"0123456789-\"{}[],:netf."[numbers.below(23)],
                1 => {
                    let from = numbers.below(other.len());
                    let until = (from + numbers.below(16)).min(other.len());
                    bytes.splice(at..at, other[from..until].iter().copied());
                }
                _ => {
                    let until = (at + numbers.below(8)).min(bytes.len());
                    bytes.drain(at..until);
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        holds_rules::auth(&bytes);
    }
}

#[test]
fn any_graph_resolves_and_the_order_of_states_means_nothing() {
    let mut numbers = Numbers(0x00C0_FFEE);
    for round in 0..400 {
        let length = 1 + 8 * numbers.below(if round % 10 == 0 { 60 } else { 16 });
        let bytes: Vec<u8> = (0..length).map(|_| (numbers.next() >> 24).to_le_bytes()[0]).collect();
        holds_rules::resolution(&bytes);
    }
}
