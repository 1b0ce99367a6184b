//! Two who plan at the same time.

use super::*;
use crate::testing;

on_both_engines![
    a_plan_that_somebody_else_was_quicker_than_is_refused_before_it_changes_anything,
    a_plan_upon_one_that_was_not_committed_is_refused,
    planners_that_race_leave_a_right_index,
];

/// Something to hold in place of a room's row.
const NEW_LOCK: &str = "INSERT INTO store_meta (name, value) VALUES ('room', '')";
const LOCK: &str = "UPDATE store_meta SET value = '' WHERE name = 'room'";

async fn a_plan_that_somebody_else_was_quicker_than_is_refused_before_it_changes_anything(store: TestStore) {
    let chains = AuthChains::open(&store, 1 << 20);
    // Both change the same member; and two members that are new.
    let model = small(&[(1, &[]), (2, &[0]), (2, &[1]), (2, &[1]), (3, &[0]), (4, &[0])]);
    let first = plan(&store, &chains, &model, ROOM, &[0, 1], &[]).await.unwrap();
    write(&store, first).await.unwrap();
    for [quick, slow] in [[2, 3], [4, 5]] {
        let quicker = plan(&store, &chains, &model, ROOM, &[quick], &[]).await.unwrap();
        let slower = plan(&store, &chains, &model, ROOM, &[slow], &[]).await.unwrap();
        write(&store, quicker).await.unwrap();
        // Others in its group are not undone by it.
        let refused = store.write(move |tx| slower.write(tx)).await;
        assert!(matches!(refused, Err(Error::Gone)), "{refused:?}");
        let again = plan(&store, &chains, &model, ROOM, &[slow], &[]).await.unwrap();
        write(&store, again).await.unwrap();
    }
    // The same event twice.
    let model = small(&[(1, &[]), (2, &[0]), (2, &[1]), (2, &[1]), (3, &[0]), (4, &[0]), (5, &[0]), (6, &[0])]);
    let one = plan(&store, &chains, &model, ROOM, &[6], &[]).await.unwrap();
    let two = plan(&store, &chains, &model, ROOM, &[7, 6], &[]).await.unwrap();
    write(&store, one).await.unwrap();
    let refused = write(&store, two).await;
    assert!(matches!(refused, Err(Error::Gone)), "{refused:?}");
    let again = plan(&store, &chains, &model, ROOM, &[7, 6], &[]).await.unwrap();
    write(&store, again).await.unwrap();
    assert_eq!(faults(&store, &model, ROOM).await, []);
    assert_eq!(count(&store, COUNT_PLACES).await, 8);
}

async fn a_plan_upon_one_that_was_not_committed_is_refused(store: TestStore) {
    let chains = AuthChains::open(&store, 1 << 20);
    let model = small(&[(1, &[]), (2, &[0]), (2, &[1]), (3, &[0])]);
    let start = plan(&store, &chains, &model, ROOM, &[0], &[]).await.unwrap();
    write(&store, start).await.unwrap();
    let lost = Arc::new(plan(&store, &chains, &model, ROOM, &[1], &[]).await.unwrap());
    let upon = plan(&store, &chains, &model, ROOM, &[2], &[Arc::clone(&lost)]).await.unwrap();
    let late = plan(&store, &chains, &model, ROOM, &[2], &[Arc::clone(&lost)]).await.unwrap();
    let refused = write(&store, upon).await;
    assert!(matches!(refused, Err(Error::Gone)), "{refused:?}");
    // Another event takes the place that it would have had, and then it gets another one.
    let other = plan(&store, &chains, &model, ROOM, &[3], &[]).await.unwrap();
    write(&store, other).await.unwrap();
    let again = plan(&store, &chains, &model, ROOM, &[1], &[]).await.unwrap();
    write(&store, again).await.unwrap();
    let refused = write(&store, late).await;
    assert!(matches!(refused, Err(Error::Gone)), "{refused:?}");
    let again = plan(&store, &chains, &model, ROOM, &[2], &[]).await.unwrap();
    write(&store, again).await.unwrap();
    assert_eq!(faults(&store, &model, ROOM).await, []);
}

async fn planners_that_race_leave_a_right_index(store: TestStore) {
    let other = if cfg!(test) && matches!(store.scratch.options.database, crate::Database::Postgres(_)) {
        store.scratch.open().await
    } else {
        Store::clone(&store)
    };
    store.write(|tx| tx.execute(NEW_LOCK, params![])).await.unwrap();
    let recipe = Recipe { shape: Shape::Forks, size: 400, seed: 21 };
    let model = Arc::new(Model::make(recipe));
    let mut order = model.some_order(&mut Draw(1)).into_iter();
    let first: Vec<usize> = order.by_ref().take(40).collect();
    let rest: Vec<usize> = order.collect();
    let chains = AuthChains::open(&store, 1 << 20);
    let start = plan(&store, &chains, &model, ROOM, &first, &[]).await.unwrap();
    write(&store, start).await.unwrap();
    let others_chains = AuthChains::open(&other, 1 << 20);
    let (done, mut finished) = tokio::sync::mpsc::unbounded_channel();
    let world = testing::world();
    for (planner, (store, chains)) in [(Store::clone(&store), chains), (other, others_chains)].into_iter().enumerate() {
        // Each does its half of the events, as far as they can be: what one waits for the other brings.
        let mine: Vec<usize> = rest.iter().copied().filter(|event| event % 2 == planner).collect();
        let (model, done, clock) = (Arc::clone(&model), done.clone(), Arc::clone(&world.clock));
        let work = async move {
            let (mut at, mut refused, mut most) = (0, 0, 3);
            while at < mine.len() {
                let batch = &mine[at..(at + most).min(mine.len())];
                let planned = match plan(&store, &chains, &model, ROOM, batch, &[]).await {
                    Ok(planned) => planned,
                    Err(Error::NotIndexed(_)) => {
                        // Not all at once, or each would wait for what the other holds back.
                        most = 1;
                        clock.sleep(std::time::Duration::from_millis(1)).await;
                        continue;
                    }
                    Err(error) => panic!("{error}"),
                };
                let written = store.write(move |tx| {
                    tx.execute(LOCK, params![])?;
                    planned.write(tx)
                });
                match written.await {
                    Ok(()) => (at, most) = (at + batch.len(), 3),
                    Err(Error::Gone) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            done.send(refused).unwrap();
        };
        world.executor.spawn("planner", Box::pin(work));
    }
    drop(done);
    let mut refused = Vec::new();
    while let Some(count) = finished.recv().await {
        refused.push(count);
    }
    assert_eq!(refused.len(), 2, "a planner failed");
    assert!(refused.iter().sum::<i32>() > 0, "they never met");
    assert_eq!(faults(&store, &model, ROOM).await, []);
    assert_eq!(count(&store, COUNT_PLACES).await, 400);
}
