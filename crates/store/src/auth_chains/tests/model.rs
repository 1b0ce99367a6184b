//! Made-up rooms, and what the specification says of them, worked out event by event.

use std::collections::{BTreeMap, BTreeSet};

use crate::{EventNo, StateKeyNo};

/// What a room looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Members, power levels, join rules, on branches that know each other's state now and then.
    Room,
    /// Each event cites the one before it and some more.
    Deep,
    /// Almost all cite a few old ones.
    Wide,
    /// Each cites a few of the last ones.
    Forks,
    /// Each cites any.
    Any,
    /// One line of power levels by a few admins.
    Powers,
}

pub(super) const SHAPES: [Shape; 6] = [Shape::Room, Shape::Deep, Shape::Wide, Shape::Forks, Shape::Any, Shape::Powers];

/// A room that can be made again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    pub(super) shape: Shape,
    pub(super) size: usize,
    pub(super) seed: u64,
}

/// Chance.
#[derive(Clone, Debug)]
pub(super) struct Draw(pub(super) u64);

impl Draw {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// A room: events by their index, each after those that it cites.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) keys: Vec<i64>,
    pub(super) cited: Vec<Vec<usize>>,
    pub(super) citing: Vec<Vec<usize>>,
    /// Auth chains, as sets of bits.
    chains: Vec<Vec<u64>>,
    /// Turns numbers of events into another order.
    turn: usize,
    /// All numbers are greater.
    start: i64,
}

fn number(small: usize) -> i64 {
    i64::try_from(small).unwrap()
}

const CREATE: i64 = 1;
const POWER: i64 = 2;
const RULES: i64 = 3;

impl Model {
    pub(super) fn make(recipe: Recipe) -> Self {
        let mut draw = Draw(recipe.seed);
        let mut model =
            Self { keys: vec![CREATE], cited: vec![vec![]], citing: Vec::new(), chains: Vec::new(), turn: 1, start: 0 };
        let size = recipe.size;
        match recipe.shape {
            Shape::Room => model.room(&mut draw, size),
            Shape::Powers => model.powers(&mut draw, size),
            Shape::Deep => model.fill(&mut draw, size, |draw, at| vec![at - 1, draw.below(at), draw.below(at)]),
            Shape::Wide => model.fill(&mut draw, size, |draw, at| {
                let first = if draw.one_in(20) { at } else { at.min(6) };
                (0..=draw.below(3)).map(|_| draw.below(first)).collect()
            }),
            Shape::Forks => model.fill(&mut draw, size, |draw, at| {
                (0..=draw.below(3)).map(|_| at - 1 - draw.below(at.min(12))).collect()
            }),
            Shape::Any => {
                model.fill(&mut draw, size, |draw, at| (0..draw.below(5)).map(|_| draw.below(at)).collect());
            }
        }
        // Odd, so that it has an inverse.
        model.turn = draw.below(1 << 15) * 2 + 1;
        model.close();
        model
    }

    /// Events with their keys and what they cite.
    pub(super) fn of(events: &[(i64, &[usize])]) -> Self {
        let (keys, cited) = events.iter().map(|(key, cited)| (*key, cited.to_vec())).unzip();
        let mut model = Self { keys, cited, citing: Vec::new(), chains: Vec::new(), turn: 1, start: 0 };
        model.close();
        model
    }

    pub(super) fn numbered_from(self, start: i64) -> Self {
        Self { start, ..self }
    }

    fn close(&mut self) {
        self.citing = vec![Vec::new(); self.len()];
        for (event, cited) in self.cited.iter_mut().enumerate() {
            cited.sort_unstable();
            cited.dedup();
            for cited in cited {
                self.citing[*cited].push(event);
            }
        }
        let words = self.cited.len().div_ceil(64);
        for cited in &self.cited {
            let mut chain = vec![0; words];
            for event in cited {
                chain[event / 64] |= 1 << (event % 64);
                for (word, more) in chain.iter_mut().zip(&self.chains[*event]) {
                    *word |= more;
                }
            }
            self.chains.push(chain);
        }
    }

    fn add(&mut self, key: i64, cited: Vec<usize>) -> usize {
        self.keys.push(key);
        self.cited.push(cited);
        self.keys.len() - 1
    }

    fn fill(&mut self, draw: &mut Draw, size: usize, choose: impl Fn(&mut Draw, usize) -> Vec<usize>) {
        let keys = 1 + draw.below(30);
        while self.keys.len() < size {
            let cited = choose(draw, self.keys.len());
            self.add(1 + number(draw.below(keys)), cited);
        }
    }

    fn powers(&mut self, draw: &mut Draw, size: usize) {
        let admins: Vec<usize> = (0..4).map(|admin| self.add(10 + admin, vec![0])).collect();
        let mut last = 0;
        while self.keys.len() < size {
            let admin = admins[draw.below(4)];
            last = self.add(POWER, vec![0, last, admin]);
        }
    }

    fn room(&mut self, draw: &mut Draw, size: usize) {
        let creator = self.add(10, vec![0]);
        let power = self.add(POWER, vec![0, creator]);
        let rules = self.add(RULES, vec![0, creator, power]);
        let state = BTreeMap::from([(CREATE, 0), (10, creator), (POWER, power), (RULES, rules)]);
        let mut branches = vec![state];
        let members = (size / 2).max(4);
        while self.keys.len() < size {
            if branches.len() < 4 && draw.one_in(40) {
                branches.push(branches[draw.below(branches.len())].clone());
            } else if draw.one_in(60) {
                // One branch hears of another.
                let heard = branches[draw.below(branches.len())].clone();
                let at = draw.below(branches.len());
                branches[at].extend(heard.into_iter().filter(|_| draw.one_in(2)));
            }
            let at = draw.below(branches.len());
            let state = &branches[at];
            let get = |key: i64| state.get(&key).copied();
            let sender = 10 + if draw.one_in(3) { 0 } else { number(draw.below(5)) };
            let target = 10 + number(draw.below(members));
            let (key, keys) = match draw.below(20) {
                0 => (POWER, vec![CREATE, POWER, sender]),
                1 => (RULES, vec![CREATE, POWER, sender]),
                2 => (4 + number(draw.below(4)), vec![CREATE, POWER, sender]),
                3..6 => (target, vec![CREATE, POWER, sender, target]),
                _ => (target, vec![CREATE, POWER, RULES, target]),
            };
            let cited = keys.into_iter().filter_map(get).collect();
            let event = self.add(key, cited);
            branches[at].insert(key, event);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn no(&self, event: usize) -> EventNo {
        // Numbers need not come in the order of the graph.
        EventNo(self.start + 1 + number((event * self.turn) % (1 << 20)))
    }

    pub(super) fn key(&self, event: usize) -> StateKeyNo {
        StateKeyNo(self.keys[event])
    }

    /// The numbers of events, in their order.
    pub(super) fn nos(&self, events: impl IntoIterator<Item = usize>) -> BTreeSet<EventNo> {
        events.into_iter().map(|event| self.no(event)).collect()
    }

    /// An order in which each event comes after those that it cites.
    pub(super) fn some_order(&self, draw: &mut Draw) -> Vec<usize> {
        let mut waits: Vec<usize> = self.cited.iter().map(Vec::len).collect();
        let mut ready: Vec<usize> = (0..self.len()).filter(|event| waits[*event] == 0).collect();
        let mut order = Vec::new();
        while !ready.is_empty() {
            let event = ready.swap_remove(draw.below(ready.len()));
            order.push(event);
            for citing in &self.citing[event] {
                waits[*citing] -= 1;
                if waits[*citing] == 0 {
                    ready.push(*citing);
                }
            }
        }
        order
    }

    pub(super) fn goes_back(&self, event: usize, to: usize) -> bool {
        self.chains[event][to / 64] & (1 << (to % 64)) != 0
    }

    /// What the events go back to.
    pub(super) fn chain(&self, events: &[usize]) -> BTreeSet<usize> {
        let mut sum = vec![0; self.len().div_ceil(64)];
        for event in events {
            for (word, more) in sum.iter_mut().zip(&self.chains[*event]) {
                *word |= more;
            }
        }
        (0..self.len()).filter(|event| sum[event / 64] & (1 << (event % 64)) != 0).collect()
    }

    pub(super) fn difference(&self, sets: &[Vec<usize>]) -> BTreeSet<usize> {
        let chains: Vec<BTreeSet<usize>> = sets.iter().map(|set| self.chain(set)).collect();
        let all: BTreeSet<usize> = chains.iter().flatten().copied().collect();
        all.into_iter().filter(|event| !chains.iter().all(|chain| chain.contains(event))).collect()
    }

    pub(super) fn subgraph(&self, ends: &[usize]) -> BTreeSet<usize> {
        let above = |event: usize| ends.iter().any(|end| self.goes_back(*end, event));
        let beneath = |event: usize| ends.iter().any(|end| self.goes_back(event, *end));
        let between = |event: &usize| {
            let is_end = ends.contains(event);
            match (above(*event), beneath(*event)) {
                (true, true) => true,
                (above, beneath) => is_end && (above || beneath),
            }
        };
        (0..self.len()).filter(between).collect()
    }
}
