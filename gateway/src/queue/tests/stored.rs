//! What lies in the queue: what an administrator orders, how bodies rest, and what is swept.

use std::fs::File;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use tokio_util::sync::CancellationToken;

use super::super::bench::{Bench, START, address, deferred, mail};
use super::super::*;
use super::DAY;
use crate::deliver::fake::Behaving;

pub(super) async fn orders_of_an_administrator(bench: Bench) {
    bench.insert(mail(Kind::Relayed, &["a@x.example", "b@x.example"])).await;
    bench.insert(Mail { bytes: vec![b'x'; 200_000], ..mail(Kind::Code, &["c@x.example"]) }).await;
    let rows = bench.queue.list().await.unwrap();
    let row = |to: &str| rows.iter().find(|row| row.recipient == address(to)).unwrap().clone();
    let (a, b, c) = (row("a@x.example"), row("b@x.example"), row("c@x.example"));
    assert_eq!((a.origin, a.reverse_path.as_str(), a.expires_at), (b.origin, "anna@klinik.example", START + 5 * DAY));
    assert_eq!(bench.queue.show(a.queue_id).await.unwrap(), std::slice::from_ref(&a));
    assert_eq!(bench.queue.show(a.origin).await.unwrap().len(), 2);
    assert!(bench.queue.show(QueueId::random().unwrap()).await.unwrap().is_empty());
    assert_eq!(bench.queue.counts().await.unwrap(), Counts { fresh: 3, oldest: START, ..Counts::default() });

    let one = |changed| Changed { changed, busy: 0 };
    assert_eq!(bench.queue.hold(Selection::Id(b.queue_id)).await.unwrap(), one(1));
    assert_eq!(bench.queue.hold(Selection::Id(b.queue_id)).await.unwrap(), one(0), "held already");
    assert_eq!(bench.queue.hold(Selection::Id(c.origin)).await.unwrap(), one(1));
    let claim = bench.claim(Route::Outside).await.unwrap();
    assert_eq!(claim.rows.iter().map(|row| row.queue_id).collect::<Vec<_>>(), [a.queue_id]);
    // What is on its way is left alone.
    let busy = Changed { changed: 0, busy: 1 };
    for id in [Selection::Id(a.queue_id), Selection::Id(a.queue_id)] {
        assert_eq!(bench.queue.hold(id).await.unwrap(), busy);
        assert_eq!(bench.queue.retry(id).await.unwrap(), busy);
        assert_eq!(bench.queue.delete(id).await.unwrap(), busy);
    }
    assert_eq!(bench.queue.delete(Selection::Id(a.origin)).await.unwrap(), Changed { changed: 1, busy: 1 });
    bench.settle(&claim, &[deferred("4.4.1")]).await.unwrap();
    assert!(bench.claim(Route::Outside).await.is_none());
    assert_eq!(bench.queue.retry(Selection::Id(a.queue_id)).await.unwrap(), one(1));
    let claim = bench.claim(Route::Outside).await.expect("tried again now");
    bench.queue.give_back(claim).await.unwrap();
    assert_eq!(bench.queue.release(Selection::All).await.unwrap(), one(1));
    assert_eq!((bench.bodies().await, bench.blobs()), (2, 1));
    assert_eq!(bench.queue.delete(Selection::Id(c.queue_id)).await.unwrap(), one(1));
    assert_eq!((bench.bodies().await, bench.blobs()), (1, 0));
    assert_eq!(bench.queue.delete(Selection::All).await.unwrap(), one(1));
    assert_eq!((bench.rows().await, bench.bodies().await), (0, 0));
}

pub(super) async fn withdrawn_notifications_do_not_leave(bench: Bench) {
    let (pickup, other) = (PickupId::random().unwrap(), PickupId::random().unwrap());
    for each in [pickup, other] {
        bench.insert(Mail { pickup: Some(each), ..mail(Kind::Notification, &["a@x.example"]) }).await;
    }
    let mut tx = bench.queue.store.begin().await.unwrap();
    assert_eq!(bench.queue.withdraw_notifications(&mut tx, pickup).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(bench.bodies().await, 1);
    assert_eq!(bench.claim(Route::Outside).await.unwrap().pickup, Some(other));
    assert!(bench.claim(Route::Outside).await.is_none());
}

pub(super) async fn bodies_rest_sealed_and_in_their_own_place(bench: Bench) {
    for to in ["a@x.example", "b@x.example"] {
        bench.insert(mail(Kind::Relayed, &[to])).await;
    }
    let bodies: Vec<(String, Vec<u8>)> = sqlx::query_as("select body_id, sealed from outgoing order by body_id")
        .fetch_all(bench.queue.store.reader())
        .await
        .unwrap();
    for (_, sealed) in &bodies {
        assert!(memchr::memmem::find(sealed, b"canary").is_none());
        assert!(memchr::memmem::find(sealed, b"Lunch").is_none());
    }
    sqlx::query("update outgoing set sealed = $1 where body_id = $2")
        .bind(&bodies[0].1)
        .bind(&bodies[1].0)
        .execute(bench.queue.store.writer())
        .await
        .unwrap();
    assert!(bench.queue.body(bodies[0].0.parse().unwrap()).await.is_ok());
    assert!(bench.queue.body(bodies[1].0.parse().unwrap()).await.is_err());
    // A body that doesn't open is no reason to refuse its mail: it waits, and is shown.
    let hop = Behaving::accepting().await;
    let office = bench.office(bench.queue.clone(), &hop.hop, &CancellationToken::new());
    while let Some(claim) = bench.claim(Route::Outside).await {
        office.deliver(claim, None).await;
    }
    assert_eq!(hop.taken().len(), 1);
    let rows = bench.queue.list().await.unwrap();
    assert_eq!((rows.len(), rows[0].attempts), (1, 1));
    // Bodies without rows, as a process leaves them that died half-way, are swept.
    sqlx::query("delete from queue").execute(bench.queue.store.writer()).await.unwrap();
    bench.queue.sweep().await.unwrap();
    assert_eq!(bench.bodies().await, 0);
}

pub(super) async fn nothing_is_inserted_without_recipients(bench: Bench) {
    let placed = bench.queue.place(mail(Kind::Relayed, &[])).await.unwrap();
    let mut tx = bench.queue.store.begin().await.unwrap();
    assert!(bench.queue.insert(&mut tx, placed).await.is_err());
    tx.rollback().await.unwrap();
    assert_eq!(bench.bodies().await, 0);
}

/// A file beside the bodies, as a write leaves it.
fn written(bench: &Bench, name: &str, at: Time) -> PathBuf {
    let path = bench.directory.path().join("blobs/outgoing").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::options().create(true).append(true).open(&path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(at.unsigned_abs())).unwrap();
    path
}

/// Of a mail whose body is a file; its name.
async fn insert_large(bench: &Bench) -> String {
    bench.insert(Mail { bytes: vec![b'x'; 200_000], ..mail(Kind::Relayed, &["a@x.example"]) }).await;
    let (body,): (String,) =
        sqlx::query_as("select body_id from outgoing").fetch_one(bench.queue.store.reader()).await.unwrap();
    body
}

pub(super) async fn bodies_without_rows_are_swept_when_they_are_old(bench: Bench) {
    let named = written(&bench, &insert_large(&bench).await, 1);
    let old = ["orphan", "staged-0123"].map(|name| written(&bench, name, START - 3_601));
    let young = [("young", START - 3_600), ("now", START)].map(|(name, at)| written(&bench, name, at));
    bench.queue.sweep().await.unwrap();
    assert!(old.iter().all(|file| !file.exists()));
    assert!(young.iter().all(|file| file.exists()), "a row may be on its way");
    assert!(named.exists(), "has its row");
    bench.clock.set(START + 3_601);
    bench.queue.sweep().await.unwrap();
    assert!(young.iter().all(|file| !file.exists()) && named.exists());
    let claim = bench.claim(Route::Outside).await.unwrap();
    assert_eq!(bench.queue.bytes(claim.body_id).await.len(), 200_000);
}

pub(super) async fn at_the_start_of_the_only_gateway_every_body_without_rows_is_swept(bench: Bench) {
    let named = insert_large(&bench).await;
    let named = bench.directory.path().join("blobs/outgoing").join(named);
    let young = written(&bench, "young", START);
    bench.queue.take_back().await.unwrap();
    assert!(named.exists());
    let alone = bench.queue.store.engine() == sealpost_vault::Engine::Sqlite;
    assert_eq!(young.exists(), !alone, "another gateway may be about to commit its row");
}
