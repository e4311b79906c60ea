//! What one dialogue can't show: several connections, a large message, a stop.

use std::time::Duration;

use sealpost_gateway::smtp::{Door, Settings};
use tokio::time::timeout;

use crate::server::{Mood, Server, start};
use crate::talk::{PATIENCE, Pieces, Talk};

fn settings() -> Settings {
    Settings { hostname: "gateway.example".into(), ..Settings::default() }
}

async fn server(settings: Settings, permits: usize) -> Server {
    start(settings, Door::Inside, None, Mood::Willing, permits).await
}

async fn greeted(server: &Server) -> Talk {
    let mut talk = Talk::to(server.address).await;
    talk.expect("220 gateway.example ESMTP *").await.unwrap();
    say(&mut talk, "HELO mta.example", "250 *").await;
    talk
}

async fn say(talk: &mut Talk, line: &str, reply: &str) {
    talk.send(format!("{line}\r\n").as_bytes(), Pieces::Whole).await;
    talk.expect(reply).await.unwrap();
}

/// A session after 354.
async fn in_data(server: &Server) -> Talk {
    let mut talk = greeted(server).await;
    say(&mut talk, "MAIL FROM:<anna@klinik.example>", "250 *").await;
    say(&mut talk, "RCPT TO:<ben@mail.example>", "250 *").await;
    say(&mut talk, "DATA", "354 *").await;
    talk
}

async fn ended(server: Server) {
    timeout(PATIENCE, server.task).await.expect("the server stops").unwrap();
}

#[tokio::test]
async fn connections_in_total_and_per_client_are_limited() {
    for limits in [Settings { max_connections: 2, ..settings() }, Settings { max_per_client: 2, ..settings() }] {
        let server = server(limits, 0).await;
        let mut first = greeted(&server).await;
        let _second = greeted(&server).await;
        let mut third = Talk::to(server.address).await;
        third.expect("421 4.3.2 *").await.unwrap();
        third.closed().await.unwrap();
        say(&mut first, "QUIT", "221 *").await;
        first.closed().await.unwrap();
        drop(first);
        // The place is free once the server has seen the first client go, which takes as long as it takes.
        let readmitted = async {
            loop {
                let mut again = Talk::to(server.address).await;
                if again.expect("220 *").await.is_ok() {
                    break;
                }
            }
        };
        timeout(PATIENCE, readmitted).await.expect("a place becomes free");
    }
}

#[tokio::test]
async fn large_message_arrives_whole() {
    let server = server(settings(), 1).await;
    let mut talk = in_data(&server).await;
    let line = [b"x".repeat(76), b"\r\n".to_vec()].concat();
    let body = [b"\r\n".to_vec(), line.repeat(100_000)].concat();
    talk.send(&body, Pieces::Whole).await;
    talk.send(b".\r\n", Pieces::Whole).await;
    talk.expect("250 2.0.0 Ok: queued as *").await.unwrap();
    assert_eq!(server.intake.accepted.lock().unwrap()[0].bytes, body);
}

#[tokio::test]
async fn messages_share_one_memory() {
    let message = |lines| {
        let line = [b"x".repeat(998), b"\r\n".to_vec()].concat();
        [b"\r\n".to_vec(), line.repeat(lines), b".\r\n".to_vec()].concat()
    };
    let server =
        server(Settings { max_memory: 4_500_000, memory_wait: Duration::from_millis(100), ..settings() }, 0).await;
    let mut first = in_data(&server).await;
    first.send(&message(2250), Pieces::Whole).await;
    // Now the intake has it, memory and all, and takes its time.
    timeout(PATIENCE, server.intake.offered.acquire()).await.expect("offered").unwrap().forget();
    let mut second = in_data(&server).await;
    second.send(&message(3000), Pieces::Whole).await;
    second.expect("452 4.3.1 *").await.unwrap();
    server.intake.gate.add_permits(2);
    first.expect("250 2.0.0 *").await.unwrap();
    // Given back: the same client may try again on the same connection.
    say(&mut second, "MAIL FROM:<>", "250 *").await;
    say(&mut second, "RCPT TO:<ben@mail.example>", "250 *").await;
    say(&mut second, "DATA", "354 *").await;
    second.send(&message(2250), Pieces::Whole).await;
    second.expect("250 2.0.0 *").await.unwrap();
}

#[tokio::test]
async fn stop_ends_idle_sessions_and_lets_no_one_in() {
    let server = server(settings(), 0).await;
    let mut idle = greeted(&server).await;
    let mut open = greeted(&server).await;
    say(&mut open, "MAIL FROM:<>", "250 *").await;
    server.stop.cancel();
    for talk in [&mut idle, &mut open] {
        talk.expect("421 4.3.2 *").await.unwrap();
        talk.closed().await.unwrap();
    }
    let address = server.address;
    ended(server).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn stop_lets_a_message_finish() {
    let server = server(settings(), 1).await;
    let mut sending = in_data(&server).await;
    let mut idle = greeted(&server).await;
    server.stop.cancel();
    // Whoever is idle hears it first: so the stop has reached the sessions.
    idle.expect("421 4.3.2 *").await.unwrap();
    sending.send(b"Subject: a\r\n\r\nb\r\n.\r\n", Pieces::Whole).await;
    sending.expect("250 2.0.0 Ok: queued as *").await.unwrap();
    sending.expect("421 4.3.2 *").await.unwrap();
    sending.closed().await.unwrap();
    assert_eq!(server.intake.accepted.lock().unwrap().len(), 1);
    ended(server).await;
}

#[tokio::test]
async fn stop_does_not_wait_for_a_message_forever() {
    let server = server(Settings { stop_grace: Duration::from_millis(50), ..settings() }, 1).await;
    let mut sending = in_data(&server).await;
    server.stop.cancel();
    sending.expect("421 4.3.2 *").await.unwrap();
    sending.closed().await.unwrap();
    assert!(server.intake.accepted.lock().unwrap().is_empty());
    ended(server).await;
}
