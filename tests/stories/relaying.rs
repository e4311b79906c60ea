//! What passes, passes unchanged; what can't be delivered comes back; what is down is tried again.

use crate::maildir::Mail;
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup};
use crate::smtp;
use crate::world::{Database, READER, SENDER, World, is_notification};

const ODD: &[u8] = b"From: anna.weber@klinik.example\r\nTO:   jonas@partner.example\r\nSubject: Lunch\r\n on  Thursday =?x?=\r\n\
    X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\
    Message-Id: <odd@klinik.example>\r\nDate: Tue, 24 Nov 2026 10:00:00 +0100\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n\
    . one dot\r\n.. two\r\n\r\n\xe4\xf6\xfc trailing  \r\n.\x20\r\nFrom here\r\n\r\n\r\n";

/// The mail as it left Sealpost: what the two servers behind it put in front is cut off.
fn as_it_left(mail: &Mail) -> Vec<u8> {
    let text = mail.bytes.clone();
    let marker = b"From: anna.weber";
    let start = text.windows(marker.len()).position(|window| window == marker).expect("the first header of the mail");
    // Maildirs have lone line feeds
    let mut out = Vec::new();
    for line in text[start..].split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn relayed_mail_is_unchanged_byte_for_byte() {
    let world = World::start(Database::Sqlite).await;
    world.submit(SENDER, &["jonas@partner.example"], ODD).await;
    let passed = world.outside("jonas@partner.example", |_| true).await;
    assert_eq!(String::from_utf8_lossy(&as_it_left(&passed)), String::from_utf8_lossy(ODD));
    assert_eq!(as_it_left(&passed), ODD);
    assert_eq!(passed.return_path(), SENDER);
    let received = passed.parsed().header_values("Received").count();
    assert!(received >= 3, "two Postfix hops and ours: {received}");
}

#[tokio::test(flavor = "multi_thread")]
async fn control_headers_and_nothing_else_are_taken_out() {
    let world = World::start(Database::Sqlite).await;
    let mut controlled = b"X-Sealpost-Protect: no\r\n".to_vec();
    controlled.extend_from_slice(ODD);
    world.submit(SENDER, &["jonas@partner.example"], &controlled).await;
    let passed = world.outside("jonas@partner.example", |_| true).await;
    assert!(!String::from_utf8_lossy(&passed.bytes).contains("X-Sealpost-Protect"));
    assert_eq!(as_it_left(&passed), ODD);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_mail_comes_back_to_its_sender() {
    let world = World::start(Database::Sqlite).await;
    world.behind.refuse("nobody@partner.example", "550 5.1.1 No such person");
    world.submit(SENDER, &["nobody@partner.example", "jonas@partner.example"], ODD).await;
    world.outside("jonas@partner.example", |_| true).await;
    let bounce = world.inside(SENDER, |mail| mail.return_path().is_empty()).await;
    let source = String::from_utf8_lossy(&bounce.bytes).into_owned();
    assert!(
        source.contains("multipart/report") && source.contains("report-type=\"delivery-status\"")
            || source.contains("report-type=delivery-status"),
        "{source}"
    );
    assert!(
        source.contains("Action: failed") && source.contains("nobody@partner.example") && source.contains("5.1.1"),
        "{source}"
    );
    assert!(!source.contains("jonas@partner.example\nAction"), "{source}");
    assert_eq!(bounce.header("Auto-Submitted").as_deref(), Some("auto-replied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_loses_nothing() {
    let mut world = World::start(Database::Sqlite).await;
    world.behind.stop().await;
    let mut accepted = Vec::new();
    for n in 0..30 {
        let subject = if n % 3 == 0 { "[secure] x" } else { "x" };
        let recipient = format!("person-{n}@mail.example");
        let message = format!(
            "From: {SENDER}\r\nTo: {recipient}\r\nSubject: {subject}\r\nMessage-ID: <{n}@klinik.example>\r\n\r\nnumber {n}\r\n"
        );
        let outcome = smtp::send(world.sealpost.setup().smtp, SENDER, &[&recipient], message.as_bytes()).await;
        assert!(outcome.accepted(), "{outcome:?}");
        accepted.push((n, recipient));
        // in the middle of whatever it is doing
        if n % 10 == 9 {
            world.sealpost.kill().await;
            world.sealpost.open().await;
        }
    }
    world.behind.start().await;
    for (n, recipient) in &accepted {
        // what was being delivered when the process died is due after its lease; an administrator doesn't wait
        let found = crate::patience::until("a mail", crate::world::MAIL, async || {
            world.sealpost.command(&["queue", "retry", "--all"]);
            world.behind.maildir().of(recipient).into_iter().next()
        })
        .await;
        if n % 3 == 0 {
            assert!(is_notification(&found), "{n} was to be held");
        } else {
            assert!(found.text().contains(&format!("number {n}")));
        }
    }
    for (_, recipient) in &accepted {
        assert_eq!(world.behind.maildir().of(recipient).len(), 1, "{recipient}: delivered once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn must_be_protected_never_degrades() {
    let world = World::start(Database::Sqlite).await;
    let message =
        |header: &str| format!("From: {SENDER}\r\nTo: {READER}\r\n{header}\r\nSubject: x\r\n\r\ncanary-plain\r\n");
    // no key is known for anybody: what asks for OpenPGP is refused, not sent in the clear and not held
    let port = world.sealpost.setup().smtp;
    let refused = smtp::send(port, SENDER, &[READER], message("X-Sealpost-Protect: openpgp").as_bytes()).await;
    let reply = refused.data.expect("an answer to the data");
    assert!(reply.code == 550 && reply.text().contains("5.7.5"), "{reply:?}");
    // a sender whom nobody inside could answer
    let refused = smtp::send(port, "x@elsewhere.example", &[READER], message("Sensitivity: Private").as_bytes()).await;
    assert_eq!(refused.data.expect("an answer to the data").code, 550);
    let held = smtp::send(port, SENDER, &[READER], message("Sensitivity: Company-Confidential").as_bytes()).await;
    assert!(held.accepted());
    let notification = world.outside(READER, |_| true).await;
    assert!(is_notification(&notification) && !notification.text().contains("canary-plain"));
    assert_eq!(world.behind.maildir().all().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_nothing_is_served() {
    let scratch = Scratch::new();
    let mut sealpost = Sealpost::prepare(&scratch, Setup::between(1, 2));
    let (status, log) = sealpost.try_open().await.expect_err("serves without keys");
    assert_eq!(status.code(), Some(78));
    assert!(log.contains("init"), "says what to do: {log}");
    for lost in ["could not be delivered", "could be opened", "could be read"] {
        assert!(log.contains(lost), "says what would be lost: {log}");
    }
    assert!(!sealpost.state().join("gateway").join("gateway.db").exists());
}
