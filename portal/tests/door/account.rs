//! What an account holds: its letters by either way and nobody else's, a changed passphrase, what its reader wrote.

use sealpost_vault::accounts::put_account_key;
use sealpost_vault::errands::{Answer, Errand};
use sealpost_vault::id::{PickupId, ReplyId};
use sealpost_vault::letters;
use serde_json::{Value, json};

use crate::bench::{ADDRESS, Bench, Browser, Got, LARGE, NOW, RIGHT, WRONG, base64url};

const OTHER: &str = "other@example.org";

fn shown<'a>(page: &'a Value, list: &str, id: &str) -> Vec<&'a str> {
    page[list].as_array().unwrap().iter().map(|each| each[id].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_owner_gets_the_accounts_key_and_no_share() {
    let bench = Bench::new().await;
    let account = bench.account(ADDRESS).await;
    let pickup = bench.letter().await;
    let path = format!("/api/pickups/{pickup}");
    let mut owner = bench.signed_in(ADDRESS).await;
    let mut by_code = bench.proven(pickup).await;
    // Not wrapped for the account yet: by link, though no code was shown.
    let json = owner.get(&path).await.json();
    assert_eq!(
        (&json["way"], &json["enrolled"], &json["share"]),
        (&"link".into(), &true.into(), &base64url(&[7; 32]).into())
    );
    assert!(put_account_key(&bench.vault, pickup, account, b"account key").await.unwrap());
    let json = owner.get(&path).await.json();
    assert_eq!((&json["way"], &json["share"]), (&"account".into(), &"".into()));
    assert_eq!((&json["keyPacket"], &json["slip"]), (&base64url(b"account key").into(), &base64url(b"slip").into()));
    // Both ways are open for a while: by code, the link's.
    let json = by_code.get(&path).await.json();
    assert_eq!((&json["way"], &json["keyPacket"]), (&"link".into(), &base64url(b"key packet").into()));
    bench.by_account(pickup, account).await;
    for path in [path.clone(), format!("{path}/parts/0")] {
        by_code.get(&path).await.refused(401, "sign-in");
        assert_eq!(owner.get(&path).await.status, 200);
    }
    assert_eq!(bench.told("released").await, 2, "once per session");
    // Unknown, of somebody else, expired: one answer.
    let foreign = bench.letter_to(OTHER, NOW, vec![vec![1]]).await.0;
    let expected = bench.browser().get(&path).await;
    expected.refused(404, "not-available");
    let unknown = PickupId::random().unwrap();
    for id in [foreign.to_string(), unknown.to_string(), "nonsense".to_owned()] {
        for path in [format!("/api/pickups/{id}"), format!("/api/pickups/{id}/parts/0")] {
            assert_eq!(owner.get(&path).await.shape(), expected.shape(), "{path}");
        }
        for path in ["receipt", "rewrap"] {
            let body = json!({ "packet": base64url(&[1]), "signature": base64url(&RIGHT) }).to_string();
            let got = owner.post(&format!("/api/pickups/{id}/{path}"), &body).await;
            assert_eq!(got.shape(), expected.shape(), "{id} {path}");
        }
    }
    bench.clock.set(NOW + 30 * 86_400);
    let mut owner = bench.signed_in(ADDRESS).await;
    assert_eq!(owner.get(&path).await.shape(), expected.shape());
    assert_eq!(owner.get("/api/account/letters").await.json(), json!({ "letters": [], "next": null }));
}

#[tokio::test]
async fn a_key_for_another_account_is_not_handed_out() {
    let bench = Bench::new().await;
    let (_, other) = (bench.account(ADDRESS).await, bench.account(OTHER).await);
    let pickup = bench.letter().await;
    bench.by_account(pickup, other).await;
    let mut owner = bench.signed_in(ADDRESS).await;
    owner.get(&format!("/api/pickups/{pickup}")).await.refused(404, "not-available");
    assert_eq!(owner.get("/api/account/letters").await.json()["letters"][0]["keyPacket"], Value::Null);
    bench.signed_in(OTHER).await.get(&format!("/api/pickups/{pickup}")).await.refused(404, "not-available");
}

#[tokio::test]
async fn letters_come_newest_first_page_by_page() {
    let bench = Bench::new().await;
    let account = bench.account(ADDRESS).await;
    let mut expected = Vec::new();
    // Thirty-five of them, some in the same second.
    for n in 0..35 {
        let pickup = bench.letter_to(ADDRESS, NOW + n / 3, vec![vec![1; 4096]]).await.0;
        expected.push((-(NOW + n / 3), pickup.to_string()));
    }
    let wrapped: PickupId = expected[34].1.parse().unwrap();
    bench.by_account(wrapped, account).await;
    bench.letter_to(OTHER, NOW + 100, vec![vec![1]]).await;
    let (_, withdrawn) = bench.letter_to(ADDRESS, NOW + 100, vec![vec![1]]).await;
    letters::destroy(&bench.vault, &bench.blobs, withdrawn).await.unwrap();
    expected.sort();
    let mut browser = bench.signed_in(ADDRESS).await;
    let first = browser.get("/api/account/letters").await.json();
    let next = first["next"].as_str().unwrap().to_owned();
    let second = browser.get(&format!("/api/account/letters?after={next}")).await.json();
    assert_eq!((first["letters"].as_array().unwrap().len(), &second["next"]), (30, &Value::Null));
    let all = [shown(&first, "letters", "pickup"), shown(&second, "letters", "pickup")].concat();
    assert_eq!(all, expected.iter().map(|(_, pickup)| pickup.as_str()).collect::<Vec<_>>());
    let letter = first["letters"].as_array().unwrap().iter().find(|l| l["pickup"] == wrapped.to_string()).unwrap();
    assert_eq!(
        (&letter["keyPacket"], &letter["slip"]),
        (&base64url(b"account key").into(), &base64url(b"slip").into())
    );
    assert_eq!((&letter["parts"], &letter["created"]), (&json!([4096]), &(NOW + 11).into()));
    assert_eq!((&letter["organisation"], letter.get("certificate")), (&"AB".repeat(32).into(), None));
    assert_eq!(second["letters"][0]["keyPacket"], Value::Null, "not wrapped for the account: its link opens it");
    for wrong in ["1", "x.y", "..", "-1.nonsense", "%00"] {
        browser.get(&format!("/api/account/letters?after={wrong}")).await.refused(400, "bad-request");
        browser.get(&format!("/api/account/replies?after={wrong}")).await.refused(400, "bad-request");
    }
    browser.get("/api/account/letters?after=1&after=2").await.refused(400, "bad-request");
    bench.browser().get("/api/account/letters").await.refused(401, "sign-in");
}

#[tokio::test]
async fn a_receipt_is_told_once_and_only_by_the_owner() {
    let bench = Bench::new().await;
    let pickup = bench.letter().await;
    let mut by_code = bench.proven(pickup).await;
    // The link's receipt, before there was an account, is another matter.
    let opened = json!({ "mac": base64url(&RIGHT) }).to_string();
    assert_eq!(by_code.post(&format!("/api/pickups/{pickup}/opened"), &opened).await.status, 204);
    bench.account(ADDRESS).await;
    let path = format!("/api/pickups/{pickup}/receipt");
    let body = json!({ "signature": base64url(&[9; 200]) }).to_string();
    by_code.post(&path, &body).await.refused(401, "sign-in");
    bench.browser().post(&path, &body).await.refused(404, "not-available");
    assert_eq!(by_code.sign_in(ADDRESS, RIGHT).await.status, 204);
    for size in [0, 1025] {
        let body = json!({ "signature": base64url(&vec![9; size]) }).to_string();
        by_code.post(&path, &body).await.refused(400, "bad-request");
    }
    for _ in 0..3 {
        assert_eq!(by_code.post(&path, &body).await.status, 204);
    }
    let told: Vec<(String,)> = sqlx::query_as("select body from errands where kind = 'receipt'")
        .fetch_all(bench.vault.reader())
        .await
        .unwrap();
    let [(body,)] = told.as_slice() else { panic!("{told:?}") };
    let errand: Errand = serde_json::from_str(body).unwrap();
    assert!(matches!(errand, Errand::Receipt { pickup: p, signature } if p == pickup && signature.0 == [9; 200]));
}

#[tokio::test]
async fn a_letter_is_taken_into_the_account_by_its_owner() {
    let bench = Bench::new().await;
    bench.account(ADDRESS).await;
    let pickup = bench.letter().await;
    let path = format!("/api/pickups/{pickup}/rewrap");
    let body = |packet: usize, signature: &[u8]| {
        json!({ "packet": base64url(&vec![5; packet]), "signature": base64url(signature) }).to_string()
    };
    bench.proven(pickup).await.post(&path, &body(100, &RIGHT)).await.refused(401, "sign-in");
    bench.browser().post(&path, &body(100, &RIGHT)).await.refused(404, "not-available");
    let mut owner = bench.signed_in(ADDRESS).await;
    for (packet, signature) in [(0, vec![1]), (1025, vec![1]), (1, vec![]), (1, vec![1; 1025])] {
        owner.post(&path, &body(packet, &signature)).await.refused(400, "bad-request");
    }
    assert_eq!(bench.told("rewrap").await, 0);
    owner.post(&path, &body(100, &WRONG)).await.refused(409, "conflict");
    assert_eq!(owner.post(&path, &body(100, &RIGHT)).await.status, 204);
}

#[tokio::test]
async fn who_changes_the_passphrase_stays_and_all_others_go() {
    let bench = Bench::new().await;
    let account = bench.account(ADDRESS).await;
    let mut browser = bench.signed_in(ADDRESS).await;
    let mut elsewhere = bench.signed_in(ADDRESS).await;
    let change = |recovery: usize, file: usize, signature: &[u8]| {
        json!({
            "upload": base64url(&[1; 192]),
            "file": base64url(&vec![2; file]),
            "recovery": base64url(&vec![3; recovery]),
            "signature": base64url(signature),
        })
        .to_string()
    };
    let path = "/api/account/change";
    bench.browser().post(path, &change(0, 5000, &RIGHT)).await.refused(401, "sign-in");
    for (recovery, file, signature) in [
        (31, 5000, vec![1]),
        (33, 5000, vec![1]),
        (0, 0, vec![1]),
        (0, 8193, vec![1]),
        (0, 5000, vec![]),
        (0, 5000, vec![1; 1025]),
    ] {
        browser.post(path, &change(recovery, file, &signature)).await.refused(400, "bad-request");
    }
    assert_eq!(bench.told("change").await, 0);
    browser.post(path, &change(32, 5000, &WRONG)).await.refused(403, "wrong-code");
    assert_eq!(elsewhere.get("/api/account").await.json()["changes"], 0);
    assert_eq!(browser.post(path, &change(0, 5000, &RIGHT)).await.status, 204);
    let shown = browser.get("/api/account").await.json();
    assert_eq!((&shown["changes"], &shown["file"]), (&1.into(), &base64url(&[2; 5000]).into()));
    elsewhere.get("/api/account").await.refused(401, "sign-in");
    elsewhere.get("/api/account/letters").await.refused(401, "sign-in");
    assert!(bench.gateway.heard.lock().unwrap().iter().any(|errand| matches!(errand,
        Errand::Change { account: a, recovery, .. } if *a == account && recovery.0.is_empty())));
    // A change that this portal never heard of ends sessions too, and recovered ones are told to be like the others.
    let request = elsewhere.ask_code(&format!("{{\"account\":\"{ADDRESS}\"}}")).await;
    elsewhere.prove(&request, crate::bench::CODE).await;
    let proof = json!({ "proof": base64url(&RIGHT) }).to_string();
    assert_eq!(elsewhere.post("/api/account/recover", &proof).await.status, 204);
    assert_eq!(elsewhere.get("/api/account").await.json()["how"], "recovery");
    assert_eq!(elsewhere.post(path, &change(32, 5000, &RIGHT)).await.status, 204);
    assert_eq!(elsewhere.get("/api/account").await.json()["how"], "passphrase");
    browser.get("/api/account").await.refused(401, "sign-in");
}

/// A reply of two packets, begun and uploaded.
async fn uploaded(browser: &mut Browser, pickup: PickupId) -> ReplyId {
    let reply = ReplyId::random().unwrap();
    let got = browser.post("/api/replies", &json!({ "pickup": pickup, "reply": reply }).to_string()).await;
    assert_eq!(got.status, 201, "{}", got.text());
    for (n, content) in [(0, vec![n_of(reply); 4096]), (1, vec![2; LARGE])] {
        assert_eq!(browser.put(&format!("/api/replies/{reply}/parts/{n}"), content).await.status, 204);
    }
    reply
}

fn n_of(reply: ReplyId) -> u8 {
    reply.bytes()[0]
}

async fn send(browser: &mut Browser, reply: ReplyId) -> Got {
    let body = json!({ "keyPacket": base64url(&[5; 100]), "ownKey": base64url(&[6; 100]), "parts": 2 });
    browser.post(&format!("/api/replies/{reply}/send"), &body.to_string()).await
}

#[tokio::test]
async fn own_replies_are_kept_for_their_writer() {
    let bench = Bench::new().await;
    let account = bench.account(ADDRESS).await;
    bench.account(OTHER).await;
    let (pickup, letter) = bench.letter_of(vec![vec![1; 10]]).await;
    bench.by_account(pickup, account).await;
    *bench.gateway.to_replies.lock().unwrap() = Some(Answer::Taken);
    let mut browser = bench.signed_in(ADDRESS).await;
    let reply = uploaded(&mut browser, pickup).await;
    let got = send(&mut browser, reply).await;
    assert_eq!((got.status.as_u16(), got.json()), (200, json!({ "state": "taken", "kept": true })));
    assert_eq!(send(&mut browser, reply).await.json(), got.json());
    assert_eq!((bench.gateway.heard("reply"), bench.count("upload_parts").await), (1, 2));
    // From another browser, and after the letter was withdrawn.
    letters::destroy(&bench.vault, &bench.blobs, letter).await.unwrap();
    let mut elsewhere = bench.signed_in(ADDRESS).await;
    let page = elsewhere.get("/api/account/replies").await.json();
    let conversation = page["replies"][0]["conversation"].as_str().unwrap().to_owned();
    assert_eq!(
        page,
        json!({ "next": null, "replies": [{
            "reply": reply, "pickup": pickup, "letter": letter, "conversation": conversation,
            "keyPacket": base64url(&[6; 100]), "slip": base64url(&vec![n_of(reply); 4096]), "parts": [4096, LARGE],
            "state": "taken", "sent": NOW, "expires": NOW + 30 * 86_400,
        }] })
    );
    let part = elsewhere.get(&format!("/api/account/replies/{reply}/parts/1")).await;
    assert!(part.status == 200 && part.body == vec![2; LARGE]);
    // Nobody else's.
    let mut other = bench.signed_in(OTHER).await;
    assert_eq!(other.get("/api/account/replies").await.json(), json!({ "replies": [], "next": null }));
    let expected = other.get(&format!("/api/account/replies/{}/parts/1", ReplyId::random().unwrap())).await;
    expected.refused(404, "not-available");
    for path in [
        format!("/api/account/replies/{reply}/parts/1"),
        "/api/account/replies/nonsense/parts/0".to_owned(),
        format!("/api/account/replies/{reply}/parts/x"),
    ] {
        assert_eq!(other.get(&path).await.shape(), expected.shape(), "{path}");
    }
    assert_eq!(elsewhere.get(&format!("/api/account/replies/{reply}/parts/2")).await.shape(), expected.shape());
    bench.browser().get(&format!("/api/account/replies/{reply}/parts/1")).await.refused(401, "sign-in");
    bench.clock.set(NOW + 30 * 86_400);
    let mut browser = bench.signed_in(ADDRESS).await;
    assert_eq!(browser.get("/api/account/replies").await.json(), json!({ "replies": [], "next": null }));
    assert_eq!(browser.get(&format!("/api/account/replies/{reply}/parts/1")).await.shape(), expected.shape());
}

#[tokio::test]
async fn a_refused_reply_is_not_kept() {
    let bench = Bench::new().await;
    let account = bench.account(ADDRESS).await;
    let pickup = bench.letter().await;
    bench.by_account(pickup, account).await;
    *bench.gateway.to_replies.lock().unwrap() = Some(Answer::Refused);
    let mut browser = bench.signed_in(ADDRESS).await;
    let reply = uploaded(&mut browser, pickup).await;
    assert_eq!(send(&mut browser, reply).await.json(), json!({ "state": "refused", "kept": false }));
    assert_eq!((bench.count("own_replies").await, bench.count("upload_parts").await), (0, 0));
    assert_eq!(browser.get(&format!("/api/replies/{reply}")).await.json()["state"], "refused");
}

#[tokio::test]
async fn once_enrolled_only_the_account_answers() {
    let bench = Bench::new().await;
    let pickup = bench.letter().await;
    let mut by_code = bench.proven(pickup).await;
    // Begun before; nothing to keep it by.
    let reply = uploaded(&mut by_code, pickup).await;
    send(&mut by_code, reply).await.refused(401, "sign-in");
    bench.account(ADDRESS).await;
    let begin = json!({ "pickup": pickup, "reply": ReplyId::random().unwrap() }).to_string();
    by_code.post("/api/replies", &begin).await.refused(401, "sign-in");
    bench.account(OTHER).await;
    let mut other = bench.signed_in(OTHER).await;
    other.post("/api/replies", &begin).await.refused(404, "not-available");
    let path = format!("/api/replies/{reply}");
    other.get(&path).await.refused(404, "not-available");
    other.put(&format!("{path}/parts/0"), vec![1]).await.refused(404, "not-available");
    send(&mut other, reply).await.refused(404, "not-available");
    for size in [0, 1025] {
        let body = json!({ "keyPacket": base64url(&[5]), "ownKey": base64url(&vec![6; size]), "parts": 2 });
        by_code.post(&format!("{path}/send"), &body.to_string()).await.refused(400, "bad-request");
    }
    assert_eq!((bench.told("reply").await, bench.count("own_replies").await), (0, 0));
}
