//! Waiting for something that happens in another process, with a deadline and a name for what was awaited.

use std::time::{Duration, Instant};

/// Long enough for two slow cores on which everything else runs too.
pub const PATIENCE: Duration = Duration::from_secs(60);

const STEP: Duration = Duration::from_millis(50);

/// Asks until there is an answer; panics with `what` when `patience` is over.
pub async fn until<T>(what: &str, patience: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begin.elapsed() < patience, "waited {patience:?} in vain for {what}");
        tokio::time::sleep(STEP).await;
    }
}
