//! Who gets in: connections are counted in total and per client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use super::settings::Settings;
use crate::Rejection;

/// The connections of one listener.
#[derive(Clone, Debug, Default)]
pub(super) struct Admission(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    clients: HashMap<IpAddr, usize>,
}

/// One admitted connection; ends when dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Admission,
    client: IpAddr,
}

impl Admission {
    /// Lets a client in, or tells it to come again.
    pub fn admit(&self, address: IpAddr, settings: &Settings) -> Result<Admitted, Rejection> {
        let client = neighbourhood(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = counts.clients.get(&client).copied().unwrap_or_default();
        if counts.total >= settings.max_connections || of_client >= settings.max_per_client {
            return Err(Rejection::BUSY);
        }
        counts.total += 1;
        counts.clients.insert(client, of_client + 1);
        Ok(Admitted { admission: self.clone(), client })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.admission.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total = counts.total.saturating_sub(1);
        let left = counts.clients.get(&self.client).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            counts.clients.remove(&self.client);
        } else {
            counts.clients.insert(self.client, left);
        }
    }
}

/// One client owns a whole IPv6 /64.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let settings = Settings { max_connections: 3, max_per_client: 2, ..Settings::default() };
        let admission = Admission::default();
        let admit = |address: &str| admission.admit(address.parse().unwrap(), &settings);
        let one = admit("2001:db8::1").unwrap();
        let two = admit("2001:db8::2").unwrap();
        assert_eq!(admit("2001:db8::3").unwrap_err(), Rejection::BUSY, "one /64 is one client");
        let three = admit("192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.2").unwrap_err(), Rejection::BUSY, "total");
        drop((one, two));
        let _four = admit("2001:db8::3").unwrap();
        drop(three);
        let _five = admit("192.0.2.2").unwrap();
        assert_eq!(admission.0.lock().unwrap().clients.len(), 2, "nobody is remembered who has left");
    }
}
