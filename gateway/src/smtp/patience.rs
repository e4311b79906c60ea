//! How much nonsense a session may still talk: each error is answered later than the last one, then the session ends.
//!
//! An accepted message restores patience, so a long-lived connection of a busy mail server isn't punished.
//!
//! Security: it bounds what a client can write into the log as well, where it is put off and loses no patience.

use std::cmp::Ordering;
use std::time::Duration;

use super::settings::Settings;

/// The longest that one reply is held back.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Counts since the last accepted message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    errors: u32,
    idle: u32,
    /// Refusals of all kinds, also temporary ones.
    refusals: u32,
}

/// What an error costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer after this long.
    Delay(Duration),
    Enough,
}

/// How a refusal is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// For the administrator.
    Told,
    /// The same, and that it is the last one.
    ToldLast,
    /// For debugging only.
    Untold,
}

impl Patience {
    /// A message was accepted.
    pub fn restore(&mut self) {
        *self = Self::default();
    }

    /// A command was refused for good.
    pub fn error(&mut self, settings: &Settings) -> Verdict {
        self.errors = self.errors.saturating_add(1);
        if self.errors > settings.max_errors {
            return Verdict::Enough;
        }
        // One mistake is free.
        Verdict::Delay(settings.error_delay.saturating_mul(self.errors - 1).min(LONGEST_DELAY))
    }

    /// A command that does nothing was obeyed.
    pub fn idle(&mut self, settings: &Settings) -> Verdict {
        self.idle = self.idle.saturating_add(1);
        if self.idle > settings.max_idle_commands { self.error(settings) } else { Verdict::Delay(Duration::ZERO) }
    }

    /// Something was refused, for good or for now. Every error is told, the one that ends the session too.
    pub fn note(&mut self, settings: &Settings) -> Note {
        self.refusals = self.refusals.saturating_add(1);
        match self.refusals.cmp(&settings.max_errors.saturating_add(1)) {
            Ordering::Less => Note::Told,
            Ordering::Equal => Note::ToldLast,
            Ordering::Greater => Note::Untold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_slow_down_then_end() {
        let settings = Settings { max_errors: 3, error_delay: Duration::from_secs(4), ..Settings::default() };
        let mut patience = Patience::default();
        let verdicts = [(); 4].map(|()| patience.error(&settings));
        let delay = |seconds| Verdict::Delay(Duration::from_secs(seconds));
        assert_eq!(verdicts, [delay(0), delay(4), delay(8), Verdict::Enough]);
        patience.restore();
        assert_eq!(patience.error(&settings), delay(0));
    }

    #[test]
    fn one_delay_is_bounded() {
        let settings = Settings { error_delay: Duration::from_secs(40), ..Settings::default() };
        let mut patience = Patience::default();
        patience.error(&settings);
        assert_eq!(patience.error(&settings), Verdict::Delay(LONGEST_DELAY));
    }

    #[test]
    fn so_many_refusals_are_told() {
        let settings = Settings { max_errors: 2, ..Settings::default() };
        let mut patience = Patience::default();
        for _ in 0..2 {
            let notes = [(); 5].map(|()| patience.note(&settings));
            assert_eq!(notes, [Note::Told, Note::Told, Note::ToldLast, Note::Untold, Note::Untold]);
            patience.restore();
        }
    }

    #[test]
    fn idling_becomes_an_error() {
        let settings = Settings { max_idle_commands: 2, max_errors: 1, ..Settings::default() };
        let mut patience = Patience::default();
        let verdicts = [(); 4].map(|()| patience.idle(&settings));
        let free = Verdict::Delay(Duration::ZERO);
        assert_eq!(verdicts, [free, free, free, Verdict::Enough]);
    }
}
