//! Dialogues with next hops: good ones, poor ones, hostile ones.

use std::time::Duration;

use super::fake::{Scripted, authority, nobody};
use super::*;

const MAIL: &[u8] = b"Subject: Hello\r\n\r\n.dot\r\nbye\r\n";
const TO: [&str; 1] = ["a@x.example"];

fn client() -> Client {
    let short = Duration::from_secs(3);
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
    Client::new("gw.klinik.example", Trust::with_roots(authority()).unwrap(), timeouts)
}

struct Ended {
    outcomes: Vec<String>,
    contents: Vec<Vec<u8>>,
    reusable: bool,
}

/// Hands `bytes` over to a hop that follows `scripts`; outcomes as `delivered`, `later 4.x.y` or `refused 5.x.y`.
async fn hand_over(scripts: &[&str], tls: TlsMode, to: &[&str], bytes: &[u8]) -> Ended {
    let scripted = Scripted::new(scripts).await;
    let hop = NextHop { host: "localhost".to_owned(), tls, ..scripted.hop.clone() };
    let recipients: Vec<EmailAddress> = to.iter().map(|to| to.parse().unwrap()).collect();
    let reverse_path = ReversePath::Address("anna@klinik.example".parse().unwrap());
    let mail = Transmission { reverse_path: &reverse_path, recipients: &recipients, content: Content::Whole(bytes) };
    let handover = client().deliver(&hop, mail).await;
    let reusable = handover.connection.is_some();
    if let Some(connection) = handover.connection {
        connection.quit().await;
    }
    let outcomes = handover.outcomes.iter().map(word).collect();
    Ended { outcomes, contents: scripted.finished().await, reusable }
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered(_) => "delivered".to_owned(),
        Outcome::Later(failure) => format!("later {}", failure.status),
        Outcome::Refused(failure) => format!("refused {}", failure.status),
    }
}

async fn expect(name: &str, script: &str, expected: &str) {
    let ended = hand_over(&[script], TlsMode::Off, &TO, MAIL).await;
    assert_eq!(ended.outcomes, [expected], "{name}");
}

#[tokio::test]
async fn the_whole_dialogue() {
    let script = "< 220 hop
        > EHLO gw.klinik.example
        < 250-hop
        < 250-PIPELINING
        < 250 SIZE 1000
        > MAIL FROM:<anna@klinik.example> SIZE=29
        > RCPT TO:<a@x.example>
        > RCPT TO:<b@x.example>
        < 250 ok
        < 250 ok
        < 250 ok
        > DATA
        < 354 go
        content
        < 250 2.0.0 taken
        > QUIT
        < 221 bye
        end";
    let ended = hand_over(&[script], TlsMode::Off, &["a@x.example", "b@x.example"], MAIL).await;
    assert_eq!(ended.outcomes, ["delivered", "delivered"]);
    assert_eq!(ended.contents, [MAIL]);
    assert!(ended.reusable);
}

#[tokio::test]
async fn one_at_a_time_where_pipelining_is_not_offered() {
    let script = "< 220 hop
        > EHLO
        < 502 what is EHLO
        > HELO gw.klinik.example
        < 250 hop
        > MAIL FROM:<anna@klinik.example>\r
        < 250 ok
        > RCPT TO:<a@x.example>
        < 450 4.2.1 busy
        > RCPT TO:<b@x.example>
        < 250 ok
        > RCPT TO:<c@x.example>
        < 550 5.1.1 unknown
        > DATA
        < 354 go
        content
        < 250 ok
        > QUIT
        < 221 bye";
    let to = ["a@x.example", "b@x.example", "c@x.example"];
    let ended = hand_over(&[script], TlsMode::Off, &to, MAIL).await;
    assert_eq!(ended.outcomes, ["later 4.2.1", "delivered", "refused 5.1.1"]);
}

#[tokio::test]
async fn a_hundred_recipients_in_groups() {
    let to: Vec<String> = (0..100).map(|n| format!("r{n}@x.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let mut script = "< 220 hop\n> EHLO\n< 250-hop\n< 250 PIPELINING\n> MAIL\n".to_owned();
    for group in to.chunks(20) {
        for to in group {
            script.push_str(&format!("> RCPT TO:<{to}>\n"));
        }
        if group[0] == "r0@x.example" {
            script.push_str("< 250 sender ok\n");
        }
        for to in group {
            script.push_str(if to.contains('7') { "< 550 5.1.1 no\n" } else { "< 250 ok\n" });
        }
    }
    script.push_str("> DATA\n< 354 go\ncontent\n< 250 ok\n> QUIT\n< 221 bye");
    let ended = hand_over(&[&script], TlsMode::Off, &to, MAIL).await;
    for (to, outcome) in to.iter().zip(&ended.outcomes) {
        assert_eq!(outcome, if to.contains('7') { "refused 5.1.1" } else { "delivered" }, "{to}");
    }
    assert_eq!(ended.contents.len(), 1);
}

#[tokio::test]
async fn who_refuses_what() {
    const HELLO: &str = "< 220 hop\n> EHLO\n< 250 hop\n";
    const RESET: &str = "> RSET\n< 250 ok\n> QUIT\n< 221 bye";
    for (name, rest, expected) in [
        ("sender refused", "> MAIL\n< 550 5.7.1 not you\n", "refused 5.7.1"),
        ("sender deferred", "> MAIL\n< 451 4.3.0 later\n", "later 4.3.0"),
        ("recipient refused", "> MAIL\n< 250 ok\n> RCPT\n< 550 no\n", "refused 5.0.0"),
        ("recipient deferred", "> MAIL\n< 250 ok\n> RCPT\n< 450 4.7.1 greylisted\n", "later 4.7.1"),
        ("a mailbox that is full", "> MAIL\n< 250 ok\n> RCPT\n< 552 5.2.2 full\n", "refused 5.2.2"),
        ("354 to RCPT", "> MAIL\n< 250 ok\n> RCPT\n< 354 go\n", "later 4.0.0"),
        ("DATA refused", "> MAIL\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 554 5.5.1 no\n", "refused 5.5.1"),
        ("DATA deferred", "> MAIL\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 452 4.3.1 full\n", "later 4.3.1"),
    ] {
        expect(name, &format!("{HELLO}{rest}{RESET}"), expected).await;
    }
    const ACCEPTED: &str = "> MAIL\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 354 go\ncontent\n";
    for (name, reply, expected) in [
        ("content refused", "< 554 5.6.0 looks bad", "refused 5.6.0"),
        ("content deferred", "< 451 4.3.0 scanner is down", "later 4.3.0"),
        ("content taken, two lines", "< 250-2.0.0 well\n< 250 2.0.0 done", "delivered"),
    ] {
        expect(name, &format!("{HELLO}{ACCEPTED}{reply}\n> QUIT\n< 221 bye"), expected).await;
    }
}

#[tokio::test]
async fn pipelined_sender_refused_is_everybodys_verdict() {
    let script = "< 220 hop\n> EHLO\n< 250-hop\n< 250 PIPELINING\n> MAIL\n> RCPT\n> RCPT
        < 450 4.7.1 not now\n< 503 5.5.1 no sender\n< 503 5.5.1 no sender\n> RSET\n< 250 ok\n> QUIT\n< 221 bye";
    let ended = hand_over(&[script], TlsMode::Off, &["a@x.example", "b@x.example"], MAIL).await;
    assert_eq!(ended.outcomes, ["later 4.7.1", "later 4.7.1"]);
}

#[tokio::test]
async fn too_many_recipients_is_for_later() {
    let script = "< 220 hop\n> EHLO\n< 250-hop\n< 250 PIPELINING\n> MAIL\n> RCPT\n> RCPT\n> RCPT
        < 250 ok\n< 250 ok\n< 452 4.5.3 too many\n< 552 too many\n> DATA\n< 354 go\ncontent\n< 250 ok\n> QUIT\n< 221 bye";
    let to = ["a@x.example", "b@x.example", "c@x.example"];
    let ended = hand_over(&[script], TlsMode::Off, &to, MAIL).await;
    assert_eq!(ended.outcomes, ["delivered", "later 4.5.3", "later 4.5.3"]);
}

#[tokio::test]
async fn hops_that_break_off_or_babble() {
    const HELLO: &str = "< 220 hop\n> EHLO\n< 250 hop\n";
    const CONTENT: &str = "< 220 hop\n> EHLO\n< 250 hop\n> MAIL\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 354 go\n";
    let cases = [
        ("closes at once", "close".to_owned(), "later 4.4.2"),
        ("never greets", "end".to_owned(), "later 4.4.2"),
        ("refuses the session for good", "< 554 5.7.1 go away\nend".to_owned(), "later 4.3.0"),
        ("too busy", "< 421 4.3.2 busy\nend".to_owned(), "later 4.3.2"),
        ("another protocol", "< HTTP/1.1 400 Bad Request\nend".to_owned(), "later 4.5.0"),
        ("endless line", "long line\nclose".to_owned(), "later 4.5.0"),
        ("endless lines", "< 220 hop\n> EHLO\nmany lines\nclose".to_owned(), "later 4.5.0"),
        ("one line after another", "< 220 hop\n> EHLO\nslow lines".to_owned(), "later 4.4.2"),
        ("one byte after another", "slow bytes".to_owned(), "later 4.4.2"),
        ("slowly after content", format!("{CONTENT}content\nslow lines"), "later 4.4.2"),
        (
            "64 lines are enough",
            format!("{HELLO}> MAIL\n<! {}250 ok\\r\\n\nend", "250-ok\\r\\n".repeat(64)),
            "later 4.5.0",
        ),
        ("a last line of another code", format!("{CONTENT}content\n<! 550-no\\r\\n250 \\r\\n\nend"), "later 4.5.0"),
        ("a line of nothing", format!("{CONTENT}content\n<! 250-yes\\r\\n\\r\\n250 yes\\r\\n\nend"), "later 4.5.0"),
        ("an unfinished yes, then a no", format!("{CONTENT}content\n<! 250-yes\\r\\n\n< 554 no\nend"), "later 4.5.0"),
        ("a reply too many", format!("{HELLO}> MAIL\n<! 250 ok\\r\\n250 ok\\r\\n\nend"), "later 4.5.0"),
        (
            "354 before DATA",
            format!("{HELLO}> MAIL\n< 250 ok\n> RCPT\n<! 250 ok\\r\\n354 go\\r\\n\nend"),
            "later 4.5.0",
        ),
        ("codes that differ", "< 220 hop\n> EHLO\n< 250-hop\n< 550 SIZE\nend".to_owned(), "later 4.5.0"),
        ("neither EHLO nor HELO", "< 220 hop\n> EHLO\n< 500 no\n> HELO\n< 500 no\nend".to_owned(), "later 4.3.0"),
        ("half a reply", "<! 220-hop\nend".to_owned(), "later 4.4.2"),
        ("421 to MAIL", format!("{HELLO}> MAIL\n< 421 4.4.5 closing\nend"), "later 4.4.5"),
        ("421 to RCPT", format!("{HELLO}> MAIL\n< 250 ok\n> RCPT\n< 421 closing\nend"), "later 4.0.0"),
        ("hangs after content", format!("{CONTENT}content\nend"), "later 4.4.2"),
        ("closes after content", format!("{CONTENT}content\nclose"), "later 4.4.2"),
        ("421 after content", format!("{CONTENT}content\n< 421 4.3.2 closing\nend"), "later 4.3.2"),
        ("garbage after content", format!("{CONTENT}content\n< okay\nend"), "later 4.5.0"),
        ("half a yes after content", format!("{CONTENT}content\n<! 250 o\nclose"), "later 4.4.2"),
        ("a yes too early", "< 220 hop\n> EHLO\n<! 250 hop\\r\\n250 ok\\r\\n\nend".to_owned(), "later 4.5.0"),
        ("a closing too early", "< 220 hop\n> EHLO\n<! 250 hop\\r\\n421 bye\\r\\n\nend".to_owned(), "later 4.0.0"),
        ("endless lines to MAIL", format!("{HELLO}> MAIL\nmany lines\nclose"), "later 4.5.0"),
        ("endless line to RCPT", format!("{HELLO}> MAIL\n< 250 ok\n> RCPT\nlong line\nclose"), "later 4.5.0"),
        ("endless lines after content", format!("{CONTENT}content\nmany lines\nclose"), "later 4.5.0"),
        ("no, then yes, in one", format!("{CONTENT}content\n<! 550-no\\r\\n250 yes\\r\\n\nend"), "later 4.5.0"),
        ("a code that goes on", format!("{CONTENT}content\n<! 2500 yes\\r\\n\nend"), "later 4.5.0"),
        ("a NUL for a blank", format!("{CONTENT}content\n<! 250\0yes\\r\\n\nend"), "later 4.5.0"),
        ("250 to DATA", format!("{HELLO}> MAIL\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 250 ok\nend"), "later 4.5.0"),
    ];
    // All at once: some of them only end when the client has lost its patience.
    futures::future::join_all(cases.into_iter().map(async |(name, script, expected)| {
        let ended = hand_over(&[&script], TlsMode::Off, &TO, MAIL).await;
        assert_eq!(ended.outcomes, [expected], "{name}");
        assert!(!ended.reusable, "{name}");
    }))
    .await;
}

#[tokio::test]
async fn a_yes_to_the_final_dot_that_came_before_it_is_none() {
    // The hop says "250" together with "354": it can't have seen the content.
    let script =
        "< 220 hop\n> EHLO\n< 250 hop\n> MAIL\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n<! 354 go\\r\\n250 ok\\r\\n\nend";
    let ended = hand_over(&[script], TlsMode::Off, &TO, MAIL).await;
    assert_eq!(ended.outcomes, ["later 4.5.0"]);
    assert!(!ended.reusable);
}

#[tokio::test]
async fn one_recipients_end_does_not_undo_anothers_verdict() {
    let script = "< 220 hop\n> EHLO\n< 250-hop\n< 250 PIPELINING\n> MAIL\n> RCPT\n> RCPT\n> RCPT\n< 250 ok
        < 550 5.1.1 unknown\n< 250 ok\nclose";
    let to = ["a@x.example", "b@x.example", "c@x.example"];
    let ended = hand_over(&[script], TlsMode::Off, &to, MAIL).await;
    assert_eq!(ended.outcomes, ["refused 5.1.1", "later 4.4.2", "later 4.4.2"]);
}

#[tokio::test]
async fn dropped_in_the_middle_of_the_content() {
    let bytes = b"0123456789abcdef\r\n".repeat(500_000);
    const START: &str =
        "< 220 hop\n> EHLO\n< 250 hop\n> MAIL\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 354 go\nsome content\n";
    let ended = hand_over(&[&format!("{START}reset")], TlsMode::Off, &TO, &bytes).await;
    assert_eq!(ended.outcomes, ["later 4.4.2"]);
    let ended = hand_over(&[&format!("{START}hang")], TlsMode::Off, &TO, &bytes).await;
    assert_eq!(ended.outcomes, ["later 4.4.2"]);
}

/// What comes while we still send can't be an answer to the end; a no may come at any time.
#[tokio::test]
async fn an_answer_in_the_middle_of_the_content() {
    let bytes = b"0123456789abcdef\r\n".repeat(2_000_000);
    const START: &str =
        "< 220 hop\n> EHLO\n< 250 hop\n> MAIL\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 354 go\nsome content\n";
    for (reply, expected) in
        [("250 2.0.0 yes", "later 4.5.0"), ("552 5.3.4 too big", "refused 5.3.4"), ("452 4.3.1 full", "later 4.3.1")]
    {
        let ended = hand_over(&[&format!("{START}< {reply}\nrest")], TlsMode::Off, &TO, &bytes).await;
        assert_eq!(ended.outcomes, [expected], "{reply}");
        assert!(!ended.reusable);
    }
}

/// What a hop says reaches rows and reports as one harmless line.
#[tokio::test]
async fn no_word_of_a_hop_breaks_out_of_its_line() {
    let script = "< 220 hop\n> EHLO\n< 250 hop\n> MAIL\n< 250 ok\n> RCPT
        <! 550-5.1.1 no\rStatus: 2.0.0\r\n550 \u{1b}[2J\u{202e}<b>\r\n
        > RSET\n< 250 ok\nend"
        .replace("\r\n", "\\r\\n")
        .replace('\r', "\\r");
    let scripted = Scripted::new(&[&script]).await;
    let recipients = ["a@x.example".parse().unwrap()];
    let mail =
        Transmission { reverse_path: &ReversePath::Null, recipients: &recipients, content: Content::Whole(MAIL) };
    let handover = client().deliver(&scripted.hop, mail).await;
    let [Outcome::Refused(failure)] = handover.outcomes.as_slice() else { panic!("{:?}", handover.outcomes) };
    assert_eq!(failure.text, "550 5.1.1 no Status: 2.0.0 ?[2J?<b>");
    assert_eq!(failure.status, "5.1.1");
}

#[tokio::test]
async fn large_content_arrives_unchanged() {
    let bytes = b".\r\n..x\r\n0123456789abcdef\r\n\r\n".repeat(100_000);
    let script = "< 220 hop\n> EHLO\n< 250 hop\n> MAIL\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 354 go\ncontent\n< 250 ok\n> QUIT\n< 221 bye";
    let ended = hand_over(&[script], TlsMode::Off, &TO, &bytes).await;
    assert_eq!(ended.outcomes, ["delivered"]);
    assert!(ended.contents[0] == bytes);
}

#[tokio::test]
async fn what_the_hop_can_not_take() {
    let quit = "> QUIT\n< 221 bye\nend";
    for (name, offers, bytes, expected) in [
        ("8-bit", "< 250 hop", "\u{e4}\r\n", "refused 5.6.3"),
        ("too large", "< 250-hop\n< 250 SIZE 10", "0123456789\r\n", "refused 5.3.4"),
        ("bare LF", "< 250 hop", "a\nb\r\n", "refused 5.6.0"),
        ("bare CR", "< 250 hop", "a\r.\r\nb\r\n", "refused 5.6.0"),
        ("NUL", "< 250 hop", "a\0\r\n", "refused 5.6.0"),
    ] {
        let script = format!("< 220 hop\n> EHLO\n{offers}\n{quit}");
        let ended = hand_over(&[&script], TlsMode::Off, &TO, bytes.as_bytes()).await;
        assert_eq!(ended.outcomes, [expected], "{name}");
        assert!(ended.contents.is_empty(), "{name}");
    }
    let script = "< 220 hop\n> EHLO\n< 250-hop\n< 250 8BITMIME\n> MAIL FROM:<anna@klinik.example> BODY=8BITMIME\r
        < 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 354 go\ncontent\n< 250 ok\n> QUIT\n< 221 bye";
    let ended = hand_over(&[script], TlsMode::Off, &TO, "\u{e4}\r\n".as_bytes()).await;
    assert_eq!(ended.outcomes, ["delivered"]);
}

const REST: &str =
    "> EHLO\n< 250 hop\n> MAIL\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 354 go\ncontent\n< 250 ok\n> QUIT\n< 221 bye";
const OFFER: &str = "< 220 hop\n> EHLO\n< 250-hop\n< 250 STARTTLS\n> STARTTLS\n";

#[tokio::test]
async fn start_tls() {
    for mode in [TlsMode::Opportunistic, TlsMode::Required] {
        let ended = hand_over(&[&format!("{OFFER}< 220 go\ntls\n{REST}")], mode, &TO, MAIL).await;
        assert_eq!(ended.outcomes, ["delivered"], "{mode:?}");
    }
}

#[tokio::test]
async fn offers_from_before_tls_are_forgotten() {
    // 8BITMIME is offered in clear only.
    let script = "< 220 hop\n> EHLO\n< 250-hop\n< 250-8BITMIME\n< 250 STARTTLS\n> STARTTLS\n< 220 go\ntls\n> EHLO\n< 250 hop\n> QUIT\n< 221 bye";
    let ended = hand_over(&[script], TlsMode::Required, &TO, "\u{e4}\r\n".as_bytes()).await;
    assert_eq!(ended.outcomes, ["refused 5.6.3"]);
}

#[tokio::test]
async fn injected_behind_start_tls() {
    // Nothing may follow: no handshake, no second connection in clear.
    for mode in [TlsMode::Opportunistic, TlsMode::Required] {
        let script = format!("{OFFER}<! 220 go\\r\\n250-hop\\r\\n250 SIZE 1\\r\\n\nend");
        let ended = hand_over(&[&script], mode, &TO, MAIL).await;
        assert_eq!(ended.outcomes, ["later 4.7.5"], "{mode:?}");
        assert!(ended.contents.is_empty(), "{mode:?}");
    }
}

#[tokio::test]
async fn without_tls() {
    let clear = format!("< 220 hop\n{REST}");
    let refused = format!("{OFFER}< 454 4.7.0 not now\n{}", REST.split_once("250 hop\n").unwrap().1);
    let broken = format!("{OFFER}< 220 go\nnot tls\nclose");
    let opportunistic: [(&str, &[&str]); 3] =
        [("not offered", &[&clear]), ("refused", &[&refused]), ("no handshake", &[&broken, &clear])];
    for (name, scripts) in opportunistic {
        let ended = hand_over(scripts, TlsMode::Opportunistic, &TO, MAIL).await;
        assert_eq!(ended.outcomes, ["delivered"], "{name}");
    }
    let required: [(&str, &str); 3] = [
        ("not offered", "< 220 hop\n> EHLO\n< 250 hop\nend"),
        ("refused", &format!("{OFFER}< 454 4.7.0 not now\nend")),
        ("no handshake", &broken),
    ];
    for (name, script) in required {
        let ended = hand_over(&[script], TlsMode::Required, &TO, MAIL).await;
        assert_eq!(ended.outcomes, ["later 4.7.5"], "{name}");
        assert!(ended.contents.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn required_tls_believes_only_the_right_certificate() {
    let script = format!("{OFFER}< 220 go\nfailing tls\nclose");
    let recipients = ["a@x.example".parse().unwrap()];
    let mail =
        Transmission { reverse_path: &ReversePath::Null, recipients: &recipients, content: Content::Whole(MAIL) };
    let stranger = Client::new(
        "gw",
        Trust::with_roots(rustls::RootCertStore::empty()).unwrap(),
        Timeouts { handshake: Duration::from_secs(2), ..Timeouts::default() },
    );
    for (name, client, host) in
        [("authority unknown", &stranger, "localhost"), ("another name", &client(), "127.0.0.1")]
    {
        let scripted = Scripted::new(&[&script]).await;
        let hop = NextHop { host: host.to_owned(), tls: TlsMode::Required, ..scripted.hop.clone() };
        let handover = client.deliver(&hop, mail).await;
        assert_eq!(handover.outcomes.iter().map(word).collect::<Vec<_>>(), ["later 4.7.5"], "{name}");
        assert!(scripted.finished().await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let recipients = ["a@x.example".parse().unwrap(), "b@x.example".parse().unwrap()];
    let mail =
        Transmission { reverse_path: &ReversePath::Null, recipients: &recipients, content: Content::Whole(MAIL) };
    let handover = client().deliver(&nobody().await, mail).await;
    assert_eq!(handover.outcomes.iter().map(word).collect::<Vec<_>>(), ["later 4.4.1", "later 4.4.1"]);
}

#[tokio::test]
async fn one_connection_carries_several_mails() {
    let script = "< 220 hop\n> EHLO\n< 250 hop
        > MAIL FROM:<>\n< 250 ok\n> RCPT\n< 550 5.1.1 no\n> RSET\n< 250 ok
        > MAIL FROM:<>\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 354 go\ncontent\n< 250 ok
        > MAIL FROM:<>\n< 250 ok\n> RCPT\n< 250 ok\n> DATA\n< 354 go\ncontent\n< 250 ok\n> QUIT\n< 221 bye";
    let scripted = Scripted::new(&[script]).await;
    let recipients = ["a@x.example".parse().unwrap()];
    let mail =
        Transmission { reverse_path: &ReversePath::Null, recipients: &recipients, content: Content::Whole(MAIL) };
    let mut connection = client().deliver(&scripted.hop, mail).await.connection.unwrap();
    for _ in 0..2 {
        assert_eq!(connection.transact(mail).await.iter().map(word).collect::<Vec<_>>(), ["delivered"]);
    }
    connection.quit().await;
    assert_eq!(scripted.finished().await.len(), 2);
}
