use super::*;
use crate::{events, on_both_engines, testing::TestStore, transactions};

on_both_engines![transaction_ids_are_forgotten_a_month_after_their_use, a_page_goes_on_where_the_one_before_has_ended,];

const DAY: u64 = 24 * 60 * 60 * 1000;

async fn sent(store: &TestStore, room: RoomNo, event: EventNo) {
    let write = store.write(move |tx| {
        let event_id = format!("${}", event.0);
        let row = events::NewRow {
            event,
            event_id: &event_id,
            room,
            place: events::Place { idx: Some(event.0), ..events::Place::outside(events::Standing::Accepted) },
            device: None,
            txn_id: None,
            json: b"{}",
        };
        events::insert(tx, &[row])?;
        transactions::insert(tx, room, &[(event.0, event)])
    });
    write.await.unwrap();
}

async fn known(store: &TestStore, room: RoomNo, digests: &'static [i64]) -> usize {
    store.read(move |read| transactions::find(read, room, digests)).await.unwrap().len()
}

async fn day(store: &TestStore, day: u64) {
    let until = store.write(move |tx| mark(tx, day * DAY)).await.unwrap();
    if let Some(until) = until {
        assert_eq!(store.forget_page(START, until).await.unwrap(), None);
    }
}

async fn transaction_ids_are_forgotten_a_month_after_their_use(store: TestStore) {
    let room = RoomNo(1);
    sent(&store, room, EventNo(1)).await;
    sent(&store, RoomNo(2), EventNo(2)).await;
    day(&store, 100).await;
    sent(&store, room, EventNo(3)).await;
    for number in [101, 115, 129] {
        day(&store, number).await;
    }
    assert_eq!(known(&store, room, &[1, 3]).await, 2, "not yet");
    day(&store, 130).await;
    assert_eq!((known(&store, room, &[1]).await, known(&store, RoomNo(2), &[2]).await), (0, 0));
    assert_eq!(known(&store, room, &[3]).await, 1, "this one was sent a day later");
    day(&store, 131).await;
    assert_eq!(known(&store, room, &[3]).await, 0);
    let marks = store.read(|read| read.all("SELECT taken_at FROM event_marks", params![], |row| row.get::<u64>(0)));
    let mut marks = marks.await.unwrap();
    marks.sort_unstable();
    assert_eq!(marks, [101, 115, 129, 130, 131].map(|day| day * DAY), "those that are of no use any more are gone");
}

async fn a_page_goes_on_where_the_one_before_has_ended(store: TestStore) {
    let rows: Vec<_> = (0..i64::from(PAGE_ROWS) + 10).map(|number| (-number, EventNo(number))).collect();
    store.write(move |tx| transactions::insert(tx, RoomNo(7), &rows)).await.unwrap();
    let next = store.forget_page(START, EventNo(i64::MAX)).await.unwrap();
    assert_eq!(next, Some((RoomNo(7), -10, EventNo(10))));
    assert_eq!(known(&store, RoomNo(7), &[-9, -10]).await, 1, "the first page ends before them");
    assert_eq!(store.forget_page(next.unwrap(), EventNo(4)).await.unwrap(), None);
    assert_eq!(known(&store, RoomNo(7), &[-9, -5, -4, 0]).await, 2, "what is not old stays");
}
