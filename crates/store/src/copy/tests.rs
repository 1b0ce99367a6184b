use std::sync::{Arc, Mutex};

use super::*;
use crate::{
    Sequence, Store, UserNo,
    testing::{self, Scratch},
};

/// Runs `job` on a thread of the store's with the database open.
async fn with<T: Send + 'static>(
    scratch: &Scratch,
    job: impl FnOnce(&dyn Catalogue) -> Result<T, Error> + Send + 'static,
) -> T {
    let (database, world) = (scratch.options.database.clone(), testing::world());
    let (sender, receiver) = oneshot::channel();
    let executor = Arc::clone(&world.executor);
    executor.spawn_thread(
        "test",
        Box::new(move || drop(sender.send(open(&database, &world).and_then(|engine| job(engine.as_ref()))))),
    );
    receiver.await.unwrap().unwrap()
}

/// Texts and bytes that one of the engines could spoil.
fn value(kind: Kind, row: i64, column: usize) -> OwnedValue {
    let column = i64::try_from(column).unwrap();
    match kind {
        Kind::Int => OwnedValue::Int(if row == 3 { i64::MAX - column } else { row * 100 + column }),
        Kind::Bool => OwnedValue::Bool(row % 2 == 0),
        Kind::Text => OwnedValue::Text(format!("{row}\0\u{1}\u{2}'\"\\é🐦{column}").into()),
        Kind::Bytes => {
            OwnedValue::Bytes([&[0, 255, b'\''][..], &row.to_be_bytes(), &column.to_be_bytes()].concat().into())
        }
    }
}

/// The tables that are carried over as they are. Sequences leap, and have a test of their own.
fn carried(engine: &dyn Catalogue) -> Result<Vec<Table>, Error> {
    let mut tables = engine.tables()?;
    tables.retain(|table| !OWN.contains(&table.name.as_str()) && table.name != "sequences");
    Ok(tables)
}

/// Fills every table with rows, whatever its columns are.
fn fill(engine: &dyn Catalogue, rows: i64) -> Result<(), Error> {
    for table in carried(engine)? {
        let [_, _, insert, _] = table.statements();
        in_transaction(engine, || {
            for row in 0..rows {
                let values: Vec<OwnedValue> =
                    table.columns.iter().enumerate().map(|(at, (_, kind))| value(*kind, row, at)).collect();
                let values: Vec<Value<'_>> = values.iter().map(OwnedValue::as_value).collect();
                engine.execute(insert, &values)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Everything that a copy must carry, as text.
fn dump(engine: &dyn Catalogue) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for table in carried(engine)? {
        let [mut page, next, ..] = table.statements();
        let mut place = Vec::new();
        loop {
            let params: Vec<Value<'_>> = place.iter().map(OwnedValue::as_value).collect();
            let rows = Read::new(engine).all(page, &params, |row| table.row(row))?;
            let Some(last) = rows.last() else { break };
            place = table.place(last);
            page = next;
            lines.extend(rows.iter().map(|row| format!("{} {row:?}", table.name)));
        }
    }
    Ok(lines)
}

async fn carry(from: &Scratch, to: &Scratch) -> Result<u64, Error> {
    copy(from.options.database.clone(), to.options.database.clone(), testing::world(), |_, _| ()).await
}

#[tokio::test]
async fn every_row_of_every_table_survives_the_way_there_and_back() {
    let Some(middle) = Scratch::postgres() else { return };
    let (first, last) = (Scratch::sqlite(), Scratch::sqlite());
    // More than a page, and more than a commit holds in one table or another.
    with(&first, |engine| fill(engine, 2500)).await;
    let rows = carry(&first, &middle).await.unwrap();
    assert_eq!(carry(&middle, &last).await.unwrap(), rows);
    let (a, b, c) = (with(&first, dump).await, with(&middle, dump).await, with(&last, dump).await);
    assert!(a.len() > 20_000, "{}", a.len());
    assert_eq!(rows, a.len() as u64);
    assert!(a == b, "PostgreSQL differs from SQLite");
    assert!(b == c, "SQLite differs from PostgreSQL");
}

#[tokio::test]
async fn both_engines_have_the_same_tables_each_with_a_primary_key() {
    let here = with(&Scratch::sqlite(), |engine| engine.tables()).await;
    for table in &here {
        assert!(!table.key.is_empty(), "{} has no primary key", table.name);
    }
    let Some(scratch) = Scratch::postgres() else { return };
    assert_eq!(here, with(&scratch, |engine| engine.tables()).await);
}

async fn number_of(store: &Store, name: &str) -> Result<UserNo, Error> {
    store.user_no(&ruma::UserId::parse(name).unwrap()).await
}

async fn a_copy_goes_on_in_a_new_generation(from: Scratch, to: Scratch) {
    let store = from.open().await;
    let alice = number_of(&store, "@alice:example.org").await.unwrap();
    let slot = store.write(move |tx| Ok::<_, Error>(tx.log(crate::Change::Profile { user: alice }))).await.unwrap();
    let numbers = store.take_numbers(Sequence::Event, 10).await.unwrap();
    let generation = store.generation();
    store.close().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let progress = move |table: &str, rows| told.lock().unwrap().push((table.to_owned(), rows));
    copy(from.options.database.clone(), to.options.database.clone(), testing::world(), progress).await.unwrap();
    assert!(seen.lock().unwrap().contains(&("users_no".to_owned(), 1)));

    let copied = to.open().await;
    assert_eq!(number_of(&copied, "@alice:example.org").await.unwrap(), alice);
    assert!(copied.generation() > generation);
    assert!(copied.frontier() > slot.position().unwrap());
    assert!(copied.take_numbers(Sequence::Event, 1).await.unwrap() > numbers + 10);
    copied.close().await;

    // What holds data is not copied into.
    assert!(matches!(carry(&from, &to).await, Err(Error::Unusable(_))));
}

#[tokio::test]
async fn a_copy_to_postgresql_goes_on_in_a_new_generation() {
    let Some(to) = Scratch::postgres() else { return };
    a_copy_goes_on_in_a_new_generation(Scratch::sqlite(), to).await;
}

#[tokio::test]
async fn a_copy_to_sqlite_goes_on_in_a_new_generation() {
    let Some(from) = Scratch::postgres() else { return };
    a_copy_goes_on_in_a_new_generation(from, Scratch::sqlite()).await;
}

#[tokio::test]
async fn an_interrupted_copy_is_not_opened_and_starts_over() {
    let (from, to) = (Scratch::sqlite(), Scratch::sqlite());
    with(&from, |engine| fill(engine, 10)).await;
    // As it is left behind: the mark, and part of the rows.
    with(&to, |engine| {
        engine.execute(MARK, params![])?;
        fill(engine, 3)
    })
    .await;
    let refused = Store::open(to.options.clone(), testing::world()).await;
    assert!(matches!(refused, Err(Error::Unusable(_))));
    assert!(matches!(carry(&to, &Scratch::sqlite()).await, Err(Error::Unusable(_))));
    carry(&from, &to).await.unwrap();
    assert_eq!(with(&from, dump).await, with(&to, dump).await);
    Store::open(to.options.clone(), testing::world()).await.unwrap();
}
