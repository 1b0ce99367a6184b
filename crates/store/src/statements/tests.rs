use std::{fs, path::Path};

use super::ALL;
use crate::{
    Database, Durability,
    postgres::{self, Postgres},
    sql::{self, Dialect},
    sqlite::Sqlite,
    testing::{self, Scratch},
};

/// The modules that have a block of statements, by their files.
fn modules(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            modules(&path, found);
        } else if fs::read_to_string(&path).unwrap().lines().any(|line| line == "statements! {") {
            let name = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap().with_extension("");
            found.push(name.to_str().unwrap().replace('/', "::"));
        }
    }
}

#[test]
fn every_module_with_statements_is_listed() {
    let mut found = Vec::new();
    modules(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut found);
    found.sort();
    let mut listed: Vec<&str> = ALL.iter().map(|(module, _)| *module).collect();
    listed.sort_unstable();
    assert_eq!(listed, found);
}

#[test]
fn every_statement_prepares_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let session = Sqlite::writer(&folder.path().join("roost.db"), Durability::Full).unwrap();
    session.migrate(0).unwrap();
    for (module, statements) in ALL {
        for (name, text) in *statements {
            let text = sql::statement(Dialect::Sqlite, text);
            if let Err(error) = session.connection().prepare(&text) {
                panic!("{module}::{name}: {error}\n{text}");
            }
        }
    }
}

#[tokio::test]
async fn every_statement_prepares_on_postgresql() {
    let Some(scratch) = Scratch::postgres() else { return };
    let Database::Postgres(url) = scratch.options.database.clone() else { unreachable!() };
    let world = testing::world();
    let executor = std::sync::Arc::clone(&world.executor);
    let (sender, receiver) = tokio::sync::oneshot::channel();
    executor.spawn_thread(
        "test",
        Box::new(move || {
            let session = Postgres::connect(&url, Durability::Full, &world).unwrap();
            session.migrate(0).unwrap();
            let shared = ALL.iter().filter(|(module, _)| *module != "sqlite").flat_map(|(_, statements)| *statements);
            let own = postgres::STATEMENTS.iter().map(|text| ("", *text));
            let mut wrong = Vec::new();
            for (name, text) in shared.map(|(name, text)| (*name, *text)).chain(own) {
                if let Err(error) = session.prepared(text) {
                    wrong.push(format!("{name}: {error}\n{}", sql::statement(Dialect::Postgres, text)));
                }
            }
            sender.send(wrong).unwrap();
        }),
    );
    assert_eq!(receiver.await.unwrap(), Vec::<String>::new());
}
