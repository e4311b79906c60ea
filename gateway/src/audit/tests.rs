//! The chain under attack: whoever can write the database, and whoever can write its exports. Each on both databases.

use std::sync::Arc;

use sealpost_vault::id::PickupId;

use super::chain::{BEGINNING, link};
use super::check::{Key, Source};
use super::*;

use crate::queue::postgres::Postgres;

mod bench;

use bench::{Bench, START, TestKey};

macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Bench::sqlite().await).await;
            })+
        }

        /// One server for all of them; each has a database of its own.
        #[tokio::test(flavor = "multi_thread")]
        async fn on_postgres() {
            let server = Postgres::start();
            $(
                println!("{}", stringify!($name));
                $name(Bench::postgres(&server, stringify!($name)).await).await;
            )+
        }
    };
}

scenarios! {
    an_untouched_chain_is_good,
    an_edited_record_is_named,
    a_deleted_record_is_named,
    a_deleted_record_is_found_after_renumbering,
    swapped_texts_are_named,
    reordered_records_are_named,
    an_inserted_record_is_found,
    a_repeated_record_is_named,
    hashes_made_anew_contradict_the_signed_heads,
    edited_and_repeated_heads_are_named,
    a_cut_end_is_found_by_the_head_that_stayed,
    an_end_cut_with_its_heads_is_found_by_the_head_file,
    an_end_cut_with_head_file_and_all_is_found_by_a_head_kept_elsewhere,
    records_without_a_head_are_extra,
    a_chain_made_anew_with_another_key_is_found,
    a_rotated_key_still_counts,
    the_head_file_is_never_overwritten_with_a_contradiction,
    records_passed_over_are_told_from_records_that_wait,
    a_rolled_back_change_leaves_no_record,
    a_crash_before_the_commit_is_harmless,
    records_of_one_transaction_keep_their_order,
    several_sequencers_at_once_make_one_chain,
    batches_larger_than_one_are_caught_up,
    old_heads_of_the_same_hour_go,
    an_export_is_verified_without_the_store,
    an_export_can_begin_later,
    a_damaged_export_is_told,
}

async fn an_untouched_chain_is_good(bench: Bench) {
    assert_eq!(bench.faults().await, []);
    bench.twenty().await;
    bench.happen(21).await;
    let findings = bench.findings().await;
    assert_eq!(findings.faults, []);
    assert_eq!((findings.first, findings.last, findings.head.map(|head| head.n)), (1, 20, Some(20)));
    assert_eq!(findings.waiting, Some((1, START + 7_200)));
}

async fn an_edited_record_is_named(bench: Bench) {
    bench.twenty().await;
    for n in [1, 7, 10, 20] {
        let body = bench.body(n).await;
        bench.set_body(n, &body.replace("released", "opened")).await;
        assert_eq!(bench.faults().await, [Fault::Edited { n }]);
        bench.set_body(n, &body).await;
    }
    // Text that means the same isn't the same.
    let body = bench.body(7).await;
    bench.set_body(7, &format!("{body} ")).await;
    assert_eq!(bench.faults().await, [Fault::Edited { n: 7 }]);
    bench.set_body(7, &body).await;
    // A hash that is none.
    let nothing: &[u8] = &[];
    sqlx::query("update audit_chain set hash = $1 where n = 7")
        .bind(nothing)
        .execute(bench.store.writer())
        .await
        .unwrap();
    assert_eq!(bench.faults().await, [Fault::Edited { n: 7 }]);
}

async fn a_deleted_record_is_named(bench: Bench) {
    bench.twenty().await;
    bench.sql("delete from audit_chain where n in (5, 6, 10)").await;
    let missing = [Fault::Missing { first: 5, last: 6 }, Fault::Missing { first: 10, last: 10 }];
    assert_eq!(bench.faults().await, missing);
    bench.sql("delete from audit_chain where n = 1").await;
    assert_eq!(bench.faults().await.first(), Some(&Fault::Missing { first: 1, last: 1 }));
    bench.sql("delete from audit_chain").await;
    let faults = bench.faults().await;
    assert!(faults.contains(&Fault::CutOff { n: 20, last: 0 }), "{faults:?}");
}

async fn a_deleted_record_is_found_after_renumbering(bench: Bench) {
    bench.twenty().await;
    bench.sql("delete from audit_chain where n = 5").await;
    bench.renumber(6, 20, -1).await;
    let faults = bench.faults().await;
    assert!(faults.contains(&Fault::Edited { n: 5 }), "{faults:?}");
    assert!(faults.contains(&Fault::Renumbered { first: 6, last: 19, was: 7 }), "{faults:?}");
    assert!(faults.contains(&Fault::CutOff { n: 20, last: 19 }), "{faults:?}");
}

async fn swapped_texts_are_named(bench: Bench) {
    bench.twenty().await;
    let (three, twelve) = (bench.body(3).await, bench.body(12).await);
    bench.set_body(3, &twelve).await;
    bench.set_body(12, &three).await;
    assert_eq!(bench.faults().await, [Fault::TextOf { n: 3, of: 12 }, Fault::TextOf { n: 12, of: 3 }]);
}

async fn reordered_records_are_named(bench: Bench) {
    bench.twenty().await;
    bench.renumber(3, 3, 500).await;
    bench.renumber(7, 7, -4).await;
    bench.renumber(503, 503, -496).await;
    assert_eq!(bench.faults().await, [Fault::Moved { n: 3, was: 7 }, Fault::Moved { n: 7, was: 3 }]);
}

async fn an_inserted_record_is_found(bench: Bench) {
    bench.twenty().await;
    bench.renumber(5, 20, 1).await;
    bench.forge(5, "{\"at\":1800000000,\"kind\":\"keys-backed-up\"}").await;
    let faults = bench.faults().await;
    assert!(faults.contains(&Fault::Edited { n: 5 }), "{faults:?}");
    assert!(faults.contains(&Fault::Moved { n: 6, was: 5 }), "{faults:?}");
    assert!(faults.contains(&Fault::Renumbered { first: 7, last: 21, was: 6 }), "{faults:?}");
}

async fn a_repeated_record_is_named(bench: Bench) {
    bench.twenty().await;
    bench.renumber(6, 20, 1).await;
    bench.sql("insert into audit_chain (n, hash, body) select 6, hash, body from audit_chain where n = 5").await;
    let faults = bench.faults().await;
    assert!(faults.contains(&Fault::Repeated { n: 6 }), "{faults:?}");
    assert!(faults.contains(&Fault::Renumbered { first: 7, last: 21, was: 6 }), "{faults:?}");
}

async fn hashes_made_anew_contradict_the_signed_heads(bench: Bench) {
    bench.twenty().await;
    let body = bench.body(13).await;
    bench.set_body(13, &body.replace("released", "opened")).await;
    bench.rehash(13).await;
    assert_eq!(
        bench.faults().await,
        [Fault::Contradicts { source: Source::HeadFile, n: 20, last: 20 }, Fault::HeadDiffers { n: 20, since: 10 }]
    );
    bench.set_body(2, &body).await;
    bench.rehash(2).await;
    let faults = bench.faults().await;
    assert!(faults.contains(&Fault::HeadDiffers { n: 10, since: 0 }), "{faults:?}");
    assert!(faults.contains(&Fault::HeadDiffers { n: 20, since: 10 }), "{faults:?}");
}

async fn edited_and_repeated_heads_are_named(bench: Bench) {
    bench.twenty().await;
    let columns = "hash, signed_at, organisation, signer, signature";
    bench
        .sql(&format!("insert into audit_heads (n, {columns}) select 15, {columns} from audit_heads where n = 10"))
        .await;
    assert_eq!(bench.faults().await, [Fault::HeadSignature { n: 15, key: Key::Known }]);
    bench.sql("delete from audit_heads where n = 15").await;
    bench.sql("update audit_heads set signed_at = signed_at + 1 where n = 10").await;
    assert_eq!(bench.faults().await, [Fault::HeadSignature { n: 10, key: Key::Known }]);
    bench.sql("update audit_heads set signed_at = signed_at - 1 where n = 10").await;
    bench.sql("update audit_heads set signature = hash where n = 10").await;
    assert_eq!(bench.faults().await, [Fault::HeadSignature { n: 10, key: Key::Unknown }]);
    bench.sql("update audit_heads set organisation = hash").await;
    assert_eq!(
        bench.faults().await,
        [
            Fault::HeadSignature { n: 10, key: Key::Unknown },
            Fault::HeadOrganisation { n: 20 },
            Fault::Unsigned { first: 1, last: 20 },
        ]
    );
}

async fn a_cut_end_is_found_by_the_head_that_stayed(bench: Bench) {
    bench.twenty().await;
    std::fs::remove_file(bench.head_file()).unwrap();
    bench.sql("delete from audit_chain where n > 17").await;
    assert_eq!(
        bench.faults().await,
        [Fault::CutOff { n: 20, last: 17 }, Fault::Unsigned { first: 11, last: 17 }, Fault::HeadFile { there: false },]
    );
}

async fn an_end_cut_with_its_heads_is_found_by_the_head_file(bench: Bench) {
    bench.twenty().await;
    bench.sql("delete from audit_chain where n > 10").await;
    bench.sql("delete from audit_heads where n > 10").await;
    let cut = [Fault::Contradicts { source: Source::HeadFile, n: 20, last: 10 }];
    assert_eq!(bench.faults().await, cut);
    // The gateway goes on, and the file still tells.
    bench.happen(30).await;
    bench.sequencer.catch_up().await.unwrap();
    bench.restarted().catch_up().await.unwrap();
    assert_eq!(bench.faults().await, [Fault::Contradicts { source: Source::HeadFile, n: 20, last: 11 }]);
    for number in 31..45 {
        bench.happen(number).await;
    }
    bench.restarted().catch_up().await.unwrap();
    assert_eq!(bench.faults().await, [Fault::Contradicts { source: Source::HeadFile, n: 20, last: 20 }]);
}

async fn an_end_cut_with_head_file_and_all_is_found_by_a_head_kept_elsewhere(bench: Bench) {
    bench.twenty().await;
    let kept = newest_head(&bench.store).await.unwrap().unwrap();
    bench.sql("delete from audit_chain where n > 10").await;
    bench.sql("delete from audit_heads where n > 10").await;
    std::fs::remove_file(bench.head_file()).unwrap();
    bench.restarted().catch_up().await.unwrap();
    assert_eq!(bench.faults().await, [], "nothing on this machine tells");
    let with = |head: Head| async {
        verify(&bench.store, &bench.trusted(), &bench.head_file(), vec![head], START).await.unwrap().faults
    };
    assert_eq!(with(kept.clone()).await, [Fault::Contradicts { source: Source::Given, n: 20, last: 10 }]);
    let forged = Head { n: 5, ..kept };
    assert_eq!(
        with(forged).await,
        [
            Fault::SourceSignature { source: Source::Given, n: 5 },
            Fault::Contradicts { source: Source::Given, n: 5, last: 5 },
        ]
    );
}

async fn records_without_a_head_are_extra(bench: Bench) {
    bench.twenty().await;
    bench.forge(21, "{\"at\":1800000000,\"kind\":\"keys-backed-up\"}").await;
    bench.rehash(21).await;
    assert_eq!(bench.faults().await, [Fault::Unsigned { first: 21, last: 21 }]);
    bench.sql("delete from audit_chain where n = 21").await;
    bench.sql("delete from audit_heads where n = 20").await;
    assert_eq!(bench.faults().await, [Fault::Unsigned { first: 11, last: 20 }]);
}

async fn a_chain_made_anew_with_another_key_is_found(bench: Bench) {
    bench.twenty().await;
    let hash = super::sequencer::hash_of(&bench.store, 20).await.unwrap().unwrap();
    let forged = Head::sign(20, hash, START, &TestKey::new(2)).unwrap();
    sqlx::query("update audit_heads set signed_at = $1, signer = $2, signature = $3 where n = 20")
        .bind(forged.at)
        .bind(forged.signer.as_slice())
        .bind(forged.signature.as_slice())
        .execute(bench.store.writer())
        .await
        .unwrap();
    assert_eq!(
        bench.faults().await,
        [Fault::HeadSignature { n: 20, key: Key::Unknown }, Fault::Unsigned { first: 11, last: 20 }]
    );
}

async fn a_rotated_key_still_counts(mut bench: Bench) {
    bench.twenty().await;
    let old = bench.key.public();
    bench.key = Arc::new(TestKey::new(2));
    bench.happen(21).await;
    bench.restarted().catch_up().await.unwrap();
    let mut trusted = bench.trusted();
    assert_eq!(
        verify(&bench.store, &trusted, &bench.head_file(), Vec::new(), START).await.unwrap().faults,
        [Fault::HeadSignature { n: 10, key: Key::Unknown }, Fault::HeadSignature { n: 20, key: Key::Unknown }]
    );
    trusted.keys.push(old);
    assert!(verify(&bench.store, &trusted, &bench.head_file(), Vec::new(), START).await.unwrap().is_good());
}

async fn the_head_file_is_never_overwritten_with_a_contradiction(bench: Bench) {
    bench.twenty().await;
    let before = std::fs::read_to_string(bench.head_file()).unwrap();
    assert_eq!(Head::from_line(before.trim_end()), newest_head(&bench.store).await.unwrap());
    bench.set_body(2, "{}").await;
    bench.rehash(2).await;
    bench.happen(21).await;
    // The gateway that was running, and one that starts.
    bench.sequencer.catch_up().await.unwrap();
    bench.restarted().catch_up().await.unwrap();
    assert_eq!(std::fs::read_to_string(bench.head_file()).unwrap(), before);
    // Damaged, it is left as evidence as well.
    std::fs::write(bench.head_file(), "{").unwrap();
    bench.restarted().catch_up().await.unwrap();
    assert!(bench.faults().await.contains(&Fault::HeadFile { there: true }));
}

async fn records_passed_over_are_told_from_records_that_wait(bench: Bench) {
    bench.twenty().await;
    // Nobody chained since: the gateway doesn't run.
    bench.happen(21).await;
    bench.clock.set(bench.clock.now() + 10_000);
    let findings = bench.findings().await;
    assert_eq!((findings.faults, findings.waiting.map(|(count, _)| count)), (vec![], Some(1)));
    // Somebody dated one back, or kept it from the sequencer.
    bench.sql(&format!("update audit_records set recorded_at = {}", START - 10_000)).await;
    let stuck = Fault::Stuck { count: 1, since: START - 10_000 };
    assert_eq!(bench.faults().await, [stuck]);
    assert!(Fault::Stuck { count: 1, since: 0 }.to_string().contains("since 1970-01-01T00:00:00Z,"));
}

async fn a_rolled_back_change_leaves_no_record(bench: Bench) {
    let mut transaction = bench.store.begin().await.unwrap();
    record(&mut transaction, Event::KeysBackedUp, START).await.unwrap();
    transaction.rollback().await.unwrap();
    let mut dropped = bench.store.begin().await.unwrap();
    record(&mut dropped, Event::KeysBackedUp, START).await.unwrap();
    drop(dropped);
    bench.happen(1).await;
    bench.sequencer.catch_up().await.unwrap();
    let findings = bench.findings().await;
    assert_eq!((findings.last, findings.waiting), (1, None));
    assert!(bench.body(1).await.contains("released"));
}

async fn a_crash_before_the_commit_is_harmless(bench: Bench) {
    bench.twenty().await;
    bench.happen(21).await;
    // What the sequencer does, without its end.
    let mut transaction = bench.store.begin().await.unwrap();
    sqlx::query("insert into audit_chain (n, hash, body) select 21, hash, body from audit_chain where n = 20")
        .execute(&mut *transaction)
        .await
        .unwrap();
    sqlx::query("delete from audit_records").execute(&mut *transaction).await.unwrap();
    drop(transaction);
    // And a crash between the commit and the head file.
    assert_eq!(bench.sequencer.chain().await.unwrap(), Chained::All(1));
    let findings = bench.findings().await;
    assert_eq!((findings.faults, findings.last), (vec![], 21));
    bench.restarted().catch_up().await.unwrap();
    let kept = read_head_file(&bench.head_file()).unwrap().unwrap();
    assert_eq!(kept.map(|head| head.n), Some(21));
}

async fn records_of_one_transaction_keep_their_order(bench: Bench) {
    let mut transaction = bench.store.begin().await.unwrap();
    for number in (1..=9).rev() {
        let event = Event::Released { pickup: PickupId::from_bytes([number; 16]) };
        record(&mut transaction, event, START).await.unwrap();
    }
    transaction.commit().await.unwrap();
    bench.happen(99).await;
    bench.sequencer.catch_up().await.unwrap();
    for (n, number) in (1..=9).rev().chain([99]).enumerate() {
        let body = bench.body(i64::try_from(n).unwrap() + 1).await;
        assert!(body.contains(&PickupId::from_bytes([number; 16]).to_string()), "{n}: {body}");
    }
}

async fn several_sequencers_at_once_make_one_chain(bench: Bench) {
    let bench = Arc::new(bench);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..6 {
        let bench = Arc::clone(&bench);
        writers.spawn(async move {
            for number in 0..25 {
                bench.happen(writer * 25 + number).await;
            }
        });
    }
    let mut sequencers = tokio::task::JoinSet::new();
    for gateway in 0..3 {
        let bench = Arc::clone(&bench);
        // Gateways on several machines, each with a head file of its own.
        let file = bench.directory.path().join(format!("head-{gateway}"));
        sequencers.spawn(async move {
            let sequencer = Sequencer::new(bench.store.clone(), Arc::clone(&bench.key), bench.clock.clone(), file);
            loop {
                sequencer.catch_up().await.unwrap();
                let (chained,): (i64,) =
                    sqlx::query_as("select count(*) from audit_chain").fetch_one(bench.store.reader()).await.unwrap();
                if chained == 150 {
                    return sequencer.catch_up().await.unwrap();
                }
                tokio::task::yield_now().await;
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    while let Some(ended) = sequencers.join_next().await {
        ended.unwrap();
    }
    for gateway in 0..3 {
        let file = bench.directory.path().join(format!("head-{gateway}"));
        let findings = verify(&bench.store, &bench.trusted(), &file, Vec::new(), START).await.unwrap();
        assert_eq!((findings.faults, findings.last, findings.waiting), (vec![], 150, None));
    }
    let (texts,): (i64,) =
        sqlx::query_as("select count(distinct body) from audit_chain").fetch_one(bench.store.reader()).await.unwrap();
    assert_eq!(texts, 150, "each record once");
}

async fn batches_larger_than_one_are_caught_up(bench: Bench) {
    let mut transaction = bench.store.begin().await.unwrap();
    for _ in 0..450 {
        record(&mut transaction, Event::KeysBackedUp, START).await.unwrap();
    }
    transaction.commit().await.unwrap();
    assert_eq!(bench.sequencer.chain().await.unwrap(), Chained::Some);
    bench.sequencer.catch_up().await.unwrap();
    let findings = bench.findings().await;
    assert_eq!((findings.faults, findings.last, findings.waiting), (vec![], 450, None));
}

async fn old_heads_of_the_same_hour_go(bench: Bench) {
    for second in 0..5 {
        bench.clock.set(START + second);
        bench.happen(1).await;
        bench.sequencer.catch_up().await.unwrap();
    }
    bench.clock.set(START + 3_600);
    bench.happen(1).await;
    bench.sequencer.catch_up().await.unwrap();
    let heads: Vec<(i64,)> =
        sqlx::query_as("select n from audit_heads order by n").fetch_all(bench.store.reader()).await.unwrap();
    assert_eq!(heads, [(5,), (6,)]);
    assert_eq!(bench.faults().await, []);
}

async fn an_export_is_verified_without_the_store(bench: Bench) {
    bench.twenty().await;
    bench.happen(21).await;
    let text = bench.export(Start::Beginning).await;
    assert_eq!(text.lines().count(), 1 + 20 + 2);
    let findings = verify_export(text.as_bytes(), &bench.trusted(), Vec::new()).unwrap();
    assert_eq!((findings.faults, findings.first, findings.last), (vec![], 1, 20));
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    let other = Trusted { keys: vec![TestKey::new(2).public()], organisation: None };
    assert!(!verify_export(text.as_bytes(), &other, Vec::new()).unwrap().is_good());
    // An export's end is a head to hold the store against.
    let head = Head::from_line(text.lines().last().unwrap()).unwrap();
    assert!(head.is_signed_by(&bench.trusted().keys));
}

async fn an_export_can_begin_later(bench: Bench) {
    bench.twenty().await;
    let text = bench.export(Start::From(8)).await;
    let findings = verify_export(text.as_bytes(), &bench.trusted(), Vec::new()).unwrap();
    assert_eq!((findings.faults, findings.first, findings.last), (vec![], 8, 20));
    for (since, first) in [(START, 1), (START + 1, 11), (START + 3_600, 11), (START + 3_601, 0)] {
        let text = bench.export(Start::Since(since)).await;
        let findings = verify_export(text.as_bytes(), &bench.trusted(), Vec::new()).unwrap();
        assert_eq!((findings.faults, findings.first), (vec![], first), "{since}");
    }
}

async fn a_damaged_export_is_told(bench: Bench) {
    bench.twenty().await;
    let text = bench.export(Start::Beginning).await;
    let lines: Vec<&str> = text.lines().collect();
    let written = |lines: &[&str]| bench.export_faults(&format!("{}\n", lines.join("\n")));
    let without = |index: usize| {
        let mut lines = lines.clone();
        lines.remove(index);
        written(&lines)
    };
    let swapped = |a: usize, b: usize| {
        let mut lines = lines.clone();
        lines.swap(a, b);
        written(&lines)
    };
    assert_eq!(written(&lines), []);
    assert_eq!(without(0), [Fault::Unreadable { line: 1 }]);
    assert_eq!(without(4), [Fault::Missing { first: 4, last: 4 }]);
    assert_eq!(swapped(4, 5), [Fault::Missing { first: 4, last: 4 }, Fault::OutOfOrder { n: 4 }]);
    // The end: the opening line tells how far it went.
    assert_eq!(written(&lines[..12]), [Fault::Missing { first: 11, last: 20 }]);
    assert_eq!(
        written(&lines[..15]),
        [Fault::Unsigned { first: 11, last: 13 }, Fault::Missing { first: 14, last: 20 }]
    );
    // One record's line twice.
    let mut twice = lines.clone();
    twice.insert(5, lines[4]);
    assert_eq!(written(&twice), [Fault::OutOfOrder { n: 4 }]);
    // Written anew by a program that keeps the sense and not the bytes.
    let spaced = lines[4].replace("\"at\":", "\"at\": ");
    let mut edited = lines.clone();
    edited[4] = &spaced;
    assert_eq!(written(&edited), [Fault::Edited { n: 4 }]);
    edited[4] = "hello";
    assert_eq!(written(&edited), [Fault::Unreadable { line: 5 }, Fault::Missing { first: 4, last: 4 }]);
    assert_eq!(bench.export_faults(""), [Fault::Unreadable { line: 1 }]);
}

/// The example of SEALING.md, computed by another program.
#[test]
fn the_chain_is_as_specified() {
    let body = serde_json::to_string(&serde_json::json!({"at": 0, "kind": "gateway-stopped"})).unwrap();
    let hash = link(1, &BEGINNING, &sealpost_vault::derive::sha256(body.as_bytes())).unwrap();
    assert_eq!(hex(&hash), "dba7209013b5bacfeff6baea3fe0f79061d5e5c211277b796d4fac2f7def5140");
    let head = Head::sign(1, hash, START, &TestKey::new(1)).unwrap();
    let mut message = b"sealpost/v1/audit/head\0\0\x20".to_vec();
    message.extend([7; 32]);
    message.extend(b"\0\x08\0\0\0\0\0\0\0\x01\0\x20");
    message.extend(hash);
    message.extend(b"\0\x08");
    message.extend(START.to_be_bytes());
    assert_eq!(head.signature, TestKey::new(1).sign(&message));
}

#[test]
fn faults_say_what_is_wrong() {
    for (fault, says) in [
        (Fault::Missing { first: 5, last: 5 }, "missing: record 5"),
        (Fault::Missing { first: 5, last: 6 }, "missing: records 5 to 6"),
        (Fault::Renumbered { first: 6, last: 9, was: 7 }, "renumbered: records 6 to 9 by 1: 1 were taken out before"),
        (Fault::Renumbered { first: 6, last: 6, was: 4 }, "renumbered: record 6 by 2: 2 were put in before"),
        (Fault::CutOff { n: 20, last: 17 }, "cut off: records 18 to 20 missing, a signed head says they were there"),
        (
            Fault::Contradicts { source: Source::HeadFile, n: 20, last: 10 },
            "cut off: the head file says that there were records up to 20; there are up to 10",
        ),
        (
            Fault::Contradicts { source: Source::Given, n: 9, last: 20 },
            "changed: record 9 or one before it is not what the given head says",
        ),
    ] {
        assert_eq!(fault.to_string(), says);
    }
}

#[test]
fn a_chain_that_is_wrong_everywhere_is_told_in_bounded_time_and_memory() {
    let trusted = Trusted::default();
    let mut checker = super::check::Checker::from_the_beginning(&trusted);
    for n in 1..=200_000 {
        checker.record(n, Some([u8::try_from(n % 251).unwrap(); 32]), "{}");
    }
    let findings = checker.finish();
    assert_eq!(findings.faults.len(), 41, "as many as are compared, and that nothing is signed");
    assert_eq!(findings.further, 200_000 - 40);
}
