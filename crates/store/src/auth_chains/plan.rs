//! Giving events their places: worked out on a read snapshot, and written as rows.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    AuthChains,
    place::{LAST_CHAIN, Place},
    reach::{BATCH, Graph, Reach},
};
use crate::{Error, EventNo, Read, RoomNo, StateKeyNo, Tx, Value, params, statements, values};

statements! {
    TAKEN = "SELECT place FROM auth_places WHERE room_no = $1 AND place IN ints($2)";
    KNOWN = "SELECT event_no, place FROM auth_places WHERE event_no IN ints($1)";
    LAST = "SELECT place FROM auth_places WHERE room_no = $1 ORDER BY place DESC LIMIT 1";
    PLACE = "INSERT INTO auth_places (room_no, place, event_no, state_key_no) VALUES ($1, $2, $3, $4)";
    LINK = "INSERT INTO auth_links (room_no, target, origin) VALUES ($1, $2, $3)";
}

/// Chains that are looked through for a way that makes a link needless. Where there are more, a link too many does no harm.
const SEARCHED: usize = 256;

/// A state event to be indexed: accepted, rejected or an outlier.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// The event.
    pub event: EventNo,
    /// Its type and state key.
    pub key: StateKeyNo,
    /// The events that it cites in `auth_events`.
    pub auth_events: &'a [EventNo],
}

/// Places for events, ready to be written.
#[derive(Debug)]
pub struct Plan {
    room: RoomNo,
    places: Vec<(EventNo, Place, StateKeyNo)>,
    /// Origin and target, in the order of the places.
    links: Vec<(Place, Place)>,
    /// Events of other plans that these cite.
    upon: BTreeMap<EventNo, Place>,
}

impl AuthChains {
    /// Gives state events of a room their places, each after those that it cites. `upon` are plans that the events may cite and
    /// that may not be committed yet, in the order in which they were made; they have to be committed by the time that this one is.
    /// An event that already has its place keeps it.
    ///
    /// An event continues the chain of an event that it cites, if one of them is the last of its chain: rather one with the same type and
    /// state key, for such follow each other. Otherwise it begins one. What of its citations does not follow from others becomes links.
    ///
    /// # Errors
    /// [`Error::NotIndexed`] when an event cites one that is neither in the room's index, nor in `upon`, nor before it in `new`. A
    /// whole auth chain comes before what it is the chain of.
    pub fn plan(&self, read: &Read<'_>, room: RoomNo, new: &[New<'_>], upon: &[&Plan]) -> Result<Plan, Error> {
        let mut graph = self.graph(read, room);
        for plan in upon {
            if plan.room != room {
                return Err(Error::Inconsistent("a plan for the auth chains of another room is built upon"));
            }
            let mut links = plan.links.iter().peekable();
            for (event, place, key) in &plan.places {
                graph.overlay.add(*event, *place, *key);
                while let Some((origin, target)) = links.next_if(|(origin, _)| origin == place) {
                    graph.overlay.link(*origin, *target);
                }
            }
        }
        let mut wanted: Vec<EventNo> = Vec::with_capacity(new.len() * 2);
        for event in new {
            wanted.push(event.event);
            wanted.extend(event.auth_events);
        }
        wanted.sort_unstable();
        wanted.dedup();
        let known = graph.find(&wanted)?;
        graph.load(known.values().map(|(place, _)| *place))?;
        let continued = continued(&graph, new, &known)?;
        let last = read.one(LAST, params![room], |row| row.get::<Place>(0))?.map_or(0, |place| place.chain);
        let last = graph.overlay.chains.keys().copied().fold(last, u32::max);
        let before = graph.overlay.places.iter().filter(|(event, _)| wanted.binary_search(event).is_ok());
        let before: BTreeMap<EventNo, Place> = before.map(|(event, (place, _))| (*event, *place)).collect();
        let plan = Plan { room, places: Vec::new(), links: Vec::new(), upon: BTreeMap::new() };
        let mut work = Work { graph, known, continued, last, before, plan, searched: HashMap::new() };
        for event in new {
            work.add(event)?;
        }
        Ok(work.plan)
    }
}

/// Which of the events that new ones could follow are followed by another one.
fn continued(
    graph: &Graph<'_>,
    new: &[New<'_>],
    known: &HashMap<EventNo, (Place, StateKeyNo)>,
) -> Result<HashSet<Place>, Error> {
    let mut next = Vec::new();
    for event in new.iter().filter(|event| !known.contains_key(&event.event)) {
        let cited = event.auth_events.iter().filter_map(|cited| known.get(cited));
        next.extend(cited.filter_map(|(place, _)| place.next()));
    }
    next.sort_unstable();
    next.dedup();
    let mut found = HashSet::new();
    for batch in next.chunks(BATCH) {
        let places = Value::ints(batch.iter().map(|place| place.number()));
        graph.read.each(TAKEN, &[graph.room.into(), places], |row| {
            found.extend(row.get::<Place>(0)?.previous());
            Ok(true)
        })?;
    }
    Ok(found)
}

struct Work<'a> {
    graph: Graph<'a>,
    /// Committed, planned before, or planned now.
    known: HashMap<EventNo, (Place, StateKeyNo)>,
    /// Committed places that are not the last of their chains.
    continued: HashSet<Place>,
    last: u32,
    /// What the new events cite of earlier plans.
    before: BTreeMap<EventNo, Place>,
    plan: Plan,
    /// Links of events that begin chains, by what they cite: all who join a room cite the same.
    searched: HashMap<Vec<Place>, Vec<Place>>,
}

impl Work<'_> {
    fn add(&mut self, event: &New<'_>) -> Result<(), Error> {
        if self.known.contains_key(&event.event) {
            return Ok(());
        }
        let mut cited: BTreeMap<u32, u16> = BTreeMap::new();
        // The one to continue, and whether it has the same key.
        let mut previous: Option<(bool, Place)> = None;
        for auth_event in event.auth_events {
            let (place, key) = *self.known.get(auth_event).ok_or(Error::NotIndexed(*auth_event))?;
            let end = cited.entry(place.chain).or_default();
            *end = (*end).max(place.seq);
            if place.next().is_some() && self.is_last(place) {
                previous = previous.max(Some((key == event.key, place)));
            }
            if let Some(place) = self.before.get(auth_event) {
                self.plan.upon.insert(*auth_event, *place);
            }
        }
        let previous = previous.map(|(_, place)| place);
        let place = match previous.and_then(Place::next) {
            Some(place) => place,
            None if self.last == LAST_CHAIN => return Err(Error::Inconsistent("a room has too many auth chains")),
            None => {
                self.last += 1;
                Place { chain: self.last, seq: 1 }
            }
        };
        cited.remove(&previous.map_or(0, |previous| previous.chain));
        let targets = cited.into_iter().map(|(chain, seq)| Place { chain, seq }).collect();
        for target in self.needed(previous, targets)? {
            self.graph.overlay.link(place, target);
            self.plan.links.push((place, target));
        }
        self.graph.overlay.add(event.event, place, event.key);
        self.known.insert(event.event, (place, event.key));
        self.plan.places.push((event.event, place, event.key));
        Ok(())
    }

    fn is_last(&self, place: Place) -> bool {
        match self.graph.overlay.chains.get(&place.chain) {
            Some((_, last)) => *last == place.seq,
            None => !self.continued.contains(&place),
        }
    }

    /// Those of the targets that neither what comes before in the chain nor another target goes back to.
    fn needed(&mut self, previous: Option<Place>, targets: Vec<Place>) -> Result<Vec<Place>, Error> {
        if targets.len() + usize::from(previous.is_some()) < 2 {
            return Ok(targets);
        }
        if previous.is_none()
            && let Some(needed) = self.searched.get(&targets)
        {
            return Ok(needed.clone());
        }
        let enough = |reach: &Reach| reach.len() > SEARCHED || targets.iter().all(|target| reach.contains(*target));
        let mut reach = Reach::default();
        // What comes before in the chain most often cites the same.
        if let Some(previous) = previous {
            reach.add(previous);
            reach.close(&self.graph, enough)?;
        }
        if !enough(&reach) {
            reach.add_before(&self.graph, &targets)?;
            reach.close(&self.graph, enough)?;
        }
        let needed: Vec<Place> = targets.iter().copied().filter(|target| !reach.contains(*target)).collect();
        if previous.is_none() {
            self.searched.insert(targets, needed.clone());
        }
        Ok(needed)
    }
}

impl Plan {
    /// Where it places its events, in their order. Those that had a place already are not among them.
    pub fn places(&self) -> impl Iterator<Item = (EventNo, Place)> {
        self.places.iter().map(|(event, place, _)| (*event, *place))
    }

    /// How many links it adds.
    #[must_use]
    pub fn links(&self) -> usize {
        self.links.len()
    }

    /// Writes the new rows, in the closure that inserts the events. The caller holds the room: its compare-and-swap or
    /// [`rooms::lock`](crate::rooms::lock) comes first.
    ///
    /// # Errors
    /// [`Error::Gone`], before a row has changed, when somebody else has used the places meanwhile or a plan that this one builds
    /// upon was not committed: plan again.
    pub fn write(&self, tx: &Tx<'_>) -> Result<(), Error> {
        let upon: Vec<EventNo> = self.upon.keys().copied().collect();
        let (mut there, mut gone) = (0, false);
        for batch in upon.chunks(BATCH) {
            tx.each(KNOWN, params![batch], |row| {
                there += 1;
                gone |= self.upon.get(&row.get(0)?) != Some(&row.get(1)?);
                Ok(true)
            })?;
        }
        if gone || there != upon.len() {
            return Err(Error::Gone);
        }
        for batch in self.places.chunks(BATCH) {
            let places = Value::ints(batch.iter().map(|(_, place, _)| place.number()));
            let events = Value::ints(batch.iter().map(|(event, ..)| event.0));
            if tx.exists(TAKEN, &[self.room.into(), places])? || tx.exists(KNOWN, &[events])? {
                return Err(Error::Gone);
            }
        }
        let rows: Vec<_> =
            self.places.iter().map(|(event, place, key)| values![self.room, *place, *event, *key]).collect();
        tx.execute_many(PLACE, &rows)?;
        let rows: Vec<_> = self.links.iter().map(|(origin, target)| values![self.room, *target, *origin]).collect();
        tx.execute_many(LINK, &rows)?;
        Ok(())
    }
}
