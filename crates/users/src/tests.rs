//! Whole [`Users`] on a store of their own, with a clock that goes when told.

use std::{sync::Arc, time::Duration};

use roost_matrix::signing::KeyPair;
use roost_rooms::{Identity, Rooms};
use roost_store::testing::TestStore;
use roost_world::{BoxFuture, Clock, Workers, World};
use tokio::sync::watch;

use crate::{HashCost, LoggedIn, NewAccount, NewDevice, Options, Users, new_user_id};

mod accounts;
mod rooms;
mod sessions;
mod user_directory;

/// A clock that goes when told.
#[derive(Debug)]
pub(crate) struct ManualClock {
    passed: watch::Sender<Duration>,
}

impl ManualClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { passed: watch::Sender::new(Duration::ZERO) })
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.passed.send_modify(|passed| *passed += by);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000 + u64::try_from(self.monotonic().as_millis()).expect("a short test")
    }

    fn monotonic(&self) -> Duration {
        *self.passed.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        let until = self.monotonic() + duration;
        let mut passed = self.passed.subscribe();
        Box::pin(async move {
            let _ = passed.wait_for(|passed| *passed >= until).await;
        })
    }
}

pub(crate) struct House {
    pub(crate) users: Users,
    pub(crate) rooms: Rooms,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: TestStore,
}

pub(crate) async fn house() -> House {
    house_with(|_| {}).await
}

/// A house with other options than the usual ones.
pub(crate) async fn house_with(change: impl FnOnce(&mut Options)) -> House {
    let store = roost_store::testing::store().await;
    let clock = ManualClock::new();
    let world = World { clock: clock.clone(), ..roost_store::testing::world() };
    let mut options = Options::new("example.org".try_into().expect("a server name"));
    options.hash_cost = HashCost::CHEAPEST;
    change(&mut options);
    let identity =
        Identity { server_name: options.server_name.clone(), key: Arc::new(KeyPair::from_seed([7; 32], "test")) };
    let rooms = Rooms::open((*store).clone(), identity, roost_rooms::Options::default(), world.clone())
        .await
        .expect("an engine");
    let workers = Workers::new(world.clone());
    let users = Users::open((*store).clone(), rooms.clone(), options, world, &workers).await.expect("the users open");
    House { users, rooms, clock, store }
}

/// Runs a future beside the test.
#[expect(clippy::disallowed_methods, reason = "tests run on the real executor")]
pub(crate) fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(future)
}

impl House {
    /// Registers somebody whose password is `open sesame`, and logs them in.
    pub(crate) async fn register(&self, name: &str, refreshable: bool) -> LoggedIn {
        let user_id = new_user_id(name, self.users.server_name()).expect("a user name");
        let mut account = NewAccount::new(user_id, Some("open sesame".to_owned()));
        account.device = Some(NewDevice { refreshable, ..NewDevice::default() });
        self.users.create(account).await.expect("registered").expect("logged in")
    }
}
