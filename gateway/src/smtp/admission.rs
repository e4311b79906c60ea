//! Who gets in: connections are counted in total and per client.
//!
//! For whom a proxy speaks is known only after it has said so: until then it counts in total alone.

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
    client: Option<IpAddr>,
}

impl Admission {
    /// Lets a client in, or tells it to come again.
    pub fn admit(&self, settings: &Settings) -> Result<Admitted, Rejection> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= settings.max_connections {
            return Err(Rejection::BUSY);
        }
        counts.total += 1;
        Ok(Admitted { admission: self.clone(), client: None })
    }
}

impl Admitted {
    /// Whose connection it is, from now on.
    pub fn belongs_to(&mut self, address: IpAddr, settings: &Settings) -> Result<(), Rejection> {
        let client = neighbourhood(address);
        let mut counts = self.admission.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.leave(self.client.take());
        let of_client = counts.clients.get(&client).copied().unwrap_or_default();
        if of_client >= settings.max_per_client {
            return Err(Rejection::BUSY);
        }
        counts.clients.insert(client, of_client + 1);
        self.client = Some(client);
        Ok(())
    }
}

impl Counts {
    fn leave(&mut self, client: Option<IpAddr>) {
        let Some(client) = client else { return };
        let left = self.clients.get(&client).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            self.clients.remove(&client);
        } else {
            self.clients.insert(client, left);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.admission.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total = counts.total.saturating_sub(1);
        counts.leave(self.client.take());
    }
}

/// One client owns a whole IPv6 /64.
pub(super) fn neighbourhood(address: IpAddr) -> IpAddr {
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
        let admit = |address: &str| {
            let mut admitted = admission.admit(&settings)?;
            admitted.belongs_to(address.parse().unwrap(), &settings).map(|()| admitted)
        };
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

    #[test]
    fn a_proxys_connections_move_to_its_clients() {
        let settings = Settings { max_connections: 9, max_per_client: 1, ..Settings::default() };
        let admission = Admission::default();
        let (mut one, mut two) = (admission.admit(&settings).unwrap(), admission.admit(&settings).unwrap());
        let address = |text: &str| text.parse().unwrap();
        one.belongs_to(address("192.0.2.1"), &settings).unwrap();
        assert_eq!(two.belongs_to(address("192.0.2.1"), &settings), Err(Rejection::BUSY));
        one.belongs_to(address("192.0.2.2"), &settings).unwrap();
        two.belongs_to(address("192.0.2.1"), &settings).unwrap();
        drop((one, two));
        let counts = admission.0.lock().unwrap();
        assert_eq!((counts.total, counts.clients.len()), (0, 0));
    }
}
