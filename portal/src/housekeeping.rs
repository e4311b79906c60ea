//! Housekeeping: forgets what the portal wrote into the vault and nobody needs any more.

use std::time::Duration;

use sealpost_vault::clock::Time;
use sealpost_vault::{StoreError, errands, sessions, uploads};
use tokio_util::sync::CancellationToken;

use crate::Portal;

/// How often.
const EVERY: Duration = Duration::from_secs(3600);
/// How long errands and uploads stay, in seconds: the gateway may be down for a while.
const KEEP: Time = 24 * 3600;

/// Sweeps at the start and once an hour until `stop`.
pub async fn run(portal: Portal, stop: CancellationToken) {
    loop {
        if let Err(error) = sweep(&portal).await {
            tracing::warn!(%error, "housekeeping failed; the next round tries again");
        }
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

async fn sweep(portal: &Portal) -> Result<(), StoreError> {
    let now = portal.clock.now();
    let before = now.saturating_sub(KEEP);
    for reply in uploads::older_than(&portal.vault, before).await? {
        uploads::delete(&portal.vault, &portal.blobs, reply).await?;
    }
    let errands = errands::forget(&portal.vault, before).await?;
    let sessions = sessions::forget(&portal.vault, now).await?;
    tracing::debug!(errands, sessions, "swept");
    Ok(())
}
