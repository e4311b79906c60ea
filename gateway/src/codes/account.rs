//! Codes for accounts: for who forgot the passphrase, or must wait because strangers try.
//!
//! Security: only enrolled addresses get a mail; for others the answer looks the same. Whoever knows an address can use up
//! its codes of the day: the link of any of the reader's letters then leads to one that opens the account as well.

use sealpost_vault::EmailAddress;
use sealpost_vault::clock::Time;
use sealpost_vault::db::StoreError;
use sealpost_vault::id::{AccountId, ErrandId};
use sealpost_vault::sessions::CODE_LIFETIME;
use tracing::info;

use sealpost_texts::Language;

use super::{Code, MOST_REBINDS};
use crate::accounts::Mailbox;
use crate::audit::{self, Event};
use crate::notify::CodeFor;
use crate::pins::{self, Pinned};
use crate::pipeline::Gateway;

/// Mails per account: so many in so many seconds.
const QUOTAS: [(i64, Time); 2] = [(3, 900), (10, 86_400)];
const KEEP_CODE: &str = "account-code";

/// A code that serves an errand.
pub(super) struct Minted {
    pub(super) code: Code,
    pub(super) minted_at: Time,
    pub(super) account: AccountId,
}

impl Gateway {
    /// A code for the account of a typed address, if there is one and a quota is left.
    pub(super) async fn account_code(
        &self,
        errand_id: ErrandId,
        typed: &str,
        language: &str,
        now: Time,
    ) -> Result<Option<Minted>, StoreError> {
        let Ok(address) = typed.trim().parse::<EmailAddress>() else { return Ok(None) };
        let pinned = pins::current(&self.stores.own, &self.keyring, &address.identity()).await?;
        let Some(pinned) = pinned else { return Ok(None) };
        if let Some(minted) = self.account_code_of(errand_id, &pinned).await? {
            return Ok(Some(minted));
        }
        if self.account_quota_left(&pinned, now).await? {
            let code = Code::mint()?;
            let mut mailbox = self.mailbox_of(&pinned.reader).await?;
            mailbox.language = Language::from_tag(language).unwrap_or(mailbox.language);
            self.mail_account_code(errand_id, &pinned, &mailbox, &code, now).await?;
            return Ok(Some(Minted { code, minted_at: now, account: pinned.account }));
        }
        let found = self.account_code_in_mailbox(errand_id, &pinned, now).await?;
        if found.is_none() {
            info!(account = %pinned.account, "code quota used up");
        }
        Ok(found)
    }

    /// The code that this errand got before a crash kept its answer from being written.
    async fn account_code_of(&self, errand_id: ErrandId, pinned: &Pinned) -> Result<Option<Minted>, StoreError> {
        let row: Option<(Vec<u8>, String, i64)> = sqlx::query_as(
            "select kept_code, mailed_as, minted_at from account_codes where errand_id = $1 and account_id = $2",
        )
        .bind(errand_id.to_string())
        .bind(pinned.account.to_string())
        .fetch_optional(self.stores.own.reader())
        .await?;
        row.map(|(kept, mailed_as, minted_at)| self.open_account_code(pinned, &mailed_as, &kept, minted_at)).transpose()
    }

    fn open_account_code(
        &self,
        pinned: &Pinned,
        mailed_as: &str,
        kept: &[u8],
        minted_at: Time,
    ) -> Result<Minted, StoreError> {
        let mailed_as: ErrandId = mailed_as.parse()?;
        let digits = self
            .keyring
            .open_kept(KEEP_CODE, mailed_as.bytes(), pinned.reader.as_str().as_bytes(), kept)
            .ok()
            .and_then(|digits| String::from_utf8(digits.to_vec()).ok())
            .ok_or(StoreError::Corrupt("a kept code of an account"))?;
        Ok(Minted { code: Code(zeroize::Zeroizing::new(digits)), minted_at, account: pinned.account })
    }

    async fn account_quota_left(&self, pinned: &Pinned, now: Time) -> Result<bool, StoreError> {
        for (most, seconds) in QUOTAS {
            let (mailed,): (i64,) = sqlx::query_as(
                "select count(*) from account_codes where account_id = $1 and mailed_as = errand_id and minted_at > $2",
            )
            .bind(pinned.account.to_string())
            .bind(now.saturating_sub(seconds))
            .fetch_one(self.stores.own.reader())
            .await?;
            if mailed >= most {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The newest code that was mailed lately, for one more session.
    async fn account_code_in_mailbox(
        &self,
        errand_id: ErrandId,
        pinned: &Pinned,
        now: Time,
    ) -> Result<Option<Minted>, StoreError> {
        let row: Option<(String, Vec<u8>, i64)> = sqlx::query_as(
            "select mailed_as, kept_code, minted_at from account_codes
             where account_id = $1 and mailed_as = errand_id and minted_at > $2
             order by minted_at desc, errand_id limit 1",
        )
        .bind(pinned.account.to_string())
        .bind(now.saturating_sub(CODE_LIFETIME))
        .fetch_optional(self.stores.own.reader())
        .await?;
        let Some((mailed_as, kept, minted_at)) = row else { return Ok(None) };
        let done = sqlx::query(
            "insert into account_codes (errand_id, account_id, reader, mailed_as, kept_code, minted_at)
             select $1, $2, $3, $4, $5, $6 where (select count(*) from account_codes where mailed_as = $4) <= $7",
        )
        .bind(errand_id.to_string())
        .bind(pinned.account.to_string())
        .bind(pinned.reader.as_str())
        .bind(&mailed_as)
        .bind(&kept)
        .bind(minted_at)
        .bind(MOST_REBINDS)
        .execute(self.stores.own.writer())
        .await?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        self.open_account_code(pinned, &mailed_as, &kept, minted_at).map(Some)
    }

    async fn mail_account_code(
        &self,
        errand_id: ErrandId,
        pinned: &Pinned,
        mailbox: &Mailbox,
        code: &Code,
        now: Time,
    ) -> Result<(), StoreError> {
        let placed = self.queue.place(self.code_mail(mailbox, code, CodeFor::Account, now)?).await?;
        let kept = self
            .keyring
            .keep(KEEP_CODE, errand_id.bytes(), pinned.reader.as_str().as_bytes(), code.digits().as_bytes())
            .map_err(|_| StoreError::Corrupt("a code that can't be kept"))?;
        let mut transaction = self.stores.own.begin().await?;
        sqlx::query(
            "insert into account_codes (errand_id, account_id, reader, mailed_as, kept_code, minted_at)
             values ($1, $2, $3, $1, $4, $5)",
        )
        .bind(errand_id.to_string())
        .bind(pinned.account.to_string())
        .bind(pinned.reader.as_str())
        .bind(kept)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        let event = Event::CodeMailed {
            code: errand_id,
            scope: "account",
            reader: &pinned.reader,
            pickups: Vec::new(),
            account: Some(pinned.account),
        };
        audit::record(&mut transaction, event, now).await?;
        self.queue.insert(&mut transaction, placed).await?;
        transaction.commit().await?;
        info!(account = %pinned.account, "a code was minted and queued");
        self.queue.wake();
        Ok(())
    }
}
