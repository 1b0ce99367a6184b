//! Rooms shared by two servers, over TLS.

use roost_testkit::{Server, User, Village, eventually, segment};
use serde_json::{Value, json};

struct Two {
    // Their certificates are in there.
    _village: Village,
    host: Server,
    guest: Server,
    alice: User,
    bob: User,
}

async fn two() -> Two {
    let village = Village::new();
    let (host, guest) = (village.server().await, village.server().await);
    let (alice, bob) = (host.register("alice").await, guest.register("bob").await);
    Two { _village: village, host, guest, alice, bob }
}

fn good((status, answer): (u16, Value)) -> Value {
    assert_eq!(status, 200, "{answer}");
    answer
}

async fn room(alice: &User, version: &str) -> String {
    let request = json!({ "preset": "public_chat", "room_version": version, "name": "Shared", "room_alias_name": format!("shared{version}") });
    good(alice.post("/_matrix/client/v3/createRoom", &request).await)["room_id"].as_str().unwrap().to_owned()
}

async fn say(user: &User, room: &str, body: &str) -> String {
    let path = User::room_path(room, &["send", "m.room.message", body]);
    let sent = good(user.put(&path, &json!({ "msgtype": "m.text", "body": body })).await);
    sent["event_id"].as_str().unwrap().to_owned()
}

async fn bodies(user: &User, room: &str) -> Vec<String> {
    let path = format!("{}?dir=b&limit=100", User::room_path(room, &["messages"]));
    let answer = good(user.get(&path).await);
    let events = answer["chunk"].as_array().unwrap().clone();
    events.iter().rev().filter_map(|event| Some(event["content"]["body"].as_str()?.to_owned())).collect()
}

fn name(server: &Server) -> String {
    server.house().rooms.identity().server_name.to_string()
}

/// Whether the verifier finds nothing wrong with a room.
async fn sound(server: &Server, room: &str) {
    let rooms = &server.house().rooms;
    let room = rooms.room(room.try_into().unwrap()).await.unwrap();
    assert_eq!(rooms.check(&room).await.unwrap().faults, Vec::<String>::new());
}

#[tokio::test]
async fn a_user_joins_a_room_of_another_server_and_sees_its_history_and_members() {
    let two = two().await;
    for version in ["1", "4", "6", "9", "10", "11", "12"] {
        let room = room(&two.alice, version).await;
        for n in 0..5 {
            say(&two.alice, &room, &format!("before {n}")).await;
        }
        let path = format!("/_matrix/client/v3/join/{}?via={}", segment(&room), name(&two.host));
        assert_eq!(good(two.bob.post(&path, &json!({})).await)["room_id"], room, "version {version}");
        // Members follow in the background; whoever asks for them waits.
        let members = good(two.bob.get(&User::room_path(&room, &["joined_members"])).await);
        assert_eq!(members["joined"].as_object().unwrap().len(), 2, "version {version}: {members}");
        let topic = good(two.bob.get(&User::room_path(&room, &["state", "m.room.name", ""])).await);
        assert_eq!(topic["name"], "Shared");
        // The history is fetched as bob pages back.
        let wanted: Vec<_> = (0..5).map(|n| format!("before {n}")).collect();
        assert_eq!(bodies(&two.bob, &room).await, wanted, "version {version}");
        // The host knows of bob.
        let there = good(two.alice.get(&User::room_path(&room, &["joined_members"])).await);
        assert!(there["joined"].get(&two.bob.id).is_some(), "version {version}: {there}");
        sound(&two.host, &room).await;
        sound(&two.guest, &room).await;
    }
}

#[tokio::test]
async fn a_room_is_joined_by_its_alias_without_naming_a_server() {
    let two = two().await;
    let room = room(&two.alice, "12").await;
    let alias = format!("#shared12:{}", name(&two.host));
    let path = format!("/_matrix/client/v3/join/{}", segment(&alias));
    assert_eq!(good(two.bob.post(&path, &json!({})).await)["room_id"], room);
    let nobody = format!("/_matrix/client/v3/join/{}", segment(&format!("#none:{}", name(&two.host))));
    assert_eq!(two.bob.post(&nobody, &json!({})).await.0, 404);
}

#[tokio::test]
async fn who_may_not_join_is_refused_by_the_server_that_has_the_room() {
    let two = two().await;
    let request = json!({ "preset": "private_chat" });
    let created = good(two.alice.post("/_matrix/client/v3/createRoom", &request).await);
    let room = created["room_id"].as_str().unwrap();
    let path = format!("/_matrix/client/v3/join/{}?via={}", segment(room), name(&two.host));
    let (status, answer) = two.bob.post(&path, &json!({})).await;
    assert_eq!((status, answer["errcode"].as_str()), (403, Some("M_FORBIDDEN")), "{answer}");
    // A server that is not in the room is told nothing of it.
    let (status, answer) = two.bob.get(&User::room_path(room, &["state"])).await;
    assert_eq!((status, answer["errcode"].as_str()), (403, Some("M_FORBIDDEN")), "{answer}");
    // One that the room shuts out does not get in either.
    let open = good(two.alice.post("/_matrix/client/v3/createRoom", &json!({ "preset": "public_chat" })).await);
    let open = open["room_id"].as_str().unwrap();
    let acl = json!({ "allow": ["*"], "deny": ["127.0.0.1"], "allow_ip_literals": true });
    good(two.alice.put(&User::room_path(open, &["state", "m.room.server_acl", ""]), &acl).await);
    let path = format!("/_matrix/client/v3/join/{}?via={}", segment(open), name(&two.host));
    let (status, answer) = two.bob.post(&path, &json!({})).await;
    assert_eq!((status, answer["errcode"].as_str()), (403, Some("M_FORBIDDEN")), "{answer}");
}

#[tokio::test]
async fn requests_that_nobody_has_signed_are_refused() {
    let two = two().await;
    let room = room(&two.alice, "12").await;
    let id = segment(&room);
    for path in [
        format!("/_matrix/federation/v1/state/{id}?event_id=$x"),
        format!("/_matrix/federation/v1/backfill/{id}?v=$x&limit=1"),
        format!("/_matrix/federation/v1/make_join/{id}/{}", segment(&two.bob.id)),
        "/_matrix/federation/v1/query/profile?user_id=@a:b".to_owned(),
    ] {
        let (status, answer) = two.host.get(&path).await;
        assert_eq!((status, answer["errcode"].as_str()), (401, Some("M_UNAUTHORIZED")), "{path}: {answer}");
    }
    let (status, answer) = two.host.put("/_matrix/federation/v1/send/1", &json!({ "pdus": [] })).await;
    assert_eq!((status, answer["errcode"].as_str()), (401, Some("M_UNAUTHORIZED")), "{answer}");
}

#[tokio::test]
async fn what_is_said_on_one_server_is_heard_on_the_other() {
    let two = two().await;
    let room = room(&two.alice, "12").await;
    let path = format!("/_matrix/client/v3/join/{}?via={}", segment(&room), name(&two.host));
    good(two.bob.post(&path, &json!({})).await);
    say(&two.bob, &room, "from bob").await;
    say(&two.alice, &room, "from alice").await;
    for user in [&two.alice, &two.bob] {
        eventually("both messages", async || {
            let mut heard = bodies(user, &room).await;
            heard.sort();
            (heard == ["from alice", "from bob"]).then_some(())
        })
        .await;
    }
    sound(&two.host, &room).await;
    sound(&two.guest, &room).await;
}

#[tokio::test]
async fn a_third_server_hears_of_who_joins_and_leaves_and_of_what_they_say() {
    let village = Village::new();
    let (host, guest, third) = (village.server().await, village.server().await, village.server().await);
    let (alice, bob, carol) =
        (host.register("alice").await, guest.register("bob").await, third.register("carol").await);
    let room = room(&alice, "11").await;
    let path = format!("/_matrix/client/v3/join/{}?via={}", segment(&room), name(&host));
    good(carol.post(&path, &json!({})).await);
    // Bob joins through the host, which tells carol's server.
    good(bob.post(&path, &json!({})).await);
    let is_in = |user: &User| {
        let (user, room, bob) = (user.clone(), room.clone(), bob.id.clone());
        async move {
            let members = good(user.get(&User::room_path(&room, &["joined_members"])).await);
            members["joined"].get(&bob).is_some()
        }
    };
    eventually("bob is there", async || is_in(&carol).await.then_some(())).await;
    say(&bob, &room, "hello").await;
    eventually("bob is heard", async || (bodies(&carol, &room).await == ["hello"]).then_some(())).await;
    good(bob.post(&User::room_path(&room, &["leave"]), &json!({})).await);
    eventually("bob has left", async || (!is_in(&carol).await).then_some(())).await;
    for server in [&host, &third] {
        sound(server, &room).await;
    }
}

#[tokio::test]
async fn what_was_said_while_a_server_was_down_reaches_it_once_it_is_back_and_in_order() {
    let mut two = two().await;
    let room = room(&two.alice, "12").await;
    let path = format!("/_matrix/client/v3/join/{}?via={}", segment(&room), name(&two.host));
    good(two.bob.post(&path, &json!({})).await);
    good(two.bob.get(&User::room_path(&room, &["joined_members"])).await);
    two.guest.stop().await;
    for n in 0..60 {
        say(&two.alice, &room, &format!("{n}")).await;
    }
    let status = || async {
        let all = two.host.house().sender.status().await.unwrap();
        all.into_iter().find(|status| status.destination.failures > 0)
    };
    // The transaction that was tried is kept as it was sent.
    let down = eventually("a failure", status).await;
    let open = down.destination.open.clone().expect("a transaction under way");
    assert!(down.destination.last_error.is_some() && down.destination.next_try > 0);
    // The host is stopped and started in between: nothing of it is lost or made anew.
    two.host.restart().await;
    let all = two.host.house().sender.status().await.unwrap();
    assert_eq!(all[0].destination.open.as_ref(), Some(&open));
    two.guest.restart().await;
    // It is heard from, and so not waited for any longer.
    say(&two.bob, &room, "back").await;
    let wanted: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    eventually("all that was missed", async || {
        let heard = bodies(&two.bob, &room).await;
        let heard: Vec<_> = heard.into_iter().filter(|body| body != "back").collect();
        (heard == wanted).then_some(())
    })
    .await;
    eventually("nothing waits", async || {
        let all = two.host.house().sender.status().await.unwrap();
        all.iter().all(|status| status.waiting == 0 && status.destination.open.is_none()).then_some(())
    })
    .await;
    sound(&two.host, &room).await;
    sound(&two.guest, &room).await;
}
