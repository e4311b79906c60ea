//! What others can make us say again and again is logged once a minute, with how often it was left out.
//!
//! Each client's try meets the same full disk or the same lost database: a line for each would fill the disk that is full,
//! and hide the line that says something else. Other words are said at once, up to [`MOST`] kinds of them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Says something unless the same words were said in the last minute: `seldom!(error, |left_out| error!(%error, left_out, ".."))`.
#[macro_export]
macro_rules! seldom {
    ($words:expr, |$left_out:ident| $say:expr) => {{
        static SELDOM: $crate::seldom::Seldom = $crate::seldom::Seldom::new();
        if let Some($left_out) = SELDOM.says(&$words.to_string()) {
            $say;
        }
    }};
}

/// How long the same isn't said again.
const PAUSE: Duration = Duration::from_secs(60);
/// Kinds of words that are told apart: those of a database name tables and values.
const MOST: usize = 16;
/// Longer words are told apart by their beginning, in bytes.
const LONGEST: usize = 256;

/// One place in the program that says something.
#[derive(Debug)]
pub struct Seldom(Mutex<Vec<Said>>);

#[derive(Debug)]
struct Said {
    words: Box<[u8]>,
    at: Instant,
    left_out: u64,
}

impl Default for Seldom {
    fn default() -> Self {
        Self::new()
    }
}

impl Seldom {
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Whether these words are to be said now, and how often they weren't since the last time.
    pub fn says(&self, words: &str) -> Option<u64> {
        self.says_at(words, Instant::now())
    }

    fn says_at(&self, words: &str, now: Instant) -> Option<u64> {
        let words = words.as_bytes().get(..LONGEST).unwrap_or(words.as_bytes());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(said) = all.iter_mut().find(|said| *said.words == *words) {
            if now.saturating_duration_since(said.at) < PAUSE {
                said.left_out = said.left_out.saturating_add(1);
                return None;
            }
            said.at = now;
            return Some(std::mem::take(&mut said.left_out));
        }
        let mut left_out = 0;
        if all.len() >= MOST {
            // The one that was said longest ago makes room, and what it left out is told with this one.
            let oldest = all.iter().enumerate().min_by_key(|(_, said)| said.at).map(|(n, _)| n)?;
            let said = all.get_mut(oldest)?;
            if now.saturating_duration_since(said.at) < PAUSE {
                said.left_out = said.left_out.saturating_add(1);
                return None;
            }
            left_out = all.swap_remove(oldest).left_out;
        }
        all.push(Said { words: words.into(), at: now, left_out: 0 });
        Some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_a_minute_and_nothing_is_lost_from_the_count() {
        let (seldom, start) = (Seldom::new(), Instant::now());
        let said = |words: &str, seconds: u64| seldom.says_at(words, start + Duration::from_secs(seconds));
        assert_eq!(said("full", 0), Some(0));
        for second in 1..60 {
            assert_eq!(said("full", second), None);
        }
        assert_eq!(said("lost", 30), Some(0), "other words");
        assert_eq!(said("full", 60), Some(59));
        assert_eq!(said("full", 61), None);
        assert_eq!(said("lost", 95), Some(0));
        assert_eq!(said("full", 500), Some(1));
        assert_eq!(said("full", 560), Some(0));
        let long = "x".repeat(LONGEST);
        assert_eq!((said(&long, 600), said(&format!("{long}é"), 600)), (Some(0), None));
    }

    #[test]
    fn a_storm_of_different_words_is_bounded() {
        let (seldom, start) = (Seldom::new(), Instant::now());
        let said = |n: u64, seconds: u64| seldom.says_at(&n.to_string(), start + Duration::from_secs(seconds));
        let lines: usize = (0..10_000).filter(|n| said(*n, n / 1_000).is_some()).count();
        assert_eq!(lines, MOST);
        assert_eq!(seldom.0.lock().unwrap().len(), MOST);
        let told: u64 = (10_000..10_000 + 2 * MOST as u64).filter_map(|n| said(n, 100)).sum();
        assert_eq!(told, 10_000 - MOST as u64, "all of them are counted");
    }
}
