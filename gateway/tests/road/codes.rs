//! Codes: how many are mailed, whom they serve, and what those learn who have no letter.

use sealpost_gateway::codes::CODE_TAKES;
use sealpost_gateway::queue::{Kind, Route};
use sealpost_vault::derive::code_hash;
use sealpost_vault::errands::{Answer, Bytes, Errand, Scope};
use sealpost_vault::id::{ErrandId, PickupId};

use crate::bench::{LIFETIME, Road, START};

fn session(n: u8) -> [u8; 32] {
    [n; 32]
}

fn code_for(session: [u8; 32], scope: Scope) -> Errand {
    Errand::Code { session: Bytes(session.to_vec()), scope, language: "en".into() }
}

/// Hash, end and pickups of an answer.
fn told(answer: Answer) -> (Vec<u8>, i64, Vec<PickupId>) {
    match answer {
        Answer::Code { code_hash, expires_at, pickups, .. } => (code_hash.0, expires_at, pickups),
        other => panic!("{other:?}"),
    }
}

async fn ask(road: &Road, n: u8, pickup: PickupId) -> (Vec<u8>, i64, Vec<PickupId>) {
    told(road.ask(&code_for(session(n), Scope::Pickup(pickup))).await)
}

pub async fn a_code_is_bound_to_session_and_pickup(road: Road) {
    let reader = road.letter_to("anna@home.example").await;
    let (hash, expires_at, pickups) = ask(&road, 1, reader.pickup).await;
    assert_eq!((expires_at, pickups), (START + 600, vec![reader.pickup]));
    let mails = road.deliver().await;
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!((mail.kind, mail.route, mail.reverse_path.as_str()), (Kind::Code, Route::Outside, ""));
    assert_eq!(mail.recipients, ["anna@home.example"]);
    let code = mail.code();
    assert!(!mail.header("Subject").contains(&code));
    assert!(!mail.mentions(&reader.secret));
    let pickup = reader.pickup.bytes();
    assert_eq!(hash, code_hash(&session(1), pickup, &code).unwrap());
    assert_ne!(hash, code_hash(&session(2), pickup, &code).unwrap());
    assert_ne!(hash, code_hash(&session(1), reader.letter.bytes(), &code).unwrap());
}

pub async fn three_mails_in_fifteen_minutes_then_the_newest_code_for_five_more_sessions(road: Road) {
    let reader = road.letter_to("anna@home.example").await;
    let mut newest = String::new();
    for n in 0..3 {
        let (_, expires_at, _) = ask(&road, n, reader.pickup).await;
        assert_eq!(expires_at, road.now() + 600);
        let mails = road.deliver().await;
        assert_eq!(mails.len(), 1, "mail {n}");
        newest = mails[0].code();
        road.pass(10);
    }
    let minted_at = road.now() - 10;
    for n in 10..15 {
        let (hash, expires_at, pickups) = ask(&road, n, reader.pickup).await;
        assert_eq!(hash, code_hash(&session(n), reader.pickup.bytes(), &newest).unwrap());
        assert_eq!((expires_at, pickups), (minted_at + 600, vec![reader.pickup]));
        road.pass(1);
    }
    let (hash, expires_at, pickups) = ask(&road, 20, reader.pickup).await;
    assert_eq!((hash.len(), expires_at, pickups), (32, road.now() + 600, vec![]));
    assert_ne!(hash, code_hash(&session(20), reader.pickup.bytes(), &newest).unwrap());
    assert!(road.queued().await.is_empty(), "no mail beyond the quota");

    // The first mail leaves the window, to the second.
    road.clock.set(START + 899);
    assert!(ask(&road, 30, reader.pickup).await.2.is_empty());
    assert!(road.queued().await.is_empty());
    road.clock.set(START + 900);
    assert_eq!(ask(&road, 30, reader.pickup).await.2, [reader.pickup]);
    assert_eq!(road.waiting().await, [(Kind::Code, "anna@home.example".to_owned())]);
}

pub async fn a_code_in_the_mailbox_serves_nobody_after_ten_minutes(road: Road) {
    let reader = road.letter_to("anna@home.example").await;
    for n in 0..3 {
        ask(&road, n, reader.pickup).await;
    }
    road.deliver().await;
    road.clock.set(START + 599);
    assert_eq!(ask(&road, 10, reader.pickup).await.2, [reader.pickup]);
    road.clock.set(START + 600);
    let (hash, expires_at, pickups) = ask(&road, 11, reader.pickup).await;
    assert_eq!((hash.len(), expires_at, pickups), (32, START + 1200, vec![]));
    assert!(road.queued().await.is_empty());
}

pub async fn ten_mails_a_day(road: Road) {
    let reader = road.letter_to("anna@home.example").await;
    for n in 0..10 {
        assert_eq!(ask(&road, n, reader.pickup).await.2, [reader.pickup]);
        assert_eq!(road.deliver().await.len(), 1, "mail {n}");
        road.pass(1_000);
    }
    for seconds in [0, 1_000, 70_000] {
        road.pass(seconds);
        assert!(ask(&road, 50, reader.pickup).await.2.is_empty());
        assert!(road.queued().await.is_empty());
    }
    road.clock.set(START + 86_400);
    assert_eq!(ask(&road, 51, reader.pickup).await.2, [reader.pickup]);
    assert_eq!(road.queued().await.len(), 1);
}

pub async fn strangers_get_an_answer_that_looks_the_same(road: Road) {
    let reader = road.letter_to("anna@home.example").await;
    let ended = road.letter_to("ben@home.example").await;
    road.gateway.withdraw(sealpost_gateway::expiry::Withdrawal::Pickup(ended.pickup)).await.unwrap();
    let unknown = PickupId::random().unwrap();
    let mut hashes = Vec::new();
    for scope in [
        Scope::Pickup(unknown),
        Scope::Pickup(unknown),
        Scope::Pickup(ended.pickup),
        Scope::Address("carla@home.example".into()),
        Scope::Address("ben@home.example".into()),
        Scope::Address("no address".into()),
        Scope::Address(format!("{}@home.example", "x".repeat(5_000))),
    ] {
        let (hash, expires_at, pickups) = told(road.ask(&code_for(session(1), scope)).await);
        assert_eq!((hash.len(), expires_at, pickups), (32, START + 600, vec![]));
        assert!(!hashes.contains(&hash));
        hashes.push(hash);
    }
    // A session of another length is none of the portal's.
    let odd = Errand::Code { session: Bytes(vec![1; 31]), scope: Scope::Pickup(reader.pickup), language: "en".into() };
    assert!(told(road.ask(&odd).await).2.is_empty());
    // Past its date, before the job came by.
    road.clock.set(START + LIFETIME);
    assert!(ask(&road, 1, reader.pickup).await.2.is_empty());
    assert!(road.queued().await.is_empty());
}

pub async fn a_typed_address_finds_all_living_letters(road: Road) {
    let mut living = Vec::new();
    for _ in 0..3 {
        living.push(road.letter_to("Anna@home.example").await.pickup);
    }
    let withdrawn = road.letter_to("anna@home.example").await;
    road.gateway.withdraw(sealpost_gateway::expiry::Withdrawal::Pickup(withdrawn.pickup)).await.unwrap();
    road.letter_to("ben@home.example").await;
    let errand = ErrandId::random().unwrap();
    let asked = code_for(session(7), Scope::Address("  ANNA@Home.Example ".into()));
    let (hash, _, mut pickups) = told(road.ask_as(errand, &asked).await);
    pickups.sort();
    living.sort();
    assert_eq!(pickups, living);
    let mails = road.deliver().await;
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!(mail.recipients, ["Anna@home.example"], "the address of our own record");
    assert_eq!(hash, code_hash(&session(7), errand.bytes(), &mail.code()).unwrap());
    // It counts for each letter.
    for n in 0..2 {
        ask(&road, n, living[0]).await;
    }
    road.deliver().await;
    ask(&road, 9, living[0]).await;
    assert!(road.queued().await.is_empty());
}

pub async fn an_errand_answered_before_a_crash_gets_the_same_code(road: Road) {
    let reader = road.letter_to("anna@home.example").await;
    let errand = ErrandId::random().unwrap();
    let first = road.ask_as(errand, &code_for(session(1), Scope::Pickup(reader.pickup))).await;
    let code = road.deliver().await[0].code();
    road.pass(120);
    let again = road.ask_again_after_a_crash(errand).await;
    assert_eq!(first, again);
    assert_eq!(told(again).0, code_hash(&session(1), reader.pickup.bytes(), &code).unwrap());
    assert!(road.queued().await.is_empty());
    // It was one code, not two: two more are mailed.
    for n in 2..5 {
        ask(&road, n, reader.pickup).await;
    }
    assert_eq!(road.queued().await.len(), 2);
}

pub async fn typed_addresses_leave_codes_for_the_link(road: Road) {
    let reader = road.letter_to("anna@home.example").await;
    let typed = |n| code_for(session(n), Scope::Address("anna@home.example".into()));
    road.ask(&typed(1)).await;
    assert_eq!(road.deliver().await.len(), 1);
    // Whoever knows the address goes on asking: no more mails for a quarter of an hour, and four in a day.
    for n in 2..6 {
        road.ask(&typed(n)).await;
    }
    assert!(road.queued().await.is_empty());
    for quarter in 1..20 {
        road.clock.set(START + quarter * 900);
        road.ask(&typed(10)).await;
    }
    assert_eq!(road.deliver().await.len(), 3, "four in a day with the first");
    // The holder of the link still gets codes.
    for n in 20..22 {
        assert_eq!(ask(&road, n, reader.pickup).await.2, [reader.pickup]);
        assert_eq!(road.deliver().await.len(), 1);
    }
}

pub async fn what_is_not_there_takes_as_long(road: Road) {
    let reader = road.letter_to("anna@home.example").await;
    for scope in [Scope::Pickup(reader.pickup), Scope::Address("nobody@home.example".into())] {
        let began = std::time::Instant::now();
        road.ask(&code_for(session(1), scope)).await;
        assert!(began.elapsed() >= CODE_TAKES);
    }
}
