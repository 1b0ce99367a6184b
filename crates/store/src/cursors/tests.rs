use super::*;
use crate::{on_both_engines, testing::TestStore};

on_both_engines![a_cursor_moves_only_from_where_it_is];

async fn a_cursor_moves_only_from_where_it_is(store: TestStore) {
    let at = |position| Cursor { generation: Generation(7), position: Position(position) };
    let go = async |from, to| store.write(move |tx| advance(tx, "sender", from, to)).await.unwrap();
    assert_eq!(store.read(|read| load(read, "sender")).await.unwrap(), None);
    assert!(go(None, at(1)).await);
    assert!(!go(None, at(2)).await);
    assert!(go(Some(at(1)), at(5)).await);
    assert!(!go(Some(at(1)), at(6)).await);
    assert!(!go(Some(Cursor { generation: Generation(6), ..at(5) }), at(6)).await);
    assert_eq!(store.read(|read| load(read, "sender")).await.unwrap(), Some(at(5)));
}
