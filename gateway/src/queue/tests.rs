//! The queue's promises, each on SQLite and on PostgreSQL.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio_util::sync::CancellationToken;

use super::bench::{Bench, START, address, deferred, delivered, mail, refused};
use super::postgres::Postgres;
use super::*;
use crate::deliver::fake::{Behaving, Scripted, nobody};
use crate::deliver::{Hops, Outcome};

mod large;
mod stored;

use stored::{
    at_the_start_of_the_only_gateway_every_body_without_rows_is_swept, bodies_rest_sealed_and_in_their_own_place,
    bodies_without_rows_are_swept_when_they_are_old, nothing_is_inserted_without_recipients,
    orders_of_an_administrator, withdrawn_notifications_do_not_leave,
};

const DAY: i64 = 86_400;

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

scenarios!(
    small_and_large_mail_arrives_and_leaves_nothing_behind,
    eight_workers_deliver_300_rows_once_each,
    eight_racing_claimers_never_share_a_row,
    more_than_a_hundred_recipients_go_in_several_transactions,
    two_claims_of_one_body_that_end_together_take_the_body_with_them,
    not_now_waits_and_the_lifetime_ends_it_with_a_report,
    each_recipient_has_its_own_end,
    too_many_for_one_transaction_go_at_once,
    no_report_about_a_null_sender,
    senders_are_told_what_they_asked_for,
    success_is_told_by_whoever_knows_last,
    domains_go_their_own_ways_and_settle_for_themselves,
    an_undeliverable_notification_is_told_in_its_transaction,
    an_answer_is_held_and_the_postmaster_told,
    each_recipients_end_is_recorded_once_and_without_the_hops_words,
    codes_and_reports_are_dropped,
    a_claim_that_is_not_renewed_is_lost,
    a_worker_that_dies_loses_nothing,
    a_stop_gives_claims_back,
    orders_of_an_administrator,
    withdrawn_notifications_do_not_leave,
    bodies_rest_sealed_and_in_their_own_place,
    nothing_is_inserted_without_recipients,
    bodies_without_rows_are_swept_when_they_are_old,
    at_the_start_of_the_only_gateway_every_body_without_rows_is_swept,
);

async fn small_and_large_mail_arrives_and_leaves_nothing_behind(bench: Bench) {
    let hop = Behaving::accepting().await;
    let stop = CancellationToken::new();
    let large = b"0123456789abcdef\r\n".repeat(50_000);
    bench.insert(Mail { bytes: large.clone(), ..mail(Kind::Relayed, &["a@x.example", "b@x.example"]) }).await;
    assert_eq!(bench.blobs(), 1);
    let office = bench.office(bench.queue.clone(), &hop.hop, &stop);
    let work = [tokio::spawn(office.clone().work(Route::Outside)), tokio::spawn(office.work(Route::Inside))];
    let taken = hop.wait_for(1).await;
    let mut to = taken[0].to.clone();
    to.sort_unstable();
    assert_eq!(
        (taken[0].from.as_str(), to),
        ("anna@klinik.example", vec!["a@x.example".to_owned(), "b@x.example".to_owned()])
    );
    assert!(taken[0].content == large);
    // An answer goes the other way; inserted while the workers sleep.
    bench.insert(mail(Kind::Answer, &["anna@klinik.example"])).await;
    assert_eq!(hop.wait_for(2).await[1].content, mail(Kind::Answer, &[]).bytes);
    stop.cancel();
    for work in work {
        work.await.unwrap();
    }
    assert_eq!((bench.rows().await, bench.bodies().await, bench.blobs()), (0, 0, 0));
}

async fn eight_workers_deliver_300_rows_once_each(bench: Bench) {
    let hop = Behaving::accepting().await;
    for n in 0..150 {
        bench.insert(mail(Kind::Relayed, &[&format!("a{n}@x.example"), &format!("b{n}@x.example")])).await;
    }
    let stop = CancellationToken::new();
    let mut workers = Vec::new();
    for _ in 0..8 {
        let office = bench.office(bench.another_process().await, &hop.hop, &stop);
        workers.push(tokio::spawn(office.work(Route::Outside)));
    }
    hop.wait_for(150).await;
    while bench.rows().await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    for worker in workers {
        worker.await.unwrap();
    }
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for to in hop.taken().into_iter().flat_map(|taken| taken.to) {
        *times.entry(to).or_default() += 1;
    }
    assert_eq!(times.len(), 300);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    assert_eq!(bench.bodies().await, 0);
}

async fn eight_racing_claimers_never_share_a_row(bench: Bench) {
    for n in 0..100 {
        let to: Vec<String> = (0..3).map(|m| format!("r{n}.{m}@x.example")).collect();
        bench.insert(mail(Kind::Relayed, &to.iter().map(String::as_str).collect::<Vec<_>>())).await;
    }
    let barrier = Arc::new(tokio::sync::Barrier::new(8));
    let mut claimers = Vec::new();
    for _ in 0..8 {
        let (queue, barrier) = (bench.another_process().await, barrier.clone());
        claimers.push(tokio::spawn(async move {
            barrier.wait().await;
            let mut rows = Vec::new();
            // Claimed and never settled: whatever comes twice was handed out twice.
            while rows.len() < 300 {
                match queue.claim(Route::Outside).await.unwrap() {
                    Some(claim) => rows.extend(claim.rows.into_iter().map(|row| row.queue_id)),
                    None if queue.list().await.unwrap().iter().all(|row| row.claimed_until > START) => break,
                    None => {}
                }
            }
            rows
        }));
    }
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    assert_eq!(all.len(), 300);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 300);
}

async fn more_than_a_hundred_recipients_go_in_several_transactions(bench: Bench) {
    let to: Vec<String> = (0..150).map(|n| format!("r{n}@x.example")).collect();
    bench.insert(mail(Kind::Relayed, &to.iter().map(String::as_str).collect::<Vec<_>>())).await;
    let (one, two) = (bench.claim(Route::Outside).await.unwrap(), bench.claim(Route::Outside).await.unwrap());
    assert_eq!((one.rows.len(), two.rows.len()), (100, 50));
    assert_eq!(one.body_id, two.body_id);
    assert!(bench.claim(Route::Outside).await.is_none());
}

async fn two_claims_of_one_body_that_end_together_take_the_body_with_them(bench: Bench) {
    for bytes in [100, 200_000] {
        let to: Vec<String> = (0..150).map(|n| format!("r{n}@x.example")).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        bench.insert(Mail { bytes: vec![b'x'; bytes], ..mail(Kind::Relayed, &to) }).await;
        let (one, two) = (bench.claim(Route::Outside).await.unwrap(), bench.claim(Route::Outside).await.unwrap());
        let outcomes = vec![delivered(); 100];
        let ends = tokio::join!(bench.settle(&one, &outcomes), bench.settle(&two, &outcomes[..50]));
        assert!(ends.0.is_ok() && ends.1.is_ok(), "{ends:?}");
        assert_eq!((bench.rows().await, bench.bodies().await, bench.blobs()), (0, 0, 0), "{bytes}");
    }
}

async fn not_now_waits_and_the_lifetime_ends_it_with_a_report(bench: Bench) {
    bench.insert(mail(Kind::Relayed, &["a@x.example"])).await;
    let stop = CancellationToken::new();
    let office = bench.office(bench.queue.clone(), &nobody().await, &stop);
    let mut now = START;
    let mut attempts = 0;
    let mut warnings = Vec::new();
    let last = loop {
        office.deliver(bench.claim(Route::Outside).await.expect("due"), None).await;
        attempts += 1;
        if now < START + 5 * DAY
            && let Some(text) = bench.report().await
        {
            warnings.push((now, text));
        }
        let rows = bench.queue.list().await.unwrap();
        assert_eq!(rows.len(), 1);
        if rows[0].kind == Kind::Report {
            break rows;
        }
        assert_eq!((rows[0].attempts, rows[0].last_reply.as_str()), (attempts, "The next hop can't be reached"));
        assert!(bench.claim(Route::Outside).await.is_none(), "not due yet");
        let wait = rows[0].next_at - now;
        assert!((300..=4_000).contains(&wait) || rows[0].next_at == rows[0].expires_at, "{wait}");
        now = rows[0].next_at;
        bench.clock.set(now);
    };
    assert_eq!(now, START + 5 * DAY);
    assert!((100..200).contains(&attempts), "{attempts}");
    let [(warned_at, warning)] = warnings.as_slice() else { panic!("one warning: {warnings:?}") };
    assert!((4 * 3_600..=4 * 3_600 + 4_000).contains(&(warned_at - START)), "{warned_at}");
    for part in ["Action: delayed\r\nStatus: 4.4.1\r\n", "\r\nWill-Retry-Until: ", "Auto-Submitted: auto-replied"] {
        assert!(warning.contains(part), "{warning}");
    }
    assert_eq!((last[0].route, last[0].recipient.clone()), (Route::Inside, address("anna@klinik.example")));
    assert_eq!(last[0].reverse_path, "");
    let report = bench.claim(Route::Inside).await.unwrap();
    let text = String::from_utf8(bench.queue.bytes(report.body_id).await).unwrap();
    for part in
        ["Final-Recipient: rfc822; a@x.example\r\nAction: failed\r\nStatus: 4.4.7\r\n", "Auto-Submitted: auto-replied"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("canary"), "{text}");
    assert_eq!(bench.bodies().await, 1);
}

async fn each_recipient_has_its_own_end(bench: Bench) {
    let hop = Behaving::new(|to| match to.split('@').next() {
        Some("gone") => "550 5.1.1 no such user",
        Some("busy") => "450 4.2.1 busy",
        _ => "250 ok",
    })
    .await;
    let stop = CancellationToken::new();
    let office = bench.office(bench.queue.clone(), &hop.hop, &stop);
    bench.insert(mail(Kind::Relayed, &["gone@x.example", "here@x.example", "busy@x.example"])).await;
    let origin = bench.queue.list().await.unwrap()[0].origin;
    office.deliver(bench.claim(Route::Outside).await.unwrap(), None).await;
    assert_eq!(hop.taken()[0].to, ["here@x.example"]);
    let rows = bench.queue.list().await.unwrap();
    let [waiting, report] = [Kind::Relayed, Kind::Report].map(|kind| rows.iter().find(|row| row.kind == kind).unwrap());
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (waiting.recipient.to_string(), waiting.last_reply.as_str()),
        ("busy@x.example".to_owned(), "450 4.2.1 busy")
    );
    assert_eq!(report.origin, origin, "a report is found by the id of the message that it is about");
    let claim = bench.claim(Route::Inside).await.unwrap();
    let text = String::from_utf8(bench.queue.bytes(claim.body_id).await).unwrap();
    assert!(text.contains("gone@x.example") && text.contains("smtp; 550 5.1.1 no such user"), "{text}");
    assert!(!text.contains("busy@") && !text.contains("here@"), "{text}");
}

async fn too_many_for_one_transaction_go_at_once(bench: Bench) {
    bench.insert(mail(Kind::Relayed, &["a@x.example", "b@x.example"])).await;
    let claim = bench.claim(Route::Outside).await.unwrap();
    bench.settle(&claim, &[delivered(), deferred("4.5.3")]).await.unwrap();
    let claim = bench.claim(Route::Outside).await.expect("due at once");
    // But not for ever: where nobody gets through, it waits like everything else.
    bench.settle(&claim, &[deferred("4.5.3")]).await.unwrap();
    assert!(bench.claim(Route::Outside).await.is_none());
}

async fn no_report_about_a_null_sender(bench: Bench) {
    bench.insert(Mail { reverse_path: ReversePath::Null, ..mail(Kind::Relayed, &["a@x.example"]) }).await;
    let claim = bench.claim(Route::Outside).await.unwrap();
    assert_eq!(claim.reverse_path, ReversePath::Null);
    bench.settle(&claim, &[refused("no")]).await.unwrap();
    assert_eq!((bench.rows().await, bench.bodies().await), (0, 0));
}

async fn senders_are_told_what_they_asked_for(bench: Bench) {
    let late = START + 5 * 3_600;
    for (notify, now, outcome, expected) in [
        ("", START, refused("no"), "failed"),
        ("NEVER", START, refused("no"), ""),
        ("SUCCESS", START, refused("no"), ""),
        ("DELAY", START, refused("no"), ""),
        ("FAILURE", START, refused("no"), "failed"),
        ("", late, deferred("4.4.1"), "delayed"),
        ("", START + 60, deferred("4.4.1"), ""),
        ("NEVER", late, deferred("4.4.1"), ""),
        ("FAILURE", late, deferred("4.4.1"), ""),
        ("DELAY", late, deferred("4.4.1"), "delayed"),
        ("NEVER", START + 6 * DAY, deferred("4.4.1"), ""),
        ("", START + 6 * DAY, deferred("4.4.1"), "failed"),
        ("", START, delivered(), ""),
        ("NEVER", START, delivered(), ""),
        ("FAILURE,DELAY", START, delivered(), ""),
        ("SUCCESS", START, delivered(), "relayed"),
    ] {
        bench.clock.set(START);
        bench.insert_asking(mail(Kind::Relayed, &["a@x.example"]), &[("a@x.example", notify)]).await;
        bench.clock.set(now);
        let claim = bench.claim(Route::Outside).await.unwrap();
        bench.settle(&claim, std::slice::from_ref(&outcome)).await.unwrap();
        let told = bench.report().await.unwrap_or_default();
        let action =
            told.split_once("Action: ").and_then(|(_, rest)| rest.split_once("\r\n")).map_or("", |(word, _)| word);
        assert_eq!(action, expected, "{notify} {outcome:?}: {told}");
        if !told.is_empty() {
            assert!(told.contains("Original-Envelope-Id: QQ+1\r\n"), "{told}");
        }
        bench.queue.delete(Selection::All).await.unwrap();
    }
    // One report of each kind, whoever else is in the mail; and nobody is warned of mail of our own.
    bench.clock.set(START);
    let to = ["a@x.example", "b@x.example", "c@x.example"];
    bench.insert_asking(mail(Kind::Encrypted, &to), &[("b@x.example", "NEVER")]).await;
    bench.insert_asking(mail(Kind::Code, &["d@x.example"]), &[("d@x.example", "SUCCESS,DELAY")]).await;
    bench.clock.set(late);
    while let Some(claim) = bench.claim(Route::Outside).await {
        bench.settle(&claim, &vec![deferred("4.4.1"); claim.rows.len()]).await.unwrap();
    }
    let text = bench.report().await.unwrap();
    assert!(text.contains("a@x.example") && text.contains("c@x.example") && !text.contains("b@x"), "{text}");
    assert!(bench.report().await.is_none());
}

async fn success_is_told_by_whoever_knows_last(bench: Bench) {
    for (offers, asked, reports) in
        [("PIPELINING", "", 1), ("DSN", " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;A+2B@x.example", 0)]
    {
        let hop = Behaving::offering(offers).await;
        let office = bench.office(bench.queue.clone(), &hop.hop, &CancellationToken::new());
        let asking = [("a@x.example", "SUCCESS,DELAY"), ("b@x.example", "")];
        bench.insert_asking(mail(Kind::Relayed, &["a@x.example", "b@x.example"]), &asking).await;
        office.deliver(bench.claim(Route::Outside).await.unwrap(), None).await;
        let taken = &hop.taken()[0];
        let envelope = if asked.is_empty() { "" } else { " RET=HDRS ENVID=QQ+2B1" };
        let commands: BTreeSet<&str> = taken.commands.iter().map(|command| command.trim_end()).collect();
        let expected = [
            format!("MAIL FROM:<anna@klinik.example>{envelope}"),
            format!("RCPT TO:<a@x.example>{asked}"),
            "RCPT TO:<b@x.example>".to_owned(),
        ];
        assert_eq!(commands, expected.iter().map(String::as_str).collect(), "{offers}");
        assert_eq!(bench.rows().await, reports, "{offers}");
        if reports > 0 {
            let text = bench.report().await.unwrap();
            let told = "Original-Recipient: rfc822;A+@x.example\r\nFinal-Recipient: rfc822; a@x.example\r\nAction: relayed\r\nStatus: 2.0.0\r\n";
            assert!(text.contains(told) && !text.contains("b@x"), "{text}");
        }
        bench.queue.delete(Selection::All).await.unwrap();
    }
}

async fn domains_go_their_own_ways_and_settle_for_themselves(bench: Bench) {
    let (usual, partner) = (Behaving::accepting().await, Scripted::new(&["< 220 hop\n> EHLO\nend"]).await);
    let stop = CancellationToken::new();
    let hops = Hops {
        inside: usual.hop.clone().into(),
        outside: usual.hop.clone().into(),
        domains: HashMap::from([("partner.example".to_owned(), partner.hop.clone().into())]),
        hostname: "gw.klinik.example".to_owned(),
    };
    let office = bench.office_to(bench.queue.clone(), hops, &stop);
    let to = ["a@x.example", "b@partner.example", "c@x.example", "d@sub.partner.example"];
    bench.insert(mail(Kind::Relayed, &to)).await;
    let claim = bench.claim(Route::Outside).await.unwrap();
    let delivery = tokio::spawn(async move { office.deliver(claim, None).await });
    // The partner's host says nothing; the others' ends are written down all the same.
    while bench.rows().await > 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rows = bench.queue.list().await.unwrap();
    assert_eq!((rows[0].recipient.clone(), rows[0].attempts), (address("b@partner.example"), 0));
    assert!(rows[0].claimed_until > START);
    let mut taken = usual.taken()[0].to.clone();
    taken.sort_unstable();
    assert_eq!(taken, ["a@x.example", "c@x.example", "d@sub.partner.example"]);
    stop.cancel();
    delivery.await.unwrap();
    let claim = bench.claim(Route::Outside).await.expect("given back");
    assert_eq!((claim.rows.len(), claim.rows[0].attempts), (1, 0));
    partner.finished().await;
}

async fn an_undeliverable_notification_is_told_in_its_transaction(bench: Bench) {
    let pickup = PickupId::random().unwrap();
    bench.insert(Mail { pickup: Some(pickup), ..mail(Kind::Notification, &["a@x.example"]) }).await;
    let claim = bench.claim(Route::Outside).await.unwrap();
    *bench.told.out_of_order.lock().unwrap() = 1;
    assert!(bench.settle(&claim, &[refused("no such\r\nuser")]).await.is_err());
    assert_eq!(bench.rows().await, 1, "nobody was told, so nothing ended");
    bench.settle(&claim, &[refused("no such\r\nuser")]).await.unwrap();
    assert_eq!(*bench.told.pickups.lock().unwrap(), [(pickup, "no such user".to_owned())]);
    assert_eq!((bench.rows().await, bench.bodies().await), (0, 0));
}

async fn an_answer_is_held_and_the_postmaster_told(bench: Bench) {
    bench.insert(mail(Kind::Answer, &["anna@klinik.example"])).await;
    let claim = bench.claim(Route::Inside).await.unwrap();
    bench.settle(&claim, &[refused("550 mailbox full")]).await.unwrap();
    let report = bench.claim(Route::Inside).await.expect("a report");
    assert_eq!((report.kind, report.rows[0].recipient.clone()), (Kind::Report, address("postmaster@klinik.example")));
    bench.settle(&report, &[delivered()]).await.unwrap();
    // Held means held, whatever the time.
    bench.clock.set(START + 30 * DAY);
    assert!(bench.claim(Route::Inside).await.is_none());
    let rows = bench.queue.list().await.unwrap();
    assert_eq!((rows.len(), rows[0].state, rows[0].last_reply.as_str()), (1, State::Held, "550 mailbox full"));
    assert_eq!(bench.queue.counts().await.unwrap(), Counts { held: 1, ..Counts::default() });
    // Tried again, it has a lifetime again: a "not now" isn't the end at once.
    let changed = bench.queue.retry(Selection::Id(rows[0].origin)).await.unwrap();
    assert_eq!(changed, Changed { changed: 1, busy: 0 });
    let claim = bench.claim(Route::Inside).await.unwrap();
    bench.settle(&claim, &[deferred("4.4.1")]).await.unwrap();
    let rows = bench.queue.list().await.unwrap();
    assert_eq!((rows[0].state, rows[0].expires_at), (State::Active, START + 35 * DAY));
    assert!(String::from_utf8(bench.queue.bytes(claim.body_id).await).unwrap().contains("canary"));
}

async fn each_recipients_end_is_recorded_once_and_without_the_hops_words(bench: Bench) {
    bench.insert(mail(Kind::Relayed, &["a@home.example", "b@home.example", "c@home.example"])).await;
    let claim = bench.claim(Route::Outside).await.unwrap();
    let end_of = |name: &str| match name {
        "a@home.example" => Outcome::Delivered("250 ok canary".to_owned()),
        "b@home.example" => refused("no such canary"),
        _ => deferred("4.7.1"),
    };
    let outcomes: Vec<Outcome> = claim.rows.iter().map(|row| end_of(&row.recipient.to_string())).collect();
    bench.settle(&claim, &outcomes).await.unwrap();
    // Settled twice, it ended once.
    bench.settle(&claim, &outcomes).await.unwrap();
    bench.clock.set(START + 6 * DAY);
    let claim = bench.claim(Route::Outside).await.unwrap();
    bench.settle(&claim, &[deferred("4.7.1")]).await.unwrap();
    let bodies: Vec<(String,)> = sqlx::query_as("select body from audit_records order by position")
        .fetch_all(bench.queue.store.reader())
        .await
        .unwrap();
    let mut ends: Vec<[String; 4]> = Vec::new();
    for (body,) in bodies {
        assert!(!body.contains("canary") && !body.contains("not now"), "{body}");
        let record: serde_json::Value = serde_json::from_str(&body).unwrap();
        ends.push(["kind", "recipient", "status", "cause"].map(|name| record[name].as_str().unwrap_or("").to_owned()));
    }
    ends.sort();
    assert_eq!(
        ends,
        [
            ["delivered", "a@home.example", "", ""],
            ["failed", "b@home.example", "5.1.1", "refused"],
            ["failed", "c@home.example", "4.7.1", "expired"],
        ]
    );
}

async fn codes_and_reports_are_dropped(bench: Bench) {
    for kind in [Kind::Code, Kind::Report] {
        bench.insert(mail(kind, &["a@x.example"])).await;
        let claim = bench.claim(Route::Outside).await.unwrap();
        bench.settle(&claim, &[refused("no")]).await.unwrap();
        assert_eq!((bench.rows().await, bench.bodies().await), (0, 0), "{kind:?}");
    }
    assert!(bench.told.pickups.lock().unwrap().is_empty());
}

async fn a_claim_that_is_not_renewed_is_lost(bench: Bench) {
    bench.insert(mail(Kind::Relayed, &["a@x.example"])).await;
    let first = bench.claim(Route::Outside).await.unwrap();
    bench.clock.set(START + 25);
    bench.queue.renew(&first).await.unwrap();
    bench.clock.set(START + 54);
    assert!(bench.claim(Route::Outside).await.is_none(), "renewed");
    bench.clock.set(START + 55);
    let second = bench.claim(Route::Outside).await.expect("the lease is over");
    assert!(matches!(bench.queue.renew(&first).await, Err(StoreError::RowCount { found: 0, wanted: 1 })));
    // Whatever the first one's outcome is, it isn't its row any more.
    for outcome in [delivered(), deferred("4.4.1"), refused("no")] {
        bench.settle(&first, &[outcome]).await.unwrap();
        bench.queue.renew(&second).await.unwrap();
        assert_eq!(bench.rows().await, 1, "no report either");
    }
    bench.queue.give_back(first).await.unwrap();
    bench.queue.renew(&second).await.unwrap();
    bench.settle(&second, &[delivered()]).await.unwrap();
    assert_eq!((bench.rows().await, bench.bodies().await), (0, 0));
}

async fn a_worker_that_dies_loses_nothing(bench: Bench) {
    bench.insert(mail(Kind::Relayed, &["a@x.example"])).await;
    // It dies while the next hop has the content, but hasn't answered yet.
    let script = "< 220 hop\n> EHLO\n< 250 hop\n> MAIL\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 354 go\ncontent\nend";
    let scripted = Scripted::new(&[script]).await;
    let stop = CancellationToken::new();
    let process = bench.another_process().await;
    let worker = tokio::spawn(bench.office(process, &scripted.hop, &stop).work(Route::Outside));
    scripted.has_content().await;
    worker.abort();
    assert_eq!(scripted.finished().await.len(), 1);
    assert!(bench.claim(Route::Outside).await.is_none(), "still claimed");
    match bench.queue.store.engine() {
        sealpost_vault::Engine::Sqlite => bench.queue.take_back().await.unwrap(),
        sealpost_vault::Engine::Postgres => {
            bench.queue.take_back().await.unwrap();
            assert!(bench.claim(Route::Outside).await.is_none(), "another process may have it");
            bench.clock.set(START + 30);
        }
    }
    let hop = Behaving::accepting().await;
    bench.office(bench.queue.clone(), &hop.hop, &stop).deliver(bench.claim(Route::Outside).await.unwrap(), None).await;
    assert_eq!(hop.taken().len(), 1);
    assert_eq!(bench.rows().await, 0);
}

async fn a_stop_gives_claims_back(bench: Bench) {
    bench.insert(mail(Kind::Relayed, &["a@x.example"])).await;
    let scripted = Scripted::new(&["< 220 hop\n> EHLO\nend"]).await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(bench.office(bench.queue.clone(), &scripted.hop, &stop).work(Route::Outside));
    while bench.queue.list().await.unwrap()[0].claimed_until == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    worker.await.unwrap();
    let claim = bench.claim(Route::Outside).await.expect("due as before");
    assert_eq!(claim.rows[0].attempts, 0);
}
