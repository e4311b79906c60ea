//! Recovery: a code by mail and the recovery code lead back into an account whose passphrase was forgotten.
//!
//! Security: the gateway looks only at who showed a code that it mailed to the account's own address, ten times per code; for
//! the account or for one of its letters, whose codes nobody uses up who doesn't know the letter's link. The
//! recovery code itself stays in the browser; what comes is a proof derived from it, and we have its hash.

use sealpost_vault::clock::Time;
use sealpost_vault::db::StoreError;
use sealpost_vault::errands::Answer;
use sealpost_vault::id::{AccountId, ErrandId};
use tracing::info;

use super::credentials;
use super::tries::{self, Bucket, Verdict};
use crate::audit::{self, Event, How};
use crate::codes::SHARED;
use crate::pipeline::Gateway;

/// How long after it was mailed a code speaks for whoever showed it, in seconds.
pub(super) const CODE_SPEAKS: Time = 1_800;

impl Gateway {
    pub(super) async fn recover(
        &self,
        account: AccountId,
        code: ErrandId,
        prefix: &str,
        proof: &[u8],
    ) -> Result<Answer, StoreError> {
        let now = self.clock.now();
        let Some(known) = credentials::of_account(&self.stores.own, &self.keyring, account).await? else {
            return Ok(Answer::Refused);
        };
        let Some(mailed_as) = self.code_lately_mailed(&known.reader, code, now).await? else {
            return Ok(Answer::Refused);
        };
        let by_code = Bucket::with_code(&self.keyring, mailed_as)?;
        if let Verdict::Later(seconds) = tries::count(&self.stores.own, &[&by_code], now).await? {
            self.delayed(&known.reader, How::Recovery, now).await?;
            return Ok(Answer::Later { seconds });
        }
        let right = known.recovers(proof);
        if right {
            self.publish_file(account).await?;
        }
        let (reader, how) = (&known.reader, How::Recovery);
        let mut transaction = self.stores.own.begin().await?;
        if right {
            let narrow = Bucket::from_prefix(&self.keyring, reader, prefix)?;
            tries::forgive(&mut transaction, &[narrow.name()]).await?;
            audit::record(&mut transaction, Event::SignedIn { reader, account, how }, now).await?;
        } else {
            audit::record(&mut transaction, Event::SignInFailed { address: reader, how }, now).await?;
        }
        transaction.commit().await?;
        if right {
            info!(%account, "signed in with the recovery code");
            Ok(Answer::SignedIn { account })
        } else {
            Ok(Answer::Refused)
        }
    }

    /// Whether this errand's code was mailed to the address lately, for its account or one of its letters: the errand whose
    /// mail carried it.
    pub(super) async fn code_lately_mailed(
        &self,
        reader: &sealpost_vault::Identity,
        code: ErrandId,
        now: Time,
    ) -> Result<Option<ErrandId>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as(
            "select mailed_as from account_codes where errand_id = $1 and reader = $2 and minted_at > $3
             union select m.errand_id from codes c join pickups p on p.pickup_id = c.pickup_id
             join codes m on m.pickup_id = c.pickup_id and m.kept_code = c.kept_code and m.scope <> $4
             where c.errand_id = $1 and p.reader = $2 and c.minted_at > $3",
        )
        .bind(code.to_string())
        .bind(reader.as_str())
        .bind(now.saturating_sub(CODE_SPEAKS))
        .bind(SHARED)
        .fetch_optional(self.stores.own.reader())
        .await?;
        row.map(|(errand,)| errand.parse().map_err(StoreError::from)).transpose()
    }
}
