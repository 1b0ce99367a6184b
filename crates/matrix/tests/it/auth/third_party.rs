use roost_matrix::{
    base64,
    signing::{KeyPair, sign_json},
};

use super::*;

/// The key of an identity server.
fn key(seed: u8) -> KeyPair {
    KeyPair::from_seed([seed; 32], "0")
}

fn public(seed: u8) -> String {
    base64::encode(&key(seed).public_key())
}

fn signed(seed: u8, mxid: &str, token: &str) -> Value {
    let json = json!({"mxid": mxid, "token": token}).to_string();
    serde_json::from_slice(&sign_json(json.as_bytes(), "identity.example", &key(seed)).unwrap()).unwrap()
}

fn invite(sender: &'static str, signed: &Value) -> Said<'static> {
    let content = json!({"membership": "invite", "third_party_invite": {"display_name": "b", "signed": signed}});
    state_event(sender, "m.room.member", BOB, content)
}

/// Alice has made a third-party invite with key 1, and with key 2 in the list.
fn room(version: RoomVersion) -> Room {
    let mut room = Room::new(version);
    let url_safe = base64::encode_url(&key(2).public_key());
    let content =
        json!({"public_key": public(1), "public_keys": [{"public_key": "nonsense"}, {"public_key": url_safe}]});
    room.force(&state_event(ALICE, "m.room.third_party_invite", "token", content));
    room
}

#[test]
fn a_signature_by_a_key_of_the_rooms_event_invites() {
    for version in versions(1, 12) {
        let mut room = room(version);
        for seed in [1, 2] {
            assert_eq!(room.check(&invite(ALICE, &signed(seed, BOB, "token"))), Ok(()), "{version} {seed}");
        }
        assert_eq!(
            room.check(&invite(ALICE, &signed(3, BOB, "token"))),
            Err(Denied::ThirdPartySignature),
            "{version}: another key"
        );
        let mut forged = signed(1, BOB, "token");
        forged["more"] = "words".into();
        assert_eq!(
            room.check(&invite(ALICE, &forged)),
            Err(Denied::ThirdPartySignature),
            "{version}: not what was signed"
        );
        room.set(BOB, "ban");
        assert_eq!(room.check(&invite(ALICE, &signed(1, BOB, "token"))), Err(Denied::Banned), "{version}");
    }
}

#[test]
fn the_signed_block_names_the_user_and_the_token() {
    for version in versions(1, 12) {
        let mut room = room(version);
        let no_signed = state_event(
            ALICE,
            "m.room.member",
            BOB,
            json!({"membership": "invite", "third_party_invite": {"display_name": "b"}}),
        );
        assert_eq!(room.check(&no_signed), Err(Denied::ThirdPartyUnsigned), "{version}");
        for missing in ["mxid", "token"] {
            let mut block = signed(1, BOB, "token");
            block.as_object_mut().unwrap().remove(missing);
            assert_eq!(room.check(&invite(ALICE, &block)), Err(Denied::ThirdPartyUnsigned), "{version} {missing}");
        }
        let carols = signed(1, CAROL, "token");
        assert_eq!(room.check(&invite(ALICE, &carols)), Err(Denied::ThirdPartyForAnother), "{version}");
    }
}

#[test]
fn the_room_knows_the_token_and_the_sender_made_it() {
    for version in versions(1, 12) {
        let mut room = room(version);
        let unknown = signed(1, BOB, "another");
        assert_eq!(room.check(&invite(ALICE, &unknown)), Err(Denied::ThirdPartyUnknown), "{version}");
        let result = room.check(&invite(ADMIN, &signed(1, BOB, "token")));
        assert_eq!(result, Err(Denied::ThirdPartyByAnother), "{version}");
    }
}
