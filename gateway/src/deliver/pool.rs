//! Connections that are kept: one mail after the other goes over the same ones, and each host has at most so many.
//!
//! A connection belongs to its host and TLS mode. It begins its next mail with RSET, is given up after some mails or when it
//! was idle for long, and one that turns out to be dead costs nothing: the mail goes over a fresh one. Where a host can't
//! be reached, the destination's next one is tried at once; a host that failed goes last for a while, and one that let us
//! wait isn't waited for again in that time, so that it can't hold all workers.
//!
//! Security: what is kept under required TLS was verified for that very host name.
//! Standards: RFC 5321 5.1 (more than one host), 3.1 and 4.1.1.5 (several transactions, RSET).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sealpost_vault::EmailAddress;
use sealpost_vault::id::random;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{Client, Connection};
use super::transaction::Reached;
use super::wire::Broken;
use super::{Destination, Failure, NextHop, Outcome, Requests, Taken, Transmission};

/// How often connections that were idle for too long are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// How much of a next hop's room we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections to one host at a time.
    pub connections: usize,
    /// Mails over one connection.
    pub mails: u32,
    /// After so long without a mail a connection is closed.
    pub idle: Duration,
    /// How long a host that couldn't be reached is remembered as such.
    pub down: Duration,
    /// How long a mail waits for a connection to get free.
    pub wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20,
            mails: 1_000,
            idle: Duration::from_secs(10),
            down: Duration::from_secs(60),
            wait: Duration::from_secs(30),
        }
    }
}

/// What came of one mail.
#[derive(Debug)]
pub struct Delivery {
    /// One for each recipient, in their order.
    pub outcomes: Vec<Outcome>,
    /// The host that was tried last, and took it where anybody did.
    pub host: String,
    /// Whether that host was told what the sender asked for.
    pub requests: Taken,
}

/// Hands mails over, and keeps connections.
pub struct Pool {
    client: Client,
    limits: Limits,
    /// Named by the configuration, so there are few.
    hosts: Mutex<HashMap<NextHop, Host>>,
}

struct Host {
    places: Arc<Semaphore>,
    idle: Vec<Kept>,
    down: Option<Down>,
}

struct Kept {
    connection: Connection,
    since: Instant,
    mails: u32,
}

#[derive(Clone)]
struct Down {
    until: Instant,
    failure: Failure,
    pace: Pace,
}

/// How a host failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// At once: asking again costs nothing.
    Quick,
    /// After a wait.
    Slow,
}

/// What came of one mail at one host.
enum Tried {
    /// The rest is for another host.
    NotThere(Failure),
    /// The rest is for later.
    Over(Failure),
}

impl Pool {
    pub fn new(client: Client, limits: Limits) -> Self {
        Self { client, limits, hosts: Mutex::default() }
    }

    /// Hands one mail over. Never fails as such: what went wrong is each recipient's outcome.
    pub async fn deliver(&self, to: &Destination, mail: Transmission<'_>, requests: &Requests) -> Delivery {
        let mut delivery = Open::new(mail, requests);
        let mut last = Failure::ours("4.4.1", "There is no next hop");
        for hop in self.order(to) {
            hop.host.clone_into(&mut delivery.host);
            last = match self.resting(hop) {
                Some(failure) => failure,
                None => match self.hand_over(hop, mail, &mut delivery).await {
                    Tried::NotThere(failure) => failure,
                    Tried::Over(failure) => return delivery.close(&failure),
                },
            };
            if !delivery.is_open() {
                break;
            }
        }
        delivery.close(&last)
    }

    /// Over kept connections as long as they turn out to be dead, then over a fresh one.
    async fn hand_over(&self, hop: &NextHop, mail: Transmission<'_>, delivery: &mut Open<'_>) -> Tried {
        let places = self.with(hop, |host| Arc::clone(&host.places));
        let _place = match timeout(self.limits.wait, places.acquire()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Tried::NotThere(Broken::Closed.failure()),
            // All that are there hang. Whoever waits for one more keeps mail to others from going its way.
            Err(_) => {
                tracing::warn!(hop = %hop.host, port = hop.port, "no connection gets free");
                let failure = Failure::ours("4.4.5", "All connections to the next hop are busy");
                self.rest(hop, failure.clone(), Pace::Slow);
                return Tried::NotThere(failure);
            }
        };
        loop {
            let (mut connection, mails) = match self.kept(hop) {
                Some(kept) => kept,
                None => match self.connect(hop).await {
                    Ok(connection) => (connection, 0),
                    Err(failure) => return Tried::NotThere(failure),
                },
            };
            let (open, recipients, requests) = delivery.rest();
            let part = Transmission { recipients: &recipients, ..mail };
            let transaction = timeout(self.client.timeouts.whole, connection.run(part, &requests));
            let Ok(mut ended) = transaction.await else {
                // Whatever had been accepted just then is sent twice; a mail that is lost would be worse.
                return Tried::Over(Broken::TooSlow.failure());
            };
            delivery.requests = connection.takes_requests();
            for (n, outcome) in ended.verdicts() {
                if let Some(n) = open.get(n) {
                    delivery.set(*n, outcome);
                }
            }
            let failure = ended.failure();
            if let Some(connection) = connection.if_usable() {
                self.keep(hop, connection, mails + 1);
                return Tried::Over(failure);
            }
            if ended.reached() == Reached::Content || !delivery.is_open() {
                return Tried::Over(failure);
            }
            if mails == 0 {
                return Tried::NotThere(failure);
            }
        }
    }

    async fn connect(&self, hop: &NextHop) -> Result<Connection, Failure> {
        let began = Instant::now();
        let connected = timeout(self.client.timeouts.whole, self.client.connect(hop)).await;
        match connected.unwrap_or(Err(Broken::TooSlow)) {
            Ok(connection) => {
                self.with(hop, |host| host.down = None);
                Ok(connection)
            }
            Err(broken) => {
                tracing::info!(hop = %hop.host, port = hop.port, error = ?broken, "no connection");
                let failure = broken.failure();
                let pace = if began.elapsed() < LOOK { Pace::Quick } else { Pace::Slow };
                self.rest(hop, failure.clone(), pace);
                Err(failure)
            }
        }
    }

    /// Nothing is asked of it for a while.
    fn rest(&self, hop: &NextHop, failure: Failure, pace: Pace) {
        let down = Down { until: Instant::now() + self.limits.down, failure, pace };
        self.with(hop, |host| host.down = Some(down));
    }

    /// Those that were down a moment ago come last.
    fn order<'a>(&self, to: &'a Destination) -> Vec<&'a NextHop> {
        let random = random::<4>().map_or(0, u32::from_be_bytes);
        let mut order = to.order(random);
        order.sort_by_key(|hop| self.with(hop, |host| host.is_down()));
        order
    }

    /// Why this host isn't waited for again now.
    fn resting(&self, hop: &NextHop) -> Option<Failure> {
        self.with(hop, |host| {
            let down = host.down.as_ref().filter(|down| down.until > Instant::now() && down.pace == Pace::Slow);
            down.map(|down| down.failure.clone())
        })
    }

    /// A kept connection, and how many mails went over it.
    fn kept(&self, hop: &NextHop) -> Option<(Connection, u32)> {
        loop {
            let kept = self.with(hop, |host| host.idle.pop())?;
            if kept.since.elapsed() < self.limits.idle
                && let Some(connection) = kept.connection.if_still_quiet()
            {
                return Some((connection, kept.mails));
            }
        }
    }

    fn keep(&self, hop: &NextHop, connection: Connection, mails: u32) {
        if mails >= self.limits.mails || self.limits.idle.is_zero() {
            tokio::spawn(connection.quit());
            return;
        }
        let kept = Kept { connection, since: Instant::now(), mails };
        self.with(hop, |host| host.idle.push(kept));
    }

    /// Says goodbye on connections that were idle for too long, until `stop`; then on all.
    pub async fn keep_tidy(&self, stop: &CancellationToken) {
        while timeout(LOOK, stop.cancelled()).await.is_err() {
            for connection in self.idle_for(self.limits.idle) {
                tokio::spawn(connection.quit());
            }
        }
    }

    /// Says goodbye on all connections.
    pub async fn close(&self) {
        futures::future::join_all(self.idle_for(Duration::ZERO).into_iter().map(Connection::quit)).await;
    }

    fn idle_for(&self, least: Duration) -> Vec<Connection> {
        let mut idle = Vec::new();
        for host in self.lock().values_mut() {
            let (old, young): (Vec<Kept>, Vec<Kept>) =
                std::mem::take(&mut host.idle).into_iter().partition(|kept| kept.since.elapsed() >= least);
            host.idle = young;
            idle.extend(old.into_iter().map(|kept| kept.connection));
        }
        idle
    }

    fn with<T>(&self, hop: &NextHop, work: impl FnOnce(&mut Host) -> T) -> T {
        let mut hosts = self.lock();
        if let Some(host) = hosts.get_mut(hop) {
            return work(host);
        }
        let places = Arc::new(Semaphore::new(self.limits.connections.max(1)));
        work(hosts.entry(hop.clone()).or_insert(Host { places, idle: Vec::new(), down: None }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NextHop, Host>> {
        // Nothing that is done under the lock can leave it half done.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    fn is_down(&self) -> bool {
        self.down.as_ref().is_some_and(|down| down.until > Instant::now())
    }
}

/// A mail on its way, as far as its recipients have no verdicts.
struct Open<'a> {
    outcomes: Vec<Option<Outcome>>,
    recipients: &'a [EmailAddress],
    asked: &'a Requests,
    host: String,
    requests: Taken,
}

impl<'a> Open<'a> {
    fn new(mail: Transmission<'a>, asked: &'a Requests) -> Self {
        Self {
            outcomes: mail.recipients.iter().map(|_| None).collect(),
            recipients: mail.recipients,
            asked,
            host: String::new(),
            requests: Taken::Not,
        }
    }

    fn set(&mut self, n: usize, outcome: Outcome) {
        if let Some(open) = self.outcomes.get_mut(n) {
            *open = Some(outcome);
        }
    }

    fn is_open(&self) -> bool {
        self.outcomes.iter().any(Option::is_none)
    }

    /// Who has no verdict: where they stand, and what was asked for them.
    fn rest(&self) -> (Vec<usize>, Vec<EmailAddress>, Requests) {
        let open: Vec<usize> =
            self.outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_none()).map(|(n, _)| n).collect();
        let recipients = open.iter().filter_map(|n| self.recipients.get(*n).cloned()).collect();
        let requests = Requests {
            recipients: open.iter().map(|n| self.asked.recipients.get(*n).cloned().unwrap_or_default()).collect(),
            ..self.asked.clone()
        };
        (open, recipients, requests)
    }

    fn close(self, failure: &Failure) -> Delivery {
        let later = || Outcome::Later(failure.clone());
        Delivery {
            outcomes: self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(later)).collect(),
            host: self.host,
            requests: self.requests,
        }
    }
}

#[cfg(test)]
mod tests;
