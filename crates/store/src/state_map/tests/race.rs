//! Reclamation beside those that it could harm.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use roost_world::Workers;

use super::*;

on_both_engines![
    reclamation_beside_writers_and_readers_takes_only_what_nobody_uses,
    what_is_referred_to_again_after_the_last_look_is_spared,
    what_a_snapshot_shares_that_came_after_the_last_look_is_spared,
    the_worker_goes_over_all_rooms_until_it_is_stopped,
];

async fn reclamation_beside_writers_and_readers_takes_only_what_nobody_uses(store: TestStore) {
    let maps = open(&store).await;
    race(&store, &maps, &store, &maps).await;
}

#[tokio::test]
async fn reclamation_on_one_node_takes_nothing_that_another_one_uses() {
    let Some(store) = TestStore::postgres().await else { return };
    let maps = open(&store).await;
    let other = store.scratch.open().await;
    let others_maps = StateMaps::open(&other, &testing::world(), 1 << 20).await.unwrap();
    race(&store, &maps, &other, &others_maps).await;
}

async fn what_is_referred_to_again_after_the_last_look_is_spared(store: TestStore) {
    let maps = open(&store).await;
    let snapshot = apply(&store, &maps, None, (1..200).map(|key| (key, Some(key))).collect()).await.unwrap();
    let (no, looks) = (snapshot.no, AtomicI64::new(0));
    // Idle in two rounds, and referred to by the time that the sweep holds the lock.
    let live: Live =
        Arc::new(move |_, _| Ok(if looks.fetch_add(1, Ordering::Relaxed) < 2 { HashSet::new() } else { [no].into() }));
    let mut reclaimer = Reclaimer::new(maps.clone(), live);
    reclaimer.room(ROOM).await.unwrap();
    assert_eq!(reclaimer.room(ROOM).await.unwrap(), Reclaimed::default());
    let cold = StateMaps::open(&store, &testing::world(), 0).await.unwrap();
    assert_eq!(all(&store, &cold, &snapshot).await.unwrap().len(), 199);
}

async fn what_a_snapshot_shares_that_came_after_the_last_look_is_spared(store: TestStore) {
    let maps = open(&store).await;
    late(&store, &maps, &store, &maps).await;
}

#[tokio::test]
async fn what_a_snapshot_shares_that_another_node_has_not_committed_yet_is_spared() {
    let Some(store) = TestStore::postgres().await else { return };
    let maps = open(&store).await;
    let other = store.scratch.open().await;
    let others_maps = StateMaps::open(&other, &testing::world(), 1 << 20).await.unwrap();
    late(&store, &maps, &other, &others_maps).await;
}

/// A snapshot is written and not yet committed while the one that it builds upon is chosen and swept.
async fn late(store: &Store, maps: &StateMaps, writing: &Store, writers_maps: &StateMaps) {
    let base = apply(store, maps, None, (1..2000).map(|key| (key, Some(key))).collect()).await.unwrap();
    forget(store, base.no).await;
    let mut reclaimer = reclaimer(maps);
    reclaimer.room(ROOM).await.unwrap();
    let (mut planner, from) = (writers_maps.planner(ROOM), base.clone());
    let steps: Steps = (1..20).map(|key| (key, Some(-key))).collect();
    let (planner, snapshot) = writing
        .read(move |read| {
            let snapshot = planner.apply(read, Some(&from), &numbers(&steps))?;
            Ok::<_, Error>((planner, snapshot))
        })
        .await
        .unwrap();
    let plan = planner.finish().await.unwrap();
    let snapshot = plan.snapshot(&snapshot);
    let no = snapshot.no;
    // Not committed while the reclaimer looks; its sweep has to wait.
    let (begun, heard) = std::sync::mpsc::channel();
    let written = writing.write(move |tx| {
        plan.write(tx)?;
        tx.execute(REFER, params![&reference(no, 0)])?;
        begun.send(()).unwrap_or_default();
        std::thread::sleep(Duration::from_millis(500));
        Ok::<_, Error>(())
    });
    let swept = async {
        while heard.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        reclaimer.room(ROOM).await
    };
    let (written, swept) = tokio::join!(written, swept);
    written.unwrap();
    assert_eq!(swept.unwrap().snapshots, 1);
    let cold = StateMaps::open(store, &testing::world(), 0).await.unwrap();
    assert_eq!(all(store, &cold, &snapshot).await.unwrap().len(), 1999);
    assert!(maps.pin(ROOM, base.no).await.unwrap().is_none());
}

async fn the_worker_goes_over_all_rooms_until_it_is_stopped(store: TestStore) {
    let maps = open(&store).await;
    for room in 1..3 {
        let mut planner = maps.planner(RoomNo(room));
        let planner = store
            .read(move |read| {
                planner.apply(read, None, &[(StateKeyNo(1), Some(EventNo(1)))])?;
                Ok::<_, Error>(planner)
            })
            .await
            .unwrap();
        let plan = planner.finish().await.unwrap();
        store.write(move |tx| plan.write(tx)).await.unwrap();
    }
    assert_eq!(count(&store, COUNT_SNAPSHOTS).await, 2);
    let (world, reclaimer) = (testing::world(), reclaimer(&maps));
    let workers = Workers::new(world.clone());
    workers.start_future("reclaimer", |stop| reclaimer.run(world.clone(), Duration::from_millis(1), stop));
    while count(&store, COUNT_SNAPSHOTS).await > 0 {
        world.clock.sleep(Duration::from_millis(5)).await;
    }
    workers.stop().await;
    assert_eq!(workers.list()[0].state, roost_world::WorkerState::Stopped);
}

/// Writers extend, branch and drop snapshots, readers hold pinned ones over many closures, and the reclaimer runs all the time.
#[expect(clippy::too_many_lines, reason = "one scene")]
async fn race(store: &Store, maps: &StateMaps, writing: &Store, writers_maps: &StateMaps) {
    let same_process = Arc::ptr_eq(&maps.0, &writers_maps.0);
    let world = testing::world();
    let known: Arc<std::sync::Mutex<Vec<(usize, Snapshot, Model)>>> = Arc::default();
    let (stop, refused, held) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let (done, mut finished) = tokio::sync::mpsc::unbounded_channel();
    for writer in 0..3_usize {
        let (store, maps, known, refused, done) =
            (writing.clone(), writers_maps.clone(), Arc::clone(&known), Arc::clone(&refused), done.clone());
        let work = async move {
            let mut runner = TestRunner::deterministic();
            for turn in 0..60 {
                let owner = turn * 3 + writer;
                let steps = steps().new_tree(&mut runner).unwrap().current();
                // A base that may be on its way out: the plan must then be refused, or keep it.
                let base = {
                    let known = known.lock().unwrap();
                    let at = known.len().saturating_sub(1 + turn % 4);
                    known.get(at).map(|(_, snapshot, model)| (snapshot.clone(), model.clone()))
                };
                let pinned = match &base {
                    Some((base, _)) if turn % 2 == 0 => maps.pin(ROOM, base.no).await.unwrap(),
                    _ => None,
                };
                let (from, model) = base.unzip();
                let model = model_after(&model.unwrap_or_default(), &steps);
                match apply_for(owner, &store, &maps, from, steps).await {
                    Ok(snapshot) => known.lock().unwrap().push((owner, snapshot, model)),
                    // Not pinned, its base may vanish before the plan is made or before it is written.
                    Err(Error::Gone | Error::Inconsistent("a block of a state map is missing"))
                        if pinned.is_none() || !same_process =>
                    {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => panic!("{error}"),
                }
                let old = {
                    let mut known = known.lock().unwrap();
                    if known.len() > 4 { Some(known.remove(0)) } else { None }
                };
                if let Some((owner, old, _)) = old {
                    forget_for(owner, &store, old.no).await;
                }
            }
            done.send(()).unwrap();
        };
        world.executor.spawn("writer", Box::pin(work));
    }
    for reader in 0..2_usize {
        let (store, maps, known, stop, held, done) =
            (store.clone(), maps.clone(), Arc::clone(&known), Arc::clone(&stop), Arc::clone(&held), done.clone());
        let clock = Arc::clone(&world.clock);
        let work = async move {
            while !stop.load(Ordering::Relaxed) {
                let chosen = known.lock().unwrap().get(reader).cloned();
                let pinned = match &chosen {
                    Some((_, snapshot, _)) => maps.pin(ROOM, snapshot.no).await.unwrap(),
                    None => None,
                };
                let (Some(pinned), Some((_, _, model))) = (pinned, chosen) else {
                    clock.sleep(Duration::from_millis(1)).await;
                    continue;
                };
                // Without a cache of its own, so that every block has to be there.
                let cold = StateMaps::open(&store, &testing::world(), 0).await.unwrap();
                for _ in 0..3 {
                    assert_eq!(all(&store, &cold, &pinned).await.unwrap(), model);
                    clock.sleep(Duration::from_millis(5)).await;
                }
                held.fetch_add(1, Ordering::Relaxed);
            }
            done.send(()).unwrap();
        };
        world.executor.spawn("reader", Box::pin(work));
    }
    drop(done);
    let (mut reclaimer, mut sum, mut writers) = (reclaimer(maps), 0, 3);
    loop {
        sum += reclaimer.room(ROOM).await.unwrap().snapshots;
        while let Ok(()) = finished.try_recv() {
            writers -= 1;
        }
        if writers == 0 {
            stop.store(true, Ordering::Relaxed);
        }
        if finished.is_closed() && finished.is_empty() {
            break;
        }
        world.clock.sleep(Duration::from_millis(2)).await;
    }
    // A task that panicked sent nothing.
    assert_eq!(writers, -2, "a writer or a reader failed");
    assert!(sum > 50, "only {sum} snapshots were reclaimed");
    assert!(held.load(Ordering::Relaxed) > 0, "nobody read");
    let left = known.lock().unwrap().clone();
    let cold = StateMaps::open(store, &testing::world(), 0).await.unwrap();
    for (_, snapshot, model) in &left {
        assert_eq!(all(store, &cold, snapshot).await.unwrap(), *model);
    }
    for (owner, snapshot, _) in &left {
        forget_for(*owner, store, snapshot.no).await;
    }
    reclaimer.room(ROOM).await.unwrap();
    reclaimer.room(ROOM).await.unwrap();
    assert_eq!((count(store, COUNT_BLOCKS).await, count(store, COUNT_SNAPSHOTS).await), (0, 0));
}
