//! How often one client address may ask for something that costs the gateway work or a reader a mail.
//!
//! A bucket per address (IPv4) or /64 network (IPv6, where one host has as many addresses as it likes). The map is
//! bounded: when it is full, full buckets are forgotten first; if all are in use, newcomers share one bucket, so that a
//! flood from many addresses slows newcomers instead of filling memory.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Instant;

/// Most addresses remembered.
const MOST: usize = 20_000;

/// Token buckets by client.
pub struct Rates {
    per_minute: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rates {
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute: f64::from(per_minute), buckets: Mutex::new(HashMap::new()) }
    }

    /// Whether this client may ask now; counts it if so.
    pub fn admit(&self, client: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut key = network(client);
        if buckets.len() >= MOST && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| self.filled(*bucket, now) < self.per_minute);
            if buckets.len() >= MOST {
                key = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: self.per_minute, at: now });
        let tokens = self.filled(*bucket, now);
        let admitted = tokens >= 1.0;
        *bucket = Bucket { tokens: if admitted { tokens - 1.0 } else { tokens }, at: now };
        admitted
    }

    fn filled(&self, bucket: Bucket, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_minute / 60.0;
        (bucket.tokens + gained).min(self.per_minute)
    }
}

fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_then_one_a_second() {
        let (rates, start) = (Rates::new(60), Instant::now());
        let client = "192.0.2.1".parse().unwrap();
        assert_eq!((0..100).filter(|_| rates.admit(client, start)).count(), 60);
        assert!(!rates.admit(client, start + Duration::from_millis(900)));
        assert!(rates.admit(client, start + Duration::from_millis(1100)));
        assert!(rates.admit("192.0.2.2".parse().unwrap(), start), "others aren't held back");
    }

    #[test]
    fn one_network_is_one_client() {
        let (rates, start) = (Rates::new(1), Instant::now());
        assert!(rates.admit("2001:db8::1".parse().unwrap(), start));
        assert!(!rates.admit("2001:db8::2".parse().unwrap(), start));
        assert!(rates.admit("2001:db8:0:1::1".parse().unwrap(), start));
        assert!(rates.admit("192.0.2.1".parse().unwrap(), start));
        assert!(!rates.admit("::ffff:192.0.2.1".parse().unwrap(), start), "the same host, written otherwise");
    }

    #[test]
    fn memory_is_bounded() {
        let (rates, start) = (Rates::new(1), Instant::now());
        for n in 0..u32::try_from(MOST).unwrap() + 500 {
            rates.admit(IpAddr::from(n.to_be_bytes()), start);
        }
        assert!(rates.buckets.lock().unwrap().len() <= MOST + 1);
        let later = start + Duration::from_secs(120);
        assert!(rates.admit("198.51.100.1".parse().unwrap(), later));
        assert_eq!(rates.buckets.lock().unwrap().len(), 1, "rested ones are forgotten");
    }
}
