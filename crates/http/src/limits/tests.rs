use std::{
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
};

use roost_world::{BoxFuture, Executor, Random};

use super::*;

/// A clock that moves when it is told to.
#[derive(Default)]
struct Still(AtomicU64);

impl Clock for Still {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now_ms())
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<()> {
        Box::pin(std::future::pending())
    }
}

struct Nothing;

impl Random for Nothing {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

impl Executor for Nothing {
    fn spawn(&self, _name: &'static str, _future: BoxFuture<()>) {}
    fn spawn_thread(&self, _name: &str, _body: Box<dyn FnOnce() + Send>) {}
    fn spawn_cpu(&self, _body: Box<dyn FnOnce() + Send>) {}
    fn block_on(&self, _future: Pin<&mut (dyn Future<Output = ()> + '_)>) {}
}

fn limits(count: u32, per: u64) -> (Arc<Still>, Limits) {
    let clock = Arc::new(Still::default());
    let world = World { clock: clock.clone(), random: Arc::new(Nothing), executor: Arc::new(Nothing) };
    let rate = NonZeroU32::new(count).map(|count| Rate { count, per: Duration::from_secs(per) });
    (clock, Limits::new(&world, |_| Rates { address: rate, user: rate }))
}

fn wait(result: Result<(), Error>) -> Option<u64> {
    result.err().map(|error| error.extra["retry_after_ms"].as_u64().unwrap())
}

#[test]
fn an_allowance_is_used_up_and_comes_back() {
    let (clock, limits) = limits(3, 30);
    for _ in 0..3 {
        assert_eq!(wait(limits.user(Class::Sending, "@alice:localhost")), None);
    }
    let told = wait(limits.user(Class::Sending, "@alice:localhost")).unwrap();
    assert!((9_000..=10_000).contains(&told), "{told}");
    assert_eq!(wait(limits.user(Class::Sending, "@bob:localhost")), None, "each user has an own allowance");
    assert_eq!(wait(limits.user(Class::Login, "@alice:localhost")), None, "each class has an own allowance");
    clock.0.fetch_add(told, Ordering::Relaxed);
    assert_eq!(wait(limits.user(Class::Sending, "@alice:localhost")), None, "what it told was enough");
}

#[test]
fn a_network_of_one_customer_counts_as_one() {
    let (_, limits) = limits(1, 60);
    let take = |address: &str| wait(limits.address(Class::Login, address.parse().unwrap()));
    assert_eq!(take("2001:db8:1:2::1"), None);
    assert!(take("2001:db8:1:2:ffff::2").is_some());
    assert_eq!(take("2001:db8:1:3::1"), None);
    assert_eq!(take("192.0.2.1"), None);
    assert!(take("::ffff:192.0.2.1").is_some(), "the same address in another dress");
    assert_eq!(take("192.0.2.2"), None);
}

#[test]
fn each_person_who_is_invited_counts() {
    let (clock, limits) = limits(100, 100);
    assert_eq!(wait(limits.invitations("@alice:localhost", 0)), None);
    assert_eq!(wait(limits.invitations("@alice:localhost", 70)), None);
    let told = wait(limits.invitations("@alice:localhost", 50)).unwrap();
    assert!((19_000..=20_000).contains(&told), "{told}");
    assert_eq!(wait(limits.invitations("@alice:localhost", 30)), None, "what was refused took nothing");
    assert_eq!(wait(limits.invitations("@bob:localhost", 500)), None, "more than the allowance takes the allowance");
    assert!(wait(limits.invitations("@bob:localhost", 1)).is_some());
    clock.0.fetch_add(100_000, Ordering::Relaxed);
    assert_eq!(wait(limits.invitations("@bob:localhost", 500)), None);
}

#[test]
fn memory_stays_bounded_whoever_comes() {
    let (_, limits) = limits(1, 3600);
    for number in 0..120_000_u32 {
        let _ = limits.address(Class::Login, IpAddr::V4(number.into()));
    }
    let limiter = limits.class(Class::Login).unwrap().address.as_ref().unwrap();
    let kept = limiter.keyed.read().unwrap().len();
    assert!(kept <= KEYS + 1, "{kept}");
}
