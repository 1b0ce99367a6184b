use std::collections::{BTreeSet, HashSet};

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::*;
use crate::{
    on_both_engines,
    testing::{self, TestStore},
};

mod race;

const ROOM: RoomNo = RoomNo(1);
const NEW_ROOM: &str = "INSERT INTO rooms (room_no, room_id, version, revision, idx, depth, tips, state_no, joined, invited, partial, published, created_at)
                        VALUES ($1, $2, '12', 0, 0, 0, '', 0, 0, 0, FALSE, FALSE, 0)";
const COUNT_BLOCKS: &str = "SELECT count(*) FROM state_blocks";
const COUNT_SNAPSHOTS: &str = "SELECT count(*) FROM state_snapshots";
/// Something that refers to a snapshot.
const REFER: &str = "INSERT INTO store_meta (name, value) VALUES ($1, 'refers') ON CONFLICT DO NOTHING";
const FORGET: &str = "DELETE FROM store_meta WHERE name = $1";
const REFERRED: &str = "SELECT name FROM store_meta WHERE value = 'refers'";

on_both_engines![
    a_key_keeps_its_number,
    snapshots_hold_what_plain_maps_hold,
    equal_states_are_one_snapshot,
    a_plan_builds_upon_one_that_is_not_committed_yet,
    the_cache_keeps_to_its_budget_and_what_fell_out_is_read_again,
    the_first_round_only_looks_and_the_second_deletes,
    a_plan_upon_what_was_reclaimed_is_refused,
    a_snapshot_needs_its_room,
];

async fn open(store: &Store) -> StateMaps {
    for room in 1..3 {
        let id = format!("!{room}");
        store.write(move |tx| tx.execute(NEW_ROOM, params![room, &id])).await.unwrap();
    }
    StateMaps::open(store, &testing::world(), 1 << 20).await.unwrap()
}

type Model = BTreeMap<i64, i64>;
type Steps = Vec<(i64, Option<i64>)>;

/// Plans, writes and refers to a snapshot, as an appender would.
async fn apply(store: &Store, maps: &StateMaps, base: Option<Snapshot>, steps: Steps) -> Result<Snapshot, Error> {
    apply_for(0, store, maps, base, steps).await
}

/// The same with a reference of one's own: several may find the same snapshot.
async fn apply_for(
    owner: usize,
    store: &Store,
    maps: &StateMaps,
    base: Option<Snapshot>,
    steps: Steps,
) -> Result<Snapshot, Error> {
    let mut planner = maps.planner(ROOM);
    let (planner, snapshot) = store
        .read(move |read| {
            let snapshot = planner.apply(read, base.as_ref(), &numbers(&steps))?;
            Ok::<_, Error>((planner, snapshot))
        })
        .await?;
    let plan = planner.finish().await?;
    let snapshot = plan.snapshot(&snapshot);
    let no = snapshot.no;
    store
        .write(move |tx| {
            plan.write(tx)?;
            tx.execute(REFER, params![&reference(no, owner)])
        })
        .await?;
    Ok(snapshot)
}

fn numbers(steps: &Steps) -> Vec<(StateKeyNo, Option<EventNo>)> {
    steps.iter().map(|(key, value)| (StateKeyNo(*key), value.map(EventNo))).collect()
}

async fn all(store: &Store, maps: &StateMaps, snapshot: &Snapshot) -> Result<Model, Error> {
    let (maps, snapshot) = (maps.clone(), snapshot.clone());
    let all = store.read(move |read| maps.all(read, &snapshot)).await?;
    assert!(all.is_sorted_by_key(|(key, _)| *key));
    Ok(all.into_iter().map(|(key, event)| (key.0, event.0)).collect())
}

async fn count(store: &Store, sql: &'static str) -> i64 {
    store.read(move |read| read.one(sql, params![], |row| row.get(0))).await.map(Option::unwrap).unwrap()
}

fn model_after(model: &Model, steps: &Steps) -> Model {
    let mut model = model.clone();
    for (key, value) in steps {
        match value {
            Some(value) => drop(model.insert(*key, *value)),
            None => drop(model.remove(key)),
        }
    }
    model
}

fn reference(no: SnapshotNo, owner: usize) -> String {
    format!("{no} {owner}")
}

async fn forget(store: &Store, no: SnapshotNo) {
    forget_for(0, store, no).await;
}

async fn forget_for(owner: usize, store: &Store, no: SnapshotNo) {
    store.write(move |tx| tx.execute(FORGET, params![&reference(no, owner)])).await.unwrap();
}

fn reclaimer(maps: &StateMaps) -> Reclaimer {
    let live: Live = Arc::new(|read, _| {
        let names = read.all(REFERRED, params![], |row| row.get::<String>(0))?;
        Ok(names.iter().map(|name| SnapshotNo(name.split(' ').next().unwrap().parse().unwrap())).collect())
    });
    Reclaimer::new(maps.clone(), live)
}

async fn a_key_keeps_its_number(store: TestStore) {
    let maps = open(&store).await;
    let pairs = [("m.room.member", "@a:x"), ("m.room.name", ""), ("m.room.member", "@a:x"), ("", "m.room.name")];
    let first = maps.intern_keys(&pairs).await.unwrap();
    assert_eq!(first[0], first[2]);
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), 3);
    assert_eq!(maps.intern_keys(&pairs[..2]).await.unwrap(), first[..2]);
    let anew = StateMaps::open(&store, &testing::world(), 0).await.unwrap();
    assert_eq!(anew.intern_keys(&pairs).await.unwrap(), first);
    let wanted = first[1];
    let names = store.read(move |read| key_names(read, &[wanted, StateKeyNo(999_999)])).await.unwrap();
    assert_eq!(names, [(wanted, "m.room.name".into(), String::new())]);
    let found = store.read(|read| Ok::<_, Error>(find_keys(read, &[("m.room.name", ""), ("no", "ne")])?.len())).await;
    assert_eq!(found.unwrap(), 1);

    let steps = first.iter().map(|key| (key.0, Some(key.0 + 100))).collect();
    let snapshot = apply(&store, &maps, None, steps).await.unwrap();
    let members = store.read(move |read| maps.of_kind(read, &snapshot, "m.room.member")).await.unwrap();
    assert_eq!(members, [("@a:x".to_owned(), EventNo(first[0].0 + 100))]);
}

fn steps() -> impl Strategy<Value = Steps> {
    let few = prop::collection::btree_map(1..2500_i64, prop::option::weighted(0.7, 1..1_000_000_i64), 1..4);
    let some = prop::collection::btree_map(1..2500_i64, prop::option::weighted(0.7, 1..1_000_000_i64), 5..60);
    let stretch = (1..2000_i64, 1..800_i64, prop::option::weighted(0.7, 1..1000_i64))
        .prop_map(|(from, len, value)| (from..from + len).map(|key| (key, value)).collect());
    prop_oneof![4 => few, 2 => some, 1 => stretch].prop_map(|steps: BTreeMap<_, _>| steps.into_iter().collect())
}

async fn snapshots_hold_what_plain_maps_hold(store: TestStore) {
    let maps = open(&store).await;
    let mut runner = TestRunner::deterministic();
    let mut draw = |range: usize| (0..range).new_tree(&mut runner).unwrap().current();
    let mut more = TestRunner::deterministic();
    let mut known: Vec<(Snapshot, Model)> = Vec::new();
    for turn in 0..80 {
        let steps = steps().new_tree(&mut more).unwrap().current();
        // Mostly on the latest, sometimes on any: branches.
        let at = if known.is_empty() {
            None
        } else if turn % 5 == 0 {
            Some(draw(known.len()))
        } else {
            Some(known.len() - 1)
        };
        let (base, model) = at.map(|at| known[at].clone()).unzip();
        let model = model_after(&model.unwrap_or_default(), &steps);
        let snapshot = apply(&store, &maps, base, steps).await.unwrap();
        assert_eq!(snapshot.size, u64::try_from(model.len()).unwrap());
        known.push((snapshot, model));
    }
    // As another process reads it.
    let maps = StateMaps::open(&store, &testing::world(), 1 << 16).await.unwrap();
    for turn in 0..known.len() {
        let (written, model) = known[turn].clone();
        let (other, other_model) = known[draw(known.len())].clone();
        let maps = maps.clone();
        store
            .read(move |read| {
                let snapshot = maps.snapshot(read, ROOM, written.no)?.unwrap();
                assert_eq!(snapshot, written);
                let all: Model = maps.all(read, &snapshot)?.into_iter().map(|(key, event)| (key.0, event.0)).collect();
                assert_eq!(all, model);
                let keys: Vec<_> = (0..2600).rev().step_by(13).map(StateKeyNo).collect();
                let events: Vec<_> = keys.iter().map(|key| model.get(&key.0).copied().map(EventNo)).collect();
                assert_eq!(maps.get_many(read, &snapshot, &keys)?, events);
                assert_eq!(maps.get(read, &snapshot, keys[7])?, events[7]);
                let (mut seen, wanted) = (0, model.len() / 2 + 1);
                maps.each(read, &snapshot, |_, _| {
                    seen += 1;
                    Ok(seen < wanted)
                })?;
                assert_eq!(seen, wanted.min(model.len()));
                let keys: BTreeSet<i64> = model.keys().chain(other_model.keys()).copied().collect();
                let wanted: Vec<_> = keys
                    .into_iter()
                    .map(|key| Difference {
                        key: StateKeyNo(key),
                        left: model.get(&key).copied().map(EventNo),
                        right: other_model.get(&key).copied().map(EventNo),
                    })
                    .filter(|difference| difference.left != difference.right)
                    .collect();
                assert_eq!(maps.diff(read, &snapshot, &other)?, wanted);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
    }
}

async fn equal_states_are_one_snapshot(store: TestStore) {
    let maps = open(&store).await;
    let first = apply(&store, &maps, None, (1..200).map(|key| (key, Some(key))).collect()).await.unwrap();
    let second = apply(&store, &maps, Some(first.clone()), vec![(7, Some(1000)), (300, Some(8))]).await.unwrap();
    assert_ne!(first.no, second.no);
    let back = apply(&store, &maps, Some(second.clone()), vec![(7, Some(7)), (300, None)]).await.unwrap();
    assert_eq!(back, first);
    assert_eq!(apply(&store, &maps, Some(second.clone()), vec![(7, Some(1000)), (999, None)]).await.unwrap(), second);
    let other_way = apply(&store, &maps, None, vec![(300, Some(8))]).await.unwrap();
    let steps = (1..200).map(|key| (key, Some(if key == 7 { 1000 } else { key }))).collect();
    assert_eq!(apply(&store, &maps, Some(other_way), steps).await.unwrap(), second);
}

async fn a_plan_builds_upon_one_that_is_not_committed_yet(store: TestStore) {
    let maps = StateMaps::open(&store, &testing::world(), 0).await.unwrap();
    open(&store).await;
    let mut planner = maps.planner(ROOM);
    let (planner, first, second) = store
        .read(move |read| {
            let many: Vec<_> = (1..500).map(|key| (StateKeyNo(key), Some(EventNo(key)))).collect();
            let first = planner.apply(read, None, &many)?;
            let second = planner.apply(read, Some(&first), &[(StateKeyNo(3), None)])?;
            Ok::<_, Error>((planner, first, second))
        })
        .await
        .unwrap();
    let one = planner.finish().await.unwrap();
    let (first, second) = (one.snapshot(&first), one.snapshot(&second));
    let mut planner = maps.planner(ROOM);
    planner.build_upon(&one);
    let base = second.clone();
    let (planner, third) = store
        .read(move |read| {
            let many: Vec<_> = (1..20).map(|key| (StateKeyNo(key * 20), None)).collect();
            let third = planner.apply(read, Some(&base), &many)?;
            Ok::<_, Error>((planner, third))
        })
        .await
        .unwrap();
    let two = planner.finish().await.unwrap();
    let third = two.snapshot(&third);
    store.write(move |tx| one.write(tx).and_then(|()| two.write(tx))).await.unwrap();
    let mut model: Model = (1..500).map(|key| (key, key)).collect();
    assert_eq!(all(&store, &maps, &first).await.unwrap(), model);
    model.remove(&3);
    assert_eq!(all(&store, &maps, &second).await.unwrap(), model);
    model.retain(|key, _| key % 20 != 0 || *key >= 400);
    assert_eq!(all(&store, &maps, &third).await.unwrap(), model);
}

async fn the_cache_keeps_to_its_budget_and_what_fell_out_is_read_again(store: TestStore) {
    open(&store).await;
    let budget = 200_000;
    let maps = StateMaps::open(&store, &testing::world(), budget).await.unwrap();
    let snapshot = apply(&store, &maps, None, (1..30_000).map(|key| (key, Some(key))).collect()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(all(&store, &maps, &snapshot).await.unwrap().len(), 29_999);
        assert!(maps.cached_bytes() <= budget, "{} bytes", maps.cached_bytes());
    }
    assert!(maps.cached_bytes() > budget / 4, "{} bytes", maps.cached_bytes());
}

async fn the_first_round_only_looks_and_the_second_deletes(store: TestStore) {
    let maps = open(&store).await;
    let mut reclaimer = reclaimer(&maps);
    let mut snapshots =
        vec![apply(&store, &maps, None, (1..2000).map(|key| (key, Some(key))).collect()).await.unwrap()];
    for turn in 1..6 {
        let base = snapshots.last().cloned();
        let steps = (0..20).map(|step| (step * 97 + turn, Some(-turn * 100))).collect();
        snapshots.push(apply(&store, &maps, base, steps).await.unwrap());
    }
    assert_eq!(reclaimer.room(ROOM).await.unwrap(), Reclaimed::default());
    assert_eq!(reclaimer.room(ROOM).await.unwrap(), Reclaimed::default());
    for snapshot in &snapshots[..5] {
        forget(&store, snapshot.no).await;
    }
    let pinned = maps.pin(ROOM, snapshots[0].no).await.unwrap().unwrap();
    assert_eq!(reclaimer.room(ROOM).await.unwrap(), Reclaimed::default());
    // Taken up again between the rounds.
    let no = snapshots[3].no;
    store.write(move |tx| tx.execute(REFER, params![&reference(no, 0)])).await.unwrap();
    let before = count(&store, COUNT_BLOCKS).await;
    let done = reclaimer.room(ROOM).await.unwrap();
    assert_eq!(done.snapshots, 3);
    assert!(done.blocks >= 30, "{done:?}");
    assert_eq!(count(&store, COUNT_BLOCKS).await, before - i64::try_from(done.blocks).unwrap());
    let anew = StateMaps::open(&store, &testing::world(), 0).await.unwrap();
    for kept in [0, 3, 5] {
        assert_eq!(all(&store, &anew, &snapshots[kept]).await.unwrap().len(), 1999);
    }
    assert!(maps.pin(ROOM, snapshots[1].no).await.unwrap().is_none());
    drop(pinned);
    for kept in [3, 5] {
        forget(&store, snapshots[kept].no).await;
    }
    reclaimer.room(ROOM).await.unwrap();
    reclaimer.room(ROOM).await.unwrap();
    assert_eq!((count(&store, COUNT_BLOCKS).await, count(&store, COUNT_SNAPSHOTS).await), (0, 0));
}

async fn a_plan_upon_what_was_reclaimed_is_refused(store: TestStore) {
    let maps = open(&store).await;
    let base = apply(&store, &maps, None, (1..300).map(|key| (key, Some(key))).collect()).await.unwrap();
    let mut plans = Vec::new();
    // One builds upon it, one finds that it has just these pairs.
    for (from, steps) in
        [(Some(base.clone()), vec![(5, Some(77))]), (None, (1..300).map(|key| (key, Some(key))).collect())]
    {
        let mut planner = maps.planner(ROOM);
        let planner = store
            .read(move |read| {
                planner.apply(read, from.as_ref(), &numbers(&steps))?;
                Ok::<_, Error>(planner)
            })
            .await
            .unwrap();
        plans.push(planner.finish().await.unwrap());
    }
    forget(&store, base.no).await;
    let mut reclaimer = reclaimer(&maps);
    reclaimer.room(ROOM).await.unwrap();
    assert_eq!(reclaimer.room(ROOM).await.unwrap().snapshots, 1);
    for plan in plans {
        assert!(matches!(store.write(move |tx| plan.write(tx)).await, Err(Error::Gone)));
    }
    assert_eq!((count(&store, COUNT_BLOCKS).await, count(&store, COUNT_SNAPSHOTS).await), (0, 0));
}

async fn a_snapshot_needs_its_room(store: TestStore) {
    let maps = StateMaps::open(&store, &testing::world(), 0).await.unwrap();
    assert!(matches!(apply(&store, &maps, None, vec![(1, Some(1))]).await, Err(Error::Inconsistent(_))));
}
