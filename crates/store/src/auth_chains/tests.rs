use std::{cell::Cell, collections::BTreeSet, sync::Arc};

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use roost_matrix::state_res::chains::{self, Citations};

use super::*;
use crate::{
    on_both_engines,
    testing::TestStore,
    transaction::{Each, Session},
};

mod cost;
mod model;
mod race;

use model::{Draw, Model, Recipe, SHAPES, Shape};

const ROOM: RoomNo = RoomNo(1);
const COUNT_PLACES: &str = "SELECT count(*) FROM auth_places";
const COUNT_CHAINS: &str = "SELECT count(*) FROM auth_places WHERE place & 65535 = 1";
const COUNT_LINKS: &str = "SELECT count(*) FROM auth_links";
const DROP_A_LINK: &str = "DELETE FROM auth_links WHERE origin = (SELECT max(origin) FROM auth_links) AND room_no = $1";
const MOVE_LINKS: &str = "UPDATE auth_links SET target = (SELECT max(place) FROM auth_places) WHERE target = (SELECT max(target) FROM auth_links) AND room_no = $1";
const DROP_AN_EVENT: &str =
    "DELETE FROM auth_places WHERE place = (SELECT max(place) FROM auth_places WHERE room_no = $1) AND room_no = $1";

on_both_engines![
    the_index_says_what_walking_the_graph_says,
    ten_thousand_events_are_indexed_and_asked_about,
    an_event_that_cites_what_is_not_there_is_refused,
    an_event_keeps_its_place,
    a_chain_ends_when_its_sequences_do_and_goes_on_as_another,
    links_that_follow_from_others_are_not_kept,
    rooms_do_not_see_each_other_and_are_removed_alone,
    the_cache_keeps_to_its_budget,
    a_damaged_index_is_found_out,
    the_check_shows_what_is_cited_and_not_indexed,
];

fn recipes(sizes: std::ops::Range<usize>) -> impl Strategy<Value = Recipe> {
    (prop::sample::select(&SHAPES[..]), sizes, any::<u64>()).prop_map(|(shape, size, seed)| Recipe {
        shape,
        size,
        seed,
    })
}

/// Plans and writes everything in batches, sometimes with several plans before the first is written.
async fn index(store: &Store, chains: &AuthChains, model: &Arc<Model>, room: RoomNo, draw: &mut Draw, batch: usize) {
    let order = model.some_order(draw);
    let mut rest = order.as_slice();
    let mut waiting: Vec<Arc<Plan>> = Vec::new();
    while !rest.is_empty() {
        let (now, later) = rest.split_at((1 + draw.below(batch)).min(rest.len()));
        rest = later;
        waiting.push(Arc::new(plan(store, chains, model, room, now, &waiting).await.unwrap()));
        if rest.is_empty() || draw.one_in(2) {
            let plans = std::mem::take(&mut waiting);
            if draw.one_in(2) {
                store.write(move |tx| plans.iter().try_for_each(|plan| plan.write(tx))).await.unwrap();
            } else {
                for plan in plans {
                    store.write(move |tx| plan.write(tx)).await.unwrap();
                }
            }
        }
    }
}

async fn plan(
    store: &Store,
    chains: &AuthChains,
    model: &Arc<Model>,
    room: RoomNo,
    events: &[usize],
    upon: &[Arc<Plan>],
) -> Result<Plan, Error> {
    let (chains, upon) = (chains.clone(), upon.to_vec());
    let events: Vec<_> = events.iter().map(|event| (*event, Arc::clone(model))).collect();
    store
        .read(move |read| {
            let cited: Vec<Vec<EventNo>> = events
                .iter()
                .map(|(event, model)| model.cited[*event].iter().map(|cited| model.no(*cited)).collect())
                .collect();
            let new: Vec<New<'_>> = events
                .iter()
                .zip(&cited)
                .map(|((event, model), cited)| New {
                    event: model.no(*event),
                    key: model.key(*event),
                    auth_events: cited,
                })
                .collect();
            let upon: Vec<&Plan> = upon.iter().map(|plan| &**plan).collect();
            chains.plan(read, room, &new, &upon)
        })
        .await
}

async fn count(store: &Store, sql: &'static str) -> i64 {
    store.read(move |read| read.one(sql, params![], |row| row.get(0))).await.map(Option::unwrap).unwrap()
}

/// As another process sees it.
fn cold(store: &Store) -> AuthChains {
    AuthChains::open(store, 0)
}

impl Citations for Model {
    type Error = Error;
    type Event = usize;

    fn auth_events(&self, event: usize) -> Result<Vec<usize>, Error> {
        Ok(self.cited[event].clone())
    }

    fn cited_by(&self, event: usize) -> Result<Vec<usize>, Error> {
        Ok(self.citing[event].clone())
    }

    fn rank(&self, event: usize) -> Result<u64, Error> {
        Ok(event as u64)
    }

    fn is_unconflicted(&self, _event: usize) -> Result<bool, Error> {
        Ok(false)
    }
}

/// Asks about some events at random and compares with the model.
fn compare(read: &Read<'_>, chains: &AuthChains, model: &Model, room: RoomNo, draw: &mut Draw) -> Result<(), Error> {
    let some = |draw: &mut Draw, most: usize| -> Vec<usize> {
        // Mostly near each other, as conflicts are.
        let near = if draw.one_in(3) { model.len() } else { model.len().min(40) };
        let from = draw.below(model.len() - near + 1);
        (0..draw.below(most)).map(|_| from + draw.below(near)).collect()
    };
    let nos = |events: &[usize]| -> Vec<EventNo> { events.iter().map(|event| model.no(*event)).collect() };

    let common = some(draw, 20);
    let own: Vec<Vec<usize>> = (0..=draw.below(4)).map(|_| some(draw, 8)).collect();
    let sets: Vec<Vec<usize>> = own.iter().map(|own| [own.as_slice(), &common].concat()).collect();
    let expected = model.nos(model.difference(&sets));
    let listed = |found: Vec<EventNo>| {
        let set: BTreeSet<EventNo> = found.iter().copied().collect();
        assert_eq!(set.len(), found.len(), "something is listed twice");
        set
    };
    let numbers: Vec<Vec<EventNo>> = sets.iter().map(|set| nos(set)).collect();
    assert_eq!(listed(chains.difference(read, room, &numbers)?), expected, "difference of {sets:?}");
    // As the room engine asks: what the states do not share, and a word on what they do.
    let agreed: BTreeSet<EventNo> = nos(&common).into_iter().collect();
    let numbers: Vec<Vec<EventNo>> = own.iter().map(|own| nos(own)).collect();
    let mut asked = Vec::new();
    let found = chains.conflict_difference(read, room, &numbers, |events| {
        asked.extend_from_slice(events);
        Ok(events.iter().map(|(event, _)| agreed.contains(event)).collect())
    })?;
    assert_eq!(listed(found), expected, "difference of {own:?} beside {common:?}");
    let keys: BTreeSet<(EventNo, StateKeyNo)> = (0..model.len()).map(|at| (model.no(at), model.key(at))).collect();
    assert!(asked.iter().all(|asked| keys.contains(asked)), "a wrong state key");
    // The walk is told nothing of what is common, so it is given whole sets.
    let walked = chains::auth_difference(model, &sets)?;
    assert_eq!(model.nos(walked), expected);

    let ends = some(draw, 8);
    let expected = model.nos(model.subgraph(&ends));
    assert_eq!(listed(chains.subgraph(read, room, &nos(&ends))?), expected, "between {ends:?}");
    assert_eq!(model.nos(chains::conflicted_subgraph(model, &ends)?), expected);

    let of = some(draw, 5);
    let (mut found, mut after) = (Vec::new(), None);
    let limit = 1 + u16::try_from(draw.below(model.len())).unwrap();
    loop {
        let piece = chains.chain(read, room, &nos(&of), after, limit)?;
        assert!(piece.events.len() <= limit.into());
        assert!(piece.next.is_none() || piece.events.len() == usize::from(limit));
        found.extend(piece.events);
        after = piece.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed(found), model.nos(model.chain(&of)), "chain of {of:?}");

    let (a, b) = (draw.below(model.len()), draw.below(model.len()));
    let found = chains.is_ancestor(read, room, model.no(a), model.no(b))?;
    assert_eq!(found, model.goes_back(b, a), "{b} to {a}");
    Ok(())
}

/// What the model says, for [`check`].
fn edges(model: &Model) -> impl Fn(&[EventNo]) -> Result<Vec<Option<Vec<EventNo>>>, Error> {
    let by_no: HashMap<EventNo, Vec<EventNo>> = (0..model.len())
        .map(|event| (model.no(event), model.cited[event].iter().map(|cited| model.no(*cited)).collect()))
        .collect();
    move |events| Ok(events.iter().map(|event| by_no.get(event).cloned()).collect())
}

async fn faults(store: &Store, model: &Arc<Model>, room: RoomNo) -> Vec<Fault> {
    let (chains, model) = (cold(store), Arc::clone(model));
    store.read(move |read| check(&chains, read, room, edges(&model))).await.unwrap()
}

async fn the_index_says_what_walking_the_graph_says(store: TestStore) {
    let mut runner = TestRunner::default();
    for turn in 1..16 {
        let recipe = recipes(2..300).new_tree(&mut runner).unwrap().current();
        eprintln!("{recipe:?}");
        let room = RoomNo(turn);
        // Numbers of events are unique among rooms.
        store.write(|tx| tx.execute("DELETE FROM auth_places", params![])).await.unwrap();
        store.write(|tx| tx.execute("DELETE FROM auth_links", params![])).await.unwrap();
        let (model, mut draw) = (Arc::new(Model::make(recipe)), Draw(recipe.seed ^ 1));
        let chains = AuthChains::open(&store, [0, 4096, 1 << 20][draw.below(3)]);
        let batch = [1, 7, 400][draw.below(3)];
        index(&store, &chains, &model, room, &mut draw, batch).await;
        assert_eq!(faults(&store, &model, room).await, []);
        for chains in [chains, cold(&store)] {
            let (model, mut draw) = (Arc::clone(&model), draw.clone());
            let asked = store.read(move |read| {
                (0..20).try_for_each(|_| compare(read, &chains, &model, room, &mut draw))?;
                Ok::<_, Error>(())
            });
            asked.await.unwrap();
        }
    }
}

async fn ten_thousand_events_are_indexed_and_asked_about(store: TestStore) {
    let mut runner = TestRunner::default();
    for (turn, shape) in (1..).zip([Shape::Room, Shape::Powers, Shape::Deep]) {
        let seed = any::<u64>().new_tree(&mut runner).unwrap().current();
        let recipe = Recipe { shape, size: 10_000, seed };
        eprintln!("{recipe:?}");
        store.write(|tx| tx.execute("DELETE FROM auth_places", params![])).await.unwrap();
        let (model, mut draw) = (Arc::new(Model::make(recipe)), Draw(recipe.seed ^ 1));
        let (chains, room) = (AuthChains::open(&store, 1 << 22), RoomNo(turn));
        index(&store, &chains, &model, room, &mut draw, 4000).await;
        assert_eq!(faults(&store, &model, room).await, []);
        let asked = store.read(move |read| (0..6).try_for_each(|_| compare(read, &chains, &model, room, &mut draw)));
        asked.await.unwrap();
    }
}

/// A room of a create event and others that cite by index; all of a key of its own unless said.
fn small(events: &[(i64, &[usize])]) -> Arc<Model> {
    Arc::new(Model::of(events))
}

async fn write(store: &Store, plan: Plan) -> Result<(), Error> {
    store.write(move |tx| plan.write(tx)).await
}

async fn an_event_that_cites_what_is_not_there_is_refused(store: TestStore) {
    let chains = cold(&store);
    let model = small(&[(1, &[]), (2, &[0]), (3, &[0, 1])]);
    let refused = plan(&store, &chains, &model, ROOM, &[0, 2], &[]).await;
    assert!(matches!(refused, Err(Error::NotIndexed(cited)) if cited == model.no(1)), "{refused:?}");
    // In the wrong order, too.
    let refused = plan(&store, &chains, &model, ROOM, &[0, 2, 1], &[]).await;
    assert!(matches!(refused, Err(Error::NotIndexed(cited)) if cited == model.no(1)), "{refused:?}");
    let (no, other) = (model.no(0), chains.clone());
    let asked = store.read(move |read| other.subgraph(read, ROOM, &[no])).await;
    assert!(matches!(asked, Err(Error::NotIndexed(unknown)) if unknown == no), "{asked:?}");
    let first = plan(&store, &chains, &model, ROOM, &[0, 1], &[]).await.unwrap();
    write(&store, first).await.unwrap();
    // What another room has is not there either.
    let refused = plan(&store, &chains, &model, RoomNo(2), &[2], &[]).await;
    assert!(matches!(refused, Err(Error::NotIndexed(_))), "{refused:?}");
    let nos = [model.no(0), model.no(2)];
    assert_eq!(store.read(move |read| chains.has(read, ROOM, &nos)).await.unwrap(), [true, false]);
}

async fn an_event_keeps_its_place(store: TestStore) {
    let chains = cold(&store);
    let model = small(&[(1, &[]), (2, &[0]), (2, &[1])]);
    let first = plan(&store, &chains, &model, ROOM, &[0, 1], &[]).await.unwrap();
    write(&store, first).await.unwrap();
    let again = plan(&store, &chains, &model, ROOM, &[0, 1, 2], &[]).await.unwrap();
    let places: Vec<_> = again.places().collect();
    assert_eq!(places, [(model.no(2), Place { chain: 1, seq: 3 })]);
    assert_eq!(again.links(), 0);
    write(&store, again).await.unwrap();
    assert_eq!(count(&store, COUNT_PLACES).await, 3);
    assert_eq!(faults(&store, &model, ROOM).await, []);
}

async fn a_chain_ends_when_its_sequences_do_and_goes_on_as_another(store: TestStore) {
    let model = small(&[(1, &[]), (2, &[0]), (2, &[1]), (2, &[2])]);
    let chains = cold(&store);
    let first = plan(&store, &chains, &model, ROOM, &[0, 1], &[]).await.unwrap();
    write(&store, first).await.unwrap();
    // As if there had been 65,532 more.
    let moved = "UPDATE auth_places SET place = 65536 + 65534 WHERE place = 65536 + 2";
    store.write(move |tx| tx.execute(moved, params![])).await.unwrap();
    let more = plan(&store, &chains, &model, ROOM, &[2, 3], &[]).await.unwrap();
    let places: Vec<Place> = more.places().map(|(_, place)| place).collect();
    assert_eq!(places, [Place { chain: 1, seq: 65535 }, Place { chain: 2, seq: 1 }]);
    write(&store, more).await.unwrap();
    let nos = [0, 1, 2, 3].map(|event| model.no(event));
    let found = store.read(move |read| {
        assert!(chains.is_ancestor(read, ROOM, nos[0], nos[3])?);
        assert!(chains.is_ancestor(read, ROOM, nos[2], nos[3])?);
        assert_eq!(chains.difference(read, ROOM, &[vec![nos[2]], vec![nos[3]]])?, [nos[2]]);
        chains.subgraph(read, ROOM, &[nos[1], nos[3]])
    });
    assert_eq!(found.await.unwrap(), nos[1..]);
}

async fn links_that_follow_from_others_are_not_kept(store: TestStore) {
    let chains = cold(&store);
    // create, creator, power levels, join rules, two members, one of whom changes twice, before and after new power levels.
    let model = small(&[
        (1, &[]),
        (10, &[0]),
        (2, &[0, 1]),
        (3, &[0, 1, 2]),
        (11, &[0, 2, 3]),
        (12, &[0, 2, 3]),
        (11, &[0, 2, 3, 4]),
        (2, &[0, 1, 2]),
        (11, &[0, 7, 3, 6]),
    ]);
    let all: Vec<usize> = (0..9).collect();
    let whole = plan(&store, &chains, &model, ROOM, &all, &[]).await.unwrap();
    let places: Vec<_> = whole.places().map(|(_, place)| (place.chain, place.seq)).collect();
    // The first member is the last of the first chain: others who cite the join rules begin chains. When two chains could be continued,
    // it is that of the same member.
    assert_eq!(places, [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (2, 1), (1, 6), (3, 1), (1, 7)]);
    // The second member to the join rules, the new power levels to the old ones, and the first member to the new power levels.
    assert_eq!(whole.links(), 3);
    write(&store, whole).await.unwrap();
    assert_eq!(count(&store, COUNT_LINKS).await, 3);
    assert_eq!(count(&store, COUNT_CHAINS).await, 3);
}

async fn rooms_do_not_see_each_other_and_are_removed_alone(store: TestStore) {
    let chains = AuthChains::open(&store, 1 << 20);
    let recipe = Recipe { shape: Shape::Room, size: 100, seed: 5 };
    let one = Arc::new(Model::make(recipe));
    let two = Arc::new(Model::make(recipe).numbered_from(1 << 30));
    index(&store, &chains, &one, ROOM, &mut Draw(1), 30).await;
    index(&store, &chains, &two, RoomNo(2), &mut Draw(2), 30).await;
    assert_eq!(count(&store, COUNT_PLACES).await, 200);
    store.write(|tx| remove(tx, ROOM)).await.unwrap();
    assert_eq!(count(&store, COUNT_PLACES).await, 100);
    assert_eq!(faults(&store, &two, RoomNo(2)).await, []);
    let compared = Arc::clone(&two);
    let asked =
        store.read(move |read| (0..20).try_for_each(|_| compare(read, &chains, &compared, RoomNo(2), &mut Draw(3))));
    asked.await.unwrap();
    store.write(|tx| remove(tx, RoomNo(2))).await.unwrap();
    assert_eq!(count(&store, COUNT_LINKS).await, 0);
}

async fn the_cache_keeps_to_its_budget(store: TestStore) {
    let chains = AuthChains::open(&store, 10_000);
    let recipe = Recipe { shape: Shape::Any, size: 1000, seed: 7 };
    let model = Arc::new(Model::make(recipe));
    index(&store, &chains, &model, ROOM, &mut Draw(1), 50).await;
    for turn in 0..20 {
        let (asking, model) = (chains.clone(), Arc::clone(&model));
        store.read(move |read| compare(read, &asking, &model, ROOM, &mut Draw(turn))).await.unwrap();
        assert!(chains.cached_bytes() <= 10_000, "{}", chains.cached_bytes());
    }
    assert!(chains.cached_bytes() > 2_000, "nothing is kept");
}

async fn a_damaged_index_is_found_out(store: TestStore) {
    let recipe = Recipe { shape: Shape::Room, size: 200, seed: 11 };
    let model = Arc::new(Model::make(recipe));
    for (damage, likely) in [
        (DROP_A_LINK, "Missing"),
        (MOVE_LINKS, "Foreign"),
        (DROP_AN_EVENT, "Stray"),
        ("UPDATE auth_places SET place = place + 1 WHERE place & 65535 > 1 AND room_no = $1", "Gap"),
        (
            "UPDATE auth_places SET event_no = 987654321 WHERE place = (SELECT max(place) FROM auth_places) AND room_no = $1",
            "Unknown",
        ),
    ] {
        index(&store, &cold(&store), &model, ROOM, &mut Draw(1), 50).await;
        assert_eq!(faults(&store, &model, ROOM).await, []);
        store
            .write(move |tx| {
                if likely == "Gap" {
                    // Two steps, so that no place is taken twice on the way.
                    let aside = "UPDATE auth_places SET place = place + 4503599627370496 WHERE place & 65535 > 1 AND room_no = $1";
                    let back = "UPDATE auth_places SET place = place - 4503599627370495 WHERE place > 4503599627370496 AND room_no = $1";
                    return Ok(tx.execute(aside, params![ROOM])? + tx.execute(back, params![ROOM])?);
                }
                tx.execute(damage, params![ROOM])
            })
            .await
            .unwrap();
        let found = faults(&store, &model, ROOM).await;
        assert!(found.iter().any(|fault| format!("{fault:?}").starts_with(likely)), "{likely}: {found:?}");
        store.write(|tx| remove(tx, ROOM)).await.unwrap();
    }
}

async fn the_check_shows_what_is_cited_and_not_indexed(store: TestStore) {
    let model = small(&[(1, &[]), (2, &[0])]);
    let chains = cold(&store);
    let both = plan(&store, &chains, &model, ROOM, &[0, 1], &[]).await.unwrap();
    write(&store, both).await.unwrap();
    let (first, second) = (model.no(0), model.no(1));
    let found = store.read(move |read| {
        let mut shown = Vec::new();
        each(read, ROOM, |entry| {
            shown.push(entry.clone());
            Ok(true)
        })?;
        assert_eq!(shown.iter().map(|entry| entry.event).collect::<Vec<_>>(), [first, second]);
        assert_eq!((shown[1].place, shown[1].links.len()), (Place { chain: 1, seq: 2 }, 0));
        check(&chains, read, ROOM, |events| {
            Ok(events
                .iter()
                .map(|event| Some(if *event == second { vec![first, EventNo(77)] } else { vec![] }))
                .collect())
        })
    });
    assert_eq!(found.await.unwrap(), [Fault::NotIndexed { event: second, cited: EventNo(77) }]);
}
