//! Holding: a message becomes sealed letters in the vault, pickups in the gateway's own store, and notifications.
//!
//! Recipients who see each other (To, Cc) share one letter; each other envelope recipient (Bcc) gets a letter and slip of
//! his own over the same parts. An answer to a reply address is sealed into its conversation; so is a new mail that names
//! an earlier Message-ID of one.
//! A reader with a pin gets the session key wrapped for the pinned certificate, and a notification without any secret; all
//! others a link. One message's parts are the same for both.
//! Order: the vault is written first and idempotently, the own store last; what a crash leaves in the vault without a row
//! here is swept at the next start.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sqlx::{Any, Transaction};

use sealpost_vault::clock::Time;
use sealpost_vault::db::{Rows, StoreError};
use sealpost_vault::derive::sha256;
use sealpost_vault::id::{AccountId, ContentId, ConversationId, LetterId, PickupId, QueueId, Token};
use sealpost_vault::letters::{self, NewContent, NewLetter, NewPickup, NewWay};
use sealpost_vault::{EmailAddress, Identity};

use crate::audit::{self, Event};
use crate::conversations::{self, Conversation};
use crate::envelope::ReversePath;
use crate::message::{Mailbox, ParsedMessage, prepare};
use crate::notify::{self, FollowUp, Notification, Opening};
use crate::pickups::{self, KEEP_LINK, KEEP_VOICE, Pickup, State, Way};
use crate::pins::{self, Pinned};
use crate::pipeline::Gateway;
use crate::queue::{Kind, Mail};
use crate::seal::{self, LinkSecret, PickupSecrets, SealError, SlipPlan};
use crate::spool::{Claimed, Decision};

/// What holding a message comes to.
#[derive(Default)]
pub(crate) struct Held {
    pub letters: Letters,
    pub notifications: Vec<Mail>,
}

/// Rows for the own store.
#[derive(Default)]
pub(crate) struct Letters {
    conversations: Vec<Conversation>,
    pickups: Vec<Pickup>,
    /// Whose certificates letters were sealed to.
    accounts: BTreeSet<AccountId>,
    message_id: Option<String>,
}

impl Letters {
    /// Letters sealed to accounts are written under their pins' locks.
    pub(crate) fn need_accounts(&self) -> bool {
        !self.accounts.is_empty()
    }

    /// Reset while the letter was being sealed: nobody could ever open it. It is sealed once more.
    pub(crate) async fn hold_accounts(&self, transaction: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
        for account in &self.accounts {
            pins::stays(transaction, *account).await?;
        }
        Ok(())
    }

    pub(crate) fn record(&self, rows: &mut Rows, now: Time) -> Result<(), StoreError> {
        let mut ids: Vec<ConversationId> = Vec::new();
        for conversation in &self.conversations {
            conversations::begin(rows, conversation, now);
        }
        for pickup in &self.pickups {
            pickups::insert(rows, pickup);
            audit::record_with(rows, held(pickup), now)?;
            if !ids.contains(&pickup.conversation_id) {
                ids.push(pickup.conversation_id);
            }
        }
        if let Some(message_id) = &self.message_id {
            for id in ids {
                conversations::add_message(rows, id, message_id);
            }
        }
        Ok(())
    }
}

/// A recipient to be sealed for.
struct Reader {
    identity: Identity,
    delivery: EmailAddress,
    /// The conversation that the letter continues.
    conversation: Option<ConversationId>,
    pinned: Option<Pinned>,
}

/// What a reader opens a letter with.
enum Opens {
    Link(PickupSecrets),
    Account,
}

/// Readers who share one letter.
struct Circle {
    letter_id: LetterId,
    conversation_id: ConversationId,
    follow_up: FollowUp,
    readers: Vec<Reader>,
}

struct Sealed {
    content: NewContent,
    /// In the order of the content's pickups.
    openings: Vec<(LetterId, PickupId, Opens)>,
    slip_hashes: HashMap<LetterId, [u8; 32]>,
}

impl Gateway {
    /// Seals for every recipient that is to be held; stores the letters in the vault.
    pub(crate) async fn hold(
        &self,
        claimed: &Claimed,
        parsed: &ParsedMessage,
        decisions: &[Decision],
    ) -> Result<Held, StoreError> {
        let Some(sender) = parsed.received.envelope.reverse_path.address().cloned() else { return Ok(Held::default()) };
        let readers = self.readers(parsed, &sender, decisions).await?;
        if readers.is_empty() {
            return Ok(Held::default());
        }
        let real = self.real_addresses(&parsed.facts).await?;
        let circles = circles(parsed.received.queue_id, readers, &shown(parsed, &real))?;
        let now = self.clock.now();
        let expires_at = now.saturating_add(i64::try_from(self.settings.letter_lifetime.as_secs()).unwrap_or(i64::MAX));
        // Each claim counts one up. Whose claim was lost may come here late, when another worker's letters are on their way to
        // be read: the vault leaves those alone.
        let (circles, sealed) = self.seal(parsed, real, circles, expires_at, claimed.attempts).await?;
        self.spool.keep(claimed).await?;
        letters::store(&self.stores.vault, &self.stores.vault_blobs, sealed.content).await?;

        let sender_name = name_of(&sender, &parsed.facts.from);
        let mut held = Held::default();
        held.letters.message_id = parsed.facts.message_id.clone();
        let mut openings = sealed.openings.into_iter();
        for circle in circles {
            for reader in circle.readers {
                let Some((letter_id, pickup_id, opens)) = openings.next() else { continue };
                held.letters.accounts.extend(reader.pinned.as_ref().map(|pinned| pinned.account));
                let (way, kept_link, kept_voice) = match &opens {
                    Opens::Link(secret) => (
                        Way::Link,
                        self.keep(KEEP_LINK, pickup_id, &reader.identity, secret.link.bytes())?,
                        self.keep(KEEP_VOICE, pickup_id, &reader.identity, secret.voice.bytes())?,
                    ),
                    Opens::Account => (Way::Account, Vec::new(), Vec::new()),
                };
                held.letters.conversations.push(Conversation {
                    conversation_id: circle.conversation_id,
                    reader: reader.identity.clone(),
                    token: Token::random()?,
                    sender: sender.clone(),
                    delivery: reader.delivery.clone(),
                });
                let pickup = Pickup {
                    pickup_id,
                    letter_id,
                    content_id: content_id(parsed.received.queue_id),
                    conversation_id: circle.conversation_id,
                    return_token: Token::random()?,
                    origin: parsed.received.queue_id,
                    sender: sender.clone(),
                    sender_name: sender_name.clone(),
                    way,
                    kept_link,
                    kept_voice,
                    reader: reader.identity,
                    delivery: reader.delivery,
                    organisation: self.keyring.fingerprint_hex(),
                    language: self.letterhead.organisation.language,
                    message_id: parsed.facts.message_id.clone().unwrap_or_default(),
                    slip_hash: sealed.slip_hashes.get(&letter_id).map(|hash| hash.to_vec()).unwrap_or_default(),
                    state: State::Notified,
                    created_at: now,
                    expires_at,
                    released_at: 0,
                    opened_at: 0,
                    answered_at: 0,
                };
                let link = match &opens {
                    Opens::Link(secret) => Some(&secret.link),
                    Opens::Account => None,
                };
                held.notifications.push(self.notification(&pickup, link, circle.follow_up)?);
                held.letters.pickups.push(pickup);
            }
        }
        Ok(held)
    }

    async fn readers(
        &self,
        parsed: &ParsedMessage,
        sender: &EmailAddress,
        decisions: &[Decision],
    ) -> Result<Vec<Reader>, StoreError> {
        let mut readers: Vec<Reader> = Vec::new();
        for decision in decisions {
            let reader = match decision {
                Decision::Hold { recipient, .. } => {
                    let identity = recipient.identity();
                    let references = &parsed.facts.references;
                    let conversation =
                        conversations::continued(&self.stores.own, references, sender, &identity).await?;
                    Reader { identity, delivery: recipient.clone(), conversation, pinned: None }
                }
                Decision::Continue { conversation, reader, recipient } => Reader {
                    identity: reader.clone(),
                    delivery: recipient.clone(),
                    conversation: Some(*conversation),
                    pinned: None,
                },
                Decision::Relay { .. } | Decision::Encrypt { .. } | Decision::Returned { .. } | Decision::Drop => {
                    continue;
                }
            };
            if !readers.iter().any(|known| known.identity == reader.identity) {
                readers.push(reader);
            }
        }
        for reader in &mut readers {
            // A pin that can't be believed is an error, and the message waits: never a way back to links.
            reader.pinned = pins::current(&self.stores.own, &self.keyring, &reader.identity).await?;
        }
        Ok(readers)
    }

    async fn seal(
        &self,
        parsed: &ParsedMessage,
        real: HashMap<String, EmailAddress>,
        circles: Vec<Circle>,
        expires_at: Time,
        attempt: i64,
    ) -> Result<(Vec<Circle>, Sealed), StoreError> {
        let keyring = Arc::clone(&self.keyring);
        let facts = parsed.facts.clone();
        let received = parsed.received.clone();
        let created_at = self.clock.now();
        self.by_size(received.bytes.len(), move || {
            let mut prepared = prepare(&received.bytes, &facts, received.received_at, &|address| {
                real.get(&address.to_ascii_lowercase()).map(ToString::to_string)
            });
            for mailbox in prepared.to.iter_mut().chain(prepared.cc.iter_mut()).chain(prepared.from.iter_mut()) {
                if let Some(address) = real.get(&mailbox.address.to_string().to_ascii_lowercase()) {
                    mailbox.address = address.clone();
                }
            }
            let plans: Vec<SlipPlan> = circles
                .iter()
                .map(|circle| SlipPlan {
                    letter_id: circle.letter_id,
                    conversation_id: circle.conversation_id,
                    readers: circle.readers.iter().map(|reader| reader.identity.clone()).collect(),
                })
                .collect();
            let mut sealed = seal::seal(&keyring, &prepared, "", &plans, expires_at)?;
            let mut openings = Vec::new();
            let mut slip_hashes = HashMap::new();
            let mut new_letters = Vec::new();
            let slips = std::mem::take(&mut sealed.slips);
            for (circle, slip) in circles.iter().zip(slips) {
                slip_hashes.insert(circle.letter_id, sha256(&slip));
                let mut new_pickups = Vec::new();
                for reader in &circle.readers {
                    let pickup_id = PickupId::of_message(received.queue_id)?;
                    let (way, opens) = match &reader.pinned {
                        Some(Pinned { account, certificate, .. }) => {
                            let key_packet = sealed.account_key(certificate, circle.letter_id, &reader.identity)?;
                            (NewWay::Account { account_id: *account, key_packet }, Opens::Account)
                        }
                        None => {
                            let secret = sealed.pickup(&keyring, pickup_id, circle.letter_id, &reader.identity)?;
                            let key_packet = secret.key_packet.clone();
                            (NewWay::Link { share: secret.share, key_packet }, Opens::Link(secret))
                        }
                    };
                    new_pickups.push(NewPickup {
                        pickup_id,
                        reader: reader.identity.clone(),
                        organisation: keyring.fingerprint_hex(),
                        way,
                    });
                    openings.push((circle.letter_id, pickup_id, opens));
                }
                new_letters.push(NewLetter {
                    letter_id: circle.letter_id,
                    conversation_id: circle.conversation_id,
                    slip,
                    pickups: new_pickups,
                });
            }
            let content = NewContent {
                content_id: content_id(received.queue_id),
                parts: std::mem::take(&mut sealed.parts),
                letters: new_letters,
                created_at,
                expires_at,
                attempt,
            };
            Ok::<_, StoreError>((circles, Sealed { content, openings, slip_hashes }))
        })
        .await?
    }

    pub(crate) fn keep(
        &self,
        kind: &str,
        pickup_id: PickupId,
        reader: &Identity,
        secret: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        self.keyring
            .keep(kind, pickup_id.bytes(), reader.as_str().as_bytes(), secret)
            .map_err(|_| StoreError::Corrupt("a secret that can't be kept"))
    }

    /// The notification of a pickup, as a mail for the queue. Without a link it tells the reader to sign in.
    pub(crate) fn notification(
        &self,
        pickup: &Pickup,
        link: Option<&LinkSecret>,
        follow_up: FollowUp,
    ) -> Result<Mail, StoreError> {
        let page = format!("{}/p/{}", self.letterhead.organisation.portal, pickup.pickup_id);
        let (url, pickup_code) = match link {
            Some(link) => (format!("{page}#{}", link.written()), link.grouped()),
            None => (page, String::new()),
        };
        let opening = match link {
            Some(_) => Opening::Link { link: &url, pickup_code: &pickup_code },
            None => Opening::Account { link: &url },
        };
        let bytes = notify::notification(
            &self.letterhead,
            &Notification {
                sender_name: &pickup.sender_name,
                sender: &pickup.sender,
                to: &pickup.delivery,
                opening,
                expires_at: pickup.expires_at,
                language: pickup.language,
                follow_up,
                message_id: &self.new_message_id()?,
            },
            self.clock.now(),
        )
        .map_err(|_| StoreError::Corrupt("a notification that can't be written"))?;
        let return_address = self
            .settings
            .reply_domain
            .return_address(pickup.return_token)
            .map_err(|_| StoreError::Corrupt("a return address"))?;
        Ok(Mail {
            origin: pickup.origin,
            kind: Kind::Notification,
            route: self.route_to(&pickup.delivery),
            reverse_path: ReversePath::Address(return_address),
            recipients: vec![pickup.delivery.clone()],
            bytes,
            pickup: Some(pickup.pickup_id),
            lifetime: self.settings.queue_lifetime.min(self.settings.letter_lifetime),
        })
    }

    /// A Message-ID (without angle brackets) for a mail of our own; it tells nothing.
    pub(crate) fn new_message_id(&self) -> Result<String, StoreError> {
        Ok(format!("{}@{}", Token::random()?, self.settings.hostname))
    }
}

fn held(pickup: &Pickup) -> Event<'_> {
    Event::Held {
        message: pickup.origin,
        letter: pickup.letter_id,
        pickup: pickup.pickup_id,
        conversation: pickup.conversation_id,
        sender: &pickup.sender,
        reader: &pickup.reader,
        way: match pickup.way {
            Way::Link => audit::Way::Link,
            Way::Account => audit::Way::Account,
        },
    }
}

/// A message's content has the message's id, so that a second attempt replaces what the first one left.
fn content_id(queue_id: QueueId) -> ContentId {
    ContentId::from_bytes(*queue_id.bytes())
}

/// Who stands in To and Cc, for everybody to see.
pub(crate) fn shown(parsed: &ParsedMessage, real: &HashMap<String, EmailAddress>) -> Vec<Identity> {
    let headers = parsed.facts.to.iter().chain(&parsed.facts.cc);
    headers
        .map(|mailbox| {
            real.get(&mailbox.address.to_string().to_ascii_lowercase()).unwrap_or(&mailbox.address).identity()
        })
        .collect()
}

/// Readers who see each other share a letter, as far as they share a conversation; the others are alone.
fn circles(message: QueueId, readers: Vec<Reader>, shown: &[Identity]) -> Result<Vec<Circle>, StoreError> {
    let mut together: BTreeMap<Option<ConversationId>, Vec<Reader>> = BTreeMap::new();
    let mut circles = Vec::new();
    for reader in readers {
        if shown.contains(&reader.identity) {
            together.entry(reader.conversation).or_default().push(reader);
        } else {
            circles.push(circle(message, reader.conversation, vec![reader])?);
        }
    }
    for (conversation, readers) in together {
        circles.push(circle(message, conversation, readers)?);
    }
    Ok(circles)
}

fn circle(message: QueueId, conversation: Option<ConversationId>, readers: Vec<Reader>) -> Result<Circle, StoreError> {
    let (conversation_id, follow_up) = match conversation {
        Some(id) => (id, FollowUp::Again),
        None => (ConversationId::random()?, FollowUp::First),
    };
    Ok(Circle { letter_id: LetterId::of_message(message)?, conversation_id, follow_up, readers })
}

/// The envelope's sender, by the name that the From header gives to the same address.
fn name_of(sender: &EmailAddress, from: &[Mailbox]) -> String {
    let identity = sender.identity();
    from.iter()
        .find(|mailbox| mailbox.address.identity() == identity)
        .map(|mailbox| mailbox.name.clone())
        .unwrap_or_default()
}

impl From<SealError> for StoreError {
    fn from(_: SealError) -> Self {
        Self::Corrupt("a message that can't be sealed")
    }
}
