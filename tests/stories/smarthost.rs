//! Postfix in front in both ways that the manual knows, and what it hands over: as smarthost, and internationalized mail with
//! wishes for reports. (Postfix takes BDAT and never sends it; [`crate::doors`] has clients that do.)

use crate::maildir::Mail;
use crate::patience::until;
use crate::ports;
use crate::postfix::{Behind, Front, Postfix, front_ports};
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup};
use crate::smtp;
use crate::world::{Database, MAIL, READER, SENDER, World, is_notification};

fn mail(subject: &str) -> Vec<u8> {
    format!("From: {SENDER}\r\nTo: somebody\r\nSubject: {subject}\r\n\r\ncanary-in-transit\r\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smarthost_gets_what_is_for_others_and_nothing_passes_it() {
    let scratch = Scratch::new();
    let (submission, back) = front_ports();
    let outside = ports::free();
    let setup = Setup::between(back, outside);
    // `relayhost` is Sealpost; there is no content_filter.
    let front = Front { submission, back, sealpost: None, returns: Some(setup.returns), beyond: setup.smtp };
    let front = Postfix::front(&scratch, front).await;
    let behind = Behind { port: outside, returns: Some(setup.returns), home: Some(back) };
    let behind = Postfix::behind(&scratch, behind).await;
    let mut sealpost = Sealpost::start(&scratch, setup).await;
    let submit = async |to: &str, subject: &str| {
        let outcome = smtp::send(submission, SENDER, &[to], &mail(subject)).await;
        assert!(outcome.accepted(), "{outcome:?}");
    };

    submit("colleague@klinik.example", "[secure] inside").await;
    front.maildir().wait_for("colleague@klinik.example", MAIL, |_| true).await;
    submit("jonas@partner.example", "passes").await;
    let passed = behind.maildir().wait_for("jonas@partner.example", MAIL, |_| true).await;
    assert!(String::from_utf8_lossy(&passed.bytes).contains("by sealpost.klinik.example with ESMTP id "));
    submit(READER, "[secure] held").await;
    let held = behind.maildir().wait_for(READER, MAIL, |_| true).await;
    assert!(is_notification(&held) && !held.text().contains("canary-in-transit"));

    sealpost.stop().await;
    submit("later@mail.example", "[secure] later").await;
    until("a failed try", MAIL, async || front.log().contains("status=deferred").then_some(())).await;
    assert!(behind.maildir().of("later@mail.example").is_empty(), "nothing leaves past it");
    sealpost.open().await;
    let later = behind.maildir().wait_for("later@mail.example", MAIL, |_| true).await;
    assert!(is_notification(&later));
}

fn text(mail: &Mail) -> String {
    String::from_utf8_lossy(&mail.bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_hands_over_internationalized_mail_and_wishes_for_reports() {
    let world = World::start(Database::Sqlite).await;
    let mut client = smtp::Client::connect(world.front.port()).await;
    client.command("EHLO client.klinik.example").await;
    let ask = "MAIL FROM:<änna@klinik.example> SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=QQ+2B1";
    assert_eq!(client.command(ask).await.code, 250);
    let ask = "RCPT TO:<jörg@partner.example> NOTIFY=SUCCESS ORCPT=utf-8;j\\x{F6}rg@partner.example";
    assert_eq!(client.command(ask).await.code, 250);
    assert_eq!(client.command("DATA").await.code, 354);
    client
        .raw(
            "From: änna@klinik.example\r\nTo: jörg@partner.example\r\nSubject: Grüße\r\n\r\nSchöne Grüße\r\n.\r\n"
                .as_bytes(),
        )
        .await;
    assert_eq!(client.reply().await.unwrap().code, 250);

    let passed = world.outside("jörg@partner.example", |_| true).await;
    let trace = "by sealpost.klinik.example with UTF8SMTP id ";
    assert!(text(&passed).contains(trace) && text(&passed).contains("Subject: Grüße\n"), "{}", text(&passed));
    assert_eq!(passed.return_path(), "änna@klinik.example");
    // The server behind knows DSN, so it got the wish and reports.
    let report = world.inside("änna@klinik.example", |mail| mail.return_path().is_empty()).await;
    for line in ["Action: delivered", "Original-Envelope-Id: QQ+1"] {
        assert!(text(&report).contains(line), "{line}: {}", text(&report));
    }
    assert!(text(&report).contains("mx.outside.example"), "{}", text(&report));
}
