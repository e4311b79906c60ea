//! Signing in, recovering and signing out: a step belongs to its session, a session's old id is worthless, and an address
//! without an account looks like one with.

use axum::body::Body;
use axum::http::Request;
use sealpost_vault::errands::{Answer, Errand};
use sealpost_vault::id::ReplyId;

use crate::bench::{ADDRESS, Bench, Browser, CODE, NOW, RIGHT, WRONG, base64url};

const STRANGER: &str = "stranger@example.org";

async fn recover(browser: &mut Browser, proof: [u8; 32]) -> crate::bench::Got {
    browser.post("/api/account/recover", &format!("{{\"proof\":\"{}\"}}", base64url(&proof))).await
}

#[tokio::test]
async fn the_right_passphrase_signs_in_under_a_new_id() {
    let bench = Bench::new().await;
    let account = bench.account(ADDRESS).await;
    let mut browser = bench.browser();
    let begun = browser.begin_sign_in(&format!(" {ADDRESS} ")).await;
    assert_eq!((begun.status.as_u16(), &begun.json()["response"]), (200, &base64url(&[8; 320]).into()));
    let before = browser.clone();
    let done = browser.finish_sign_in(begun.json()["signIn"].as_str().unwrap(), RIGHT).await;
    assert_eq!((done.status.as_u16(), done.body.len()), (204, 0));
    assert!(done.header("set-cookie").ends_with("; Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Lax"));
    assert_ne!(before.cookie, browser.cookie);
    let shown = browser.get("/api/account").await;
    let json = shown.json();
    assert_eq!(json["account"], account.to_string());
    assert_eq!((&json["reader"], &json["how"], &json["changes"]), (&ADDRESS.into(), &"passphrase".into(), &0.into()));
    for (field, content) in [
        ("organisationCertificate", &b"certificate"[..]),
        ("certificate", b"reader's certificate"),
        ("vouch", b"vouch"),
        ("file", b"account file"),
    ] {
        assert_eq!(json[field], base64url(content), "{field}");
    }
    assert_eq!((&json["organisation"], &json["fingerprint"]), (&"AB".repeat(32).into(), &"CD".repeat(32).into()));
    assert_eq!((&json["counter"], &json["vouchedAt"]), (&1.into(), &NOW.into()));
    before.clone().get("/api/account").await.refused(401, "sign-in");
    bench.browser().get("/api/account").await.refused(401, "sign-in");
}

#[tokio::test]
async fn nobody_learns_who_has_an_account() {
    let bench = Bench::new().await;
    bench.account(ADDRESS).await;
    let (mut one, mut other) = (bench.browser(), bench.browser());
    let (begun, of_stranger) = (one.begin_sign_in(ADDRESS).await, other.begin_sign_in(STRANGER).await);
    assert_eq!(begun.status, 200);
    assert_eq!(begun.shape(), of_stranger.shape());
    let step = |begun: &crate::bench::Got| begun.json()["signIn"].as_str().unwrap().to_owned();
    let wrong = one.finish_sign_in(&step(&begun), WRONG).await;
    wrong.refused(403, "wrong-code");
    assert_eq!(other.finish_sign_in(&step(&of_stranger), WRONG).await.shape(), wrong.shape());
    // Forgotten.
    let ask = |address: &str| format!("{{\"account\":\"{address}\",\"language\":\"de\"}}");
    let (asked, of_stranger) = (
        bench.browser().post("/api/code", &ask(ADDRESS)).await,
        bench.browser().post("/api/code", &ask(STRANGER)).await,
    );
    assert_eq!(asked.status, 200);
    assert_eq!(asked.shape(), of_stranger.shape());
    // Back-off.
    *bench.gateway.back_off.lock().unwrap() = Some(Answer::Later { seconds: 30 });
    let (later, of_stranger) =
        (bench.browser().begin_sign_in(ADDRESS).await, bench.browser().begin_sign_in(STRANGER).await);
    assert_eq!((later.status.as_u16(), later.text()), (429, "{\"error\":\"later\",\"seconds\":30}"));
    assert_eq!(later.shape(), of_stranger.shape());
    // What was noted of both is the same too.
    let noted: Vec<(String, i64)> = sqlx::query_as("select kind, count(*) from errands group by kind order by kind")
        .fetch_all(bench.vault.reader())
        .await
        .unwrap();
    assert_eq!(noted, [("code".to_owned(), 2), ("sign-in".to_owned(), 4), ("sign-in-end".to_owned(), 2)]);
}

#[tokio::test]
async fn a_step_counts_once_soon_and_for_its_session_only() {
    let bench = Bench::new().await;
    bench.account(ADDRESS).await;
    let mut owner = bench.browser();
    let begun = |got: crate::bench::Got| got.json()["signIn"].as_str().unwrap().to_owned();
    let (used, late, foreign) = (
        begun(owner.begin_sign_in(ADDRESS).await),
        begun(owner.begin_sign_in(ADDRESS).await),
        begun(owner.begin_sign_in(ADDRESS).await),
    );
    let mut stranger = bench.browser();
    stranger.begin_sign_in(ADDRESS).await;
    let wrong = owner.finish_sign_in(&used, WRONG).await;
    wrong.refused(403, "wrong-code");
    assert_eq!(owner.finish_sign_in(&used, RIGHT).await.shape(), wrong.shape(), "used");
    assert_eq!(stranger.finish_sign_in(&foreign, RIGHT).await.shape(), wrong.shape(), "another session's");
    assert_eq!(bench.browser().finish_sign_in(&foreign, RIGHT).await.shape(), wrong.shape(), "no session");
    for nothing in ["00000000000000000000000000", "nonsense", "%2e%2e"] {
        assert_eq!(owner.finish_sign_in(nothing, RIGHT).await.shape(), wrong.shape(), "{nothing}");
    }
    // A registration's or enrolment's errand is no sign-in.
    bench.clock.set(NOW + 120);
    assert_eq!(owner.finish_sign_in(&late, RIGHT).await.shape(), wrong.shape(), "late");
    bench.clock.set(NOW + 119);
    assert_eq!(owner.finish_sign_in(&foreign, RIGHT).await.status, 204, "none of these took it");
    assert_eq!(bench.told("sign-in-end").await, 2, "the gateway saw the first step's and the last one's");
}

#[tokio::test]
async fn of_parallel_tries_at_one_step_one_is_looked_at() {
    let bench = Bench::new().await;
    bench.account(ADDRESS).await;
    let mut browser = bench.browser();
    let step = browser.begin_sign_in(ADDRESS).await.json()["signIn"].as_str().unwrap().to_owned();
    let tries = (0..10).map(|_| {
        let (mut browser, step) = (browser.clone(), step.clone());
        tokio::spawn(async move { browser.finish_sign_in(&step, RIGHT).await.status.as_u16() })
    });
    let mut statuses = Vec::new();
    for tried in tries.collect::<Vec<_>>() {
        statuses.push(tried.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![204], vec![403; 9]].concat());
    assert_eq!((bench.told("sign-in-end").await, bench.count("session_accounts").await), (1, 1));
}

#[tokio::test]
async fn the_gateway_hears_where_tries_come_from_and_which_code_was_shown() {
    let bench = Bench::new().await;
    bench.account(ADDRESS).await;
    let pickup = bench.letter().await;
    let mut browser = bench.proven(pickup).await;
    browser.begin_sign_in(ADDRESS).await;
    bench.browser().begin_sign_in(ADDRESS).await;
    // Long after it was mailed, the code says nothing any more.
    bench.clock.set(NOW + 1800);
    browser.begin_sign_in(ADDRESS).await;
    let heard = bench.gateway.heard.lock().unwrap();
    let told: Vec<_> = heard
        .iter()
        .filter_map(|errand| match errand {
            Errand::SignIn { address, prefix, code, request } => {
                assert_eq!((address.as_str(), prefix.as_str(), &request.0), (ADDRESS, "0.0.0.0/24", &vec![4; 96]));
                Some(code.is_some())
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [true, false, false]);
}

#[tokio::test]
async fn a_forgotten_passphrase_takes_a_code_and_the_recovery_code() {
    let bench = Bench::new().await;
    let account = bench.account(ADDRESS).await;
    let mut browser = bench.browser();
    recover(&mut browser, RIGHT).await.refused(404, "not-available");
    let request = browser.ask_code(&format!("{{\"account\":\"{ADDRESS}\"}}")).await;
    recover(&mut browser, RIGHT).await.refused(404, "not-available");
    let proven = browser.prove(&request, CODE).await;
    assert_eq!(proven.json(), serde_json::json!({ "pickups": [], "account": account }));
    // The code alone signs nobody in, and what it opens stays in its session.
    browser.get("/api/account").await.refused(401, "sign-in");
    recover(&mut bench.browser(), RIGHT).await.refused(404, "not-available");
    recover(&mut browser, WRONG).await.refused(403, "wrong-code");
    *bench.gateway.back_off.lock().unwrap() = Some(Answer::Later { seconds: 900 });
    let later = recover(&mut browser, RIGHT).await;
    assert_eq!((later.status.as_u16(), &later.json()["seconds"]), (429, &900.into()));
    *bench.gateway.back_off.lock().unwrap() = None;
    let before = browser.clone();
    let done = recover(&mut browser, RIGHT).await;
    assert_eq!((done.status.as_u16(), done.body.len()), (204, 0));
    assert_ne!(before.cookie, browser.cookie);
    assert_eq!(browser.get("/api/account").await.json()["how"], "recovery");
    recover(&mut before.clone(), RIGHT).await.refused(404, "not-available");
    recover(&mut browser, RIGHT).await.refused(404, "not-available");
    let heard = bench.gateway.heard.lock().unwrap();
    let named = heard.iter().filter(|errand| {
        matches!(errand, Errand::Recover { account: named, code, prefix, .. }
            if *named == account && code.to_string() == request && prefix == "0.0.0.0/24")
    });
    assert_eq!(named.count(), 3);
}

#[tokio::test]
async fn a_code_for_the_readers_own_letter_recovers_the_account() {
    let bench = Bench::new().await;
    let account = bench.account(ADDRESS).await;
    let pickup = bench.letter().await;
    bench.by_account(pickup, account).await;
    // By the letter's link, and by the address of its reader.
    for ask in [format!("{{\"pickup\":\"{pickup}\"}}"), format!("{{\"address\":\"{ADDRESS}\"}}")] {
        let mut browser = bench.browser();
        let request = browser.ask_code(&ask).await;
        browser.prove(&request, "00000000").await.refused(403, "wrong-code");
        recover(&mut browser, RIGHT).await.refused(404, "not-available");
        let proven = browser.prove(&request, CODE).await.json();
        assert_eq!(proven, serde_json::json!({ "pickups": [pickup], "account": account }));
        // The letter itself still takes the account.
        browser.get(&format!("/api/pickups/{pickup}")).await.refused(401, "sign-in");
        recover(&mut bench.browser(), RIGHT).await.refused(404, "not-available");
        recover(&mut browser, WRONG).await.refused(403, "wrong-code");
        assert_eq!(recover(&mut browser, RIGHT).await.status, 204);
        assert_eq!(browser.get("/api/account").await.json()["account"], serde_json::json!(account));
        let heard = bench.gateway.heard.lock().unwrap();
        let named = heard.iter().filter(|errand| {
            matches!(errand, Errand::Recover { account: named, code, .. }
                if *named == account && code.to_string() == request)
        });
        assert_eq!(named.count(), 2);
    }
}

#[tokio::test]
async fn a_code_for_anothers_letter_or_of_long_ago_recovers_nothing() {
    let bench = Bench::new().await;
    bench.account(ADDRESS).await;
    let pickup = bench.letter().await;
    // Of a reader without an account: no account is told, and what the session showed before stays what it was.
    let (foreign, _) = bench.letter_to(STRANGER, NOW, vec![vec![1]]).await;
    bench.gateway.pickups.lock().unwrap().push(foreign);
    let mut browser = bench.browser();
    let request = browser.ask_code(&format!("{{\"pickup\":\"{foreign}\"}}")).await;
    assert_eq!(browser.prove(&request, CODE).await.json(), serde_json::json!({ "pickups": [foreign] }));
    recover(&mut browser, RIGHT).await.refused(404, "not-available");
    // Of long ago.
    let mut by_letter = bench.proven(pickup).await;
    let mut browser = bench.browser();
    let request = browser.ask_code(&format!("{{\"account\":\"{ADDRESS}\"}}")).await;
    assert_eq!(browser.prove(&request, CODE).await.status, 200);
    browser.get(&format!("/api/pickups/{pickup}")).await.refused(404, "not-available");
    bench.clock.set(NOW + 1200);
    recover(&mut browser, RIGHT).await.refused(404, "not-available");
    recover(&mut by_letter, RIGHT).await.refused(404, "not-available");
    // An address without an account has nothing that a code could be right for.
    let request = browser.ask_code(&format!("{{\"account\":\"{STRANGER}\"}}")).await;
    browser.prove(&request, CODE).await.refused(403, "wrong-code");
}

/// Asked for with the link of a letter: one that is sealed to an account, one of a reader without an account, one that never
/// was. Nobody learns by it which is which.
#[tokio::test]
async fn the_way_by_a_letters_code_tells_nobody_who_has_an_account() {
    let bench = Bench::new().await;
    let account = bench.account(ADDRESS).await;
    let sealed = bench.letter().await;
    bench.by_account(sealed, account).await;
    let (plain, _) = bench.letter_to(STRANGER, NOW, vec![vec![1]]).await;
    bench.gateway.pickups.lock().unwrap().push(plain);
    let unknown = sealpost_vault::id::PickupId::random().unwrap();
    let mut told = Vec::new();
    for pickup in [sealed.to_string(), plain.to_string(), unknown.to_string(), "nonsense".to_owned()] {
        let mut browser = bench.browser();
        let page = browser.get(&format!("/p/{pickup}")).await;
        let asked = browser.post("/api/code", &format!("{{\"pickup\":\"{pickup}\"}}")).await;
        assert_eq!((page.status.as_u16(), asked.status.as_u16()), (200, 200));
        let request = asked.json()["request"].as_str().unwrap().to_owned();
        let shown = browser.prove(&request, "00000000").await;
        shown.refused(403, "wrong-code");
        let recovered = recover(&mut browser, RIGHT).await;
        recovered.refused(404, "not-available");
        let letter = browser.get(&format!("/api/pickups/{pickup}")).await;
        letter.refused(404, "not-available");
        told.push([page, asked, shown, recovered, letter].map(|got| got.shape()));
    }
    for (n, each) in told.iter().enumerate() {
        assert_eq!(each, &told[0], "{n}");
    }
    assert_eq!((bench.told("code").await, bench.told("recover").await), (4, 0));
}

#[tokio::test]
async fn the_newest_shown_code_is_the_one_that_is_named() {
    let bench = Bench::new().await;
    bench.account(ADDRESS).await;
    let pickup = bench.letter().await;
    let mut browser = bench.browser();
    let mut named = Vec::new();
    for (n, ask) in [
        format!("{{\"pickup\":\"{pickup}\"}}"),
        format!("{{\"account\":\"{ADDRESS}\"}}"),
        format!("{{\"pickup\":\"{pickup}\"}}"),
    ]
    .into_iter()
    .enumerate()
    {
        bench.clock.set(NOW + i64::try_from(n).unwrap());
        let request = browser.ask_code(&ask).await;
        assert_eq!(browser.prove(&request, CODE).await.status, 200);
        browser.begin_sign_in(ADDRESS).await;
        recover(&mut browser, WRONG).await.refused(403, "wrong-code");
        named.extend([Some(request.clone()), Some(request)]);
    }
    let heard = bench.gateway.heard.lock().unwrap();
    let told: Vec<_> = heard
        .iter()
        .filter_map(|errand| match errand {
            Errand::SignIn { code, .. } => Some(code.map(|code| code.to_string())),
            Errand::Recover { code, .. } => Some(Some(code.to_string())),
            _ => None,
        })
        .collect();
    assert_eq!(told, named);
}

#[tokio::test]
async fn signing_out_ends_the_session_here_and_in_the_browser() {
    let bench = Bench::new().await;
    let account = bench.account(ADDRESS).await;
    let pickup = bench.letter().await;
    let mut browser = bench.signed_in(ADDRESS).await;
    let begin = format!("{{\"pickup\":\"{pickup}\",\"reply\":\"{}\"}}", ReplyId::random().unwrap());
    assert_eq!(browser.post("/api/replies", &begin).await.status, 201);
    let before = browser.clone();
    let out = browser.post("/api/account/sign-out", "").await;
    assert_eq!((out.status.as_u16(), out.body.len()), (204, 0));
    assert_eq!(out.header("set-cookie"), "__Host-sealpost=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax");
    assert_eq!(out.header("clear-site-data"), "\"cache\", \"storage\"");
    assert_eq!(browser.cookie, None);
    for path in ["/api/account", "/api/account/letters", "/api/account/replies"] {
        before.clone().get(path).await.refused(401, "sign-in");
    }
    before.clone().get(&format!("/api/pickups/{pickup}")).await.refused(404, "not-available");
    assert_eq!((bench.count("uploads").await, bench.count("session_accounts").await), (0, 0));
    // Twice, and without a session, is fine; the gateway hears of the one that ended something.
    for mut browser in [before, bench.browser()] {
        assert_eq!(browser.post("/api/account/sign-out", "").await.shape(), out.shape());
    }
    let told: Vec<String> = sqlx::query_as::<_, (String,)>("select body from errands where kind = 'signed-out'")
        .fetch_all(bench.vault.reader())
        .await
        .unwrap()
        .into_iter()
        .map(|(body,)| body)
        .collect();
    assert_eq!(told, [format!("{{\"kind\":\"signed-out\",\"account\":\"{account}\"}}")]);
}

#[tokio::test]
async fn a_session_ends_by_silence_by_age_and_with_its_account() {
    let bench = Bench::new().await;
    let account = bench.account(ADDRESS).await;
    let mut silent = bench.signed_in(ADDRESS).await;
    let mut busy = silent.clone();
    let mut now = NOW;
    while now + 7199 < NOW + 43_200 {
        now += 7199;
        bench.clock.set(now);
        assert_eq!(busy.get("/api/account").await.status, 200);
    }
    bench.clock.set(NOW + 43_200);
    busy.get("/api/account").await.refused(401, "sign-in");
    bench.clock.set(NOW);
    silent = bench.signed_in(ADDRESS).await;
    bench.clock.set(NOW + 7200);
    silent.get("/api/account").await.refused(401, "sign-in");
    bench.clock.set(NOW);
    let mut reset = bench.signed_in(ADDRESS).await;
    sealpost_vault::accounts::delete_account(&bench.vault, account).await.unwrap();
    reset.get("/api/account").await.refused(401, "sign-in");
}

#[tokio::test]
async fn who_signs_in_as_somebody_else_inherits_nothing() {
    let bench = Bench::new().await;
    let (_, _) = (bench.account(ADDRESS).await, bench.account(STRANGER).await);
    let pickup = bench.letter().await;
    let mut browser = bench.proven(pickup).await;
    // Signing in keeps what was proven before.
    assert_eq!(browser.sign_in(ADDRESS, RIGHT).await.status, 204);
    assert_eq!(browser.get(&format!("/api/pickups/{pickup}")).await.status, 200);
    assert_eq!(browser.sign_in(ADDRESS, RIGHT).await.status, 204, "again");
    assert_eq!(browser.sign_in(STRANGER, RIGHT).await.status, 204);
    assert_eq!(browser.get("/api/account").await.json()["reader"], STRANGER);
    browser.get(&format!("/api/pickups/{pickup}")).await.refused(404, "not-available");
}

#[tokio::test]
async fn other_sites_and_strange_bodies_get_nowhere() {
    let bench = Bench::new().await;
    bench.account(ADDRESS).await;
    let mut browser = bench.signed_in(ADDRESS).await;
    let paths = [
        "/api/account/sign-in",
        "/api/account/sign-in/00000000000000000000000000",
        "/api/account/recover",
        "/api/account/register",
        "/api/account/enrol",
        "/api/account/change",
        "/api/account/sign-out",
        "/api/pickups/00000000000000000000000000/receipt",
        "/api/pickups/00000000000000000000000000/rewrap",
    ];
    let errands = bench.count("errands").await;
    for path in paths {
        for (name, value) in
            [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example")]
        {
            let request = Request::post(path)
                .header("host", "letters.example")
                .header("content-type", "application/json")
                .header(name, value)
                .body(Body::from("{}"));
            let got = browser.send(request.unwrap()).await;
            got.refused(403, "cross-site");
            assert_eq!(got.header("set-cookie"), "", "{path}");
        }
        if path.ends_with("sign-out") {
            continue;
        }
        browser.post(path, &format!("{{\"a\":\"{}\"}}", "a".repeat(20_000))).await.refused(413, "too-large");
        for body in ["", "[]", "{}", "{\"request\":1}", "{\"address\":[],\"request\":\"\"}", "nonsense"] {
            browser.post(path, body).await.refused(400, "bad-request");
        }
        let request = Request::post(path).header("content-type", "text/plain").body(Body::from("{}"));
        browser.send(request.unwrap()).await.refused(400, "bad-request");
        assert_eq!(browser.get(path).await.status, 405, "{path}");
    }
    for (address, request) in
        [("a".repeat(321), vec![1]), (ADDRESS.to_owned(), vec![]), (ADDRESS.to_owned(), vec![1; 1025])]
    {
        let body = serde_json::json!({ "address": address, "request": base64url(&request) }).to_string();
        browser.post("/api/account/sign-in", &body).await.refused(400, "bad-request");
    }
    browser
        .post("/api/account/recover", &format!("{{\"proof\":\"{}\"}}", base64url(&[1; 31])))
        .await
        .refused(400, "bad-request");
    assert_eq!(bench.count("errands").await, errands, "the gateway was asked nothing");
    assert_eq!(browser.get("/api/account").await.status, 200, "and the session lives");
}
