//! Signing in: two steps of OPAQUE, the same for addresses with and without an account.
//!
//! A try is counted at the first step: a browser finds out there whether the passphrase is right, and doesn't come back
//! with a wrong one. The state between the steps lies under the gateway's root, for two minutes, and is used once.
//!
//! Security: nothing here is done for a known address that isn't done for an unknown one; the answers have one size, and
//! [`super::ACCOUNT_TAKES`] hides what is left of the difference in time.

use sealpost_vault::clock::Time;
use sealpost_vault::db::StoreError;
use sealpost_vault::errands::{Answer, Bytes};
use sealpost_vault::id::{AccountId, ErrandId};
use sealpost_vault::{EmailAddress, Identity};
use tracing::info;

use super::credentials;
use super::opaque::{self, CredentialRequest, Finalization, Server};
use super::tries::{self, Bucket, Verdict};
use crate::audit::{self, Event, How};
use crate::pipeline::Gateway;

/// How long a sign-in may stay half-done, in seconds.
pub(super) const HALF_DONE: Time = 120;
const KEEP_STATE: &str = "sign-in";

impl Gateway {
    pub(super) async fn sign_in(
        &self,
        errand_id: ErrandId,
        address: &str,
        prefix: &str,
        code: Option<ErrandId>,
        request: &[u8],
    ) -> Result<Answer, StoreError> {
        let now = self.clock.now();
        let Ok(reader) = address.trim().parse::<EmailAddress>().map(|address| address.identity()) else {
            return Ok(Answer::Refused);
        };
        let Ok(request) = CredentialRequest::parse(request) else { return Ok(Answer::Refused) };
        let buckets = match self.count_sign_in(&reader, prefix, code, now).await? {
            Ok(buckets) => buckets,
            Err(seconds) => {
                self.delayed(&reader, How::Passphrase, now).await?;
                return Ok(Answer::Later { seconds });
            }
        };

        let known = credentials::of_reader(&self.stores.own, &self.keyring, &reader).await?;
        let record = known.as_ref().map(|known| known.record()).transpose()?;
        let server = Server::new(self.keyring.opaque_setup()).map_err(|_| StoreError::Corrupt("OPAQUE's set-up"))?;
        let Ok(begun) = server.begin(&reader, record, request) else { return Ok(Answer::Refused) };

        let changes = known.as_ref().map_or(0, |known| known.changes);
        let state = zeroize::Zeroizing::new([changes.to_be_bytes().as_slice(), &begun.state].concat());
        let kept = self
            .keyring
            .keep(KEEP_STATE, errand_id.bytes(), reader.as_str().as_bytes(), &state)
            .map_err(|_| StoreError::Corrupt("a sign-in that can't be kept"))?;
        // An errand that was worked once more after a crash: the browser gets the second response, if any.
        sqlx::query(
            "insert into sign_ins (errand_id, reader, account_id, buckets, kept_state, begun_at)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (errand_id) do update set reader = excluded.reader, account_id = excluded.account_id,
             buckets = excluded.buckets, kept_state = excluded.kept_state, begun_at = excluded.begun_at",
        )
        .bind(errand_id.to_string())
        .bind(reader.as_str())
        .bind(known.map_or_else(String::new, |known| known.account.to_string()))
        .bind(buckets)
        .bind(kept)
        .bind(now)
        .execute(self.stores.own.writer())
        .await?;
        Ok(Answer::SignIn { response: Bytes(begun.response) })
    }

    /// On record, once in an hour for an address.
    pub(super) async fn delayed(&self, address: &Identity, how: How, now: Time) -> Result<(), StoreError> {
        let of: [&[u8]; 2] = [b"delayed", address.as_str().as_bytes()];
        if tries::goes_on_record(&self.stores.own, &self.keyring, &of, now).await? {
            audit::record_alone(&self.stores.own, Event::SignInDelayed { address, how }, now).await?;
        }
        Ok(())
    }

    /// Counts a try: the names of the counters that a right passphrase forgives, or how long to wait.
    async fn count_sign_in(
        &self,
        reader: &Identity,
        prefix: &str,
        code: Option<ErrandId>,
        now: Time,
    ) -> Result<Result<String, Time>, StoreError> {
        let narrow = Bucket::from_prefix(&self.keyring, reader, prefix)?;
        if let Some(code) = code
            && let Some(mailed_as) = self.code_lately_mailed(reader, code, now).await?
            && tries::count(&self.stores.own, &[&Bucket::with_code(&self.keyring, mailed_as)?], now).await?
                == Verdict::Counted
        {
            return Ok(Ok(narrow.name().to_owned()));
        }
        let wide = Bucket::from_everywhere(&self.keyring, reader)?;
        match tries::count(&self.stores.own, &[&narrow, &wide], now).await? {
            Verdict::Counted => Ok(Ok(format!("{} {}", narrow.name(), wide.name()))),
            Verdict::Later(seconds) => Ok(Err(seconds)),
        }
    }

    pub(super) async fn sign_in_end(&self, sign_in: ErrandId, finalization: &[u8]) -> Result<Answer, StoreError> {
        let now = self.clock.now();
        let whose: Option<(String,)> = sqlx::query_as("select account_id from sign_ins where errand_id = $1")
            .bind(sign_in.to_string())
            .fetch_optional(self.stores.own.reader())
            .await?;
        if let Some((account,)) = &whose
            && let Ok(account) = account.parse::<AccountId>()
        {
            // Who signs in with a new passphrase needs the file that it opens.
            self.publish_file(account).await?;
        }
        let mut transaction = self.stores.own.begin().await?;
        let row: Option<(String, String, String, Vec<u8>, i64)> = sqlx::query_as(
            "delete from sign_ins where errand_id = $1 returning reader, account_id, buckets, kept_state, begun_at",
        )
        .bind(sign_in.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((reader, account, buckets, kept, begun_at)) = row else { return Ok(Answer::Refused) };
        let reader = Identity::from_stored(reader);
        let knows = self.finished(sign_in, &reader, &kept, finalization)?;
        let in_time = now < begun_at.saturating_add(HALF_DONE);
        // A passphrase that was changed meanwhile is no longer the account's.
        let present = credentials::changes(&mut transaction, &account).await?;
        let signed_in = match account.parse::<AccountId>() {
            Ok(account) if in_time && knows.is_some() && knows == present => Some(account),
            _ => None,
        };
        let how = How::Passphrase;
        let answer = match signed_in {
            Some(account) => {
                tries::forgive(&mut transaction, &buckets.split(' ').collect::<Vec<_>>()).await?;
                audit::record(&mut transaction, Event::SignedIn { reader: &reader, account, how }, now).await?;
                info!(%account, "signed in");
                Answer::SignedIn { account }
            }
            None => {
                audit::record(&mut transaction, Event::SignInFailed { address: &reader, how }, now).await?;
                Answer::Refused
            }
        };
        transaction.commit().await?;
        Ok(answer)
    }

    /// Of a sign-in whose browser knew the passphrase: how often the account had been changed when it began.
    fn finished(
        &self,
        sign_in: ErrandId,
        reader: &Identity,
        kept: &[u8],
        finalization: &[u8],
    ) -> Result<Option<i64>, StoreError> {
        const DAMAGED: StoreError = StoreError::Corrupt("a half-done sign-in");
        let opened = self.keyring.open_kept(KEEP_STATE, sign_in.bytes(), reader.as_str().as_bytes(), kept);
        let opened = opened.map_err(|_| DAMAGED)?;
        let (changes, state) = opened.split_first_chunk::<8>().ok_or(DAMAGED)?;
        let Ok(finalization) = Finalization::parse(finalization) else { return Ok(None) };
        Ok(opaque::end(state, finalization).ok().map(|()| i64::from_be_bytes(*changes)))
    }

    pub(super) async fn signed_out(&self, account: AccountId) -> Result<Answer, StoreError> {
        let mut transaction = self.stores.own.begin().await?;
        if credentials::changes(&mut transaction, &account.to_string()).await?.is_some() {
            audit::record(&mut transaction, Event::SignedOut { account }, self.clock.now()).await?;
        }
        transaction.commit().await?;
        Ok(Answer::Done)
    }

    /// Sign-ins that nobody finished were wrong passphrases, as far as we can know; registrations and counters that say
    /// nothing any more are forgotten.
    pub(crate) async fn forget_tries(&self, now: Time) -> Result<(), StoreError> {
        let mut transaction = self.stores.own.begin().await?;
        let given_up: Vec<(String,)> = sqlx::query_as("delete from sign_ins where begun_at <= $1 returning reader")
            .bind(now.saturating_sub(HALF_DONE))
            .fetch_all(&mut *transaction)
            .await?;
        for (reader,) in given_up {
            let address = Identity::from_stored(reader);
            let event = Event::SignInFailed { address: &address, how: How::Passphrase };
            audit::record(&mut transaction, event, now).await?;
        }
        sqlx::query("delete from registrations where begun_at < $1")
            .bind(now.saturating_sub(super::passphrase::REGISTRATION_LIFETIME))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        tries::forget(&self.stores.own, now).await
    }
}
