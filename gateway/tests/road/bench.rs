//! A gateway on a workbench: temporary stores, a clock that stands still, and hands for what the world around it does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sealpost_gateway::keyring::{Keyring, MasterSource};
use sealpost_gateway::notify::Letterhead;
use sealpost_gateway::pickups::{self, Pickup};
use sealpost_gateway::pipeline::Stores;
use sealpost_gateway::policy::Policy;
use sealpost_gateway::queue::{Kind, Queue, Selection};
use sealpost_gateway::smtp::{Client, Door, Intake, ReceivedMessage};
use sealpost_gateway::{BodyType, Envelope, Gateway, Rejection, ReversePath, Settings, addresses};
use sealpost_texts::Organisation;
use sealpost_vault::bell::{self, Listener, Ringer};
use sealpost_vault::db::{Db, Schema};
use sealpost_vault::errands::{self, Answer, Errand};
use sealpost_vault::id::{ErrandId, PickupId, QueueId};
use sealpost_vault::{BlobStore, Clock, EmailAddress, Time, access, letters};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::mail::Queued;
use crate::postgres::Postgres;
use crate::reader::Reader;

pub const START: Time = 1_750_000_000;
pub const LIFETIME: Time = 30 * 24 * 3600;
pub const SENDER: &str = "weber@klinik.example";

/// Longer than anything takes here: what isn't done by then never will be.
const PATIENCE: Duration = Duration::from_secs(60);

/// Marked mail is held for everybody but the press, which must not get any, the archive, which gets it as it is, and friends,
/// who get it encrypted where they have a key. The tax adviser gets everything encrypted or not at all.
const POLICY: &str = r#"
[[rule]]
name = "press"
when = { subject-tag = true, to = ["@paper.example"] }
then = "refuse"

[[rule]]
name = "archive"
when = { subject-tag = true, to = ["@archive.example"] }
then = "relay"

[[rule]]
name = "tax adviser"
when = { to = ["@steuer.example"] }
then = "openpgp"

[[rule]]
name = "friends"
when = { subject-tag = true, to = ["@friends.example"] }
then = "best"

[[rule]]
name = "wish"
when = { protect = ["openpgp"] }
then = "openpgp"

[[rule]]
name = "hold what is marked"
when = { subject-tag = true }
then = "hold"

[default]
then = "relay"
"#;

pub struct Road {
    directory: tempfile::TempDir,
    pub clock: Clock,
    pub keyring: Arc<Keyring>,
    pub stores: Stores,
    pub queue: Queue,
    pub gateway: Arc<Gateway>,
}

pub fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

pub fn reverse_path(text: &str) -> ReversePath {
    if text.is_empty() { ReversePath::Null } else { ReversePath::Address(address(text)) }
}

/// A mail that is to be held, as Dr. Weber's mail program writes it.
pub fn marked(to: &str) -> String {
    format!(
        "From: Dr. Weber <{SENDER}>\r\nTo: {to}\r\nSubject: [secure] Befund\r\nMessage-ID: <first@klinik.example>\r\n\r\n\
         Guten Tag\r\n"
    )
}

impl Road {
    pub async fn sqlite() -> Self {
        let file = |directory: &Path, name: &str| format!("sqlite:{}", directory.join(name).display());
        Self::new(|directory| (file(directory, "vault.db"), file(directory, "gateway.db"))).await
    }

    pub async fn postgres(server: &Postgres, name: &str) -> Self {
        // Names of databases are cut after 63 bytes.
        let url = server.database(&name.chars().take(60).collect::<String>());
        Self::new(|_| (url.clone(), url.clone())).await
    }

    async fn new(urls: impl FnOnce(&Path) -> (String, String)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path();
        let (vault, own) = urls(home);
        let stores = Stores {
            vault: Db::connect(&vault, Schema::Vault).await.unwrap(),
            vault_blobs: BlobStore::local(&home.join("vault-blobs")).unwrap(),
            own: Db::connect(&own, Schema::Gateway).await.unwrap(),
            own_blobs: BlobStore::local(&home.join("own-blobs")).unwrap(),
        };
        stores.vault.migrate().await.unwrap();
        stores.own.migrate().await.unwrap();
        let clock = Clock::fixed(START);
        let keyring = Arc::new(
            Keyring::create(
                &home.join("keys"),
                &MasterSource::beside(&home.join("keys")),
                "Klinik",
                "post@klinik.example",
                START,
            )
            .unwrap(),
        );
        letters::publish_certificate(&stores.vault, &keyring.fingerprint_hex(), &keyring.certificate(), START)
            .await
            .unwrap();
        let queue = Queue::new(stores.own.clone(), stores.own_blobs.clone(), keyring.clone(), clock.clone());
        let settings = Settings {
            hostname: "gw.klinik.example".into(),
            inside_domains: vec!["klinik.example".into(), "labor.example".into(), "sub.klinik.example".into()],
            reply_domain: addresses::ReplyDomain::new("reply.klinik.example".into()),
            postmaster: address("postmaster@klinik.example"),
            letter_lifetime: Duration::from_secs(LIFETIME.unsigned_abs()),
            queue_lifetime: Duration::from_secs(5 * 24 * 3600),
            heavy: 2,
            free_space_floor: 0,
            state_directory: home.to_owned(),
        };
        let organisation: Organisation = serde_json::from_value(serde_json::json!({
            "name": "Klinik", "telephone": "+49 30 1234", "portal": "https://letters.klinik.example", "language": "en"
        }))
        .unwrap();
        let letterhead =
            Letterhead { organisation, from: address("post@klinik.example"), hostname: "gw.klinik.example".into() };
        let gateway = Gateway::new(
            settings,
            keyring.clone(),
            Policy::from_toml(POLICY).unwrap(),
            letterhead,
            stores.clone(),
            queue.clone(),
            Ringer::new(&stores.vault, home, bell::Door::Portal),
            clock.clone(),
        );
        Self { directory, clock, keyring, stores, queue, gateway: Arc::new(gateway) }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }

    pub fn pass(&self, seconds: Time) {
        self.clock.set(self.now() + seconds);
    }

    // --- the internal mail server ---

    /// One SMTP transaction: the refusal that ends it, or the id that was accepted.
    pub async fn submit(&self, from: &str, to: &[&str], text: &str) -> Result<QueueId, Rejection> {
        self.submit_at(Door::Inside, from, to, text).await
    }

    pub async fn submit_at(&self, door: Door, from: &str, to: &[&str], text: &str) -> Result<QueueId, Rejection> {
        let client = Client::new([192, 0, 2, 1].into(), "mail.klinik.example", door);
        let reverse_path = reverse_path(from);
        let recipients: Vec<EmailAddress> = to.iter().map(|to| address(to)).collect();
        for recipient in &recipients {
            self.gateway.recipient(&client, &reverse_path, recipient).await?;
        }
        self.gateway.ready().await?;
        let queue_id = QueueId::random().unwrap();
        let envelope = Envelope::plain(reverse_path, recipients, BodyType::SevenBit);
        let bytes = text.as_bytes().to_vec();
        let received_at = self.now();
        self.gateway.message(ReceivedMessage { queue_id, envelope, client, received_at, bytes }).await?;
        Ok(queue_id)
    }

    /// Lets a worker take what is due in the spool; what fails stays there and waits.
    pub async fn carry(&self) {
        let stop = CancellationToken::new();
        let worker = tokio::spawn(self.gateway.clone().work(stop.clone()));
        until(async || {
            let waiting = self.gateway.spool().list().await.unwrap();
            waiting.iter().all(|message| message.next_at > self.now()).then_some(())
        })
        .await;
        stop.cancel();
        worker.await.unwrap();
    }

    /// Accepted and carried.
    pub async fn send(&self, from: &str, to: &[&str], text: &str) {
        self.submit(from, to, text).await.unwrap();
        self.carry().await;
    }

    /// A held letter as its reader's browser has it after the notification and a code.
    pub async fn letter_to(&self, reader: &str) -> Reader {
        self.send(SENDER, &[reader], &marked(reader)).await;
        self.only_reader().await
    }

    /// Of the one notification that is queued; it is delivered.
    pub async fn only_reader(&self) -> Reader {
        let mails = self.deliver().await;
        let [notification] = mails.as_slice() else { panic!("not one mail: {mails:?}") };
        Reader::of(self, notification).await
    }

    // --- the next hops ---

    /// What waits in the queue, oldest first.
    pub async fn queued(&self) -> Vec<Queued> {
        Queued::all(self).await
    }

    /// What waits leaves.
    pub async fn deliver(&self) -> Vec<Queued> {
        let mails = self.queued().await;
        self.queue.delete(Selection::All).await.unwrap();
        mails
    }

    /// Kind and recipient of each mail that waits, sorted; they stay.
    pub async fn waiting(&self) -> Vec<(Kind, String)> {
        let mut waiting: Vec<_> =
            self.queue.list().await.unwrap().into_iter().map(|row| (row.kind, row.recipient.to_string())).collect();
        waiting.sort_by_key(|(kind, to)| (kind.as_str(), to.clone()));
        waiting
    }

    // --- the portal ---

    pub async fn ask(&self, errand: &Errand) -> Answer {
        self.ask_as(ErrandId::random().unwrap(), errand).await
    }

    pub async fn ask_as(&self, errand_id: ErrandId, errand: &Errand) -> Answer {
        errands::ask(&self.stores.vault, errand_id, errand, self.now()).await.unwrap();
        self.answered(errand_id).await
    }

    /// Many at once, as the gateway finds them when it comes back.
    pub async fn ask_all(&self, asked: &[Errand]) -> Vec<Answer> {
        let mut ids = Vec::with_capacity(asked.len());
        for errand in asked {
            let errand_id = ErrandId::random().unwrap();
            errands::ask(&self.stores.vault, errand_id, errand, self.now()).await.unwrap();
            ids.push(errand_id);
        }
        let stop = CancellationToken::new();
        let bell = Listener::bind(&self.stores.vault, self.directory.path(), bell::Door::Gateway);
        let office = tokio::spawn(self.gateway.clone().answer_errands(bell, stop.clone()));
        let mut answers = Vec::with_capacity(asked.len());
        for errand_id in ids {
            answers.push(until(async || errands::answer(&self.stores.vault, errand_id).await.unwrap()).await);
        }
        stop.cancel();
        office.await.unwrap();
        answers
    }

    /// The gateway died after its own commit: the answer was never written. It is asked again.
    pub async fn ask_again_after_a_crash(&self, errand_id: ErrandId) -> Answer {
        let done = sqlx::query("delete from errand_answers where errand_id = $1")
            .bind(errand_id.to_string())
            .execute(self.stores.vault.writer())
            .await
            .unwrap();
        assert_eq!(done.rows_affected(), 1);
        self.answered(errand_id).await
    }

    /// Asked before the gateway looks: it answers them at once.
    pub async fn ask_together(&self, errands: &[Errand]) -> Vec<Answer> {
        let mut ids = Vec::new();
        for errand in errands {
            let errand_id = ErrandId::random().unwrap();
            errands::ask(&self.stores.vault, errand_id, errand, self.now()).await.unwrap();
            ids.push(errand_id);
        }
        let mut answers = Vec::new();
        let (stop, office) = self.office();
        for errand_id in ids {
            answers.push(until(async || errands::answer(&self.stores.vault, errand_id).await.unwrap()).await);
        }
        stop.cancel();
        office.await.unwrap();
        answers
    }

    fn office(&self) -> (CancellationToken, JoinHandle<()>) {
        let stop = CancellationToken::new();
        let bell = Listener::bind(&self.stores.vault, self.directory.path(), bell::Door::Gateway);
        let office = tokio::spawn(self.gateway.clone().answer_errands(bell, stop.clone()));
        (stop, office)
    }

    async fn answered(&self, errand_id: ErrandId) -> Answer {
        let (stop, office) = self.office();
        let answer = until(async || errands::answer(&self.stores.vault, errand_id).await.unwrap()).await;
        stop.cancel();
        office.await.unwrap();
        answer
    }

    /// Whether a browser that proved itself would get the letter.
    pub async fn is_readable(&self, pickup: PickupId) -> bool {
        let letter = access::letter(&self.stores.vault, pickup, self.now()).await.unwrap();
        letter.is_some_and(|letter| letter.by_link.is_some())
    }

    pub async fn pickup(&self, pickup: PickupId) -> Pickup {
        pickups::find(&self.stores.own, pickup).await.unwrap().expect("a pickup")
    }

    /// What the audit says, oldest first: whole records.
    pub async fn recorded(&self, kind: &str) -> Vec<serde_json::Value> {
        let rows: Vec<(String,)> = sqlx::query_as("select body from audit_records order by position")
            .fetch_all(self.stores.own.reader())
            .await
            .unwrap();
        let records = rows.into_iter().map(|(body,)| serde_json::from_str::<serde_json::Value>(&body).unwrap());
        records.filter(|record| record["kind"] == kind).collect()
    }

    /// Something that a broken portal does to the vault, or nobody should do to the gateway's own store.
    pub async fn tamper(db: &Db, statement: &'static str, bytes: &[u8]) {
        let done = sqlx::query(statement).bind(bytes).execute(db.writer()).await.unwrap();
        assert!(done.rows_affected() > 0, "{statement}");
    }

    /// Rows of a table of the vault.
    pub async fn vault_rows(&self, table: &'static str) -> i64 {
        let statement = match table {
            "letters" => "select count(*) from letters",
            "contents" => "select count(*) from contents",
            "parts" => "select count(*) from parts",
            "pickups" => "select count(*) from pickups",
            "shares" => "select count(*) from shares",
            "key_packets" => "select count(*) from key_packets",
            "accounts" => "select count(*) from accounts",
            "account_keys" => "select count(*) from account_keys",
            other => panic!("{other}"),
        };
        let (count,): (i64,) = sqlx::query_as(statement).fetch_one(self.stores.vault.reader()).await.unwrap();
        count
    }
}

pub async fn until<T>(mut there: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(there) = there().await {
                return there;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it never happened")
}
