//! Time as a parameter: whatever schedules or mints takes a [`Clock`], so that tests are exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z.
pub type Time = i64;

/// Tells the time: the system's, or one that a test sets.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `now` until [`Clock::set`] moves it.
    pub fn fixed(now: Time) -> Self {
        Self(Some(Arc::new(AtomicI64::new(now))))
    }

    /// Moves a fixed clock; the system's clock can't be moved and stays as it is.
    pub fn set(&self, now: Time) {
        if let Some(fixed) = &self.0 {
            fixed.store(now, Ordering::SeqCst);
        }
    }

    /// Now, in seconds since the epoch.
    pub fn now(&self) -> Time {
        match &self.0 {
            Some(fixed) => fixed.load(Ordering::SeqCst),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
        }
    }
}
