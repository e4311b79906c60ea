//! Places at the door: so many connections in all, and so many for one client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who has a place.
#[derive(Clone)]
pub struct Places {
    per_client: usize,
    /// Proxies of ours: many readers come from one address.
    unlimited: Vec<IpAddr>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place; given back when dropped.
pub struct Place {
    client: IpAddr,
    places: Places,
}

impl Places {
    pub fn new(per_client: usize, unlimited: Vec<IpAddr>) -> Self {
        Self { per_client, unlimited, taken: Arc::default() }
    }

    /// `None` where this client has as many as one may.
    pub fn take(&self, client: IpAddr) -> Option<Place> {
        let mut taken = self.lock();
        let count = taken.entry(client).or_insert(0);
        if *count >= self.per_client && !self.unlimited.contains(&client.to_canonical()) {
            return None;
        }
        *count += 1;
        Some(Place { client, places: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(count) = taken.get_mut(&self.client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_and_gives_them_back() {
        let [client, other, proxy] = ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|text| text.parse().unwrap());
        let places = Places::new(2, vec![proxy]);
        let first = places.take(client);
        let second = places.take(client);
        assert!(first.is_some() && second.is_some() && places.take(client).is_none());
        assert!(places.take(other).is_some());
        assert_eq!((0..50).filter_map(|_| places.take(proxy)).collect::<Vec<_>>().len(), 50);
        drop(first);
        assert!(places.take(client).is_some());
        drop(second);
        assert!(places.lock().is_empty(), "nobody is remembered who left");
    }
}
