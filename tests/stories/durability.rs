//! Every `250` comes after a sync: what the system's calls of the real program say (strace), in their order.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::hop::{Hop, Mood};
use crate::ports;
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup};
use crate::smtp::{Client, Reply};
use crate::world::SENDER;

const MESSAGES: usize = 24;

/// One call: the lines of the trace where it begins and ends, and what it says.
#[derive(Debug)]
struct Call {
    name: String,
    begin: usize,
    end: usize,
    text: String,
    good: bool,
}

/// `strace -f` writes a call on one line, or on two if another thread's came in between.
fn calls(trace: &Path) -> Vec<Call> {
    let text = std::fs::read_to_string(trace).unwrap();
    let mut unfinished: HashMap<String, (usize, String)> = HashMap::new();
    let mut calls = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(head) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread.to_owned(), (at, head.to_owned()));
            continue;
        }
        let (begin, text) = match rest.strip_prefix("<... ").and_then(|rest| rest.split_once("resumed>")) {
            Some((_, tail)) => {
                let Some((begin, head)) = unfinished.remove(thread) else { continue };
                (begin, head + tail)
            }
            None => (at, rest.to_owned()),
        };
        let (Some((name, _)), Some((_, result))) = (text.split_once('('), text.rsplit_once(" = ")) else { continue };
        calls.push(Call { name: name.to_owned(), begin, end: at, good: !result.starts_with('-'), text: text.clone() });
    }
    calls.sort_by_key(|call| call.begin);
    calls
}

impl Call {
    fn is_sync_of(&self, file: &str) -> bool {
        self.good && matches!(self.name.as_str(), "fsync" | "fdatasync") && self.text.contains(file)
    }

    fn writes(&self, file: &str, what: &str) -> bool {
        self.good && self.name.starts_with("pwrite") && self.text.contains(file) && self.text.contains(what)
    }
}

const LOG: &str = "gateway.db-wal>";

/// The sync that made `what` durable: one that began after it was written whole.
fn synced<'a>(calls: &'a [Call], what: &str) -> (&'a Call, &'a Call) {
    let written =
        calls.iter().find(|call| call.writes(LOG, what)).unwrap_or_else(|| panic!("{what} was never written"));
    let sync = calls.iter().find(|call| call.begin > written.end && call.is_sync_of(LOG));
    (written, sync.unwrap_or_else(|| panic!("{what} was never synced")))
}

/// The reply to a message whose end is sent when everybody's is.
async fn send(port: u16, n: usize, mail: &[u8], together: &Barrier) -> Reply {
    let mut client = Client::connect(port).await;
    client.command("EHLO client.klinik.example").await;
    client.command(&format!("MAIL FROM:<{SENDER}>")).await;
    client.command(&format!("RCPT TO:<person-{n}@mail.example>")).await;
    assert_eq!(client.command("DATA").await.code, 354);
    client.raw(mail).await;
    together.wait().await;
    client.command(".").await
}

fn mail(n: usize, subject: &str, lines: usize) -> Vec<u8> {
    let mut text = format!("From: {SENDER}\r\nTo: person-{n}@mail.example\r\nSubject: {subject}\r\n\r\n");
    text.extend(std::iter::repeat_n("a line of a message that takes some room\r\n", lines));
    text.into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_250_comes_after_a_sync() {
    let scratch = Scratch::new();
    let hop = Hop::start(ports::free());
    hop.is(Mood::Up);
    let trace = scratch.path().join("trace");
    let mut sealpost = Sealpost::prepare(&scratch, Setup::between(hop.port(), hop.port()));
    sealpost.command(&["init"]);
    sealpost.open_traced(&trace, "pwrite64,pwritev,fdatasync,fsync,sendto,write,writev").await;
    let port = sealpost.setup().smtp;

    // many at once, so that they share commits; relayed and held
    let (mut clients, together) = (JoinSet::new(), Arc::new(Barrier::new(MESSAGES)));
    for n in 0..MESSAGES {
        let together = Arc::clone(&together);
        clients.spawn(async move {
            let subject = if n % 3 == 0 { "[secure] x" } else { "x" };
            send(port, n, &mail(n, subject, 20), &together).await
        });
    }
    let mut replies = clients.join_all().await;
    // too large for its row, one of each kind, alone
    for (n, subject) in [(MESSAGES, "x"), (MESSAGES + 1, "[secure] x")] {
        replies.push(send(port, n, &mail(n, subject, 8_000), &Barrier::new(1)).await);
    }
    let queue_ids: Vec<String> = replies
        .iter()
        .map(|reply| {
            assert_eq!(reply.code, 250, "{reply:?}");
            reply.text().rsplit(' ').next().unwrap().to_owned()
        })
        .collect();
    sealpost.stop_traced().await;

    let calls = calls(&trace);
    let mut syncs = Vec::new();
    for queue_id in &queue_ids {
        let answer = format!("queued as {queue_id}");
        let reply = calls
            .iter()
            .find(|call| matches!(call.name.as_str(), "sendto" | "write" | "writev") && call.text.contains(&answer));
        let reply = reply.unwrap_or_else(|| panic!("no 250 for {queue_id} in the trace"));
        let (_, sync) = synced(&calls, queue_id);
        assert!(sync.end < reply.begin, "{queue_id} was answered before it was synced:\n{}\n{}", sync.text, reply.text);
        syncs.push(sync.begin);
    }
    // the large ones: the file, then its directory, then the row
    for queue_id in &queue_ids[MESSAGES..] {
        let (written, _) = synced(&calls, queue_id);
        let before: Vec<&Call> = calls.iter().filter(|call| call.end < written.begin).collect();
        let file = before.iter().rposition(|call| call.is_sync_of("/staged-")).expect("a synced blob");
        let directory =
            before[file..].iter().any(|call| call.is_sync_of("/blobs/spool>") || call.is_sync_of("/blobs/outgoing>"));
        assert!(directory, "{queue_id}: the blob's name was not synced before its row");
    }
    // those that came together share commits
    syncs.truncate(MESSAGES);
    syncs.sort_unstable();
    syncs.dedup();
    println!("{MESSAGES} messages, {} commits", syncs.len());
    assert!(syncs.len() < MESSAGES, "a commit for each");
}
