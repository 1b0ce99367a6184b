//! The schema as PostgreSQL lists it.

use super::Postgres;
use crate::{
    Error,
    copy::{Catalogue, Kind, Table},
};

/// One line for each column of each table: its type's name, and its place in the primary key if it is part of it.
const COLUMNS: &str = "
    SELECT c.relname::text, a.attname::text, t.typname::text,
        coalesce(array_position(i.indkey::smallint[], a.attnum), -1)
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
    ORDER BY c.relname::text COLLATE \"C\", a.attname::text COLLATE \"C\"";

impl Catalogue for Postgres {
    fn tables(&self) -> Result<Vec<Table>, Error> {
        let mut tables: Vec<Table> = Vec::new();
        let mut keys: Vec<Vec<(i32, String)>> = Vec::new();
        for row in self.plain(COLUMNS)? {
            let (table, column): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let (kind, place): (String, i32) = (row.try_get(2)?, row.try_get(3)?);
            let kind = match kind.as_str() {
                "int8" => Kind::Int,
                "bool" => Kind::Bool,
                "text" => Kind::Text,
                "bytea" => Kind::Bytes,
                _ => return Err(Error::Inconsistent("a column of an unknown type")),
            };
            if tables.last().is_none_or(|last| last.name != table) {
                tables.push(Table { name: table, columns: Vec::new(), key: Vec::new() });
                keys.push(Vec::new());
            }
            if let (Some(table), Some(key)) = (tables.last_mut(), keys.last_mut()) {
                table.columns.push((column.clone(), kind));
                if place >= 0 {
                    key.push((place, column));
                }
            }
        }
        for (table, mut key) in tables.iter_mut().zip(keys) {
            key.sort();
            table.key = key.into_iter().map(|(_, column)| column).collect();
        }
        Ok(tables)
    }

    fn begin_snapshot(&self) -> Result<(), Error> {
        self.snapshot();
        Ok(())
    }
}
