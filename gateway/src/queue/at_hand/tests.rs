//! What is delivered from memory, and what becomes of it where it isn't.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::super::bench::{Bench, START, mail};
use super::super::claim::{LEASE, RENEWAL};
use super::super::{Kind, Mail, Then};
use super::*;
use crate::deliver::NextHop;
use crate::deliver::fake::Behaving;

/// Places, writes, and leaves what follows to the caller.
async fn written(bench: &Bench, mails: Vec<Mail>) -> Vec<Placed> {
    let placed = bench.queue.place_all(mails, Then::GoOn).await.unwrap();
    let mut rows = sealpost_vault::db::Rows::new();
    for mail in &placed {
        bench.queue.rows(&mut rows, mail).unwrap();
    }
    bench.queue.store.write_rows(rows).await.unwrap();
    placed
}

/// Until the worker has opened its lane.
async fn opened(bench: &Bench) {
    while !bench.queue.lane(Route::Outside).is_open.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
}

async fn both() -> [Bench; 2] {
    let server = super::super::postgres::Postgres::start();
    let benches = [Bench::sqlite().await, Bench::postgres(&server, "at_hand").await];
    // Stopped with the process.
    std::mem::forget(server);
    benches
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_delivered_though_its_body_can_no_longer_be_read() {
    for bench in both().await {
        let (hop, stop) = (Behaving::accepting().await, CancellationToken::new());
        let office = bench.office(bench.queue.clone(), &hop.hop, &stop);
        let work = tokio::spawn(office.work(Route::Outside));
        opened(&bench).await;
        let placed = written(&bench, vec![mail(Kind::Relayed, &["a@x.example", "b@x.example"])]).await;
        sqlx::query("update outgoing set sealed = $1")
            .bind(vec![0_u8; 40])
            .execute(bench.queue.store.writer())
            .await
            .unwrap();
        assert!(
            bench.queue.list().await.unwrap().iter().all(|row| row.claimed_until > START),
            "claimed from the beginning"
        );
        bench.queue.go_on(placed);
        let taken = hop.wait_for(1).await;
        assert_eq!((taken[0].to.len(), &taken[0].content), (2, &mail(Kind::Relayed, &[]).bytes));
        while bench.rows().await > 0 || bench.bodies().await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
        work.await.unwrap();
        assert_eq!(hop.taken().len(), 1, "once");
        let room = bench.queue.lanes.room.0.available_permits();
        assert_eq!(room, ROOM, "all room is given back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_lies_in_a_blob_goes_with_its_last_row() {
    for bench in both().await {
        let (hop, stop) = (Behaving::accepting().await, CancellationToken::new());
        let work = tokio::spawn(bench.office(bench.queue.clone(), &hop.hop, &stop).work(Route::Outside));
        opened(&bench).await;
        let large = Mail { bytes: b"line\r\n".repeat(30_000), ..mail(Kind::Relayed, &["a@x.example"]) };
        let placed = written(&bench, vec![large]).await;
        assert!(placed.iter().all(|mail| mail.hand.is_some() && !mail.blob_key().is_empty()));
        assert_eq!(bench.blobs(), 1);
        bench.queue.go_on(placed);
        while bench.bodies().await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!((hop.taken().len(), bench.blobs()), (1, 0));
        stop.cancel();
        work.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_worker_or_room_it_is_for_whoever_claims_it() {
    for bench in both().await {
        let placed = written(&bench, vec![mail(Kind::Relayed, &["no-worker@x.example"])]).await;
        assert!(placed.iter().all(|mail| mail.hand.is_none()));
        bench.queue.go_on(placed);
        let _out = bench.queue.lane(Route::Outside).open();
        let long = Mail { bytes: vec![b'x'; LONGEST + 1], ..mail(Kind::Relayed, &["long@x.example"]) };
        let many: Vec<String> = (0..=MOST_RECIPIENTS).map(|n| format!("many{n}@x.example")).collect();
        let many = mail(Kind::Relayed, &many.iter().map(String::as_str).collect::<Vec<_>>());
        let inside = mail(Kind::Answer, &["inside@klinik.example"]);
        let placed = written(&bench, vec![long, many, inside]).await;
        assert!(placed.iter().all(|mail| mail.hand.is_none()));
        let _all = bench.queue.lanes.room.0.clone().try_acquire_many_owned(u32::try_from(ROOM).unwrap()).unwrap();
        let placed = written(&bench, vec![mail(Kind::Relayed, &["no-room@x.example"])]).await;
        assert!(placed.iter().all(|mail| mail.hand.is_none()));
        let rows = bench.queue.list().await.unwrap();
        assert_eq!(rows.len(), 1 + 1 + MOST_RECIPIENTS + 1 + 1 + 1);
        assert!(rows.iter().all(|row| row.claimed_until == 0), "nobody has them");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_gives_it_back() {
    for bench in both().await {
        // Takes connections and says nothing.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hop = NextHop { port: listener.local_addr().unwrap().port(), ..Behaving::accepting().await.hop.clone() };
        let stop = CancellationToken::new();
        let office = bench.office(bench.queue.clone(), &hop, &stop);
        let work = tokio::spawn(office.work(Route::Outside));
        opened(&bench).await;
        let mails = (0..60).map(|n| mail(Kind::Relayed, &[&format!("a{n}@x.example")])).collect();
        let placed = written(&bench, mails).await;
        assert!(placed.iter().all(|mail| mail.hand.is_some()));
        bench.queue.go_on(placed);
        let _connected = listener.accept().await.unwrap();
        stop.cancel();
        work.await.unwrap();
        let rows = bench.queue.list().await.unwrap();
        assert_eq!(rows.len(), 60);
        assert!(rows.iter().all(|row| (row.claimed_until, row.attempts) == (0, 0)), "as due as before");
        // Too late for the worker: the lease ends it.
        let placed = written(&bench, vec![mail(Kind::Relayed, &["late@x.example"])]).await;
        assert!(placed.iter().all(|mail| mail.hand.is_none()));
    }
}

/// Of what stands in SQLite's log: a frame that ends a transaction says how large the database is afterwards.
fn commits(bench: &Bench) -> usize {
    let log = std::fs::read(bench.directory.path().join("gateway.db-wal")).unwrap();
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let (page, salts) = (usize::try_from(number(&log[8..12])).unwrap(), &log[16..24]);
    log[32..].chunks_exact(24 + page).filter(|frame| number(&frame[4..8]) > 0 && &frame[8..16] == salts).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_at_a_stop_shares_commits() {
    let bench = Bench::sqlite().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = NextHop { port: listener.local_addr().unwrap().port(), ..Behaving::accepting().await.hop.clone() };
    let stop = CancellationToken::new();
    let work = tokio::spawn(bench.office(bench.queue.clone(), &hop, &stop).work(Route::Outside));
    opened(&bench).await;
    let placed = written(&bench, (0..400).map(|n| mail(Kind::Relayed, &[&format!("a{n}@x.example")])).collect()).await;
    assert!(placed.iter().all(|mail| mail.hand.is_some()));
    bench.queue.go_on(placed);
    let _connected = listener.accept().await.unwrap();
    let before = commits(&bench);
    stop.cancel();
    work.await.unwrap();
    let rows = bench.queue.list().await.unwrap();
    assert!(rows.len() == 400 && rows.iter().all(|row| (row.claimed_until, row.attempts) == (0, 0)));
    let needed = commits(&bench) - before;
    assert!((1..100).contains(&needed), "{needed} commits");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_claimed_meanwhile_is_left_to_them() {
    for bench in both().await {
        let (hop, stop) = (Behaving::accepting().await, CancellationToken::new());
        let office = bench.office(bench.queue.clone(), &hop.hop, &stop);
        let mut out = bench.queue.lane(Route::Outside).open().unwrap();
        let placed = written(&bench, vec![mail(Kind::Relayed, &["a@x.example"])]).await;
        bench.queue.go_on(placed);
        let mut ready = out.recv().await.unwrap();
        // It lay there while the next hop was slow; the lease ended, and another process took it.
        ready.claimed_at = Instant::now().checked_sub(RENEWAL + Duration::from_secs(1)).unwrap();
        bench.clock.set(START + i64::try_from(LEASE.as_secs()).unwrap() + 1);
        let theirs = bench.another_process().await.claim(Route::Outside).await.unwrap().expect("the lease has ended");
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        office.deliver_ready(ready, permit).await;
        assert_eq!(hop.taken().len(), 0);
        office.deliver(theirs, None).await;
        assert_eq!((hop.taken().len(), bench.rows().await), (1, 0));
    }
}
