//! The index beside what it is made of.

use std::collections::BTreeSet;

use super::{
    AuthChains,
    place::Place,
    reach::{BATCH, Reach},
};
use crate::{Error, EventNo, Read, RoomNo, StateKeyNo, params, statements};

statements! {
    PAGE = "SELECT place, event_no, state_key_no FROM auth_places WHERE room_no = $1 AND place > $2 ORDER BY place LIMIT $3";
    LINKS = "SELECT origin, target FROM auth_links WHERE room_no = $1 AND origin > $2 AND origin <= $3 ORDER BY origin, target";
}

/// Faults that are told at most.
const TOLD: usize = 1000;

/// An event as the index has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The event.
    pub event: EventNo,
    /// Its type and state key.
    pub key: StateKeyNo,
    /// Where it stands.
    pub place: Place,
    /// What it cites outside of its chain and does not follow from what comes before in it.
    pub links: Vec<Place>,
}

/// Where the index is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no such event, or it is not one of the room's state events.
    Unknown(EventNo),
    /// The event is not preceded in its chain by what should be there.
    Gap(EventNo),
    /// The event has a link, or a place in a chain, as if it cited what it does not cite.
    Foreign(EventNo),
    /// An event cites another one that is not in the index.
    NotIndexed {
        /// Which event.
        event: EventNo,
        /// What it cites.
        cited: EventNo,
    },
    /// An event cites another one, and nothing in the index says so.
    Missing {
        /// Which event.
        event: EventNo,
        /// What it cites.
        cited: EventNo,
    },
    /// There is a link from a place where no event stands.
    Stray(Place),
}

/// Shows what the index has of a room, in the order of places, until `each` answers `false`.
pub fn each(read: &Read<'_>, room: RoomNo, mut each: impl FnMut(&Entry) -> Result<bool, Error>) -> Result<(), Error> {
    let page = |page: &[Entry]| {
        for entry in page {
            if !each(entry)? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    pages(read, room, page).map(drop)
}

/// Shows page after page, and returns whence links go that belong to nothing that it has shown.
fn pages(
    read: &Read<'_>,
    room: RoomNo,
    mut each: impl FnMut(&[Entry]) -> Result<bool, Error>,
) -> Result<Option<Place>, Error> {
    let (mut after, mut stray) = (Place::START, None);
    loop {
        let entry = |row: &crate::Row<'_>| {
            Ok(Entry { place: row.get(0)?, event: row.get(1)?, key: row.get(2)?, links: Vec::new() })
        };
        let mut page = read.all(PAGE, params![room, after, BATCH as u64], entry)?;
        // After the last event there should be no more links.
        let last = page.last().map_or(Place::END, |entry| entry.place);
        read.each(LINKS, params![room, after, last], |row| {
            let origin: Place = row.get(0)?;
            let at = page.binary_search_by_key(&origin, |entry| entry.place);
            match at.ok().and_then(|at| page.get_mut(at)) {
                Some(entry) => entry.links.push(row.get(1)?),
                None => stray = Some(origin),
            }
            Ok(true)
        })?;
        after = last;
        if page.is_empty() || !each(&page)? {
            return Ok(stray);
        }
    }
}

/// Compares the index of a room with what its events cite: `edges` tells this of some events, in their order, `None` for one that is
/// not a state event of the room. Whether every event is in the index is for the caller to ask ([`AuthChains::has`]).
///
/// No fault means that the index goes back, from each event, to just what the citations go back to. At most 1,000 faults are told.
pub fn check(
    chains: &AuthChains,
    read: &Read<'_>,
    room: RoomNo,
    mut edges: impl FnMut(&[EventNo]) -> Result<Vec<Option<Vec<EventNo>>>, Error>,
) -> Result<Vec<Fault>, Error> {
    let mut faults = Vec::new();
    let mut before = Place::START;
    let stray = pages(read, room, |page| {
        let events: Vec<EventNo> = page.iter().map(|entry| entry.event).collect();
        let cited = edges(&events)?;
        let graph = chains.graph(read, room);
        let all: Vec<EventNo> = cited.iter().flatten().flatten().copied().collect();
        let known = graph.find(&all)?;
        for (entry, cited) in page.iter().zip(cited) {
            let event = entry.event;
            let expected = if entry.place.seq == 1 { None } else { Some(before) };
            if entry.place.previous() != expected || entry.place.chain < before.chain {
                faults.push(Fault::Gap(event));
            }
            before = entry.place;
            let Some(cited) = cited else {
                faults.push(Fault::Unknown(event));
                continue;
            };
            let direct: BTreeSet<Place> = entry.links.iter().copied().chain(entry.place.previous()).collect();
            let mut rest = direct.clone();
            let mut implied = Vec::new();
            for cited in cited {
                match known.get(&cited) {
                    None => faults.push(Fault::NotIndexed { event, cited }),
                    Some((place, _)) if direct.contains(place) => drop(rest.remove(place)),
                    Some((place, _)) => implied.push((cited, *place)),
                }
            }
            if !rest.is_empty() {
                faults.push(Fault::Foreign(event));
            }
            if !implied.is_empty() {
                let mut reach = Reach::default();
                reach.add_before(&graph, &[entry.place])?;
                reach.close(&graph, |reach| implied.iter().all(|(_, place)| reach.contains(*place)))?;
                let missing = implied.into_iter().filter(|(_, place)| !reach.contains(*place));
                faults.extend(missing.map(|(cited, _)| Fault::Missing { event, cited }));
            }
        }
        faults.truncate(TOLD);
        Ok(faults.len() < TOLD)
    })?;
    faults.extend(stray.map(Fault::Stray));
    Ok(faults)
}
