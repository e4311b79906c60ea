//! Whose words count, what one strange row may hold up, and what is left when a letter ended: on a gateway with stores of
//! its own and a clock that stands still.

use std::path::Path;
use std::time::Instant;

use sealpost_texts::{Language, Organisation};
use sealpost_vault::Time;
use sealpost_vault::bell::{self, Listener};
use sealpost_vault::db::Schema;
use sealpost_vault::errands::{self, Answer, Bytes, Errand, Scope};
use sealpost_vault::id::{ErrandId, QueueId};

use super::*;
use crate::departure::Departure;
use crate::dkim::{Dkim, DkimKey, Passing};
use crate::envelope::{BodyType, Envelope};
use crate::expiry::Withdrawal;
use crate::keyring::MasterSource;
use crate::loops::Loops;
use crate::pickups::{Pickup, State};
use crate::pins;
use crate::queue::Undeliverable;

const NOW: Time = 1_800_000_000;
const ANNA: &str = "anna@klinik.example";

struct Bench {
    directory: tempfile::TempDir,
    gateway: Arc<Gateway>,
    queue: Queue,
    clock: Clock,
}

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

async fn store(path: &Path, schema: Schema) -> Db {
    let db = Db::connect(&format!("sqlite:{}", path.display()), schema).await.unwrap();
    db.migrate().await.unwrap();
    db
}

impl Bench {
    async fn new() -> Self {
        Self::signing(Dkim::default()).await
    }

    async fn signing(dkim: Dkim) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let clock = Clock::fixed(NOW);
        let keyring = Arc::new(
            Keyring::create(&at("keys"), &MasterSource::beside(&at("keys")), "Klinik", "gateway@klinik.example", NOW)
                .unwrap(),
        );
        for made in ["vault", "gateway"] {
            std::fs::create_dir(at(made)).unwrap();
        }
        let stores = Stores {
            vault: store(&at("vault/vault.db"), Schema::Vault).await,
            vault_blobs: BlobStore::local(&at("vault/blobs")).unwrap(),
            own: store(&at("gateway/gateway.db"), Schema::Gateway).await,
            own_blobs: BlobStore::local(&at("gateway/blobs")).unwrap(),
        };
        let loops = Loops::new(Arc::clone(&keyring), "mx.klinik.example");
        let queue = Queue::new(stores.own.clone(), stores.own_blobs.clone(), Arc::clone(&keyring), clock.clone())
            .departing(Departure::new(loops, dkim));
        let organisation = Organisation {
            name: "Klinik".to_owned(),
            telephone: "+49 1".to_owned(),
            website: String::new(),
            portal: "https://letters.klinik.example".to_owned(),
            colour: "#000000".to_owned(),
            logo: String::new(),
            language: Language::En,
        };
        let settings = Settings {
            hostname: "mx.klinik.example".to_owned(),
            inside_domains: vec!["klinik.example".to_owned()],
            reply_domain: ReplyDomain::new("letters.klinik.example".to_owned()),
            postmaster: address("postmaster@klinik.example"),
            letter_lifetime: Duration::from_secs(86_400),
            queue_lifetime: Duration::from_secs(5 * 86_400),
            heavy: 2,
            free_space_floor: 0,
            state_directory: directory.path().to_owned(),
        };
        let letterhead = Letterhead {
            organisation,
            from: address("portal@klinik.example"),
            hostname: "mx.klinik.example".to_owned(),
        };
        let bell = Ringer::new(&stores.vault, &at("vault"), bell::Door::Portal);
        let gateway =
            Gateway::new(settings, keyring, Policy::built_in(), letterhead, stores, queue.clone(), bell, clock.clone());
        Self { directory, gateway: Arc::new(gateway), queue, clock }
    }

    fn received(&self, door: Door, from: &str, to: &[&str], mail: &str) -> ReceivedMessage {
        ReceivedMessage {
            queue_id: QueueId::random().unwrap(),
            envelope: Envelope::plain(
                if from.is_empty() { ReversePath::Null } else { ReversePath::Address(address(from)) },
                to.iter().map(|to| address(to)).collect(),
                BodyType::EightBitMime,
            ),
            client: Client::new([127, 0, 0, 1].into(), "mail", door),
            received_at: NOW,
            bytes: mail.replace('\n', "\r\n").into_bytes(),
        }
    }

    /// Takes a message in, and as far as the queue.
    async fn send(&self, to: &[&str], mail: &str) {
        self.gateway.message(self.received(Door::Inside, ANNA, to, mail)).await.unwrap();
        let mut claimed = self.gateway.spool.claim().await.unwrap().unwrap();
        self.gateway.carry(&mut claimed).await.unwrap();
        self.gateway.spool.sweep(&claimed).await;
    }

    async fn pickups(&self) -> Vec<Pickup> {
        pickups::list(self.gateway.own_store(), 10_000).await.unwrap()
    }

    async fn in_vault(&self, statement: &'static str) {
        sqlx::query(statement).execute(self.gateway.vault().writer()).await.unwrap();
    }

    async fn in_own(&self, statement: &'static str) {
        sqlx::query(statement).execute(self.gateway.own_store().writer()).await.unwrap();
    }

    fn has_file(&self, folder: &str) -> bool {
        std::fs::read_dir(self.directory.path().join(folder)).is_ok_and(|mut found| found.next().is_some())
    }
}

fn held(mail: &str) -> String {
    format!(
        "From: Anna <{ANNA}>\nTo: p@mail.example\nMessage-ID: <1@klinik.example>\nSubject: [secure] {mail}\n\ntext\n"
    )
}

#[tokio::test]
async fn a_letter_to_an_address_with_more_than_ascii() {
    let bench = Bench::new().await;
    for recipient in ["用户@mail.example", "änne@xn--bcher-kva.example"] {
        bench.send(&[recipient], &held("x").replace("p@mail.example", recipient)).await;
    }
    let mut to: Vec<String> = bench.pickups().await.iter().map(|pickup| pickup.delivery.to_string()).collect();
    to.sort();
    assert_eq!(to, ["änne@xn--bcher-kva.example", "用户@mail.example"]);
}

#[tokio::test]
async fn words_of_strangers_do_not_count() {
    let policy =
        "[[rule]]\nname = \"open\"\nwhen = { protect = [\"no\"] }\nthen = \"relay\"\n[default]\nthen = \"hold\"\n";
    let bench = Bench::new().await;
    let decide = async |door, from, mail: &str| {
        let received = bench.received(door, from, &["p@mail.example"], mail);
        let (_, decisions) = bench.gateway.decide(received).await?;
        Ok::<_, Rejection>(decisions.into_iter().next().unwrap())
    };
    let tagged = "Subject: [secure] x\n\nx\n";
    let openpgp = "X-Sealpost-Protect: openpgp\nSubject: x\n\nx\n";
    let private = "Sensitivity: Private\nSubject: x\n\nx\n";
    assert!(matches!(decide(Door::Inside, ANNA, tagged).await, Ok(Decision::Hold { .. })));
    assert!(matches!(decide(Door::Inside, ANNA, openpgp).await, Err(Rejection::NO_KEY)));
    for stranger in ["mallory@evil.example"] {
        assert!(matches!(decide(Door::Inside, stranger, tagged).await, Ok(Decision::Relay { .. })), "{stranger}");
        assert!(matches!(decide(Door::Inside, stranger, openpgp).await, Ok(Decision::Relay { .. })), "{stranger}");
        // A word of everybody's: nothing marked private leaves in the clear, and nobody is there to answer to.
        let refused = decide(Door::Inside, stranger, private).await;
        assert!(matches!(refused, Err(Rejection::HOLD_NEEDS_SENDER)), "{stranger}");
    }
    // Nobody's mail may ask for protection; there is nobody to answer to, so it is refused and never plain.
    assert!(matches!(decide(Door::Inside, "", tagged).await, Err(Rejection::HOLD_NEEDS_SENDER)));
    assert!(matches!(decide(Door::Inside, "", openpgp).await, Err(Rejection::NO_KEY)));
    assert!(matches!(decide(Door::Returns, ANNA, tagged).await, Ok(Decision::Relay { .. })));

    // "no" is heard from inside only
    let facts = |author| {
        let received =
            bench.received(Door::Inside, ANNA, &["p@mail.example"], "X-Sealpost-Protect: no\nSubject: x\n\nx\n");
        ParsedMessage::parse(received).unwrap().facts.said_by(author)
    };
    let policy = Policy::from_toml(policy).unwrap();
    let judge = |author| {
        policy.judge(&facts(author), &ReversePath::Address(address(ANNA)), &address("p@mail.example")).treatment
    };
    assert!(matches!(judge(Author::Inside), Treatment::Relay(_)));
    assert_eq!(judge(Author::Stranger), Treatment::Hold);
    assert_eq!(judge(Author::Nobody), Treatment::Hold);
}

#[tokio::test]
async fn one_letter_does_not_keep_others_from_their_date() {
    let bench = Bench::new().await;
    for number in 0..3 {
        bench.send(&["p@mail.example"], &held(&number.to_string())).await;
    }
    // The oldest can't be destroyed.
    bench.in_own("update pickups set expires_at = expires_at - 1 where rowid = 1").await;
    bench.in_vault("create trigger broken before delete on letters when old.expires_at = 1 begin select raise(abort, 'no'); end").await;
    let pickups = bench.pickups().await;
    let oldest = pickups.iter().min_by_key(|pickup| pickup.expires_at).unwrap();
    sqlx::query("update letters set expires_at = 1 where letter_id = $1")
        .bind(oldest.letter_id.to_string())
        .execute(bench.gateway.vault().writer())
        .await
        .unwrap();
    assert_eq!(bench.gateway.expire(NOW + 86_400).await.unwrap(), 2);
    let ended = bench.pickups().await.iter().filter(|pickup| pickup.state == State::Expired).count();
    assert_eq!(ended, 2);
    bench.in_vault("drop trigger broken").await;
    assert_eq!(bench.gateway.expire(NOW + 86_400).await.unwrap(), 1);
}

#[tokio::test]
async fn a_notification_that_came_back_is_not_sent_of_a_letter_that_ended() {
    let bench = Bench::new().await;
    bench.send(&["p@mail.example"], &held("x")).await;
    // A worker has it.
    bench.in_own("update queue set claimed_until = 1800000030, claim = 'x'").await;
    let pickup = bench.pickups().await.remove(0);
    assert_eq!(bench.gateway.withdraw(Withdrawal::Letter(pickup.letter_id)).await.unwrap(), 1);
    assert_eq!(bench.queue.list().await.unwrap().len(), 1, "what is being delivered can't be called back");
    bench.in_own("update queue set claimed_until = 0, claim = '', attempts = 1").await;
    bench.gateway.forget_for_good().await.unwrap();
    assert!(bench.queue.list().await.unwrap().is_empty());
    assert_eq!(bench.gateway.withdraw(Withdrawal::Letter(pickup.letter_id)).await.unwrap(), 0);
}

#[tokio::test]
async fn the_vault_of_a_broken_portal_keeps_no_letter_from_its_end() {
    let bench = Bench::new().await;
    bench.send(&["p@mail.example"], &held("x")).await;
    bench
        .in_vault(
            "insert into letters select 'no id', content_id, conversation_id, slip, 1, expires_at from letters limit 1",
        )
        .await;
    bench.clock.set(NOW + 7_200);
    bench.gateway.sweep().await.unwrap();
    let pickup = bench.pickups().await.remove(0);
    assert_eq!(bench.gateway.withdraw(Withdrawal::Pickup(pickup.pickup_id)).await.unwrap(), 1);
}

#[tokio::test]
async fn errands_that_cannot_be_done_hold_up_none() {
    let bench = Bench::new().await;
    bench.send(&["p@mail.example"], &held("x")).await;
    let pickup = bench.pickups().await.remove(0).pickup_id;
    // What the row keeps doesn't open.
    bench.in_own("update pickups set kept_voice = x'00', kept_link = x'00'").await;
    let vault = bench.gateway.vault();
    let ask = async |errand: Errand, at| {
        let id = ErrandId::random().unwrap();
        errands::ask(vault, id, &errand, at).await.unwrap();
        id
    };
    let broken = ask(Errand::Opened { pickup, mac: Bytes(vec![0; 32]) }, 1).await;
    let resend = ask(Errand::Resend { address: "p@mail.example".to_owned(), language: "en".to_owned() }, 2).await;
    let session = Bytes(vec![7; 32]);
    let code = ask(Errand::Code { session, scope: Scope::Pickup(pickup), language: "en".to_owned() }, 3).await;
    let stop = CancellationToken::new();
    let bell = Listener::bind(vault, &bench.directory.path().join("vault"), bell::Door::Gateway);
    let answering = tokio::spawn(Arc::clone(&bench.gateway).answer_errands(bell, stop.clone()));
    let answer = async |id| {
        let begun = Instant::now();
        loop {
            if let Some(answer) = errands::answer(vault, id).await.unwrap() {
                return answer;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "never answered");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(matches!(answer(code).await, Answer::Code { pickups, .. } if pickups == [pickup]));
    assert_eq!(answer(broken).await, Answer::Done);
    assert_eq!(answer(resend).await, Answer::Done);
    stop.cancel();
    answering.await.unwrap();
}

#[tokio::test]
async fn nothing_is_kept_of_what_was_not_accepted() {
    for (subject, full, folder) in [
        (
            "[secure] x",
            "create trigger full before insert on spool begin select raise(abort, 'database or disk is full'); end",
            "gateway/blobs/spool",
        ),
        (
            "x",
            "create trigger full before insert on queue begin select raise(abort, 'database or disk is full'); end",
            "gateway/blobs/outgoing",
        ),
    ] {
        let bench = Bench::new().await;
        bench.in_own(full).await;
        let large = format!("Subject: {subject}\n\n{}", "line\n".repeat(60_000));
        let refused = bench.gateway.message(bench.received(Door::Inside, ANNA, &["p@mail.example"], &large)).await;
        assert!(matches!(refused, Err(Rejection::TEMPORARY)));
        assert!(!bench.has_file(folder), "{subject}");
        assert!(bench.queue.list().await.unwrap().is_empty());
        bench.in_own("drop trigger full").await;
        bench.gateway.message(bench.received(Door::Inside, ANNA, &["p@mail.example"], &large)).await.unwrap();
        assert!(bench.has_file(folder), "{subject}");
    }
}

#[tokio::test]
async fn a_bounce_is_told_once() {
    let bench = Bench::new().await;
    bench.send(&["p@mail.example"], &held("x")).await;
    let pickup = bench.pickups().await.remove(0);
    let mut transaction = bench.gateway.own_store().begin().await.unwrap();
    for _ in 0..2 {
        Undeliverable::notification(bench.gateway.as_ref(), pickup.pickup_id, &mut transaction, "550 no")
            .await
            .unwrap();
    }
    transaction.commit().await.unwrap();
    let reports = bench.queue.list().await.unwrap().iter().filter(|row| row.kind == Kind::Report).count();
    assert_eq!(reports, 1);
}

/// The letter would be lost: sealed to a key that has no account any more, its link's way never made.
#[tokio::test]
async fn an_account_that_is_reset_while_its_letter_is_sealed_loses_no_letter() {
    let bench = Bench::new().await;
    let (gateway, to) = (&bench.gateway, pins::tests::ANNA);
    assert!(pins::tests::pin(gateway.own_store(), &gateway.keyring, 1, None).await);
    let mail = held("late").replace("p@mail.example", to);
    gateway.message(bench.received(Door::Inside, ANNA, &[to], &mail)).await.unwrap();
    let mut claimed = gateway.spool.claim().await.unwrap().unwrap();
    let parsed = gateway.parse_again(claimed.judged.received.clone()).await.unwrap();
    let sealed = gateway.hold(&claimed, &parsed, &claimed.judged.decisions).await.unwrap();
    gateway.reset_account(&address(to)).await.unwrap();
    let mut transaction = gateway.own_store().begin().await.unwrap();
    assert!(sealed.letters.hold_accounts(&mut transaction).await.is_err());
    transaction.rollback().await.unwrap();

    claimed.attempts += 1;
    gateway.carry(&mut claimed).await.unwrap();
    let [pickup] = bench.pickups().await.try_into().unwrap();
    assert_eq!(pickup.way, pickups::Way::Link);
    let halves = sealpost_vault::letters::link_halves(gateway.vault(), pickup.pickup_id).await.unwrap();
    assert!(halves.is_some());
}

/// The letter would be lost: one that no notification leads to would take its place.
#[tokio::test]
async fn who_lost_its_claim_replaces_no_letter() {
    let bench = Bench::new().await;
    let gateway = &bench.gateway;
    gateway.message(bench.received(Door::Inside, ANNA, &["p@mail.example"], &held("x"))).await.unwrap();
    let mut lost = gateway.spool.claim().await.unwrap().unwrap();
    // Stood still for longer than the lease; somebody else did the work.
    bench.clock.set(NOW + 601);
    let mut claimed = gateway.spool.claim().await.unwrap().unwrap();
    gateway.carry(&mut claimed).await.unwrap();
    let [pickup] = bench.pickups().await.try_into().unwrap();
    gateway.carry(&mut lost).await.unwrap_err();
    let halves = sealpost_vault::letters::link_halves(gateway.vault(), pickup.pickup_id).await.unwrap();
    assert!(halves.is_some(), "the letter that was announced is still there");
    assert_eq!(bench.queue.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn trouble_with_letters_keeps_no_orphan_in_the_spool() {
    let bench = Bench::new().await;
    let folder = bench.directory.path().join("gateway/blobs/spool");
    std::fs::create_dir_all(&folder).unwrap();
    let file = std::fs::File::create(folder.join("orphan")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    bench.in_own("alter table pickups rename to pickups_away").await;
    let stop = CancellationToken::new();
    let job = tokio::spawn(Arc::clone(&bench.gateway).keep_dates(stop.clone()));
    let begin = Instant::now();
    while bench.has_file("gateway/blobs/spool") {
        assert!(begin.elapsed() < Duration::from_secs(30), "the orphan is still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    job.await.unwrap();
}

#[tokio::test]
async fn what_was_never_written_to_its_end_leaves_the_vault() {
    let bench = Bench::new().await;
    let message = bench.directory.path().join("vault/blobs/content/1");
    std::fs::create_dir_all(&message).unwrap();
    for (name, age) in [("staged-old", 3_601), ("staged-young", 3_600)] {
        let file = std::fs::File::create(message.join(name)).unwrap();
        let written = u64::try_from(NOW - age).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(written)).unwrap();
    }
    bench.gateway.sweep().await.unwrap();
    assert!(!message.join("staged-old").exists() && message.join("staged-young").exists());
}

/// Nothing leaves unsigned that is to be signed: what came waits, with its sender's server or in the spool, and so do
/// readers' errands.
#[tokio::test]
async fn what_can_not_be_signed_waits() {
    for passing in [Passing::Unsigned, Passing::Signed] {
        let bench = Bench::signing(Dkim::new(vec![DkimKey::broken("klinik.example")], passing)).await;
        let gateway = &bench.gateway;
        let plain = format!("From: Anna <{ANNA}>\nTo: p@mail.example\nMessage-ID: <1@klinik.example>\n\ntext\n");
        let taken = gateway.message(bench.received(Door::Inside, ANNA, &["p@mail.example"], &plain)).await;
        match passing {
            Passing::Unsigned => assert!(taken.is_ok(), "isn't to be signed"),
            Passing::Signed => assert!(matches!(taken, Err(Rejection::TEMPORARY)), "{taken:?}"),
        }
        let waiting = usize::from(passing == Passing::Unsigned);
        assert_eq!(bench.queue.list().await.unwrap().len(), waiting);
        // A notification is our own, and always signed.
        gateway.message(bench.received(Door::Inside, ANNA, &["p@mail.example"], &held("x"))).await.unwrap();
        let mut claimed = gateway.spool.claim().await.unwrap().unwrap();
        let cause = gateway.carry(&mut claimed).await.unwrap_err();
        assert!(matches!(cause, StoreError::NotNow(_)), "{cause}");
        gateway.spool.fail(&claimed, &cause.to_string()).await.unwrap();
        let spooled = gateway.spool.list().await.unwrap();
        assert_eq!((spooled.len(), spooled[0].last_error.as_str()), (1, "not now: a mail can't be signed"));
        assert_eq!(bench.queue.list().await.unwrap().len(), waiting, "and nothing is queued");
        assert!(bench.pickups().await.is_empty());
    }
}

#[tokio::test]
async fn a_code_that_can_not_be_signed_is_asked_for_again() {
    let good = Bench::new().await;
    good.send(&["p@mail.example"], &held("x")).await;
    let pickup = good.pickups().await.remove(0).pickup_id;
    let loops = Loops::new(Arc::clone(&good.gateway.keyring), "mx.klinik.example");
    let broken = Dkim::new(vec![DkimKey::broken("klinik.example")], Passing::Unsigned);
    let signing = good.queue.clone().departing(Departure::new(loops, broken));
    let bell = Ringer::new(good.gateway.vault(), &good.directory.path().join("vault"), bell::Door::Portal);
    let gateway = Arc::new(Gateway::new(
        good.gateway.settings.clone(),
        Arc::clone(&good.gateway.keyring),
        Policy::built_in(),
        good.gateway.letterhead.clone(),
        good.gateway.stores.clone(),
        signing,
        bell,
        good.clock.clone(),
    ));
    let (id, session) = (ErrandId::random().unwrap(), Bytes(vec![7; 32]));
    let errand = Errand::Code { session, scope: Scope::Pickup(pickup), language: "en".to_owned() };
    errands::ask(good.gateway.vault(), id, &errand, 1).await.unwrap();
    for (gateway, answered) in [(gateway, false), (Arc::clone(&good.gateway), true)] {
        let stop = CancellationToken::new();
        let bell = Listener::bind(good.gateway.vault(), &good.directory.path().join("vault"), bell::Door::Gateway);
        let answering = tokio::spawn(gateway.answer_errands(bell, stop.clone()));
        let begun = Instant::now();
        while errands::answer(good.gateway.vault(), id).await.unwrap().is_none() {
            let patience = if answered { 30 } else { 2 };
            if begun.elapsed() > Duration::from_secs(patience) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.cancel();
        answering.await.unwrap();
        let answer = errands::answer(good.gateway.vault(), id).await.unwrap();
        assert_eq!(answer.is_some(), answered, "{answer:?}");
    }
}
