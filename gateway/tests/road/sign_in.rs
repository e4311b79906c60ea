//! Signing in: who knows the passphrase gets in, nobody else learns anything, and no stranger keeps anybody out.

use std::collections::BTreeMap;

use sealpost_gateway::accounts::ACCOUNT_TAKES;
use sealpost_vault::errands::{Answer, Bytes, Errand, Registration, Scope};
use sealpost_vault::id::ErrandId;

use crate::bench::Road;
use crate::passphrase::{Account, PASSPHRASE, SigningIn, register, registration_request, sign_in, straight_letter};

const HERE: &str = "198.51.100.0/24";
const NOBODY: &str = "nobody@home.example";

/// How often each kind of answer was given.
fn kinds(answers: &[Answer]) -> BTreeMap<&'static str, usize> {
    let mut kinds = BTreeMap::new();
    for answer in answers {
        let kind = match answer {
            Answer::SignIn { response } if response.0.len() == 320 => "sign-in",
            Answer::Later { seconds } if *seconds > 0 => "later",
            Answer::Register { .. } => "register",
            Answer::Refused => "refused",
            other => panic!("{other:?}"),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

fn tries(address: &str, count: usize, prefix: impl Fn(usize) -> String, code: Option<ErrandId>) -> Vec<Errand> {
    (0..count).map(|n| SigningIn::new(address, "a wrong passphrase").errand(&prefix(n), code)).collect()
}

pub async fn the_passphrase_signs_in_and_no_other(road: Road) {
    let anna = Account::of(&road, "Anna@home.example").await;
    assert!(anna.signs_in(&road, PASSPHRASE).await);
    assert!(!anna.signs_in(&road, "seven grey herons stands").await);
    // As typed, in any spelling that means the same mailbox.
    let answer = sign_in(&road, " ANNA@Home.Example ", PASSPHRASE, HERE, None).await;
    assert_eq!(answer, Some(Answer::SignedIn { account: anna.account }));
    assert_eq!(sign_in(&road, NOBODY, PASSPHRASE, HERE, None).await, None);
}

pub async fn unknown_addresses_get_the_same_answers_in_the_same_time(road: Road) {
    let anna = Account::of(&road, "anna@home.example").await;
    let mut told = Vec::new();
    for address in [anna.address.as_str(), NOBODY] {
        let mut seen = Vec::new();
        for _ in 0..7 {
            let errand = ErrandId::random().unwrap();
            let began = std::time::Instant::now();
            let answer = road.ask_as(errand, &SigningIn::new(address, "wrong").errand(HERE, None)).await;
            assert!(began.elapsed() >= ACCOUNT_TAKES);
            seen.push(serde_json::to_string(&answer).unwrap().len());
            if matches!(answer, Answer::SignIn { .. }) {
                let began = std::time::Instant::now();
                let end = Errand::SignInEnd { sign_in: errand, finalization: Bytes(vec![7; 64]) };
                assert_eq!(road.ask(&end).await, Answer::Refused);
                assert!(began.elapsed() >= ACCOUNT_TAKES);
            } else {
                assert_eq!(answer, Answer::Later { seconds: 30 });
            }
        }
        told.push(seen);
    }
    assert_eq!(told[0], told[1]);
    // One blinded passphrase comes back alike before and after an enrolment: the first 32 bytes are its evaluation.
    let browser = SigningIn::new("ben@home.example", "x");
    let evaluated = async || match road.ask(&browser.errand(HERE, None)).await {
        Answer::SignIn { response } => response.0[..32].to_vec(),
        other => panic!("{other:?}"),
    };
    let before = evaluated().await;
    Account::of(&road, "ben@home.example").await;
    assert_eq!(evaluated().await, before);
}

pub async fn a_half_done_sign_in_is_used_once_and_within_two_minutes(road: Road) {
    let anna = Account::of(&road, "anna@home.example").await;
    for (seconds, again, expected) in [(119, false, true), (119, true, false), (120, false, false)] {
        let browser = SigningIn::new(&anna.address, PASSPHRASE);
        let errand = ErrandId::random().unwrap();
        let Answer::SignIn { response } = road.ask_as(errand, &browser.errand(HERE, None)).await else { panic!() };
        let finalization = browser.finalization(&response.0).unwrap();
        if again {
            // Wrong first: the state is gone, and the right one comes too late.
            let wrong = Errand::SignInEnd { sign_in: errand, finalization: Bytes(vec![0; 64]) };
            assert_eq!(road.ask(&wrong).await, Answer::Refused);
        }
        road.pass(seconds);
        let end = Errand::SignInEnd { sign_in: errand, finalization: Bytes(finalization) };
        let answer = road.ask(&end).await;
        assert_eq!(answer == Answer::SignedIn { account: anna.account }, expected, "{seconds} {again}");
        assert_eq!(road.ask(&end).await, Answer::Refused, "played again");
    }
    // Another browser's finalization is worth nothing.
    let [one, other] = [(); 2].map(|()| SigningIn::new(&anna.address, PASSPHRASE));
    let errands = [(); 2].map(|()| ErrandId::random().unwrap());
    let Answer::SignIn { .. } = road.ask_as(errands[0], &one.errand(HERE, None)).await else { panic!() };
    let Answer::SignIn { response } = road.ask_as(errands[1], &other.errand(HERE, None)).await else { panic!() };
    let finalization = Bytes(other.finalization(&response.0).unwrap());
    assert_eq!(road.ask(&Errand::SignInEnd { sign_in: errands[0], finalization }).await, Answer::Refused);
    // What nobody finished is forgotten, and told as a wrong passphrase.
    let before = road.recorded("sign-in-failed").await.len();
    road.ask(&SigningIn::new(NOBODY, "x").errand(HERE, None)).await;
    road.pass(120);
    road.gateway.tidy().await;
    assert_eq!(road.recorded("sign-in-failed").await.len(), before + 2);
}

pub async fn many_tries_at_once_do_not_get_past_the_counter(road: Road) {
    let anna = Account::of(&road, "anna@home.example").await;
    for address in [anna.address.as_str(), NOBODY] {
        let answers = road.ask_all(&tries(address, 40, |_| HERE.into(), None)).await;
        assert_eq!(kinds(&answers), [("later", 35), ("sign-in", 5)].into());
        // The sixth after half a minute, alone.
        road.pass(30);
        let answers = road.ask_all(&tries(address, 20, |_| HERE.into(), None)).await;
        assert_eq!(kinds(&answers), [("later", 19), ("sign-in", 1)].into());
    }
}

pub async fn a_right_passphrase_forgives(road: Road) {
    let anna = Account::of(&road, "anna@home.example").await;
    for _ in 0..3 {
        for _ in 0..4 {
            assert!(!anna.signs_in(&road, "wrong").await);
        }
        assert!(anna.signs_in(&road, PASSPHRASE).await);
    }
}

pub async fn strangers_lock_nobody_out_and_a_broken_portal_is_bounded(road: Road) {
    let anna = Account::of(&road, "anna@home.example").await;
    // From everywhere: a new network each time, as a thief with many of them, or a portal that lies.
    for address in [anna.address.as_str(), NOBODY] {
        let answers = road.ask_all(&tries(address, 200, |n| format!("10.{n}.0.0/24"), None)).await;
        assert_eq!(kinds(&answers), [("later", 150), ("sign-in", 50)].into(), "{address}");
        let answer = sign_in(&road, address, PASSPHRASE, HERE, None).await;
        assert_eq!(answer, Some(Answer::Later { seconds: 3_600 }));
    }
    // Who has the mailbox doesn't wait.
    let code = ErrandId::random().unwrap();
    road.ask_as(code, &account_code(&anna.address)).await;
    assert_eq!(road.deliver().await.len(), 1);
    let signed_in = Some(Answer::SignedIn { account: anna.account });
    assert_eq!(sign_in(&road, &anna.address, PASSPHRASE, HERE, Some(code)).await, signed_in);
    // Nine more, then the code is used up; it is worth nothing elsewhere.
    let answers = road.ask_all(&tries(&anna.address, 30, |n| format!("10.9.{n}.0/24"), Some(code))).await;
    assert_eq!(kinds(&answers), [("later", 21), ("sign-in", 9)].into());
    let answers = road.ask_all(&tries(NOBODY, 5, |n| format!("10.8.{n}.0/24"), Some(code))).await;
    assert_eq!(kinds(&answers), [("later", 5)].into());
    // A code that opens a letter of the same mailbox does too, and half an hour later none.
    let letter = straight_letter(&road, &anna.address).await;
    let code = ErrandId::random().unwrap();
    let scope = Scope::Pickup(letter);
    road.ask_as(code, &Errand::Code { session: Bytes(vec![1; 32]), scope, language: "en".into() }).await;
    assert_eq!(sign_in(&road, &anna.address, PASSPHRASE, HERE, Some(code)).await, signed_in);
    road.pass(1_800);
    let answer = sign_in(&road, &anna.address, PASSPHRASE, HERE, Some(code)).await;
    assert_eq!(answer, Some(Answer::Later { seconds: 1_800 }));
    // After the hour everybody starts anew.
    road.pass(1_800);
    assert_eq!(sign_in(&road, &anna.address, PASSPHRASE, HERE, None).await, signed_in);
}

fn account_code(address: &str) -> Errand {
    Errand::Code { session: Bytes(vec![1; 32]), scope: Scope::Account(address.into()), language: "en".into() }
}

pub async fn registrations_are_no_way_round_the_counter(road: Road) {
    let anna = Account::of(&road, "anna@home.example").await;
    let change = |_| Errand::Register { purpose: Registration::Change(anna.account), request: registration_request() };
    let answers = road.ask_all(&(0..25).map(change).collect::<Vec<_>>()).await;
    // Enrolling took one.
    assert_eq!(kinds(&answers), [("later", 16), ("register", 9)].into());
    // A first one is for a living letter of somebody without an account.
    let ben = road.letter_to("ben@home.example").await;
    register(&road, Registration::Enrol(ben.pickup), PASSPHRASE).await;
    let again = straight_letter(&road, &anna.address).await;
    let errand = Errand::Register { purpose: Registration::Enrol(again), request: registration_request() };
    assert_eq!(road.ask(&errand).await, Answer::Conflict);
    road.gateway.withdraw(sealpost_gateway::expiry::Withdrawal::Pickup(ben.pickup)).await.unwrap();
    let errand = Errand::Register { purpose: Registration::Enrol(ben.pickup), request: registration_request() };
    assert_eq!(road.ask(&errand).await, Answer::Refused);
}

pub async fn messages_of_any_length_are_refused(road: Road) {
    let anna = Account::of(&road, "anna@home.example").await;
    let ben = road.letter_to("ben@home.example").await;
    let mut errands = Vec::new();
    for length in [0, 1, 31, 32, 33, 63, 64, 65, 95, 96, 97, 191, 192, 193, 4_000] {
        // 0xff.. and 0.. are no group elements (the identity neither).
        for byte in [0, 0xff] {
            let bytes = Bytes(vec![byte; length]);
            for address in [anna.address.as_str(), NOBODY] {
                let (address, request) = (address.to_owned(), bytes.clone());
                errands.push(Errand::SignIn { address, prefix: HERE.into(), code: None, request });
            }
            for purpose in [Registration::Enrol(ben.pickup), Registration::Change(anna.account)] {
                errands.push(Errand::Register { purpose, request: bytes.clone() });
            }
            let sign_in = ErrandId::random().unwrap();
            errands.push(Errand::SignInEnd { sign_in, finalization: bytes.clone() });
            errands.push(Errand::Change {
                account: anna.account,
                upload: bytes.clone(),
                file: bytes.clone(),
                recovery: bytes.clone(),
                signature: bytes,
            });
        }
    }
    for address in ["", "no address", "a@b@", &"x".repeat(5_000)] {
        errands.push(SigningIn::new(address, "x").errand(HERE, None));
    }
    let answers = road.ask_all(&errands).await;
    assert!(answers.iter().all(|answer| *answer == Answer::Refused), "{answers:?}");
    // None of them was a try.
    assert!(anna.signs_in(&road, PASSPHRASE).await);
}
