//! Errands of the portal: mint and mail a code, send a notification again, take note of an opening, take a reply.
//!
//! Quotas live here: at most three codes in fifteen minutes and ten a day per letter, fewer of them for a typed address. Where the quota is used up, a code
//! that was mailed in the last ten minutes is bound to the asking session too (a few times), so that a mail scanner that
//! presses the button locks nobody out: the reader finds a code in the mailbox and it works.
//!
//! Security: an errand is input from outside. Every mail that comes of it goes to an address from the gateway's own store.
//! An answer never tells whether a pickup or an address exists.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use sealpost_vault::EmailAddress;
use sealpost_vault::bell::Listener;
use sealpost_vault::clock::Time;
use sealpost_vault::db::StoreError;
use sealpost_vault::derive::code_hash;
use sealpost_vault::errands::{self, Answer, Asked, Bytes, Errand, Scope};
use sealpost_vault::id::{ErrandId, NoRandomness, PickupId, QueueId, random};

use sealpost_texts::Language;

use crate::accounts;
use crate::audit::{self, Event, Proof, Statement};
use crate::envelope::ReversePath;
use crate::notify::{self, FollowUp};
use crate::pickups::{self, KEEP_CODE, KEEP_LINK, KEEP_VOICE, Pickup, State};
use crate::pins;
use crate::pipeline::{Gateway, PANICKED};
use crate::queue::{Kind, Mail};
use crate::seal::{self, LinkSecret, Voice};

/// How long a code is good, in seconds.
pub const CODE_LIFETIME: Time = 600;
/// Codes per letter: so many in so many seconds; and of these, how many for a typed address. Whoever knows an address could
/// otherwise use up what the holder of the link needs.
const CODE_QUOTAS: [Quota; 2] =
    [Quota { most: 3, for_address: 1, seconds: 900 }, Quota { most: 10, for_address: 4, seconds: 86_400 }];
/// Sessions that may use a code that was mailed for another one.
const MOST_REBINDS: i64 = 5;
/// Notifications that are sent again on request, per letter.
const RESEND_QUOTAS: [(i64, Time); 2] = [(1, 300), (5, 86_400)];
/// Errands looked at in one go.
const BATCH: i64 = 50;
/// Errands worked at once: a large reply must not keep another reader waiting for a code.
const AT_ONCE: usize = 16;
/// How long the answer to a code errand takes at least, well above what minting and queueing take: who asks must not learn
/// by the clock whether there was something to mint a code for.
pub const CODE_TAKES: std::time::Duration = std::time::Duration::from_millis(400);
/// After trouble of our own, before anything else is tried.
const TROUBLED: std::time::Duration = std::time::Duration::from_millis(500);
/// Answers are kept so long after their errand is gone.
const ANSWER_LIFETIME: Time = 86_400;

struct Quota {
    most: i64,
    for_address: i64,
    seconds: Time,
}

/// In a code's row: what it was asked for.
fn word(scope: &Scope) -> &'static str {
    match scope {
        Scope::Pickup(_) => "link",
        Scope::Address(_) => "address",
        Scope::Account(_) => "account",
    }
}

/// A code whose digits are ours to mail; shown nowhere.
struct Code(zeroize::Zeroizing<String>);

impl Code {
    /// Eight digits, evenly distributed.
    fn mint() -> Result<Self, NoRandomness> {
        let rng = SystemRandom::new();
        loop {
            let mut bytes = [0; 4];
            rng.fill(&mut bytes).map_err(|_| NoRandomness)?;
            let number = u32::from_be_bytes(bytes);
            // 4,200,000,000 is the largest multiple of 100,000,000 that fits: what lies above would favour small codes.
            if number < 4_200_000_000 {
                return Ok(Self(zeroize::Zeroizing::new(format!("{:08}", number % 100_000_000))));
            }
        }
    }

    fn digits(&self) -> &str {
        &self.0
    }
}

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
                Err(cause) => error!(%cause, "errands can't be read"),
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
            Some(Errand::Code { .. }) => nobodys_code(self.clock.now()).map_err(StoreError::from),
            Some(Errand::Reply { .. }) => Ok(Answer::Refused),
            Some(Errand::Resend { .. } | Errand::Released { .. } | Errand::Opened { .. }) | None => Ok(Answer::Done),
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
                Ok(Answer::Done)
            }
        }
    }

    // --- codes ---

    async fn code(
        &self,
        errand_id: ErrandId,
        session: &Bytes,
        scope: &Scope,
        language: &str,
    ) -> Result<Answer, StoreError> {
        // Counting and minting belong together: two errands at once must not both find room in the quota.
        let _alone = self.minting.lock().await;
        let now = self.clock.now();
        let Ok(session) = <[u8; 32]>::try_from(session.0.as_slice()) else { return Ok(nobodys_code(now)?) };
        let pickups = self.in_scope(scope, now).await?;
        // A code is bound to the pickup, or to the errand where the reader typed an address (SEALING.md, codes by mail).
        let bound_to = match scope {
            Scope::Pickup(pickup) => *pickup.bytes(),
            Scope::Address(_) | Scope::Account(_) => *errand_id.bytes(),
        };
        let Some(first) = pickups.first() else { return Ok(nobodys_code(now)?) };
        let (code, minted_at) = match self.minted_before(errand_id, first).await? {
            Some(found) => found,
            None if self.within_quota(&pickups, scope, now).await? => {
                let code = Code::mint()?;
                self.mail_code(errand_id, &pickups, scope, &code, language, now).await?;
                (code, now)
            }
            None => match self.code_in_mailbox(first, now).await? {
                Some(found) => found,
                None => {
                    info!(pickup = %first.pickup_id, "code quota used up");
                    return Ok(nobodys_code(now)?);
                }
            },
        };
        Ok(Answer::Code {
            code_hash: Bytes(code_hash(&session, &bound_to, code.digits())?.to_vec()),
            expires_at: minted_at.saturating_add(CODE_LIFETIME),
            pickups: pickups.iter().map(|pickup| pickup.pickup_id).collect(),
            account: None,
        })
    }

    async fn in_scope(&self, scope: &Scope, now: Time) -> Result<Vec<Pickup>, StoreError> {
        match scope {
            Scope::Pickup(pickup) => {
                let found = pickups::find(&self.stores.own, *pickup).await?;
                Ok(found.into_iter().filter(|pickup| pickup.state.lives() && pickup.expires_at > now).collect())
            }
            Scope::Address(typed) => match typed.trim().parse::<EmailAddress>() {
                Ok(address) => pickups::living_of(&self.stores.own, &address.identity(), now).await,
                Err(_) => Ok(Vec::new()),
            },
            Scope::Account(_) => Ok(Vec::new()),
        }
    }

    /// The code that this errand got before a crash kept its answer from being written.
    async fn minted_before(&self, errand_id: ErrandId, pickup: &Pickup) -> Result<Option<(Code, Time)>, StoreError> {
        let row: Option<(Vec<u8>, i64)> =
            sqlx::query_as("select kept_code, minted_at from codes where errand_id = $1 and pickup_id = $2")
                .bind(errand_id.to_string())
                .bind(pickup.pickup_id.to_string())
                .fetch_optional(self.stores.own.reader())
                .await?;
        row.map(|(kept, minted_at)| Ok((self.kept_code(pickup, &kept)?, minted_at))).transpose()
    }

    async fn within_quota(&self, pickups: &[Pickup], scope: &Scope, now: Time) -> Result<bool, StoreError> {
        for pickup in pickups {
            for Quota { most, for_address, seconds } in CODE_QUOTAS {
                let (minted, by_address): (i64, i64) = sqlx::query_as(
                    "select count(*), count(case when scope = 'address' then 1 end) from codes
                     where pickup_id = $1 and minted_at > $2",
                )
                .bind(pickup.pickup_id.to_string())
                .bind(now.saturating_sub(seconds))
                .fetch_one(self.stores.own.reader())
                .await?;
                let used_up = match scope {
                    Scope::Pickup(_) => minted >= most,
                    Scope::Address(_) | Scope::Account(_) => minted >= most || by_address >= for_address,
                };
                if used_up {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// A code that was mailed lately and may serve one more session.
    async fn code_in_mailbox(&self, pickup: &Pickup, now: Time) -> Result<Option<(Code, Time)>, StoreError> {
        let row: Option<(Vec<u8>, i64)> = sqlx::query_as(
            "update codes set rebinds = rebinds + 1
             where pickup_id = $1 and rebinds < $2 and minted_at > $3
               and errand_id in (select errand_id from codes where pickup_id = $1 and minted_at > $3
                                 order by minted_at desc, errand_id limit 1)
             returning kept_code, minted_at",
        )
        .bind(pickup.pickup_id.to_string())
        .bind(MOST_REBINDS)
        .bind(now.saturating_sub(CODE_LIFETIME))
        .fetch_optional(self.stores.own.writer())
        .await?;
        row.map(|(kept, minted_at)| Ok((self.kept_code(pickup, &kept)?, minted_at))).transpose()
    }

    fn kept_code(&self, pickup: &Pickup, kept: &[u8]) -> Result<Code, StoreError> {
        let digits = self.kept(KEEP_CODE, pickup, kept)?;
        let digits = String::from_utf8(digits.to_vec()).map_err(|_| StoreError::Corrupt("a kept code"))?;
        Ok(Code(zeroize::Zeroizing::new(digits)))
    }

    async fn mail_code(
        &self,
        errand_id: ErrandId,
        pickups: &[Pickup],
        scope: &Scope,
        code: &Code,
        language: &str,
        now: Time,
    ) -> Result<(), StoreError> {
        let Some(first) = pickups.first() else { return Ok(()) };
        let language = Language::from_tag(language).unwrap_or(first.language);
        let minutes = u32::try_from(CODE_LIFETIME / 60).unwrap_or(10);
        let bytes = notify::code(
            &self.letterhead,
            &first.delivery,
            code.digits(),
            minutes,
            language,
            &self.new_message_id()?,
            now,
        )
        .map_err(|_| StoreError::Corrupt("a code mail that can't be written"))?;
        let placed = self
            .queue
            .place(Mail {
                origin: first.origin,
                kind: Kind::Code,
                route: self.route_to(&first.delivery),
                reverse_path: ReversePath::Null,
                recipients: vec![first.delivery.clone()],
                bytes,
                pickup: None,
                lifetime: std::time::Duration::from_secs(u64::try_from(CODE_LIFETIME).unwrap_or(600)),
            })
            .await?;
        let mut transaction = self.stores.own.begin().await?;
        for pickup in pickups {
            let kept = self.keep(KEEP_CODE, pickup.pickup_id, &pickup.reader, code.digits().as_bytes())?;
            sqlx::query(
                "insert into codes (errand_id, pickup_id, scope, kept_code, rebinds, minted_at)
                 values ($1, $2, $3, $4, 0, $5)",
            )
            .bind(errand_id.to_string())
            .bind(pickup.pickup_id.to_string())
            .bind(word(scope))
            .bind(kept)
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        }
        self.queue.insert(&mut transaction, placed).await?;
        let mailed = Event::CodeMailed {
            code: errand_id,
            scope: word(scope),
            reader: &first.reader,
            pickups: pickups.iter().map(|pickup| pickup.pickup_id).collect(),
            account: None,
        };
        audit::record(&mut transaction, mailed, now).await?;
        transaction.commit().await?;
        info!(pickup = %first.pickup_id, "a code was minted and queued");
        self.queue.wake();
        Ok(())
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
        let link = self.kept_link(pickup)?.filter(|_| !pinned);
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
            warn!(pickup = %pickup_id, "a receipt by link where no voice counts: dropped");
            self.statement_refused(Statement::Opened, pickup_id, "no voice counts").await?;
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
            warn!(pickup = %pickup_id, "a receipt without the reader's voice: dropped");
            self.statement_refused(Statement::Opened, pickup_id, "not the reader's voice").await?;
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

    /// What was said in a reader's name and isn't believed changes nothing, and is remembered.
    pub(crate) async fn statement_refused(
        &self,
        statement: Statement,
        pickup: PickupId,
        why: &'static str,
    ) -> Result<(), StoreError> {
        let refused = Event::StatementRefused { statement, pickup: Some(pickup), account: None, why };
        audit::record_alone(&self.stores.own, refused, self.clock.now()).await
    }

    /// Old answers and old codes are forgotten.
    pub(crate) async fn forget_old_errands(&self, now: Time) -> Result<(), StoreError> {
        errands::forget_answers(&self.stores.vault, now.saturating_sub(ANSWER_LIFETIME)).await?;
        sqlx::query("delete from codes where minted_at < $1")
            .bind(now.saturating_sub(86_400))
            .execute(self.stores.own.writer())
            .await?;
        sqlx::query("delete from resendings where sent_at < $1")
            .bind(now.saturating_sub(86_400))
            .execute(self.stores.own.writer())
            .await?;
        Ok(())
    }
}

/// The answer where there is nothing to send a code for: it looks like any other.
fn nobodys_code(now: Time) -> Result<Answer, NoRandomness> {
    Ok(Answer::Code {
        code_hash: Bytes(random::<32>()?.to_vec()),
        expires_at: now.saturating_add(CODE_LIFETIME),
        pickups: Vec::new(),
        account: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_eight_digits() {
        for _ in 0..200 {
            let code = Code::mint().unwrap();
            assert_eq!(code.digits().len(), 8);
            assert!(code.digits().bytes().all(|b| b.is_ascii_digit()));
        }
    }
}
