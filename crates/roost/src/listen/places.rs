//! How many connections one address has.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use roost_http::limits::network;

/// The connections of each address; for IPv6, of each network of 64 bits, since one customer has all of it.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// The right to a connection, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    network: IpAddr,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// A place for a connection from an address; `None` when it has too many.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(network).or_default();
        // An address that has none was not counted before, and `most` is above 0.
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Place { places: Arc::clone(self), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = taken.entry(self.network) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let places = Places::new(2);
        let take = |address: &str| places.take(address.parse().unwrap());
        let first = take("192.0.2.1").unwrap();
        let _second = take("::ffff:192.0.2.1").expect("the same address in another dress");
        assert!(take("192.0.2.1").is_none());
        let other = take("192.0.2.2").unwrap();
        drop(first);
        assert!(take("192.0.2.1").is_some());
        drop(other);
        assert_eq!(places.taken.lock().unwrap().len(), 1, "nothing is remembered of those who are gone");
    }

    #[test]
    fn a_network_of_one_customer_counts_as_one() {
        let places = Places::new(1);
        let take = |address: &str| places.take(address.parse().unwrap());
        let _first = take("2001:db8:1:2::1").unwrap();
        assert!(take("2001:db8:1:2:ffff::2").is_none());
        assert!(take("2001:db8:1:3::1").is_some());
    }
}
