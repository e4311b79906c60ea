//! Sealed letters: for who proved himself only, and all refusals alike.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpost_vault::errands::Errand;
use sealpost_vault::letters;

use crate::bench::{Bench, LARGE, NOW};

#[tokio::test]
async fn a_proven_session_gets_the_sealed_letter() {
    let bench = Bench::new().await;
    let pickup = bench.letter().await;
    let mut browser = bench.proven(pickup).await;
    let answer = browser.get(&format!("/api/pickups/{pickup}")).await;
    let json = answer.json();
    assert_eq!(json["pickup"], pickup.to_string());
    assert_eq!(json["letter"].as_str().unwrap().len(), 26);
    assert_eq!(json["reader"], "patient@example.org");
    assert_eq!(json["organisation"], "AB".repeat(32));
    for (field, content) in
        [("certificate", &b"certificate"[..]), ("share", &[7; 32]), ("keyPacket", b"key packet"), ("slip", b"slip")]
    {
        assert_eq!(json[field], URL_SAFE_NO_PAD.encode(content), "{field}");
    }
    assert_eq!(json["parts"], serde_json::json!([4096, LARGE]));
    assert_eq!(json["expires"], NOW + 30 * 86_400);
    for (n, content) in [(0, vec![1; 4096]), (1, vec![2; LARGE])] {
        let part = browser.get(&format!("/api/pickups/{pickup}/parts/{n}")).await;
        assert_eq!((part.status.as_u16(), part.header("content-type")), (200, "application/octet-stream"));
        assert_eq!(part.header("cache-control"), "no-store");
        assert!(part.body == content);
    }
    // Reading spends nothing, and the gateway hears of it once.
    browser.get(&format!("/api/pickups/{pickup}")).await;
    let again = browser.get(&format!("/api/pickups/{pickup}")).await;
    assert_eq!(again.json(), json);
    assert_eq!(bench.told("released").await, 1);
}

#[tokio::test]
async fn not_proven_unknown_withdrawn_and_expired_are_one_answer() {
    let bench = Bench::new().await;
    let pickup = bench.letter().await;
    let (withdrawn, withdrawn_letter) = bench.letter_of(vec![vec![1]]).await;
    let mut reader = bench.proven(pickup).await;
    let mut of_withdrawn = bench.proven(withdrawn).await;
    letters::destroy(&bench.vault, &bench.blobs, withdrawn_letter).await.unwrap();
    let expected = bench.browser().get(&format!("/api/pickups/{pickup}")).await;
    expected.refused(404, "not-available");
    let mut stranger = bench.browser();
    stranger.ask_code(&format!("{{\"pickup\":\"{pickup}\"}}")).await;
    let mut answers = vec![
        stranger.get(&format!("/api/pickups/{pickup}")).await,
        stranger.get(&format!("/api/pickups/{pickup}/parts/0")).await,
        stranger.post(&format!("/api/pickups/{pickup}/opened"), &opened(32)).await,
        reader.get("/api/pickups/00000000000000000000000000").await,
        reader.get("/api/pickups/nonsense").await,
        reader.get(&format!("/api/pickups/{pickup}%23secret")).await,
        reader.get(&format!("/api/pickups/{withdrawn}")).await,
        reader.get(&format!("/api/pickups/{pickup}/parts/2")).await,
        reader.get(&format!("/api/pickups/{pickup}/parts/-1")).await,
        reader.get(&format!("/api/pickups/{pickup}/parts/99999999999999999999")).await,
        of_withdrawn.get(&format!("/api/pickups/{withdrawn}")).await,
        of_withdrawn.get(&format!("/api/pickups/{withdrawn}/parts/0")).await,
        of_withdrawn.get(&format!("/api/pickups/{pickup}")).await,
    ];
    sqlx::query("update pickups set expires_at = $1 where pickup_id = $2")
        .bind(NOW)
        .bind(pickup.to_string())
        .execute(bench.vault.writer())
        .await
        .unwrap();
    answers.push(reader.get(&format!("/api/pickups/{pickup}")).await);
    answers.push(reader.get(&format!("/api/pickups/{pickup}/parts/0")).await);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!((answer.shape(), &answer.body), (expected.shape(), &expected.body), "answer {n}");
    }
}

fn opened(length: usize) -> String {
    format!("{{\"mac\":\"{}\"}}", URL_SAFE_NO_PAD.encode(vec![9; length]))
}

#[tokio::test]
async fn the_receipt_is_passed_on_once_and_must_have_its_size() {
    let bench = Bench::new().await;
    let pickup = bench.letter().await;
    let mut browser = bench.proven(pickup).await;
    let path = format!("/api/pickups/{pickup}/opened");
    for length in [0, 31, 33, 4096] {
        browser.post(&path, &opened(length)).await.refused(400, "bad-request");
    }
    for _ in 0..3 {
        let answer = browser.post(&path, &opened(32)).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    }
    assert_eq!(bench.told("opened").await, 1);
    let (body,): (String,) =
        sqlx::query_as("select body from errands where kind = 'opened'").fetch_one(bench.vault.reader()).await.unwrap();
    let Errand::Opened { pickup: told, mac } = serde_json::from_str(&body).unwrap() else { panic!("{body}") };
    assert_eq!((told, mac.0), (pickup, vec![9; 32]));
}

#[tokio::test]
async fn a_proof_ends_with_silence() {
    let bench = Bench::new().await;
    let pickup = bench.letter().await;
    let mut browser = bench.proven(pickup).await;
    bench.clock.set(NOW + 2 * 3600 - 1);
    assert_eq!(browser.get(&format!("/api/pickups/{pickup}")).await.status, 200);
    bench.clock.set(NOW + 4 * 3600);
    browser.get(&format!("/api/pickups/{pickup}")).await.refused(404, "not-available");
}
