//! Claims that are raced for, lost and given back, what an administrator holds, and what is swept: on SQLite and on PostgreSQL.

use std::fs::File;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use tokio::sync::Barrier;

use sealpost_vault::db::Schema;

use super::*;
use crate::envelope::{BodyType, ReversePath};
use crate::keyring::MasterSource;
use crate::queue::postgres::Postgres;
use crate::queue::{Changed, Selection, State};
use crate::smtp::{Client, Door};

const START: Time = 1_800_000_000;
const NOBODY: Changed = Changed { changed: 0, busy: 0 };

macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Bench::sqlite().await).await;
            })+
        }

        /// One server for all of them; each has a database of its own.
        #[tokio::test(flavor = "multi_thread")]
        async fn on_postgres() {
            let server = Postgres::start();
            $(
                println!("{}", stringify!($name));
                $name(Bench::postgres(&server, stringify!($name)).await).await;
            )+
        }
    };
}

scenarios!(
    eight_racing_claimers_never_share_a_message,
    a_claim_is_lost_after_its_lease,
    what_lay_in_memory_for_too_long_is_given_back_at_once,
    a_process_that_dies_gives_its_claims_back,
    what_is_held_is_not_claimed,
    what_is_being_worked_on_is_not_held,
    orphans_are_swept_when_they_are_old,
    at_the_start_of_the_only_gateway_every_orphan_is_swept,
);

struct Bench {
    directory: tempfile::TempDir,
    url: String,
    keyring: Arc<Keyring>,
    clock: Clock,
    spool: Spool,
}

impl Bench {
    async fn new(url: impl FnOnce(&std::path::Path) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = url(directory.path());
        let keys = directory.path().join("keys");
        let keyring = Arc::new(
            Keyring::create(&keys, &MasterSource::beside(&keys), "Klinik", "gateway@klinik.example", START).unwrap(),
        );
        let clock = Clock::fixed(START);
        let store = Db::connect(&url, Schema::Gateway).await.unwrap();
        store.migrate().await.unwrap();
        let spool = Self::spool(store, &directory, &keyring, &clock);
        Self { directory, url, keyring, clock, spool }
    }

    fn spool(store: Db, directory: &tempfile::TempDir, keyring: &Arc<Keyring>, clock: &Clock) -> Spool {
        let blobs = BlobStore::local(&directory.path().join("blobs")).unwrap();
        Spool::new(store, blobs, Arc::clone(keyring), clock.clone())
    }

    async fn sqlite() -> Self {
        Self::new(|directory| format!("sqlite:{}", directory.join("gateway.db").display())).await
    }

    async fn postgres(server: &Postgres, name: &str) -> Self {
        let url = server.database(&name.chars().take(60).collect::<String>());
        Self::new(|_| url).await
    }

    /// What another process has: the same store by connections of its own, and nothing at hand.
    async fn another_process(&self) -> Spool {
        let store = Db::connect(&self.url, Schema::Gateway).await.unwrap();
        Self::spool(store, &self.directory, &self.keyring, &self.clock)
    }

    fn is_alone(&self) -> bool {
        self.spool.store.engine() == Engine::Sqlite
    }

    async fn accept(&self, size: usize) -> QueueId {
        let envelope = Envelope::plain(ReversePath::Null, Vec::new(), BodyType::SevenBit);
        let client = Client::new([192, 0, 2, 1].into(), "mail.klinik.example", Door::Inside);
        let queue_id = QueueId::random().unwrap();
        let received = ReceivedMessage { queue_id, envelope, client, received_at: START, bytes: vec![b'x'; size] };
        self.spool.commit(Judged { received, decisions: vec![Decision::Drop] }).await.unwrap()
    }

    async fn waiting(&self) -> Vec<Waiting> {
        self.spool.list().await.unwrap()
    }

    async fn claim_of(&self, queue_id: QueueId) -> String {
        let (claim,): (String,) = sqlx::query_as("select claim from spool where queue_id = $1")
            .bind(queue_id.to_string())
            .fetch_one(self.spool.store.reader())
            .await
            .unwrap();
        claim
    }

    fn blob(&self, name: &str) -> PathBuf {
        self.directory.path().join("blobs/spool").join(name)
    }

    /// A file as a write leaves it.
    fn written(&self, name: &str, at: Time) -> PathBuf {
        let path = self.blob(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::options().create(true).append(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(at.unsigned_abs())).unwrap();
        path
    }
}

impl Spool {
    async fn end(&self, claimed: &Claimed) -> Result<(), StoreError> {
        let mut rows = Rows::new();
        self.finish(&mut rows, claimed)?;
        self.store.write_rows(rows).await?;
        self.sweep(claimed).await;
        Ok(())
    }

    async fn next(&self) -> Option<Claimed> {
        self.claim().await.unwrap()
    }
}

fn id(claimed: &Claimed) -> QueueId {
    claimed.judged.received.queue_id
}

async fn eight_racing_claimers_never_share_a_message(bench: Bench) {
    const MESSAGES: usize = 300;
    for n in 0..MESSAGES {
        // Some lie in blobs.
        bench.accept(if n % 50 == 0 { 200_000 } else { 100 }).await;
    }
    let barrier = Arc::new(Barrier::new(8));
    let mut claimers = Vec::new();
    for n in 0..8 {
        let (spool, barrier) = (bench.another_process().await, Arc::clone(&barrier));
        claimers.push(tokio::spawn(async move {
            barrier.wait().await;
            let mut taken = Vec::new();
            let all_are_claimed = async || {
                let (left,): (i64,) = sqlx::query_as("select count(*) from spool where claimed_until = 0")
                    .fetch_one(spool.store.reader())
                    .await
                    .unwrap();
                left == 0
            };
            loop {
                match spool.next().await {
                    // Half of them end what they have, half never do: whatever comes twice was handed out twice.
                    Some(claimed) => {
                        taken.push(id(&claimed));
                        if n % 2 == 0 {
                            spool.end(&claimed).await.unwrap();
                        }
                    }
                    None if all_are_claimed().await => return taken,
                    None => {}
                }
            }
        }));
    }
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    assert_eq!(all.len(), MESSAGES);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), MESSAGES);
}

async fn a_claim_is_lost_after_its_lease(bench: Bench) {
    let (one, two) = (bench.another_process().await, bench.another_process().await);
    let queue_id = bench.accept(200_000).await;
    let lost = one.next().await.unwrap();
    assert_eq!(lost.attempts, 1);
    for passed in [0, LEASE / 2 - 1, LEASE] {
        bench.clock.set(START + passed);
        assert!(two.next().await.is_none(), "{passed}");
    }
    bench.clock.set(START + LEASE + 1);
    let taken = two.next().await.unwrap();
    assert_eq!((id(&taken), taken.attempts, &taken.judged.received.bytes), (queue_id, 2, &lost.judged.received.bytes));
    // Whatever the first one does now, it has nothing any more.
    assert!(matches!(one.keep(&lost).await, Err(StoreError::RowCount { found: 0, wanted: 1 })));
    assert!(one.end(&lost).await.is_err());
    assert!(one.fail(&lost, "too late").await.is_err());
    assert!(one.next().await.is_none(), "and gives nothing back that isn't its own");
    let [waiting] = bench.waiting().await.try_into().unwrap();
    assert_eq!((waiting.attempts, waiting.last_error.as_str()), (2, ""));
    assert!(bench.blob(&queue_id.to_string()).exists());
    two.keep(&taken).await.unwrap();
    two.end(&taken).await.unwrap();
    assert!(bench.waiting().await.is_empty() && !bench.blob(&queue_id.to_string()).exists());

    // Who keeps it has it for another lease.
    bench.accept(100).await;
    let kept = one.next().await.unwrap();
    bench.clock.set(START + 2 * LEASE);
    one.keep(&kept).await.unwrap();
    bench.clock.set(START + 3 * LEASE);
    assert!(two.next().await.is_none());
    one.end(&kept).await.unwrap();
}

async fn what_lay_in_memory_for_too_long_is_given_back_at_once(bench: Bench) {
    assert!(bench.spool.next().await.is_none(), "there is a worker now");
    let fresh = bench.accept(100).await;
    assert_eq!(bench.waiting().await[0].attempts, 1, "claimed from the beginning");
    bench.clock.set(START + LEASE / 2);
    let claimed = bench.spool.next().await.expect("as due as before, and not when its lease is over");
    assert_eq!((id(&claimed), claimed.attempts), (fresh, 2));
    bench.spool.end(&claimed).await.unwrap();
    // The same for rows that were claimed together, one of which was taken.
    let (stored, one) = (bench.another_process().await, bench.another_process().await);
    for _ in 0..3 {
        let queue_id = bench.accept(100).await;
        let claim = bench.claim_of(queue_id).await;
        stored.adrift().push(Adrift::All(claim));
    }
    stored.give_back().await.unwrap();
    let _taken = one.next().await.unwrap();
    bench.clock.set(START + LEASE);
    assert_eq!((one.next().await.unwrap().attempts, one.next().await.unwrap().attempts), (3, 3));
    assert!(one.next().await.is_none(), "but for the one that is worked on");
}

async fn a_process_that_dies_gives_its_claims_back(bench: Bench) {
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(bench.accept(100).await);
    }
    let dead = bench.another_process().await;
    let worked_on = dead.next().await.unwrap();
    drop((worked_on, dead));
    let next = bench.another_process().await;
    next.take_back().await.unwrap();
    if !bench.is_alone() {
        assert!(next.next().await.is_none(), "they may be a living one's");
        bench.clock.set(START + LEASE + 1);
    }
    let mut taken = Vec::new();
    while let Some(claimed) = next.next().await {
        assert_eq!(claimed.attempts, 2);
        taken.push(id(&claimed));
        next.end(&claimed).await.unwrap();
    }
    ids.sort_unstable();
    taken.sort_unstable();
    assert_eq!(taken, ids);
}

async fn what_is_held_is_not_claimed(bench: Bench) {
    let ids = [bench.accept(100).await, bench.accept(100).await];
    let spool = bench.another_process().await;
    assert_eq!(spool.hold(Selection::Id(QueueId::random().unwrap())).await.unwrap(), NOBODY);
    let one = Changed { changed: 1, busy: 0 };
    assert_eq!(spool.hold(Selection::Id(ids[0])).await.unwrap(), one);
    assert_eq!(spool.hold(Selection::Id(ids[0])).await.unwrap(), NOBODY, "is held already");
    assert_eq!(spool.hold(Selection::All).await.unwrap(), one);
    assert!(bench.waiting().await.iter().all(|waiting| waiting.state == State::Held));
    bench.clock.set(START + 86_400);
    assert!(spool.next().await.is_none());
    // Neither a start nor a claim's end is a release.
    spool.take_back().await.unwrap();
    spool.let_go().await.unwrap();
    assert!(spool.next().await.is_none());

    assert_eq!(spool.release(Selection::Id(ids[1])).await.unwrap(), one);
    assert_eq!(spool.release(Selection::Id(ids[1])).await.unwrap(), NOBODY);
    let claimed = spool.next().await.unwrap();
    assert_eq!(id(&claimed), ids[1]);
    spool.fail(&claimed, "not now").await.unwrap();
    assert_eq!(spool.hold(Selection::Id(ids[1])).await.unwrap(), one);
    // A release doesn't make it due; a retry is both.
    spool.release(Selection::Id(ids[1])).await.unwrap();
    assert!(spool.next().await.is_none());
    spool.hold(Selection::All).await.unwrap();
    assert_eq!(spool.retry(Selection::All).await.unwrap().changed, 2);
    for _ in 0..2 {
        let claimed = spool.next().await.unwrap();
        spool.end(&claimed).await.unwrap();
    }
    assert!(bench.waiting().await.is_empty());
}

async fn what_is_being_worked_on_is_not_held(bench: Bench) {
    bench.accept(100).await;
    let claimed = bench.spool.next().await.unwrap();
    let held = bench.another_process().await.hold(Selection::Id(id(&claimed))).await.unwrap();
    assert_eq!(held, Changed { changed: 0, busy: 1 });
    bench.spool.end(&claimed).await.unwrap();
    assert_eq!(bench.spool.hold(Selection::All).await.unwrap(), NOBODY);
    // Whose lease is over works in vain.
    bench.accept(100).await;
    let late = bench.spool.next().await.unwrap();
    bench.clock.set(START + LEASE + 1);
    assert_eq!(bench.another_process().await.hold(Selection::All).await.unwrap().changed, 1);
    assert!(bench.spool.end(&late).await.is_err());
    assert_eq!(bench.waiting().await.len(), 1);
}

async fn orphans_are_swept_when_they_are_old(bench: Bench) {
    let named = bench.accept(200_000).await.to_string();
    let named = bench.written(&named, 1);
    let [old, unfinished] = ["orphan", "staged-0123"].map(|name| bench.written(name, START - ORPHANED - 1));
    let [young, written_now] = [("young", START - ORPHANED), ("now", START)].map(|(name, at)| bench.written(name, at));
    bench.spool.sweep_orphans().await.unwrap();
    assert!(!old.exists() && !unfinished.exists());
    assert!(young.exists() && written_now.exists(), "a row may be on its way");
    assert!(named.exists(), "has its row");
    bench.clock.set(START + ORPHANED + 1);
    bench.spool.sweep_orphans().await.unwrap();
    assert!(!young.exists() && !written_now.exists() && named.exists());
    assert_eq!(bench.spool.next().await.unwrap().judged.received.bytes.len(), 200_000);
}

async fn at_the_start_of_the_only_gateway_every_orphan_is_swept(bench: Bench) {
    let named = bench.blob(&bench.accept(200_000).await.to_string());
    let young = bench.written("young", START);
    bench.spool.take_back().await.unwrap();
    assert!(named.exists());
    assert_eq!(young.exists(), !bench.is_alone(), "another gateway may be about to commit its row");
}
