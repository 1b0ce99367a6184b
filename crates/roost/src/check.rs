//! `roost check`: holds what the database derives from events against the events.

use std::fmt;

use roost_matrix::signing::KeyPair;
use roost_rooms::{Identity, Rooms};
use roost_store::{Database, RoomNo, Store};
use roost_world::World;

use crate::{config::Config, data_dir::DataDir, house::HouseError};

/// What a check has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    rooms: u64,
    events: u64,
    pub(crate) faults: u64,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rooms, {} events, {} faults", self.rooms, self.events, self.faults)
    }
}

/// Rooms that are listed at once.
const PAGE: i64 = 100;

/// Checks the whole database and tells each fault as it is found. Nothing is changed, but for migrations, which opening a database
/// brings with it.
pub(crate) async fn check(
    config: &Config,
    data_dir: &DataDir,
    world: World,
    mut tell: impl FnMut(&str),
) -> Result<Seen, HouseError> {
    let database = Database::parse(&config.database.url, data_dir.path())?;
    // Durable, since a store that is not leaps over positions when it is opened.
    let options = roost_store::Options { readers: 2, ..roost_store::Options::new(database) };
    let store = Store::open(options, world.clone()).await?;
    let seen = look(config, &store, world, &mut tell).await;
    store.close().await;
    seen
}

async fn look(config: &Config, store: &Store, world: World, tell: &mut impl FnMut(&str)) -> Result<Seen, HouseError> {
    let mut seen = Seen::default();
    let mut fault = |text: &str, seen: &mut Seen| {
        seen.faults += 1;
        tell(text);
    };
    match store.read(roost_store::check::faults).await {
        Ok(faults) => faults.iter().for_each(|text| fault(&format!("database: {text}"), &mut seen)),
        Err(error) => fault(&format!("database: {error}"), &mut seen),
    }
    // Nothing is signed here.
    let key = KeyPair::from_seed(world.random_bytes(), "check").into();
    let identity = Identity { server_name: config.server_name()?, key };
    let state_cache_bytes = u64::from(config.cache.states_mib) << 20;
    let options = roost_rooms::Options { state_cache_bytes, ..roost_rooms::Options::default() };
    let rooms = Rooms::open(store.clone(), identity, options, world).await?;
    let mut after = RoomNo(i64::MIN);
    loop {
        let page = match rooms.rooms_after(after, PAGE).await {
            Ok(page) => page,
            Err(error) => {
                fault(&format!("database: the rooms after {after} can not be listed: {error}"), &mut seen);
                return Ok(seen);
            }
        };
        let Some(last) = page.last() else { return Ok(seen) };
        after = last.no;
        for room in page {
            seen.rooms += 1;
            match rooms.check(&room).await {
                Ok(checked) => {
                    seen.events += u64::try_from(checked.events).unwrap_or(0);
                    checked.faults.iter().for_each(|text| fault(&format!("{}: {text}", room.id), &mut seen));
                }
                Err(error) => fault(&format!("{}: it can not be checked: {error}", room.id), &mut seen),
            }
        }
    }
}
