//! Each program that the stories lean on, proven alone: a story that fails should not have to ask these questions.

use std::path::Path;
use std::process::Command;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::browser::{Browser, Screen};
use crate::patience::{PATIENCE, until};
use crate::postfix::{Behind, Front, GONE, Postfix, front_ports};
use crate::postgres::Postgres;
use crate::process::Running;
use crate::scratch::Scratch;
use crate::{http, node, ports, smtp};

const LETTER: &[u8] = b"From: Dr. Weiss <weiss@klinik.example>\r\nTo: lena@outside.example\r\nSubject: Befund\r\n\
    Message-ID: <1@klinik.example>\r\n\r\nHello\r\n.a line with a dot\r\n";

/// A process of this group that still runs (a zombie doesn't).
fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

async fn forking_sleeper(scratch: &Scratch) -> (Running, u32) {
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 1000 & echo child $!; wait"]);
    let running = Running::start("sleeper", command, &scratch.path().join("sleeper.log"));
    let child = until("the sleeper's child", PATIENCE, async || {
        running.log().trim().strip_prefix("child ").and_then(|pid| pid.parse().ok())
    })
    .await;
    (running, child)
}

#[tokio::test]
async fn a_dropped_program_takes_its_children_along() {
    let scratch = Scratch::new();
    let (running, child) = forking_sleeper(&scratch).await;
    let parent = running.pid();
    assert!(alive(parent) && alive(child));
    drop(running);
    until("both to be gone", PATIENCE, async || (!alive(parent) && !alive(child)).then_some(())).await;
}

#[tokio::test]
async fn a_panicking_story_leaves_nothing_running() {
    let (tell, told) = std::sync::mpsc::channel();
    let story = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let scratch = Scratch::new();
            let (running, child) = forking_sleeper(&scratch).await;
            tell.send((running.pid(), child)).unwrap();
            panic!("as some stories do (this one is meant to)");
        });
    });
    assert!(story.join().is_err());
    let (parent, child) = told.recv().unwrap();
    until("both to be gone", PATIENCE, async || (!alive(parent) && !alive(child)).then_some(())).await;
}

#[test]
fn ports_are_free_and_never_given_twice() {
    let mut ports: Vec<u16> = (0..200).map(|_| ports::free()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 200);
}

#[tokio::test]
async fn postfix_in_front_relays_to_postfix_behind() {
    let scratch = Scratch::new();
    let behind = Postfix::behind(&scratch, Behind { port: ports::free(), returns: None, home: None }).await;
    let beyond = behind.port();
    let (submission, back) = front_ports();
    let front = Postfix::front(&scratch, Front { submission, back, sealpost: None, returns: None, beyond }).await;

    let to = ["lena@outside.example", "omar@far.example", "weiss@klinik.example"];
    let outcome = smtp::send(submission, "anna@klinik.example", &to, LETTER).await;
    assert!(outcome.accepted(), "{outcome:?}");
    for reader in ["lena@outside.example", "omar@far.example"] {
        let mail = behind.maildir().wait_for(reader, PATIENCE, |mail| mail.subject() == "Befund").await;
        assert_eq!(mail.return_path(), "anna@klinik.example");
        assert!(mail.text().contains("\n.a line with a dot"), "{:?}", mail.text());
    }
    front.maildir().wait_for("weiss@klinik.example", PATIENCE, |mail| mail.subject() == "Befund").await;
    assert!(behind.maildir().of("weiss@klinik.example").is_empty(), "the organisation's own mail stays at home");

    // swaks, as a user would type it.
    smtp::swaks(
        submission,
        &["--from", "anna@klinik.example", "--to", "typed@far.example", "--header", "Subject: typed"],
    );
    behind.maildir().wait_for("typed@far.example", PATIENCE, |mail| mail.subject() == "typed").await;
}

#[tokio::test]
async fn everything_submitted_goes_to_the_filter_and_what_comes_back_is_delivered() {
    let scratch = Scratch::new();
    // Two more instances stand where Sealpost's doors will be: they show what would be handed over.
    let (inside, returns) = (Scratch::new(), Scratch::new());
    let inside = Postfix::behind(&inside, Behind { port: ports::free(), returns: None, home: None }).await;
    let returns = Postfix::behind(&returns, Behind { port: ports::free(), returns: None, home: None }).await;
    let doors = (Some(inside.port()), Some(returns.port()));
    let (submission, back) = front_ports();
    let behind = Behind { port: ports::free(), returns: doors.1, home: Some(back) };
    let behind = Postfix::behind(&scratch, behind).await;
    let front = Front { submission, back, sealpost: doors.0, returns: doors.1, beyond: behind.port() };
    let front = Postfix::front(&scratch, front).await;

    let to = ["weiss@klinik.example", "lena@outside.example", "c-1@reply.klinik.example"];
    assert!(smtp::send(submission, "anna@klinik.example", &to, LETTER).await.accepted());
    for address in to {
        inside.maildir().wait_for(address, PATIENCE, |_| true).await;
    }
    assert!(returns.maildir().all().is_empty(), "what comes from inside doesn't come in by the door for bounces");
    assert!(front.maildir().all().is_empty(), "nothing is delivered past the filter");

    assert!(smtp::send(back, "", &["weiss@klinik.example"], LETTER).await.accepted());
    let mail = front.maildir().wait_for("weiss@klinik.example", PATIENCE, |_| true).await;
    assert_eq!(mail.return_path(), "");
    assert!(smtp::send(back, "anna@klinik.example", &["new@far.example"], LETTER).await.accepted());
    behind.maildir().wait_for("new@far.example", PATIENCE, |_| true).await;

    // A bounce from far away comes in by the door for bounces, through either server.
    for (port, address) in [(back, "b-1@reply.klinik.example"), (behind.port(), "b-2@reply.klinik.example")] {
        assert!(smtp::send(port, "", &[address], LETTER).await.accepted());
        returns.maildir().wait_for(address, PATIENCE, |_| true).await;
    }
    assert_eq!(inside.maildir().all().len(), 3, "nothing from outside comes in by the door for mail from inside");
}

#[tokio::test]
async fn the_next_hop_refuses_defers_bounces_stops_and_comes_back() {
    let scratch = Scratch::new();
    let (submission, back) = front_ports();
    let port = ports::free();
    let mut behind = Postfix::behind(&scratch, Behind { port, returns: Some(back), home: Some(back) }).await;
    let front = Postfix::front(&scratch, Front { submission, back, sealpost: None, returns: None, beyond: port }).await;

    behind.refuse("nobody@outside.example", "550 5.1.1 No such person");
    behind.refuse("later@outside.example", "450 4.2.1 Come back");
    let both = ["nobody@outside.example", "later@outside.example", "fine@outside.example"];
    let outcome = smtp::send(port, "anna@klinik.example", &both, LETTER).await;
    let codes: Vec<u16> = outcome.recipients.iter().map(|reply| reply.code).collect();
    assert_eq!(codes, [550, 450, 250]);
    assert!(outcome.recipients[0].text().contains("No such person"));
    behind.accept("later@outside.example");
    let outcome = smtp::send(port, "anna@klinik.example", &["later@outside.example"], LETTER).await;
    assert!(outcome.accepted(), "{outcome:?}");

    // Accepted first, bounced later: the report comes home through `home`.
    let gone = format!("{GONE}lena@outside.example");
    assert!(smtp::send(port, "anna@klinik.example", &[&gone], LETTER).await.accepted());
    let report = front.maildir().wait_for("anna@klinik.example", PATIENCE, |mail| mail.return_path().is_empty()).await;
    assert!(report.header("Content-Type").unwrap().contains("delivery-status"), "{}", report.subject());

    behind.stop().await;
    assert!(smtp::Client::try_connect(port).await.is_none());
    let outcome = smtp::send(submission, "anna@klinik.example", &["patient@outside.example"], LETTER).await;
    assert!(outcome.accepted());
    until("a failed try", PATIENCE, async || front.log().contains("status=deferred").then_some(())).await;
    behind.start().await;
    behind.maildir().wait_for("patient@outside.example", PATIENCE, |_| true).await;
}

#[tokio::test]
async fn postgresql_answers_through_sqlx_and_keeps_a_role_out() {
    let scratch = Scratch::new();
    let postgres = Postgres::start(&scratch).await;
    postgres.create_database("story");
    postgres.psql("story", "create role portal login; create schema gateway; create table gateway.queue (n bigint)");
    let mut connection = PgConnection::connect(&postgres.url("postgres", "story")).await.unwrap();
    let (n,): (i64,) = sqlx::query_as("select count(*) from gateway.queue").fetch_one(&mut connection).await.unwrap();
    assert_eq!(n, 0);
    let mut portal = PgConnection::connect(&postgres.url("portal", "story")).await.unwrap();
    let refused = sqlx::query("select n from gateway.queue").execute(&mut portal).await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
    let pid = postgres.pid();
    drop(postgres);
    assert!(!alive(pid));
}

#[test]
fn node_runs_a_module() {
    let printed =
        node::module("console.log(process.argv.at(-1).length, import.meta.url.length > 0)", Path::new("/"), &["four"]);
    assert_eq!(printed.trim(), "4 true");
    assert!(node::web().ends_with("portal/web"));
}

/// A page that remembers in sessionStorage, one that axe-core likes, and one that it doesn't.
async fn pages() -> u16 {
    let good = r#"<!doctype html><html lang=en><meta name=viewport content="width=device-width"><title>Good</title><main><h1>Good</h1>
        <label for=t>Text</label><textarea id=t></textarea><a download=note.txt href="data:text/plain,hello">save</a></main></html>"#;
    let bad = "<!doctype html><html><title>Bad</title><main><h1>Bad</h1><img src=x><input></main></html>";
    let router = Router::new()
        .route("/good", get(move || async move { Html(good) }))
        .route("/bad", get(move || async move { Html(bad) }))
        .route("/ready", get(|| async { "ok" }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_shows_pages_and_axe_judges_them() {
    let port = pages().await;
    assert_eq!(http::get(port, "/ready").await.unwrap().body, "ok");
    let browser = Browser::start(Screen::Phone).await;
    browser.driver().goto(format!("http://localhost:{port}/good")).await.unwrap();
    assert_eq!(browser.script("return [innerWidth, innerHeight]").await, json!([390, 844]));
    assert_eq!(browser.axe().await, Vec::<String>::new());
    browser.color_scheme("dark").await;
    assert_eq!(browser.script("return matchMedia('(prefers-color-scheme: dark)').matches").await, json!(true));
    let picture = std::fs::read(browser.screenshot("harness-good-phone").await).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    browser.script("document.querySelector('a').click()").await;
    assert_eq!(browser.download("note.txt").await, b"hello");

    browser.driver().goto(format!("http://localhost:{port}/bad")).await.unwrap();
    let found = browser.axe().await;
    assert!(found.iter().any(|violation| violation.starts_with("image-alt (critical)")), "{found:?}");
    drop(browser);
    let browser = Browser::start(Screen::Desk).await;
    browser.driver().goto(format!("http://localhost:{port}/good")).await.unwrap();
    assert_eq!(browser.script("return [innerWidth, innerHeight]").await, json!([1280, 900]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_discarded_tab_comes_back_with_its_session_storage_only() {
    let port = pages().await;
    let mut browser = Browser::start(Screen::Phone).await;
    let url = format!("http://localhost:{port}/good?a#b");
    browser.driver().goto(&url).await.unwrap();
    browser.script("sessionStorage.setItem('kept', 'yes'); window.lost = 1; t.value = 'half-written'").await;
    browser.discard().await;
    assert_eq!(browser.driver().current_url().await.unwrap().as_str(), url);
    assert_eq!(browser.driver().windows().await.unwrap().len(), 1);
    let after = browser.script("return [sessionStorage.getItem('kept'), window.lost === undefined, innerWidth]").await;
    assert_eq!(after, json!(["yes", true, 390]));
}
