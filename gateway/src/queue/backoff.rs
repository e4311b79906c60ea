//! How long a row waits after a "not now".
//!
//! Five minutes first, doubling to a little over an hour. Up to a fifth more is added at random, from the first wait on, so
//! that rows which failed together don't return together; no wait is longer than the longest.
//! Standards: RFC 5321 4.5.4.1.

use std::time::Duration;

const FIRST: u64 = 300;
const LONGEST: u64 = 4_000;
/// The random part is at most this fraction of the rest.
const JITTER: u64 = 5;

/// The wait after the `attempts`th attempt (from 1), in whole seconds; `random` is any number, evenly distributed.
pub fn backoff(attempts: i64, random: u32) -> Duration {
    // 2^4 already exceeds the longest wait.
    let doubled = FIRST << attempts.saturating_sub(1).clamp(0, 4);
    let base = doubled.min(LONGEST * JITTER / (JITTER + 1));
    let extra = base * u64::from(random) / (JITTER * u64::from(u32::MAX));
    Duration::from_secs(base + extra)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits() {
        for (attempts, least, most) in [
            (i64::MIN, 300, 360),
            (0, 300, 360),
            (1, 300, 360),
            (2, 600, 720),
            (3, 1200, 1440),
            (4, 2400, 2880),
            (5, 3333, 3999),
            (6, 3333, 3999),
            (i64::MAX, 3333, 3999),
        ] {
            assert_eq!(backoff(attempts, 0), Duration::from_secs(least), "{attempts}");
            assert_eq!(backoff(attempts, u32::MAX), Duration::from_secs(most), "{attempts}");
            let middle = backoff(attempts, u32::MAX / 2).as_secs();
            assert!((least..=most).contains(&middle) && middle != least && middle != most, "{attempts}: {middle}");
        }
    }

    #[test]
    fn never_soon_never_late_and_spread_from_the_first_wait_on() {
        for attempts in 0..200 {
            let waits: std::collections::BTreeSet<u64> =
                (0..=60).map(|n| backoff(attempts, n * (u32::MAX / 60)).as_secs()).collect();
            assert!(waits.iter().all(|wait| (300..=4_000).contains(wait)), "{attempts}: {waits:?}");
            assert!(waits.len() > 50, "{attempts}: {waits:?}");
        }
    }
}
