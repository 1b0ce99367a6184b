use std::sync::Arc;

use super::*;
use crate::{Change, Durability, Follower, Position, Step, UserNo, sqlite::Sqlite, testing};

const FALL_BACK: &str = "UPDATE log_head SET position = $1";

fn engine() -> (tempfile::TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let engine = Sqlite::writer(&folder.path().join("roost.db"), Durability::Full).unwrap();
    engine.migrate(0).unwrap();
    (folder, engine)
}

#[tokio::test]
async fn a_database_that_has_lost_commits_begins_a_new_generation() {
    let ((_folder, engine), world) = (engine(), testing::world());
    leap(&engine, Generation(0), Generation(7), 0).unwrap();
    engine.execute(FALL_BACK, params![90_i64]).unwrap();
    // This node has told its clients of 100.
    let frontier = Arc::new(Frontier::new(Position(100), Generation(7), 16));
    let mut follower = Follower::new(Arc::clone(&frontier), Position(100));
    reconcile(&engine, &frontier, &world).unwrap();
    let (head, generation, _) = log::head(&Read::new(&engine)).unwrap();
    assert!(head > Position(100 + LEAP / 2), "positions that were told do not come again: {head}");
    assert!(generation > Generation(7));
    assert_eq!((frontier.position(), frontier.generation()), (head, generation));
    assert_eq!(follower.drain(), Step::Lost, "what was told may have been taken back");
    // The next node finds it done.
    let other = Frontier::new(Position(100), Generation(7), 16);
    reconcile(&engine, &other, &world).unwrap();
    assert_eq!((other.position(), other.generation()), (head, generation));
}

#[tokio::test]
async fn a_database_that_has_more_than_was_told_goes_on() {
    let ((_folder, engine), world) = (engine(), testing::world());
    let frontier = Frontier::new(Position(10), Generation(0), 16);
    engine.execute(FALL_BACK, params![12_i64]).unwrap();
    reconcile(&engine, &frontier, &world).unwrap();
    assert_eq!((frontier.position(), frontier.generation()), (Position(12), Generation(0)));
}

#[tokio::test]
async fn two_lives_that_begin_from_one_backup_differ_by_the_clock() {
    let world = testing::world();
    let seconds = i64::try_from(world.now_ms() / 1000).unwrap();
    assert!(next(Generation(3), &world).0 >= seconds);
    let ahead = Generation(seconds + 1_000_000);
    assert_eq!(next(ahead, &world), Generation(ahead.0 + 1));
}

#[tokio::test]
async fn positions_are_not_used_again_after_a_power_cut_could_have_taken_them() {
    let scratch = testing::Scratch::sqlite();
    let options = scratch.options.clone().durability(Durability::Process);
    let store = crate::Store::open(options.clone(), testing::world()).await.unwrap();
    let slot = store.write(|tx| Ok::<_, Error>(tx.log(Change::Profile { user: UserNo(1) }))).await.unwrap();
    store.close().await;
    let again = crate::Store::open(options, testing::world()).await.unwrap();
    assert_eq!(again.generation(), store.generation());
    assert!(again.frontier().0 >= slot.position().unwrap().0 + LEAP);
}
