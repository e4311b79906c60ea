//! What one dialogue can't show: several connections, a large message, a stop.

use std::time::Duration;

use sealpost_gateway::smtp::{Door, Settings};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

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

/// A PROXY header that speaks for 192.0.2.`last`.
fn spoken_for(last: u8) -> Vec<u8> {
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02".as_slice(), &[last], b"\x7f\0\0\x01\x80\x01\0\x19"].concat()
}

#[tokio::test]
async fn connections_are_limited_for_whom_a_proxy_speaks() {
    let limits = || Settings { max_per_client: 1, ..settings() };
    let networks = vec!["127.0.0.0/8".parse().unwrap()];

    let server = server(Settings { proxies: networks.clone(), ..limits() }, 0).await;
    let through_proxy = async |last| {
        let mut talk = Talk::to(server.address).await;
        talk.send(&spoken_for(last), Pieces::Whole).await;
        talk
    };
    let mut first = through_proxy(7).await;
    first.expect("220 *").await.unwrap();
    let mut second = through_proxy(7).await;
    second.expect("421 4.3.2 *").await.unwrap();
    second.closed().await.unwrap();
    through_proxy(8).await.expect("220 *").await.unwrap();
    say(&mut first, "NOOP", "250 *").await;

    let server = self::server(Settings { introducers: networks, ..limits() }, 0).await;
    let mut first = greeted(&server).await;
    say(&mut first, "XCLIENT ADDR=192.0.2.7", "220 *").await;
    let mut second = greeted(&server).await;
    say(&mut second, "XCLIENT ADDR=192.0.2.8", "220 *").await;
    say(&mut second, "HELO x", "250 *").await;
    say(&mut second, "XCLIENT ADDR=192.0.2.7", "421 4.3.2 *").await;
    second.closed().await.unwrap();
    say(&mut first, "NOOP", "250 *").await;
    // Whose connection it was before has a place again.
    let mut third = greeted(&server).await;
    say(&mut third, "XCLIENT ADDR=192.0.2.8", "220 *").await;
}

/// All on one thread: a session that waits otherwise than asynchronously would stop everybody.
#[tokio::test(flavor = "current_thread")]
async fn slow_clients_do_not_slow_others() {
    const SLOW: usize = 20;
    let server = server(Settings { error_delay: Duration::from_secs(60), ..settings() }, 1000).await;
    let trickling = CancellationToken::new();
    let mut tricklers = JoinSet::new();
    let mut delayed = Vec::new();
    for _ in 0..SLOW {
        let mut slow = in_data(&server).await;
        let enough = trickling.clone();
        tricklers.spawn(async move {
            while !enough.is_cancelled() {
                slow.send(b"a", Pieces::Whole).await;
                sleep(Duration::from_millis(5)).await;
            }
            slow
        });
        let mut mistaken = greeted(&server).await;
        say(&mut mistaken, "A", "500 *").await;
        // Is answered in ten seconds.
        mistaken.send(b"B\r\n", Pieces::Whole).await;
        delayed.push(mistaken);
    }
    for number in 1..=20 {
        let mut prompt = in_data(&server).await;
        prompt.send(b"Subject: a\r\n\r\nb\r\n.\r\n", Pieces::Whole).await;
        prompt.expect("250 2.0.0 *").await.unwrap();
        assert_eq!(server.intake.accepted.lock().unwrap().len(), number);
        say(&mut prompt, "QUIT", "221 *").await;
    }
    for mistaken in &mut delayed {
        assert!(timeout(Duration::from_millis(1), mistaken.line()).await.is_err(), "mails took as long as a mistake");
    }
    // Nor was anything taken from the slow ones.
    trickling.cancel();
    while let Some(slow) = tricklers.join_next().await {
        let mut slow = slow.unwrap();
        slow.send(b"\r\n.\r\n", Pieces::Whole).await;
        slow.expect("250 2.0.0 *").await.unwrap();
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
