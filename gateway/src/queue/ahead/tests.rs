//! What is delivered before it is queued, and what becomes of it and of its message where that doesn't work.

use std::time::Duration;

use sealpost_vault::db::Rows;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::bench::{Bench, START, address, mail};
use super::super::claim::RENEWAL;
use super::super::worker::Office;
use super::super::{Kind, Mail, Route};
use super::*;
use crate::deliver::fake::Behaving;
use crate::deliver::{Destination, Hops, NextHop};
use crate::envelope::{BodyType, Dsn, Notify, RecipientDsn, ReversePath};
use crate::smtp::{Client, Door, ReceivedMessage};
use crate::spool::{Decision, Judged, Spool};

/// A queue and the spool beside it, in one store.
struct Road {
    bench: Bench,
    spool: Spool,
}

impl Road {
    async fn both(name: &str) -> [Self; 2] {
        let server = super::super::postgres::Postgres::start();
        let benches = [Bench::sqlite().await, Bench::postgres(&server, name).await];
        // Stopped with the process.
        std::mem::forget(server);
        benches.map(|bench| {
            let (store, blobs) = (bench.queue.store.clone(), bench.queue.blobs.clone());
            let spool = Spool::new(store, blobs, bench.keyring.clone(), bench.clock.clone());
            Self { bench, spool }
        })
    }

    /// A message in the spool of which one mail has come, on its way.
    async fn send(&self, mail: Mail, dsn: Dsn, octets: usize) {
        let plain = Envelope::plain(mail.reverse_path.clone(), mail.recipients.clone(), BodyType::SevenBit);
        let envelope = Envelope { dsn, ..plain };
        let client = Client::new([192, 0, 2, 1].into(), "mail.klinik.example", Door::Inside);
        let bytes = vec![b'x'; octets];
        let received =
            ReceivedMessage { queue_id: mail.origin, envelope: envelope.clone(), client, received_at: START, bytes };
        self.spool.commit(Judged { received, decisions: vec![Decision::Drop] }).await.unwrap();
        let mut claimed = self.spool.claim().await.unwrap().unwrap();
        let Ok(unqueued) = self.bench.queue.ahead(mail, &envelope).await.unwrap() else {
            panic!("no worker or no room")
        };
        let ending = self.spool.finish_later(Rows::new(), &mut claimed).unwrap();
        self.bench.queue.go_ahead(unqueued, ending).unwrap();
    }

    async fn opened(&self) {
        while self.bench.queue.hand(Route::Outside, &[], 0).unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    }

    async fn spooled(&self) -> usize {
        self.spool.list().await.unwrap().len()
    }

    fn spooled_blobs(&self) -> usize {
        let spool = self.bench.directory.path().join("blobs/spool");
        std::fs::read_dir(spool).map_or(0, Iterator::count)
    }

    async fn until(&self, what: impl AsyncFn(&Self) -> bool) {
        while !what(self).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn delivered_in_the_audit(&self) -> i64 {
        let (n,): (i64,) = sqlx::query_as("select count(*) from audit_records where body like '%delivered%'")
            .fetch_one(self.bench.queue.store.reader())
            .await
            .unwrap();
        n
    }

    /// From now on nothing can be queued: an attempt fails, and the message stays in the spool.
    async fn forbid_rows(&self) {
        let store = &self.bench.queue.store;
        // Each mail has a row in this table.
        sqlx::query("alter table outgoing rename to not_to_be_written").execute(store.writer()).await.unwrap();
    }
}

fn encrypted(to: &[&str]) -> Mail {
    mail(Kind::Encrypted, to)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_at_once_is_never_queued() {
    for road in Road::both("ahead_once").await {
        let (hop, stop) = (Behaving::accepting().await, CancellationToken::new());
        let work = tokio::spawn(road.bench.office(road.bench.queue.clone(), &hop.hop, &stop).work(Route::Outside));
        road.opened().await;
        road.forbid_rows().await;
        road.send(encrypted(&["a@x.example", "b@x.example"]), Dsn::default(), 300_000).await;
        let taken = hop.wait_for(1).await;
        assert_eq!((taken[0].to.len(), &taken[0].content), (2, &encrypted(&[]).bytes));
        road.until(async |road| road.spooled().await == 0).await;
        road.until(async |road| road.spooled_blobs() == 0).await;
        assert_eq!(road.delivered_in_the_audit().await, 2);
        stop.cancel();
        work.await.unwrap();
        assert_eq!(hop.taken().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_or_fails_is_queued_as_any_other() {
    for road in Road::both("ahead_waits").await {
        let hop = Behaving::new(|to| match to.split('@').next() {
            Some("later") => "451 4.2.1 not now",
            Some("never") => "550 5.1.1 nobody",
            _ => "250 2.1.5 ok",
        })
        .await;
        let stop = CancellationToken::new();
        let work = tokio::spawn(road.bench.office(road.bench.queue.clone(), &hop.hop, &stop).work(Route::Outside));
        road.opened().await;
        road.send(encrypted(&["a@x.example", "later@x.example", "never@x.example"]), Dsn::default(), 10).await;
        road.until(async |road| {
            let rows = road.bench.queue.list().await.unwrap();
            rows.iter().any(|row| row.attempts == 1)
        })
        .await;
        assert_eq!(road.spooled().await, 0);
        let mut rows = road.bench.queue.list().await.unwrap();
        rows.sort_by_key(|row| row.recipient.to_string());
        let [report, later] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((later.recipient.to_string().as_str(), later.kind), ("later@x.example", Kind::Encrypted));
        assert!(later.next_at > START && later.claimed_until == 0 && later.last_reply.contains("not now"));
        assert_eq!((report.recipient.to_string().as_str(), report.kind), ("anna@klinik.example", Kind::Report));
        assert_eq!(road.delivered_in_the_audit().await, 1);
        stop.cancel();
        work.await.unwrap();
        // Its body is what was sent, and opens.
        let claim = {
            road.bench.clock.set(later.next_at + 1);
            road.bench.claim(Route::Outside).await.unwrap()
        };
        assert_eq!(road.bench.queue.body(claim.body_id).await.unwrap().0.whole(), encrypted(&[]).bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_to_be_told_is_told() {
    for road in Road::both("ahead_told").await {
        // It doesn't offer DSN: the sender is told that it was relayed.
        let (hop, stop) = (Behaving::accepting().await, CancellationToken::new());
        let work = tokio::spawn(road.bench.office(road.bench.queue.clone(), &hop.hop, &stop).work(Route::Outside));
        road.opened().await;
        let mut dsn = Dsn::default();
        let asks = RecipientDsn { notify: Some(Notify::parse("SUCCESS").unwrap()), orcpt: None };
        dsn.set(&address("a@x.example"), asks);
        road.send(encrypted(&["a@x.example"]), dsn, 10).await;
        hop.wait_for(1).await;
        road.until(async |road| road.spooled().await == 0 && road.bench.rows().await == 1).await;
        stop.cancel();
        work.await.unwrap();
        assert!(road.bench.report().await.unwrap().contains("relayed"));
        assert_eq!((road.bench.bodies().await, hop.taken().len()), (0, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_long_is_queued_meanwhile() {
    for road in Road::both("ahead_long").await {
        // Takes connections and says nothing.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hop = NextHop { port: listener.local_addr().unwrap().port(), ..Behaving::accepting().await.hop.clone() };
        let stop = CancellationToken::new();
        let mut office = road.bench.office(road.bench.queue.clone(), &hop, &stop);
        std::sync::Arc::get_mut(&mut office).unwrap().renewal = Duration::from_millis(50);
        let work = tokio::spawn(office.work(Route::Outside));
        road.opened().await;
        road.send(encrypted(&["a@x.example"]), Dsn::default(), 10).await;
        road.until(async |road| road.bench.rows().await == 1).await;
        assert_eq!(road.spooled().await, 0);
        let claimed_until = road.bench.queue.list().await.unwrap()[0].claimed_until;
        assert!(claimed_until > START, "it is still being delivered");
        stop.cancel();
        work.await.unwrap();
        let rows = road.bench.queue.list().await.unwrap();
        assert_eq!((rows[0].claimed_until, rows[0].attempts), (0, 0), "given back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_next_hops_need_several_claims() {
    for road in Road::both("ahead_ways").await {
        let (one, other, stop) = (Behaving::accepting().await, Behaving::accepting().await, CancellationToken::new());
        let hops = Hops {
            inside: one.hop.clone().into(),
            outside: one.hop.clone().into(),
            domains: [("y.example".to_owned(), Destination::from(other.hop.clone()))].into(),
            hostname: "gw.klinik.example".to_owned(),
        };
        let work = tokio::spawn(road.bench.office_to(road.bench.queue.clone(), hops, &stop).work(Route::Outside));
        road.opened().await;
        road.send(encrypted(&["a@x.example", "b@y.example"]), Dsn::default(), 10).await;
        one.wait_for(1).await;
        other.wait_for(1).await;
        road.until(async |road| road.spooled().await + road.bench.rows().await == 0).await;
        road.until(async |road| road.bench.bodies().await == 0).await;
        stop.cancel();
        work.await.unwrap();
        assert_eq!((one.taken().len(), other.taken().len()), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_gives_the_message_back() {
    for road in Road::both("ahead_stop").await {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hop = NextHop { port: listener.local_addr().unwrap().port(), ..Behaving::accepting().await.hop.clone() };
        let stop = CancellationToken::new();
        let work = tokio::spawn(road.bench.office(road.bench.queue.clone(), &hop, &stop).work(Route::Outside));
        road.opened().await;
        for n in 0..50 {
            road.send(encrypted(&[&format!("a{n}@x.example")]), Dsn::default(), 10).await;
        }
        let _connected = listener.accept().await.unwrap();
        stop.cancel();
        work.await.unwrap();
        assert_eq!((road.spooled().await, road.bench.rows().await), (50, 0));
        let another = Spool::new(
            road.bench.another_process().await.store,
            road.bench.queue.blobs.clone(),
            road.bench.keyring.clone(),
            road.bench.clock.clone(),
        );
        let again = another.claim().await.unwrap().expect("as due as before");
        assert_eq!(again.attempts, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_worker_had_comes_again() {
    for road in Road::both("ahead_dead").await {
        let stop = CancellationToken::new();
        let hop = Behaving::accepting().await;
        let office: std::sync::Arc<Office<_>> = road.bench.office(road.bench.queue.clone(), &hop.hop, &stop);
        drop(office);
        let mut out = road.bench.queue.lane(Route::Outside).open().unwrap();
        road.send(encrypted(&["a@x.example"]), Dsn::default(), 10).await;
        // As in a panic.
        drop(out.recv().await.unwrap());
        let again = road.spool.claim().await.unwrap().expect("given back by what was dropped");
        assert_eq!((again.attempts, road.bench.rows().await), (2, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_message_is_somebody_elses_writes_and_sends_nothing_more() {
    for road in Road::both("ahead_lost").await {
        let (hop, stop) = (Behaving::accepting().await, CancellationToken::new());
        let office = road.bench.office(road.bench.queue.clone(), &hop.hop, &stop);
        let mut out = road.bench.queue.lane(Route::Outside).open().unwrap();
        road.send(encrypted(&["a@x.example"]), Dsn::default(), 10).await;
        let mut ready = out.recv().await.unwrap();
        // It lay there while the next hop was slow; the lease ended, and another process took the message.
        ready.claimed_at = Instant::now().checked_sub(RENEWAL + Duration::from_secs(1)).unwrap();
        ready.ahead.as_ref().unwrap().begin();
        let busy = road.spool.delete(ready.claim.origin).await.unwrap();
        assert_eq!((busy.changed, busy.busy), (0, 1), "it may be with the next hop by now");
        road.bench.clock.set(START + 601);
        let another = Spool::new(
            road.bench.another_process().await.store,
            road.bench.queue.blobs.clone(),
            road.bench.keyring.clone(),
            road.bench.clock.clone(),
        );
        assert!(road.spool.claim().await.unwrap().is_none(), "who may have delivered it doesn't take it again");
        let theirs = another.claim().await.unwrap().expect("the lease has ended");
        let permit = std::sync::Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap();
        office.deliver_ready(ready, permit).await;
        assert_eq!((hop.taken().len(), road.bench.rows().await, road.bench.bodies().await), (0, 0, 0));
        let mut rows = Rows::new();
        another.finish(&mut rows, &theirs).unwrap();
        road.bench.queue.store.write_rows(rows).await.unwrap();
        assert_eq!(road.spooled().await, 0);
    }
}

/// What nobody could tell of a commit that queued it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    Done,
    NotDone,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_in_doubt_loses_nothing_and_sends_nothing_twice() {
    for road in Road::both("ahead_doubt").await {
        let hop = Behaving::new(|to| if to.starts_with("later") { "451 4.2.1 not now" } else { "250 2.1.5 ok" }).await;
        let stop = CancellationToken::new();
        let office = road.bench.office(road.bench.queue.clone(), &hop.hop, &stop);
        let mut out = road.bench.queue.lane(Route::Outside).open().unwrap();
        let mut sent = 0;
        for (doubt, large, old, to) in [
            (Doubt::Done, false, false, "a@x.example"),
            (Doubt::Done, true, false, "b@x.example"),
            (Doubt::Done, true, true, "c@x.example"),
            (Doubt::Done, true, false, "later1@x.example"),
            (Doubt::NotDone, true, false, "d@x.example"),
            (Doubt::NotDone, true, true, "e@x.example"),
            (Doubt::NotDone, false, false, "later2@x.example"),
        ] {
            road.opened().await;
            let mut mail = encrypted(&[to]);
            if large {
                mail.bytes.extend(b"line\r\n".repeat(30_000));
            }
            let bytes = mail.bytes.clone();
            road.send(mail, Dsn::default(), 10).await;
            let mut ready = out.recv().await.unwrap();
            let ahead = ready.ahead.as_ref().unwrap();
            if doubt == Doubt::Done {
                road.bench.queue.write_down(&ready.claim, &ready.bytes, ahead).await.unwrap();
            }
            ahead.in_doubt.store(true, Ordering::SeqCst);
            if old {
                ready.claimed_at = Instant::now().checked_sub(RENEWAL + Duration::from_secs(1)).unwrap();
            }
            let permit = std::sync::Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap();
            office.deliver_ready(ready, permit).await;
            assert_eq!(road.spooled().await, 0, "{to}");
            if to.starts_with("later") {
                let [row] = road.bench.queue.list().await.unwrap().try_into().unwrap();
                assert_eq!((row.attempts, row.claimed_until), (1, 0), "{to}");
                road.bench.clock.set(row.next_at + 1);
                let claim = road.bench.claim(Route::Outside).await.unwrap();
                assert_eq!(road.bench.queue.body(claim.body_id).await.unwrap().0.whole(), bytes, "{to}");
                office.queue.release_claim(&claim).await.unwrap();
                sqlx::query("delete from queue").execute(road.bench.queue.store.writer()).await.unwrap();
                road.bench.queue.sweep().await.unwrap();
            } else {
                sent += 1;
            }
            assert_eq!((hop.taken().len(), road.bench.rows().await), (sent, 0), "{to}");
            assert_eq!((road.bench.bodies().await, road.bench.blobs()), (0, 0), "{to}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_written_down_when_the_store_is_back() {
    for road in Road::both("ahead_store").await {
        let (hop, stop) = (Behaving::accepting().await, CancellationToken::new());
        let work = tokio::spawn(road.bench.office(road.bench.queue.clone(), &hop.hop, &stop).work(Route::Outside));
        road.opened().await;
        let store = road.bench.queue.store.clone();
        let mail = encrypted(&["a@x.example"]);
        let envelope = Envelope::plain(
            ReversePath::Address(address("anna@klinik.example")),
            mail.recipients.clone(),
            BodyType::SevenBit,
        );
        let client = Client::new([192, 0, 2, 1].into(), "mail.klinik.example", Door::Inside);
        let (queue_id, bytes) = (mail.origin, b"x".to_vec());
        let received = ReceivedMessage { queue_id, envelope: envelope.clone(), client, received_at: START, bytes };
        road.spool.commit(Judged { received, decisions: vec![Decision::Drop] }).await.unwrap();
        let mut claimed = road.spool.claim().await.unwrap().unwrap();
        let Ok(unqueued) = road.bench.queue.ahead(mail, &envelope).await.unwrap() else { panic!("no room") };
        let ending = road.spool.finish_later(Rows::new(), &mut claimed).unwrap();
        sqlx::query("alter table audit_records rename to elsewhere").execute(store.writer()).await.unwrap();
        road.bench.queue.go_ahead(unqueued, ending).unwrap();
        hop.wait_for(1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(road.spooled().await, 1, "nothing could be written");
        sqlx::query("alter table elsewhere rename to audit_records").execute(store.writer()).await.unwrap();
        road.until(async |road| road.spooled().await == 0).await;
        stop.cancel();
        work.await.unwrap();
        assert_eq!((hop.taken().len(), road.bench.rows().await, road.bench.bodies().await), (1, 0, 0));
    }
}
