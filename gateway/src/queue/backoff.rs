//! How long a row waits after a "not now".
//!
//! The first retry comes soon, because most causes are short (greylisting, a restart); then 5 minutes, doubling to a
//! little over an hour. Up to a fifth more is added at random, so that rows which failed together don't return together.
//! Standards: RFC 5321 4.5.4.1.

use std::time::Duration;

const FIRST: u64 = 60;
const SECOND: u64 = 300;
const LONGEST: u64 = 4_000;

/// The wait after the `attempts`th attempt (from 1); `random` is any number, evenly distributed.
pub fn backoff(attempts: i64, random: u32) -> Duration {
    let base = match attempts {
        ..=1 => FIRST,
        // 2^4 already exceeds the longest wait.
        2.. => SECOND << (attempts - 2).min(4),
    };
    let base = base.min(LONGEST * 5 / 6);
    let extra = base * u64::from(random) / (5 * u64::from(u32::MAX));
    Duration::from_secs(base + extra)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits() {
        for (attempts, least, most) in [
            (i64::MIN, 60, 72),
            (0, 60, 72),
            (1, 60, 72),
            (2, 300, 360),
            (3, 600, 720),
            (4, 1200, 1440),
            (5, 2400, 2880),
            (6, 3333, 3999),
            (7, 3333, 3999),
            (i64::MAX, 3333, 3999),
        ] {
            assert_eq!(backoff(attempts, 0), Duration::from_secs(least), "{attempts}");
            assert_eq!(backoff(attempts, u32::MAX), Duration::from_secs(most), "{attempts}");
            let middle = backoff(attempts, u32::MAX / 2).as_secs();
            assert!((least..=most).contains(&middle) && middle != least && middle != most, "{attempts}: {middle}");
        }
    }
}
