//! Sessions and codes against a real SQLite file.

use super::*;
use crate::db::Schema;
use crate::derive::code_hash;
use crate::errands::{Answer, Bytes, reply};
use crate::id::{ErrandId, PickupId};

const NOW: Time = 1_800_000_000;
const CODE: &str = "12345678";

struct Bench {
    _directory: tempfile::TempDir,
    db: Db,
}

async fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("vault.sqlite").display());
    let db = Db::connect(&url, Schema::Vault).await.unwrap();
    db.migrate().await.unwrap();
    Bench { _directory: directory, db }
}

/// A code that the gateway minted for this session and pickup.
async fn asked(db: &Db, session: SessionHash, pickup: PickupId) -> ErrandId {
    let errand = ErrandId::random().unwrap();
    ask_code(db, session, errand, CodeScope::Pickup(pickup), NOW).await.unwrap();
    let code_hash = Bytes(code_hash(session.bytes(), pickup.bytes(), CODE).unwrap().to_vec());
    let answer = Answer::Code { code_hash, expires_at: NOW + 600, pickups: vec![pickup], account: None };
    reply(db, errand, &answer, NOW).await.unwrap();
    errand
}

#[tokio::test]
async fn a_right_code_renews_the_session_and_moves_what_it_has() {
    let Bench { db, .. } = &bench().await;
    let first = begin(db, NOW).await.unwrap();
    let (a, b) = (PickupId::random().unwrap(), PickupId::random().unwrap());
    let (for_a, for_b) = (asked(db, first.hash(), a).await, asked(db, first.hash(), b).await);
    let second = try_code(db, first.hash(), for_a, CODE, NOW).await.unwrap().unwrap();
    assert_eq!(second.pickups, [a]);
    assert!(!is_alive(db, first.hash(), NOW).await.unwrap());
    assert!(!has_proven(db, first.hash(), a, NOW).await.unwrap());
    assert!(has_proven(db, second.session.hash(), a, NOW).await.unwrap());
    // The other code was asked for under the first id and still counts, for the session's new id only.
    assert!(try_code(db, first.hash(), for_b, CODE, NOW).await.unwrap().is_none());
    let third = try_code(db, second.session.hash(), for_b, CODE, NOW).await.unwrap().unwrap();
    assert!(has_proven(db, third.session.hash(), a, NOW).await.unwrap());
    assert!(has_proven(db, third.session.hash(), b, NOW).await.unwrap());
}

#[tokio::test]
async fn a_code_counts_once() {
    let Bench { db, .. } = &bench().await;
    let session = begin(db, NOW).await.unwrap();
    let errand = asked(db, session.hash(), PickupId::random().unwrap()).await;
    let renewed = try_code(db, session.hash(), errand, CODE, NOW).await.unwrap().unwrap().session;
    assert!(try_code(db, renewed.hash(), errand, CODE, NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn wrong_late_foreign_and_replaced_codes_open_nothing() {
    let Bench { db, .. } = &bench().await;
    let session = begin(db, NOW).await.unwrap();
    let stranger = begin(db, NOW).await.unwrap();
    let pickup = PickupId::random().unwrap();
    let old = asked(db, session.hash(), pickup).await;
    let errand = asked(db, session.hash(), pickup).await;
    let unknown = ErrandId::random().unwrap();
    for (who, errand, code, now) in [
        (&session, old, CODE, NOW),
        (&session, unknown, CODE, NOW),
        (&session, errand, "12345679", NOW),
        (&session, errand, "", NOW),
        (&session, errand, CODE, NOW + 600),
        (&session, errand, CODE, NOW + IDLE),
        (&stranger, errand, CODE, NOW),
    ] {
        assert!(try_code(db, who.hash(), errand, code, now).await.unwrap().is_none(), "{code} {now}");
    }
    assert!(try_code(db, session.hash(), errand, CODE, NOW).await.unwrap().is_some());
}

#[tokio::test]
async fn an_answer_without_the_right_hash_opens_nothing() {
    let Bench { db, .. } = &bench().await;
    let session = begin(db, NOW).await.unwrap();
    for hash in [vec![], vec![0; 31], vec![0; 32], vec![7; 64]] {
        let errand = ErrandId::random().unwrap();
        ask_code(db, session.hash(), errand, CodeScope::Address, NOW).await.unwrap();
        let answer = Answer::Code { code_hash: Bytes(hash), expires_at: NOW + 600, pickups: vec![], account: None };
        reply(db, errand, &answer, NOW).await.unwrap();
        assert!(try_code(db, session.hash(), errand, CODE, NOW).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn five_tries_even_at_once_and_then_the_right_code_is_dead_too() {
    let Bench { db, .. } = &bench().await;
    let session = begin(db, NOW).await.unwrap();
    let errand = asked(db, session.hash(), PickupId::random().unwrap()).await;
    let tries = (0..20).map(|n| {
        let (db, hash) = (db.clone(), session.hash());
        tokio::spawn(async move { try_code(&db, hash, errand, &format!("{n:08}"), NOW).await.unwrap().is_none() })
    });
    assert!(futures::future::join_all(tries).await.into_iter().all(|wrong| wrong.unwrap()));
    let (tries,): (i64,) = sqlx::query_as("select tries from code_requests").fetch_one(db.reader()).await.unwrap();
    assert_eq!(tries, TRIES);
    assert!(try_code(db, session.hash(), errand, CODE, NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn sessions_end_by_silence_and_by_age_with_all_they_had() {
    let Bench { db, .. } = &bench().await;
    let session = begin(db, NOW).await.unwrap();
    let pickup = PickupId::random().unwrap();
    let errand = asked(db, session.hash(), pickup).await;
    let hash = try_code(db, session.hash(), errand, CODE, NOW).await.unwrap().unwrap().session.hash();
    assert!(!is_alive(db, hash, NOW + IDLE).await.unwrap());
    let mut now = NOW;
    while now + IDLE - 1 < NOW + LONGEST {
        now += IDLE - 1;
        assert!(has_proven(db, hash, pickup, now).await.unwrap(), "alive by its requests at {now}");
    }
    assert!(!has_proven(db, hash, pickup, NOW + LONGEST).await.unwrap());
    assert_eq!(forget(db, NOW + LONGEST).await.unwrap(), 1);
    let left: (i64,) = sqlx::query_as("select (select count(*) from proofs) + (select count(*) from code_requests)")
        .fetch_one(db.reader())
        .await
        .unwrap();
    assert_eq!(left, (0,));
}

#[tokio::test]
async fn the_gateway_is_told_once() {
    let Bench { db, .. } = &bench().await;
    let session = begin(db, NOW).await.unwrap();
    let pickup = PickupId::random().unwrap();
    let errand = asked(db, session.hash(), pickup).await;
    assert!(!reach(db, session.hash(), pickup, Milestone::Released, NOW).await.unwrap());
    let hash = try_code(db, session.hash(), errand, CODE, NOW).await.unwrap().unwrap().session.hash();
    for milestone in [Milestone::Released, Milestone::Opened] {
        assert!(reach(db, hash, pickup, milestone, NOW).await.unwrap());
        assert!(!reach(db, hash, pickup, milestone, NOW).await.unwrap());
    }
}

#[test]
fn cookies_come_back_and_foreign_ones_are_refused() {
    let id = SessionId::random().unwrap();
    assert_eq!(SessionId::parse(&id.written()).unwrap().hash(), id.hash());
    assert_eq!(id.written().len(), 43);
    for text in ["", "abc", "=", &"A".repeat(44), &"%".repeat(43)] {
        assert!(SessionId::parse(text).is_none(), "{text}");
    }
}
