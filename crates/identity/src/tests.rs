//! What does not need HTTP: peppers, keys, deliveries.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::atomic::{AtomicU16, Ordering},
};

use roost_matrix::{base64, ids::UserId, signing};
use roost_net::{
    client::{self, Candidate, Host},
    guard::Guard,
    network::Table,
    testing::{self, Answer, Server, TurnedClock},
    tls::Trust,
};
use roost_store::{
    identity_associations::{self, Association},
    identity_peppers::Phase,
    testing::TestStore,
};

use super::*;

/// Every homeserver is at one address, without TLS.
struct Everywhere(SocketAddr);

impl Discover for Everywhere {
    fn target(&self, _server: &ServerName) -> BoxFuture<Result<Target, String>> {
        let candidate = Candidate { host: Host::Address(self.0.ip()), port: self.0.port() };
        Box::pin(std::future::ready(Ok(Target::plain(vec![candidate], self.0.to_string()))))
    }
}

struct Scene {
    identity: Identity,
    store: Store,
    /// It goes away with the scene.
    _database: Option<TestStore>,
    clock: Arc<TurnedClock>,
    workers: Workers,
}

async fn scene(homeserver: SocketAddr) -> Scene {
    scene_with(homeserver, None).await
}

/// The same with a gateway for SMS.
async fn scene_with(homeserver: SocketAddr, gateway: Option<SocketAddr>) -> Scene {
    on(roost_store::testing::store().await, homeserver, gateway).await
}

/// A node on a database that others use as well.
async fn node(store: &TestStore) -> Scene {
    let shared = store.scratch.open().await;
    let (world, clock) = testing::world();
    let workers = Workers::new(world.clone());
    let identity = opened(shared.clone(), nowhere(), None, &world, &workers).await;
    Scene { identity, store: shared, _database: None, clock, workers }
}

async fn on(database: TestStore, homeserver: SocketAddr, gateway: Option<SocketAddr>) -> Scene {
    let (world, clock) = testing::world();
    let workers = Workers::new(world.clone());
    let store = Store::clone(&database);
    let identity = opened(store.clone(), homeserver, gateway, &world, &workers).await;
    Scene { identity, store, _database: Some(database), clock, workers }
}

async fn opened(
    store: Store,
    homeserver: SocketAddr,
    gateway: Option<SocketAddr>,
    world: &World,
    workers: &Workers,
) -> Identity {
    let client = || {
        let network = Arc::new(Table::new());
        let guard = Guard::new(["127.0.0.0/8"]).unwrap();
        let trust = Trust::only(Vec::<PathBuf>::new()).unwrap();
        Client::new(network, guard, &trust, client::Options::default(), world.clone()).unwrap()
    };
    let outside = Outside {
        federation: client(),
        discover: Arc::new(Everywhere(homeserver)),
        own: None,
        trusted: client(),
        mailer: None,
    };
    let options = Options {
        server_name: ServerName::parse("id.example").unwrap(),
        base_url: "https://id.example".to_owned(),
        policies: Vec::new(),
        plain_lookups: true,
        max_lookup: 100,
        pepper_lifetime: Duration::from_secs(3600),
        pepper_grace: Duration::from_secs(600),
        next_link_hosts: Vec::new(),
        mail_from: "id@id.example".to_owned(),
        web_client: None,
        gateways: Gateways::new(&gateway.map(gateway_at).into_iter().collect::<Vec<_>>()).unwrap(),
        texts: Texts::load(None).unwrap(),
    };
    Identity::open(store, options, outside, world.clone(), workers).await.unwrap()
}

fn gateway_at(address: SocketAddr) -> GatewayOptions {
    GatewayOptions { url: format!("http://{address}/"), body: "{{token}}".to_owned(), ..GatewayOptions::default() }
}

fn nowhere() -> SocketAddr {
    SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 1)
}

impl Scene {
    /// Binds `count` addresses without proof: the peppers are the subject.
    async fn bind(&self, count: usize, offset: usize) {
        let write = self.store.write(move |tx| {
            identity_peppers::lock(tx)?;
            let peppers = identity_peppers::in_use(tx)?;
            for number in offset..offset + count {
                let association = Association {
                    medium: "email".to_owned(),
                    address: format!("user{number}@example.org"),
                    user_id: UserId::parse(format!("@user{number}:example.org")).unwrap(),
                    bound_at: 1,
                };
                identity_associations::put(tx, &association, &peppers, lookup::hash)?;
            }
            Ok::<_, Error>(())
        });
        write.await.unwrap();
    }

    /// How many of these addresses a lookup with this pepper finds.
    async fn found(&self, pepper: &str, numbers: std::ops::Range<usize>) -> Result<usize, Error> {
        let hashes = numbers.map(|number| {
            let association = Association {
                medium: "email".to_owned(),
                address: format!("user{number}@example.org"),
                user_id: UserId::parse("@x:y").unwrap(),
                bound_at: 1,
            };
            base64::encode_url(&lookup::hash(&association, pepper))
        });
        Ok(self.identity.lookup("sha256", pepper, hashes.collect()).await?.len())
    }

    async fn pepper(&self) -> String {
        self.identity.hash_details().await.unwrap().pepper
    }
}

#[tokio::test]
async fn a_pepper_is_replaced_while_lookups_and_binds_go_on() {
    let scene = scene(nowhere()).await;
    // By hand, so that every step can be looked at.
    scene.workers.stop().await;
    scene.bind(1200, 0).await;
    let old = scene.pepper().await;
    assert_eq!(scene.found(&old, 0..90).await.unwrap(), 90);
    assert!(!scene.identity.advance_peppers().await.unwrap(), "it is too young to be replaced");

    scene.clock.advance(Duration::from_secs(3601));
    let mut steps = 0;
    while scene.identity.advance_peppers().await.unwrap() {
        steps += 1;
        assert_eq!(scene.pepper().await, old, "the new one is not handed out before it is complete");
        assert_eq!(scene.found(&old, 0..90).await.unwrap(), 90, "at step {steps}");
        // Before and behind what has been hashed so far.
        scene.bind(1, 10_000 + steps).await;
        assert_eq!(scene.found(&old, 10_000 + steps..10_001 + steps).await.unwrap(), 1);
    }
    assert!(steps >= 3, "{steps}");
    let new = scene.pepper().await;
    assert_ne!(new, old);
    for pepper in [&old, &new] {
        assert_eq!(scene.found(pepper, 1100..1200).await.unwrap(), 100, "both are good");
        assert_eq!(scene.found(pepper, 10_001..10_001 + steps).await.unwrap(), steps, "what was bound meanwhile");
    }

    // Unbinding takes it out of both.
    let id = ThirdPartyId::email("user7@example.org").unwrap();
    assert!(scene.identity.remove(&id, None).await.unwrap().is_some());
    for pepper in [&old, &new] {
        assert_eq!(scene.found(pepper, 7..8).await.unwrap(), 0);
    }

    scene.clock.advance(Duration::from_secs(601));
    while scene.identity.advance_peppers().await.unwrap() {}
    assert!(matches!(scene.found(&old, 0..1).await, Err(Error::InvalidPepper)));
    assert_eq!(scene.found(&new, 0..7).await.unwrap(), 7);
    let left = scene.store.read(|read| Ok::<_, Error>(identity_peppers::list(read)?)).await.unwrap();
    assert_eq!(left.iter().map(|pepper| pepper.phase).collect::<Vec<_>>(), [Phase::Current]);
}

#[tokio::test]
async fn a_replacement_goes_on_where_it_was_interrupted() {
    let scene = scene(nowhere()).await;
    scene.workers.stop().await;
    scene.bind(1200, 0).await;
    assert!(scene.identity.begin_pepper().await.unwrap());
    assert!(!scene.identity.begin_pepper().await.unwrap(), "one at a time");
    assert!(scene.identity.advance_peppers().await.unwrap());
    let filling = scene.store.read(|read| Ok::<_, Error>(identity_peppers::list(read)?)).await.unwrap();
    assert_ne!(filling[1].filled.1, "", "the place is written down");
    let mut steps = 0;
    while scene.identity.advance_peppers().await.unwrap() {
        steps += 1;
    }
    assert_eq!(steps, 2, "the first page is not hashed again");
    assert_eq!(scene.found(&scene.pepper().await, 0..100).await.unwrap(), 100);
}

#[tokio::test]
async fn a_new_key_signs_and_the_ones_before_stay_good() {
    let scene = scene(nowhere()).await;
    let [first] = &scene.identity.keys()[..] else { panic!("one key") };
    assert!(!first.public_key.contains(['+', '/']), "it needs no escaping");
    let second = scene.identity.rotate_key().await.unwrap();
    assert_ne!(second.key_id, first.key_id);
    for key in [first, &second] {
        assert!(scene.identity.is_key(&key.public_key));
        assert!(scene.identity.key(&key.key_id).is_some());
    }
    assert!(scene.identity.key(&first.key_id).unwrap().retired_at.is_some());
    let signed = scene.identity.sign(&serde_json::json!({ "a": 1 })).unwrap();
    let key = signing::PublicKey::from_base64(&second.public_key).unwrap();
    let known = |key_id: &str| (key_id == second.key_id).then_some(key);
    signing::verify_json(signed.to_string().as_bytes(), "id.example", known).unwrap();
    for wrong in ["", "x", &"A".repeat(43), &"A".repeat(5000)] {
        assert!(!scene.identity.is_key(wrong), "{wrong}");
    }
    scene.workers.stop().await;
}

#[tokio::test]
async fn a_homeserver_is_told_until_it_has_heard() {
    let status = Arc::new(AtomicU16::new(500));
    let answers = Arc::clone(&status);
    let server = Server::start(None, move |_| Answer::status(answers.load(Ordering::SeqCst))).await;
    let scene = scene(server.address()).await;
    let now = scene.identity.0.world.now_ms();
    let queue = scene.store.write(move |tx| {
        let server = ServerName::parse("hs.example").unwrap();
        roost_store::identity_invites::queue(tx, "one", &server, "{\"a\":1}", now)?;
        Ok::<_, Error>(())
    });
    queue.await.unwrap();
    scene.identity.0.parcels.notify_one();
    let waiting = async || loop {
        let deliveries = scene.identity.deliveries().await.unwrap();
        match deliveries.first() {
            Some(delivery) if delivery.tries == 0 => tokio::task::yield_now().await,
            first => break first.cloned(),
        }
    };
    let failed = waiting().await.expect("it still waits");
    assert_eq!((failed.tries, failed.problem.as_deref()), (1, Some("500  ")));
    assert!(failed.next_try_at > scene.identity.0.world.now_ms(), "not at once");

    status.store(200, Ordering::SeqCst);
    scene.clock.advance(Duration::from_secs(3600));
    scene.identity.0.parcels.notify_one();
    while !scene.identity.deliveries().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert_eq!(request.method, http::Method::PUT);
        assert_eq!(request.uri.path(), "/_matrix/federation/v1/3pid/onbind");
        assert_eq!(&request.body[..], b"{\"a\":1}", "the same each time");
    }
    scene.workers.stop().await;
}

#[tokio::test]
async fn a_session_lasts_a_day_from_its_last_change_and_is_remembered_for_another_one() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const ALMOST: Duration = Duration::from_secs(24 * 60 * 60 - 60);
    let gateway = Server::start(None, |_| Answer::ok("")).await;
    let scene = scene_with(nowhere(), Some(gateway.address())).await;
    let identity = &scene.identity;
    let id = ThirdPartyId::phone("GB", "07700900001").unwrap();
    let wanted = |send_attempt| Wanted { client_secret: "secret".to_owned(), send_attempt, next_link: None };
    let code = || String::from_utf8(gateway.seen().last().unwrap().body.to_vec()).unwrap();
    let request = async |attempt| identity.request_phone(&id, "GB 07700900001", wanted(attempt)).await.unwrap();
    let user = UserId::parse("@alice:hs.example").unwrap();

    let sid = request(1).await;
    scene.clock.advance(ALMOST);
    identity.submit(Medium::Msisdn, &sid, "secret", &code()).await.unwrap();
    // Validating has changed it, so it lasts for another day.
    scene.clock.advance(ALMOST);
    identity.validated(&sid, "secret").await.unwrap();
    identity.bind(&sid, "secret", &user).await.unwrap();
    scene.clock.advance(Duration::from_secs(120));
    assert!(matches!(identity.validated(&sid, "secret").await, Err(Error::SessionExpired)));
    assert!(matches!(identity.bind(&sid, "secret", &user).await, Err(Error::SessionExpired)));
    assert!(matches!(identity.unbind(&sid, "secret", &user, &id).await, Err(Error::SessionExpired)));
    assert!(matches!(identity.submit(Medium::Msisdn, &sid, "secret", &code()).await, Err(Error::SessionExpired)));

    // The same request begins another session, and sends another message.
    let next = request(1).await;
    assert_ne!(next, sid);
    assert_eq!(gateway.seen().len(), 2);
    scene.clock.advance(DAY + Duration::from_secs(60));
    assert!(matches!(identity.submit(Medium::Msisdn, &next, "secret", &code()).await, Err(Error::SessionExpired)));
    scene.clock.advance(DAY);
    identity.sweep().await.unwrap();
    assert!(matches!(identity.submit(Medium::Msisdn, &next, "secret", &code()).await, Err(Error::NoSession)));
    scene.workers.stop().await;
}

#[tokio::test]
async fn two_nodes_change_the_pepper_together() {
    let Some(store) = TestStore::postgres().await else { return };
    let (one, two) = (node(&store).await, node(&store).await);
    for scene in [&one, &two] {
        scene.workers.stop().await;
    }
    one.bind(2000, 0).await;
    let old = one.pepper().await;
    assert_eq!(two.pepper().await, old, "they share it");
    assert!(one.identity.begin_pepper().await.unwrap());
    assert!(!two.identity.begin_pepper().await.unwrap());
    // Both hash, and both bind meanwhile.
    let work = async |scene: &Scene, offset: usize| {
        let mut bound = 0;
        loop {
            scene.bind(1, offset + bound).await;
            bound += 1;
            if !scene.identity.advance_peppers().await.unwrap() {
                return bound;
            }
        }
    };
    let (first, second) = tokio::join!(work(&one, 10_000), work(&two, 20_000));
    let new = two.pepper().await;
    assert_ne!(new, old);
    for pepper in [&old, &new] {
        assert_eq!(one.found(pepper, 1900..2000).await.unwrap(), 100);
        assert_eq!(two.found(pepper, 10_000..10_000 + first).await.unwrap(), first);
        assert_eq!(one.found(pepper, 20_000..20_000 + second).await.unwrap(), second);
    }
}

#[tokio::test]
async fn a_delivery_that_a_stop_cuts_short_is_tried_right_after_the_next_start() {
    // It takes the request and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scene = scene(silent.local_addr().unwrap()).await;
    let now = scene.identity.0.world.now_ms();
    let queue = scene.store.write(move |tx| {
        let server = ServerName::parse("hs.example").unwrap();
        Ok::<_, Error>(roost_store::identity_invites::queue(tx, "one", &server, "{}", now)?)
    });
    queue.await.unwrap();
    scene.identity.0.parcels.notify_one();
    let _connection = silent.accept().await.unwrap();
    let under_way = scene.identity.deliveries().await.unwrap().remove(0);
    assert!(under_way.next_try_at > now + 60_000, "another node leaves it alone");
    scene.workers.stop().await;
    let left = scene.identity.deliveries().await.unwrap().remove(0);
    assert!(left.next_try_at <= scene.identity.0.world.now_ms(), "{left:?}");
    assert_eq!(left.tries, 0);
}
