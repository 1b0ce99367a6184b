//! The frontier: nobody sees a position before all earlier ones are final.
//!
//! Many writers, on PostgreSQL in several processes, commit changes as fast as they can; some refuse, some fail after a
//! first write so that their group is undone. Meanwhile readers follow the log in two ways, from memory and by snapshots.
//! Each must see every committed change exactly once and in order, and never a gap that later fills.

use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::{Arc, Mutex},
};

use roost_store::{
    Change, Entry, Error, EventNo, Options, Position, RoomNo, Step, Store, UserNo,
    log::{self, Since},
    params,
    testing::{self, Scratch},
};

use crate::nodes;

const WRITERS: i64 = 16;
const WRITES: i64 = 60;
const COUNT: &str = "SELECT count(*) FROM log WHERE position <= $1";
const DRAFT: &str = "INSERT INTO store_meta (name, value) VALUES ($1, 'x')";

/// What a writer was told: which change got which position.
type Acknowledged = Arc<Mutex<BTreeMap<i64, i64>>>;

fn event(number: i64) -> Change {
    Change::Event { room: RoomNo(1), event: EventNo(number), member: None }
}

/// The last line that a node writes.
fn end(node: i64) -> Change {
    Change::Forgotten { room: RoomNo(node), user: UserNo(node) }
}

async fn write(store: Store, writer: i64, acknowledged: Acknowledged) {
    for turn in 0..WRITES {
        let number = (writer * WRITES + turn) * 4;
        let result = store
            .write(move |tx| {
                let slots: Vec<_> = (0..=turn % 3).map(|part| tx.log(event(number + part))).collect();
                if turn % 7 == 3 {
                    // Refuses before it has changed anything.
                    return Err(Error::Inconsistent("on purpose"));
                }
                tx.execute(DRAFT, params![&format!("{writer}/{turn}")])?;
                if turn % 11 == 5 {
                    // Fails after its first write.
                    return Err(Error::Inconsistent("on purpose"));
                }
                Ok(slots)
            })
            .await;
        match result {
            Ok(slots) => {
                let mut acknowledged = acknowledged.lock().unwrap();
                for (part, slot) in (0..).zip(slots) {
                    let position = slot.position().expect("a position, once answered");
                    assert!(store.frontier() >= position, "a writer reads its own write");
                    assert_eq!(acknowledged.insert(number + part, position.0), None);
                }
            }
            Err(Error::Inconsistent("on purpose")) => (),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Follows in memory until every node has ended.
async fn follow(store: Store, nodes: i64) -> Vec<Entry> {
    let mut follower = store.follow(Position::START);
    let (mut seen, mut ended) = (Vec::new(), 0);
    while ended < nodes {
        match follower.next().await {
            Some(Step::Advanced { entries, position }) => {
                assert_eq!(entries.last().map(|entry| entry.position), Some(position), "the ring knows what is told");
                ended += take(&mut seen, entries);
            }
            Some(Step::Lost) => {
                // It started after others had written: the table has what was before.
                let from = seen.last().map_or(Position::START, |entry: &Entry| entry.position);
                let since = store.read(move |read| log::since(read, from, 1_000_000)).await.unwrap();
                let Since::Changes { entries, position } = since else { panic!("nothing was compacted") };
                ended += take(&mut seen, entries);
                follower.seek(position);
            }
            None => panic!("the store was closed"),
        }
    }
    seen
}

/// Follows by snapshots, a few lines at a time, until every node has ended.
async fn page(store: Store, nodes: i64, limit: u32) -> Vec<Entry> {
    let (mut seen, mut at, mut ended) = (Vec::new(), Position::START, 0);
    while ended < nodes {
        let (since, count, frontier) = store
            .read(move |read| {
                let frontier = read.frontier()?;
                let count: Option<i64> = read.one(COUNT, params![frontier], |row| row.get(0))?;
                Ok::<_, Error>((log::since(read, at, limit)?, count, frontier))
            })
            .await
            .unwrap();
        assert_eq!(count, Some(frontier.0), "a snapshot holds every position up to its frontier");
        let Since::Changes { entries, position } = since else { panic!("nothing was compacted") };
        if entries.is_empty() {
            tokio::task::yield_now().await;
        }
        ended += take(&mut seen, entries);
        at = position;
        assert_eq!(seen.last().map_or(Position::START, |entry| entry.position), at);
    }
    seen
}

/// Adds what was seen, which must go on exactly where it ended; returns how many nodes have ended in it.
fn take(seen: &mut Vec<Entry>, entries: Vec<Entry>) -> i64 {
    let mut ended = 0;
    for entry in entries {
        let last = seen.last().map_or(0, |last| last.position.0);
        assert_eq!(entry.position.0, last + 1, "no gap, and nothing twice");
        ended += i64::from(matches!(entry.change, Change::Forgotten { .. }));
        seen.push(entry);
    }
    ended
}

/// One node's part: writers and readers. Returns what its writers were told.
async fn take_part(options: Options, node: i64, nodes: i64) -> BTreeMap<i64, i64> {
    let store = Store::open(options, testing::world()).await.unwrap();
    let acknowledged = Acknowledged::default();
    let readers: Vec<_> = vec![
        tokio::task::spawn(follow(store.clone(), nodes)),
        tokio::task::spawn(follow(store.clone(), nodes)),
        tokio::task::spawn(page(store.clone(), nodes, 7)),
        tokio::task::spawn(page(store.clone(), nodes, 1000)),
    ];
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::task::spawn(write(store.clone(), node * WRITERS + writer, Arc::clone(&acknowledged))))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    store.write(move |tx| Ok::<_, Error>(tx.log(end(node)))).await.unwrap();
    let mut views = Vec::new();
    for reader in readers {
        views.push(reader.await.unwrap());
    }
    // What is in the table when all is over is what everybody saw.
    let Since::Changes { entries, .. } = store.read(|read| log::since(read, Position::START, 1_000_000)).await.unwrap()
    else {
        panic!("nothing was compacted")
    };
    for view in views {
        assert!(view == entries, "a reader saw something else than what was committed");
    }
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    for (number, position) in &acknowledged {
        let entry = entries[usize::try_from(*position - 1).unwrap()];
        assert_eq!(entry, Entry { position: Position(*position), change: event(*number) });
    }
    store.close().await;
    acknowledged
}

/// Of everything that was committed, no more and no less was acknowledged.
async fn nothing_else_was_committed(options: Options, nodes: i64, acknowledged: &BTreeMap<i64, i64>) {
    let store = Store::open(options, testing::world()).await.unwrap();
    let lines = usize::try_from(store.frontier().0).unwrap();
    assert_eq!(acknowledged.len() + usize::try_from(nodes).unwrap(), lines);
    // Two of seven and one of eleven turns are given up.
    assert!(acknowledged.len() > usize::try_from(nodes * WRITERS * WRITES).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_follower_on_sqlite_sees_every_change_once_and_no_gap_that_later_fills() {
    let scratch = Scratch::sqlite();
    let acknowledged = take_part(scratch.options.clone(), 0, 1).await;
    nothing_else_was_committed(scratch.options.clone(), 1, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_follower_on_any_of_several_nodes_sees_every_change_once_and_no_gap_that_later_fills() {
    const NODES: i64 = 3;
    let Some(scratch) = Scratch::postgres() else { return };
    let nodes: Vec<_> = (0..NODES)
        .map(|node| {
            let mut command = nodes::node("frontier::a_node", &scratch.options, &format!("{node}/{NODES}"));
            command.stderr(Stdio::inherit()).spawn().unwrap()
        })
        .collect();
    let mut acknowledged = BTreeMap::new();
    for node in nodes {
        let output = node.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            // The harness may put its own words before the first.
            if let Some((number, position)) =
                line.split_once("acknowledged ").and_then(|(_, told)| told.split_once(' '))
            {
                let told = acknowledged.insert(number.parse().unwrap(), position.parse().unwrap());
                assert_eq!(told, None, "two nodes were told of one change");
            }
        }
    }
    nothing_else_was_committed(scratch.options.clone(), NODES, &acknowledged).await;
}

/// The body of one process of the test above.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node() {
    let Some((options, work)) = nodes::work() else { return };
    let (node, nodes) = work.split_once('/').unwrap();
    let acknowledged = take_part(options, node.parse().unwrap(), nodes.parse().unwrap()).await;
    for (number, position) in acknowledged {
        println!("acknowledged {number} {position}");
    }
}
