//! Going back along auth events: the links of chains, from memory or the database, and what is reached through them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::place::{Place, Stretch, each_of, of_each};
use crate::{Error, EventNo, Generation, Read, RoomNo, StateKeyNo, params, statements};

statements! {
    // Not by room as well: SQLite would then go through the whole room.
    PLACES = "SELECT event_no, place, state_key_no, room_no FROM auth_places WHERE event_no IN ints($1)";
    LINKS = of_each!("CAST(origin AS TEXT) || ' ' || CAST(target AS TEXT)", "auth_links", "origin",);
}

/// Events or chains that are asked about at once.
pub(super) const BATCH: usize = 1000;

/// The links of a chain up to some sequence: they never change.
pub(super) struct Known {
    upto: u16,
    /// Origin and target, in order.
    links: Vec<(u16, Place)>,
}

impl Known {
    /// The links whose origins are after `after`, and not after `upto`.
    pub(super) fn between(&self, after: u16, upto: u16) -> &[(u16, Place)] {
        between(&self.links, after, upto)
    }
}

fn between(links: &[(u16, Place)], after: u16, upto: u16) -> &[(u16, Place)] {
    let start = links.partition_point(|(origin, _)| *origin <= after);
    let end = links.partition_point(|(origin, _)| *origin <= upto);
    links.get(start..end).unwrap_or_default()
}

/// A place and the state key of its event.
type Placed = (Place, StateKeyNo);

/// What a cached place takes, about.
const PLACE_BYTES: u64 = 96;

#[derive(Clone)]
struct Bytes;

impl quick_cache::Weighter<(Generation, RoomNo, u32), Arc<Known>> for Bytes {
    fn weight(&self, _key: &(Generation, RoomNo, u32), known: &Arc<Known>) -> u64 {
        128 + (known.links.len() as u64) * 12
    }
}

impl quick_cache::Weighter<(Generation, RoomNo, EventNo), Placed> for Bytes {
    fn weight(&self, _key: &(Generation, RoomNo, EventNo), _placed: &Placed) -> u64 {
        PLACE_BYTES
    }
}

/// At most so many bytes of places and links. What was committed never changes, except that a database may come back with less than
/// this node has seen; that begins a generation, so it is part of the keys.
pub(super) struct Cache {
    links: quick_cache::sync::Cache<(Generation, RoomNo, u32), Arc<Known>, Bytes>,
    places: quick_cache::sync::Cache<(Generation, RoomNo, EventNo), Placed, Bytes>,
}

impl Cache {
    pub(super) fn new(bytes: u64) -> Self {
        let half = bytes / 2;
        let items = |size: u64| usize::try_from(half / size).unwrap_or(usize::MAX);
        Self {
            links: quick_cache::sync::Cache::with_weighter(items(160), half, Bytes),
            places: quick_cache::sync::Cache::with_weighter(items(PLACE_BYTES), half, Bytes),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.links.weight() + self.places.weight()
    }
}

/// What is planned and not committed yet.
#[derive(Default)]
pub(super) struct Overlay {
    pub(super) places: HashMap<EventNo, Placed>,
    /// First and last of the new sequences of a chain.
    pub(super) chains: HashMap<u32, (u16, u16)>,
    links: HashMap<u32, Vec<(u16, Place)>>,
}

impl Overlay {
    /// Adds an event. Those of a chain come in its order.
    pub(super) fn add(&mut self, event: EventNo, place: Place, key: StateKeyNo) {
        self.places.insert(event, (place, key));
        self.chains.entry(place.chain).or_insert((place.seq, place.seq)).1 = place.seq;
    }

    /// Adds a link of the last event of its chain.
    pub(super) fn link(&mut self, origin: Place, target: Place) {
        self.links.entry(origin.chain).or_default().push((origin.seq, target));
    }
}

/// A room's chains as of one snapshot, with what is planned laid over it.
pub(super) struct Graph<'a> {
    pub(super) read: &'a Read<'a>,
    pub(super) room: RoomNo,
    generation: Generation,
    cache: &'a Cache,
    pub(super) overlay: Overlay,
    /// What was looked at, so that nothing is loaded twice even when the cache is small.
    seen: RefCell<HashMap<u32, Arc<Known>>>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(read: &'a Read<'a>, room: RoomNo, generation: Generation, cache: &'a Cache) -> Self {
        Self { read, room, generation, cache, overlay: Overlay::default(), seen: RefCell::default() }
    }

    /// Where events stand. Those that are not there are left out.
    pub(super) fn find(&self, events: &[EventNo]) -> Result<HashMap<EventNo, Placed>, Error> {
        let mut found = HashMap::with_capacity(events.len());
        let mut missing = Vec::new();
        for event in events {
            let cached = || self.cache.places.get(&(self.generation, self.room, *event));
            match self.overlay.places.get(event).copied().or_else(cached) {
                Some(placed) => drop(found.insert(*event, placed)),
                None => missing.push(*event),
            }
        }
        for batch in missing.chunks(BATCH) {
            self.read.each(PLACES, params![batch], |row| {
                let (event, placed) = (row.get(0)?, (row.get(1)?, row.get(2)?));
                if row.get::<RoomNo>(3)? == self.room {
                    self.cache.places.insert((self.generation, self.room, event), placed);
                    found.insert(event, placed);
                }
                Ok(true)
            })?;
        }
        Ok(found)
    }

    /// Where events stand, in their order.
    pub(super) fn places(&self, events: &[EventNo]) -> Result<Vec<Place>, Error> {
        let found = self.find(events)?;
        let place = |event: &EventNo| found.get(event).map(|placed| placed.0).ok_or(Error::NotIndexed(*event));
        events.iter().map(place).collect()
    }

    /// Makes sure that the links of these places, and of those before them in their chains, are at hand.
    pub(super) fn load(&self, wanted: impl IntoIterator<Item = Place>) -> Result<(), Error> {
        let mut ends: BTreeMap<u32, u16> = BTreeMap::new();
        for place in wanted {
            // What is not committed is in no row, and must not pass for known to have no links.
            let first = self.overlay.chains.get(&place.chain).map(|(first, _)| first.saturating_sub(1));
            let end = ends.entry(place.chain).or_default();
            *end = (*end).max(place.seq.min(first.unwrap_or(u16::MAX)));
        }
        let mut seen = self.seen.borrow_mut();
        let mut stretches = Vec::new();
        ends.retain(|chain, end| {
            let upto = |known: &Arc<Known>| known.upto;
            let mut have = seen.get(chain).map_or(0, upto);
            if have < *end
                && let Some(known) = self.cache.links.get(&(self.generation, self.room, *chain))
                && known.upto > have
            {
                have = known.upto;
                seen.insert(*chain, known);
            }
            if have < *end {
                stretches.push(Stretch { chain: *chain, low: have + 1, high: *end });
            }
            have < *end
        });
        let mut new: HashMap<u32, Vec<(u16, Place)>> = HashMap::new();
        for batch in stretches.chunks(BATCH) {
            each_of(self.read, LINKS, self.room, batch, None, |(origin, target): (Place, Place)| {
                new.entry(origin.chain).or_default().push((origin.seq, target));
            })?;
        }
        for (chain, upto) in ends {
            let mut links = seen.get(&chain).map(|known| known.links.clone()).unwrap_or_default();
            let mut more = new.remove(&chain).unwrap_or_default();
            more.sort_unstable();
            links.extend(more);
            let known = Arc::new(Known { upto, links });
            self.cache.links.insert((self.generation, self.room, chain), Arc::clone(&known));
            seen.insert(chain, known);
        }
        Ok(())
    }

    /// Shows the links of a chain whose origins are after `after` and not after `upto`. They must be at hand.
    pub(super) fn each_link(&self, chain: u32, after: u16, upto: u16, mut each: impl FnMut(u16, Place)) {
        let seen = self.seen.borrow();
        let known = seen.get(&chain).map(|known| known.between(after, upto)).unwrap_or_default();
        let first = self.overlay.chains.get(&chain).map(|(first, _)| *first);
        let planned = self.overlay.links.get(&chain).map(|links| between(links, after, upto)).unwrap_or_default();
        // A plan may be committed by now; its links are shown once.
        for (origin, target) in known.iter().take_while(|(origin, _)| first.is_none_or(|first| *origin < first)) {
            each(*origin, *target);
        }
        for (origin, target) in planned {
            each(*origin, *target);
        }
    }
}

/// A set of events that holds whatever its members go back to: of each chain a beginning.
#[derive(Default)]
pub(super) struct Reach {
    /// How far it goes, and up to where links were followed.
    chains: HashMap<u32, (u16, u16)>,
    /// Chains with links to be followed.
    open: Vec<u32>,
}

impl Reach {
    /// The proper ancestors of some places: an event is not in its own auth chain.
    pub(super) fn before(graph: &Graph<'_>, places: &[Place]) -> Result<Self, Error> {
        let mut reach = Self::default();
        reach.add_before(graph, places)?;
        reach.close(graph, |_| false)?;
        Ok(reach)
    }

    /// Adds what some places cite, not yet what this goes back to.
    pub(super) fn add_before(&mut self, graph: &Graph<'_>, places: &[Place]) -> Result<(), Error> {
        graph.load(places.iter().copied())?;
        for place in places {
            if let Some(previous) = place.previous() {
                self.add(previous);
            }
            graph.each_link(place.chain, place.seq - 1, place.seq, |_, target| self.add(target));
        }
        Ok(())
    }

    /// Adds a place, not yet what it goes back to.
    pub(super) fn add(&mut self, place: Place) {
        let (upto, _) = self.chains.entry(place.chain).or_default();
        if *upto < place.seq {
            *upto = place.seq;
            self.open.push(place.chain);
        }
    }

    /// Adds all that is gone back to, or stops when `enough` says so. A hop from chains to chains costs at most one statement.
    pub(super) fn close(&mut self, graph: &Graph<'_>, mut enough: impl FnMut(&Self) -> bool) -> Result<(), Error> {
        while !self.open.is_empty() && !enough(self) {
            // How far they go now; what is added on the way is open again.
            let open: Vec<Place> = std::mem::take(&mut self.open)
                .into_iter()
                .map(|chain| Place { chain, seq: self.upto(chain) })
                .collect();
            graph.load(open.iter().copied())?;
            for Place { chain, seq } in open {
                let Some((_, followed)) = self.chains.get_mut(&chain) else { continue };
                let done = std::mem::replace(followed, seq.max(*followed));
                graph.each_link(chain, done, seq, |_, target| self.add(target));
            }
        }
        Ok(())
    }

    /// How much of a chain is in it: up to this sequence, 0 for none.
    pub(super) fn upto(&self, chain: u32) -> u16 {
        self.chains.get(&chain).map_or(0, |(upto, _)| *upto)
    }

    pub(super) fn contains(&self, place: Place) -> bool {
        place.seq <= self.upto(place.chain)
    }

    /// How many chains it touches.
    pub(super) fn len(&self) -> usize {
        self.chains.len()
    }

    /// The chains that it touches and how far, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u16)> {
        self.chains.iter().map(|(chain, (upto, _))| (*chain, *upto))
    }
}
