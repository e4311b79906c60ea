//! What is kept, what is given up, and where a mail goes when a host can't be reached.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;

use super::super::fake::{Behaving, Scripted, authority, nobody};
use super::super::{Choice, Content, Timeouts, TlsMode, Trust};
use super::*;
use crate::envelope::{Charset, ReversePath};

const MAIL: &[u8] = b"Subject: Hello\r\n\r\nbye\r\n";
const HELLO: &str = "< 220 hop\n> EHLO\n< 250-hop\n< 250 PIPELINING\n";
const ONE: &str = "> MAIL\n> RCPT\n< 250 ok\n< 250 ok\n> DATA\n< 354 go\ncontent\n< 250 ok\n";
const NEXT: &str = "> RSET\n> MAIL\n> RCPT\n< 250 reset\n< 250 ok\n< 250 ok\n> DATA\n< 354 go\ncontent\n< 250 ok\n";

fn pool(limits: Limits) -> Pool {
    let short = Duration::from_millis(1_500);
    let timeouts = Timeouts {
        connect: short,
        greeting: short,
        command: short,
        handshake: short,
        data: short,
        block: short,
        end: short,
        quit: short,
        whole: Duration::from_secs(30),
    };
    Pool::new(Client::new("gw.klinik.example", Trust::with_roots(authority()).unwrap(), timeouts), limits)
}

/// Outcomes as `delivered` or the status.
async fn send(pool: &Pool, to: &Destination, recipients: &[&str]) -> Vec<String> {
    let recipients: Vec<EmailAddress> = recipients.iter().map(|to| to.parse().unwrap()).collect();
    let mail =
        Transmission { reverse_path: &ReversePath::Null, recipients: &recipients, content: Content::Whole(MAIL) };
    let delivery = pool.deliver(to, mail, &Requests::default()).await;
    delivery
        .outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Delivered(_) => "delivered".to_owned(),
            Outcome::Later(failure) | Outcome::Refused(failure) => failure.status,
        })
        .collect()
}

fn in_order(hops: &[&NextHop]) -> Destination {
    Destination { hops: hops.iter().map(|hop| (*hop).clone()).collect(), choice: Choice::InOrder }
}

const TO: [&str; 1] = ["a@x.example"];

#[tokio::test]
async fn mails_follow_one_another_with_a_reset_between() {
    let hop = Scripted::new(&[&format!("{HELLO}{ONE}{NEXT}{NEXT}> QUIT\n< 221 bye\nend")]).await;
    let (pool, to) = (pool(Limits::default()), Destination::from(hop.hop.clone()));
    for _ in 0..3 {
        assert_eq!(send(&pool, &to, &TO).await, ["delivered"]);
    }
    pool.close().await;
    assert_eq!(hop.finished().await.len(), 3);
}

#[tokio::test]
async fn without_pipelining_the_reset_has_its_own_reply() {
    let one = "> MAIL\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 354 go\ncontent\n< 250 ok\n";
    let hop = Scripted::new(&[&format!("< 220 hop\n> EHLO\n< 250 hop\n{one}> RSET\n< 250 ok\n{one}")]).await;
    let (pool, to) = (pool(Limits::default()), Destination::from(hop.hop.clone()));
    for _ in 0..2 {
        assert_eq!(send(&pool, &to, &TO).await, ["delivered"]);
    }
    assert_eq!(hop.finished().await.len(), 2);
}

#[tokio::test]
async fn a_kept_connection_that_is_dead_costs_no_mail() {
    for (name, end) in [
        ("closed at once", "close".to_owned()),
        ("says goodbye", "< 421 4.4.2 idle\nclose".to_owned()),
        ("refuses the reset", "> RSET\n< 500 what\nrest".to_owned()),
        ("closes at the reset", "> RSET\n< 421 4.3.2 bye\nrest".to_owned()),
        ("closes after the sender", "> RSET\n> MAIL\n> RCPT\n< 250 ok\n< 250 ok\nclose".to_owned()),
        ("speaks unasked", "< 250 hello\nrest".to_owned()),
        ("answers too much", "> RSET\n<! 250 ok\\r\\n250 ok\\r\\n250 ok\\r\\n250 ok\\r\\n\nrest".to_owned()),
    ] {
        let hop = Scripted::new(&[&format!("{HELLO}{ONE}{end}"), &format!("{HELLO}{ONE}")]).await;
        let (pool, to) = (pool(Limits::default()), Destination::from(hop.hop.clone()));
        for _ in 0..2 {
            assert_eq!(send(&pool, &to, &TO).await, ["delivered"], "{name}");
        }
        assert_eq!(hop.finished().await.len(), 2, "{name}");
    }
}

#[tokio::test]
async fn what_may_have_been_taken_goes_nowhere_else_at_once() {
    let spare = Behaving::accepting().await;
    let begins = ONE.replace("content\n< 250 ok\n", "content\n");
    // Over a fresh connection, and over a kept one.
    for script in [
        format!("{HELLO}{begins}close"),
        format!("{HELLO}{ONE}{}close", NEXT.replace("content\n< 250 ok\n", "content\n")),
    ] {
        let mails = script.matches("content").count();
        let hop = Scripted::new(&[&script]).await;
        let (pool, to) = (pool(Limits::default()), in_order(&[&hop.hop, &spare.hop]));
        for n in 1..=mails {
            assert_eq!(send(&pool, &to, &TO).await, [if n == mails { "4.4.2" } else { "delivered" }]);
        }
        hop.finished().await;
    }
    assert!(spare.taken().is_empty());
}

#[tokio::test]
async fn a_connection_has_so_many_mails() {
    let hop = Behaving::accepting().await;
    let (pool, to) = (pool(Limits { mails: 2, ..Limits::default() }), Destination::from(hop.hop.clone()));
    for _ in 0..6 {
        assert_eq!(send(&pool, &to, &TO).await, ["delivered"]);
    }
    assert_eq!(hop.connections(), 3);
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let hop = Scripted::new(&[&format!("{HELLO}{ONE}> QUIT\n< 221 bye\nend")]).await;
    let pool = pool(Limits { idle: Duration::from_millis(10), ..Limits::default() });
    assert_eq!(send(&pool, &hop.hop.clone().into(), &TO).await, ["delivered"]);
    let stop = CancellationToken::new();
    tokio::select! {
        () = pool.keep_tidy(&stop) => {}
        contents = hop.finished() => assert_eq!(contents.len(), 1),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_has_so_many_connections() {
    let hop = Behaving::accepting().await;
    let pool = pool(Limits { connections: 2, ..Limits::default() });
    let to = Destination::from(hop.hop.clone());
    let all = (0..30).map(|_| send(&pool, &to, &TO));
    for outcomes in futures::future::join_all(all).await {
        assert_eq!(outcomes, ["delivered"]);
    }
    // Never more than two at a time, and each was used again.
    assert!((1..=2).contains(&hop.connections()), "{}", hop.connections());
    assert_eq!(hop.taken().len(), 30);
}

#[tokio::test]
async fn the_next_host_takes_it_where_one_is_not_there() {
    let certain = TlsMode::Required;
    for (name, script, tls) in [
        ("closes", "close", TlsMode::Off),
        ("refuses the session", "< 554 5.7.1 not you\nrest", TlsMode::Off),
        ("is busy", "< 421 4.3.2 busy\nrest", TlsMode::Off),
        ("babbles", "long line\nclose", TlsMode::Off),
        ("knows no greeting", "< 220 hop\n> EHLO\n< 500 no\n> HELO\n< 500 no\nrest", TlsMode::Off),
        (
            "goes before the content",
            "< 220 hop\n> EHLO\n< 250 hop\n> MAIL\n< 250 ok\n> RCPT\n< 421 bye\nrest",
            TlsMode::Off,
        ),
        ("has no TLS", "< 220 hop\n> EHLO\n< 250 hop\nend", certain),
        (
            "injects",
            "< 220 hop\n> EHLO\n< 250-hop\n< 250 STARTTLS\n> STARTTLS\n<! 220 go\\r\\n250 hop\\r\\n\nend",
            certain,
        ),
    ] {
        let first = Scripted::new(&[script]).await;
        let second = Behaving::accepting().await;
        let pool = pool(Limits::default());
        let to = in_order(&[&NextHop { tls, ..first.hop.clone() }, &second.hop]);
        assert_eq!(send(&pool, &to, &TO).await, ["delivered"], "{name}");
        assert_eq!(second.taken().len(), 1, "{name}");
        assert!(first.finished().await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_verdict_stands_though_the_host_goes() {
    let script = format!("{HELLO}> MAIL\n> RCPT\n> RCPT\n< 250 ok\n< 550 5.1.1 unknown\nclose");
    let (first, second) = (Scripted::new(&[&script]).await, Behaving::accepting().await);
    let to = in_order(&[&first.hop, &second.hop]);
    assert_eq!(send(&pool(Limits::default()), &to, &["a@x.example", "b@x.example"]).await, ["5.1.1", "delivered"]);
    assert_eq!(second.taken()[0].to, ["b@x.example"]);
}

#[tokio::test]
async fn a_no_is_no_reason_to_ask_somebody_else() {
    let first = Behaving::new(|to| if to.starts_with('a') { "550 5.1.1 no" } else { "450 4.2.1 not now" }).await;
    let second = Behaving::accepting().await;
    let to = in_order(&[&first.hop, &second.hop]);
    assert_eq!(send(&pool(Limits::default()), &to, &["a@x.example", "b@x.example"]).await, ["5.1.1", "4.2.1"]);
    assert_eq!(second.connections(), 0);
}

#[tokio::test]
async fn who_was_down_comes_last_until_he_is_up() {
    let (dead, alive) = (nobody().await, Behaving::accepting().await);
    let pool = pool(Limits::default());
    let to = in_order(&[&dead, &alive.hop]);
    assert_eq!(pool.order(&to), [&dead, &alive.hop]);
    assert_eq!(send(&pool, &to, &TO).await, ["delivered"]);
    assert_eq!(pool.order(&to), [&alive.hop, &dead]);
    // Alone, it is asked all the same: refusing at once costs nothing.
    assert_eq!(send(&pool, &dead.clone().into(), &TO).await, ["4.4.1"]);
    let listener = TcpListener::bind((dead.host.as_str(), dead.port)).await.unwrap();
    let alone = Destination::from(dead.clone());
    let accept = async { drop(listener.accept().await.unwrap()) };
    let (outcomes, ()) = tokio::join!(send(&pool, &alone, &TO), accept);
    assert_eq!(outcomes, ["4.4.2"]);
}

#[tokio::test]
async fn who_lets_us_wait_is_not_waited_for_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hop = NextHop { host: address.ip().to_string(), port: address.port(), tls: TlsMode::Off };
    let came = Arc::new(AtomicUsize::new(0));
    let count = came.clone();
    let task = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            open.push(listener.accept().await.unwrap());
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let pool = pool(Limits::default());
    for _ in 0..20 {
        assert_eq!(send(&pool, &hop.clone().into(), &TO).await, ["4.4.2"]);
    }
    assert_eq!(came.load(Ordering::Relaxed), 1);
    task.abort();
}

#[tokio::test]
async fn internationalized_mail_goes_to_those_who_know_it() {
    const HEADER: &[u8] = "Subject: \u{fc}\r\n\r\nbye\r\n".as_bytes();
    for (offers, charset, expected) in [
        ("< 250-8BITMIME\n< 250 SMTPUTF8", Charset::Utf8, ""),
        ("< 250 8BITMIME", Charset::Utf8, "5.6.9"),
        // Not declared as such: passed as it came, as such headers always were.
        ("< 250 8BITMIME", Charset::Ascii, ""),
    ] {
        let suffix = if expected.is_empty() && charset == Charset::Utf8 { " SMTPUTF8\r" } else { "\r" };
        let rest = if expected.is_empty() {
            format!(
                "> MAIL FROM:<> BODY=8BITMIME{suffix}\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 354 go\ncontent\n< 250 ok\n"
            )
        } else {
            String::new()
        };
        let hop =
            Scripted::new(&[&format!("< 220 hop\n> EHLO\n< 250-hop\n{offers}\n{rest}> QUIT\n< 221 bye\nend")]).await;
        let pool = pool(Limits::default());
        let recipients = ["a@x.example".parse().unwrap()];
        let mail =
            Transmission { reverse_path: &ReversePath::Null, recipients: &recipients, content: Content::Whole(HEADER) };
        let requests = Requests { charset, ..Requests::default() };
        let delivery = pool.deliver(&hop.hop.clone().into(), mail, &requests).await;
        match delivery.outcomes.as_slice() {
            [Outcome::Delivered(_)] => assert_eq!(expected, "", "{offers}"),
            [Outcome::Refused(failure)] => assert_eq!(failure.status, expected, "{offers}"),
            other => panic!("{other:?}"),
        }
        pool.close().await;
        hop.finished().await;
    }
}

#[tokio::test]
async fn a_host_of_which_all_connections_hang_is_left_alone_for_a_while() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hop = NextHop { port: listener.local_addr().unwrap().port(), ..nobody().await };
    let pool = pool(Limits { connections: 1, wait: Duration::from_millis(100), ..Limits::default() });
    let to = Destination::from(hop);
    let hanging = async { send(&pool, &to, &TO).await };
    let behind = async {
        let _silent = listener.accept().await.unwrap();
        assert_eq!(send(&pool, &to, &TO).await, ["4.4.5"], "waits for a connection, not for ever");
        // No wait at all: the one that hangs has not even ended.
        assert_eq!(send(&pool, &to, &TO).await, ["4.4.5"]);
    };
    let (hung, ()) = tokio::join!(hanging, behind);
    assert_eq!(hung, ["4.4.2"]);
}
