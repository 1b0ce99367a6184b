//! What an event costs: canonical form and reference hash of 1 KiB beside ruma, and verifying with hashing of 10,000 events
//! on one and two threads beside the bare cost of ed25519 and SHA-256, all in one run.
//!
//! `cargo bench --package roost-matrix --bench events`

use std::{hint::black_box, thread};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::{Signature, VerifyingKey};
use roost_matrix::{
    event::{Draft, Pdu},
    ids::ServerName,
    room_version::RoomVersion,
    signing::{self, KeyPair, KeyRing, PublicKey, ServerKey},
};
use ruma::{CanonicalJsonObject, room_version_rules::RoomVersionRules};
use serde_json::{json, value::RawValue};
use sha2::{Digest, Sha256};

const HASH: &str = "Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg";
const COUNT: u32 = 10_000;

fn key() -> KeyPair {
    KeyPair::from_seed([1; 32], "1")
}

struct OneKey(PublicKey);

impl KeyRing for OneKey {
    fn key(&self, _server: &ServerName, _key_id: &str) -> Option<ServerKey> {
        Some(ServerKey { key: self.0, valid_until_ts: u64::MAX, expired: false })
    }
}

fn event(number: u32) -> Pdu {
    seal(number, &key())
}

/// An event of about 1 KiB.
fn seal(number: u32, key: &KeyPair) -> Pdu {
    let body = "An event is a JSON object of about a thousand bytes. ".repeat(6);
    let content = json!({
        "msgtype": "m.text", "body": format!("{number} {body}"), "format": "org.matrix.custom.html",
        "m.relates_to": {"rel_type": "m.thread", "event_id": format!("${HASH}"), "is_falling_back": true},
        "m.mentions": {"user_ids": ["@bob:example.org", "@carol:example.org"]},
    });
    let draft = Draft {
        room_id: Some(format!("!{HASH}").try_into().unwrap()),
        sender: "@alice:example.org".try_into().unwrap(),
        kind: "m.room.message".to_owned(),
        state_key: None,
        content: RawValue::from_string(content.to_string()).unwrap(),
        redacts: None,
        prev_events: vec![format!("${HASH}").try_into().unwrap()],
        auth_events: vec!["$a".try_into().unwrap(), "$b".try_into().unwrap()],
        reference_hashes: vec![],
        depth: 100,
        origin_server_ts: 1_700_000_000_000,
    };
    draft.seal(RoomVersion::V12.rules(), "example.org".try_into().unwrap(), key).unwrap()
}

/// The same JSON as another server may write it: other order.
fn reordered(pdu: &Pdu) -> String {
    let value: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(pdu.json()).unwrap();
    let members: Vec<_> = value.iter().rev().map(|(key, value)| format!("{}:{value}", json!(key))).collect();
    format!("{{{}}}", members.join(","))
}

fn one_event(criterion: &mut Criterion) {
    let pdu = event(0);
    let rules = RoomVersion::V12.rules();
    let canonical = pdu.as_str().to_owned();
    let other = reordered(&pdu);
    let mut group = criterion.benchmark_group(format!("one event of {} bytes", canonical.len()));
    group.throughput(Throughput::Bytes(canonical.len() as u64));
    group.bench_function("SHA-256 alone", |bencher| bencher.iter(|| Sha256::digest(black_box(&canonical))));
    group.bench_function("parse, canonical form, event id", |bencher| {
        bencher.iter(|| Pdu::parse(black_box(canonical.as_bytes()), rules).unwrap());
    });
    group.bench_function("parse, canonical form, event id; not in order", |bencher| {
        bencher.iter(|| Pdu::parse(black_box(other.as_bytes()), rules).unwrap());
    });
    group.bench_function("canonical form, reference hash", |bencher| {
        bencher.iter(|| roost_matrix::event::reference_hash(black_box(other.as_bytes()), rules).unwrap());
    });
    group.bench_function("canonical form, reference hash (ruma)", |bencher| {
        bencher.iter(|| {
            let object: CanonicalJsonObject = serde_json::from_str(black_box(&other)).unwrap();
            ruma_signatures::reference_hash(&object, &RoomVersionRules::V12).unwrap()
        });
    });
    group.bench_function("read back from the store", |bencher| {
        bencher.iter(|| Pdu::from_stored(black_box(canonical.as_bytes()), pdu.event_id().to_owned(), rules).unwrap());
    });
    let mut out = Vec::new();
    group.bench_function("client form", |bencher| {
        bencher.iter(|| {
            out.clear();
            pdu.write_client(&mut out, roost_matrix::event::ClientForm::WithRoomId, Some("{}"));
        });
    });
    group.bench_function("new event: hash, sign, event id", |bencher| {
        let key = key();
        bencher.iter(|| seal(black_box(7), &key));
    });
    group.bench_function("ed25519 signature alone", |bencher| {
        let key = key();
        bencher.iter(|| key.sign(black_box(canonical.as_bytes())));
    });
    group.finish();
}

/// The bare cost of an event: its bytes hashed twice, one signature verified.
fn bare(pdus: &[Pdu], key: &VerifyingKey, signature: &Signature, signed: &[u8]) {
    for pdu in pdus {
        black_box(Sha256::digest(pdu.json()));
        black_box(Sha256::digest(signed));
        assert!(key.verify_strict(signed, signature).is_ok());
    }
}

/// All that reading an event from another server takes.
fn whole(texts: &[String], keys: &OneKey) {
    for text in texts {
        let pdu = Pdu::parse(text.as_bytes(), RoomVersion::V12.rules()).unwrap();
        assert!(signing::verify_event(&pdu, keys, 1_700_000_000_000).unwrap().content_hash_matches);
    }
}

fn many_events(criterion: &mut Criterion) {
    let pdus: Vec<Pdu> = (0..COUNT).map(event).collect();
    let texts: Vec<String> = pdus.iter().map(reordered).collect();
    let public = key().public_key();
    let keys = OneKey(PublicKey::from_bytes(&public).unwrap());
    let bare_key = VerifyingKey::from_bytes(&public).unwrap();
    // About what is signed of such an event.
    let signed = pdus[0].redacted().json().to_vec();
    let signature = Signature::from_bytes(&key().sign(&signed));

    let mut group = criterion.benchmark_group(format!("{COUNT} events"));
    group.sample_size(10).throughput(Throughput::Elements(COUNT.into()));
    for threads in [1, 2] {
        let share = texts.len().div_ceil(threads);
        group.bench_function(format!("ed25519 and SHA-256 alone, {threads} threads"), |bencher| {
            bencher.iter(|| {
                thread::scope(|scope| {
                    for part in pdus.chunks(share) {
                        scope.spawn(|| bare(part, &bare_key, &signature, &signed));
                    }
                });
            });
        });
        group.bench_function(format!("parse, verify, hash, {threads} threads"), |bencher| {
            bencher.iter(|| {
                thread::scope(|scope| {
                    for part in texts.chunks(share) {
                        scope.spawn(|| whole(part, &keys));
                    }
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, one_event, many_events);
criterion_main!(benches);
