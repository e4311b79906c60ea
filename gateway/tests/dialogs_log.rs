//! What conversations leave in the log at the level at which it runs: every refusal and its cause, with the queue id where there
//! is a message; no content, no secrets; and not as much as a client likes.
//!
//! A program of its own, because a subscriber counts for the whole of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

#[path = "dialogs/script.rs"]
mod script;
#[allow(dead_code, reason = "shared with the other program of dialogues")]
#[path = "dialogs/server.rs"]
mod server;
#[allow(dead_code, reason = "shared with the other program of dialogues")]
#[path = "dialogs/talk.rs"]
mod talk;

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};

use script::{Script, Step};
use talk::{Pieces, hold, matches};
use tracing_subscriber::fmt::MakeWriter;

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

/// One conversation at a time.
static LOG: LazyLock<tokio::sync::Mutex<Lines>> = LazyLock::new(|| {
    let lines = Lines::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_target(false)
        .with_writer(lines.clone())
        .init();
    tokio::sync::Mutex::new(lines)
});

/// The log of one dialogue, which must go as it says.
async fn log_of(script: &Script) -> Vec<String> {
    let lines = LOG.lock().await;
    lines.0.lock().unwrap().clear();
    hold(script, Pieces::Whole).await.unwrap_or_else(|failure| panic!("{failure}"));
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    log.lines().map(str::to_owned).collect()
}

async fn log_of_text(name: &str, text: &str) -> Vec<String> {
    log_of(&Script::parse(name, text).unwrap()).await
}

/// Up to the first recipient.
const BEGUN: &str = "c <- 220 *\nc -> HELO mta.example\nc <- 250 *\nc -> MAIL FROM:<anna@klinik.example>\nc <- 250 *\n\
    c -> RCPT TO:<ben@mail.example>\nc <- 250 *\n";
const QUIT: &str = "c -> QUIT\nc <- 221 *\nc <| closed\n";

#[tokio::test]
async fn every_refusal_of_every_dialogue_is_told() {
    for script in Script::all() {
        let log = log_of(&script).await;
        for (number, step) in &script.steps {
            let Step::Expect(pattern) = step else { continue };
            if !pattern.starts_with(['4', '5']) {
                continue;
            }
            let pattern = format!("*rejection={pattern}*");
            let told = log.iter().any(|line| matches(&pattern, line));
            assert!(told, "{}:{number}: no {pattern} in {log:#?}", script.name);
        }
    }
}

#[tokio::test]
async fn refusals_name_the_client_the_addresses_and_the_message() {
    let data = "c -> DATA\nc <- 354 *\n";
    let table = [
        (
            "relay",
            "@ networks 192.0.2.0/24\n",
            "",
            "",
            "*door=Inside client=127.0.0.1*rejection=550 5.7.1 Relaying denied from=anna@klinik.example to=ben@mail.example",
        ),
        (
            "announced",
            "@ max-size 9\n",
            "c -> RSET\nc <- 250 *\nc -> MAIL FROM:<anna@klinik.example> SIZE=10\n",
            "c <- 552 *\n",
            "*rejection=552 5.3.4 Message too large from=anna@klinik.example",
        ),
        (
            "size",
            "@ max-size 9\n",
            data,
            "c -> 12345678\nc -> .\nc <- 552 *\n",
            "*message{queue_id=*}*rejection=552 5.3.4 Message too large from=anna@klinik.example",
        ),
        (
            "memory",
            "@ max-memory 9\n",
            data,
            "c -> 12345678\nc -> .\nc <- 452 *\n",
            "*message{queue_id=*}*rejection=452 4.3.1 * from=anna@klinik.example",
        ),
        (
            "header",
            "@ max-header 9\n",
            data,
            "c -> a: 12345678\nc ->\nc -> .\nc <- 552 *\n",
            "*message{queue_id=*}*rejection=552 5.3.4 Message header too large from=anna@klinik.example",
        ),
        (
            "pieces",
            "@ max-size 9\n",
            "",
            "c ~> BDAT 10\\r\\n1234567890\nc <- 552 *\n",
            "*message{queue_id=*}*rejection=552 5.3.4 Message too large from=anna@klinik.example",
        ),
    ];
    for (name, settings, more, refused, expected) in table {
        let begun = if name == "relay" {
            BEGUN.replace("<ben@mail.example>\nc <- 250 *", "<ben@mail.example>\nc <- 550 *")
        } else {
            BEGUN.to_owned()
        };
        let log = log_of_text(name, &format!("{settings}{begun}{more}{refused}{QUIT}")).await;
        assert!(log.iter().any(|line| matches(expected, line)), "{name}: no {expected} in {log:#?}");
    }
}

#[tokio::test]
async fn what_breaks_a_message_off_is_told_with_its_queue_id() {
    for (name, settings, sent, end, cause) in [
        (
            "bare",
            "",
            "c -> DATA\nc <- 354 *\nc ~> a\\n.\\r\\n\n",
            "c <- 554 *\nc <| closed\n",
            "rejection=554 5.6.11 Bare CR or LF *",
        ),
        (
            "nul",
            "",
            "c -> DATA\nc <- 354 *\nc ~> a\\0\\r\\n\n",
            "c <- 554 *\nc <| closed\n",
            "rejection=554 5.6.11 NUL *",
        ),
        ("pieces", "", "c ~> BDAT 3\\r\\na\\nb\n", "c <- 554 *\nc <| closed\n", "rejection=554 5.6.11 Bare CR or LF *"),
        (
            "silent",
            "@ data-timeout-ms 50\n",
            "c -> DATA\nc <- 354 *\n",
            "c <- 421 *\nc <| closed\n",
            "error=nothing came in time",
        ),
        (
            "slow",
            "@ rate-grace-ms 50\n",
            "c ~> BDAT 9\\r\\na\n",
            "c <- 421 *\nc <| closed\n",
            "error=the message came too slowly",
        ),
        ("gone", "", "c -> DATA\nc <- 354 *\nc ~> a\n", "c |> goes\n", "error=the connection ended: *"),
    ] {
        let log = log_of_text(name, &format!("{settings}{BEGUN}{sent}{end}= accepted 0\n")).await;
        let expected = format!("*message{{queue_id=*}}*message broken off {cause}");
        assert!(log.iter().any(|line| matches(&expected, line)), "{name}: no {expected} in {log:#?}");
    }
}

#[tokio::test]
async fn nothing_else_that_a_client_says_is_told() {
    let settings = "@ tls\n@ users anna geheim\n@ max-header 30\n@ max-auth-failures 9\n";
    let clear = "c <- 220 *\nc -> GEHEIM\nc <- 500 *\nc -> EHLO geheim geheim\nc <- 501 *\nc -> HELO geheim\nc <- 250 *\n\
        c -> AUTH PLAIN AGFubmEAZ2VoZWlt\nc <- 538 *\nc -> VRFY geheim\nc <- 252 *\nc -> MAIL FROM:<geheim>\nc <- 553 *\n\
        c -> MAIL FROM:<anna@klinik.example> GEHEIM=geheim\nc <- 555 *\nc -> MAIL FROM:<anna@klinik.example>\nc <- 250 *\n\
        c -> RCPT TO:<geheim@>\nc <- 553 *\nc -> RCPT TO:<ben@mail.example>\nc <- 250 *\nc -> DATA\nc <- 354 *\n\
        c -> Subject: geheim geheim geheim\nc ->\nc -> geheim\nc -> .\nc <- 552 *\nc -> STARTTLS\nc <- 220 *\nc <> tls\n";
    let secured = "c -> HELO x\nc <- 250 *\nc -> AUTH PLAIN AGFubmEAR0VIRUlN\nc <- 535 *\nc -> AUTH LOGIN\nc <- 334 *\n\
        c -> YW5uYQ==\nc <- 334 *\nc -> R0VIRUlN\nc <- 535 *\nc -> AUTH PLAIN {GEHEIM*400}\nc <- 500 *\n\
        c -> GET /geheim HTTP/1.1\nc <| closed\n";
    let log = log_of_text("secrets", &format!("{settings}{clear}{secured}")).await.join("\n");
    assert_eq!(log.matches("AUTH failed").count(), 2, "{log}");
    assert_eq!(log.matches("rejection=").count(), 10, "{log}");
    assert!(log.contains("the client speaks HTTP"), "{log}");
    let log = log.to_lowercase();
    // Two as base64.
    for secret in ["geheim", "z2vozwlt", "r0viruln", "subject"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

/// Who is put off loses no patience, but the log's.
#[tokio::test]
async fn a_client_can_not_fill_the_log() {
    let put_off =
        |times: usize| format!("c ~> {{RCPT TO:<later@mail.example>\\r\\n*{times}}}\n{}", "c <- 451 *\n".repeat(times));
    let accepted = "c -> DATA\nc <- 354 *\nc -> .\nc <- 250 *\nc -> MAIL FROM:<>\nc <- 250 *\n";
    let text = format!("@ max-errors 20\n{BEGUN}{}{accepted}{}{QUIT}= accepted 1\n", put_off(300), put_off(1));
    let log = log_of_text("flood", &text).await;
    let refused: Vec<&String> = log.iter().filter(|line| line.contains("rejection=451")).collect();
    assert_eq!(refused.len(), 22, "{log:#?}");
    let last = refused.iter().position(|line| line.contains("isn't logged"));
    assert_eq!(last, Some(20), "{log:#?}");
    // What is refused for good ends the session, and that is told as well.
    let errors = format!(
        "@ max-errors 2\nc <- 220 *\n{}c -> A\nc <- 421 4.7.0 *\nc <| closed\n",
        "c -> A\nc <- 500 *\n".repeat(2)
    );
    let log = log_of_text("errors", &errors).await;
    assert_eq!(log.iter().filter(|line| line.contains("rejection=500")).count(), 3, "{log:#?}");
    assert_eq!(log.iter().filter(|line| line.contains("rejection=421")).count(), 1, "{log:#?}");
}
