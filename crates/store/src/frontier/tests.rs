use super::*;
use crate::UserNo;

fn entries(positions: std::ops::RangeInclusive<i64>) -> Vec<Entry> {
    positions.map(|at| Entry { position: Position(at), change: Change::Profile { user: UserNo(at) } }).collect()
}

fn frontier(bound: usize) -> Arc<Frontier> {
    Arc::new(Frontier::new(Position(10), Generation(1), bound))
}

#[test]
fn a_follower_is_told_each_change_once() {
    let frontier = frontier(8);
    let mut follower = Follower::new(Arc::clone(&frontier), Position(10));
    assert_eq!(follower.drain(), Step::Advanced { entries: Vec::new(), position: Position(10) });
    assert!(frontier.feed(Position(10), Position(12), &entries(11..=12)));
    // Another node's doorbell brings some of them again.
    assert!(frontier.feed(Position(11), Position(13), &entries(12..=13)));
    assert_eq!(follower.drain(), Step::Advanced { entries: entries(11..=13), position: Position(13) });
    assert_eq!(follower.drain(), Step::Advanced { entries: Vec::new(), position: Position(13) });
}

#[test]
fn a_gap_is_not_taken() {
    let frontier = frontier(8);
    assert!(!frontier.feed(Position(11), Position(12), &entries(12..=12)));
    assert_eq!(frontier.position(), Position(10));
}

#[test]
fn a_follower_that_fell_behind_is_lost_until_it_seeks() {
    let frontier = frontier(3);
    let mut slow = Follower::new(Arc::clone(&frontier), Position(10));
    let mut quick = Follower::new(Arc::clone(&frontier), Position(11));
    frontier.feed(Position(10), Position(14), &entries(11..=14));
    assert_eq!(quick.drain(), Step::Advanced { entries: entries(12..=14), position: Position(14) });
    assert_eq!(slow.drain(), Step::Lost);
    assert_eq!(slow.drain(), Step::Lost);
    slow.seek(Position(13));
    assert_eq!(slow.drain(), Step::Advanced { entries: entries(14..=14), position: Position(14) });
    frontier.leap(Position(100));
    assert_eq!(slow.drain(), Step::Lost);
}

#[tokio::test]
async fn a_waiting_follower_hears_of_the_end() {
    let frontier = frontier(3);
    let mut follower = Follower::new(Arc::clone(&frontier), Position(10));
    frontier.feed(Position(10), Position(11), &entries(11..=11));
    assert_eq!(follower.next().await, Some(Step::Advanced { entries: entries(11..=11), position: Position(11) }));
    let closer = async {
        tokio::task::yield_now().await;
        frontier.close();
    };
    let (step, ()) = tokio::join!(follower.next(), closer);
    assert_eq!(step, None);
}
