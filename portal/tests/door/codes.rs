//! Codes by mail: uniform answers, five tries, the asking session only, a new session id.

use axum::body::Body;
use axum::http::Request;
use sealpost_vault::db::Db;
use sealpost_vault::errands::{Errand, Scope};
use sealpost_vault::letters;

use crate::bench::{ADDRESS, Bench, CODE, NOW};

#[tokio::test]
async fn asking_looks_the_same_for_what_exists_and_what_does_not() {
    let bench = Bench::new().await;
    let known = bench.letter().await;
    let (withdrawn, letter) = bench.letter_of(vec![vec![1]]).await;
    letters::destroy(&bench.vault, &bench.blobs, letter).await.unwrap();
    let expected = bench.browser().post("/api/code", &format!("{{\"pickup\":\"{known}\"}}")).await.shape();
    assert_eq!(expected.0, 200);
    for body in [
        format!("{{\"pickup\":\"{withdrawn}\"}}"),
        "{\"pickup\":\"00000000000000000000000000\"}".to_owned(),
        "{\"pickup\":\"\"}".to_owned(),
        "{\"pickup\":\"../../etc/passwd\"}".to_owned(),
        format!("{{\"address\":\"{ADDRESS}\"}}"),
        "{\"address\":\"nobody@example.org\"}".to_owned(),
        "{\"address\":\"no address at all\",\"language\":\"de\"}".to_owned(),
        format!("{{\"account\":\"{ADDRESS}\"}}"),
        "{\"account\":\"no address at all\",\"language\":\"de\"}".to_owned(),
    ] {
        assert_eq!(bench.browser().post("/api/code", &body).await.shape(), expected, "{body}");
    }
    assert_eq!(bench.gateway.heard("code"), 10, "the gateway was asked each time");
}

/// A code that was mailed minutes ago and serves one more session ends sooner than a new one. To tell would be to tell that
/// there is a letter or an account: what isn't there never has an older code.
#[tokio::test]
async fn when_a_code_ends_does_not_tell_that_there_was_one_before() {
    let bench = Bench::new().await;
    let known = bench.letter().await;
    bench.account(ADDRESS).await;
    bench.gateway.mailed_before.store(400, std::sync::atomic::Ordering::Relaxed);
    for body in [
        format!("{{\"pickup\":\"{known}\"}}"),
        format!("{{\"address\":\"{ADDRESS}\"}}"),
        format!("{{\"account\":\"{ADDRESS}\"}}"),
        "{\"account\":\"nobody@example.org\"}".to_owned(),
    ] {
        assert_eq!(bench.browser().post("/api/code", &body).await.json()["expires"], NOW + 600, "{body}");
    }
    // It ends when it ends all the same.
    let mut browser = bench.browser();
    let request = browser.ask_code(&format!("{{\"pickup\":\"{known}\"}}")).await;
    bench.clock.set(NOW + 200);
    browser.prove(&request, CODE).await.refused(403, "wrong-code");
}

#[tokio::test]
async fn a_silent_gateway_is_the_same_for_all() {
    let bench = Bench::new().await;
    let known = bench.letter().await;
    *bench.gateway.silent.lock().unwrap() = true;
    let (mut one, mut other) = (bench.browser(), bench.browser());
    let existing = format!("{{\"pickup\":\"{known}\"}}");
    let (a, b) = tokio::join!(
        one.post("/api/code", &existing),
        other.post("/api/code", "{\"pickup\":\"00000000000000000000000000\"}")
    );
    a.refused(503, "busy");
    assert_eq!(a.shape(), b.shape());
}

#[tokio::test]
async fn the_right_code_opens_its_pickup_and_renews_the_cookie() {
    let bench = Bench::new().await;
    let pickup = bench.letter().await;
    let mut browser = bench.browser();
    let request = browser.ask_code(&format!("{{\"pickup\":\"{pickup}\"}}")).await;
    let before = browser.clone();
    let answer = browser.prove(&request, "1234 5678").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["pickups"]), (200, &serde_json::json!([pickup])));
    assert_ne!(before.cookie, browser.cookie);
    assert_eq!(browser.get(&format!("/api/pickups/{pickup}")).await.status, 200);
    before.clone().get(&format!("/api/pickups/{pickup}")).await.refused(404, "not-available");
    // The mail's language and the session are what the gateway was told.
    let heard = bench.gateway.heard.lock().unwrap();
    assert!(matches!(&heard[0], Errand::Code { session, scope: Scope::Pickup(p), language }
        if session.0.len() == 32 && *p == pickup && language == "en"));
}

#[tokio::test]
async fn an_address_opens_all_its_pickups() {
    let bench = Bench::new().await;
    let pickups = [bench.letter().await, bench.letter().await];
    let mut browser = bench.browser();
    let request = browser.ask_code(&format!("{{\"address\":\" {ADDRESS} \"}}")).await;
    let answer = browser.prove(&request, CODE).await;
    assert_eq!(answer.json()["pickups"], serde_json::json!(pickups));
}

#[tokio::test]
async fn whatever_is_wrong_with_a_code_is_one_answer() {
    let bench = Bench::new().await;
    let pickup = bench.letter().await;
    let ask = format!("{{\"pickup\":\"{pickup}\"}}");
    let mut browser = bench.browser();
    let replaced = browser.ask_code(&ask).await;
    let request = browser.ask_code(&ask).await;
    let unknown = browser.ask_code("{\"pickup\":\"00000000000000000000000000\"}").await;
    let mut stranger = bench.browser();
    stranger.ask_code(&ask).await;
    let wrong = browser.prove(&request, "87654321").await;
    wrong.refused(403, "wrong-code");
    let shape = wrong.shape();
    assert_eq!(browser.prove(&replaced, CODE).await.shape(), shape, "replaced by a newer one");
    assert_eq!(browser.prove(&unknown, CODE).await.shape(), shape, "no such pickup");
    assert_eq!(browser.prove("00000000000000000000000000", CODE).await.shape(), shape, "no such request");
    assert_eq!(browser.prove("nonsense", CODE).await.shape(), shape, "no id");
    assert_eq!(stranger.prove(&request, CODE).await.shape(), shape, "another session");
    assert_eq!(bench.browser().prove(&request, CODE).await.shape(), shape, "no session");
    bench.clock.set(NOW + 600);
    assert_eq!(browser.prove(&request, CODE).await.shape(), shape, "too late");
    bench.clock.set(NOW + 599);
    assert_eq!(browser.prove(&request, CODE).await.status, 200, "none of these locked the reader out");
}

#[tokio::test]
async fn five_wrong_tries_kill_a_code_even_at_once() {
    let bench = Bench::new().await;
    let pickup = bench.letter().await;
    let mut browser = bench.browser();
    let request = browser.ask_code(&format!("{{\"pickup\":\"{pickup}\"}}")).await;
    let tries = (0..12).map(|n| {
        let (mut browser, request) = (browser.clone(), request.clone());
        tokio::spawn(async move { browser.prove(&request, &format!("{n:08}")).await.status.as_u16() })
    });
    for tried in tries.collect::<Vec<_>>() {
        assert_eq!(tried.await.unwrap(), 403);
    }
    assert_eq!(tries_at(&bench.vault, &request).await, 5);
    browser.prove(&request, CODE).await.refused(403, "wrong-code");
}

async fn tries_at(vault: &Db, request: &str) -> i64 {
    let statement = "select tries from code_requests where errand_id = $1";
    sqlx::query_as::<_, (i64,)>(statement).bind(request.to_owned()).fetch_one(vault.reader()).await.unwrap().0
}

#[tokio::test]
async fn the_cookie_stays_home() {
    let bench = Bench::new().await;
    let answer = bench.browser().post("/api/code", "{\"pickup\":\"x\"}").await;
    let cookie = answer.header("set-cookie");
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Lax");
    let value = pair.strip_prefix("__Host-sealpost=").unwrap();
    assert_eq!(value.len(), 43);
    // What is stored is no cookie.
    let (stored,): (String,) =
        sqlx::query_as("select session_hash from sessions").fetch_one(bench.vault.reader()).await.unwrap();
    assert!(stored.len() == 64 && !stored.contains(value));
}

#[tokio::test]
async fn a_living_session_is_kept_and_pages_make_none() {
    let bench = Bench::new().await;
    let mut browser = bench.browser();
    for path in ["/", "/p/abc", "/open", "/lost", "/api/pickups/abc", "/sign-in", "/account", "/api/account"] {
        assert_eq!(browser.get(path).await.header("set-cookie"), "", "{path}");
    }
    browser.ask_code("{\"pickup\":\"x\"}").await;
    let first = browser.cookie.clone();
    browser.ask_code("{\"pickup\":\"x\"}").await;
    assert_eq!(browser.cookie, first);
    bench.clock.set(NOW + 3 * 3600);
    browser.ask_code("{\"pickup\":\"x\"}").await;
    assert_ne!(browser.cookie, first, "silent for too long");
}

#[tokio::test]
async fn other_sites_cant_ask() {
    let bench = Bench::new().await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        for (method, path, kind) in [
            ("POST", "/api/code", "application/json"),
            ("POST", "/api/proof", "application/json"),
            ("POST", "/api/pickups/abc/opened", "application/json"),
            ("POST", "/api/replies", "application/json"),
            ("PUT", "/api/replies/abc/parts/0", "application/octet-stream"),
            ("POST", "/api/replies/abc/send", "application/json"),
            ("POST", "/lost", "application/x-www-form-urlencoded"),
        ] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "letters.example")
                .header("content-type", kind)
                .header(name, value)
                .body(Body::from("{\"pickup\":\"x\"}"))
                .unwrap();
            let answer = bench.browser().send(request).await;
            assert_eq!((answer.status.as_u16(), answer.header("set-cookie")), (403, ""), "{path} {name}: {value}");
        }
    }
    // A form of another site can't name JSON's type without asking first; what it can send is refused.
    let request = Request::post("/api/code").header("content-type", "text/plain").body("{\"pickup\":\"x\"}".into());
    bench.browser().send(request.unwrap()).await.refused(400, "bad-request");
    assert_eq!((bench.count("sessions").await, bench.count("errands").await), (0, 0));
}

#[tokio::test]
async fn one_address_cant_flood() {
    let bench = Bench::new().await;
    let asks = |from: &'static str, count: usize| {
        let bench = &bench;
        async move {
            let mut statuses = Vec::new();
            for _ in 0..count {
                let mut request = Request::post("/lost").header("x-forwarded-for", from);
                request = request.header("content-type", "application/x-www-form-urlencoded");
                let request = request.body(Body::from("address=a%40b.example")).unwrap();
                statuses.push(bench.browser().send(request).await.status.as_u16());
            }
            statuses
        }
    };
    // No proxy of ours: what the client claims to be forwarded for doesn't count.
    let mut statuses = asks("192.0.2.1", 40).await;
    statuses.extend(asks("192.0.2.2", 40).await);
    assert!(statuses[..60].iter().all(|status| *status == 200));
    assert_eq!(statuses[79], 429);
}

#[tokio::test]
async fn a_lost_link_is_always_the_same_answer() {
    let bench = Bench::new().await;
    let ask = |body: String| {
        let mut browser = bench.browser();
        async move {
            let request =
                Request::post("/lost").header("content-type", "application/x-www-form-urlencoded").body(body.into());
            browser.send(request.unwrap()).await
        }
    };
    let expected = ask(format!("address={}", ADDRESS.replace('@', "%40"))).await;
    assert_eq!(expected.status, 200);
    for body in ["address=", "address=nobody%40example.org", "address=%00%ff", &format!("address={}", "a".repeat(900))]
    {
        let answer = ask((*body).to_owned()).await;
        assert_eq!((answer.status, &answer.body), (expected.status, &expected.body), "{body}");
    }
    assert_eq!(ask("address=a&".repeat(4000)).await.status, 400);
    assert_eq!(ask("nothing=a".to_owned()).await.status, 400);
}

#[tokio::test]
async fn bad_bodies_are_refused_with_a_fixed_word() {
    let bench = Bench::new().await;
    for (path, body, status, word) in [
        ("/api/code", "", 400, "bad-request"),
        ("/api/code", "{}", 400, "bad-request"),
        ("/api/code", "[1,2", 400, "bad-request"),
        ("/api/code", &format!("{{\"address\":\"{}\"}}", "a".repeat(321)), 400, "bad-request"),
        ("/api/code", &format!("{{\"address\":\"{}\"}}", "a".repeat(20_000)), 413, "too-large"),
        ("/api/proof", &format!("{{\"request\":\"x\",\"code\":\"{}\"}}", "1".repeat(33)), 400, "bad-request"),
        ("/api/proof", "{\"request\":1,\"code\":2}", 400, "bad-request"),
    ] {
        bench.browser().post(path, body).await.refused(status, word);
    }
}
