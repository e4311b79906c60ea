//! Mail at hand: what was queued a moment ago is delivered from memory, its rows claimed from the beginning.
//!
//! Nothing depends on it. Where there is no room, or no worker, rows are inserted for whoever claims them; where the process
//! dies, the claim's lease ends like any other's.
//!
//! Security: clear bytes stay in memory until they are delivered or given up, [`ROOM`] at most.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sealpost_vault::Time;
use sealpost_vault::id::{QueueId, Token};
use sealpost_vault::{EmailAddress, StoreError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::ahead::Ahead;
use super::body::Place;
use super::claim::{Claim, ClaimedRow, Warning};
use super::{Mail, Placed, Queue, Route};
use crate::deliver::{MOST_RECIPIENTS, Requests};

/// Of all clear bytes at hand, in octets.
const ROOM: usize = 16 * 1024 * 1024;
/// Longer mail is read from its store, in octets.
const LONGEST: usize = 256 * 1024;
/// What a mail takes beside its bytes, and each recipient of it, with what the sender asked for.
const OVERHEAD: usize = 2 * 1024;
const RECIPIENT: usize = 1024;

/// Where mail lies between its commit and its delivery. One for each route.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) into: UnboundedSender<Ready>,
    /// The worker's, while it works.
    out: Mutex<Option<UnboundedReceiver<Ready>>>,
    is_open: AtomicBool,
}

impl Default for Lane {
    fn default() -> Self {
        let (into, out) = unbounded_channel();
        Self { into, out: Mutex::new(Some(out)), is_open: AtomicBool::new(false) }
    }
}

/// What is delivered next.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) claim: Claim,
    pub(super) bytes: Vec<u8>,
    /// Where its body lies beside.
    pub(super) lies: Place,
    pub(super) claimed_at: Instant,
    pub(super) room: OwnedSemaphorePermit,
    /// Where none of its rows is written yet.
    pub(super) ahead: Option<Ahead>,
}

/// What a mail that is placed needs to be delivered from memory.
pub(super) struct Hand {
    pub(super) token: String,
    pub(super) queue_ids: Vec<QueueId>,
    pub(super) claimed_at: Time,
    since: Instant,
    bytes: Vec<u8>,
    room: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }
}

impl Lane {
    /// The worker's end, until [`Lane::close`].
    pub(super) fn open(&self) -> Option<UnboundedReceiver<Ready>> {
        let out = self.out.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.is_open.store(out.is_some(), Ordering::SeqCst);
        out
    }

    /// Nothing comes any more but what was on its way.
    pub(super) fn close(&self) {
        self.is_open.store(false, Ordering::SeqCst);
    }
}

impl Queue {
    /// A claim for a mail, and room for its bytes, where there is a worker and room.
    pub(super) fn hand(
        &self,
        route: Route,
        recipients: &[EmailAddress],
        octets: usize,
    ) -> Result<Option<Hand>, StoreError> {
        if octets > LONGEST || recipients.len() > MOST_RECIPIENTS || !self.lane(route).is_open.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let beside = recipients.len().saturating_mul(RECIPIENT).saturating_add(OVERHEAD);
        let octets = u32::try_from(octets.saturating_add(beside)).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.lanes.room.0).try_acquire_many_owned(octets) else { return Ok(None) };
        Ok(Some(Hand {
            token: Token::random()?.to_string(),
            queue_ids: recipients.iter().map(|_| QueueId::random()).collect::<Result<_, _>>()?,
            claimed_at: self.clock.now(),
            since: Instant::now(),
            bytes: Vec::new(),
            room,
        }))
    }

    /// After the commit of their rows: these mails go on.
    pub(crate) fn go_on(&self, placed: impl IntoIterator<Item = Placed>) {
        for mut placed in placed {
            match placed.hand.take() {
                None => self.bell(placed.route).notify_one(),
                // Without a receiver nobody works, and the lease ends the claim.
                Some(hand) => drop(self.lane(placed.route).into.send(hand.ready(placed))),
            }
        }
    }
}

impl Hand {
    /// With the mail's bytes.
    pub(super) fn holding(self, bytes: Vec<u8>) -> Self {
        Self { bytes, ..self }
    }

    fn ready(self, placed: Placed) -> Ready {
        let Placed {
            body_id,
            body,
            origin,
            kind,
            route,
            reverse_path,
            recipients,
            pickup,
            lifetime,
            requests,
            hand: _,
        } = placed;
        let lies = Place::of(&body.blob_key);
        let mail = Mail { origin, kind, route, reverse_path, recipients, pickup, lifetime, bytes: Vec::new() };
        self.claiming(body_id, mail, requests, lies)
    }

    /// The mail's own bytes are none that the hand holds.
    pub(super) fn claiming(self, body_id: QueueId, mail: Mail, mut requests: Requests, lies: Place) -> Ready {
        let mut asked = std::mem::take(&mut requests.recipients).into_iter();
        let rows = self.queue_ids.into_iter().zip(mail.recipients).map(|(queue_id, recipient)| ClaimedRow {
            queue_id,
            recipient,
            attempts: 0,
            request: asked.next().unwrap_or_default(),
            warning: Warning::Unsent,
        });
        let claim = Claim {
            token: self.token,
            body_id,
            origin: mail.origin,
            kind: mail.kind,
            route: mail.route,
            reverse_path: mail.reverse_path,
            pickup: mail.pickup,
            created_at: self.claimed_at,
            expires_at: super::later(self.claimed_at, mail.lifetime),
            requests,
            rows: rows.collect(),
        };
        Ready { claim, bytes: self.bytes, lies, claimed_at: self.since, room: self.room, ahead: None }
    }
}

#[cfg(test)]
mod tests;
