//! How many statements an answer takes.

use super::*;
use crate::{Database, Durability, Row, Value, sqlite::Sqlite};

/// Counts statements and rows.
struct Counting {
    inner: Sqlite,
    statements: Cell<usize>,
    rows: Cell<usize>,
}

impl Session for Counting {
    fn query(&self, sql: &'static str, params: &[Value<'_>], each: &mut Each<'_>) -> Result<(), Error> {
        self.statements.set(self.statements.get() + 1);
        self.inner.query(sql, params, &mut |row: &Row<'_>| {
            self.rows.set(self.rows.get() + 1);
            each(row)
        })
    }

    fn change(&self, sql: &'static str, params: &[Value<'_>], each: &mut Each<'_>) -> Result<u64, Error> {
        self.inner.change(sql, params, each)
    }

    fn execute(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, Error> {
        self.inner.execute(sql, params)
    }

    fn execute_many(&self, sql: &'static str, rows: &[&[Value<'_>]]) -> Result<u64, Error> {
        self.inner.execute_many(sql, rows)
    }
}

/// A room with so many members, of whom the first few have changed their profiles; then on two sides new power levels, by the creator,
/// and a member each.
fn forked(members: usize) -> Model {
    let mut events: Vec<(i64, Vec<usize>)> = vec![(1, vec![]), (10, vec![0]), (2, vec![0, 1]), (3, vec![0, 1, 2])];
    for member in 1..members {
        events.push((10 + i64::try_from(member).unwrap(), vec![0, 2, 3]));
    }
    let end = events.len();
    events.push((2, vec![0, 1, 2]));
    events.push((2, vec![0, 1, 2]));
    events.push((2, vec![0, 1, end]));
    events.push((11, vec![0, end + 2, 3, 4]));
    events.push((12, vec![0, end + 1, 3, 5]));
    let events: Vec<(i64, &[usize])> = events.iter().map(|(key, cited)| (*key, cited.as_slice())).collect();
    Model::of(&events)
}

#[tokio::test]
async fn a_difference_costs_what_the_conflict_is_and_not_what_the_room_is() {
    let mut costs = Vec::new();
    for members in [100, 4000] {
        let store = TestStore::sqlite().await;
        let model = Arc::new(forked(members));
        let chains = AuthChains::open(&store, 1 << 20);
        let all: Vec<usize> = (0..model.len()).collect();
        write(&store, plan(&store, &chains, &model, ROOM, &all, &[]).await.unwrap()).await.unwrap();
        let Database::Sqlite(path) = &store.scratch.options.database else { unreachable!() };
        let inner = Sqlite::writer(path, Durability::Process).unwrap();
        let counting = Counting { inner, statements: Cell::new(0), rows: Cell::new(0) };
        let read = Read::new(&counting);
        let end = model.len() - 5;
        let one = [end, end + 2, end + 3];
        let own: Vec<Vec<EventNo>> =
            [&one[1..], &[end + 1, end + 4]].map(|own| own.iter().map(|event| model.no(*event)).collect()).into();
        let agreed: BTreeSet<EventNo> = model.nos((0..end).filter(|event| ![2, 4, 5].contains(event)));
        let chains = cold(&store);
        let found = chains.conflict_difference(&read, ROOM, &own, |events| {
            Ok(events.iter().map(|(event, _)| agreed.contains(event)).collect())
        });
        // The earlier events of the two members are cited by the later ones alone; what else these go back to, all members do.
        let expected = model.nos([4, 5, end, end + 1, end + 2]);
        assert_eq!(found.unwrap().into_iter().collect::<BTreeSet<_>>(), expected);
        let between = chains.subgraph(&read, ROOM, &own.concat()).unwrap();
        assert_eq!(between.into_iter().collect::<BTreeSet<_>>(), model.nos([end + 1, end + 2, end + 3, end + 4]));
        costs.push((counting.statements.get(), counting.rows.get()));
    }
    assert!(costs[1].0 <= 30, "{costs:?}");
    assert!(costs[1].1 <= costs[0].1.max(100) * 3, "{costs:?}");
}

#[tokio::test]
async fn no_statement_goes_through_a_room_on_sqlite() {
    let store = TestStore::sqlite().await;
    let Database::Sqlite(path) = &store.scratch.options.database else { unreachable!() };
    let session = Sqlite::writer(path, Durability::Process).unwrap();
    let modules = crate::statements::ALL.iter().filter(|(module, _)| module.starts_with("auth_chains"));
    let mut seen = 0;
    for (name, text) in modules.flat_map(|(_, statements)| *statements).filter(|(name, _)| !name.starts_with("REMOVE"))
    {
        let text = format!("EXPLAIN QUERY PLAN {}", crate::sql::statement(crate::sql::Dialect::Sqlite, text));
        let mut statement = session.connection().prepare(&text).unwrap();
        let params = vec![0; statement.parameter_count()];
        let steps = statement.query_map(rusqlite::params_from_iter(params), |row| row.get::<_, String>(3)).unwrap();
        for step in steps.map(Result::unwrap) {
            // The last place of a room, and nothing else, is found by the room alone.
            let alone = step.ends_with("(room_no=?)") && name != &"LAST";
            assert!(!alone && !step.starts_with("SCAN auth_"), "{name}: {step}");
            seen += usize::from(step.starts_with("SEARCH"));
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[tokio::test]
async fn a_plan_takes_a_few_statements_however_many_events_it_has() {
    let store = TestStore::sqlite().await;
    let model = Arc::new(forked(3000));
    let chains = cold(&store);
    let all: Vec<usize> = (0..model.len()).collect();
    let (first, rest) = all.split_at(2000);
    write(&store, plan(&store, &chains, &model, ROOM, first, &[]).await.unwrap()).await.unwrap();
    let Database::Sqlite(path) = &store.scratch.options.database else { unreachable!() };
    let inner = Sqlite::writer(path, Durability::Process).unwrap();
    let counting = Counting { inner, statements: Cell::new(0), rows: Cell::new(0) };
    let cited: Vec<Vec<EventNo>> =
        rest.iter().map(|event| model.cited[*event].iter().map(|cited| model.no(*cited)).collect()).collect();
    let new = rest.iter().zip(&cited).map(|(event, cited)| New {
        event: model.no(*event),
        key: model.key(*event),
        auth_events: cited,
    });
    let new: Vec<New<'_>> = new.collect();
    let planned = chains.plan(&Read::new(&counting), ROOM, &new, &[]).unwrap();
    assert_eq!(planned.places().count(), rest.len());
    assert!(counting.statements.get() <= 12, "{}", counting.statements.get());
}
