//! Rate limits: per address before a request is looked at, per user once it is known who asks.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#rate-limiting>

mod classes;

use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use governor::{Quota, RateLimiter, clock::Clock as _, middleware::NoOpMiddleware, state::keyed::HashMapStateStore};
use roost_world::{Clock, World};

pub use self::classes::Class;
use crate::Error;

/// How many keys one limiter remembers before it sweeps out those that are back at their full allowance.
const KEYS: usize = 50_000;

/// So many requests at once, and refilled evenly over so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The allowance.
    pub count: NonZeroU32,
    /// How long an empty allowance takes to fill up again.
    pub per: Duration,
}

/// The rates of one class of requests; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// For each client address (for IPv6, each /64 network).
    pub address: Option<Rate>,
    /// For each user.
    pub user: Option<Rate>,
}

/// The server's rate limits.
pub struct Limits(Option<[ClassLimits; Class::COUNT]>);

struct ClassLimits {
    address: Option<Limiter<IpAddr>>,
    user: Option<Limiter<String>>,
}

impl Limits {
    /// Limits that never refuse.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// Limits with a rate for each class.
    #[must_use]
    pub fn new(world: &World, rates: impl Fn(Class) -> Rates) -> Self {
        Self(Some(Class::ALL.map(|class| {
            let Rates { address, user } = rates(class);
            ClassLimits {
                address: address.and_then(|rate| Limiter::new(rate, world)),
                user: user.and_then(|rate| Limiter::new(rate, world)),
            }
        })))
    }

    /// Counts a request from an address; `M_LIMIT_EXCEEDED` when its allowance is used up.
    pub fn address(&self, class: Class, address: IpAddr) -> Result<(), Error> {
        let limiter = self.class(class).and_then(|limits| limits.address.as_ref());
        limiter.map_or(Ok(()), |limiter| limiter.take(&network(address), NonZeroU32::MIN))
    }

    /// Counts a request by (or, for logins, an attempt at) a user; `M_LIMIT_EXCEEDED` when the allowance is used up.
    pub fn user(&self, class: Class, user: &str) -> Result<(), Error> {
        let limiter = self.class(class).and_then(|limits| limits.user.as_ref());
        limiter.map_or(Ok(()), |limiter| limiter.take(&user.to_owned(), NonZeroU32::MIN))
    }

    /// Counts that a user looks up so many addresses with one request. What is more than the whole allowance takes all of it.
    pub fn looked_up(&self, user: &str, addresses: usize) -> Result<(), Error> {
        let Some(addresses) = NonZeroU32::new(u32::try_from(addresses).unwrap_or(u32::MAX)) else { return Ok(()) };
        let limiter = self.class(Class::IdentityAddresses).and_then(|limits| limits.user.as_ref());
        limiter.map_or(Ok(()), |limiter| limiter.take(&user.to_owned(), addresses))
    }

    fn class(&self, class: Class) -> Option<&ClassLimits> {
        self.0.as_ref().and_then(|classes| classes.get(class as usize))
    }
}

/// What counts as one client: an IPv6 network of 64 bits is given to one customer, who can use all of it.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        },
    }
}

#[derive(Clone)]
struct WorldClock(Arc<dyn Clock>);

impl governor::clock::Clock for WorldClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

type Keyed<K> = RateLimiter<K, HashMapStateStore<K>, WorldClock, NoOpMiddleware<Duration>>;

struct Limiter<K: Hash + Eq + Clone> {
    quota: Quota,
    clock: WorldClock,
    keyed: RwLock<Keyed<K>>,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    fn new(rate: Rate, world: &World) -> Option<Self> {
        let quota = Quota::with_period(rate.per / rate.count.get())?.allow_burst(rate.count);
        let clock = WorldClock(Arc::clone(&world.clock));
        let keyed = RwLock::new(Keyed::new(quota, HashMapStateStore::default(), clock.clone()));
        Some(Self { quota, clock, keyed })
    }

    fn take(&self, key: &K, count: NonZeroU32) -> Result<(), Error> {
        let keyed = self.keyed.read().unwrap_or_else(PoisonError::into_inner);
        // There is room for the whole allowance, so the outer error does not come.
        let verdict = keyed.check_key_n(key, count.min(self.quota.burst_size())).unwrap_or(Ok(()));
        let full = keyed.len() > KEYS;
        drop(keyed);
        if full {
            self.sweep();
        }
        verdict.map_err(|until| Error::limit_exceeded(until.wait_time_from(self.clock.now())))
    }

    fn sweep(&self) {
        let mut keyed = self.keyed.write().unwrap_or_else(PoisonError::into_inner);
        keyed.retain_recent();
        // Whoever has that many addresses is not held by a limit for each; memory is what must be kept.
        if keyed.len() > KEYS / 2 {
            *keyed = Keyed::new(self.quota, HashMapStateStore::default(), self.clock.clone());
        }
    }
}

#[cfg(test)]
mod tests;
