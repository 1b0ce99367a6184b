use std::{
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use roost_matrix::signing::{KeyRing as _, signatures_of, verify_json};
use roost_net::testing::Answer as Http;
use serde_json::{Value, json};

use super::*;
use crate::testing::{House, answer, house, key, name, signed};

fn want(server: &str, number: u8, valid_at: u64) -> Want {
    Want { server: name(server), key_id: format!("ed25519:k{number}"), valid_at }
}

fn says(value: Value) -> Arc<Mutex<Value>> {
    Arc::new(Mutex::new(value))
}

fn public(number: u8) -> PublicKey {
    PublicKey::from_bytes(&key(number).public_key()).unwrap()
}

impl House {
    async fn key(&self, server: &str, number: u8) -> Option<ServerKey> {
        self.key_at(server, number, self.world.now_ms()).await
    }

    async fn key_at(&self, server: &str, number: u8, valid_at: u64) -> Option<ServerKey> {
        let want = want(server, number, valid_at);
        let known = self.federation.keys.keys(std::slice::from_ref(&want)).await.unwrap();
        known.key(&want.server, &want.key_id)
    }
}

#[tokio::test]
async fn the_servers_own_answer_has_its_key_is_signed_and_holds_for_more_than_an_hour() {
    let house = house(&[]).await;
    let text = house.federation.keys.own_answer().unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["server_name"], "us.example:1");
    assert!(json["verify_keys"]["ed25519:k99"]["key"].is_string());
    assert_eq!(json["old_verify_keys"], json!({}));
    assert!(json["valid_until_ts"].as_u64().unwrap() > house.in_hours(1));
    let read = Answer::read(text.as_bytes(), &name("us.example:1"), house.world.now_ms()).unwrap();
    assert_eq!(read.keys["ed25519:k99"].key, public(99));
    // The ring knows them without asking anybody.
    assert_eq!(house.key("us.example:1", 99).await.unwrap().key, public(99));
    assert!(house.table.connected().is_empty());
}

#[tokio::test]
async fn keys_are_fetched_once_for_many_who_wait_and_kept_across_restarts() {
    let house = house(&[]).await;
    let valid = house.in_hours(5);
    let server =
        house.says("a.example", &says(signed(&answer("a.example:1", &[1], &[], valid), "a.example:1", 1))).await;
    let all = (0..20).map(|_| house.key("a.example:1", 1));
    for found in futures_util::future::join_all(all).await {
        assert_eq!(found.unwrap(), ServerKey { key: public(1), valid_until_ts: valid, expired: false });
    }
    assert_eq!(server.seen().len(), 1);
    let again = house.reopened().await;
    let known = again.keys.keys(&[want("a.example:1", 1, house.world.now_ms())]).await.unwrap();
    assert!(known.key(&name("a.example:1"), "ed25519:k1").is_some());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn keys_past_their_time_are_asked_for_anew_and_those_no_longer_named_stay_for_old_events() {
    let house = house(&[]).await;
    let cell = says(signed(&answer("a.example:1", &[1], &[], house.in_hours(5)), "a.example:1", 1));
    let server = house.says("a.example", &cell).await;
    let first = house.key("a.example:1", 1).await.unwrap();
    house.clock.advance(Duration::from_secs(6 * 3600));
    // An event of the time when the key was valid needs no news.
    house.key_at("a.example:1", 1, first.valid_until_ts).await.unwrap();
    assert_eq!(server.seen().len(), 1);
    *cell.lock().unwrap() = signed(&answer("a.example:1", &[2], &[], house.in_hours(5)), "a.example:1", 2);
    assert_eq!(house.key("a.example:1", 1).await, Some(first));
    assert_eq!(server.seen().len(), 2);
    assert_eq!(house.key("a.example:1", 2).await.unwrap().key, public(2));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn an_old_key_has_an_end_and_never_comes_back() {
    let house = house(&[]).await;
    let cell = says(signed(&answer("a.example:1", &[1], &[(2, 1000)], house.in_hours(1)), "a.example:1", 1));
    house.says("a.example", &cell).await;
    let old = ServerKey { key: public(2), valid_until_ts: 1000, expired: true };
    // Kept alive: the server is dropped with its handle.
    let _server = house.says("a.example", &cell).await;
    assert_eq!(house.key("a.example:1", 2).await, Some(old));
    house.clock.advance(Duration::from_secs(2 * 3600));
    *cell.lock().unwrap() = signed(&answer("a.example:1", &[1, 2], &[], house.in_hours(1)), "a.example:1", 1);
    house.key("a.example:1", 1).await.unwrap();
    assert_eq!(house.key("a.example:1", 2).await, Some(old));
}

#[tokio::test]
async fn no_key_is_trusted_for_more_than_seven_days_without_asking_anew() {
    let house = house(&[]).await;
    let cell = says(signed(&answer("a.example:1", &[1], &[], house.in_hours(24 * 365)), "a.example:1", 1));
    let server = house.says("a.example", &cell).await;
    let found = house.key("a.example:1", 1).await.unwrap();
    assert!(found.valid_until_ts <= house.in_hours(24 * 7) && found.valid_until_ts > house.in_hours(24 * 7 - 1));
    house.clock.advance(Duration::from_secs(8 * 24 * 3600));
    house.key("a.example:1", 1).await.unwrap();
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn an_answer_that_is_not_rightly_signed_or_about_another_server_is_refused() {
    let house = house(&[]).await;
    let valid = house.in_hours(1);
    let good = answer("a.example:1", &[1], &[], valid);
    let mut changed = signed(&good, "a.example:1", 1);
    changed["valid_until_ts"] = (valid + 1).into();
    for wrong in [
        good.clone(),
        changed,
        signed(&good, "a.example:1", 2),
        signed(&good, "b.example:1", 1),
        signed(&answer("b.example:1", &[1], &[], valid), "b.example:1", 1),
        signed(&json!({ "server_name": "a.example:1", "verify_keys": {} }), "a.example:1", 1),
        json!([]),
    ] {
        let read = Answer::read(wrong.to_string().as_bytes(), &name("a.example:1"), house.world.now_ms());
        assert!(read.is_err(), "{wrong}");
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(Answer::read(deep.as_bytes(), &name("a.example:1"), 0).is_err());
    let server = house.says("a.example", &says(signed(&good, "a.example:1", 2))).await;
    assert_eq!(house.key("a.example:1", 1).await, None);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_fails_is_left_alone_for_longer_and_longer() {
    let house = house(&[]).await;
    let server = house.peer("a.example", |_| Http::status(500)).await;
    for (wait, asked) in [(0, 1), (30, 1), (31, 2), (61, 2), (60, 3)] {
        house.clock.advance(Duration::from_secs(wait));
        assert_eq!(house.key("a.example:1", 1).await, None);
        assert_eq!(server.seen().len(), asked, "after {wait} more seconds");
    }
}

#[tokio::test]
async fn keys_that_a_server_does_not_have_do_not_make_it_asked_again_and_again() {
    let house = house(&[]).await;
    let cell = says(signed(&answer("a.example:1", &[1], &[], house.in_hours(1)), "a.example:1", 1));
    let server = house.says("a.example", &cell).await;
    for number in 2..20 {
        assert_eq!(house.key("a.example:1", number).await, None);
    }
    assert_eq!(server.seen().len(), 1);
    house.clock.advance(Duration::from_secs(31));
    house.key("a.example:1", 2).await;
    assert_eq!(server.seen().len(), 2);
}

/// A notary with key 50 that has answers for others.
async fn notary(house: &House, answers: Vec<Value>) -> roost_net::testing::Server {
    let own = signed(&answer("notary.example:1", &[50], &[], house.in_hours(2)), "notary.example:1", 50);
    house
        .peer("notary.example", move |seen| match seen.uri.path() {
            "/_matrix/key/v2/server" => Http::ok(own.to_string()),
            "/_matrix/key/v2/query" => Http::ok(json!({ "server_keys": answers }).to_string()),
            other => panic!("{other}"),
        })
        .await
}

#[tokio::test]
async fn keys_of_servers_that_are_gone_come_from_a_notary_in_one_request() {
    let house = house(&["notary.example:1"]).await;
    let valid = house.in_hours(1);
    let vouched = |server: &str, number| {
        let own = signed(&answer(server, &[number], &[], valid), server, number);
        signed(&own, "notary.example:1", 50)
    };
    let notary =
        notary(&house, vec![vouched("a.example:1", 1), vouched("b.example:1", 2), vouched("c.example:1", 3)]).await;
    let now = house.world.now_ms();
    let wants = [want("a.example:1", 1, now), want("b.example:1", 2, now)];
    let known = house.federation.keys.keys(&wants).await.unwrap();
    assert_eq!(known.key(&name("a.example:1"), "ed25519:k1").unwrap().key, public(1));
    assert_eq!(known.key(&name("b.example:1"), "ed25519:k2").unwrap().key, public(2));
    let queries: Vec<_> = notary.seen().into_iter().filter(|seen| seen.uri.path().ends_with("query")).collect();
    assert_eq!(queries.len(), 1);
    let query: Value = serde_json::from_slice(&queries[0].body).unwrap();
    assert_eq!(query["server_keys"]["a.example:1"]["ed25519:k1"]["minimum_valid_until_ts"], now);
    // What nobody asked about is not taken.
    assert!(house.store.read(|read| remote_keys::of(read, "c.example:1")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_notarys_answer_counts_only_with_its_own_signature_and_that_of_the_server() {
    let house = house(&["notary.example:1"]).await;
    let valid = house.in_hours(1);
    let own = |server: &str, number| signed(&answer(server, &[number], &[], valid), server, number);
    let answers = vec![
        own("a.example:1", 1),
        signed(&answer("b.example:1", &[2], &[], valid), "notary.example:1", 50),
        signed(&own("c.example:1", 3), "notary.example:1", 51),
    ];
    let _notary = notary(&house, answers).await;
    for (server, number) in [("a.example:1", 1), ("b.example:1", 2), ("c.example:1", 3)] {
        assert_eq!(house.key(server, number).await, None, "{server}");
    }
}

#[tokio::test]
async fn as_a_notary_the_server_signs_what_it_was_told_and_repeats_it_when_the_other_is_gone() {
    let house = house(&[]).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, json) =
        (Arc::clone(&asked), signed(&answer("a.example:1", &[1], &[], house.in_hours(10)), "a.example:1", 1));
    let server = house
        .peer("a.example", move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Http::ok(json.to_string())
        })
        .await;
    let query: Query =
        [(name("a.example:1"), Criteria::default()), (name("gone.example:1"), Criteria::default())].into();
    let check = |answers: Vec<String>| {
        assert_eq!(answers.len(), 1);
        let signatures = signatures_of(&answers[0]);
        assert!(signatures.contains_key("a.example:1") && signatures.contains_key("us.example:1"));
        assert!(verify_json(answers[0].as_bytes(), "us.example:1", |_| Some(public(99))).is_ok());
        assert!(verify_json(answers[0].as_bytes(), "a.example:1", |_| Some(public(1))).is_ok());
    };
    check(house.federation.keys.answer_for(query.clone()).await.unwrap());
    check(house.federation.keys.answer_for(query.clone()).await.unwrap());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Past the first half of its life the answer is looked for anew.
    house.clock.advance(Duration::from_secs(6 * 3600));
    check(house.federation.keys.answer_for(query.clone()).await.unwrap());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    drop(server);
    house.clock.advance(Duration::from_secs(48 * 3600));
    check(house.federation.keys.answer_for(query).await.unwrap());
    // About itself it says what it says to everybody.
    let own = house.federation.keys.answer_for([(name("us.example:1"), Criteria::default())].into()).await.unwrap();
    assert!(own[0].contains("ed25519:k99"));
}
