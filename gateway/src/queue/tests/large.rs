//! Large mail, which is read while it is sent: whole or not at all, whatever happens to its blob meanwhile.

use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::super::bench::{Bench, mail};
use super::super::body::{Body, Place};
use super::super::*;
use crate::deliver::fake::{Behaving, nobody};
use crate::deliver::{Destination, NextHop};

/// Lines that begin with dots and end wherever a piece may end.
fn dotted(octets: usize) -> Vec<u8> {
    let mut bytes = b"From: anna@klinik.example\r\nSubject: dots\r\n\r\n".to_vec();
    let mut n = 0_usize;
    while bytes.len() < octets {
        bytes.extend_from_slice(&b"....................."[..n % 7]);
        bytes.extend_from_slice(&b"\r\n.\r\n..\r\nx"[..[2, 5, 9, 2][n % 4]]);
        n += 1;
    }
    bytes
}

async fn large(bench: &Bench, bytes: Vec<u8>) -> PathBuf {
    bench.insert(Mail { bytes, ..mail(Kind::Relayed, &["a@x.example"]) }).await;
    let (body,): (String,) =
        sqlx::query_as("select body_id from outgoing").fetch_one(bench.queue.store.reader()).await.unwrap();
    bench.directory.path().join("blobs/outgoing").join(body)
}

fn office(bench: &Bench, hop: &NextHop) -> Arc<worker::Office<super::super::bench::Told>> {
    bench.office(bench.queue.clone(), hop, &CancellationToken::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_while_it_is_sent_arrives_byte_for_byte() {
    let hop = Behaving::accepting().await;
    for (n, octets) in [200_000, 256 * 1024, 256 * 1024 + 1, 300_000, 1_000_003].into_iter().enumerate() {
        let bench = Bench::sqlite().await;
        let bytes = dotted(octets);
        large(&bench, bytes.clone()).await;
        let claim = bench.claim(Route::Outside).await.unwrap();
        let is_stored = matches!(bench.queue.body(claim.body_id).await.unwrap().0, Body::Stored(_));
        assert_eq!(is_stored, bytes.len() > 256 * 1024, "{octets}");
        office(&bench, &hop.hop).deliver(claim, None).await;
        let taken = hop.wait_for(n + 1).await;
        assert!(taken[n].content == bytes, "{octets}");
        assert!(taken[n].commands[0].contains(&format!(" SIZE={}", bytes.len())), "{:?}", taken[n].commands);
        assert_eq!((bench.rows().await, bench.blobs()), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_leave_does_not_wherever_it_stands() {
    for wrong in [&b"\r\n.\n"[..], b"\r\n.\r", b"\0", b"a\rb"] {
        let bench = Bench::sqlite().await;
        let hop = Behaving::accepting().await;
        let mut bytes = dotted(700_000);
        let at = 256 * 1024 - 1;
        bytes.splice(at..at, wrong.iter().copied());
        large(&bench, bytes).await;
        office(&bench, &hop.hop).deliver(bench.claim(Route::Outside).await.unwrap(), None).await;
        assert!(hop.taken().is_empty());
        let report = bench.report().await.expect("a report");
        assert!(report.contains("Status: 5.6.0") && report.contains("Subject: dots"), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_does_not_open_is_not_begun_and_waits() {
    let bench = Bench::sqlite().await;
    let blob = large(&bench, dotted(700_000)).await;
    let mut sealed = std::fs::read(&blob).unwrap();
    let last = sealed.len() - 100;
    sealed[last] ^= 1;
    std::fs::write(&blob, &sealed).unwrap();
    let hop = Behaving::accepting().await;
    office(&bench, &hop.hop).deliver(bench.claim(Route::Outside).await.unwrap(), None).await;
    assert_eq!((hop.connections(), bench.rows().await), (0, 1));
    let rows = bench.queue.list().await.unwrap();
    assert_eq!((rows[0].attempts, rows[0].state), (1, State::Active));
    // It was a bad day of the disk: the next attempt reads it anew.
    sealed[last] ^= 1;
    std::fs::write(&blob, &sealed).unwrap();
    bench.clock.set(rows[0].next_at);
    office(&bench, &hop.hop).deliver(bench.claim(Route::Outside).await.unwrap(), None).await;
    assert!(hop.wait_for(1).await[0].content == dotted(700_000));
}

/// Takes a transaction to its `354`, and says what came then until the end.
async fn to_the_end(listener: TcpListener) -> Vec<u8> {
    let (mut tcp, _) = listener.accept().await.unwrap();
    tcp.write_all(b"220 hop\r\n").await.unwrap();
    let mut said = Vec::new();
    for reply in ["250-hop\r\n250 PIPELINING\r\n", "250 ok\r\n250 ok\r\n", "354 go ahead\r\n"] {
        let mut some = [0; 4096];
        let read = tcp.read(&mut some).await.unwrap();
        said.extend_from_slice(&some[..read]);
        tcp.write_all(reply.as_bytes()).await.unwrap();
    }
    assert!(said.ends_with(b"DATA\r\n"), "{}", said.escape_ascii());
    let mut content = Vec::new();
    let _ = tcp.read_to_end(&mut content).await;
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_opening_in_the_middle_is_broken_off_without_its_end() {
    // What happens to the blob when it was looked through and the transaction hasn't begun.
    type Harm = fn(&mut Vec<u8>);
    let harms: [(&str, Harm); 4] = [
        ("changed", |sealed| sealed[600_000] ^= 1),
        ("cut", |sealed| drop(sealed.drain(500_000..sealed.len() - 1))),
        ("a chunk left out", |sealed| drop(sealed.drain(36 + 3 * 65_552..36 + 4 * 65_552))),
        ("the last one left out", |sealed| drop(sealed.drain(36 + 10 * 65_552..sealed.len() - 1))),
    ];
    for (what, harm) in harms {
        let bench = Bench::sqlite().await;
        let bytes = dotted(700_000);
        let blob = large(&bench, bytes.clone()).await;
        let claim = bench.claim(Route::Outside).await.unwrap();
        let body = bench.queue.body(claim.body_id).await.unwrap().0;
        let Body::Stored(_) = &body else { panic!("small") };
        let mut sealed = std::fs::read(&blob).unwrap();
        harm(&mut sealed);
        std::fs::write(&blob, sealed).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let hop = NextHop { port, ..nobody().await };
        let taken = tokio::spawn(to_the_end(listener));
        let (to, mut lies, mut ahead) = (Destination::from(hop.clone()), Place::Blob, None);
        let delivery =
            office(&bench, &hop).hand_over(&to, &claim, body.content(), &mut lies, &mut ahead).await.unwrap();
        let [crate::deliver::Outcome::Later(failure)] = delivery.outcomes.as_slice() else {
            panic!("{what}: {:?}", delivery.outcomes)
        };
        assert_eq!(failure.status, "4.3.0", "{what}");
        let content = taken.await.unwrap();
        assert!(!content.ends_with(b"\r\n.\r\n") || content.len() < bytes.len(), "{what}");
        assert!(memchr::memmem::find(&content, b"\r\n.\r\n").is_none(), "{what}: the end of a message");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_wrote_in_one_piece_is_sent() {
    for octets in [200_000, 700_000] {
        let bench = Bench::sqlite().await;
        let bytes = dotted(octets);
        let blob = large(&bench, bytes.clone()).await;
        let claim = bench.claim(Route::Outside).await.unwrap();
        let sealed = bench.keyring.spool_seal(&claim.body_id, bytes.clone()).unwrap();
        std::fs::write(&blob, sealed).unwrap();
        let hop = Behaving::accepting().await;
        office(&bench, &hop.hop).deliver(claim, None).await;
        assert!(hop.wait_for(1).await[0].content == bytes, "{octets}");
        assert_eq!((bench.rows().await, bench.blobs()), (0, 0));
    }
}
