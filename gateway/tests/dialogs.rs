//! Conversations with the SMTP server over a real connection: the dialogues of `tests/dialogs`, and what needs more
//! than one connection.
//!
//! Each dialogue is held twice: with every text sent at once, and octet by octet.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

#[path = "dialogs/connections.rs"]
mod connections;
#[path = "dialogs/peers.rs"]
mod peers;
#[path = "dialogs/script.rs"]
mod script;
#[path = "dialogs/server.rs"]
mod server;
#[path = "dialogs/talk.rs"]
mod talk;

use std::path::Path;

use script::Script;
use talk::{Pieces, hold};

/// Fewer were found: a moved directory would otherwise be a passing test.
const AT_LEAST: usize = 30;

fn scripts() -> Vec<Script> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/dialogs");
    let mut paths: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "smtp"));
    paths.sort();
    assert!(paths.len() >= AT_LEAST, "only {} dialogues", paths.len());
    paths.iter().map(|path| Script::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

async fn hold_all(pieces: Pieces) {
    let mut failures = Vec::new();
    for script in scripts() {
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
    for text in ["c -- NOOP\n", "c <- 220 *\n", "@ nonsense 1\nc <| closed\n", "= accepted x\nc <| closed\n"] {
        assert!(Script::parse("bad", text).is_err(), "{text:?}");
    }
}
