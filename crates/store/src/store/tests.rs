use super::*;
use crate::{Change, Entry, Slot, Step, UserNo, cursors, on_both_engines, testing::TestStore};

const PUT: &str = "INSERT INTO store_meta (name, value) VALUES ($1, $2)";
const GET: &str = "SELECT value FROM store_meta WHERE name = $1";
const COUNT: &str = "SELECT count(*) FROM store_meta WHERE name IN texts($1)";
const CURSOR: &str = "INSERT INTO cursors (name, generation, position) VALUES ($1, 0, position($2))";
const CURSORS: &str = "SELECT name, position FROM cursors ORDER BY position";

on_both_engines![
    a_database_of_a_later_release_is_opened_only_if_it_allows_that,
    a_token_from_another_node_is_waited_for_and_one_from_the_future_is_not,
    any_text_and_any_number_can_be_looked_up_in_a_set,
    a_read_that_panics_harms_nobody_else,
    a_statement_with_the_wrong_parameters_is_an_error,
    a_writer_reads_its_own_write,
    a_refusal_a_failure_and_a_panic_cost_the_others_of_their_group_nothing,
    changes_get_their_positions_in_order_and_latest_values_carry_them,
    what_was_answered_is_there_after_opening_again,
    numbers_are_never_handed_out_twice,
    a_user_keeps_the_number_they_were_given,
    the_log_keeps_its_newest_lines_and_what_a_cursor_has_yet_to_read,
];

#[derive(Debug, PartialEq)]
enum Refusal {
    No,
    Store(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Store(error.to_string())
    }
}

async fn names(store: &Store) -> i64 {
    store
        .read(|read| read.one(COUNT, params![&["a", "b", "c"][..]], |row| row.get(0)))
        .await
        .map(Option::unwrap)
        .unwrap()
}

async fn a_writer_reads_its_own_write(store: TestStore) {
    store.write(|tx| tx.execute(PUT, params!["a", "x\0y"])).await.unwrap();
    let value: Option<String> = store.read(|read| read.one(GET, params!["a"], |row| row.get(0))).await.unwrap();
    assert_eq!(value.as_deref(), Some("x\0y"));
}

async fn a_refusal_a_failure_and_a_panic_cost_the_others_of_their_group_nothing(store: TestStore) {
    // The first occupies the writer, so that the rest meet in one group.
    let first = store.write(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        Ok::<_, Error>(())
    });
    let good = store.write(|tx| tx.execute(PUT, params!["a", "1"]));
    let refuses = store.write(|tx| {
        let _slot = tx.log(Change::Profile { user: UserNo(1) });
        Err::<(), _>(Refusal::No)
    });
    let breaks =
        store.write(|tx| Ok::<_, Error>((tx.execute(PUT, params!["b", "1"])?, tx.execute(PUT, params!["b", "2"])?)));
    let swallows = store.write(|tx| {
        tx.execute(PUT, params!["b", "1"])?;
        drop(tx.execute(PUT, params!["b", "2"]));
        Ok::<_, Refusal>(())
    });
    let panics = store.write(|tx| -> Result<(), Error> {
        tx.execute(PUT, params!["b", "1"])?;
        panic!("on purpose")
    });
    let last = store.write(|tx| tx.execute(PUT, params!["c", "1"]));
    let (first, good, refuses, breaks, swallows, panics, last) =
        tokio::join!(first, good, refuses, breaks, swallows, panics, last);
    first.unwrap();
    good.unwrap();
    last.unwrap();
    assert_eq!(refuses, Err(Refusal::No));
    assert!(matches!(breaks, Err(Error::Sqlite(_) | Error::Postgres { .. })));
    assert!(matches!(swallows, Err(Refusal::Store(_))));
    assert!(matches!(panics, Err(Error::Panicked)));
    assert_eq!(names(&store).await, 2);
    assert_eq!(store.frontier(), Position(0));
}

async fn changes_get_their_positions_in_order_and_latest_values_carry_them(store: TestStore) {
    let mut follower = store.follow(Position::START);
    let job = |name: &'static str, user| {
        store.write(move |tx| {
            let slot = tx.log(Change::Profile { user: UserNo(user) });
            tx.at_position(&slot, CURSOR, params![name]);
            assert_eq!(slot.position(), None);
            Ok::<Slot, Error>(slot)
        })
    };
    let (a, b) = tokio::join!(job("a", 1), job("b", 2));
    assert_eq!((a.unwrap().position(), b.unwrap().position()), (Some(Position(1)), Some(Position(2))));
    let cursors = store.read(|read| read.all(CURSORS, params![], |row| Ok((row.get(0)?, row.get(1)?)))).await.unwrap();
    assert_eq!(cursors, [("a".to_owned(), Position(1)), ("b".to_owned(), Position(2))]);
    let entries: Vec<Entry> =
        (1..=2).map(|at| Entry { position: Position(at), change: Change::Profile { user: UserNo(at) } }).collect();
    assert_eq!(follower.drain(), Step::Advanced { entries: entries.clone(), position: Position(2) });
    let since = store.read(|read| log::since(read, Position::START, 10)).await.unwrap();
    assert_eq!(since, log::Since::Changes { entries, position: Position(2) });
}

async fn what_was_answered_is_there_after_opening_again(store: TestStore) {
    let generation = store.generation();
    assert!(generation > Generation(0));
    let slot = store
        .write(|tx| {
            tx.execute(PUT, params!["a", "1"])?;
            Ok::<_, Error>(tx.log(Change::Profile { user: UserNo(1) }))
        })
        .await
        .unwrap();
    let first = store.take_numbers(Sequence::Event, 5000).await.unwrap();
    store.close().await;
    assert!(matches!(store.write(|_| Ok::<_, Error>(())).await, Err(Error::Closed)));
    let again = store.scratch.open().await;
    assert_eq!(names(&again).await, 1);
    assert_eq!(Some(again.frontier()), slot.position());
    assert_eq!(again.generation(), generation);
    assert!(again.take_numbers(Sequence::Event, 1).await.unwrap() >= first + 5000);
}

async fn numbers_are_never_handed_out_twice(store: TestStore) {
    let takes = (0..50).map(|_| store.take_numbers(Sequence::Room, 100));
    let mut firsts: Vec<i64> = futures_util::future::join_all(takes).await.into_iter().map(Result::unwrap).collect();
    firsts.sort_unstable();
    assert!(firsts.windows(2).all(|pair| pair[1] - pair[0] >= 100), "{firsts:?}");
    assert_eq!(firsts[0], 1);
}

async fn a_user_keeps_the_number_they_were_given(store: TestStore) {
    let (alice, bob) = (ruma::user_id!("@alice:example.org"), ruma::user_id!("@bob:example.org"));
    assert_eq!(store.find_user_no(alice).await.unwrap(), None);
    let (one, same) = tokio::join!(store.user_no(alice), store.user_no(alice));
    let alice_no = one.unwrap();
    assert_eq!(alice_no, same.unwrap());
    assert_ne!(store.user_no(bob).await.unwrap(), alice_no);
    assert_eq!(store.user_id(alice_no).await.unwrap().as_deref(), Some(alice));
    let again = store.scratch.open().await;
    assert_eq!(again.user_no(alice).await.unwrap(), alice_no);
}

async fn any_text_and_any_number_can_be_looked_up_in_a_set(store: TestStore) {
    const THERE: &str = "SELECT name FROM store_meta WHERE name IN texts($1) ORDER BY name";
    const OTHERS: &str = "SELECT name FROM store_meta WHERE name NOT IN texts($1) ORDER BY name";
    const NUMBERS: &str = "SELECT CAST(value AS BIGINT) FROM ints($1) WHERE value NOT IN ints($2) ORDER BY value";
    let names = ["", "\0", "\0a", "\u{1}", "'\"\\", "a", "a\0", "a\0b", "é", "🐦"];
    store
        .write(move |tx| {
            let rows: Vec<[crate::Value<'_>; 2]> = names.iter().map(|name| crate::values![*name, "x"]).collect();
            tx.execute_many(PUT, &rows)
        })
        .await
        .unwrap();
    for name in names {
        let (there, others): (Vec<String>, Vec<String>) = store
            .read(move |read| {
                let set = [name, "nobody"];
                Ok::<_, Error>((
                    read.all(THERE, params![&set[..]], |row| row.get(0))?,
                    read.all(OTHERS, params![&set[..]], |row| row.get(0))?,
                ))
            })
            .await
            .unwrap();
        assert_eq!(there, [name]);
        assert_eq!(others, names.iter().copied().filter(|other| *other != name).collect::<Vec<_>>());
    }
    let (all, some) = ([i64::MIN, -1, 0, 7, i64::MAX], [0, i64::MAX]);
    let rest: Vec<i64> =
        store.read(move |read| read.all(NUMBERS, params![&all[..], &some[..]], |row| row.get(0))).await.unwrap();
    assert_eq!(rest, [i64::MIN, -1, 7]);
}

async fn a_read_that_panics_harms_nobody_else(store: TestStore) {
    for _ in 0..20 {
        let result = store.read(|_| -> Result<(), Error> { panic!("on purpose") }).await;
        assert!(matches!(result, Err(Error::Panicked)));
    }
    assert_eq!(names(&store).await, 0);
}

async fn a_statement_with_the_wrong_parameters_is_an_error(store: TestStore) {
    for params in [&["a"][..], &["a", "b", "c"][..]] {
        let put = store.write(move |tx| {
            let params: Vec<crate::Value<'_>> = params.iter().map(|text| crate::Value::from(*text)).collect();
            tx.execute(PUT, &params)
        });
        assert!(matches!(put.await, Err(Error::Inconsistent(_))));
    }
    // Nor can a query write by the back door.
    let read = store.read(|read| read.all(PUT, params!["a", "b"], |_| Ok(())));
    assert!(read.await.is_err());
    assert_eq!(names(&store).await, 0);
}

async fn a_database_of_a_later_release_is_opened_only_if_it_allows_that(store: TestStore) {
    const LATER: &str = "INSERT INTO schema_migrations (number, name, applied_ms) VALUES (9999, '9999_later', 0)";
    const CONTRACTED: &str = "UPDATE schema_limits SET oldest_writer = 9999";
    store.write(|tx| tx.execute(LATER, params![])).await.unwrap();
    store.scratch.open().await.close().await;
    store.write(|tx| tx.execute(CONTRACTED, params![])).await.unwrap();
    let refused = Store::open(store.scratch.options.clone(), crate::testing::world()).await;
    assert!(matches!(refused, Err(Error::TooNew { found: 9999, needed: 9999, .. })));
}

async fn a_token_from_another_node_is_waited_for_and_one_from_the_future_is_not(store: TestStore) {
    let job = |tx: &Tx<'_>| Ok::<_, Error>(tx.log(Change::Profile { user: UserNo(1) }));
    let position = store.write(job).await.unwrap().position().unwrap();
    assert!(store.reach(position).await.unwrap());
    assert!(!store.reach(Position(position.0 + 1)).await.unwrap());
    if let Database::Postgres(_) = store.scratch.options.database {
        let other = store.scratch.open().await;
        let position = other.write(job).await.unwrap().position().unwrap();
        assert!(store.reach(position).await.unwrap());
        assert!(store.frontier() >= position);
    }
}

/// An operator may have made the database with the collation of a language.
#[tokio::test]
async fn texts_sort_by_bytes_whatever_the_database_was_made_with() {
    let english = "LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'";
    let mut stores = vec![TestStore::sqlite().await];
    if let Some(scratch) = crate::testing::Scratch::postgres_sorting(english) {
        stores.push(TestStore::open(scratch).await);
    }
    for store in stores {
        const SORTED: &str = "SELECT name FROM store_meta WHERE name > $1 ORDER BY name";
        store
            .write(|tx| {
                let rows = ["a", "B", "é", "_", "ab"].map(|name| crate::values![name, "x"]);
                tx.execute_many(PUT, &rows)
            })
            .await
            .unwrap();
        let sorted: Vec<String> = store.read(|read| read.all(SORTED, params!["B"], |row| row.get(0))).await.unwrap();
        assert_eq!(sorted, ["_", "a", "ab", "é"]);
    }
}

async fn the_log_keeps_its_newest_lines_and_what_a_cursor_has_yet_to_read(store: TestStore) {
    let generation = store.generation();
    store
        .write(move |tx| {
            (0..10).for_each(|_| drop(tx.log(Change::Profile { user: UserNo(1) })));
            let cursor = cursors::Cursor { generation, position: Position(4) };
            cursors::advance(tx, "reader", None, cursor).map(drop)
        })
        .await
        .unwrap();
    // The cursor holds the last six, whatever else may go.
    assert_eq!(store.write(|tx| log::compact(tx, 2)).await.unwrap(), 4);
    assert_eq!(store.write(|tx| log::compact(tx, 2)).await.unwrap(), 0);
    let since = |from| store.read(move |read| log::since(read, Position(from), 100));
    assert_eq!(since(3).await.unwrap(), log::Since::Compacted);
    assert!(matches!(since(4).await.unwrap(), log::Since::Changes { entries, .. } if entries.len() == 6));
    store
        .write(move |tx| {
            let at = |position| cursors::Cursor { generation, position: Position(position) };
            cursors::advance(tx, "reader", Some(at(4)), at(10)).map(drop)
        })
        .await
        .unwrap();
    assert_eq!(store.write(|tx| log::compact(tx, 2)).await.unwrap(), 4);
    assert!(matches!(since(8).await.unwrap(), log::Since::Changes { entries, .. } if entries.len() == 2));
    assert_eq!(store.frontier(), Position(10));
}
