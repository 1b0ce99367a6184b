use proptest::prelude::*;

use super::*;

fn both(sql: &str) -> (String, String) {
    (statement(Dialect::Sqlite, sql), statement(Dialect::Postgres, sql))
}

#[test]
fn parameters_are_numbered_on_both_engines() {
    let (sqlite, postgres) = both("SELECT $2, '$1 isn''t' FROM t WHERE a = $1 -- $3\n AND b = $12");
    assert_eq!(sqlite, "SELECT ?2, '$1 isn''t' FROM t WHERE a = ?1 -- $3\n AND b = ?12");
    assert_eq!(postgres, "SELECT $2, '$1 isn''t' FROM t WHERE a = $1 -- $3\n AND b = $12");
}

#[test]
fn sets_are_arrays_on_postgresql_and_json_on_sqlite() {
    let (sqlite, postgres) = both("SELECT 1 FROM ints($1) WHERE a IN ints($1) AND b NOT IN texts($2)");
    assert_eq!(
        sqlite,
        "SELECT 1 FROM json_each(?1) WHERE a IN (SELECT value FROM json_each(?1)) \
         AND b NOT IN (SELECT value FROM json_each(?2))"
    );
    assert_eq!(
        postgres,
        "SELECT 1 FROM unnest($1::bigint[]) AS value WHERE a = ANY($1::bigint[]) AND b <> ALL($2::text[])"
    );
}

#[test]
fn a_position_is_a_parameter_on_sqlite_and_an_offset_on_postgresql() {
    let (sqlite, postgres) = both("UPDATE t SET position = position($2) WHERE a = $1");
    assert_eq!(sqlite, "UPDATE t SET position = ?2 WHERE a = ?1");
    assert_eq!(postgres, "UPDATE t SET position = ((SELECT position FROM log_head) - $2::bigint) WHERE a = $1");
}

#[test]
fn migrations_have_types_of_their_engine() {
    let text = "CREATE TABLE t (a TEXT NOT NULL, b {bytes}, c TEXT_NOT) -- TEXT\n{clustered};";
    assert_eq!(
        migration(Dialect::Sqlite, text),
        "CREATE TABLE t (a TEXT NOT NULL, b BLOB, c TEXT_NOT) -- TEXT\n WITHOUT ROWID;"
    );
    assert_eq!(
        migration(Dialect::Postgres, text),
        "CREATE TABLE t (a TEXT COLLATE \"C\" NOT NULL, b BYTEA, c TEXT_NOT) -- TEXT\n;"
    );
}

proptest! {
    #[test]
    fn every_text_survives_postgresql_and_keeps_its_order(a in "[\0-\u{3}a]{0,6}", b in "[\0-\u{3}a]{0,6}") {
        let (x, y) = (escape_nul(&a), escape_nul(&b));
        prop_assert!(!x.contains('\0'));
        prop_assert_eq!(unescape_nul(&x), a.as_str());
        prop_assert_eq!(x.as_bytes().cmp(y.as_bytes()), a.as_bytes().cmp(b.as_bytes()));
    }

    #[test]
    fn any_text_can_be_translated(sql in "\\PC{0,40}") {
        both(&sql);
        migration(Dialect::Postgres, &sql);
    }
}
