use std::{fs, path::Path};

use super::ALL;
use crate::{
    Durability,
    sql::{self, Dialect},
    sqlite::Sqlite,
};

/// The modules that have a block of statements, by their files.
fn modules(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            modules(&path, found);
        } else if path.ends_with("tests.rs") {
            // Tests have statements of their own.
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
