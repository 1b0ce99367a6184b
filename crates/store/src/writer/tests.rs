use std::{cell::Cell, sync::Arc};

use super::*;
use crate::{Change, Generation, Slot, UserNo, Value, params, testing, transaction::Each};

/// An engine whose commits go as told, and that keeps nothing.
#[derive(Default)]
struct Scripted {
    /// What the next commits come to; those after succeed.
    commits: Mutex<VecDeque<Failed>>,
    head: Cell<i64>,
}

impl Session for Scripted {
    fn query(&self, _: &'static str, _: &[Value<'_>], _: &mut Each<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn change(&self, _: &'static str, _: &[Value<'_>], _: &mut Each<'_>) -> Result<u64, Error> {
        Ok(1)
    }

    fn execute(&self, _: &'static str, _: &[Value<'_>]) -> Result<u64, Error> {
        Ok(1)
    }

    fn execute_many(&self, _: &'static str, rows: &[&[Value<'_>]]) -> Result<u64, Error> {
        Ok(rows.len() as u64)
    }
}

impl Engine for Scripted {
    fn begin(&self) -> Result<(), Error> {
        Ok(())
    }

    fn rollback(&self) {}

    fn commit(&self, group: &Group) -> Result<Option<Position>, Failed> {
        if let Some(failed) = self.commits.lock().unwrap().pop_front() {
            return Err(failed);
        }
        self.head.set(self.head.get() + group.count());
        Ok(Some(Position(self.head.get())))
    }

    fn fault(&self) -> Option<Error> {
        None
    }

    fn repair(&self) -> Result<bool, Error> {
        Ok(false)
    }
}

type Answer = Result<Option<Position>, Error>;

/// One group of three jobs: the first and the last log a change, the one between refuses. Returns the answers and the
/// frontier.
async fn group(commits: impl IntoIterator<Item = Failed>) -> (Vec<Answer>, Position) {
    let engine = Scripted { commits: Mutex::new(commits.into_iter().collect()), head: Cell::new(0) };
    let world = testing::world();
    let frontier = Arc::new(Frontier::new(Position::START, Generation(1), 16));
    let queue = Arc::new(Queue::new(8));
    let mut answers = Vec::new();
    for refuses in [false, true, false] {
        let (job, answer) = Write::<_, Slot, Error>::new(move |tx: &Tx<'_>| {
            if refuses {
                return Err(Error::Inconsistent("on purpose"));
            }
            tx.execute("", params![])?;
            Ok(tx.log(Change::Profile { user: UserNo(1) }))
        });
        queue.push(Box::new(job) as Box<dyn Job>).await.unwrap();
        answers.push(answer);
    }
    queue.close();
    let (executor, told) = (Arc::clone(&world.executor), Arc::clone(&frontier));
    executor.spawn_thread(
        "test",
        Box::new(move || Writer { engine: &engine, frontier: &told, world: &world }.run(&queue, 8)),
    );
    let mut all = Vec::new();
    for answer in answers {
        all.push(answer.await.unwrap().map(|slot| slot.position()));
    }
    (all, frontier.position())
}

fn disconnected() -> Error {
    Error::Postgres { message: "gone".into(), code: None, disconnected: true }
}

#[tokio::test]
async fn a_group_is_committed_but_for_those_who_refuse() {
    let (answers, frontier) = group([]).await;
    assert!(matches!(
        answers.as_slice(),
        [Ok(Some(Position(1))), Err(Error::Inconsistent("on purpose")), Ok(Some(Position(2)))]
    ));
    assert_eq!(frontier, Position(2));
}

#[tokio::test]
async fn a_failed_commit_is_told_to_everybody_in_the_group() {
    let (answers, frontier) = group([Failed::Final(Error::Unknown("gone".into()))]).await;
    // Also to those who refused: they may have seen what is not there.
    assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Unknown(_)))), "{answers:?}");
    assert_eq!(frontier, Position::START);
}

#[tokio::test]
async fn a_group_that_lost_its_connection_before_the_commit_runs_again() {
    let (answers, frontier) = group([Failed::Undone(disconnected()), Failed::Undone(disconnected())]).await;
    assert!(matches!(answers.as_slice(), [Ok(Some(Position(1))), Err(_), Ok(Some(Position(2)))]), "{answers:?}");
    assert_eq!(frontier, Position(2));
}

#[tokio::test]
async fn a_database_that_stays_away_is_told_to_everybody() {
    let (answers, frontier) = group((0..TRIES).map(|_| Failed::Undone(disconnected()))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Postgres { .. }))), "{answers:?}");
    assert_eq!(frontier, Position::START);
}

#[tokio::test]
async fn an_end_of_the_group_that_fails_is_tried_for_each_alone() {
    let (answers, frontier) = group([Failed::Undone(Error::Inconsistent("a statement"))]).await;
    assert!(matches!(answers.as_slice(), [Ok(Some(Position(1))), Err(_), Ok(Some(Position(2)))]), "{answers:?}");
    assert_eq!(frontier, Position(2));
}

#[tokio::test]
async fn jobs_wait_for_room_in_the_queue() {
    let queue = Queue::new(2);
    queue.push(1).await.unwrap();
    queue.push(2).await.unwrap();
    let mut third = pin!(queue.push(3));
    let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(third.as_mut().poll(cx).is_pending())).await;
    assert!(waits);
    assert_eq!(queue.take(1), Some(vec![1]));
    third.await.unwrap();
    queue.close();
    assert!(matches!(queue.push(4).await, Err(Error::Closed)));
    assert_eq!(queue.take(8), Some(vec![2, 3]));
    assert_eq!(queue.take(8), None);
}
