//! Claims of what can't be read, and of what an administrator holds.

use tokio_util::sync::CancellationToken;

use super::super::bench::{Bench, START, mail};
use super::super::body::LARGE_ROOM;
use super::super::listing::{Selection, State};
use super::super::{Kind, Mail};
use super::*;
use crate::deliver::fake::Behaving;
use crate::envelope::{BodyType, Dsn, Envelope};

async fn both(name: &str) -> [Bench; 2] {
    let server = super::super::postgres::Postgres::start();
    let benches = [Bench::sqlite().await, Bench::postgres(&server, name).await];
    // Stopped with the process.
    std::mem::forget(server);
    benches
}

async fn insert(bench: &Bench, mail: Mail, orcpt: &str) {
    let mut dsn = Dsn::default();
    let orcpt = Some(OriginalRecipient::parse(orcpt).unwrap());
    dsn.set(&mail.recipients[0], RecipientDsn { notify: None, orcpt });
    let plain = Envelope::plain(mail.reverse_path.clone(), mail.recipients.clone(), BodyType::SevenBit);
    let placed = bench.queue.place(mail).await.unwrap().asking(&Envelope { dsn, ..plain });
    let mut rows = sealpost_vault::db::Rows::new();
    bench.queue.rows(&mut rows, &placed).unwrap();
    bench.queue.store.write_rows(rows).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_is_longer_in_ascii_is_read_again() {
    for bench in both("wish").await {
        let asked = format!("utf-8;{}", "é".repeat(200));
        insert(&bench, mail(Kind::Relayed, &["a@x.example"]), &asked).await;
        let claim = bench.queue.claim(Route::Outside).await.unwrap().expect("a claim");
        let orcpt = claim.rows[0].request.orcpt.as_ref().expect("what was asked");
        assert_eq!(orcpt.address(), "é".repeat(200));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_can_not_be_read_are_held_and_keep_nobody_waiting() {
    for bench in both("unreadable").await {
        for recipient in ["broken@x.example", "whole@x.example"] {
            bench.insert(mail(Kind::Relayed, &[recipient])).await;
        }
        sqlx::query("update queue set recipient = 'not an address' where recipient = 'broken@x.example'")
            .execute(bench.queue.store.writer())
            .await
            .unwrap();
        let mut claimed = Vec::new();
        for _ in 0..3 {
            claimed.extend(bench.queue.claim_some(Route::Outside, 10).await.unwrap());
        }
        let recipients: Vec<String> = claimed.iter().map(|claim| claim.rows[0].recipient.to_string()).collect();
        assert_eq!(recipients, ["whole@x.example"]);
        let (state, reply): (String, String) =
            sqlx::query_as("select state, last_reply from queue where recipient = 'not an address'")
                .fetch_one(bench.queue.store.reader())
                .await
                .unwrap();
        assert_eq!((state.as_str(), reply.as_str()), ("held", "a stored row is not what was written: a recipient"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_let_a_lease_end_does_not_get_back_what_is_held() {
    for bench in both("held").await {
        bench.insert(mail(Kind::Relayed, &["a@x.example"])).await;
        let claim = bench.queue.claim(Route::Outside).await.unwrap().expect("a claim");
        bench.clock.set(START + i64::try_from(LEASE.as_secs()).unwrap() + 1);
        assert_eq!(bench.queue.hold(Selection::All).await.unwrap().changed, 1);
        let renewed = bench.queue.renew(&claim).await;
        assert!(matches!(renewed, Err(StoreError::RowCount { found: 0, wanted: 1 })), "{renewed:?}");
        assert!(bench.queue.list().await.unwrap().iter().all(|row| row.state == State::Held));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_waits_for_room_and_holds_up_no_small_one() {
    for bench in both("large").await {
        let (hop, stop) = (Behaving::accepting().await, CancellationToken::new());
        let all = bench.queue.large_room().acquire_many_owned(u32::try_from(LARGE_ROOM).unwrap()).await.unwrap();
        let large = Mail { bytes: b"line\r\n".repeat(1024 * 1024), ..mail(Kind::Relayed, &["large@x.example"]) };
        bench.insert(large).await;
        bench.insert(mail(Kind::Relayed, &["small@x.example"])).await;
        let work = tokio::spawn(bench.office(bench.queue.clone(), &hop.hop, &stop).work(Route::Outside));
        let taken = hop.wait_for(1).await;
        assert_eq!(taken[0].to, ["small@x.example"]);
        let waiting = bench.queue.list().await.unwrap();
        assert!(waiting.iter().any(|row| row.recipient.to_string() == "large@x.example"));
        drop(all);
        assert_eq!(hop.wait_for(2).await[1].to, ["large@x.example"]);
        // Stopped while one waits: it is as due as before.
        let all = bench.queue.large_room().acquire_many_owned(u32::try_from(LARGE_ROOM).unwrap()).await.unwrap();
        let large = Mail { bytes: b"line\r\n".repeat(1024 * 1024), ..mail(Kind::Relayed, &["late@x.example"]) };
        bench.insert(large).await;
        while bench.queue.list().await.unwrap().iter().all(|row| row.claimed_until == 0) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        stop.cancel();
        work.await.unwrap();
        let rows = bench.queue.list().await.unwrap();
        let late = rows.iter().find(|row| row.recipient.to_string() == "late@x.example").expect("not lost");
        assert_eq!((late.claimed_until, late.attempts), (0, 0));
        drop(all);
    }
}

/// The database was busy, and let it wait.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_divided_late_has_a_whole_lease() {
    for bench in both("divided").await {
        let lease = i64::try_from(LEASE.as_secs()).unwrap();
        bench.insert(mail(Kind::Relayed, &["a@x.example", "b@y.example"])).await;
        let (claim, rows) = bench.claim(Route::Outside).await.expect("a claim").without_rows();
        bench.clock.set(START + lease - 1);
        let parts = bench.queue.split(claim, rows.into_iter().map(|row| vec![row]).collect()).await.unwrap();
        bench.clock.set(START + 2 * lease - 2);
        assert!(bench.another_process().await.claim(Route::Outside).await.unwrap().is_none());
        for part in &parts {
            bench.queue.renew(part).await.unwrap();
        }
        // Who lost it meanwhile finds out.
        let (claim, rows) = parts.into_iter().next().expect("two parts").without_rows();
        bench.clock.set(START + 4 * lease);
        while bench.another_process().await.claim(Route::Outside).await.unwrap().is_some() {}
        let mut both: Vec<Vec<ClaimedRow>> = rows.into_iter().map(|row| vec![row]).collect();
        both.push(Vec::new());
        let lost = bench.queue.split(claim, both).await;
        assert!(matches!(lost, Err(StoreError::RowCount { found: 0, wanted: 1 })), "{lost:?}");
    }
}
