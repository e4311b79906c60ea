//! Ends of letters: a date that was printed is kept by a job; a letter that was sent to a wrong address is withdrawn at once.
//!
//! Destroying means: key packets (the account's too), share and slip are deleted from the vault, the parts too when no other reader has them,
//! kept secrets are deleted from the own store, and the write-ahead logs are truncated. Own store last: a crash in between
//! destroys again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use sqlx::{Any, Transaction};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use sealpost_vault::clock::Time;
use sealpost_vault::db::StoreError;
use sealpost_vault::id::{LetterId, PickupId};
use sealpost_vault::{accounts, letters};

use crate::audit::{self, Event, LetterRead};
use crate::notify;
use crate::pickups::{self, Pickup, State};
use crate::pins;
use crate::pipeline::{Gateway, PANICKED};
use crate::queue::Undeliverable;
use crate::returns::about;

/// How often the jobs look.
const EVERY: Duration = Duration::from_secs(60);
/// In seconds: a letter that nobody was notified of after so long never will be by the same attempt.
const SWEEP_AFTER: Time = 3_600;
/// In rounds of the jobs.
const SWEEP_EVERY: u32 = 60;

/// What can be withdrawn.
#[derive(Clone, Copy, Debug)]
pub enum Withdrawal {
    /// A letter, for all its readers.
    Letter(LetterId),
    /// For one reader only.
    Pickup(PickupId),
}

impl Gateway {
    /// Runs the jobs that keep printed dates, and tidies up, until `stop`.
    pub async fn keep_dates(self: Arc<Self>, stop: CancellationToken) {
        let mut rounds = (0..SWEEP_EVERY).cycle();
        while !stop.is_cancelled() {
            let now = self.clock.now();
            match AssertUnwindSafe(self.expire(now)).catch_unwind().await.unwrap_or(Err(PANICKED)) {
                Ok(0) => {}
                Ok(letters) => info!(letters, "expired"),
                Err(cause) => error!(%cause, "letters could not be expired"),
            }
            self.tidy().await;
            if let Err(cause) = self.spool.sweep_orphans().await {
                error!(%cause, "blobs that lost their rows could not be swept from the spool");
            }
            if let Err(cause) = self.forget_for_good().await {
                error!(%cause, "what ended could not be forgotten");
            }
            // The vault is what the portal left of it: whatever is wrong there must not keep mail from going its way.
            if rounds.next() == Some(0)
                && let Err(cause) = self.sweep().await
            {
                error!(%cause, "what a crash left could not be swept");
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Copies to the vault what a crash kept from it, and forgets what is over: old errands, half-done sign-ins.
    pub async fn tidy(&self) {
        // First of all: somebody may be waiting for an account file.
        if let Err(cause) = self.publish_files().await {
            error!(%cause, "account files could not be copied to the vault");
        }
        if let Err(cause) = self.forget_old_errands(self.clock.now()).await {
            error!(%cause, "old errands could not be forgotten");
        }
    }

    /// Destroys letters past their date; tells the sender of each that nobody had opened. Returns how many.
    pub async fn expire(&self, now: Time) -> Result<u64, StoreError> {
        let (mut count, mut failed) = (0, 0);
        loop {
            let overdue = pickups::overdue(&self.stores.own, now, failed).await?;
            if overdue.is_empty() {
                break;
            }
            for pickup in overdue {
                match self.expire_one(&pickup, now).await {
                    Ok(()) => count += 1,
                    // Tried again in the next round; the others' dates are kept meanwhile.
                    Err(cause) => {
                        error!(pickup = %pickup.pickup_id, %cause, "a letter could not be expired");
                        failed += 1;
                    }
                }
            }
        }
        if count > 0 {
            self.queue.wake();
            self.stores.own.forget_deleted().await?;
        }
        Ok(count)
    }

    async fn expire_one(&self, pickup: &Pickup, now: Time) -> Result<(), StoreError> {
        let unread = pickup.opened_at == 0;
        let report = if unread {
            let message_id = self.new_message_id()?;
            let language = self.letterhead.organisation.language;
            let bytes = notify::expired(&self.letterhead, &about(pickup), &message_id, language, now)
                .map_err(|_| StoreError::Corrupt("a report that can't be written"))?;
            Some(self.queue.place(self.report(pickup, bytes)).await?)
        } else {
            None
        };
        self.destroy(pickup).await?;
        let mut transaction = self.stores.own.begin().await?;
        if pickups::end(&mut transaction, pickup.pickup_id, State::Expired).await? {
            let read = if unread { LetterRead::Unread } else { LetterRead::Opened };
            let (letter, reader) = (pickup.letter_id, &pickup.reader);
            let expired = Event::Expired { pickup: pickup.pickup_id, letter, reader, read };
            audit::record(&mut transaction, expired, now).await?;
            if let Some(report) = report {
                self.queue.insert(&mut transaction, report).await?;
            }
        }
        self.queue.withdraw_notifications(&mut transaction, pickup.pickup_id).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Destroys a letter at once; notifications that still wait are not sent. Returns how many readers it was taken from.
    pub async fn withdraw(&self, what: Withdrawal) -> Result<u64, StoreError> {
        let pickups: Vec<Pickup> = match what {
            Withdrawal::Letter(letter) => {
                // For all readers at one stroke, before anything is said about one of them.
                letters::destroy(&self.stores.vault, &self.stores.vault_blobs, letter).await?;
                pickups::of_letter(&self.stores.own, letter).await?
            }
            Withdrawal::Pickup(pickup) => {
                let found = pickups::find(&self.stores.own, pickup).await?;
                if let Some(pickup) = &found {
                    self.destroy(pickup).await?;
                }
                found.into_iter().collect()
            }
        };
        let mut count = 0;
        let mut transaction = self.stores.own.begin().await?;
        for pickup in pickups {
            if pickups::end(&mut transaction, pickup.pickup_id, State::Withdrawn).await? {
                count += 1;
                info!(pickup = %pickup.pickup_id, letter = %pickup.letter_id, "withdrawn");
                let (letter, reader) = (pickup.letter_id, &pickup.reader);
                let withdrawn = Event::Withdrawn { pickup: pickup.pickup_id, letter, reader };
                audit::record(&mut transaction, withdrawn, self.clock.now()).await?;
            }
            self.queue.withdraw_notifications(&mut transaction, pickup.pickup_id).await?;
        }
        transaction.commit().await?;
        self.stores.own.forget_deleted().await?;
        Ok(count)
    }

    /// Takes one reader's way out of the vault, and the letter with it if nobody else has one.
    async fn destroy(&self, pickup: &Pickup) -> Result<(), StoreError> {
        if pickups::others_read(&self.stores.own, pickup).await? {
            letters::end_pickup(&self.stores.vault, pickup.pickup_id).await
        } else {
            letters::destroy(&self.stores.vault, &self.stores.vault_blobs, pickup.letter_id).await
        }
    }

    /// What ended letters may have left: notifications that were being delivered when they ended and came back, and traces
    /// in write-ahead logs that somebody was reading.
    pub(crate) async fn forget_for_good(&self) -> Result<(), StoreError> {
        for pickup_id in pickups::ended_with_notifications(&self.stores.own).await? {
            let mut transaction = self.stores.own.begin().await?;
            self.queue.withdraw_notifications(&mut transaction, pickup_id).await?;
            transaction.commit().await?;
        }
        self.stores.own.forget_deleted().await?;
        self.stores.vault.forget_deleted().await
    }

    /// Letters in the vault that the own store doesn't know were left by a crash between the two commits.
    /// Young ones are left alone: somebody may be about to commit them.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let sealed_before = self.clock.now().saturating_sub(SWEEP_AFTER);
        let living = pickups::living_letters(&self.stores.own).await?;
        for letter in letters::older_than(&self.stores.vault, sealed_before).await? {
            if !living.contains(&letter) {
                info!(%letter, "swept from the vault: nobody was notified of it");
                letters::destroy(&self.stores.vault, &self.stores.vault_blobs, letter).await?;
            }
        }
        self.stores.vault_blobs.sweep_unfinished("content", sealed_before).await?;
        self.sweep_accounts(sealed_before).await
    }

    /// Accounts in the vault that no pin knows: an enrolment or a reset that a crash interrupted. They mean nothing.
    async fn sweep_accounts(&self, written_before: Time) -> Result<(), StoreError> {
        for account in accounts::older_than(&self.stores.vault, written_before).await? {
            match pins::of_account(&self.stores.own, &self.keyring, account).await {
                Ok(Some(_)) => {}
                Ok(None) => {
                    info!(%account, "swept from the vault: no address is pinned to it");
                    accounts::delete_account(&self.stores.vault, account).await?;
                }
                Err(cause) => error!(%account, %cause, "its pin can't be judged: it stays"),
            }
        }
        Ok(())
    }
}

impl Undeliverable for Gateway {
    async fn notification(
        &self,
        pickup_id: PickupId,
        transaction: &mut Transaction<'static, Any>,
        reply: &str,
    ) -> Result<(), StoreError> {
        let Some(pickup) = pickups::find_within(transaction, pickup_id).await? else { return Ok(()) };
        if pickups::mark_undelivered(transaction, pickup_id).await? {
            audit::record(transaction, Event::NotificationReturned { pickup: pickup_id }, self.clock.now()).await?;
            let report = self.queue.place(self.undelivered_report(&pickup, reply)?).await?;
            self.queue.insert(transaction, report).await?;
        }
        Ok(())
    }
}
