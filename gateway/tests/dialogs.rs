//! Conversations with the SMTP server over a real connection: the dialogues of `tests/dialogs`, and what needs more
//! than one connection.
//!
//! Each dialogue is held twice: with every text sent at once, and octet by octet.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

#[path = "dialogs/connections.rs"]
mod connections;
#[path = "dialogs/overflow.rs"]
mod overflow;
#[path = "dialogs/peers.rs"]
mod peers;
#[path = "dialogs/script.rs"]
mod script;
#[path = "dialogs/server.rs"]
mod server;
#[path = "dialogs/talk.rs"]
mod talk;

use script::Script;
use talk::{Pieces, hold};

async fn hold_all(pieces: Pieces) {
    let mut failures = Vec::new();
    for script in Script::all() {
        if pieces == Pieces::Octets && script.whole_only {
            continue;
        }
        if let Err(failure) = hold(&script, pieces).await {
            failures.push(failure);
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dialogue() {
    hold_all(Pieces::Whole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dialogue_octet_by_octet() {
    hold_all(Pieces::Octets).await;
}

/// A runner that finds no fault would make every dialogue worthless.
#[tokio::test]
async fn wrong_expectations_are_found() {
    let good = "c <- 220 *\nc -> NOOP\nc <- 250 2.0.0 Ok\nc -> QUIT\nc <- 221 *\nc <| closed\n= accepted 0\n";
    hold(&Script::parse("good", good).unwrap(), Pieces::Whole).await.unwrap();
    for (right, wrong) in [
        ("c <- 250 2.0.0 Ok", "c <- 250 2.1.0 Ok"),
        ("c <- 250 2.0.0 Ok", "c <- 250 2.0.0"),
        ("c <- 250 2.0.0 Ok", "c <- 50 2.0.0 Ok"),
        ("c <- 221 *\n", ""),
        ("c -> QUIT\n", "c -> QUIT\nc <- 250 *\n"),
        ("= accepted 0", "= accepted 1"),
    ] {
        assert!(good.contains(right));
        let bad = Script::parse("bad", &good.replacen(right, wrong, 1)).unwrap();
        assert!(hold(&bad, Pieces::Whole).await.is_err(), "{wrong:?} was not noticed");
    }
    for (settings, waited, holds) in [("@ error-delay-ms 300\n", 300, true), ("", 300, false)] {
        let late = format!(
            "{settings}c <- 220 *\nc -> A\nc <- 500 *\nc -> A\nc <- 500 *\n= waited {waited}\nc -> QUIT\nc <- 221 *\nc <| closed\n"
        );
        let held = hold(&Script::parse("late", &late).unwrap(), Pieces::Whole).await;
        assert_eq!(held.is_ok(), holds, "{settings}: {held:?}");
    }
    for text in ["c -- NOOP\n", "c <- 220 *\n", "@ nonsense 1\nc <| closed\n", "= accepted x\nc <| closed\n"] {
        assert!(Script::parse("bad", text).is_err(), "{text:?}");
    }
}
