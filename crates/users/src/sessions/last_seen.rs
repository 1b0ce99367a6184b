//! When devices were last heard of: noted in memory with every request, written down seldom and in batches.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use roost_matrix::ids::{DeviceId, OwnedDeviceId};
use roost_store::{
    Store, UserNo,
    devices::{self, Sighting},
};
use roost_world::{Stop, World};

/// How often sightings are written down.
const FLUSH_EVERY: Duration = Duration::from_secs(60);

/// The most that wait to be written down; beyond that, further devices are not noted.
const MAX_WAITING: usize = 100_000;

/// How many are written in one job.
const BATCH: usize = 500;

#[derive(Debug)]
pub(crate) struct LastSeen {
    store: Store,
    world: World,
    waiting: Mutex<HashMap<UserNo, Vec<(OwnedDeviceId, Seen)>>>,
}

/// When and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) at: u64,
    pub(crate) ip: Option<IpAddr>,
}

impl LastSeen {
    pub(super) fn new(store: Store, world: World) -> Self {
        Self { store, world, waiting: Mutex::default() }
    }

    pub(super) fn note(&self, user: UserNo, device: &DeviceId, ip: Option<IpAddr>) {
        let seen = Seen { at: self.world.now_ms(), ip };
        let mut waiting = self.waiting();
        let full = waiting.len() >= MAX_WAITING;
        match waiting.get_mut(&user) {
            Some(devices) => match devices.iter_mut().find(|(known, _)| known == device) {
                Some((_, known)) => *known = seen,
                None => devices.push((device.to_owned(), seen)),
            },
            None if full => {}
            None => {
                waiting.insert(user, vec![(device.to_owned(), seen)]);
            }
        }
    }

    /// What has been noted of a user's devices and not been written yet.
    pub(crate) fn of_user(&self, user: UserNo) -> Vec<(OwnedDeviceId, Seen)> {
        self.waiting().get(&user).cloned().unwrap_or_default()
    }

    /// Writes down what has been noted.
    pub(crate) async fn flush(&self) {
        let noted = std::mem::take(&mut *self.waiting());
        let sightings: Vec<Sighting> = noted
            .into_iter()
            .flat_map(|(user, devices)| {
                devices.into_iter().map(move |(device_id, seen)| sighting(user, device_id, seen))
            })
            .collect();
        for batch in sightings.chunks(BATCH) {
            let batch = batch.to_vec();
            let written = self.store.write(move |tx| devices::seen(tx, &batch)).await;
            if let Err(error) = written {
                // Only a hint for people is lost.
                tracing::warn!(%error, "could not write down when devices were last seen");
                return;
            }
        }
    }

    /// Writes down what has been noted, every now and then, and once more at the end.
    pub(crate) async fn run(&self, mut stop: Stop) {
        loop {
            tokio::select! {
                () = stop.wait() => {
                    self.flush().await;
                    return;
                }
                () = self.world.clock.sleep(FLUSH_EVERY) => self.flush().await,
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<UserNo, Vec<(OwnedDeviceId, Seen)>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sighting(user: UserNo, device_id: OwnedDeviceId, seen: Seen) -> Sighting {
    Sighting { user, device_id, at: seen.at, ip: seen.ip.map(|ip| ip.to_string()) }
}
