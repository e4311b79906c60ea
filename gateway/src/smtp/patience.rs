//! How much nonsense a session may still talk: each error is answered later than the last one, then the session ends.
//!
//! An accepted message restores patience, so a long-lived connection of a busy mail server isn't punished.

use std::time::Duration;

use super::settings::Settings;

/// The longest that one reply is held back.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Counts since the last accepted message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    errors: u32,
    idle: u32,
}

/// What an error costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer after this long.
    Delay(Duration),
    Enough,
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
    fn idling_becomes_an_error() {
        let settings = Settings { max_idle_commands: 2, max_errors: 1, ..Settings::default() };
        let mut patience = Patience::default();
        let verdicts = [(); 4].map(|()| patience.idle(&settings));
        let free = Verdict::Delay(Duration::ZERO);
        assert_eq!(verdicts, [free, free, free, Verdict::Enough]);
    }
}
