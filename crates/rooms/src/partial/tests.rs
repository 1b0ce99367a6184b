use futures_util::future::join_all;
use roost_matrix::room_version::RoomVersion;
use roost_world::Clock;
use serde_json::json;

use super::*;
use crate::{
    Adoption, CreateRoom, MemberProfile, Nobody, Outcome, Preset,
    receive::tests::{Ask, Hands, Server, faults},
    testing::{state, text},
};

struct Scene {
    host: Server,
    guest: Server,
    room: roost_matrix::ids::OwnedRoomId,
}

/// A room on the host with many members, one of them banned, which a user of the guest has joined without hearing of any of them.
async fn scene(members: usize) -> Scene {
    let clock: Arc<dyn Clock> = Arc::new(Hands(0.into()));
    let host = Server::start("a.example", clock.clone(), members).await;
    let guest = Server::start("b.example", clock, 2).await;
    let alice = host.users[0].clone();
    let mut request = CreateRoom::new(&alice);
    (request.version, request.preset) = (Some("11".to_owned()), Some(Preset::PublicChat));
    let room = host.rooms.create(request).await.expect("a room");
    for user in &host.users[1..] {
        host.rooms.join(&room, user, &MemberProfile::default(), None).await.expect("joined");
    }
    host.rooms.ban(&room, &alice, &guest.users[1], None).await.expect("banned");

    let theirs = host.room(&room).await;
    let bob = &guest.users[0];
    let wanted = state(bob, "m.room.member", bob.as_str(), &json!({ "membership": "join" }));
    let draft = host.rooms.draft(&theirs, wanted).await.expect("a draft");
    let own = guest.rooms.identity();
    let join = draft.seal(theirs.rules, &own.server_name, &own.key).expect("a join");
    host.rooms.receive(&theirs, &guest.name, vec![join.clone()], &Nobody).await.expect("received");
    let ids = host.rooms.state_ids(&theirs, join.event_id()).await.expect("ids").expect("the state");
    let mut whole = host.rooms.pdus(&theirs, &ids.state).await.expect("events");
    whole.retain(|pdu| pdu.kind() != "m.room.member");
    // What those events and the join go back to, and no more.
    let mut chain: Vec<Pdu> = Vec::new();
    let mut open: Vec<OwnedEventId> = whole.iter().chain([&join]).flat_map(|pdu| pdu.auth_events().to_vec()).collect();
    while !open.is_empty() {
        let found = host.rooms.pdus(&theirs, &open).await.expect("events");
        open = found.iter().flat_map(|pdu| pdu.auth_events().to_vec()).collect();
        chain.extend(found);
    }
    let adoption = Adoption {
        origin: host.name.clone(),
        version: RoomVersion::V11,
        join,
        state: whole,
        auth_chain: chain,
        partial: Some(vec![host.name.clone()]),
    };
    guest.rooms.adopt(adoption).await.expect("adopted");
    Scene { host, guest, room }
}

impl Scene {
    async fn pass(&self, ids: &[OwnedEventId]) -> Vec<Outcome> {
        let sent = self.host.rooms.pdus(&self.host.room(&self.room).await, ids).await.expect("events");
        let room = self.guest.room(&self.room).await;
        let peers = Ask { servers: vec![&self.host] };
        let became = self.guest.rooms.receive(&room, &self.host.name, sent, &peers).await.expect("received");
        became.into_iter().map(|(_, outcome)| outcome).collect()
    }

    async fn is_partial(&self) -> bool {
        let no = self.guest.room(&self.room).await.no;
        let row = self.guest.rooms.store().read(move |read| rooms::by_no(read, no)).await.expect("a read");
        row.expect("the room").head.members.is_partial()
    }
}

#[tokio::test]
async fn a_room_can_be_used_before_its_members_are_known_and_is_whole_afterwards() {
    let scene = scene(20).await;
    let (host, guest) = (&scene.host, &scene.guest);
    let (alice, bob) = (&host.users[0], &guest.users[0]);
    assert!(scene.is_partial().await);
    // Both sides speak, also members of whom the guest has never heard.
    let own = guest.rooms.append(&scene.room, text(bob, "hello")).await.expect("sent").event_id;
    let theirs = host.rooms.append(&scene.room, text(&host.users[7], "welcome")).await.expect("sent").event_id;
    assert!(matches!(scene.pass(std::slice::from_ref(&theirs)).await.as_slice(), [Outcome::Accepted(_)]));
    let topic = host.rooms.append(&scene.room, state(alice, "m.room.topic", "", &json!({ "topic": "t" }))).await;
    assert!(matches!(scene.pass(&[topic.expect("set").event_id]).await.as_slice(), [Outcome::Accepted(_)]));

    // Who wants members waits for them.
    let room = guest.room(&scene.room).await;
    let (listed, completed) = futures_util::future::join(
        guest.rooms.joined_members(&scene.room, bob),
        guest.rooms.complete(&room, &Ask { servers: vec![host] }),
    )
    .await;
    completed.expect("completed");
    assert_eq!(listed.expect("members").len(), 21);
    assert!(!scene.is_partial().await);
    assert_eq!(faults(guest, &scene.room).await, Vec::<String>::new());
    // As of then, too: the member is part of the state in which they spoke.
    let ids = guest.rooms.state_ids(&room, &theirs).await.expect("ids").expect("a state");
    let at_host = host.rooms.state_ids(&host.room(&scene.room).await, &theirs).await.expect("ids").expect("a state");
    let sorted = |mut ids: Vec<OwnedEventId>| {
        ids.sort();
        ids
    };
    assert_eq!(sorted(ids.state), sorted(at_host.state));
    assert!(guest.rooms.event(&scene.room, &own, bob, None).await.is_ok());
    // A second time there is nothing to do.
    guest.rooms.complete(&room, &Nobody).await.expect("nothing to do");
    assert!(guest.rooms.partial_rooms().await.expect("rooms").is_empty());
}

#[tokio::test]
async fn who_is_banned_does_not_get_in_while_the_ban_is_not_known() {
    let scene = scene(5).await;
    let (host, guest) = (&scene.host, &scene.guest);
    let room = guest.room(&scene.room).await;
    let banned = guest.users[1].clone();
    let profile = MemberProfile::default();
    let (joined, completed) = futures_util::future::join(
        guest.rooms.join(&scene.room, &banned, &profile, None),
        guest.rooms.complete(&room, &Ask { servers: vec![host] }),
    )
    .await;
    completed.expect("completed");
    assert!(matches!(joined, Err(Error::Forbidden(_))), "{joined:?}");
    assert!(!guest.rooms.is_joined(&scene.room, &banned).await.expect("asked"));
}

#[tokio::test]
async fn a_completion_that_was_interrupted_is_taken_up_again() {
    let scene = scene(5).await;
    let (host, guest) = (&scene.host, &scene.guest);
    let room = guest.room(&scene.room).await;
    // Nobody could be reached.
    assert!(guest.rooms.complete(&room, &Nobody).await.is_err());
    assert!(scene.is_partial().await);
    let waiting = guest.rooms.partial_rooms().await.expect("rooms");
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].1, std::slice::from_ref(&host.name));
    // Several at once do it once, while somebody speaks.
    let peers = Ask { servers: vec![host] };
    let bob = guest.users[0].clone();
    let speak = async {
        for n in 0..10 {
            guest.rooms.append(&scene.room, text(&bob, &n.to_string())).await.expect("sent");
        }
    };
    let (done, ()) =
        futures_util::future::join(join_all((0..3).map(|_| guest.rooms.complete(&room, &peers))), speak).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert!(!scene.is_partial().await);
    assert_eq!(guest.rooms.joined_members(&scene.room, &bob).await.expect("members").len(), 6);
    assert_eq!(faults(guest, &scene.room).await, Vec::<String>::new());
}
