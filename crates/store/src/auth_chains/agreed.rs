//! Which part of some chains the agreed state goes back to: a search upwards, from what is cited to what cites it.
//!
//! Nobody can list the auth chain of a state of 100,000 events for every question. So it is asked the other way around: of the
//! places in question, is there an event of the agreed state that goes back to them? One answer settles all that it goes back to, and in
//! a room with members almost everything is settled by the first few that are looked at. What is left is looked at to the end: it is
//! cited by nothing but what has been replaced or is in conflict itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use super::{
    Agreed, events,
    place::{Place, Stretch, each_of, of_each},
    reach::{BATCH, Graph, Reach},
};
use crate::{Error, EventNo, StateKeyNo, params, statements};

statements! {
    TIPS = "SELECT (SELECT n.place FROM auth_places n WHERE n.room_no = $1 AND n.place BETWEEN value AND value + 65535 ORDER BY n.place DESC LIMIT 1) FROM ints($2)";
    CITING = of_each!("CAST(target AS TEXT) || ' ' || CAST(origin AS TEXT)", "auth_links", "target", "ORDER BY target DESC, origin DESC LIMIT $3");
    CITING_ONE = "SELECT target, origin FROM auth_links WHERE room_no = $1 AND (target, origin) < ($2, $3) AND target >= $4 ORDER BY target DESC, origin DESC LIMIT $5";
}

/// Rows of a chain that are looked at first, and at most. Each time it is twice as many, from half as many chains.
const FIRST: u16 = 4;
const MOST: u16 = 4096;
/// Rows that are looked at together, at most.
const ROWS: u16 = 1 << 14;

/// A chain in which something may lead to an agreed event.
#[derive(Default)]
struct Line {
    /// What is in question: after the first, up to the second.
    range: (u16, u16),
    /// What cites something that matters, and what that is.
    citing: BTreeMap<u16, Vec<Place>>,
    /// Everything after this sequence has been looked at: the events themselves …
    events: Option<u16>,
    /// … and what cites them.
    cited: u16,
    /// Of what cites the event at `cited`, this origin and later ones have been looked at.
    amid: Option<Place>,
}

impl Line {
    /// The first sequence after `common` that is in question itself.
    fn own(&self, common: u16) -> Option<u16> {
        let own = self.range.0.max(common).saturating_add(1);
        (own <= self.range.1 && common < self.range.1).then_some(own)
    }

    /// What cites something, after `common`.
    fn citing(&self, common: u16) -> impl Iterator<Item = (&u16, &Vec<Place>)> {
        self.citing.range((Bound::Excluded(common), Bound::Unbounded))
    }
}

pub(super) struct Search<'a, 'g, A> {
    graph: &'a Graph<'g>,
    agreed: A,
    lines: BTreeMap<u32, Line>,
    /// The lines that are not done with.
    open: BTreeSet<u32>,
    common: Reach,
}

impl<'a, 'g, A: FnMut(&[(EventNo, StateKeyNo)]) -> Agreed> Search<'a, 'g, A> {
    /// With the stretches in question, at most one of a chain.
    pub(super) fn new(graph: &'a Graph<'g>, stretches: &[Stretch], agreed: A) -> Self {
        let line = |stretch: &Stretch| Line { range: (stretch.low - 1, stretch.high), ..Line::default() };
        let lines: BTreeMap<u32, Line> = stretches.iter().map(|stretch| (stretch.chain, line(stretch))).collect();
        let open = lines.keys().copied().collect();
        Self { graph, agreed, lines, open, common: Reach::default() }
    }

    /// What agreed events go back to. Of the stretches it says all, of other places not.
    pub(super) fn run(mut self) -> Result<Reach, Error> {
        let mut page = FIRST;
        loop {
            let width = usize::from(ROWS / page);
            let mut batch = self.batch(width);
            if batch.is_empty() {
                // What mattered no longer may matter again for the sake of something that was found later.
                self.open.extend(self.lines.keys());
                batch = self.batch(width);
            }
            if batch.is_empty() {
                return Ok(self.common);
            }
            self.find_tips(batch.keys().copied())?;
            self.look_at_events(&batch, page)?;
            self.look_at_citing(&batch, page)?;
            page = (page * 2).min(MOST);
        }
    }

    /// Some chains, and down to where they have to be looked at. The last ones first: what has just been found to cite something.
    fn batch(&mut self, width: usize) -> BTreeMap<u32, u16> {
        let (mut batch, mut end) = (BTreeMap::new(), u32::MAX);
        while batch.len() < width
            && let Some(chain) = self.open.range(..end).next_back().copied()
        {
            end = chain;
            match self.needs(chain) {
                Some(first) => drop(batch.insert(chain, first)),
                None => drop(self.open.remove(&chain)),
            }
        }
        batch
    }

    /// Down to where a chain still has to be looked at; `None` when there is nothing left.
    fn needs(&self, chain: u32) -> Option<u16> {
        let line = self.lines.get(&chain)?;
        let common = self.common.upto(chain);
        // What cites only what is settled by now matters no longer.
        let matters = |(_, targets): &(&u16, &Vec<Place>)| targets.iter().any(|target| !self.is_settled(*target));
        let citing = line.citing(common).find(matters).map(|(seq, _)| *seq);
        let first = line.own(common).into_iter().chain(citing).min()?;
        let done = line.events.is_some_and(|events| events < first) && line.cited < first;
        (!done).then_some(first)
    }

    /// Whether nothing up to here matters in its chain.
    fn is_settled(&self, target: Place) -> bool {
        let Some(line) = self.lines.get(&target.chain) else { return true };
        let common = self.common.upto(target.chain);
        let citing = line.citing(common).next().map(|(seq, _)| *seq);
        line.own(common).into_iter().chain(citing).all(|first| target.seq < first)
    }

    fn find_tips(&mut self, chains: impl Iterator<Item = u32>) -> Result<(), Error> {
        let new = chains.filter(|chain| self.lines.get(chain).is_some_and(|line| line.events.is_none()));
        let new: Vec<i64> = new.map(|chain| Place { chain, seq: 0 }.number()).collect();
        if new.is_empty() {
            return Ok(());
        }
        let tips = self.graph.read.all(TIPS, params![self.graph.room, &new], |row| row.get::<Option<Place>>(0))?;
        for tip in tips.into_iter().flatten() {
            if let Some(line) = self.lines.get_mut(&tip.chain) {
                (line.events, line.cited) = (Some(tip.seq), tip.seq);
            }
        }
        Ok(())
    }

    /// Looks for agreed ones among the events of chains, from their ends down.
    fn look_at_events(&mut self, batch: &BTreeMap<u32, u16>, page: u16) -> Result<(), Error> {
        let mut stretches = Vec::new();
        for (chain, first) in batch {
            let Some(line) = self.lines.get_mut(chain) else { continue };
            let high = line.events.ok_or(Error::Inconsistent("an auth chain without events is cited"))?;
            if high >= *first {
                let low = high.saturating_sub(page - 1).max(*first);
                stretches.push(Stretch { chain: *chain, low, high });
                line.events = Some(low - 1);
            }
        }
        if stretches.is_empty() {
            return Ok(());
        }
        let found = events(self.graph, &stretches)?;
        let asked: Vec<_> = found.iter().map(|(_, event, key)| (*event, *key)).collect();
        let agreed = (self.agreed)(&asked)?;
        let agreed: Vec<Place> =
            found.into_iter().zip(agreed).filter(|(_, agreed)| *agreed).map(|((place, ..), _)| place).collect();
        self.common.add_before(self.graph, &agreed)?;
        self.common.close(self.graph, |_| false)
    }

    /// Adds what cites the chains' events, the last ones first.
    fn look_at_citing(&mut self, batch: &BTreeMap<u32, u16>, page: u16) -> Result<(), Error> {
        let mut stretches = Vec::new();
        for chain in batch.keys() {
            let Some(first) = self.needs(*chain) else { continue };
            let Some(line) = self.lines.get(chain) else { continue };
            if line.cited < first {
                continue;
            }
            let stretch = Stretch { chain: *chain, low: first, high: line.cited };
            match line.amid {
                Some(origin) => self.look_further(stretch, origin)?,
                None => stretches.push(stretch),
            }
        }
        let mut found: BTreeMap<u32, Vec<(Place, Place)>> = BTreeMap::new();
        for batch in stretches.chunks(BATCH) {
            each_of(self.graph.read, CITING, self.graph.room, batch, Some(page.into()), |link: (Place, Place)| {
                found.entry(link.0.chain).or_default().push(link);
            })?;
        }
        for stretch in stretches {
            self.add_citing(stretch, found.remove(&stretch.chain).unwrap_or_default(), page);
        }
        Ok(())
    }

    /// The same for one chain, an event of which is cited by more than a page.
    fn look_further(&mut self, stretch: Stretch, origin: Place) -> Result<(), Error> {
        let high = Place { chain: stretch.chain, seq: stretch.high };
        let low = Place { seq: stretch.low, ..high };
        let params = params![self.graph.room, high, origin, low, i64::from(MOST)];
        let found = self.graph.read.all(CITING_ONE, params, |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.add_citing(stretch, found, MOST);
        Ok(())
    }

    fn add_citing(&mut self, stretch: Stretch, mut found: Vec<(Place, Place)>, page: u16) {
        found.sort_unstable();
        for (target, origin) in &found {
            let targets = self.lines.entry(origin.chain).or_default().citing.entry(origin.seq).or_default();
            if !targets.contains(target) {
                targets.push(*target);
            }
            self.open.insert(origin.chain);
        }
        if let Some(line) = self.lines.get_mut(&stretch.chain) {
            (line.cited, line.amid) = match found.first() {
                Some((target, origin)) if found.len() >= page.into() => (target.seq, Some(*origin)),
                _ => (stretch.low - 1, None),
            };
        }
    }
}
