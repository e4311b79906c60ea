//! Whether answers tell who has an account: what they look like is a test, how long they take a benchmark (`make bench-enumeration`).
//!
//! Everything that a stranger can ask is asked alternately for an address with an account and one without, over HTTP, of
//! the real processes. What must be equal (status, head, size) is compared and must be equal; what is measured (time) is
//! printed, for BENCHMARKS.md: medians, and how often the answer for the account was the slower one of two drawn at
//! random (0.5 is a coin; the standard error beside it says how far from 0.5 a coin may land).
//!
//! Between rounds the gateway's counters and codes are forgotten by hand, because the back-off would end the measuring
//! after five questions; each request comes from a client address of its own.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpost_vault::id::PickupId;
use serde_json::Value;

use super::{PASSPHRASE, pickup_in};
use crate::browser::Browser;
use crate::http::{self, Response};
use crate::patience::PATIENCE;
use crate::world::{Database, READER, SENDER, World, address_in, is_notification};

/// Pairs of questions in the test; the benchmark says with `SEALPOST_BENCH_ROUNDS` how many it wants.
const ROUNDS: usize = 2;
/// As long as the account's address, so that what is echoed or logged isn't longer.
const STRANGER: &str = "pavel@mail.example";
/// Ristretto's base point: a well-formed element for OPAQUE messages whose passphrase nobody knows.
const POINT: [u8; 32] = [
    0xe2, 0xf2, 0xae, 0x0a, 0x6a, 0xbc, 0x4e, 0x71, 0xa8, 0x84, 0xa9, 0x61, 0xc5, 0x00, 0x51, 0x5f, 0x58, 0xe3, 0x0b,
    0x6a, 0xa5, 0x82, 0xdd, 0x8d, 0xb6, 0xa6, 0x59, 0x45, 0xe0, 0x8d, 0x2d, 0x76,
];

const QUESTIONS: [&str; 8] = [
    "sign-in, step 1",
    "sign-in, step 2",
    "code for account",
    "code shown, wrong",
    "recover",
    "code for letter",
    "letter's code shown, wrong",
    "recover by letter",
];

/// The first message of somebody who signs in, for nobody's passphrase.
pub(super) fn some_request() -> String {
    URL_SAFE_NO_PAD.encode([POINT, [7; 32], POINT].concat())
}

/// What an answer has besides its time, with what is random in it blanked.
fn look(response: &Response) -> (u16, String, usize) {
    let lines = response.head.lines().map(|line| match line.split_once(':') {
        Some((name, value)) if name.eq_ignore_ascii_case("set-cookie") => {
            let (cookie, attributes) = value.split_once(';').unwrap_or((value, ""));
            format!("{name}: {} bytes;{attributes}", cookie.len())
        }
        Some((name, _)) if name.eq_ignore_ascii_case("date") => name.to_owned(),
        _ => line.to_owned(),
    });
    (response.status, lines.collect::<Vec<_>>().join("\n"), response.body.len())
}

struct Stranger {
    port: u16,
    client: u32,
}

impl Stranger {
    /// The answer and how long it took, in milliseconds.
    async fn ask(&mut self, path: &str, cookie: &str, json: &str) -> (Response, f64) {
        self.client += 1;
        let [_, a, b, c] = self.client.to_be_bytes();
        let cookie = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
        let more = format!("X-Forwarded-For: 10.{a}.{b}.{c}\r\n{cookie}");
        let begin = Instant::now();
        let response = http::post_with(self.port, path, &more, json).await.expect("an answer");
        (response, begin.elapsed().as_secs_f64() * 1000.0)
    }

    /// A code is asked for, a wrong one shown, and recovery tried without.
    async fn question_codes(&mut self, of: &str) -> [(Response, f64); 3] {
        let code = self.ask("/api/code", "", &format!(r#"{{{of},"language":"en"}}"#)).await;
        let (session, asked) = (cookie(&code.0), member(&code.0, "request"));
        let shown = self.ask("/api/proof", &session, &format!(r#"{{"request":"{asked}","code":"00000000"}}"#)).await;
        let proof = URL_SAFE_NO_PAD.encode([5; 32]);
        let recover = self.ask("/api/account/recover", &session, &format!(r#"{{"proof":"{proof}"}}"#)).await;
        [code, shown, recover]
    }

    /// All questions about one address, and about what may be a letter to it.
    async fn question(&mut self, address: &str, pickup: &str) -> [(Response, f64); 8] {
        let request = some_request();
        let first =
            self.ask("/api/account/sign-in", "", &format!(r#"{{"address":"{address}","request":"{request}"}}"#)).await;
        let step = member(&first.0, "signIn");
        let garbage = URL_SAFE_NO_PAD.encode([9; 64]);
        let second = self
            .ask(
                &format!("/api/account/sign-in/{step}"),
                &cookie(&first.0),
                &format!(r#"{{"finalization":"{garbage}"}}"#),
            )
            .await;
        let [code, shown, recover] = self.question_codes(&format!(r#""account":"{address}""#)).await;
        let [letter, letter_shown, by_letter] = self.question_codes(&format!(r#""pickup":"{pickup}""#)).await;
        [first, second, code, shown, recover, letter, letter_shown, by_letter]
    }
}

fn member(response: &Response, name: &str) -> String {
    let json: Value = serde_json::from_str(&response.body).unwrap();
    json[name].as_str().unwrap_or_else(|| panic!("{name} in {}", response.body)).to_owned()
}

fn cookie(response: &Response) -> String {
    let line = response.head.lines().find(|line| line.to_lowercase().starts_with("set-cookie:")).unwrap();
    line.split_once(':').unwrap().1.split(';').next().unwrap().trim().to_owned()
}

/// The middle of a sample.
fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[half - 1], sorted[half]) } else { sorted[half] }
}

/// How often a value of the one sample is larger than one of the other, ties counting half (Mann and Whitney's U over the
/// number of pairs), and the standard error where both are drawn from the same.
fn larger(one: &[f64], other: &[f64]) -> (f64, f64) {
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| a.total_cmp(b)));
    let wins: f64 = pairs.map(|order| f64::from(order as i8 + 1) / 2.0).sum();
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let (n, m) = (one.len() as f64, other.len() as f64);
    (wins / (n * m), ((n + m + 1.0) / (12.0 * n * m)).sqrt())
}

#[test]
fn the_statistic_knows_a_coin_from_a_difference() {
    let one: Vec<f64> = (0..100).map(f64::from).collect();
    let later: Vec<f64> = one.iter().map(|at| at + 1000.0).collect();
    assert_eq!((larger(&one, &one).0, larger(&later, &one).0, larger(&one, &later).0), (0.5, 1.0, 0.0));
    assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0])), (2.0, 2.5));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_look_the_same_with_and_without_an_account() {
    let rounds = std::env::var("SEALPOST_BENCH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let world = World::set_up(Database::Sqlite, |setup, _| setup.set("portal", "proxies = [\"127.0.0.1\"]")).await;
    let letter = world.write("a", "b").await;
    let phone = Browser::phone().await;
    phone.read(&world, &address_in(&letter)).await;
    phone.enrol(PASSPHRASE).await;
    drop(phone);
    // Sealed to the account; of a reader without one; none at all.
    let sealed = pickup_in(&world.write("a", "b").await);
    let message = format!("From: {SENDER}\r\nTo: {STRANGER}\r\nSubject: [secure] a\r\n\r\nb\r\n");
    world.submit(SENDER, &[STRANGER], message.as_bytes()).await;
    let plain = pickup_in(&world.outside(STRANGER, is_notification).await);
    let unknown = PickupId::random().unwrap().to_string();

    let gateway = world.sealpost.state().join("gateway/gateway.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&gateway).busy_timeout(PATIENCE);
    let mut store = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let mut stranger = Stranger { port: world.sealpost.setup().portal, client: 0 };
    let mut times = [const { (Vec::new(), Vec::new()) }; 8];
    for round in 0..rounds {
        sqlx::raw_sql("delete from tries; delete from account_codes; delete from codes;")
            .execute(&mut store)
            .await
            .unwrap();
        // Who is asked first goes back and forth as well.
        let (with, without) = if round % 2 == 0 {
            let with = stranger.question(READER, &sealed).await;
            (with, stranger.question(STRANGER, &plain).await)
        } else {
            let without = stranger.question(STRANGER, &unknown).await;
            (stranger.question(READER, &sealed).await, without)
        };
        for (n, ((with, took), (without, also_took))) in with.iter().zip(&without).enumerate() {
            assert_eq!(look(with), look(without), "{}", QUESTIONS[n]);
            if round == 0 {
                println!("{}: status {}, {} bytes", QUESTIONS[n], with.status, with.body.len());
            }
            times[n].0.push(*took);
            times[n].1.push(*also_took);
        }
    }
    println!("\n{rounds} rounds; status, head and size of all answers were the same for both addresses\n");
    println!("| question | with account, median | without, median | ratio | account slower | standard error |");
    println!("|---|---|---|---|---|---|");
    for (question, (with, without)) in QUESTIONS.iter().zip(&times) {
        let (a, b) = (median(with), median(without));
        let (slower, error) = larger(with, without);
        println!("| {question} | {a:.2} ms | {b:.2} ms | {:.4} | {slower:.3} | {error:.3} |", a / b);
    }
}
