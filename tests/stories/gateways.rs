//! Two gateways on one PostgreSQL share the work, and when one dies the other ends what it had begun; once. On SQLite there
//! is one, and a second that is started by mistake takes nothing from it.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::hop::{Hop, Mood};
use crate::patience::{PATIENCE, until};
use crate::ports;
use crate::postgres::Postgres;
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup};
use crate::smtp;
use crate::world::{READER, SENDER, shared};

/// In seconds: how long a dead gateway's spooled messages are left to it.
const LEASE: u32 = 600;
/// A dead gateway's queue is left to it for half a minute.
const QUEUES_LEASE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Relayed,
    Held,
}

struct Pair {
    one: Sealpost,
    two: Sealpost,
    hop: Hop,
    postgres: Postgres,
    sent: Vec<(String, Way)>,
    _scratch: Scratch,
}

impl Pair {
    async fn start() -> Self {
        let scratch = Scratch::new();
        let postgres = Postgres::start(&scratch).await;
        let hop = Hop::start(ports::free());
        let mut setup = Setup::between(hop.port(), hop.port());
        setup.store = shared(&postgres);
        let mut one = Sealpost::prepare(&scratch, setup.clone());
        one.command(&["init"]);
        let mut two = one.beside(Setup { smtp: ports::free(), returns: ports::free(), ..setup });
        one.open_gateway().await;
        two.open_gateway().await;
        Self { one, two, hop, postgres, sent: Vec::new(), _scratch: scratch }
    }

    /// Through one of their doors.
    async fn submit(&mut self, port: u16, way: Way, size: usize) {
        let recipient = format!("person-{}@mail.example", self.sent.len());
        let subject = if way == Way::Held { "[secure] x" } else { "x" };
        let mut mail = format!("From: {SENDER}\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\n");
        while mail.len() < size {
            mail.push_str("0123456789012345678901234567890123456789012345678901234567890123456789\r\n");
        }
        let outcome = smtp::send(port, SENDER, &[&recipient], mail.as_bytes()).await;
        assert!(outcome.accepted(), "{outcome:?}");
        self.sent.push((recipient, way));
    }

    /// By both doors in turn, both ways, some large.
    async fn submit_some(&mut self, messages: usize) {
        for n in 0..messages {
            let port = if n % 2 == 0 { self.one.setup().smtp } else { self.two.setup().smtp };
            let way = if n % 3 == 0 { Way::Held } else { Way::Relayed };
            self.submit(port, way, if n % 10 == 9 { 200_000 } else { 500 }).await;
        }
    }

    fn ask(&self, query: &str) -> i64 {
        self.postgres.psql("sealpost", query).trim().parse().unwrap()
    }

    /// Recipients that have their mail.
    fn arrived(&self) -> BTreeMap<String, usize> {
        let mut arrived = BTreeMap::new();
        for taken in self.hop.taken() {
            for recipient in taken.recipients {
                *arrived.entry(recipient).or_default() += 1;
            }
        }
        arrived
    }

    async fn until_arrived(&self, what: &str, patience: Duration, messages: usize) {
        until(what, patience, async || (self.arrived().len() == messages).then_some(())).await;
    }

    /// Everything came once, as what it was, and nothing is left.
    async fn ends_with_everything_once(&self, what: &str) {
        self.until_arrived(what, PATIENCE, self.sent.len()).await;
        until("an empty queue", PATIENCE, async || {
            (self.two.command(&["queue", "list"]).trim() == "nothing waits").then_some(())
        })
        .await;
        assert!(self.arrived().values().all(|times| *times == 1), "{what}: {:?}", self.arrived());
        for taken in self.hop.taken() {
            let (_, way) = self.sent.iter().find(|(recipient, _)| *recipient == taken.recipients[0]).unwrap();
            let text = String::from_utf8_lossy(&taken.bytes);
            assert_eq!(text.contains("/p/"), *way == Way::Held, "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_share_one_postgres_and_one_ends_the_others_work() {
    let mut pair = Pair::start().await;
    let (one, two) = (pair.one.setup().smtp, pair.two.setup().smtp);
    pair.submit_some(30).await;
    pair.ends_with_everything_once("what goes at once").await;

    // What waits is due for both at the same moment.
    pair.hop.is(Mood::NotThisRecipient);
    pair.submit_some(60).await;
    let tried = "select count(*) from gateway.queue where attempts > 0 and claimed_until = 0";
    until("a first attempt at everything", PATIENCE, async || (pair.ask(tried) == 60).then_some(())).await;
    pair.hop.is(Mood::Up);
    pair.one.command(&["queue", "retry", "--all"]);
    pair.ends_with_everything_once("what was tried again").await;

    // One dies while its mail is on its way, and while its letters are being sealed.
    pair.hop.is(Mood::Hanging);
    let before = pair.sent.len();
    for n in 0..9 {
        pair.submit(if n < 6 { one } else { two }, Way::Relayed, if n == 0 { 200_000 } else { 500 }).await;
    }
    let mut vault = PgConnection::connect(&pair.postgres.url("postgres", "sealpost")).await.unwrap();
    let mut locked = vault.begin().await.unwrap();
    sqlx::raw_sql("lock table vault.letters in share row exclusive mode").execute(&mut *locked).await.unwrap();
    for n in 0..6 {
        pair.submit(if n < 4 { one } else { two }, Way::Held, if n == 0 { 200_000 } else { 500 }).await;
    }
    assert_eq!(pair.ask("select count(*) from gateway.spool"), 6);
    let claimed = "select count(*) from gateway.spool where claimed_until > 0";
    until("all of them in somebody's hands", PATIENCE, async || (pair.ask(claimed) == 6).then_some(())).await;
    pair.one.kill().await;
    // Started again at once, it takes nothing from the living one, nor what may be its.
    let living: Vec<String> = pair.sent[before + 6..before + 9].iter().map(|(to, _)| format!("'{to}'")).collect();
    let claims = format!(
        "select queue_id, claim from gateway.spool
         union select queue_id, claim from gateway.queue where recipient in ({}) order by 1",
        living.join(", ")
    );
    let theirs = pair.postgres.psql("sealpost", &claims);
    assert_eq!(theirs.lines().count(), 9, "{theirs}");
    pair.one.open_gateway().await;
    assert_eq!(pair.postgres.psql("sealpost", &claims), theirs);
    pair.one.kill().await;
    locked.rollback().await.unwrap();
    pair.hop.is(Mood::Up);
    // The living one's own mail leaves; the other's is left alone until its leases end.
    until("the living one's letters", PATIENCE, async || (pair.ask(claimed) == 4).then_some(())).await;
    until("all relayed mail", PATIENCE + QUEUES_LEASE, async || {
        pair.two.command(&["queue", "retry", "--all"]);
        (pair.arrived().len() == pair.sent.len() - 4).then_some(())
    })
    .await;
    assert_eq!(pair.ask(claimed), 4);
    pair.postgres.psql("sealpost", &format!("update gateway.spool set claimed_until = claimed_until - {LEASE}"));
    pair.ends_with_everything_once("what the dead one had").await;

    // It comes back, and has its part of the work again.
    pair.one.open_gateway().await;
    pair.submit_some(10).await;
    pair.ends_with_everything_once("what came after").await;
    assert!(pair.one.stop().await.success() && pair.two.stop().await.success());
    pair.one.command(&["audit", "verify"]);
    let blobs = pair.one.state().join("gateway/blobs");
    for folder in ["spool", "outgoing"] {
        let left = std::fs::read_dir(blobs.join(folder)).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{folder}");
    }
}

/// With SQLite a gateway takes back at its start what a dead one had. It must not be a living one's.
#[tokio::test(flavor = "multi_thread")]
async fn who_finds_another_gateway_at_work_takes_nothing_back() {
    let scratch = Scratch::new();
    let hop = Hop::start(ports::free());
    let mut sealpost = Sealpost::prepare(&scratch, Setup::between(hop.port(), hop.port()));
    sealpost.command(&["init"]);
    sealpost.open_gateway().await;
    hop.is(Mood::Hanging);
    let mail = format!("From: {SENDER}\r\nTo: {READER}\r\nSubject: x\r\n\r\nx\r\n");
    assert!(smtp::send(sealpost.setup().smtp, SENDER, &[READER], mail.as_bytes()).await.accepted());
    let blob = sealpost.state().join("gateway/blobs/outgoing/written-just-now");
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    fs::write(&blob, "x").unwrap();
    let store = SqliteConnectOptions::new().filename(sealpost.state().join("gateway/gateway.db"));
    let mut store = store.connect().await.unwrap();
    let claims = "select claim from queue where claimed_until > 0";
    let before: Vec<(String,)> = sqlx::query_as(claims).fetch_all(&mut store).await.unwrap();
    assert!(before.len() == 1 && !before[0].0.is_empty(), "{before:?}");

    // By the same doors, by others, and as both doors.
    let ports =
        Setup { smtp: ports::free(), returns: ports::free(), portal: ports::free(), ..sealpost.setup().clone() };
    let beside = sealpost.beside(ports);
    let directory = sealpost.state().display().to_string();
    for refused in
        [sealpost.failing(&["serve", "gateway"]), beside.failing(&["serve", "gateway"]), beside.failing(&["serve"])]
    {
        let (code, said) = refused;
        assert!(code == Some(69) && said.contains("another gateway") && said.contains(&directory), "{code:?} {said}");
        let after: Vec<(String,)> = sqlx::query_as(claims).fetch_all(&mut store).await.unwrap();
        assert_eq!(after, before);
        assert!(blob.exists(), "its row may be on its way");
    }
    // Whoever looks after it isn't refused.
    assert!(sealpost.command(&["queue", "list"]).contains(READER));
    for beside in [["keys", "list"].as_slice(), &["audit", "verify"], &["check-config"], &["letters", "list"]] {
        sealpost.command(beside);
    }
    store.close().await.unwrap();

    // A start that finds it free takes all of it back.
    sealpost.kill().await;
    hop.is(Mood::Up);
    sealpost.open_gateway().await;
    until("the mail", PATIENCE, async || (hop.taken().len() == 1).then_some(())).await;
    assert!(!blob.exists(), "nobody's");
}
