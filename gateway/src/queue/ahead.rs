//! Mail that is delivered before it is queued, while the message that it comes of still lies in the spool.
//!
//! What almost every mail comes to, a reply of the next hop a moment later, is written down at once: the spooled message ends
//! in the same commit, and nothing of the mail was ever written. Everything else is queued first, as if it had been from the
//! beginning: mail that waits or fails, that is still on its way when a lease would be renewed, or that has several next
//! hops. Where the process dies before either, the message is in the spool, and comes again when its claim ends.

use std::sync::atomic::{AtomicBool, Ordering};

use sealpost_vault::StoreError;
use sealpost_vault::id::QueueId;

use super::at_hand::{Hand, Ready};
use super::body::Place;
use super::claim::{self, Claim};
use super::settle::{record_delivered, say_delivered};
use super::{Mail, Queue, Written, later};
use crate::deliver::{Outcome, Requests};
use crate::envelope::Envelope;
use crate::spool::Ending;

/// What is still to be written: the end of the message in the spool.
#[derive(Debug)]
pub(crate) struct Ahead {
    ending: Ending,
    /// A commit that queues it may have been done.
    in_doubt: AtomicBool,
}

/// A mail that can go ahead.
pub(crate) struct Unqueued {
    mail: Mail,
    requests: Requests,
    hand: Hand,
}

impl Queue {
    /// The mail as it leaves, if it can be kept at hand; otherwise as it was.
    pub(crate) async fn ahead(&self, mail: Mail, envelope: &Envelope) -> Result<Result<Unqueued, Mail>, StoreError> {
        // What it gets when it leaves is little beside its bytes.
        let Some(hand) = self.hand(mail.route, &mail.recipients, mail.bytes.len())? else { return Ok(Err(mail)) };
        let mail = self.leaving(mail).await?;
        let requests = Requests::new(&envelope.dsn, envelope.charset, &mail.recipients);
        Ok(Ok(Unqueued { mail, requests, hand }))
    }

    /// It is delivered; then, or before, it is written down.
    pub(crate) fn go_ahead(&self, mail: Unqueued, ending: Ending) -> Result<(), StoreError> {
        let Unqueued { mut mail, requests, hand } = mail;
        let lane = self.lane(mail.route);
        let hand = hand.holding(std::mem::take(&mut mail.bytes));
        let ready = hand.claiming(QueueId::random()?, mail, requests, Place::Row);
        // Without a receiver nobody works: what is dropped with it gives the message back.
        drop(lane.into.send(Ready { ahead: Some(Ahead { ending, in_doubt: AtomicBool::new(false) }), ..ready }));
        Ok(())
    }

    /// Queues what went ahead, under the claim that it has already. An error of the count: somebody else has the message.
    /// Can be repeated, also where nobody could tell whether it was done.
    pub(super) async fn write_down(&self, claim: &Claim, bytes: &[u8], ahead: &Ahead) -> Result<Place, StoreError> {
        if self.is_queued(claim, ahead).await? {
            return Ok(Place::Blob);
        }
        let placed = self.seal(claim.body_id, bytes.to_vec()).await?;
        let mail = Written {
            body_id: claim.body_id,
            origin: claim.origin,
            kind: claim.kind,
            route: claim.route,
            reverse_path: &claim.reverse_path,
            pickup: claim.pickup,
            requests: &claim.requests,
            created_at: claim.created_at,
            expires_at: claim.expires_at,
            claimed_until: later(self.clock.now(), claim::LEASE),
            token: &claim.token,
        };
        let mut rows = ahead.ending.rows().clone();
        mail.body(&mut rows, &placed);
        for row in &claim.rows {
            mail.recipient(&mut rows, row.queue_id, &row.recipient, &row.request);
        }
        match self.store.write_rows(rows).await {
            Ok(()) => {}
            Err(StoreError::Uncertain) => {
                ahead.in_doubt.store(true, Ordering::SeqCst);
                return Err(StoreError::Uncertain);
            }
            // The message has left the spool by the commit that was in doubt.
            Err(StoreError::RowCount { .. }) if self.is_queued(claim, ahead).await? => return Ok(Place::Blob),
            Err(error) => {
                // What was in doubt once may be there yet, and names this blob: if nothing does, it is swept.
                if !ahead.in_doubt.load(Ordering::SeqCst) {
                    self.forget_unqueued(std::slice::from_ref(&placed.blob_key)).await;
                }
                return Err(error);
            }
        }
        ahead.ending.done().await;
        Ok(Place::of(&placed.blob_key))
    }

    /// Whether it was queued by a commit of which nobody could tell. Then the claim's lease begins anew.
    pub(super) async fn is_queued(&self, claim: &Claim, ahead: &Ahead) -> Result<bool, StoreError> {
        if !ahead.in_doubt.load(Ordering::SeqCst) {
            return Ok(false);
        }
        match self.renew(claim).await {
            Ok(()) => {
                ahead.ending.done().await;
                Ok(true)
            }
            Err(StoreError::RowCount { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The end of what was delivered before it was queued. An error of the count: as above.
    pub(super) async fn end_ahead(&self, claim: &Claim, outcomes: &[Outcome], ahead: &Ahead) -> Result<(), StoreError> {
        let mut rows = ahead.ending.rows().clone();
        record_delivered(&mut rows, claim, outcomes, self.clock.now())?;
        self.store.write_rows(rows).await?;
        say_delivered(claim, outcomes);
        ahead.ending.done().await;
        Ok(())
    }
}

impl Ahead {
    /// Its delivery begins.
    pub(super) fn begin(&self) {
        self.ending.begin();
    }

    /// Before a stop: the message is as due as before.
    pub(super) async fn give_back(self) -> Result<(), StoreError> {
        self.ending.give_back().await
    }
}

#[cfg(test)]
mod tests;
