//! Large messages, which lie on the disk while they come in: they take no memory, arrive whole, and leave nothing behind.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sealpost_gateway::keyring::{Keyring, MasterSource};
use sealpost_gateway::smtp::{Door, Scratch, Settings};
use sealpost_vault::BlobStore;
use tokio::time::sleep;

use crate::server::{Mood, NOW, Server, start_with};
use crate::talk::{Pieces, Talk};

const MIB: usize = 1024 * 1024;

struct Bench {
    server: Server,
    directory: tempfile::TempDir,
}

impl Bench {
    async fn new(settings: Settings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keys = directory.path().join("keys");
        let keyring = Keyring::create(&keys, &MasterSource::beside(&keys), "Klinik", "gateway@klinik.example", NOW);
        let blobs = BlobStore::local(&directory.path().join("blobs")).unwrap();
        let scratch = Some(Scratch::new(blobs, Arc::new(keyring.unwrap())));
        let settings = Settings { hostname: "gateway.example".into(), ..settings };
        let server = start_with(settings, Door::Inside, None, Mood::Willing, 1_000, scratch).await;
        Self { server, directory }
    }

    async fn session(&self) -> Talk {
        let mut talk = Talk::to(self.server.address).await;
        talk.expect("220 *").await.unwrap();
        say(&mut talk, "HELO mta.example", "250 *").await;
        begin(&mut talk).await;
        talk
    }

    fn spool(&self) -> std::path::PathBuf {
        self.directory.path().join("blobs/spool")
    }

    /// Files that somebody still has open, named or not.
    fn open_files(&self) -> usize {
        let ours = self.directory.path();
        let open =
            std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        open.filter(|file| file.starts_with(ours) && file.to_string_lossy().contains("staged-")).count()
    }

    async fn nothing_is_left(&self, what: &str) {
        self.are_open(0, what).await;
    }

    /// None of which has a name.
    async fn are_open(&self, files: usize, what: &str) {
        for _ in 0..500 {
            if self.open_files() == files && names(&self.spool()) == 0 {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("{what}: {} files are open, {} have names", self.open_files(), names(&self.spool()));
    }

    fn accepted(&self) -> Vec<Vec<u8>> {
        self.server.intake.accepted.lock().unwrap().drain(..).map(|message| message.bytes).collect()
    }
}

fn names(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

async fn say(talk: &mut Talk, line: &str, reply: &str) {
    talk.send(format!("{line}\r\n").as_bytes(), Pieces::Whole).await;
    talk.expect(reply).await.unwrap();
}

async fn begin(talk: &mut Talk) {
    say(talk, "MAIL FROM:<anna@klinik.example>", "250 *").await;
    say(talk, "RCPT TO:<ben@mail.example>", "250 *").await;
}

/// About so many octets, of which no two lines are the same; and how they are sent.
fn message(octets: usize, seed: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut message, mut sent) = (b"Subject: large\r\n\r\n".to_vec(), b"Subject: large\r\n\r\n".to_vec());
    let mut n = seed;
    while message.len() < octets {
        let line = format!("{}{n}{}\r\n", [".", "", "..", "x."][n % 4], "y".repeat(n % 67));
        if line.starts_with('.') {
            sent.push(b'.');
        }
        sent.extend_from_slice(line.as_bytes());
        message.extend_from_slice(line.as_bytes());
        n += 1;
    }
    sent.extend_from_slice(b".\r\n");
    (message, sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_slow_clients_with_large_messages_keep_nobody_waiting() {
    let limits = Settings {
        max_size: 8 * MIB,
        max_memory: 32 * MIB,
        memory_wait: Duration::from_secs(20),
        ..Settings::default()
    };
    let bench = Bench::new(limits).await;
    let mut slow = Vec::new();
    for n in 0..20 {
        let mut talk = bench.session().await;
        say(&mut talk, "DATA", "354 *").await;
        let (message, sent) = message(4 * MIB, n * 1_000);
        let (first, rest) = sent.split_at(sent.len() - 100_000 - n);
        talk.send(first, Pieces::Whole).await;
        slow.push((talk, message, rest.to_vec()));
    }
    // They hold eighty mebibytes, and stand still.
    let mut quick = bench.session().await;
    say(&mut quick, "DATA", "354 *").await;
    let (whole, sent) = message(7 * MIB, 7);
    quick.send(&sent, Pieces::Whole).await;
    quick.expect("250 2.0.0 *").await.unwrap();
    assert!(bench.accepted() == [whole]);
    bench.are_open(20, "the slow ones").await;
    for (mut talk, whole, rest) in slow {
        talk.send(&rest, Pieces::Whole).await;
        talk.expect("250 2.0.0 *").await.unwrap();
        assert!(bench.accepted() == [whole]);
    }
    bench.nothing_is_left("all are through").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_in_pieces_arrive_whole() {
    let bench = Bench::new(Settings::default()).await;
    let mut talk = bench.session().await;
    for piece in [MIB - 1, 300_000, 3 * MIB] {
        let (mut whole, _) = message(5 * MIB, piece);
        whole.truncate(whole.len() - 2);
        let count = whole.chunks(piece).count();
        for (n, piece) in whole.chunks(piece).enumerate() {
            let last = if n + 1 == count { " LAST" } else { "" };
            talk.send(format!("BDAT {}{last}\r\n", piece.len()).as_bytes(), Pieces::Whole).await;
            talk.send(piece, Pieces::Whole).await;
            talk.expect("250 2.0.0 *").await.unwrap();
        }
        whole.extend_from_slice(b"\r\n");
        assert!(bench.accepted() == [whole], "{piece}");
        begin(&mut talk).await;
    }
    bench.nothing_is_left("all are through").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_off_leaves_nothing_and_delivers_nothing() {
    let bench = Bench::new(Settings { max_size: 4 * MIB, ..Settings::default() }).await;
    let (_, sent) = message(3 * MIB, 0);
    let part = &sent[..2 * MIB];
    // The client goes away.
    let mut talk = bench.session().await;
    say(&mut talk, "DATA", "354 *").await;
    talk.send(part, Pieces::Whole).await;
    bench.are_open(1, "in DATA").await;
    drop(talk);
    bench.nothing_is_left("gone in DATA").await;
    // The same between pieces, and within one.
    for announced in [part.len(), part.len() + 10] {
        let mut talk = bench.session().await;
        talk.send(format!("BDAT {announced}\r\n").as_bytes(), Pieces::Whole).await;
        talk.send(part, Pieces::Whole).await;
        if announced == part.len() {
            talk.expect("250 2.0.0 *").await.unwrap();
        }
        bench.are_open(1, "in BDAT").await;
        drop(talk);
        bench.nothing_is_left("gone in BDAT").await;
    }
    // It thinks better of it, and goes on.
    let mut talk = bench.session().await;
    talk.send(format!("BDAT {}\r\n", part.len()).as_bytes(), Pieces::Whole).await;
    talk.send(part, Pieces::Whole).await;
    talk.expect("250 2.0.0 *").await.unwrap();
    say(&mut talk, "RSET", "250 *").await;
    bench.nothing_is_left("RSET").await;
    // It is too large: nothing is kept when that is known, and the rest is read.
    begin(&mut talk).await;
    say(&mut talk, "DATA", "354 *").await;
    let (_, larger) = message(5 * MIB, 3);
    talk.send(&larger[..larger.len() - 3], Pieces::Whole).await;
    bench.nothing_is_left("too large").await;
    talk.send(b".\r\n", Pieces::Whole).await;
    talk.expect("552 5.3.4 *").await.unwrap();
    // What could smuggle another message, behind what lies on the disk already.
    begin(&mut talk).await;
    say(&mut talk, "DATA", "354 *").await;
    talk.send(part, Pieces::Whole).await;
    talk.send(b"\r\n.\n", Pieces::Whole).await;
    talk.expect("5*").await.unwrap();
    talk.closed().await.unwrap();
    bench.nothing_is_left("smuggling").await;
    assert!(bench.accepted().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_large_messages_have_their_limit() {
    let bench = Bench::new(Settings::default()).await;
    let mut talk = bench.session().await;
    for (header, reply) in [
        ("A: b\r\n".repeat(1_000), "250 2.0.0 *"),
        ("A: b\r\n".repeat(1_001), "552 *"),
        ("A: b\r\n".repeat(400_000), "552 *"),
    ] {
        say(&mut talk, "DATA", "354 *").await;
        talk.send(header.as_bytes(), Pieces::Whole).await;
        talk.send(&[b"\r\n".to_vec(), b"body\r\n".repeat(300_000), b".\r\n".to_vec()].concat(), Pieces::Whole).await;
        talk.expect(reply).await.unwrap();
        begin(&mut talk).await;
    }
    assert_eq!(bench.accepted().len(), 1);
    bench.nothing_is_left("refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_meanwhile_puts_the_message_off() {
    let bench = Bench::new(Settings::default()).await;
    // Nothing can be written there.
    std::fs::write(bench.spool(), b"").unwrap();
    let (_, sent) = message(2 * MIB, 0);
    let mut talk = bench.session().await;
    say(&mut talk, "DATA", "354 *").await;
    talk.send(&sent, Pieces::Whole).await;
    talk.expect("451 4.3.0 *").await.unwrap();
    begin(&mut talk).await;
    talk.send(format!("BDAT {}\r\n", 2 * MIB).as_bytes(), Pieces::Whole).await;
    talk.send(&sent[..2 * MIB], Pieces::Whole).await;
    talk.expect("451 4.3.0 *").await.unwrap();
    say(&mut talk, "RSET", "250 *").await;
    // What is small needs no disk before its end.
    begin(&mut talk).await;
    say(&mut talk, "DATA", "354 *").await;
    say(&mut talk, "Subject: a\r\n\r\nb\r\n.", "250 2.0.0 *").await;
    assert_eq!(bench.accepted().len(), 1);
    std::fs::remove_file(bench.spool()).unwrap();
    begin(&mut talk).await;
    say(&mut talk, "DATA", "354 *").await;
    talk.send(&sent, Pieces::Whole).await;
    talk.expect("250 2.0.0 *").await.unwrap();
}
