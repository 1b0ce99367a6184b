//! Single rules of receiving, each in a scene with two or three servers.

use roost_store::events;

use super::*;
use crate::{Direction, EventFilter, MessagesQuery, testing::content};

struct Scene {
    host: Server,
    guest: Server,
    room: OwnedRoomId,
}

impl Scene {
    /// A public room on the host, where the creator has said something, with a user of the guest in it.
    async fn start(version: RoomVersion, said: usize) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(Hands(0.into()));
        let host = Server::start("a.example", clock.clone(), 2).await;
        let guest = Server::start("b.example", clock, 2).await;
        let alice = host.users[0].clone();
        let mut request = CreateRoom::new(&alice);
        (request.version, request.preset) = (Some(version.as_str().to_owned()), Some(Preset::PublicChat));
        let room = host.rooms.create(request).await.expect("a room");
        for n in 0..said {
            host.rooms.append(&room, text(&alice, &n.to_string())).await.expect("sent");
        }
        join_through(&host, &guest, &room, &guest.users[0]).await.expect("joined");
        Self { host, guest, room }
    }

    /// Gives events of one server to the other, which asks nobody.
    async fn pass(&self, from: &Server, to: &Server, ids: &[OwnedEventId], ask: bool) -> Vec<Outcome> {
        let sent = from.rooms.pdus(&from.room(&self.room).await, ids).await.expect("events");
        assert_eq!(sent.len(), ids.len());
        let peers = Ask { servers: if ask { vec![from] } else { vec![] } };
        let room = to.room(&self.room).await;
        let became = to.rooms.receive(&room, &from.name, sent, &peers).await.expect("received");
        became.into_iter().map(|(_, outcome)| outcome).collect()
    }

    async fn say(&self, at: &Server, body: &str) -> OwnedEventId {
        at.rooms.append(&self.room, text(&at.users[0], body)).await.expect("sent").event_id
    }

    async fn change(&self, at: &Server, kind: &str, state_key: &str, value: serde_json::Value) -> OwnedEventId {
        let event = state(&at.users[0], kind, state_key, &value);
        at.rooms.append(&self.room, event).await.expect("set").event_id
    }

    /// The bodies of the messages that a user pages back to, newest first.
    async fn pages(&self, at: &Server, user: &UserId, limit: usize, peers: &dyn Peers) -> Vec<String> {
        let mut query = MessagesQuery {
            from: None,
            to: None,
            direction: Direction::Backwards,
            limit,
            filter: EventFilter::default(),
        };
        let mut bodies = Vec::new();
        for _ in 0..100 {
            let page = at.rooms.messages(&self.room, user, None, query.clone(), peers).await.expect("messages");
            for event in &page.chunk {
                let event: serde_json::Value = serde_json::from_slice(&event.json).expect("JSON");
                bodies.extend(event["content"]["body"].as_str().map(str::to_owned));
            }
            match page.end {
                Some(end) => query.from = Some(end),
                None => return bodies,
            }
        }
        panic!("the history has no end");
    }

    async fn check(&self) {
        for server in [&self.host, &self.guest] {
            assert_eq!(faults(server, &self.room).await, Vec::<String>::new(), "{}", server.name);
        }
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.rev().map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn an_event_that_the_room_has_moved_on_from_is_soft_failed_and_not_shown() {
    let scene = Scene::start(RoomVersion::V11, 0).await;
    let (host, guest) = (&scene.host, &scene.guest);
    let bob = guest.users[0].clone();
    // The guest's user is banned before what they said meanwhile arrives.
    let late = scene.say(guest, "late").await;
    let ban = scene.change(host, "m.room.member", bob.as_str(), json!({ "membership": "ban" })).await;
    let became = scene.pass(guest, host, std::slice::from_ref(&late), true).await;
    assert!(matches!(became.as_slice(), [Outcome::SoftFailed(_)]), "{became:?}");
    let alice = &host.users[0];
    assert!(!scene.pages(host, alice, 50, &super::super::Nobody).await.contains(&"late".to_owned()));
    assert!(host.rooms.event(&scene.room, &late, alice, None).await.is_err());
    let tips = host.rooms.tip_ids(&host.room(&scene.room).await).await.expect("tips");
    assert_eq!(tips, std::slice::from_ref(&ban), "a soft-failed event is no forward extremity");
    // The guest learns of the ban, and follows it with nothing of its own: both agree.
    let became = scene.pass(host, guest, &[ban], true).await;
    assert!(matches!(became.as_slice(), [Outcome::Accepted(_)]), "{became:?}");
    assert!(!guest.rooms.is_joined(&scene.room, &bob).await.expect("asked"));
    scene.check().await;
}

#[tokio::test]
async fn what_the_rules_forbid_is_rejected_and_rejection_spreads_by_auth_events() {
    let scene = Scene::start(RoomVersion::V10, 0).await;
    let (host, guest) = (&scene.host, &scene.guest);
    let bob = guest.users[0].clone();
    let room = guest.room(&scene.room).await;
    let own = guest.rooms.identity();
    // By hand, since no server of ours makes such an event: a topic that takes power, set by who has none.
    let levels = json!({ "users": { bob.as_str(): 100 } });
    let mut draft = guest
        .rooms
        .draft(&room, NewEvent::message(&bob, "m.room.message", content(&json!({ "body": "x" })), None))
        .await
        .expect("a draft");
    (draft.kind, draft.state_key) = ("m.room.power_levels".to_owned(), Some(String::new()));
    draft.content = content(&levels);
    let forbidden = draft.clone().seal(room.rules, &own.server_name, &own.key).expect("sealed");
    draft.auth_events.push(forbidden.event_id().to_owned());
    (draft.kind, draft.content) = ("m.room.topic".to_owned(), content(&json!({ "topic": "mine" })));
    draft.prev_events = vec![forbidden.event_id().to_owned()];
    // Its own power levels stand in the place of the room's.
    let at_host = host.room(&scene.room).await;
    let cited = host.rooms.pdus(&at_host, &draft.auth_events).await.expect("events");
    let old = cited.iter().find(|pdu| pdu.kind() == "m.room.power_levels").expect("levels").event_id().to_owned();
    draft.auth_events.retain(|id| *id != old);
    let built_on_it = draft.seal(room.rules, &own.server_name, &own.key).expect("sealed");
    let sent = vec![forbidden.clone(), built_on_it.clone()];
    let became = host.rooms.receive(&at_host, &guest.name, sent, &super::super::Nobody).await.expect("received");
    assert!(matches!(became.as_slice(), [(_, Outcome::Rejected(_)), (_, Outcome::Rejected(_))]), "{became:?}");
    // It is noted from whom it came and why it was rejected.
    let id = forbidden.event_id().to_string();
    let origin = host
        .rooms
        .store()
        .read(move |read| {
            let row = events::by_id(read, &id)?.expect("it is kept");
            Ok::<_, Error>(events::origin(read, row.event)?.expect("its origin"))
        })
        .await
        .expect("a read");
    assert_eq!(origin.origin, "b.example");
    assert!(origin.reason.is_some());
    // A third time it is what it was.
    let again = host.rooms.receive(&at_host, &guest.name, vec![forbidden], &super::super::Nobody).await;
    assert!(matches!(again.as_deref(), Ok([(_, Outcome::Known)])));
    // What follows a rejected event, and is allowed by itself, is accepted: the rejected one changed nothing.
    let mut draft = guest
        .rooms
        .draft(&room, NewEvent::message(&bob, "m.room.message", content(&json!({ "body": "after" })), None))
        .await
        .expect("a draft");
    draft.prev_events = vec![built_on_it.event_id().to_owned()];
    let after = draft.seal(room.rules, &own.server_name, &own.key).expect("sealed");
    let became = host.rooms.receive(&at_host, &guest.name, vec![after], &super::super::Nobody).await;
    assert!(matches!(became.as_deref(), Ok([(_, Outcome::Accepted(_))])), "{became:?}");
    scene.check().await;
}

#[tokio::test]
async fn events_that_arrive_in_any_order_are_put_in_theirs() {
    let scene = Scene::start(RoomVersion::V12, 0).await;
    let (host, guest) = (&scene.host, &scene.guest);
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(scene.say(host, &n.to_string()).await);
        ids.push(scene.change(host, "m.room.topic", "", json!({ "topic": n.to_string() })).await);
    }
    // The last alone can not be judged while nobody has what comes before it.
    let last = ids.last().cloned().expect("events");
    assert_eq!(scene.pass(host, guest, std::slice::from_ref(&last), false).await, [Outcome::Missing]);
    // With somebody to ask, the events between come with it.
    assert!(matches!(scene.pass(host, guest, &[last], true).await.as_slice(), [Outcome::Accepted(_)]));
    let bob = guest.users[0].clone();
    let bodies = scene.pages(guest, &bob, 5, &super::super::Nobody).await;
    assert_eq!(bodies, numbers(0..10));
    let became = scene.pass(host, guest, &ids, false).await;
    assert!(became.iter().all(|outcome| *outcome == Outcome::Known), "{became:?}");
    scene.check().await;
}

#[tokio::test]
async fn who_pages_past_what_is_known_gets_it_from_other_servers() {
    let scene = Scene::start(RoomVersion::V11, 250).await;
    let (host, guest) = (&scene.host, &scene.guest);
    let bob = guest.users[0].clone();
    assert!(scene.pages(guest, &bob, 20, &super::super::Nobody).await.is_empty(), "nothing is known but the join");
    // What could not be had is not asked for again at once: the clock has to go on.
    assert!(scene.pages(guest, &bob, 20, &Ask { servers: vec![host] }).await.is_empty());
    let room = guest.room(&scene.room).await;
    let no = room.no;
    let forget = move |tx: &roost_store::Tx<'_>| {
        let all = roost_store::missing_events::all(tx, no)?;
        let ids: Vec<&str> = all.iter().map(|missing| missing.event_id.as_str()).collect();
        roost_store::missing_events::tried(tx, no, &ids, 0)
    };
    guest.rooms.store().write(forget).await.expect("written");
    let bodies = scene.pages(guest, &bob, 20, &Ask { servers: vec![host] }).await;
    assert_eq!(bodies, numbers(0..250));
    // It stays: nobody has to be asked again.
    assert_eq!(scene.pages(guest, &bob, 100, &super::super::Nobody).await, numbers(0..250));
    scene.check().await;
    let left = guest.rooms.store().read(move |read| roost_store::missing_events::all(read, no)).await.expect("a read");
    assert!(left.is_empty(), "the history is whole: {left:?}");
}

#[tokio::test]
async fn a_gap_that_is_too_large_to_fill_at_once_is_filled_by_paging() {
    let scene = Scene::start(RoomVersion::V12, 0).await;
    let (host, guest) = (&scene.host, &scene.guest);
    let bob = guest.users[0].clone();
    scene.say(guest, "before").await;
    for n in 0..300 {
        scene.say(host, &n.to_string()).await;
        if n % 50 == 0 {
            scene.change(host, "m.room.topic", "", json!({ "topic": n.to_string() })).await;
        }
    }
    let last = scene.say(host, "last").await;
    assert!(matches!(scene.pass(host, guest, &[last], true).await.as_slice(), [Outcome::Accepted(_)]));
    // The state is that of now, though most events between are missing.
    let room = guest.room(&scene.room).await;
    let topic = guest.rooms.state_content(&room.id, &bob, "m.room.topic", "").await.expect("a topic");
    assert_eq!(topic, r#"{"topic":"250"}"#);
    let bodies = scene.pages(guest, &bob, 30, &Ask { servers: vec![host] }).await;
    let wanted: Vec<String> =
        [vec!["last".to_owned()], numbers(0..300)].concat().into_iter().chain(["before".to_owned()]).collect();
    assert_eq!(bodies, wanted);
    scene.check().await;
}

#[tokio::test]
async fn history_that_is_filled_in_is_shown_to_those_who_could_have_seen_it() {
    for (visibility, seen) in [("shared", 6), ("joined", 0), ("world_readable", 6), ("invited", 0)] {
        let clock: Arc<dyn Clock> = Arc::new(Hands(0.into()));
        let host = Server::start("a.example", clock.clone(), 1).await;
        let guest = Server::start("b.example", clock, 1).await;
        let (alice, bob) = (host.users[0].clone(), guest.users[0].clone());
        let mut request = CreateRoom::new(&alice);
        (request.version, request.preset) = (Some("10".to_owned()), Some(Preset::PublicChat));
        let room = host.rooms.create(request).await.expect("a room");
        let value = json!({ "history_visibility": visibility });
        host.rooms.append(&room, state(&alice, "m.room.history_visibility", "", &value)).await.expect("set");
        for n in 0..6 {
            host.rooms.append(&room, text(&alice, &n.to_string())).await.expect("sent");
        }
        join_through(&host, &guest, &room, &bob).await.expect("joined");
        let scene = Scene { host, guest, room };
        let bodies = scene.pages(&scene.guest, &bob, 4, &Ask { servers: vec![&scene.host] }).await;
        assert_eq!(bodies, numbers(0..seen), "{visibility}");
        scene.check().await;
    }
}

/// Somebody who tells of the state before one event, and not of what lies between.
struct Silent<'a>(Ask<'a>, OwnedEventId);
impl Peers for Silent<'_> {
    fn events<'a>(&'a self, room: &'a Room, ids: &'a [OwnedEventId]) -> BoxFuture<'a, Vec<Pdu>> {
        self.0.events(room, ids)
    }
    fn missing_events<'a>(
        &'a self,
        _: &'a Room,
        _: &'a [OwnedEventId],
        _: &'a [OwnedEventId],
        _: usize,
    ) -> BoxFuture<'a, Vec<Pdu>> {
        async { Vec::new() }.boxed()
    }
    fn state_ids<'a>(&'a self, room: &'a Room, event: &'a EventId) -> BoxFuture<'a, Option<StateIds>> {
        assert_eq!(*event, *self.1);
        self.0.state_ids(room, event)
    }
    fn backfill<'a>(&'a self, room: &'a Room, from: &'a [OwnedEventId], limit: usize) -> BoxFuture<'a, Vec<Pdu>> {
        self.0.backfill(room, from, limit)
    }
}

#[tokio::test]
async fn a_redaction_that_comes_first_hides_its_target_when_that_comes() {
    let scene = Scene::start(RoomVersion::V11, 0).await;
    let (host, guest) = (&scene.host, &scene.guest);
    let (alice, bob) = (host.users[0].clone(), guest.users[0].clone());
    let secret = scene.say(host, "secret").await;
    let mut redaction = NewEvent::message(&alice, "m.room.redaction", content(&json!({})), None);
    redaction.redacts = Some(secret.clone());
    let redaction = host.rooms.append(&scene.room, redaction).await.expect("redacted").event_id;
    // The redaction alone: the guest knows only that something was redacted.
    let at_host = host.room(&scene.room).await;
    let sent = host.rooms.pdus(&at_host, std::slice::from_ref(&redaction)).await.expect("events");
    let peers = Silent(Ask { servers: vec![host] }, redaction.clone());
    let at_guest = guest.room(&scene.room).await;
    let became = guest.rooms.receive(&at_guest, &host.name, sent, &peers).await.expect("received");
    assert!(matches!(became.as_slice(), [(_, Outcome::Accepted(_))]), "{became:?}");
    // Paging brings the event itself, as the host had it before.
    let bodies = scene.pages(guest, &bob, 10, &peers).await;
    assert!(!bodies.contains(&"secret".to_owned()), "{bodies:?}");
    let shown = guest.rooms.event(&scene.room, &secret, &bob, None).await.expect("the event");
    let shown: serde_json::Value = serde_json::from_slice(&shown.json).expect("JSON");
    assert_eq!(shown["content"], json!({}));
    assert_eq!(shown["unsigned"]["redacted_because"]["event_id"], redaction.as_str());
    scene.check().await;
}

#[tokio::test]
async fn events_of_another_room_or_of_nobody_build_nothing() {
    let scene = Scene::start(RoomVersion::V10, 0).await;
    let (host, guest) = (&scene.host, &scene.guest);
    let other = Scene::start(RoomVersion::V10, 0).await;
    // An event of another room is not taken in, whatever it is sent for.
    let foreign = other.say(&other.host, "elsewhere").await;
    let theirs = other.host.room(&other.room).await;
    let sent = other.host.rooms.pdus(&theirs, std::slice::from_ref(&foreign)).await.expect("events");
    let at_host = host.room(&scene.room).await;
    let became = host.rooms.receive(&at_host, &guest.name, sent, &super::super::Nobody).await.expect("received");
    assert_eq!(became, [(foreign, Outcome::Missing)]);
    scene.check().await;
}

#[tokio::test]
async fn a_room_with_many_loose_ends_gets_one_event_that_ties_them() {
    let scene = Scene::start(RoomVersion::V11, 0).await;
    let (host, guest) = (&scene.host, &scene.guest);
    let room = guest.room(&scene.room).await;
    let bob = guest.users[0].clone();
    let own = guest.rooms.identity();
    let said = NewEvent::message(&bob, "m.room.message", content(&json!({ "body": "x" })), None);
    let draft = guest.rooms.draft(&room, said).await.expect("a draft");
    let at_host = host.room(&scene.room).await;
    // All follow the same event, and none of them another.
    for n in 0..12 {
        let mut one = draft.clone();
        one.content = content(&json!({ "body": n.to_string() }));
        let one = one.seal(room.rules, &own.server_name, &own.key).expect("sealed");
        let became = host.rooms.receive(&at_host, &guest.name, vec![one], &super::super::Nobody).await;
        assert!(matches!(became.as_deref(), Ok([(_, Outcome::Accepted(_))])), "{became:?}");
    }
    let tips = host.rooms.tip_ids(&at_host).await.expect("tips");
    assert!(tips.len() < 10, "{}", tips.len());
    let alice = &host.users[0];
    let query = MessagesQuery {
        from: None,
        to: None,
        direction: Direction::Backwards,
        limit: 100,
        filter: EventFilter::default(),
    };
    let page = host.rooms.messages(&scene.room, alice, None, query, &super::super::Nobody).await.expect("messages");
    let shown: Vec<_> = page.chunk.iter().map(|event| event.stored.pdu.kind().to_owned()).collect();
    assert_eq!(shown.iter().filter(|kind| *kind == "m.room.message").count(), 12);
    assert!(!shown.contains(&crate::head::DUMMY.to_owned()), "clients are not shown it");
    assert_eq!(faults(host, &scene.room).await, Vec::<String>::new());
}

#[tokio::test]
async fn state_that_a_resolution_loses_without_a_reason_is_counted_and_kept() {
    let resets = async |server: &Server, room: &OwnedRoomId| {
        let no = server.room(room).await.no;
        server.rooms.store().read(move |read| roost_store::state_resets::of_room(read, no)).await.expect("a read")
    };
    for (timestamp, is_reset) in [(Some(1), true), (None, false)] {
        let scene = Scene::start(RoomVersion::V11, 0).await;
        let (host, guest) = (&scene.host, &scene.guest);
        let alice = host.users[0].clone();
        let known = scene
            .change(host, "m.room.member", alice.as_str(), json!({ "membership": "join", "displayname": "old" }))
            .await;
        scene.pass(host, guest, &[known], false).await;
        // A clock that is off: what is newer in the graph claims to be older, so that the algorithm puts the old event over it.
        let named = json!({ "membership": "join", "displayname": "new" });
        let event = NewEvent { timestamp, ..state(&alice, "m.room.member", alice.as_str(), &named) };
        let newer = host.rooms.append(&scene.room, event).await.expect("set").event_id;
        // The guest has not heard of it, and goes on from what was before.
        let meanwhile = scene.say(guest, "meanwhile").await;
        let became = scene.pass(guest, host, &[meanwhile], false).await;
        assert!(matches!(became.as_slice(), [Outcome::Accepted(_)]), "{became:?}");
        let member = host.rooms.state_content(&scene.room, &alice, "m.room.member", alice.as_str()).await;
        assert_eq!(member.expect("a member").contains("new"), !is_reset);
        let found = resets(host, &scene.room).await;
        assert_eq!(found.len(), usize::from(is_reset), "{found:?}");
        for (_, evidence) in found {
            let evidence: serde_json::Value = serde_json::from_str(&evidence).expect("JSON");
            assert_eq!(evidence["lost"][0]["event"], newer.as_str());
            assert_eq!(evidence["lost"][0]["state_key"], alice.as_str());
        }
        scene.check().await;
    }
}

#[tokio::test]
async fn what_gives_way_to_a_ban_is_no_reset() {
    let scene = Scene::start(RoomVersion::V11, 0).await;
    let (host, guest) = (&scene.host, &scene.guest);
    let bob = guest.users[0].clone();
    let named = json!({ "membership": "join", "displayname": "bob" });
    scene.change(guest, "m.room.member", bob.as_str(), named).await;
    let ban = scene.change(host, "m.room.member", bob.as_str(), json!({ "membership": "ban" })).await;
    // On the guest's side the ban meets the new name.
    let became = scene.pass(host, guest, &[ban], false).await;
    assert!(matches!(became.as_slice(), [Outcome::Accepted(_)]), "{became:?}");
    assert!(!guest.rooms.is_joined(&scene.room, &bob).await.expect("asked"));
    let no = guest.room(&scene.room).await.no;
    let found = guest.rooms.store().read(move |read| roost_store::state_resets::of_room(read, no)).await;
    assert!(found.expect("a read").is_empty());
    scene.check().await;
}

/// Somebody who, whatever they are asked for, answers with an event that cites another one that nobody has.
struct Endless<'a> {
    guest: &'a Server,
    template: roost_matrix::event::Draft,
    asked: std::sync::atomic::AtomicUsize,
}

impl Endless<'_> {
    fn one(&self, n: usize) -> Pdu {
        let own = self.guest.rooms.identity();
        let mut draft = self.template.clone();
        draft.kind = "m.room.power_levels".to_owned();
        draft.state_key = Some(String::new());
        draft.content = content(&json!({ "n": n }));
        draft.auth_events = vec![EventId::parse(format!("${n:0>43}")).expect("an event id")];
        draft.seal(RoomVersion::V11.rules(), &own.server_name, &own.key).expect("sealed")
    }
}

impl Peers for Endless<'_> {
    fn events<'a>(&'a self, _: &'a Room, _: &'a [OwnedEventId]) -> BoxFuture<'a, Vec<Pdu>> {
        let n = self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move { vec![self.one(n)] }.boxed()
    }

    fn missing_events<'a>(
        &'a self,
        _: &'a Room,
        _: &'a [OwnedEventId],
        _: &'a [OwnedEventId],
        _: usize,
    ) -> BoxFuture<'a, Vec<Pdu>> {
        let n = self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut other = self.template.clone();
        other.content = content(&json!({ "other": n }));
        other.prev_events = vec![EventId::parse(format!("${n:9>43}")).expect("an event id")];
        let own = self.guest.rooms.identity();
        let pdu = other.seal(RoomVersion::V11.rules(), &own.server_name, &own.key).expect("sealed");
        async move { vec![pdu] }.boxed()
    }

    fn state_ids<'a>(&'a self, _: &'a Room, _: &'a EventId) -> BoxFuture<'a, Option<StateIds>> {
        let id = |n: usize| EventId::parse(format!("${n:7>43}")).expect("an event id");
        let (state, auth_chain) = ((0..2000).map(id).collect(), Vec::new());
        async move { Some(StateIds { state, auth_chain }) }.boxed()
    }

    fn backfill<'a>(&'a self, _: &'a Room, _: &'a [OwnedEventId], _: usize) -> BoxFuture<'a, Vec<Pdu>> {
        async { Vec::new() }.boxed()
    }
}

#[tokio::test]
async fn a_server_that_always_has_something_new_to_ask_for_is_not_followed_for_ever() {
    let scene = Scene::start(RoomVersion::V11, 0).await;
    let (host, guest) = (&scene.host, &scene.guest);
    let room = guest.room(&scene.room).await;
    let said = NewEvent::message(&guest.users[0], "m.room.message", content(&json!({ "body": "x" })), None);
    let template = guest.rooms.draft(&room, said).await.expect("a draft");
    let endless = Endless { guest, template: template.clone(), asked: 0.into() };
    // It follows an event that nobody has, and cites another such.
    let mut draft = template;
    draft.prev_events = vec![EventId::parse(format!("${:a>43}", "")).expect("an event id")];
    draft.auth_events.push(EventId::parse(format!("${:b>43}", "")).expect("an event id"));
    let own = guest.rooms.identity();
    let lure = draft.seal(room.rules, &own.server_name, &own.key).expect("sealed");
    let at_host = host.room(&scene.room).await;
    let became = host.rooms.receive(&at_host, &guest.name, vec![lure], &endless).await.expect("received");
    assert!(matches!(became.as_slice(), [(_, Outcome::Missing)]), "{became:?}");
    let asked = endless.asked.load(std::sync::atomic::Ordering::Relaxed);
    assert!(asked < 200, "asked {asked} times");
    assert_eq!(faults(host, &scene.room).await, Vec::<String>::new());
    // The room goes on.
    scene.say(host, "still here").await;
}
