//! Pages and assets: headers of every route, the same page for every link, nothing inline, nothing secret in the log.

use axum::body::Body;
use axum::http::{Method, Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA384, digest};
use sealpost_texts::Organisation;

use crate::bench::{Bench, headers, organisation};

const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; frame-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types portal dompurify";
const FRAME_POLICY: &str = "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'; require-trusted-types-for 'script'; trusted-types 'none'";

#[tokio::test]
async fn every_route_has_its_headers() {
    let bench = Bench::new().await;
    for (method, path, status) in [
        (Method::GET, "/", 200),
        (Method::HEAD, "/", 200),
        (Method::GET, "/open", 200),
        (Method::GET, "/lost", 200),
        (Method::GET, "/p/abc", 200),
        (Method::GET, "/p/", 200),
        (Method::GET, "/mail-frame", 200),
        (Method::GET, "/sign-in", 200),
        (Method::GET, "/account", 200),
        (Method::GET, "/account/forgotten", 200),
        (Method::GET, "/account/", 404),
        (Method::GET, "/api/account", 401),
        (Method::GET, "/api/account/letters", 401),
        (Method::GET, "/api/account/replies", 401),
        (Method::GET, "/api/account/enrolment/abc", 404),
        (Method::GET, "/api/account/sign-in", 405),
        (Method::POST, "/api/account/sign-out", 204),
        (Method::GET, "/health", 200),
        (Method::GET, "/ready", 200),
        (Method::GET, "/logo", 404),
        (Method::GET, "/style/organisation.css", 200),
        (Method::GET, "/assets/none/portal.css", 404),
        (Method::GET, "/nothing", 404),
        (Method::GET, "/p", 404),
        (Method::DELETE, "/", 405),
        (Method::POST, "/open", 405),
        (Method::POST, "/lost", 400),
        (Method::POST, "/api/code", 400),
        (Method::POST, "/api/proof", 400),
        (Method::GET, "/api/code", 405),
        (Method::GET, "/api/pickups/abc", 404),
        (Method::GET, "/api/pickups/abc/parts/0", 404),
        (Method::POST, "/api/pickups/abc/opened", 400),
        (Method::POST, "/api/replies", 400),
        (Method::GET, "/api/replies/abc", 404),
        (Method::PUT, "/api/replies/abc/parts/0", 404),
        (Method::POST, "/api/replies/abc/send", 400),
        (Method::GET, "/api/nothing", 404),
    ] {
        let request = Request::builder().method(method.clone()).uri(path).body(Body::empty()).unwrap();
        let got = bench.browser().send(request).await;
        assert_eq!(got.status.as_u16(), status, "{method} {path}");
        let policy = if path == "/mail-frame" { FRAME_POLICY } else { PAGE_POLICY };
        for (name, value) in [
            ("content-security-policy", policy),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(got.header(name), value, "{method} {path} {name}");
        }
        assert!(got.header("permissions-policy").contains("camera=()"), "{path}");
        let cached = path == "/style/organisation.css";
        assert_eq!(got.header("cache-control"), if cached { "public, max-age=300" } else { "no-store" }, "{path}");
        let json = path.starts_with("/api/");
        if status >= 400 {
            let expect = if json { "application/json" } else { "text/html; charset=utf-8" };
            assert_eq!(got.header("content-type"), expect, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn plain_http_asks_for_no_https() {
    let bench = Bench::of(Organisation { portal: "http://portal.localhost:8025".to_owned(), ..organisation() }).await;
    assert_eq!(bench.browser().get("/").await.header("strict-transport-security"), "");
}

#[tokio::test]
async fn every_link_is_the_same_page() {
    let bench = Bench::new().await;
    let known = bench.letter().await;
    let expected = bench.browser().get(&format!("/p/{known}")).await;
    assert_eq!(expected.status, 200);
    for path in [
        "/p/00000000000000000000000000".to_owned(),
        format!("/p/{known}%23ABCD-EFGH"),
        format!("/p/{known}?utm_source=scanner"),
        format!("/p/{known}/"),
        format!("/p/{known}/../../etc"),
        "/p/".to_owned(),
        "/p/%ff%00".to_owned(),
        "/p/%2e%2e%2f".to_owned(),
        format!("/p/{}", "x".repeat(4000)),
    ] {
        let got = bench.browser().get(&path).await;
        assert_eq!(headers(&got), headers(&expected), "{path}");
        assert!(got.status == 200 && got.body == expected.body, "{path}");
    }
}

#[tokio::test]
async fn the_readers_language() {
    let bench = Bench::new().await;
    for (path, accepted, expect) in [
        ("/", "", "en"),
        ("/", "de-AT,en;q=0.5", "de"),
        ("/?lang=en", "de", "en"),
        ("/?a=b&lang=de", "en", "de"),
        ("/?lang=%3Cscript%3E", "fr, de;q=0.1", "de"),
        ("/nothing?lang=de", "en", "de"),
    ] {
        let request = Request::get(path).header(header::ACCEPT_LANGUAGE, accepted).body(Body::empty()).unwrap();
        let got = bench.browser().send(request).await;
        assert!(got.text().contains(&format!("<html lang=\"{expect}\"")), "{path} {accepted}");
    }
}

#[tokio::test]
async fn pages_have_nothing_inline_and_name_what_they_load_by_its_hash() {
    let bench = Bench::new().await;
    for path in
        ["/", "/open", "/lost", "/p/abc", "/nothing", "/mail-frame", "/sign-in", "/account", "/account/forgotten"]
    {
        let got = bench.browser().get(path).await;
        let text = got.text();
        assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains("javascript:"), "{path}");
        assert!(!text.contains("<Test>"), "{path}: the organisation's name is escaped");
        for tag in tags(text) {
            assert!(!attributes(tag).any(|(name, _)| name.starts_with("on")), "{path}: {tag}");
            let attribute = |wanted: &str| attributes(tag).find(|(name, _)| *name == wanted).map(|(_, value)| value);
            let source = match tag.split_whitespace().next().unwrap() {
                "<script" if attribute("type") == Some("application/json") => continue,
                "<script" => attribute("src").expect("no script without source"),
                "<link" => attribute("href").unwrap(),
                _ => continue,
            };
            let asset = bench.browser().get(source).await;
            assert_eq!(asset.status, 200, "{path}: {source}");
            match attribute("integrity") {
                Some(integrity) => {
                    let hash = STANDARD.encode(digest(&SHA384, &asset.body));
                    assert_eq!(integrity, format!("sha384-{hash}"), "{source}");
                }
                None => assert!(!source.ends_with(".js"), "{path}: {source} has no hash"),
            }
            if source.starts_with("/assets/") {
                assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
            }
        }
    }
}

#[tokio::test]
async fn assets_travel_compressed_where_the_browser_takes_it() {
    let bench = Bench::new().await;
    let page = bench.browser().get("/open").await;
    let path = page.text().split('"').find(|piece| piece.ends_with("/openpgp.min.js")).unwrap().to_owned();
    let plain = bench.browser().get(&path).await;
    let request = Request::get(&path).header(header::ACCEPT_ENCODING, "gzip, br").body(Body::empty()).unwrap();
    let compressed = bench.browser().send(request).await;
    assert_eq!((plain.header("content-encoding"), compressed.header("content-encoding")), ("", "gzip"));
    assert_eq!((plain.header("vary"), compressed.header("vary")), ("accept-encoding", "accept-encoding"));
    assert_eq!(plain.header("content-type"), compressed.header("content-type"));
    let mut decoded = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(compressed.body.as_slice()), &mut decoded).unwrap();
    assert!(decoded == plain.body && compressed.body.len() < plain.body.len() / 2);
}

#[tokio::test]
async fn only_the_worker_for_passphrases_compiles_webassembly_and_it_reaches_no_network() {
    let bench = Bench::new().await;
    for path in ["/p/abc", "/sign-in", "/account", "/account/forgotten"] {
        let page = bench.browser().get(path).await;
        let tag = tags(page.text()).find(|tag| tag.contains("id=\"opaque\"")).unwrap();
        let attribute =
            |wanted: &str| attributes(tag).find(|(name, _)| *name == wanted).map(|(_, value)| value).unwrap();
        let library = bench.browser().get(attribute("data-library")).await;
        let hash = STANDARD.encode(digest(&SHA384, &library.body));
        assert_eq!(attribute("data-integrity"), format!("sha384-{hash}"), "{path}");
        assert_eq!(library.header("content-security-policy"), PAGE_POLICY, "{path}");
        let worker = bench.browser().get(attribute("data-worker")).await;
        assert_eq!(worker.status, 200, "{path}");
        let policy = worker.header("content-security-policy");
        assert!(policy.contains("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';"), "{path}: {policy}");
        assert!(!policy.contains("connect-src"), "{path}: {policy}");
    }
}

fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.match_indices('<').map(|(at, _)| &html[at..at + html[at..].find('>').unwrap_or(0)])
}

fn attributes(tag: &str) -> impl Iterator<Item = (&str, &str)> {
    tag.split('"')
        .collect::<Vec<_>>()
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|(before, value)| (before.trim_end_matches('=').rsplit(char::is_whitespace).next().unwrap(), value))
}

#[tokio::test]
async fn the_logo_is_known_by_its_content_and_runs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("logo.png");
    std::fs::write(&path, "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>").unwrap();
    let bench = Bench::of(Organisation { logo: path.display().to_string(), ..organisation() }).await;
    let got = bench.browser().get("/logo").await;
    assert_eq!(got.header("content-type"), "image/svg+xml");
    assert!(got.header("content-security-policy").starts_with("sandbox; default-src 'none'"));
    assert!(bench.browser().get("/").await.text().contains("src=\"/logo\""));
}
