//! Administration: which accounts there are, and how one is taken away from whoever shouldn't have it.
//!
//! A reset is the only way back where passphrase and recovery code are lost, or a stranger enrolled from a mailbox that
//! wasn't his. The address can enrol anew; the pin's counter tells everybody that the key is another one. Own store first:
//! from its commit on nothing is sealed to the old key and nobody signs in. Then the vault; a crash in between is made good
//! by asking again, or by the sweep of accounts without a pin.

use sqlx::Row;

use sealpost_vault::accounts;
use sealpost_vault::clock::Time;
use sealpost_vault::db::StoreError;
use sealpost_vault::id::AccountId;
use sealpost_vault::{EmailAddress, Identity};
use tracing::info;

use super::credentials;
use crate::audit::{self, Event};
use crate::notify::News;
use crate::pickups;
use crate::pins;
use crate::pipeline::Gateway;
use crate::queue::Then;

/// An account, as its administration sees it.
#[derive(Debug)]
pub struct Overview {
    pub reader: Identity,
    pub account: AccountId,
    /// `enrolled` or `reset`.
    pub state: String,
    /// Enrolments and resets of the address so far.
    pub counter: i64,
    /// Upper-case hexadecimal; empty where the account was reset.
    pub fingerprint: String,
    /// When that state began.
    pub since: Time,
    /// How often passphrase or recovery code were changed.
    pub changes: i64,
    /// When they were changed last; 0 where there are none.
    pub changed_at: Time,
}

/// What came of a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    Done,
    /// Before this already; what may have been left of it in the vault is gone now.
    WasDone,
    NeverEnrolled,
}

macro_rules! overviews {
    ($rest:literal) => {
        concat!(
            "select p.reader, p.account_id, p.state, p.counter, p.fingerprint, p.vouched_at,
             coalesce(o.changes, 0) as changes, coalesce(o.changed_at, 0) as changed_at
             from pins p left join opaque_records o on o.account_id = p.account_id ",
            $rest
        )
    };
}

impl Gateway {
    /// Accounts by address, at most `limit`.
    pub async fn accounts(&self, limit: i64) -> Result<Vec<Overview>, StoreError> {
        let rows = sqlx::query(overviews!("order by p.reader limit $1"))
            .bind(limit)
            .fetch_all(self.stores.own.reader())
            .await?;
        rows.iter().map(overview).collect()
    }

    /// The account of an address, reset ones too.
    pub async fn account_of(&self, reader: &Identity) -> Result<Option<Overview>, StoreError> {
        let row = sqlx::query(overviews!("where p.reader = $1"))
            .bind(reader.as_str())
            .fetch_optional(self.stores.own.reader())
            .await?;
        row.as_ref().map(overview).transpose()
    }

    /// Takes an account away: its letters can't be opened any more, its reader can enrol anew; reader and senders are told.
    pub async fn reset_account(&self, address: &EmailAddress) -> Result<Reset, StoreError> {
        let now = self.clock.now();
        let reader = address.identity();
        let Some(known) = self.account_of(&reader).await? else { return Ok(Reset::NeverEnrolled) };
        let pinned = pins::current(&self.stores.own, &self.keyring, &reader).await?;
        let mut done = Reset::WasDone;
        if let Some(pinned) = pinned {
            let mails = self.queue.place_all(self.reset_mails(&reader, now).await?, Then::Wait).await?;
            let mut transaction = self.stores.own.begin().await?;
            if pins::reset(&mut transaction, &self.keyring, &pinned, now).await? {
                credentials::delete(&mut transaction, pinned.account).await?;
                let counter = pinned.counter.saturating_add(1);
                let event = Event::AccountReset { reader: &reader, account: pinned.account, counter };
                audit::record(&mut transaction, event, now).await?;
                for mail in mails {
                    self.queue.insert(&mut transaction, mail).await?;
                }
                transaction.commit().await?;
                info!(account = %pinned.account, counter, "account reset");
                self.queue.wake();
                done = Reset::Done;
            }
        }
        accounts::delete_account(&self.stores.vault, known.account).await?;
        self.stores.own.forget_deleted().await?;
        Ok(done)
    }

    async fn reset_mails(&self, reader: &Identity, now: Time) -> Result<Vec<crate::queue::Mail>, StoreError> {
        let Some(pickup) = pickups::newest_of(&self.stores.own, reader).await? else { return Ok(Vec::new()) };
        let mut mails = vec![self.account_mail(News::Ended, &pickup.delivery, &pickup, "", pickup.language)?];
        for sender in pickups::senders_to(&self.stores.own, reader, now).await? {
            let language = self.letterhead.organisation.language;
            mails.push(self.account_mail(News::Reset, &sender, &pickup, "", language)?);
        }
        Ok(mails)
    }
}

fn overview(row: &sqlx::any::AnyRow) -> Result<Overview, StoreError> {
    Ok(Overview {
        reader: Identity::from_stored(row.try_get("reader")?),
        account: row.try_get::<String, _>("account_id")?.parse()?,
        state: row.try_get("state")?,
        counter: row.try_get("counter")?,
        fingerprint: row.try_get("fingerprint")?,
        since: row.try_get("vouched_at")?,
        changes: row.try_get("changes")?,
        changed_at: row.try_get("changed_at")?,
    })
}
