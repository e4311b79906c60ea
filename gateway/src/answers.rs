//! Answers of readers: a sealed reply is opened, believed or not, and delivered as ordinary mail to the sender's mailbox.
//!
//! The reply is believed when its MAC was made with the voice key that was derived beside the link secret of a pickup that
//! still lives, or, of an enrolled reader, when the pinned certificate signed it; everything else is taken from the gateway's own store: who the reader is, which letter, whom it goes to.
//!
//! Security: a reply's id counts once; a refused one sends nothing and burns nothing.
//! Standards: RFC 5322 3.6.4 (threading).

use std::sync::Arc;

use tracing::{info, warn};

use sealpost_vault::db::{Rows, StoreError};
use sealpost_vault::errands::Answer;
use sealpost_vault::id::{PickupId, QueueId, ReplyId};
use sealpost_vault::uploads;

use crate::audit::{self, Event, Proof, Statement};
use crate::conversations;
use crate::envelope::ReversePath;
use crate::notify::{self, Assurance, Scan};
use crate::pickups;
use crate::pins::{self, Pinned};
use crate::pipeline::Gateway;
use crate::queue::{Kind, Mail};
use crate::seal::{ReplyContext, ReplyError, Vouching, open_reply};

/// Replies that one pickup may send in a day.
const REPLIES_A_DAY: i64 = 50;

impl Gateway {
    /// Takes a sealed reply: opens it and queues it for the sender.
    pub(crate) async fn take_reply(
        &self,
        pickup_id: PickupId,
        reply_id: ReplyId,
        key_packet: Vec<u8>,
        parts: u32,
    ) -> Result<Answer, StoreError> {
        let refused = async |why: &'static str| {
            warn!(pickup = %pickup_id, reply = %reply_id, why, "a reply was refused");
            self.not_believed(Statement::Reply, Some(pickup_id), None, why).await?;
            Ok(Answer::Refused)
        };
        let taken: Option<(String,)> = sqlx::query_as("select pickup_id from replies where reply_id = $1")
            .bind(reply_id.to_string())
            .fetch_optional(self.stores.own.reader())
            .await?;
        if let Some((of,)) = taken {
            // Asked again after the answer was lost: it is on its way already.
            return if of == pickup_id.to_string() {
                Ok(Answer::Taken)
            } else {
                refused("its id was used before").await
            };
        }
        let now = self.clock.now();
        let Some(pickup) = pickups::find(&self.stores.own, pickup_id).await? else {
            return refused("no such pickup").await;
        };
        if !pickup.state.lives() || pickup.expires_at <= now {
            return refused("the pickup has ended").await;
        }
        let (today,): (i64,) = sqlx::query_as("select count(*) from replies where pickup_id = $1 and taken_at > $2")
            .bind(pickup_id.to_string())
            .bind(now.saturating_sub(86_400))
            .fetch_one(self.stores.own.reader())
            .await?;
        if today >= REPLIES_A_DAY {
            return refused("too many replies in a day").await;
        }
        // From the pin on only the pinned certificate speaks for the reader.
        let pinned = pins::current(&self.stores.own, &self.keyring, &pickup.reader).await?;
        let assurance = match &pinned {
            Some(Pinned { vouched_at, .. }) => Assurance::SignedByTheEnrolledKey { enrolled_at: *vouched_at },
            None => Assurance::HeldTheLink,
        };
        let proof = if pinned.is_some() { Proof::Signature } else { Proof::Voice };
        let voice = self.voice(&pickup).await?;
        if pinned.is_none() && voice.is_none() {
            return refused("the pickup has no voice").await;
        }
        let Some(parts) = uploads::parts(&self.stores.vault, &self.stores.vault_blobs, reply_id, parts).await? else {
            return refused("parts are missing or too large").await;
        };
        let keyring = Arc::clone(&self.keyring);
        let (letter, conversation, reader) = (pickup.letter_id, pickup.conversation_id, pickup.reader.clone());
        let opened = self
            .heavily(move || {
                let vouching = match (&pinned, &voice) {
                    (Some(pinned), _) => Vouching::Pinned(&pinned.certificate),
                    (None, Some(voice)) => Vouching::Voice(voice),
                    (None, None) => return Err(ReplyError::Signature),
                };
                let context = ReplyContext {
                    vouching,
                    pickup: pickup_id,
                    letter,
                    conversation,
                    reader: &reader,
                    reply: reply_id,
                };
                open_reply(&keyring, &context, &key_packet, &parts)
            })
            .await?;
        let opened = match opened {
            Ok(opened) => opened,
            Err(cause) => {
                warn!(pickup = %pickup_id, reply = %reply_id, %cause, "a reply was not believed");
                return refused("it was not believed").await;
            }
        };

        let Some(side) = conversations::find(&self.stores.own, pickup.conversation_id, &pickup.reader).await? else {
            return Err(StoreError::Corrupt("a pickup without its conversation"));
        };
        let reply_address =
            self.settings.reply_domain.reply_address(side.token).map_err(|_| StoreError::Corrupt("a reply address"))?;
        let references = conversations::references(&self.stores.own, pickup.conversation_id).await?;
        let message_id = self.new_message_id()?;
        let bytes = notify::answer(
            &self.letterhead,
            &notify::Answer {
                reader: &pickup.reader,
                reply_address: &reply_address,
                to: &pickup.sender,
                subject: &opened.subject,
                text: &opened.text,
                enclosures: &opened.enclosures,
                in_reply_to: (!pickup.message_id.is_empty()).then_some(pickup.message_id.as_str()),
                references: &references,
                message_id: &message_id,
                assurance,
                scan: Scan::NotScanned,
                language: self.letterhead.organisation.language,
            },
            now,
        )
        .map_err(|_| StoreError::Corrupt("an answer that can't be written"))?;
        let placed = self
            .queue
            .place(Mail {
                origin: QueueId::random()?,
                kind: Kind::Answer,
                route: self.route_to(&pickup.sender),
                reverse_path: ReversePath::Null,
                recipients: vec![pickup.sender.clone()],
                bytes,
                pickup: None,
                lifetime: self.settings.queue_lifetime,
            })
            .await?;
        let mut transaction = self.stores.own.begin().await?;
        sqlx::query("insert into replies (reply_id, pickup_id, taken_at) values ($1, $2, $3)")
            .bind(reply_id.to_string())
            .bind(pickup_id.to_string())
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        pickups::mark_answered(&mut transaction, pickup_id, now).await?;
        let mut said = Rows::new();
        conversations::add_message(&mut said, pickup.conversation_id, &message_id);
        said.write(&mut transaction).await?;
        self.queue.insert(&mut transaction, placed).await?;
        let (reader, sender) = (&pickup.reader, &pickup.sender);
        let answered = Event::Answered { pickup: pickup_id, reply: reply_id, reader, sender, proof };
        audit::record(&mut transaction, answered, now).await?;
        transaction.commit().await?;
        info!(pickup = %pickup_id, reply = %reply_id, "a reply was taken");
        self.queue.wake();
        Ok(Answer::Taken)
    }
}
