//! The log at its finest level: routes, never what a link, a query, a cookie, an address or a code says.
//! Alone in its program, because a subscriber counts for the whole of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use crate::bench::Bench;

#[path = "door/bench.rs"]
#[allow(dead_code, reason = "shared with the other program of tests")]
mod bench;

/// What the subscriber writes.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn the_log_has_no_secrets() {
    let lines = Lines::default();
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(lines.clone()).init();
    let bench = Bench::new().await;
    let pickup = bench.letter().await;
    let mut browser = bench.browser();
    for path in [
        &format!("/p/{pickup}%23CANARY-LINK"),
        &format!("/p/{pickup}?x=CANARY-QUERY"),
        "/CANARY-PATH",
        "/api/pickups/CANARY-PATH%23",
    ] {
        browser.get(path).await;
    }
    let request = browser.ask_code("{\"address\":\"canary-address@example.org\"}").await;
    let request_of_pickup = browser.ask_code(&format!("{{\"pickup\":\"{pickup}\"}}")).await;
    browser.prove(&request, "99999999").await;
    let got = browser.prove(&request_of_pickup, "12345678").await;
    assert_eq!(got.status, 200);
    // Neither who signs in, nor with what.
    let step = browser.begin_sign_in("canary-address@example.org").await.json()["signIn"].as_str().unwrap().to_owned();
    browser.finish_sign_in(&step, bench::WRONG).await.refused(403, "wrong-code");
    bench.account("canary-reader@example.org").await;
    let before = browser.cookie.clone().unwrap();
    assert_eq!(browser.sign_in("canary-reader@example.org", bench::RIGHT).await.status, 204);
    browser.get("/api/account/letters?after=CANARY-CURSOR").await;
    assert_eq!(browser.post("/api/account/sign-out", "").await.status, 204);
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/p/{*pickup}"), "{log}");
    let value = before.split_once('=').unwrap().1;
    let (right, wrong) = (bench::base64url(&bench::RIGHT), bench::base64url(&bench::WRONG));
    for secret in ["CANARY", "canary", "99999999", "12345678", value, &right, &wrong] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}
