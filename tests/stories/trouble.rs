//! Full disks and databases that are away: mail is put off, nothing is lost, and nothing is kept half.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::disk::Disk;
use crate::http;
use crate::patience::{PATIENCE, until};
use crate::ports;
use crate::smtp::{self, Reply};
use crate::world::{Database, MAIL, SENDER, World, is_notification};

/// A mail of about this size, named by its recipient.
fn mail(recipient: &str, subject: &str, size: usize) -> Vec<u8> {
    let mut mail = format!("From: {SENDER}\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\n").into_bytes();
    while mail.len() < size {
        mail.extend_from_slice(b"0123456789012345678901234567890123456789012345678901234567890123456789\r\n");
    }
    mail
}

impl World {
    /// The reply to a mail's data, or to `DATA` where it doesn't come to that.
    async fn reply_to(&self, recipient: &str, subject: &str, size: usize) -> Reply {
        let outcome =
            smtp::send(self.sealpost.setup().smtp, SENDER, &[recipient], &mail(recipient, subject, size)).await;
        outcome.data.expect("a reply to the data")
    }

    /// Waits for a mail that was accepted, without waiting for its next attempt.
    async fn arrives_once(&self, recipient: &str) {
        until(&format!("the mail to {recipient}"), MAIL, async || {
            self.sealpost.command(&["queue", "retry", "--all"]);
            (!self.behind.maildir().of(recipient).is_empty()).then_some(())
        })
        .await;
        assert_eq!(self.behind.maildir().of(recipient).len(), 1, "{recipient}: delivered once");
    }

    /// Waits until spool and queue are empty, and looks for what may have been left beside them.
    async fn nothing_is_left(&self) {
        until("an empty queue", MAIL, async || {
            self.sealpost.command(&["queue", "retry", "--all"]);
            (self.sealpost.command(&["queue", "list"]).trim() == "nothing waits").then_some(())
        })
        .await;
        until("blobs to be gone with their rows", PATIENCE, async || {
            files(&self.sealpost.state().join("gateway/blobs")).is_empty().then_some(())
        })
        .await;
    }
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// By a store's trouble: 452 would send an administrator to look at the disk.
fn assert_put_off(reply: &Reply) {
    assert_eq!((reply.code, reply.text().split(' ').next()), (451, Some("4.3.0")), "{reply:?}");
}

async fn on_a_small_disk(free_space: u32) -> (World, Arc<Disk>) {
    let mut disk = None;
    let world = World::set_up(Database::Sqlite, |setup, scratch| {
        disk = Some(scratch.disk("sealpost/state", 32));
        setup.set("smtp", format!("free-space = {free_space}"));
    })
    .await;
    (world, disk.unwrap())
}

const MIB: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_puts_mail_off_and_keeps_nothing_half() {
    let (world, disk) = on_a_small_disk(0).await;
    assert_eq!(world.reply_to("before@mail.example", "x", 3 * MIB).await.code, 250);
    world.arrives_once("before@mail.example").await;
    world.nothing_is_left().await;

    // a large message has no room in the blob store; a small one still has its row
    disk.fill(2 * MIB as u64);
    let refused = world.reply_to("large@mail.example", "x", 3 * MIB).await;
    assert_eq!((refused.code, refused.text().split(' ').next()), (452, Some("4.3.1")), "{refused:?}");
    assert_eq!(world.sealpost.command(&["queue", "list"]).trim(), "nothing waits");
    assert_eq!(files(&world.sealpost.state().join("gateway/blobs")), Vec::<std::path::PathBuf>::new());
    assert_eq!(world.reply_to("small@mail.example", "x", 1000).await.code, 250);
    world.arrives_once("small@mail.example").await;

    // nothing fits any more: what the write-ahead log still has room for is accepted and kept, the rest put off
    disk.fill(0);
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for n in 0..100 {
        let recipient = format!("person-{n}@mail.example");
        let reply = world.reply_to(&recipient, "x", 100_000).await;
        if reply.code == 250 {
            accepted.push(recipient);
            continue;
        }
        assert_eq!((reply.code, reply.text().split(' ').next()), (452, Some("4.3.1")), "{reply:?}");
        refused.push(recipient);
        if refused.len() == 3 {
            break;
        }
    }
    assert_eq!(refused.len(), 3, "the disk was to be full");

    disk.free();
    assert_eq!(world.reply_to("after@mail.example", "x", 3 * MIB).await.code, 250);
    accepted.push("after@mail.example".to_owned());
    for recipient in &accepted {
        world.arrives_once(recipient).await;
    }
    world.nothing_is_left().await;
    for recipient in refused.iter().map(String::as_str).chain(["large@mail.example"]) {
        assert!(world.behind.maildir().of(recipient).is_empty(), "{recipient}: was refused and arrived");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_finds_no_room_to_be_sealed_waits_in_the_spool() {
    let (world, disk) = on_a_small_disk(0).await;
    // room to accept it, and not to seal it
    disk.fill(4 * MIB as u64);
    // in two parts, the first of which does find room
    let mut parted = format!(
        "From: {SENDER}\r\nTo: paula@mail.example\r\nSubject: [secure] x\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=A\r\n"
    );
    for lines in [4_000, 36_000] {
        let line = "0123456789012345678901234567890123456789012345678901234567890123456789\r\n";
        let disposition = "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=x.txt";
        parted.push_str(&format!("\r\n--A\r\n{disposition}\r\n\r\n{}", line.repeat(lines)));
    }
    parted.push_str("\r\n--A--\r\n");
    let outcome = smtp::send(world.sealpost.setup().smtp, SENDER, &["paula@mail.example"], parted.as_bytes()).await;
    assert!(outcome.accepted(), "{outcome:?}");
    until("a failed attempt", MAIL, async || {
        world.sealpost.command(&["queue", "list"]).contains("No space left").then_some(())
    })
    .await;
    let left = files(&world.sealpost.state().join("vault/blobs"));
    assert!(left.is_empty(), "what found room takes it from the next attempt: {left:?}");
    assert!(world.behind.maildir().all().is_empty(), "nobody is told of a letter that isn't there");
    disk.free();
    world.arrives_once("paula@mail.example").await;
    assert!(is_notification(&world.behind.maildir().all()[0]));
    world.nothing_is_left().await;
    assert_eq!(world.sealpost.command(&["letters", "list"]).lines().count(), 1);
    assert_eq!(files(&world.sealpost.state().join("vault/blobs")).len(), 2, "both parts, of one attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_floor_no_message_begins() {
    let (world, disk) = on_a_small_disk(8).await;
    assert_eq!(world.reply_to("before@mail.example", "x", 1000).await.code, 250);
    disk.fill(6 * MIB as u64);
    let mut client = smtp::Client::connect(world.sealpost.setup().smtp).await;
    client.command("EHLO client.klinik.example").await;
    client.command(&format!("MAIL FROM:<{SENDER}>")).await;
    assert_eq!(client.command("RCPT TO:<paula@mail.example>").await.code, 250);
    let reply = client.command("DATA").await;
    assert_eq!((reply.code, reply.text().split(' ').next()), (452, Some("4.3.1")), "{reply:?}");
    // whoever tries again and again fills no log
    for _ in 0..10 {
        client.command("RSET").await;
        let outcome = client.deliver(SENDER, &["paula@mail.example"], &mail("paula@mail.example", "x", 1000)).await;
        assert!(!outcome.accepted(), "{outcome:?}");
    }
    assert_eq!(world.sealpost.log().matches("too little free space").count(), 1);
    // the session goes on, and so does mail when there is room
    disk.free();
    client.command("RSET").await;
    let outcome = client.deliver(SENDER, &["paula@mail.example"], &mail("paula@mail.example", "x", 1000)).await;
    assert!(outcome.accepted(), "{outcome:?}");
    world.arrives_once("paula@mail.example").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_no_writes_puts_mail_off() {
    let health = ports::free();
    let mut world = World::set_up(Database::Sqlite, |setup, _| {
        setup.set("smtp", format!("health-listen = \"127.0.0.1:{health}\""));
    })
    .await;
    let asked = async |path: &str| http::get(health, path).await.map(|answer| answer.status);
    assert_eq!((asked("/health").await, asked("/ready").await, asked("/").await), (Some(200), Some(200), Some(404)));
    world.behind.stop().await;
    assert_eq!(world.reply_to("before@mail.example", "x", 1000).await.code, 250);

    let file = world.sealpost.state().join("gateway/gateway.db");
    let options = SqliteConnectOptions::new().filename(&file).busy_timeout(PATIENCE);
    let mut holder = options.connect().await.unwrap();
    sqlx::raw_sql("begin immediate").execute(&mut holder).await.unwrap();
    assert_put_off(&world.reply_to("small@mail.example", "x", 1000).await);
    assert_eq!((asked("/health").await, asked("/ready").await), (Some(200), Some(503)));
    assert_put_off(&world.reply_to("large@mail.example", "x", MIB).await);
    sqlx::raw_sql("rollback").execute(&mut holder).await.unwrap();
    holder.close().await.unwrap();

    until("readiness", PATIENCE, async || (asked("/ready").await == Some(200)).then_some(())).await;
    assert_eq!(world.reply_to("after@mail.example", "x", MIB).await.code, 250);
    world.behind.start().await;
    world.arrives_once("before@mail.example").await;
    world.arrives_once("after@mail.example").await;
    world.nothing_is_left().await;
    assert_eq!(world.behind.maildir().all().len(), 2, "what was put off isn't ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_goes_and_comes_back_under_load() {
    let health = ports::free();
    let mut world = World::set_up(Database::Postgres, |setup, _| {
        setup.set("smtp", format!("health-listen = \"127.0.0.1:{health}\""));
    })
    .await;
    let mut postgres = world.postgres.take().unwrap();
    let (smtp, portal) = (world.sealpost.setup().smtp, world.sealpost.setup().portal);
    let gateway = world.sealpost.door("gateway").unwrap();
    let (enough, taken, put_off) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let senders: Vec<_> = (0..3)
        .map(|sender| {
            let (enough, taken, put_off) = (enough.clone(), taken.clone(), put_off.clone());
            tokio::spawn(async move {
                let (mut accepted, mut refused) = (Vec::new(), Vec::new());
                while !enough.load(Ordering::SeqCst) {
                    let recipient = format!("person-{sender}-{}@mail.example", accepted.len() + refused.len());
                    let size = if accepted.len() % 4 == 3 { 200_000 } else { 1000 };
                    let outcome = smtp::send(smtp, SENDER, &[&recipient], &mail(&recipient, "x", size)).await;
                    if outcome.accepted() {
                        taken.fetch_add(1, Ordering::SeqCst);
                        accepted.push(recipient);
                    } else {
                        assert_put_off(&outcome.data.expect("a reply to the data"));
                        put_off.fetch_add(1, Ordering::SeqCst);
                        refused.push(recipient);
                    }
                    // a busy office, not a flood: everything is to be delivered at the end
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
                (accepted, refused)
            })
        })
        .collect();

    let count = async |what: &str, counter: &AtomicUsize, least: usize| {
        until(what, PATIENCE, async || (counter.load(Ordering::SeqCst) >= least).then_some(())).await;
    };
    count("mail before", &taken, 15).await;
    postgres.stop().await;
    for port in [portal, health] {
        until("no readiness", PATIENCE, async || (http::get(port, "/ready").await?.status == 503).then_some(())).await;
        assert_eq!(http::get(port, "/health").await.map(|answer| answer.status), Some(200));
    }
    count("mail to be put off", &put_off, 3).await;
    postgres.restart().await;
    for port in [portal, health] {
        until("readiness", PATIENCE, async || (http::get(port, "/ready").await?.status == 200).then_some(())).await;
    }
    let before = taken.load(Ordering::SeqCst);
    count("mail afterwards", &taken, before + 6).await;
    enough.store(true, Ordering::SeqCst);

    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for sender in senders {
        let (some, others) = sender.await.unwrap();
        accepted.extend(some);
        refused.extend(others);
    }
    world.nothing_is_left().await;
    for recipient in &accepted {
        assert_eq!(world.behind.maildir().of(recipient).len(), 1, "{recipient}: accepted, so delivered once");
    }
    for recipient in &refused {
        assert!(world.behind.maildir().of(recipient).len() <= 1, "{recipient}");
    }
    assert_eq!(world.sealpost.door("gateway"), Some(gateway), "without a restart");
}
