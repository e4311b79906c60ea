//! The whole road of a message on one screen.
//!
//! ```text
//! received -> parsed -> judged (one decision per recipient) -> spooled (250)
//!          -> relayed | encrypted | sealed -> queued -> delivered | held -> notified -> opened -> answered
//! ```
//!
//! [`Intake`] is the road up to the `250`; [`Gateway::work`] is the rest, done by workers. What only goes on as it came has
//! nothing to wait for in the spool: it is queued before its `250`.
//!
//! Security: encrypting, sealing, and parsing more than a few kilobytes run off the async threads, at most [`Settings::heavy`] at once. "Must be
//! protected" never degrades: what can't be judged is refused, what can't be sealed or encrypted stays in the spool.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use sqlx::{Any, Transaction};
use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use sealpost_vault::EmailAddress;
use sealpost_vault::bell::Ringer;
use sealpost_vault::blobs::BlobStore;
use sealpost_vault::clock::Clock;
use sealpost_vault::db::{Db, Rows, StoreError, Write, Written};
use sealpost_vault::id::{PickupId, QueueId, Token};
use sealpost_vault::seldom;

use crate::addresses::{Own, ReplyDomain};
use crate::audit::{self, Event};
use crate::certificates::Shelf;
use crate::conversations::{self, Conversation};
use crate::encrypt::Resolved;
use crate::envelope::ReversePath;
use crate::hold::Letters;
use crate::keyring::Keyring;
use crate::loops::Loops;
use crate::message::{Author, ParsedMessage};
use crate::notify::{self, Letterhead};
use crate::pgp_mime::{self, Protection};
use crate::pickups;
use crate::policy::{Clearance, Judgement, Policy, Treatment};
use crate::queue::{Kind, Mail, Placed, Queue, Route, Then};
use crate::rejection::Rejection;
use crate::smtp::{Client, Door, Intake, ReceivedMessage, Scratch};
use crate::spool::{Claimed, Decision, Fallback, Judged, Spool};

/// What the gateway must know of its organisation and place.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our own host name.
    pub hostname: String,
    /// The organisation's own domains: where senders are and answers go.
    pub inside_domains: Vec<String>,
    pub reply_domain: ReplyDomain,
    /// Who is told what no sender can be told.
    pub postmaster: EmailAddress,
    /// How long a letter can be read.
    pub letter_lifetime: Duration,
    /// How long we try to deliver a mail.
    pub queue_lifetime: Duration,
    /// Messages that may be parsed, judged or sealed at once.
    pub heavy: usize,
    /// Below this many free bytes beside the stores, nothing is accepted.
    pub free_space_floor: u64,
    /// Where free space is looked at.
    pub state_directory: std::path::PathBuf,
}

/// Attempts at a spooled message after which the postmaster is told: about an hour.
const STUCK_AFTER: i64 = 8;

/// Messages up to this size, in octets, are parsed where they are.
const SMALL: usize = 16 * 1024;
/// Larger messages wait for one another, in bytes.
const LARGE: usize = 4 * 1024 * 1024;

/// What a panic comes to.
pub(crate) const PANICKED: StoreError = StoreError::Corrupt("something that makes the program panic");

/// The stores: the vault, shared with the portal, and the gateway's own.
#[derive(Clone)]
pub struct Stores {
    pub vault: Db,
    pub vault_blobs: BlobStore,
    pub own: Db,
    pub own_blobs: BlobStore,
}

/// The gateway, put together. Everything that it does begins here.
pub struct Gateway {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) letterhead: Letterhead,
    pub(crate) stores: Stores,
    pub(crate) spool: Spool,
    pub(crate) queue: Queue,
    loops: Loops,
    pub(crate) portal_bell: Ringer,
    pub(crate) heavy: Arc<Semaphore>,
    /// Large messages are brought into memory, judged and stored one after the other: each takes about twice its size then.
    large: Arc<Semaphore>,
    pub(crate) shelf: Arc<Shelf>,
    /// Held while a quota is looked at and used.
    pub(crate) minting: Mutex<()>,
    work: Notify,
}

impl Gateway {
    #[expect(clippy::too_many_arguments, reason = "the composition root hands over each part once")]
    pub fn new(
        settings: Settings,
        keyring: Arc<Keyring>,
        policy: Policy,
        letterhead: Letterhead,
        stores: Stores,
        queue: Queue,
        portal_bell: Ringer,
        clock: Clock,
    ) -> Self {
        let spool = Spool::new(stores.own.clone(), stores.own_blobs.clone(), Arc::clone(&keyring), clock.clone());
        let heavy = Arc::new(Semaphore::new(settings.heavy.max(1)));
        let loops = Loops::new(Arc::clone(&keyring), &settings.hostname);
        Self {
            settings,
            clock,
            keyring,
            policy: Arc::new(policy),
            letterhead,
            stores,
            spool,
            queue,
            loops,
            portal_bell,
            heavy,
            large: Arc::new(Semaphore::new(1)),
            shelf: Arc::default(),
            minting: Mutex::new(()),
            work: Notify::new(),
        }
    }

    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The store that the portal shares.
    pub fn vault(&self) -> &Db {
        &self.stores.vault
    }

    /// The gateway's own store.
    pub fn own_store(&self) -> &Db {
        &self.stores.own
    }

    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    pub(crate) fn is_inside(&self, address: &EmailAddress) -> bool {
        self.settings.inside_domains.iter().any(|domain| domain == address.domain())
    }

    /// The way out to an address.
    pub(crate) fn route_to(&self, address: &EmailAddress) -> Route {
        if self.is_inside(address) { Route::Inside } else { Route::Outside }
    }

    /// Runs heavy work off the async threads, bounded.
    pub(crate) async fn heavily<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let Ok(_permit) = Arc::clone(&self.heavy).acquire_owned().await else { return Err(PANICKED) };
        tokio::task::spawn_blocking(work).await.map_err(|_| PANICKED)
    }

    /// Runs work that grows with a message's size: a small one's costs less than the way to another thread.
    pub(crate) async fn by_size<T: Send + 'static>(
        &self,
        octets: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        if octets > SMALL {
            return self.heavily(work).await;
        }
        std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| PANICKED)
    }

    // --- from the session to the 250 ---

    async fn decide(&self, received: ReceivedMessage) -> Result<(ParsedMessage, Vec<Decision>), Rejection> {
        let from = received.envelope.reverse_path.clone();
        let policy = Arc::clone(&self.policy);
        let inside: Vec<String> = self.settings.inside_domains.clone();
        let (loops, now) = (self.loops.clone(), self.clock.now());
        let recognised = self.by_size(received.bytes.len(), move || {
            let parsed = ParsedMessage::parse(received)?;
            if loops.know(&parsed.received.bytes, &parsed.received.envelope.recipients, now) {
                info!(queue_id = %parsed.received.queue_id, "message refused: it has passed here before");
                return Err(Rejection::CAME_BACK);
            }
            let protection = pgp_mime::already_protected(&parsed.received.bytes);
            Ok::<_, Rejection>((parsed, protection))
        });
        let (parsed, protection) = recognised.await.map_err(|cause| temporary(&cause))??;
        let said = parsed.facts.clone().said_by(self.author(&parsed.received));
        let mut decisions = Vec::with_capacity(parsed.received.envelope.recipients.len());
        for recipient in &parsed.received.envelope.recipients {
            decisions.push(match self.settings.reply_domain.recognise(recipient) {
                Some(Own::Reply(_)) if parsed.facts.automatic || from == ReversePath::Null => Decision::Drop,
                Some(Own::Reply(token)) => {
                    let conversation = self.admitted(&from, token).await?;
                    Decision::Continue {
                        conversation: conversation.conversation_id,
                        reader: conversation.reader,
                        recipient: conversation.delivery,
                    }
                }
                Some(Own::Return(token)) => Decision::Returned { token },
                Some(Own::Unknown) => return Err(Rejection::NOT_A_RETURN),
                None if inside.iter().any(|domain| domain == recipient.domain()) => {
                    Decision::Relay { recipient: recipient.clone(), clearance: Clearance::inside() }
                }
                None => {
                    let judgement = policy.judge(&said, &from, recipient);
                    info!(
                        queue_id = %parsed.received.queue_id, rule = judgement.rule, treatment = ?judgement.treatment,
                        "judged"
                    );
                    let rule = judgement.rule.clone();
                    let decided = self.decision(judgement, protection, &from, recipient).await;
                    if let Err(refusal) = decided
                        && !refusal.is_temporary()
                    {
                        let message = parsed.received.queue_id;
                        let refused = Event::RefusedByPolicy { message, from: from.address(), recipient, rule: &rule };
                        let recorded = audit::record_alone(&self.stores.own, refused, self.clock.now()).await;
                        recorded.map_err(|cause| temporary(&cause))?;
                    }
                    decided?
                }
            });
        }
        Ok((parsed, decisions))
    }

    /// What a judgement comes to: whether there is a usable key is asked here, before the `250`.
    async fn decision(
        &self,
        Judgement { treatment, rule, .. }: Judgement,
        protection: Option<Protection>,
        from: &ReversePath,
        recipient: &EmailAddress,
    ) -> Result<Decision, Rejection> {
        let recipient = recipient.clone();
        let wish = match (treatment, protection) {
            (Treatment::Relay(clearance), _) => return Ok(Decision::Relay { recipient, clearance }),
            (Treatment::Reject, _) => return Err(Rejection::POLICY),
            (Treatment::OpenPgp | Treatment::Best | Treatment::Hold, Some(Protection::Encrypted(proof))) => {
                return Ok(Decision::Relay { recipient, clearance: Clearance::already_encrypted(&rule, proof) });
            }
            (wish @ (Treatment::OpenPgp | Treatment::Best | Treatment::Hold), _) => wish,
        };
        // Somebody inside must be there to be answered.
        let can_be_held = from.address().is_some_and(|sender| self.is_inside(sender));
        if wish == Treatment::Hold {
            return if can_be_held {
                Ok(Decision::Hold { recipient, rule })
            } else {
                Err(Rejection::HOLD_NEEDS_SENDER)
            };
        }
        let key = self.certificate_for(&recipient).await.map_err(|cause| temporary(&cause))?;
        match (key, wish) {
            (Some(_), Treatment::Best) if can_be_held => {
                Ok(Decision::Encrypt { recipient, rule, fallback: Fallback::Hold })
            }
            (Some(_), _) => Ok(Decision::Encrypt { recipient, rule, fallback: Fallback::Return }),
            (None, Treatment::Best) if can_be_held => Ok(Decision::Hold { recipient, rule }),
            (None, Treatment::Best) => Err(Rejection::HOLD_NEEDS_SENDER),
            (None, _) => Err(Rejection::NO_KEY),
        }
    }

    /// Forwarded mail comes through the inner door as well: its envelope sender is a stranger's.
    fn author(&self, received: &ReceivedMessage) -> Author {
        match (received.client.door, received.envelope.reverse_path.address()) {
            (Door::Inside, Some(sender)) if self.is_inside(sender) => Author::Inside,
            (Door::Inside, None) => Author::Nobody,
            (Door::Inside | Door::Returns, _) => Author::Stranger,
        }
    }

    /// The conversation behind a reply address, if this sender may write there.
    async fn admitted(&self, from: &ReversePath, token: Token) -> Result<Conversation, Rejection> {
        let found = conversations::by_token(&self.stores.own, token).await.map_err(|cause| temporary(&cause))?;
        let conversation = found.ok_or(Rejection::NOT_A_RETURN)?;
        match from.address() {
            Some(sender) if self.is_inside(sender) && conversation.admits(sender) => Ok(conversation),
            Some(_) => Err(Rejection::NOT_YOUR_CONVERSATION),
            // A notice to a reply address: accepted and dropped, so that nothing plays ping-pong.
            None => Ok(conversation),
        }
    }

    // --- from the spool to the queue ---

    /// Takes messages from the spool until `stop`.
    pub async fn work(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.spool.claim().await {
                Ok(Some(mut claimed)) => {
                    let queue_id = claimed.judged.received.queue_id;
                    // A message that makes a library panic must not take the worker along.
                    match AssertUnwindSafe(self.carry(&mut claimed)).catch_unwind().await.unwrap_or(Err(PANICKED)) {
                        Ok(Come::Ahead) => {}
                        Ok(Come::Queued) => self.spool.sweep(&claimed).await,
                        Err(cause) => {
                            error!(%queue_id, %cause, "stays in the spool and is tried again");
                            if let Err(cause) = self.spool.fail(&claimed, &cause.to_string()).await {
                                warn!(%queue_id, %cause, "the claim ends by itself");
                            }
                            if claimed.attempts == STUCK_AFTER
                                && let Err(cause) = self.tell_stuck(queue_id).await
                            {
                                error!(%queue_id, %cause, "the postmaster could not be told that it waits");
                            }
                        }
                    }
                }
                Ok(None) => {
                    tokio::select! {
                        () = self.work.notified() => {}
                        () = tokio::time::sleep(Spool::LOOK_ANYWAY) => {}
                        () = stop.cancelled() => {}
                    }
                }
                Err(cause) => {
                    seldom!(cause, |left_out| error!(%cause, left_out, "the spool can't be read"));
                    tokio::time::sleep(Spool::LOOK_ANYWAY).await;
                }
            }
        }
        if let Err(cause) = self.spool.let_go().await {
            warn!(%cause, "claims that nobody worked on end by themselves");
        }
    }

    /// The postmaster learns that an accepted message waits for help; once, and nothing of the message.
    async fn tell_stuck(&self, queue_id: QueueId) -> Result<(), StoreError> {
        let postmaster = &self.settings.postmaster;
        let language = self.letterhead.organisation.language;
        let message_id = self.new_message_id()?;
        let bytes = notify::stuck(&self.letterhead, postmaster, queue_id, &message_id, language, self.clock.now())
            .map_err(|_| StoreError::Corrupt("a report that can't be written"))?;
        let mail = Mail {
            origin: queue_id,
            kind: Kind::Report,
            route: Route::Inside,
            reverse_path: ReversePath::Null,
            recipients: vec![postmaster.clone()],
            bytes,
            pickup: None,
            lifetime: self.settings.queue_lifetime,
        };
        let placed = self.queue.place(mail).await?;
        let mut transaction = self.stores.own.begin().await?;
        self.queue.insert(&mut transaction, placed).await?;
        transaction.commit().await?;
        self.queue.wake();
        Ok(())
    }

    /// Everything that comes of one message is queued in one transaction, in which it leaves the spool. Where that is one
    /// encrypted mail, it needn't be queued: its delivery comes first.
    async fn carry(&self, claimed: &mut Claimed) -> Result<Come, StoreError> {
        let bytes = std::mem::take(&mut claimed.judged.received.bytes);
        let received = ReceivedMessage { bytes, ..claimed.judged.received.clone() };
        let parsed = self.parse_again(received).await?;
        let Judged { received, decisions } = &claimed.judged;
        let resolved = self.resolve(received.queue_id, decisions).await?;
        let relayed = self.relay(&parsed, &resolved.decisions).await?;
        let encrypted = self.encrypt(&parsed, &resolved.keyed).await?;
        let held = self.hold(claimed, &parsed, &resolved.decisions).await?;
        let returned = self.take_back(&parsed, &resolved.decisions).await?;
        let unsent = self.unsent(&parsed, &resolved.keyless)?;
        let mails: Vec<Mail> = relayed.into_iter().chain(encrypted).chain(held.notifications).chain(unsent).collect();
        let mails = match self.go_ahead(claimed, &resolved, mails, returned.is_empty()).await? {
            None => return Ok(Come::Ahead),
            Some(mails) => mails,
        };
        let Judged { received, .. } = &claimed.judged;
        let (undelivered, reports): (Vec<PickupId>, Vec<Mail>) = returned.into_iter().unzip();
        // Whether a report goes out is known in the transaction only.
        let reports = self.queue.place_all(reports, Then::Wait).await?;
        let undelivered: Vec<(PickupId, Placed)> = undelivered.into_iter().zip(reports).collect();
        let placed = self.queue.place_all(mails, Then::GoOn).await?;
        let placed: Vec<Placed> = placed.into_iter().map(|mail| mail.asking(&received.envelope)).collect();
        let blobs: Vec<String> = placed.iter().map(|mail| mail.blob_key().to_owned()).collect();
        let mut rows = Rows::new();
        resolved.record(&mut rows, received.queue_id, self.clock.now())?;
        for mail in &placed {
            self.queue.rows(&mut rows, mail)?;
        }
        held.letters.record(&mut rows, self.clock.now())?;
        self.spool.finish(&mut rows, claimed)?;
        let written = if undelivered.is_empty() && !held.letters.need_accounts() {
            self.stores.own.write_rows(rows).await
        } else {
            self.stores.own.together(&Carried { gateway: self, letters: held.letters, rows, undelivered }).await
        };
        if let Err(cause) = written {
            self.not_queued(&blobs, &cause).await;
            return Err(cause);
        }
        self.queue.go_on(placed);
        self.queue.wake();
        Ok(Come::Queued)
    }

    /// Sends the only mail that comes of a message on its way, if it is encrypted and there is room; the spool has the message
    /// until then. Otherwise the mails as they were. A letter's notification never goes ahead: were the process to die, the
    /// letter would be sealed anew, and the link in a notification that has left would open nothing.
    async fn go_ahead(
        &self,
        claimed: &mut Claimed,
        resolved: &Resolved,
        mut mails: Vec<Mail>,
        alone: bool,
    ) -> Result<Option<Vec<Mail>>, StoreError> {
        let is_encrypted = matches!(mails.as_slice(), [Mail { kind: Kind::Encrypted, .. }]);
        if !alone || !is_encrypted || !self.spool.can_go_ahead(claimed) {
            return Ok(Some(mails));
        }
        let Some(mail) = mails.pop() else { return Ok(Some(mails)) };
        let Judged { received, .. } = &claimed.judged;
        match self.queue.ahead(mail, &received.envelope).await? {
            Err(mail) => Ok(Some(vec![mail])),
            Ok(mail) => {
                let mut rows = Rows::new();
                resolved.record(&mut rows, received.queue_id, self.clock.now())?;
                self.queue.go_ahead(mail, self.spool.finish_later(rows, claimed)?)?;
                Ok(None)
            }
        }
    }

    /// Bodies whose rows could not be written, before the `250`, must not keep the room that was too little. Where nobody can
    /// tell whether they were, the bodies stay, and are swept if they weren't.
    async fn not_queued(&self, blobs: &[String], cause: &StoreError) {
        if !matches!(cause, StoreError::Uncertain) {
            self.queue.forget_unqueued(blobs).await;
        }
    }

    async fn parse_again(&self, received: ReceivedMessage) -> Result<ParsedMessage, StoreError> {
        self.by_size(received.bytes.len(), move || ParsedMessage::parse(received))
            .await?
            .map_err(|_| StoreError::Corrupt("a spooled message that was parsed before and can't be now"))
    }
}

impl Intake for Gateway {
    async fn recipient(&self, client: &Client, from: &ReversePath, to: &EmailAddress) -> Result<(), Rejection> {
        match (client.door, self.settings.reply_domain.recognise(to)) {
            (_, Some(Own::Return(token))) => {
                match pickups::by_return_token(&self.stores.own, token).await.map_err(|cause| temporary(&cause))? {
                    Some(_) => Ok(()),
                    None => Err(Rejection::NOT_A_RETURN),
                }
            }
            (Door::Returns, _) => Err(Rejection::RELAY_DENIED),
            (Door::Inside, Some(Own::Reply(token))) => self.admitted(from, token).await.map(|_| ()),
            (Door::Inside, Some(Own::Unknown)) => Err(Rejection::NOT_A_RETURN),
            (Door::Inside, None) => Ok(()),
        }
    }

    async fn ready(&self) -> Result<(), Rejection> {
        // A message that begins must find room to end; what is sealed needs more than what came in.
        match rustix::fs::statvfs(&self.settings.state_directory) {
            Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < self.settings.free_space_floor => {
                seldom!("full", |left_out| warn!(left_out, "too little free space: mail is put off"));
                Err(Rejection::STORAGE_FULL)
            }
            Ok(_) => Ok(()),
            Err(cause) => {
                seldom!(cause, |left_out| error!(%cause, left_out, "free space can't be told"));
                Err(Rejection::TEMPORARY)
            }
        }
    }

    fn scratch(&self) -> Option<Scratch> {
        Some(Scratch::new(self.stores.own_blobs.clone(), Arc::clone(&self.keyring)))
    }

    async fn turn(&self, octets: usize) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        if octets > LARGE { Arc::clone(&self.large).acquire_owned().await.ok() } else { None }
    }

    async fn message(&self, message: ReceivedMessage) -> Result<(), Rejection> {
        let queue_id = message.queue_id;
        let (parsed, decisions) = self.decide(message).await?;
        let kept = if decisions.iter().all(|decision| matches!(decision, Decision::Relay { .. })) {
            self.pass_on(&parsed, &decisions).await
        } else {
            let kept = self.spool.commit(Judged { received: parsed.received, decisions }).await;
            self.work.notify_one();
            kept.map(|_| ())
        };
        kept.map_err(|cause| {
            seldom!(cause, |left_out| error!(%queue_id, %cause, left_out, "not accepted: can't be stored"));
            if cause.is_full() { Rejection::STORAGE_FULL } else { Rejection::TEMPORARY }
        })
    }
}

/// How far a message has come.
#[derive(Debug)]
enum Come {
    /// What came of it is queued.
    Queued,
    /// It leaves the spool with its delivery.
    Ahead,
}

/// What comes of a spooled message, to be written in one transaction.
struct Carried<'a> {
    gateway: &'a Gateway,
    letters: Letters,
    rows: Rows,
    undelivered: Vec<(PickupId, Placed)>,
}

impl Write for Carried<'_> {
    fn write<'t>(&'t self, transaction: &'t mut Transaction<'static, Any>) -> Written<'t> {
        Box::pin(async move {
            let now = self.gateway.clock.now();
            self.letters.hold_accounts(transaction).await?;
            let mut rows = self.rows.clone();
            for (pickup_id, report) in &self.undelivered {
                // Another bounce may have been faster: the sender is told once.
                if pickups::mark_undelivered(transaction, *pickup_id).await? {
                    let event = Event::NotificationReturned { pickup: *pickup_id };
                    audit::record_with(&mut rows, event, now)?;
                    self.gateway.queue.rows(&mut rows, report)?;
                }
            }
            rows.write(transaction).await
        })
    }
}

fn temporary(cause: &StoreError) -> Rejection {
    seldom!(cause, |left_out| error!(%cause, left_out, "refused for now"));
    Rejection::TEMPORARY
}

mod relay;
#[cfg(test)]
mod tests;
