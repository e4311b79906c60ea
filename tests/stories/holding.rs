//! `sealpost queue hold` and `release`: what is held stays, though it is due; what is released goes when it is due.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::hop::{Hop, Mood};
use crate::patience::{PATIENCE, until};
use crate::ports;
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup};
use crate::smtp;
use crate::world::{MAIL, SENDER};

/// The line of `queue list` for a recipient.
fn line(sealpost: &Sealpost, recipient: &str) -> Option<String> {
    sealpost.command(&["queue", "list"]).lines().find(|line| line.contains(recipient)).map(str::to_owned)
}

async fn send(sealpost: &Sealpost, recipient: &str) {
    let message = format!("From: {SENDER}\r\nTo: {recipient}\r\nSubject: x\r\n\r\nx\r\n");
    let outcome = smtp::send(sealpost.setup().smtp, SENDER, &[recipient], message.as_bytes()).await;
    assert!(outcome.accepted(), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn held_mail_stays_though_it_is_due_and_goes_when_it_is_released() {
    let scratch = Scratch::new();
    let hop = Hop::start(ports::free());
    let sealpost = Sealpost::start(&scratch, Setup::between(hop.port(), hop.port())).await;
    hop.is(Mood::NotThisRecipient);
    for recipient in ["held@partner.example", "other@partner.example"] {
        send(&sealpost, recipient).await;
        until("an attempt", PATIENCE, async || line(&sealpost, recipient)?.contains("attempts 1").then_some(())).await;
    }
    let id = line(&sealpost, "held@partner.example").unwrap().split_whitespace().next().unwrap().to_owned();
    assert_eq!(sealpost.command(&["queue", "hold", &id]).trim(), "1 held");
    assert!(line(&sealpost, "held@partner.example").unwrap().contains("  held  "));
    assert!(line(&sealpost, "other@partner.example").unwrap().contains("  active  "), "one id is one mail");
    assert!(sealpost.command(&["queue", "show", &id]).contains("state        held"));
    let (code, said) = sealpost.failing(&["queue", "hold", &id]);
    assert_eq!(code, Some(64), "it is held already: {said}");

    // Both are due, as they would be after some minutes.
    let file = sealpost.state().join("gateway/gateway.db");
    let mut gateway = SqliteConnectOptions::new().filename(&file).busy_timeout(PATIENCE).connect().await.unwrap();
    sqlx::raw_sql("update queue set next_at = 1").execute(&mut gateway).await.unwrap();
    gateway.close().await.unwrap();
    hop.is(Mood::Up);
    // The arrival of a third mail makes the gateway look.
    send(&sealpost, "third@partner.example").await;
    for recipient in ["other@partner.example", "third@partner.example"] {
        let arrived = || hop.taken().iter().any(|taken| taken.recipients == [recipient]);
        until(recipient, MAIL, async || arrived().then_some(())).await;
    }
    until("the others to be gone", PATIENCE, async || {
        let listed = sealpost.command(&["queue", "list"]);
        (listed.lines().count() == 1).then_some(())
    })
    .await;
    assert!(line(&sealpost, "held@partner.example").unwrap().contains("  held  "));

    assert_eq!(sealpost.command(&["queue", "release", &id]).trim(), "1 released");
    until("what was held", MAIL, async || (hop.taken().len() == 3).then_some(())).await;
    assert_eq!(hop.taken()[2].recipients, ["held@partner.example"]);
    until("an empty queue", PATIENCE, async || {
        (sealpost.command(&["queue", "list"]).trim() == "nothing waits").then_some(())
    })
    .await;
}
