//! Moving a database from one engine to the other, table by table, as the migrated schema lists them.
//!
//! The source is read in one snapshot. The target carries a mark until everything is there; a server refuses to open it
//! with the mark, and a copy that was interrupted starts over. The copy begins a new generation: clients get full
//! answers, and no position or number that the source may still hand out is used again.

use roost_world::World;
use tokio::sync::oneshot;

use crate::{
    Cell, Database, Durability, Error, Generation, Read, Row, Value, generation, log, params,
    postgres::Postgres,
    sqlite::Sqlite,
    statements,
    transaction::{Group, Session},
    value::OwnedValue,
    writer::{Engine, Failed},
};

statements! {
    MARK = "INSERT INTO store_meta (name, value) VALUES ('copy', 'unfinished') ON CONFLICT DO NOTHING";
    MARKED = "SELECT 1 FROM store_meta WHERE name = 'copy'";
    UNMARK = "DELETE FROM store_meta WHERE name = 'copy'";
    USED = "SELECT 1 FROM log_head WHERE position > 0 OR generation > 0";
    HEAD = "UPDATE log_head SET position = $1, generation = $2, horizon = $3";
}

/// Rows read at once.
const PAGE: usize = 1000;
/// Rows committed at once.
const COMMITTED: u64 = 20_000;

/// What each database keeps for itself. The log's head is carried over at the end.
const OWN: [&str; 3] = ["schema_migrations", "schema_limits", "log_head"];

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Bool,
    Text,
    Bytes,
}

/// A table, as the schema has it. Equal on both engines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// By name.
    pub(crate) columns: Vec<(String, Kind)>,
    /// The columns of the primary key, in its order.
    pub(crate) key: Vec<String>,
}

/// An engine that knows its schema.
pub(crate) trait Catalogue: Engine {
    /// All tables, by name.
    fn tables(&self) -> Result<Vec<Table>, Error>;
    /// Begins a snapshot; [`Engine::rollback`] ends it.
    fn begin_snapshot(&self) -> Result<(), Error>;
}

impl Table {
    /// The two statements that page through it, the one that fills it, and the one that empties it. They live as long as the
    /// program: a copy is made by a command that ends, and there are as many as tables.
    fn statements(&self) -> [&'static str; 4] {
        let names =
            |of: &mut dyn Iterator<Item = &str>| of.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let columns = names(&mut self.columns.iter().map(|(name, _)| name.as_str()));
        let key = names(&mut self.key.iter().map(String::as_str));
        let numbers = |count: usize| (1..=count).map(|at| format!("${at}")).collect::<Vec<_>>().join(", ");
        let name = format!("\"{}\"", self.name);
        let first = format!("SELECT {columns} FROM {name} ORDER BY {key} LIMIT {PAGE}");
        let next = format!(
            "SELECT {columns} FROM {name} WHERE ({key}) > ({}) ORDER BY {key} LIMIT {PAGE}",
            numbers(self.key.len())
        );
        let insert = format!("INSERT INTO {name} ({columns}) VALUES ({})", numbers(self.columns.len()));
        [first, next, insert, format!("DELETE FROM {name}")].map(|text| &*text.leak())
    }

    fn row(&self, row: &Row<'_>) -> Result<Vec<OwnedValue>, Error> {
        self.columns.iter().enumerate().map(|(at, (_, kind))| owned(row.cell(at)?, *kind, at)).collect()
    }

    /// Where the next page starts, after `row`.
    fn place(&self, row: &[OwnedValue]) -> Vec<OwnedValue> {
        let at = |name: &String| self.columns.iter().position(|(column, _)| column == name);
        self.key.iter().filter_map(|name| row.get(at(name)?).cloned()).collect()
    }
}

fn owned(cell: Cell<'_>, kind: Kind, column: usize) -> Result<OwnedValue, Error> {
    Ok(match (cell, kind) {
        (Cell::Null, _) => OwnedValue::Null,
        (Cell::Int(number), Kind::Int) => OwnedValue::Int(number),
        (Cell::Bool(truth), Kind::Bool) => OwnedValue::Bool(truth),
        (Cell::Int(number @ (0 | 1)), Kind::Bool) => OwnedValue::Bool(number == 1),
        (Cell::Text(text), Kind::Text) => OwnedValue::Text(text.into()),
        (Cell::Bytes(bytes), Kind::Bytes) => OwnedValue::Bytes(bytes.into()),
        _ => return Err(Error::Column { column, expected: "what its column declares" }),
    })
}

/// Copies everything from one database to another, which must be new or left over from a copy that was interrupted.
/// `progress` hears of each table and how many of its rows are there. Returns the rows copied. No server may use either
/// database meanwhile: what is written to the source after the start is not copied.
pub async fn copy(
    from: Database,
    to: Database,
    world: World,
    progress: impl Fn(&str, u64) + Send + 'static,
) -> Result<u64, Error> {
    let (sender, receiver) = oneshot::channel();
    let executor = std::sync::Arc::clone(&world.executor);
    let work = move || {
        let copied = open(&from, &world).and_then(|from| {
            let to = open(&to, &world)?;
            everything(from.as_ref(), to.as_ref(), &world, &progress)
        });
        // Whoever has gone away no longer wants the answer.
        drop(sender.send(copied));
    };
    executor.spawn_thread("store-copy", Box::new(work));
    receiver.await.unwrap_or(Err(Error::Closed))
}

fn open(database: &Database, world: &World) -> Result<Box<dyn Catalogue>, Error> {
    Ok(match database {
        Database::Sqlite(path) => {
            let engine = Sqlite::writer(path, Durability::Full)?;
            engine.migrate(world.now_ms())?;
            Box::new(engine)
        }
        Database::Postgres(url) => {
            let engine = Postgres::connect(url, Durability::Full, world)?;
            engine.migrate(world.now_ms())?;
            Box::new(engine)
        }
    })
}

fn everything(
    from: &dyn Catalogue,
    to: &dyn Catalogue,
    world: &World,
    progress: &dyn Fn(&str, u64),
) -> Result<u64, Error> {
    let tables = from.tables()?;
    if tables != to.tables()? {
        return Err(Error::Unusable("the two databases do not have the same tables".into()));
    }
    refuse_unfinished(from, "the source is itself an unfinished copy")?;
    let copied: Vec<(Table, [&'static str; 4])> = tables
        .into_iter()
        .filter(|table| !OWN.contains(&table.name.as_str()))
        .map(|table| {
            let statements = table.statements();
            (table, statements)
        })
        .collect();
    prepare(to, &copied)?;
    from.begin_snapshot()?;
    let result = (|| {
        let mut rows = 0;
        for (table, statements) in &copied {
            rows += one(from, to, table, statements, progress)?;
        }
        let (position, generation, horizon) = log::head(&Read::new(from))?;
        in_transaction(to, || {
            to.execute(HEAD, params![position, generation, horizon])?;
            let next = generation::next(generation.max(Generation(0)), world);
            generation::leap(to, generation, next, generation::LEAP)?;
            to.execute(UNMARK, params![])?;
            Ok(())
        })?;
        Ok(rows)
    })();
    from.rollback();
    result
}

/// Refuses a database in which a copy has not come to its end.
pub(crate) fn refuse_unfinished(session: &dyn Session, why: &str) -> Result<(), Error> {
    if Read::new(session).exists(MARKED, params![])? { Err(Error::Unusable(why.into())) } else { Ok(()) }
}

/// Makes sure that the target is empty and marks it.
fn prepare(to: &dyn Catalogue, tables: &[(Table, [&'static str; 4])]) -> Result<(), Error> {
    let read = Read::new(to);
    let resumed = read.exists(MARKED, params![])?;
    if !resumed {
        let mut used = read.exists(USED, params![])?;
        for (_, [first, ..]) in tables {
            used = used || read.exists(first, params![])?;
        }
        if used {
            return Err(Error::Unusable("the target is in use; copy into a new database".into()));
        }
    }
    in_transaction(to, || {
        if resumed {
            for (_, [.., delete]) in tables {
                to.execute(delete, params![])?;
            }
        }
        to.execute(MARK, params![]).map(drop)
    })
}

fn one(
    from: &dyn Catalogue,
    to: &dyn Catalogue,
    table: &Table,
    [first, next, insert, _]: &[&'static str; 4],
    progress: &dyn Fn(&str, u64),
) -> Result<u64, Error> {
    let source = Read::new(from);
    let mut page = source.all(first, params![], |row| table.row(row))?;
    let mut rows = 0;
    progress(&table.name, rows);
    while !page.is_empty() {
        // A transaction for many pages: a commit waits for the disk.
        let more = in_transaction(to, || {
            let mut begun = 0;
            loop {
                let values: Vec<Vec<Value<'_>>> =
                    page.iter().map(|row| row.iter().map(OwnedValue::as_value).collect()).collect();
                let values: Vec<&[Value<'_>]> = values.iter().map(Vec::as_slice).collect();
                begun += to.execute_many(insert, &values)?;
                let place = page.last().map(|row| table.place(row)).unwrap_or_default();
                let place: Vec<Value<'_>> = place.iter().map(OwnedValue::as_value).collect();
                let following = source.all(next, &place, |row| table.row(row))?;
                if following.is_empty() || begun >= COMMITTED {
                    return Ok((following, begun));
                }
                page = following;
            }
        })?;
        rows += more.1;
        page = more.0;
        progress(&table.name, rows);
    }
    Ok(rows)
}

fn in_transaction<T>(on: &dyn Catalogue, run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    on.begin()?;
    match run() {
        Ok(value) => match on.commit(&Group::default()) {
            Ok(_) => Ok(value),
            Err(Failed::Undone(error) | Failed::Final(error)) => {
                on.rollback();
                Err(error)
            }
        },
        Err(error) => {
            on.rollback();
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests;
