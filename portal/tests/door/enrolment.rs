//! Enrolling: by whoever proved himself for the pickup, once, with a gateway that answers late or not at all.

use std::time::Duration;

use sealpost_vault::accounts;
use sealpost_vault::errands::{Answer, Errand};
use sealpost_vault::id::{AccountId, PickupId};
use serde_json::{Value, json};

use crate::bench::{ADDRESS, Bench, Browser, Got, NOW, base64url};

async fn register(browser: &mut Browser, pickup: PickupId) -> Got {
    let body = json!({ "pickup": pickup, "request": base64url(&[3; 32]) });
    browser.post("/api/account/register", &body.to_string()).await
}

/// A reader who may enrol, and as what.
async fn registered(bench: &Bench) -> (Browser, PickupId, AccountId) {
    let pickup = bench.letter().await;
    let mut browser = bench.proven(pickup).await;
    let got = register(&mut browser, pickup).await;
    assert_eq!((got.status.as_u16(), &got.json()["response"]), (200, &base64url(&[6; 64]).into()), "{}", got.text());
    let account = got.json()["account"].as_str().unwrap().parse().unwrap();
    (browser, pickup, account)
}

fn enrolment(pickup: PickupId, account: AccountId) -> Value {
    json!({
        "pickup": pickup,
        "account": account,
        "certificate": base64url(&[1; 600]),
        "file": base64url(&[2; 5000]),
        "upload": base64url(&[3; 192]),
        "recovery": base64url(&[4; 32]),
        "mac": base64url(&[5; 32]),
        "keys": [{ "pickup": pickup, "packet": base64url(&[6; 120]) }],
    })
}

async fn enrol(browser: &mut Browser, body: &Value) -> Got {
    browser.post("/api/account/enrol", &body.to_string()).await
}

#[tokio::test]
async fn an_enrolment_reaches_the_gateway_once_and_signs_in() {
    let bench = Bench::new().await;
    let (mut browser, pickup, account) = registered(&bench).await;
    let before = browser.clone();
    let body = enrolment(pickup, account);
    let got = enrol(&mut browser, &body).await;
    assert_eq!((got.status.as_u16(), &got.json()["state"]), (200, &"enrolled".into()));
    assert_ne!(before.cookie, browser.cookie);
    let shown = browser.get("/api/account").await.json();
    assert_eq!((&shown["account"], &shown["how"]), (&account.to_string().into(), &"enrolment".into()));
    before.clone().get("/api/account").await.refused(401, "sign-in");
    before.clone().get(&format!("/api/pickups/{pickup}")).await.refused(404, "not-available");
    let json = browser.get(&format!("/api/pickups/{pickup}")).await.json();
    assert_eq!((&json["enrolled"], &json["way"]), (&true.into(), &"link".into()), "it keeps what it had proven");
    // Again: the same answer, no second errand, and the session stays as it is.
    let signed_in = browser.cookie.clone();
    let errand = got.json()["errand"].as_str().unwrap().to_owned();
    for again in [enrol(&mut browser, &body).await, browser.get(&format!("/api/account/enrolment/{errand}")).await] {
        assert_eq!((again.status.as_u16(), again.json()), (200, json!({ "state": "enrolled", "errand": errand })));
    }
    assert_eq!((bench.told("enrol").await, &browser.cookie), (1, &signed_in));
    register(&mut browser, pickup).await.refused(409, "conflict");
    let heard = bench.gateway.heard.lock().unwrap();
    let found = heard.iter().any(|errand| {
        matches!(errand, Errand::Enrol { pickup: p, account: a, certificate, file, upload, recovery, mac, keys }
            if *p == pickup && *a == account && certificate.0 == [1; 600] && file.0 == [2; 5000] && upload.0 == [3; 192]
                && recovery.0 == [4; 32] && mac.0 == [5; 32] && keys.len() == 1 && keys[0].packet.0 == [6; 120])
    });
    assert!(found);
}

/// Whoever changes the passphrase wants all other sessions to end. The one that enrolled is no exception.
#[tokio::test]
async fn an_enrolment_does_not_bring_back_a_session_that_a_change_has_ended() {
    let bench = Bench::new().await;
    let (mut browser, pickup, account) = registered(&bench).await;
    let body = enrolment(pickup, account);
    let errand = enrol(&mut browser, &body).await.json()["errand"].as_str().unwrap().to_owned();
    assert_eq!(browser.get("/api/account").await.status, 200);
    accounts::replace_file(&bench.vault, account, &[7; 5000], 1, NOW).await.unwrap();
    browser.get("/api/account").await.refused(401, "sign-in");
    let cookie = browser.cookie.clone();
    browser.get(&format!("/api/account/enrolment/{errand}")).await.refused(401, "sign-in");
    enrol(&mut browser, &body).await.refused(401, "sign-in");
    assert_eq!(browser.cookie, cookie);
    browser.get("/api/account").await.refused(401, "sign-in");
}

#[tokio::test]
async fn a_gateway_that_is_late_is_asked_after() {
    let bench = Bench::new().await;
    let (mut browser, pickup, account) = registered(&bench).await;
    bench.gateway.deaf_to.lock().unwrap().push("enrol");
    let body = enrolment(pickup, account);
    // Two tabs, or a browser that lost patience: one errand.
    let mut other_tab = browser.clone();
    let (one, other) = tokio::join!(enrol(&mut browser, &body), enrol(&mut other_tab, &body));
    assert_eq!((one.status.as_u16(), one.json(), one.header("set-cookie")), (202, other.json(), ""));
    let errand = one.json()["errand"].as_str().unwrap().to_owned();
    let path = format!("/api/account/enrolment/{errand}");
    assert_eq!(browser.get(&path).await.json()["state"], "waiting");
    browser.get("/api/account").await.refused(401, "sign-in");
    // It is nobody else's to ask after.
    let foreign = bench.proven(pickup).await.get(&path).await;
    foreign.refused(404, "not-available");
    assert_eq!(bench.browser().get(&path).await.shape(), foreign.shape());
    for nothing in ["00000000000000000000000000", "nonsense"] {
        let got = browser.get(&format!("/api/account/enrolment/{nothing}")).await;
        assert_eq!(got.shape(), foreign.shape(), "{nothing}");
    }
    bench.gateway.deaf_to.lock().unwrap().clear();
    let mut state = Value::Null;
    for _ in 0..500 {
        state = browser.get(&path).await.json()["state"].clone();
        if state != "waiting" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(state, "enrolled");
    assert_eq!(browser.get("/api/account").await.json()["account"], account.to_string());
    assert_eq!(browser.get(&path).await.json()["state"], "enrolled");
    assert_eq!(bench.told("enrol").await, 1);
}

#[tokio::test]
async fn refused_and_raced_enrolments_sign_nobody_in() {
    for (answer, state) in [(Answer::Refused, "refused"), (Answer::Conflict, "conflict")] {
        let bench = Bench::new().await;
        let (mut browser, pickup, account) = registered(&bench).await;
        *bench.gateway.to_enrolments.lock().unwrap() = Some(answer);
        let got = enrol(&mut browser, &enrolment(pickup, account)).await;
        assert_eq!((got.status.as_u16(), &got.json()["state"], got.header("set-cookie")), (200, &state.into(), ""));
        browser.get("/api/account").await.refused(401, "sign-in");
        // It is said again and not asked again; a new registration makes a new attempt.
        assert_eq!(enrol(&mut browser, &enrolment(pickup, account)).await.json()["state"], state);
        assert_eq!(bench.told("enrol").await, 1);
        *bench.gateway.to_enrolments.lock().unwrap() = None;
        let account = register(&mut browser, pickup).await.json()["account"].as_str().unwrap().parse().unwrap();
        assert_eq!(enrol(&mut browser, &enrolment(pickup, account)).await.json()["state"], "enrolled");
    }
}

#[tokio::test]
async fn only_what_the_session_registered_and_proved() {
    let bench = Bench::new().await;
    let (mut browser, pickup, account) = registered(&bench).await;
    let (_, other_pickup, other_account) = registered(&bench).await;
    let body = enrolment(pickup, account);
    // Another session, though it proved itself for the same pickup; no session; one that asked for a code and never had it.
    let mut same_letter = bench.proven(pickup).await;
    let refused = enrol(&mut same_letter, &body).await;
    refused.refused(404, "not-available");
    let mut asking = bench.browser();
    asking.ask_code(&format!("{{\"pickup\":\"{pickup}\"}}")).await;
    for mut who in [bench.browser(), asking] {
        assert_eq!(enrol(&mut who, &body).await.shape(), refused.shape());
        assert_eq!(register(&mut who, pickup).await.shape(), refused.shape());
    }
    // Another account, another pickup, a key for another pickup.
    let mut foreign_key = body.clone();
    foreign_key["keys"][0]["pickup"] = json!(other_pickup);
    for body in [enrolment(pickup, other_account), enrolment(other_pickup, account), foreign_key] {
        assert_eq!(enrol(&mut browser, &body).await.shape(), refused.shape(), "{body}");
    }
    // An hour later the gateway has forgotten it.
    bench.clock.set(NOW + 3600);
    assert_eq!(enrol(&mut browser, &body).await.shape(), refused.shape());
    assert_eq!(bench.told("enrol").await, 0);
    bench.clock.set(NOW + 3599);
    assert_eq!(enrol(&mut browser, &body).await.status, 200, "none of these spoiled it");
}

#[tokio::test]
async fn sizes_are_bounded() {
    let bench = Bench::new().await;
    let (mut browser, pickup, account) = registered(&bench).await;
    for (field, size, status, word) in [
        ("certificate", 0, 400, "bad-request"),
        ("certificate", 4097, 400, "bad-request"),
        ("file", 0, 400, "bad-request"),
        ("file", 8193, 400, "bad-request"),
        ("file", 8192, 413, "too-large"),
        ("upload", 0, 400, "bad-request"),
        ("upload", 1025, 400, "bad-request"),
        ("recovery", 31, 400, "bad-request"),
        ("mac", 33, 400, "bad-request"),
    ] {
        let mut body = enrolment(pickup, account);
        if word == "too-large" {
            body["certificate"] = json!(base64url(&[1; 4096]));
        }
        body[field] = json!(base64url(&vec![1; size]));
        enrol(&mut browser, &body).await.refused(status, word);
    }
    let key = |size: usize| json!({ "pickup": pickup, "packet": base64url(&vec![1; size]) });
    for (keys, status) in [(vec![key(0)], 400), (vec![key(1025)], 400), (vec![key(100); 17], 413)] {
        let mut body = enrolment(pickup, account);
        body["keys"] = json!(keys);
        assert_eq!(enrol(&mut browser, &body).await.status.as_u16(), status);
    }
    for (field, value) in [("keys", json!({})), ("account", json!("x")), ("pickup", json!(1)), ("mac", json!("%"))] {
        let mut body = enrolment(pickup, account);
        body[field] = value;
        enrol(&mut browser, &body).await.refused(400, "bad-request");
    }
    for size in [0, 1025] {
        let body = json!({ "pickup": pickup, "request": base64url(&vec![3; size]) });
        browser.post("/api/account/register", &body.to_string()).await.refused(400, "bad-request");
    }
    // As much as fits: sixteen keys beside a file and a certificate of their usual sizes.
    let mut body = enrolment(pickup, account);
    body["keys"] = json!(vec![key(110); 16]);
    assert_eq!(enrol(&mut browser, &body).await.json()["state"], "enrolled");
}

#[tokio::test]
async fn another_passphrase_is_registered_by_who_is_signed_in() {
    let bench = Bench::new().await;
    let account = bench.account(ADDRESS).await;
    let body = json!({ "request": base64url(&[3; 32]) }).to_string();
    let pickup = bench.letter().await;
    for mut browser in [bench.browser(), bench.proven(pickup).await] {
        browser.post("/api/account/register", &body).await.refused(401, "sign-in");
    }
    let got = bench.signed_in(ADDRESS).await.post("/api/account/register", &body).await;
    assert_eq!((got.status.as_u16(), &got.json()["account"]), (200, &account.to_string().into()));
}
