//! Errands of the portal: mint and mail a code, send a notification again, take note of an opening, take a reply, look after
//! an account.
//!
//! Security: an errand is input from outside. Every mail that comes of it goes to an address from the gateway's own store.
//! An answer never tells whether a pickup or an address exists.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use sealpost_vault::EmailAddress;
use sealpost_vault::bell::Listener;
use sealpost_vault::clock::Time;
use sealpost_vault::db::StoreError;
use sealpost_vault::errands::{self, Answer, Asked, Bytes, Errand};
use sealpost_vault::id::{ErrandId, PickupId, QueueId};
use sealpost_vault::seldom;

use crate::accounts;
use crate::audit::{self, Event, Proof, Statement};
use crate::codes::{CODE_TAKES, nobodys_code};
use crate::notify::FollowUp;
use crate::pickups::{self, KEEP_LINK, KEEP_VOICE, Pickup, State};
use crate::pins;
use crate::pipeline::{Gateway, PANICKED};
use crate::seal::{self, LinkSecret, Voice};

/// Notifications that are sent again on request, per letter.
const RESEND_QUOTAS: [(i64, Time); 2] = [(1, 300), (5, 86_400)];
/// Errands looked at in one go.
const BATCH: i64 = 50;
/// Errands worked at once: a large reply must not keep another reader waiting for a code.
const AT_ONCE: usize = 16;
/// After trouble of our own, before anything else is tried.
const TROUBLED: std::time::Duration = std::time::Duration::from_millis(500);
/// Answers are kept so long after their errand is gone.
const ANSWER_LIFETIME: Time = 86_400;

impl Gateway {
    /// Answers errands until `stop`, several at once; the portal's ringing wakes it.
    pub async fn answer_errands(self: Arc<Self>, bell: Listener, stop: CancellationToken) {
        let mut working = JoinSet::new();
        let mut begun = HashSet::new();
        while !stop.is_cancelled() {
            match errands::unanswered(&self.stores.vault, BATCH).await {
                Ok(asked) => {
                    for errand in asked {
                        if working.len() < AT_ONCE && begun.insert(errand.errand_id) {
                            working.spawn(Arc::clone(&self).answer_and_ring(errand));
                        }
                    }
                }
                Err(cause) => {
                    seldom!(cause, |left_out| error!(%cause, left_out, "errands can't be read"));
                }
            }
            tokio::select! {
                Some(ended) = working.join_next() => {
                    if let Ok(errand_id) = ended {
                        begun.remove(&errand_id);
                    }
                }
                () = bell.wait() => {}
                () = stop.cancelled() => {}
            }
        }
        while working.join_next().await.is_some() {}
    }

    async fn answer_and_ring(self: Arc<Self>, asked: Asked) -> ErrandId {
        let errand_id = asked.errand_id;
        self.answer_one(asked).await;
        self.portal_bell.ring();
        errand_id
    }

    async fn answer_one(&self, asked: Asked) {
        let errand_id = asked.errand_id;
        let kind = asked.errand.as_ref().map_or("unknown", Errand::kind);
        let nothing = match &asked.errand {
            Some(Errand::Code { scope, .. }) => nobodys_code(scope, self.clock.now()).map_err(StoreError::from),
            Some(Errand::Reply { .. }) | None => Ok(Answer::Refused),
            Some(Errand::Resend { .. } | Errand::Released { .. } | Errand::Opened { .. }) => Ok(Answer::Done),
            Some(account) => Ok(accounts::nothing_done(account)),
        };
        let answer = match AssertUnwindSafe(self.answer(asked)).catch_unwind().await.unwrap_or(Err(PANICKED)) {
            Ok(answer) => answer,
            // It won't get better, and must not hold up the errands behind it.
            Err(cause @ StoreError::Corrupt(_)) if let Ok(answer) = nothing => {
                error!(%errand_id, kind, %cause, "an errand that can't be done: answered as if there were nothing to do");
                answer
            }
            // Our own trouble: the errand stays and is tried again, but not in a tight loop.
            Err(cause) => {
                error!(%errand_id, kind, %cause, "an errand stays unanswered for now");
                tokio::time::sleep(TROUBLED).await;
                return;
            }
        };
        if let Err(cause) = errands::reply(&self.stores.vault, errand_id, &answer, self.clock.now()).await {
            error!(%errand_id, kind, %cause, "an answer can't be written");
            tokio::time::sleep(TROUBLED).await;
        }
    }

    async fn answer(&self, asked: Asked) -> Result<Answer, StoreError> {
        match asked.errand {
            Some(Errand::Code { session, scope, language }) => {
                let (answer, ()) = tokio::join!(
                    self.code(asked.errand_id, &session, &scope, &language),
                    tokio::time::sleep(CODE_TAKES)
                );
                answer
            }
            Some(Errand::Resend { address, .. }) => self.send_again(&address).await,
            Some(Errand::Released { pickup }) => self.released(pickup).await,
            Some(Errand::Opened { pickup, mac }) => self.opened(pickup, &mac).await,
            Some(Errand::Reply { pickup, reply, key_packet, parts }) => {
                self.take_reply(pickup, reply, key_packet.0, parts).await
            }
            Some(account) => self.account_errand(asked.errand_id, account).await,
            None => {
                warn!(errand_id = %asked.errand_id, "not an errand that we know: dropped");
                Ok(Answer::Refused)
            }
        }
    }

    // --- notifications again ---

    async fn send_again(&self, typed: &str) -> Result<Answer, StoreError> {
        let _alone = self.minting.lock().await;
        let now = self.clock.now();
        let Ok(address) = typed.trim().parse::<EmailAddress>() else { return Ok(Answer::Done) };
        for pickup in pickups::living_of(&self.stores.own, &address.identity(), now).await? {
            if self.may_send_again(&pickup, now).await? {
                self.resend(&pickup).await?;
            }
        }
        Ok(Answer::Done)
    }

    async fn may_send_again(&self, pickup: &Pickup, now: Time) -> Result<bool, StoreError> {
        for (most, seconds) in RESEND_QUOTAS {
            let (sent,): (i64,) =
                sqlx::query_as("select count(*) from resendings where pickup_id = $1 and sent_at > $2")
                    .bind(pickup.pickup_id.to_string())
                    .bind(now.saturating_sub(seconds))
                    .fetch_one(self.stores.own.reader())
                    .await?;
            if sent >= most {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends a pickup's notification again; an enrolled reader is told to sign in. False where the letter was opened or has
    /// ended, or its link isn't kept any more.
    pub async fn resend(&self, pickup: &Pickup) -> Result<bool, StoreError> {
        if !pickup.state.lives() || pickup.opened_at != 0 {
            return Ok(false);
        }
        let pinned = pins::current(&self.stores.own, &self.keyring, &pickup.reader).await?.is_some();
        let link = if pinned { None } else { self.kept_link(pickup)? };
        if link.is_none() && !pinned {
            return Ok(false);
        }
        let placed = self.queue.place(self.notification(pickup, link.as_ref(), FollowUp::First)?).await?;
        let mut transaction = self.stores.own.begin().await?;
        sqlx::query("insert into resendings (resending_id, pickup_id, sent_at) values ($1, $2, $3)")
            .bind(QueueId::random()?.to_string())
            .bind(pickup.pickup_id.to_string())
            .bind(self.clock.now())
            .execute(&mut *transaction)
            .await?;
        pickups::mark_notified(&mut transaction, pickup.pickup_id).await?;
        let resent = Event::NotificationResent { pickup: pickup.pickup_id, reader: &pickup.reader };
        audit::record(&mut transaction, resent, self.clock.now()).await?;
        self.queue.insert(&mut transaction, placed).await?;
        transaction.commit().await?;
        info!(pickup = %pickup.pickup_id, "the notification is sent again");
        self.queue.wake();
        Ok(true)
    }

    /// Opens a secret that a pickup's row keeps.
    pub(crate) fn kept(
        &self,
        kind: &str,
        pickup: &Pickup,
        kept: &[u8],
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, StoreError> {
        self.keyring
            .open_kept(kind, pickup.pickup_id.bytes(), pickup.reader.as_str().as_bytes(), kept)
            .map_err(|_| StoreError::Corrupt("a kept secret that this gateway root doesn't open"))
    }

    /// The link secret of a pickup, while it is kept.
    pub(crate) fn kept_link(&self, pickup: &Pickup) -> Result<Option<LinkSecret>, StoreError> {
        if pickup.kept_link.is_empty() {
            return Ok(None);
        }
        <[u8; 20]>::try_from(self.kept(KEEP_LINK, pickup, &pickup.kept_link)?.as_slice())
            .map(|bytes| Some(LinkSecret::from_bytes(bytes)))
            .map_err(|_| StoreError::Corrupt("a kept link secret"))
    }

    /// The voice key of a pickup that has not ended. Where its reader is enrolled there is none: only signatures count.
    pub(crate) async fn voice(&self, pickup: &Pickup) -> Result<Option<Voice>, StoreError> {
        let pinned = pins::current(&self.stores.own, &self.keyring, &pickup.reader).await?.is_some();
        if pickup.kept_voice.is_empty() || pinned {
            return Ok(None);
        }
        <[u8; 32]>::try_from(self.kept(KEEP_VOICE, pickup, &pickup.kept_voice)?.as_slice())
            .map(|bytes| Some(Voice::from_bytes(bytes)))
            .map_err(|_| StoreError::Corrupt("a kept voice key"))
    }

    // --- what readers do ---

    async fn released(&self, pickup: PickupId) -> Result<Answer, StoreError> {
        let mut transaction = self.stores.own.begin().await?;
        if pickups::mark_released(&mut transaction, pickup, self.clock.now()).await? {
            audit::record(&mut transaction, Event::Released { pickup }, self.clock.now()).await?;
        }
        transaction.commit().await?;
        Ok(Answer::Done)
    }

    async fn opened(&self, pickup_id: PickupId, mac: &Bytes) -> Result<Answer, StoreError> {
        let Some(pickup) = pickups::find(&self.stores.own, pickup_id).await? else { return Ok(Answer::Done) };
        if pickup.state == State::Opened {
            return Ok(Answer::Done);
        }
        let Some(voice) = self.voice(&pickup).await? else {
            self.not_believed(Statement::Opened, Some(pickup_id), None, "no voice counts").await?;
            return Ok(Answer::Done);
        };
        let said = seal::verify_opened(
            &self.keyring,
            &voice,
            pickup.pickup_id,
            pickup.letter_id,
            &pickup.reader,
            &pickup.slip_hash,
            &mac.0,
        );
        if said.is_err() {
            self.not_believed(Statement::Opened, Some(pickup_id), None, "not the reader's voice").await?;
            return Ok(Answer::Done);
        }
        let mut transaction = self.stores.own.begin().await?;
        if pickups::mark_opened(&mut transaction, pickup_id, self.clock.now()).await? {
            let (letter, reader) = (pickup.letter_id, &pickup.reader);
            let opened = Event::Opened { pickup: pickup_id, letter, reader, proof: Proof::Voice };
            audit::record(&mut transaction, opened, self.clock.now()).await?;
        }
        transaction.commit().await?;
        info!(pickup = %pickup_id, "opened");
        self.stores.own.forget_deleted().await?;
        Ok(Answer::Done)
    }

    /// Old answers and old codes are forgotten.
    pub(crate) async fn forget_old_errands(&self, now: Time) -> Result<(), StoreError> {
        errands::forget_answers(&self.stores.vault, now.saturating_sub(ANSWER_LIFETIME)).await?;
        for statement in ["delete from codes where minted_at < $1", "delete from account_codes where minted_at < $1"] {
            sqlx::query(statement).bind(now.saturating_sub(86_400)).execute(self.stores.own.writer()).await?;
        }
        sqlx::query("delete from resendings where sent_at < $1")
            .bind(now.saturating_sub(86_400))
            .execute(self.stores.own.writer())
            .await?;
        self.forget_tries(now).await
    }
}
