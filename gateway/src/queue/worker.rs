//! The workers: claim what is due, hand it over, settle it; until told to stop.
//!
//! Each route has workers of its own, so that a next hop that hangs doesn't keep mail from going the other way. At a stop,
//! nothing new is claimed, and what is on its way gets a moment to end; then its claim is given back.

use std::sync::Arc;
use std::time::Duration;

use sealpost_vault::{EmailAddress, StoreError, seldom};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::ahead::Ahead;
use super::at_hand::Ready;
use super::body::{Body, Place, Room};
use super::claim::{Claim, ClaimedRow, RENEWAL};
use super::report::Reporter;
use super::settle::{Aftermath, is_simple};
use super::{Queue, Route, Undeliverable};
use crate::deliver::{
    Client, Content, Delivery, Destination, Failure, Hops, Limits, Outcome, Pool, Taken, Timeouts, Transmission, Trust,
};

/// Deliveries at a time, on each route: twice as many as there are connections to one host unless the configuration says
/// otherwise, so that one that hangs leaves room for others.
const WORKERS: usize = 40;
/// Deliveries that are under way or wait for their outcome to be written, on each route.
const MOST_UNSETTLED: usize = 400;
/// How often a worker looks without being woken: due retries, and what another process inserted.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);
/// How often bodies without rows are looked for.
const SWEEP: Duration = Duration::from_secs(600);
const GRACE: Duration = Duration::from_secs(10);
/// How often, and with which pause, an outcome that couldn't be written is written again.
const SETTLE_TRIES: u32 = 60;
const SETTLE_PAUSE: Duration = Duration::from_secs(1);
/// Half of what is left of a lease that was just about to be renewed.
const SETTLE_SLOW: Duration = Duration::from_secs(10);

/// How the queue delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    pub timeouts: Timeouts,
    pub limits: Limits,
    /// After so long the sender is told that it takes longer; `None`: never.
    pub warn_after: Option<Duration>,
}

impl Default for Manner {
    fn default() -> Self {
        let warn_after = Some(Duration::from_secs(4 * 60 * 60));
        Self { timeouts: Timeouts::default(), limits: Limits::default(), warn_after }
    }
}

/// Delivers until `stop`.
pub async fn run<U: Undeliverable>(
    queue: Queue,
    hops: Arc<Hops>,
    manner: Manner,
    undeliverable: Arc<U>,
    reporter: Reporter,
    stop: CancellationToken,
) {
    let trust = match Trust::system() {
        Ok(trust) => trust,
        Err(error) => {
            tracing::error!(%error, "TLS can't be set up: nothing is delivered");
            return stop.cancelled().await;
        }
    };
    let pool = Pool::new(Client::new(&hops.hostname, trust, manner.timeouts), manner.limits);
    let unsettled = watch::Sender::new(0);
    let warn_after = manner.warn_after;
    let (grace, renewal) = (GRACE, RENEWAL);
    let office =
        Arc::new(Office { queue, hops, warn_after, undeliverable, reporter, pool, stop, grace, renewal, unsettled });
    tokio::join!(
        office.clone().work(Route::Inside),
        office.clone().work(Route::Outside),
        office.keep_tidy(),
        office.pool.keep_tidy(&office.stop)
    );
    office.pool.close().await;
}

/// What all workers share.
pub(super) struct Office<U> {
    pub(super) queue: Queue,
    pub(super) hops: Arc<Hops>,
    pub(super) warn_after: Option<Duration>,
    pub(super) undeliverable: Arc<U>,
    pub(super) reporter: Reporter,
    pub(super) pool: Pool,
    pub(super) stop: CancellationToken,
    /// What a delivery on its way gets when we are told to stop.
    pub(super) grace: Duration,
    /// How often leases are renewed.
    pub(super) renewal: Duration,
    /// Outcomes that wait for the store to come back. Until they are written, nothing is claimed: their leases may end
    /// before, and what was delivered would be sent again. A claim waits for the store less long than a lease lasts.
    pub(super) unsettled: watch::Sender<usize>,
}

impl<U: Undeliverable> Office<U> {
    async fn keep_tidy(&self) {
        while !self.stop.is_cancelled() {
            if let Err(error) = self.queue.sweep().await {
                tracing::warn!(%error, "the queue's bodies could not be swept");
            }
            let _ = timeout(SWEEP, self.stop.cancelled()).await;
        }
    }

    pub(super) async fn work(self: Arc<Self>, route: Route) {
        let permits = Arc::new(Semaphore::new(WORKERS));
        let mut deliveries = JoinSet::new();
        let lane = self.queue.lane(route);
        let mut at_hand = lane.open();
        let mut look_at = Instant::now();
        let mut its_turn = false;
        while !self.stop.is_cancelled() {
            while deliveries.try_join_next().is_some() {}
            if deliveries.len() >= MOST_UNSETTLED {
                deliveries.join_next().await;
            }
            let permit = tokio::select! {
                permit = permits.clone().acquire_owned() => permit,
                () = self.stop.cancelled() => break,
            };
            let Ok(permit) = permit else { break };
            let mut unsettled = self.unsettled.subscribe();
            tokio::select! {
                _ = unsettled.wait_for(|waiting| *waiting == 0) => {}
                () = self.stop.cancelled() => break,
            }
            if std::mem::take(&mut its_turn)
                && let Some(ready) = at_hand.as_mut().and_then(|at_hand| at_hand.try_recv().ok())
            {
                self.begin(&mut deliveries, permit, ready);
                continue;
            }
            if Instant::now() >= look_at {
                look_at = Instant::now() + LOOK_ANYWAY;
                // As many at once as there are workers free: a claim is a commit.
                let mut free = vec![permit];
                free.extend(std::iter::from_fn(|| permits.clone().try_acquire_owned().ok()));
                match self.queue.claim_some(route, free.len()).await {
                    Ok(claims) => {
                        if !claims.is_empty() {
                            // There may be more; what is at hand has its turn in between.
                            look_at = Instant::now();
                            its_turn = true;
                        }
                        for (claim, permit) in claims.into_iter().zip(free) {
                            let span = delivery_span(&claim);
                            let office = self.clone();
                            let delivery = async move { office.deliver(claim, Some(permit)).await };
                            deliveries.spawn(delivery.instrument(span));
                        }
                    }
                    Err(error) => {
                        seldom!(
                            format!("{} {error}", route.as_str()),
                            |left_out| tracing::error!(%error, route = route.as_str(), left_out, "the queue can't be read")
                        );
                    }
                }
                continue;
            }
            let next = async {
                match &mut at_hand {
                    Some(at_hand) => at_hand.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(ready) = next => self.begin(&mut deliveries, permit, ready),
                () = self.queue.bell(route).notified() => look_at = Instant::now(),
                () = sleep_until(look_at) => {}
                () = self.stop.cancelled() => {}
            }
        }
        lane.close();
        if let Some(at_hand) = &mut at_hand {
            at_hand.close();
            let mut left = Vec::new();
            while let Some(Ready { claim, ahead, .. }) = at_hand.recv().await {
                left.push(self.give_back(claim, ahead));
            }
            // At once, so that they share commits.
            futures::future::join_all(left).await;
        }
        while deliveries.join_next().await.is_some() {}
    }

    fn begin(self: &Arc<Self>, deliveries: &mut JoinSet<()>, permit: OwnedSemaphorePermit, ready: Ready) {
        let (office, span) = (self.clone(), delivery_span(&ready.claim));
        let delivery = async move { office.deliver_ready(ready, permit).await };
        deliveries.spawn(delivery.instrument(span));
    }

    /// One claim, from its body to its end.
    pub(super) async fn deliver(&self, claim: Claim, permit: Option<OwnedSemaphorePermit>) {
        let (room, permit) = match self.queue.room_for(claim.body_id).await {
            Ok(Room::NotNeeded) => (None, permit),
            Ok(Room::Wanted) => {
                // Whoever waits for room holds up nobody else's transmission.
                drop(permit);
                let Some(room) = self.wait_for_room(&claim).await else { return };
                (Some(room), None)
            }
            Err(error) => {
                tracing::error!(%error, "the queue can't be read");
                return self.give_back(claim, None).await;
            }
        };
        let body = self.queue.body(claim.body_id).await;
        self.deliver_body(claim, body, permit, None).await;
        drop(room);
    }

    /// Keeps the lease meanwhile. `None`: the claim was lost, or we stop.
    async fn wait_for_room(&self, claim: &Claim) -> Option<OwnedSemaphorePermit> {
        let room = self.queue.large_room().acquire_owned();
        tokio::pin!(room);
        loop {
            tokio::select! {
                room = &mut room => return room.ok(),
                () = self.stop.cancelled() => {
                    if let Err(error) = self.queue.release_claim(claim).await {
                        tracing::warn!(%error, "a claim could not be given back; its lease ends it");
                    }
                    return None;
                }
                () = sleep(RENEWAL) => match self.queue.renew(claim).await {
                    Ok(()) => {}
                    Err(StoreError::RowCount { .. }) => return None,
                    Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
                },
            }
        }
    }

    /// The same for what lies at hand. It may have lain there while the next hop was slow.
    pub(super) async fn deliver_ready(
        &self,
        Ready { claim, bytes, mut lies, claimed_at, room, mut ahead }: Ready,
        permit: OwnedSemaphorePermit,
    ) {
        if let Some(ahead) = &ahead {
            ahead.begin();
        }
        if claimed_at.elapsed() > self.renewal
            && let Err(error) = self.keep(&claim, &bytes, &mut lies, &mut ahead).await
        {
            tracing::warn!(%error, "a claim at hand was lost, or its lease could not be renewed");
            return;
        }
        self.deliver_body(claim, Ok((Body::Whole(bytes), lies)), Some(permit), ahead).await;
        drop(room);
    }

    /// The permit is to transmit: writing the outcomes down holds up nobody else's transmission.
    async fn deliver_body(
        &self,
        claim: Claim,
        mut body: Result<(Body, Place), StoreError>,
        permit: Option<OwnedSemaphorePermit>,
        mut ahead: Option<Ahead>,
    ) {
        let permit = Arc::new(permit);
        if self.ways(&claim).len() > 1
            && ahead.is_some()
            && let Ok((body, lies)) = &mut body
            && let Err(error) = self.keep(&claim, body.whole(), lies, &mut ahead).await
        {
            tracing::warn!(%error, "a claim at hand was lost, or can't be queued");
            return;
        }
        let mut ways: Vec<(&Destination, Vec<ClaimedRow>)> = Vec::new();
        let (claim, rows) = claim.without_rows();
        for row in rows {
            let way = self.hops.of(claim.route, row.recipient.domain());
            match ways.iter_mut().find(|(known, _)| std::ptr::eq(*known, way)) {
                Some((_, rows)) => rows.push(row),
                None => ways.push((way, vec![row])),
            }
        }
        let (ways, rows): (Vec<&Destination>, Vec<Vec<ClaimedRow>>) = ways.into_iter().unzip();
        match self.queue.split(claim, rows).await {
            // Each settles for itself: a host that hangs must not keep another's verdicts from being written down.
            Ok(claims) => {
                let all = ways
                    .into_iter()
                    .zip(claims)
                    .map(|(to, claim)| self.deliver_to(to, claim, &body, permit.clone(), ahead.take()));
                let all: Vec<_> = all.collect();
                drop(permit);
                futures::future::join_all(all).await;
            }
            Err(error) => tracing::warn!(%error, "a claim could not be divided; its lease ends it"),
        }
    }

    async fn deliver_to(
        &self,
        to: &Destination,
        claim: Claim,
        body: &Result<(Body, Place), StoreError>,
        permit: Arc<Option<OwnedSemaphorePermit>>,
        mut ahead: Option<Ahead>,
    ) {
        let mut lies = body.as_ref().map_or(Place::Blob, |(_, place)| *place);
        let delivery = match body {
            Ok((body, _)) => self.hand_over(to, &claim, body.content(), &mut lies, &mut ahead).await,
            // The store may be away for a moment: nothing to refuse a mail for.
            Err(error) => {
                tracing::error!(%error, "the body can't be read");
                let failure = Failure::ours("4.3.0", "The message can't be read from the queue now");
                let outcomes = claim.rows.iter().map(|_| Outcome::Later(failure.clone())).collect();
                Some(Delivery { outcomes, host: String::new(), requests: Taken::Not })
            }
        };
        drop(permit);
        let Some(delivery) = delivery else { return self.give_back(claim, ahead).await };
        let mut aftermath = Aftermath {
            undeliverable: self.undeliverable.as_ref(),
            reporter: &self.reporter,
            hop: &delivery.host,
            requests: delivery.requests,
            warn_after: self.warn_after,
            lies,
            original: body.as_ref().ok().map(|(body, _)| body.content().header()),
        };
        let whole = body.as_ref().map_or(&[][..], |(body, _)| body.whole());
        self.settle(&claim, &delivery.outcomes, &mut aftermath, (ahead, whole)).await;
    }

    async fn give_back(&self, claim: Claim, ahead: Option<Ahead>) {
        let given = match ahead {
            Some(ahead) => ahead.give_back().await,
            None => self.queue.give_back(claim).await,
        };
        if let Err(error) = given {
            tracing::warn!(%error, "a claim could not be given back; its lease ends it");
        }
    }

    /// Renews the lease; of what went ahead it begins here, with its rows.
    async fn keep(
        &self,
        claim: &Claim,
        bytes: &[u8],
        lies: &mut Place,
        ahead: &mut Option<Ahead>,
    ) -> Result<(), StoreError> {
        let Some(unwritten) = ahead else { return self.queue.renew(claim).await };
        *lies = self.queue.write_down(claim, bytes, unwritten).await?;
        *ahead = None;
        Ok(())
    }

    /// Hands over while the lease is kept. `None`: the claim was lost, or we stop before it ended.
    pub(super) async fn hand_over(
        &self,
        to: &Destination,
        claim: &Claim,
        content: Content<'_>,
        lies: &mut Place,
        ahead: &mut Option<Ahead>,
    ) -> Option<Delivery> {
        let recipients: Vec<EmailAddress> = claim.rows.iter().map(|row| row.recipient.clone()).collect();
        let requests = claim.requests();
        let mail = Transmission { reverse_path: &claim.reverse_path, recipients: &recipients, content };
        let delivery = self.pool.deliver(to, mail, &requests);
        tokio::pin!(delivery);
        let mut renewal = interval_at(Instant::now() + self.renewal, self.renewal);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let patience_is_over = async {
            self.stop.cancelled().await;
            sleep(self.grace).await;
        };
        tokio::pin!(patience_is_over);
        loop {
            tokio::select! {
                delivery = &mut delivery => return Some(delivery),
                () = &mut patience_is_over => return None,
                _ = renewal.tick() => match self.keep(claim, content.whole(), lies, ahead).await {
                    Ok(()) => {}
                    Err(StoreError::RowCount { found, wanted }) => {
                        tracing::warn!(found, wanted, "the claim was lost");
                        return None;
                    }
                    Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
                },
            }
        }
    }

    /// Writes the outcome down, and insists: what was delivered and isn't written down is sent again.
    async fn settle(
        &self,
        claim: &Claim,
        outcomes: &[Outcome],
        aftermath: &mut Aftermath<'_, U>,
        (mut ahead, whole): (Option<Ahead>, &[u8]),
    ) {
        let (in_time, unsettled);
        {
            let first = self.settle_once(claim, outcomes, aftermath, (&mut ahead, whole));
            tokio::pin!(first);
            match tokio::time::timeout(SETTLE_SLOW, &mut first).await {
                Ok(done) => {
                    in_time = done;
                    unsettled = in_time.is_err().then(|| Unsettled::new(&self.unsettled));
                }
                // The lease may end before this does: nothing is claimed until then.
                Err(_) => {
                    unsettled = Some(Unsettled::new(&self.unsettled));
                    in_time = first.await;
                }
            }
        }
        let Err(error) = in_time else { return };
        tracing::error!(%error, "an outcome could not be written down");
        let settled = self.insist(claim, outcomes, aftermath, (&mut ahead, whole)).await;
        drop(unsettled);
        if !settled {
            tracing::error!(outcomes = outcomes.len(), "outcomes are lost: these rows are tried again");
        }
    }

    async fn settle_once(
        &self,
        claim: &Claim,
        outcomes: &[Outcome],
        aftermath: &mut Aftermath<'_, U>,
        (ahead, whole): (&mut Option<Ahead>, &[u8]),
    ) -> Result<(), StoreError> {
        if let Some(unwritten) = ahead {
            let done = if self.queue.is_queued(claim, unwritten).await? {
                aftermath.lies = Place::Blob;
                Ok(End::Queued)
            } else if is_simple(claim, outcomes, aftermath.requests) {
                self.queue.end_ahead(claim, outcomes, unwritten).await.map(|()| End::Over)
            } else {
                self.queue.write_down(claim, whole, unwritten).await.map(|lies| {
                    aftermath.lies = lies;
                    End::Queued
                })
            };
            let end = match done {
                // Not by the commit that was in doubt, which may have been done only now.
                Err(StoreError::RowCount { .. }) if !self.queue.is_queued(claim, unwritten).await? => {
                    tracing::warn!(origin = %claim.origin, "the message was taken by somebody else meanwhile");
                    return Ok(());
                }
                Err(StoreError::RowCount { .. }) => {
                    aftermath.lies = Place::Blob;
                    End::Queued
                }
                done => done?,
            };
            *ahead = None;
            if end == End::Over {
                return Ok(());
            }
        }
        self.queue.settle(claim, outcomes, aftermath).await
    }

    async fn insist(
        &self,
        claim: &Claim,
        outcomes: &[Outcome],
        aftermath: &mut Aftermath<'_, U>,
        (ahead, whole): (&mut Option<Ahead>, &[u8]),
    ) -> bool {
        for _ in 1..SETTLE_TRIES {
            sleep(SETTLE_PAUSE).await;
            if ahead.is_none()
                && let Err(error) = self.queue.renew(claim).await
            {
                tracing::warn!(%error, "the lease could not be renewed");
            }
            match self.settle_once(claim, outcomes, aftermath, (&mut *ahead, whole)).await {
                Ok(()) => return true,
                Err(error) => tracing::error!(%error, "an outcome could not be written down"),
            }
        }
        false
    }

    /// The next hops of a claim's rows.
    fn ways(&self, claim: &Claim) -> Vec<&Destination> {
        let mut ways: Vec<&Destination> = Vec::new();
        for row in &claim.rows {
            let way = self.hops.of(claim.route, row.recipient.domain());
            if !ways.iter().any(|known| std::ptr::eq(*known, way)) {
                ways.push(way);
            }
        }
        ways
    }
}

/// What became of a mail that went ahead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Delivered, and written down.
    Over,
    /// Its outcome is settled as any other's.
    Queued,
}

/// An outcome that isn't written down yet.
struct Unsettled<'a>(&'a watch::Sender<usize>);

impl<'a> Unsettled<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|waiting| *waiting += 1);
        Self(count)
    }
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

fn delivery_span(claim: &Claim) -> Span {
    tracing::info_span!("delivery", origin = %claim.origin, body_id = %claim.body_id)
}
