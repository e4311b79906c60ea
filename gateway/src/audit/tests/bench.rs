//! A chain on a workbench: a store, a key, a clock that stands still, and the hands of whoever can write the database.

use std::sync::Arc;

use ring::signature::{Ed25519KeyPair, KeyPair};
use sqlx::AssertSqlSafe;

use sealpost_vault::clock::{Clock, Time};
use sealpost_vault::db::{Db, Schema};
use sealpost_vault::id::PickupId;

use crate::audit::chain::{BEGINNING, link};
use crate::audit::sequencer::hash_of;
use crate::audit::*;
use crate::queue::postgres::Postgres;

pub(super) const START: Time = 1_800_000_000;

pub(super) struct TestKey(Ed25519KeyPair);

impl TestKey {
    pub(super) fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }
}

impl Signer for TestKey {
    fn organisation(&self) -> Hash {
        [7; 32]
    }
    fn public(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).as_ref().try_into().unwrap()
    }
}

/// A store, its sequencer and its head file.
pub(super) struct Bench {
    pub(super) directory: tempfile::TempDir,
    pub(super) store: Db,
    pub(super) clock: Clock,
    pub(super) key: Arc<TestKey>,
    pub(super) sequencer: Sequencer<TestKey>,
}

impl Bench {
    pub(super) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("gateway.db").display());
        Self::new(directory, &url).await
    }

    pub(super) async fn postgres(server: &Postgres, name: &str) -> Self {
        Self::new(tempfile::tempdir().unwrap(), &server.database(name)).await
    }

    async fn new(directory: tempfile::TempDir, url: &str) -> Self {
        let store = Db::connect(url, Schema::Gateway).await.unwrap();
        store.migrate().await.unwrap();
        let (clock, key) = (Clock::fixed(START), Arc::new(TestKey::new(1)));
        let sequencer =
            Sequencer::new(store.clone(), Arc::clone(&key), clock.clone(), directory.path().join("audit-head"));
        Self { directory, store, clock, key, sequencer }
    }

    pub(super) fn head_file(&self) -> std::path::PathBuf {
        self.directory.path().join("audit-head")
    }

    /// A sequencer that knows nothing yet, as after a restart.
    pub(super) fn restarted(&self) -> Sequencer<TestKey> {
        Sequencer::new(self.store.clone(), Arc::clone(&self.key), self.clock.clone(), self.head_file())
    }

    pub(super) async fn happen(&self, number: u8) {
        let mut transaction = self.store.begin().await.unwrap();
        let event = Event::Released { pickup: PickupId::from_bytes([number; 16]) };
        record(&mut transaction, event, self.clock.now()).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Ten records chained in this hour, ten in the next: heads of records 10 and 20.
    pub(super) async fn twenty(&self) {
        for hour in 0..2 {
            for number in 1..=10 {
                self.happen(10 * hour + number).await;
            }
            self.sequencer.catch_up().await.unwrap();
            self.clock.set(self.clock.now() + 3_600);
        }
    }

    pub(super) fn trusted(&self) -> Trusted {
        Trusted { keys: vec![self.key.public()], organisation: Some(self.key.organisation()) }
    }

    pub(super) async fn findings(&self) -> Findings {
        verify(&self.store, &self.trusted(), &self.head_file(), Vec::new(), self.clock.now()).await.unwrap()
    }

    pub(super) async fn faults(&self) -> Vec<Fault> {
        self.findings().await.faults
    }

    pub(super) async fn sql(&self, statement: &str) {
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(self.store.writer()).await.unwrap();
    }

    pub(super) async fn body(&self, n: i64) -> String {
        let (body,): (String,) = sqlx::query_as("select body from audit_chain where n = $1")
            .bind(n)
            .fetch_one(self.store.reader())
            .await
            .unwrap();
        body
    }

    pub(super) async fn set_body(&self, n: i64, body: &str) {
        sqlx::query("update audit_chain set body = $1 where n = $2")
            .bind(body.to_owned())
            .bind(n)
            .execute(self.store.writer())
            .await
            .unwrap();
    }

    /// Gives records from `first` to `last` other numbers.
    pub(super) async fn renumber(&self, first: i64, last: i64, by: i64) {
        let far = 1_000_000;
        self.sql(&format!("update audit_chain set n = n + {far} where n >= {first} and n <= {last}")).await;
        self.sql(&format!("update audit_chain set n = n - {} where n >= {far}", far - by)).await;
    }

    /// What somebody with the source and without the key does: all hashes from `n` on are made anew.
    pub(super) async fn rehash(&self, n: i64) {
        let mut previous = match n {
            1 => BEGINNING,
            _ => hash_of(&self.store, n - 1).await.unwrap().unwrap(),
        };
        let rows: Vec<(i64, String)> = sqlx::query_as("select n, body from audit_chain where n >= $1 order by n")
            .bind(n)
            .fetch_all(self.store.reader())
            .await
            .unwrap();
        for (n, body) in rows {
            previous = link(n, &previous, &sealpost_vault::derive::sha256(body.as_bytes())).unwrap();
            sqlx::query("update audit_chain set hash = $1 where n = $2")
                .bind(previous.as_slice())
                .bind(n)
                .execute(self.store.writer())
                .await
                .unwrap();
        }
    }

    /// One more record, as somebody with the source and without the key makes it.
    pub(super) async fn forge(&self, n: i64, body: &str) {
        sqlx::query("insert into audit_chain (n, hash, body) values ($1, $2, $3)")
            .bind(n)
            .bind([9_u8; 32].as_slice())
            .bind(body.to_owned())
            .execute(self.store.writer())
            .await
            .unwrap();
    }

    pub(super) async fn export(&self, start: Start) -> String {
        let mut out = Vec::new();
        export(&self.store, self.key.organisation(), start, &mut out).await.unwrap();
        String::from_utf8(out).unwrap()
    }

    pub(super) fn export_faults(&self, text: &str) -> Vec<Fault> {
        verify_export(text.as_bytes(), &self.trusted(), Vec::new()).unwrap().faults
    }
}
