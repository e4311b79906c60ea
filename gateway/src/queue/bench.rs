//! A queue on a workbench: its stores in a temporary directory or a test's own server, its clock standing still.

use std::collections::HashMap;
use std::sync::Mutex;

use sealpost_texts::Language;
use tokio_util::sync::CancellationToken;

use super::body::{Body, Place};
use super::claim::Claim;
use super::postgres::Postgres;
use super::settle::Aftermath;
use super::worker::Office;
use super::*;
use crate::deliver::fake::authority;
use crate::deliver::{Client, Failure, Hops, Limits, NextHop, Outcome, Pool, Taken, Timeouts, Trust};
use crate::envelope::{BodyType, Dsn, Envelope, Notify, OriginalRecipient, RecipientDsn, Return, Xtext};
use crate::keyring::MasterSource;

pub(super) const START: Time = 1_800_000_000;

/// The gateway's store and what belongs to it.
pub(super) struct Bench {
    pub(super) directory: tempfile::TempDir,
    pub(super) url: String,
    pub(super) keyring: Arc<Keyring>,
    pub(super) clock: Clock,
    pub(super) queue: Queue,
    pub(super) told: Arc<Told>,
}

/// Remembers what it was told; fails as long as it is out of order.
#[derive(Default)]
pub(super) struct Told {
    pub(super) pickups: Mutex<Vec<(PickupId, String)>>,
    pub(super) out_of_order: Mutex<u32>,
}

impl Undeliverable for Told {
    async fn notification(
        &self,
        pickup: PickupId,
        _tx: &mut Transaction<'static, Any>,
        reply: &str,
    ) -> Result<(), StoreError> {
        let mut failures = self.out_of_order.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(StoreError::Corrupt("as the test wants"));
        }
        self.pickups.lock().unwrap().push((pickup, reply.to_owned()));
        Ok(())
    }
}

pub(super) fn reporter() -> Reporter {
    Reporter::new("gw.klinik.example", address("postmaster@klinik.example"), "Klinik", Language::En).unwrap()
}

pub(super) fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

impl Queue {
    /// All of a body, whether it is sent from memory or not.
    pub(super) async fn bytes(&self, body_id: QueueId) -> Vec<u8> {
        match self.body(body_id).await.unwrap().0 {
            Body::Whole(bytes) => bytes,
            Body::Stored(_) => {
                let blob = self.blobs.fetch(&format!("outgoing/{body_id}"), Vec::new()).await.unwrap();
                self.keyring.spool_read(&body_id, &blob).unwrap()
            }
        }
    }
}

impl Bench {
    pub(super) async fn new(url: impl FnOnce(&std::path::Path) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = url(directory.path());
        let db = Db::connect(&url, sealpost_vault::db::Schema::Gateway).await.unwrap();
        db.migrate().await.unwrap();
        let keys = directory.path().join("keys");
        let keyring = Arc::new(
            Keyring::create(&keys, &MasterSource::beside(&keys), "Klinik", "gateway@klinik.example", START).unwrap(),
        );
        let clock = Clock::fixed(START);
        let blobs = BlobStore::local(&directory.path().join("blobs")).unwrap();
        let queue = Queue::new(db, blobs, keyring.clone(), clock.clone());
        Self { directory, url, keyring, clock, queue, told: Arc::default() }
    }

    pub(super) async fn sqlite() -> Self {
        Self::new(|directory| format!("sqlite:{}", directory.join("gateway.db").display())).await
    }

    pub(super) async fn postgres(server: &Postgres, name: &str) -> Self {
        let url = server.database(name);
        Self::new(|_| url).await
    }

    /// What another process has: the same store by connections of its own.
    pub(super) async fn another_process(&self) -> Queue {
        let db = Db::connect(&self.url, sealpost_vault::db::Schema::Gateway).await.unwrap();
        let blobs = BlobStore::local(&self.directory.path().join("blobs")).unwrap();
        Queue::new(db, blobs, self.keyring.clone(), self.clock.clone())
    }

    pub(super) async fn insert(&self, mail: Mail) {
        let placed = self.queue.place(mail).await.unwrap();
        let mut tx = self.queue.store.begin().await.unwrap();
        self.queue.insert(&mut tx, placed).await.unwrap();
        tx.commit().await.unwrap();
        self.queue.wake();
    }

    /// With a sender's requests: RET, ENVID, for each an ORCPT, and NOTIFY where it isn't empty.
    pub(super) async fn insert_asking(&self, mail: Mail, notify: &[(&str, &str)]) {
        let mut dsn = Dsn::default();
        dsn.ret = Some(Return::Headers);
        dsn.envid = Some(Xtext::envid("QQ+2B1").unwrap());
        for (recipient, notify) in notify.iter().filter(|(_, notify)| !notify.is_empty()) {
            let orcpt = Some(OriginalRecipient::parse("rfc822;A+2B@x.example").unwrap());
            dsn.set(&address(recipient), RecipientDsn { notify: Some(Notify::parse(notify).unwrap()), orcpt });
        }
        let plain = Envelope::plain(mail.reverse_path.clone(), mail.recipients.clone(), BodyType::SevenBit);
        let placed = self.queue.place(mail).await.unwrap().asking(&Envelope { dsn, ..plain });
        let mut tx = self.queue.store.begin().await.unwrap();
        self.queue.insert(&mut tx, placed).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The next report that waits; it is delivered.
    pub(super) async fn report(&self) -> Option<String> {
        let claim = self.claim(Route::Inside).await?;
        assert_eq!((claim.kind, &claim.reverse_path), (Kind::Report, &ReversePath::Null));
        let text = String::from_utf8(self.queue.bytes(claim.body_id).await).unwrap();
        self.settle(&claim, &[delivered()]).await.unwrap();
        Some(text)
    }

    pub(super) async fn settle(&self, claim: &Claim, outcomes: &[Outcome]) -> Result<(), StoreError> {
        let reporter = reporter();
        let original = self.queue.body(claim.body_id).await.ok();
        let aftermath = Aftermath {
            undeliverable: self.told.as_ref(),
            reporter: &reporter,
            hop: "mx.example",
            requests: Taken::Not,
            warn_after: Some(Duration::from_secs(4 * 3_600)),
            lies: original.as_ref().map_or(Place::Blob, |(_, place)| *place),
            original: original.as_ref().map(|(body, _)| body.content().header()),
        };
        self.queue.settle(claim, outcomes, &aftermath).await
    }

    pub(super) async fn claim(&self, route: Route) -> Option<Claim> {
        self.queue.claim(route).await.unwrap()
    }

    pub(super) fn office(&self, queue: Queue, hop: &NextHop, stop: &CancellationToken) -> Arc<Office<Told>> {
        let hops = Hops {
            inside: hop.clone().into(),
            outside: hop.clone().into(),
            domains: HashMap::new(),
            hostname: "gw.klinik.example".to_owned(),
        };
        self.office_to(queue, hops, stop)
    }

    pub(super) fn office_to(&self, queue: Queue, hops: Hops, stop: &CancellationToken) -> Arc<Office<Told>> {
        let client = Client::new(&hops.hostname, Trust::with_roots(authority()).unwrap(), Timeouts::default());
        Arc::new(Office {
            queue,
            pool: Pool::new(client, Limits::default()),
            hops: Arc::new(hops),
            warn_after: Some(Duration::from_secs(4 * 3_600)),
            undeliverable: self.told.clone(),
            reporter: reporter(),
            stop: stop.clone(),
            grace: Duration::from_millis(50),
            renewal: super::claim::RENEWAL,
            unsettled: tokio::sync::watch::Sender::new(0),
        })
    }

    pub(super) async fn rows(&self) -> usize {
        self.queue.list().await.unwrap().len()
    }

    pub(super) async fn bodies(&self) -> i64 {
        let (n,): (i64,) =
            sqlx::query_as("select count(*) from outgoing").fetch_one(self.queue.store.reader()).await.unwrap();
        n
    }

    pub(super) fn blobs(&self) -> usize {
        let outgoing = self.directory.path().join("blobs/outgoing");
        std::fs::read_dir(outgoing).map_or(0, Iterator::count)
    }
}

pub(super) fn mail(kind: Kind, to: &[&str]) -> Mail {
    Mail {
        origin: QueueId::random().unwrap(),
        kind,
        route: if kind == Kind::Answer { Route::Inside } else { Route::Outside },
        reverse_path: ReversePath::Address(address("anna@klinik.example")),
        recipients: to.iter().map(|to| address(to)).collect(),
        bytes: b"From: <anna@klinik.example>\r\nSubject: Lunch\r\n\r\ncanary in the body\r\n".to_vec(),
        pickup: None,
        lifetime: LIFETIME,
    }
}

pub(super) fn refused(text: &str) -> Outcome {
    Outcome::Refused(Failure::ours("5.1.1", text))
}

pub(super) fn deferred(status: &str) -> Outcome {
    Outcome::Later(Failure::ours(status, "not now"))
}

pub(super) fn delivered() -> Outcome {
    Outcome::Delivered("250 ok".to_owned())
}
