//! Real servers as next hops: Postfix, Exim and OpenSMTPD, with what they offer and what they refuse.

use crate::exim::Exim;
use crate::maildir::{Mail, Maildir};
use crate::opensmtpd::OpenSmtpd;
use crate::ports;
use crate::postfix::{Behind, Postfix};
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup};
use crate::smtp::Client;
use crate::world::MAIL;

/// Somebody whose mailbox is behind us as well: reports about his mail arrive where the mail does.
const SENDER: &str = "max@outside.example";

fn mail(subject: &str, body: &str) -> String {
    format!(
        "From: {SENDER}\r\nTo: x@partner.example\r\nSubject: {subject}\r\nDate: Tue, 24 Nov 2026 10:00:00 +0100\r\n\
         Message-ID: <{}@outside.example>\r\n\r\n{body}\r\n",
        subject.len()
    )
}

/// Hands one message to Sealpost; it must be taken.
async fn submit(sealpost: &Sealpost, mail_parameters: &str, to: &str, recipient_parameters: &str, message: &str) {
    submit_at(sealpost.setup().smtp, mail_parameters, to, recipient_parameters, message).await;
}

async fn submit_at(port: u16, mail_parameters: &str, to: &str, recipient_parameters: &str, message: &str) {
    let mut client = Client::connect(port).await;
    client.command("EHLO client.klinik.example").await;
    for line in [format!("MAIL FROM:<{SENDER}>{mail_parameters}"), format!("RCPT TO:<{to}>{recipient_parameters}")] {
        let reply = client.command(&line).await;
        assert_eq!(reply.code, 250, "{line}: {reply:?}");
    }
    assert_eq!(client.command("DATA").await.code, 354);
    client.raw(format!("{message}.\r\n").as_bytes()).await;
    let reply = client.reply().await.unwrap();
    assert_eq!(reply.code, 250, "{reply:?}");
}

/// Mail to an address, by either server's name for the envelope recipient.
async fn arrived(maildir: &Maildir, to: &str, wanted: impl Fn(&Mail) -> bool) -> Mail {
    crate::patience::until(&format!("a mail to {to}"), MAIL, async || {
        let is_to = |mail: &Mail| {
            [mail.header("Delivered-To"), mail.header("Envelope-to")].into_iter().flatten().any(|address| address == to)
        };
        maildir.all().into_iter().find(|mail| is_to(mail) && wanted(mail))
    })
    .await
}

fn text(mail: &Mail) -> String {
    String::from_utf8_lossy(&mail.bytes).into_owned()
}

fn is_report(mail: &Mail) -> bool {
    text(mail).contains("report-type=")
}

struct Before {
    sealpost: Sealpost,
    postfix: Postfix,
    /// Lives as long as they do.
    scratch: Scratch,
}

/// With settings of its own for the Postfix behind us.
async fn before_postfix(settings: &[(&str, &str)]) -> Before {
    let scratch = Scratch::new();
    let port = ports::free();
    let mut postfix = Postfix::behind(&scratch, Behind { port, returns: None, home: None }).await;
    if !settings.is_empty() {
        postfix.stop().await;
        for (name, value) in settings {
            postfix.set(name, value);
        }
        postfix.start().await;
    }
    let sealpost = Sealpost::start(&scratch, Setup::between(port, port)).await;
    Before { sealpost, postfix, scratch }
}

const ASKED: &str = " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Before+2B@partner.example";

#[tokio::test(flavor = "multi_thread")]
async fn postfix_takes_over_what_a_sender_asked_to_be_told() {
    let Before { sealpost, postfix, scratch: _scratch } = before_postfix(&[]).await;
    submit(&sealpost, " RET=HDRS ENVID=QQ+2B1", "a@partner.example", ASKED, &mail("told", "canary-body")).await;
    arrived(postfix.maildir(), "a@partner.example", |_| true).await;
    let told = text(&arrived(postfix.maildir(), SENDER, is_report).await);
    for part in [
        "Reporting-MTA: dns; mx.outside.example",
        "Original-Envelope-Id: QQ+1",
        "Original-Recipient: rfc822;Before+@partner.example",
        "Action: delivered",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("canary-body"), "RET=HDRS was passed on: {told}");
    // Never is never, also where it fails behind us.
    submit(&sealpost, "", "gone-a@partner.example", " NOTIFY=NEVER", &mail("never told", "x")).await;
    submit(&sealpost, "", "gone-b@partner.example", "", &mail("told of failures", "x")).await;
    let failed = text(&arrived(postfix.maildir(), SENDER, |mail| text(mail).contains("gone-b@")).await);
    assert!(failed.contains("Action: failed"), "{failed}");
    let reports: Vec<String> = postfix.maildir().of(SENDER).iter().map(text).collect();
    assert_eq!(reports.len(), 2, "ours would be a third: {reports:?}");
    assert!(!reports.iter().any(|report| report.contains("gone-a@")));
}

#[tokio::test(flavor = "multi_thread")]
async fn internationalized_mail_reaches_such_a_mailbox_at_postfix() {
    let Before { sealpost, postfix, scratch: _scratch } = before_postfix(&[]).await;
    let message = mail("Gr\u{fc}\u{df}e", "f\u{fc}r J\u{f6}rg").replace("To: x@", "To: j\u{f6}rg@");
    submit(&sealpost, " BODY=8BITMIME SMTPUTF8", "j\u{f6}rg@partner.example", "", &message).await;
    let there = text(&arrived(postfix.maildir(), "j\u{f6}rg@partner.example", |_| true).await);
    assert!(
        there.contains("Subject: Gr\u{fc}\u{df}e\n") && there.contains("To: j\u{f6}rg@partner.example\n"),
        "{there}"
    );
    assert!(there.contains("f\u{fc}r J\u{f6}rg\n"), "{there}");
    // The other hop's trace says that it came so (RFC 6531 3.7.3).
    assert!(there.contains("with UTF8SMTP"), "{there}");
}

#[tokio::test(flavor = "multi_thread")]
async fn internationalized_mail_comes_back_from_a_postfix_without() {
    let Before { sealpost, postfix, scratch: _scratch } = before_postfix(&[("smtputf8_enable", "no")]).await;
    for (to, subject, status) in
        [("j\u{f6}rg@partner.example", "address", "5.6.7"), ("a@partner.example", "h\u{e4}ader", "5.6.9")]
    {
        submit(&sealpost, " SMTPUTF8 BODY=8BITMIME", to, "", &mail(subject, "canary-body")).await;
        let bounce = arrived(postfix.maildir(), SENDER, |mail| text(mail).contains(&format!("Status: {status}"))).await;
        let shown = text(&bounce);
        assert!(
            shown.contains("Action: failed") && shown.contains("Reporting-MTA: dns; sealpost.klinik.example"),
            "{shown}"
        );
        assert!(bounce.return_path().is_empty() && !shown.contains("canary-body"), "{shown}");
    }
    assert_eq!(postfix.maildir().all().len(), 2, "nothing but the two reports");
    // What doesn't need it goes.
    submit(&sealpost, " SMTPUTF8", "a@partner.example", "", &mail("plain", "x")).await;
    arrived(postfix.maildir(), "a@partner.example", |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_for_postfix_comes_back_without_being_sent() {
    let Before { sealpost, postfix, scratch: _scratch } = before_postfix(&[("message_size_limit", "50000")]).await;
    let large = mail("large", &"0123456789abcdef\r\n".repeat(4_000));
    submit(&sealpost, "", "a@partner.example", "", &large).await;
    let bounce = text(&arrived(postfix.maildir(), SENDER, is_report).await);
    assert!(bounce.contains("Status: 5.3.4") && bounce.contains("Action: failed"), "{bounce}");
    assert!(bounce.len() < 10_000, "headers only");
    // Ours knew it from the EHLO: Postfix never saw the mail.
    assert!(!postfix.log().contains("message size"), "{}", postfix.log());
    submit(&sealpost, "", "a@partner.example", "", &mail("small", "x")).await;
    arrived(postfix.maildir(), "a@partner.example", |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_hosts_is_enough() {
    let (scratch, other_scratch) = (Scratch::new(), Scratch::new());
    let (dead, one, two) = (ports::free(), ports::free(), ports::free());
    let behind = |port| Behind { port, returns: None, home: None };
    let mut first = Postfix::behind(&scratch, behind(one)).await;
    let second = Postfix::behind(&other_scratch, behind(two)).await;
    let mut setup = Setup::between(dead, dead);
    setup.several(&[dead, one, two]);
    let sealpost = Sealpost::start(&scratch, setup).await;
    submit(&sealpost, "", "a@partner.example", "", &mail("first", "x")).await;
    arrived(first.maildir(), "a@partner.example", |_| true).await;
    // The connection that is kept ends with its server: the next mail goes to the third at once, and isn't late.
    first.stop().await;
    submit(&sealpost, "", "b@partner.example", "", &mail("second", "x")).await;
    arrived(second.maildir(), "b@partner.example", |_| true).await;
    assert!(!sealpost.log().contains("deferred"), "{}", sealpost.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn exim_takes_over_and_refuses_as_postfix_does() {
    let scratch = Scratch::new();
    let exim = Exim::start(&scratch).await;
    let sealpost = Sealpost::start(&scratch, Setup::between(exim.port(), exim.port())).await;
    let there = exim.maildir();
    let dots = mail("dots", ".\r\n..two\r\n\r\nx").replace("\r\n.", "\r\n..");
    submit(&sealpost, " RET=HDRS ENVID=QQ+2B1", "a@partner.example", ASKED, &dots).await;
    let arrived_mail = text(&arrived(there, "a@partner.example", |_| true).await);
    assert!(arrived_mail.ends_with("\n\n.\n..two\n\nx\n"), "{arrived_mail}");
    let told = text(&arrived(there, SENDER, is_report).await);
    assert!(told.contains("Reporting-MTA: dns; exim.outside.example") && told.contains("Action: delivered"), "{told}");
    // It shows both as they came, in xtext.
    assert!(told.contains("Original-Envelope-ID: QQ+2B1"), "{told}");
    assert!(told.contains("Original-Recipient: rfc822;Before+2B@partner.example"), "{told}");
    // Eight-bit text, and an internationalized mailbox.
    submit(&sealpost, " BODY=8BITMIME", "b@partner.example", "", &mail("8bit", "f\u{fc}r")).await;
    assert!(text(&arrived(there, "b@partner.example", |_| true).await).contains("f\u{fc}r\n"));
    submit(&sealpost, " BODY=8BITMIME SMTPUTF8", "j\u{f6}rg@partner.example", "", &mail("Gr\u{fc}\u{df}e", "x")).await;
    let utf8 = text(&arrived(there, "j\u{f6}rg@partner.example", |_| true).await);
    assert!(utf8.contains("Subject: Gr\u{fc}\u{df}e\n"), "{utf8}");
    // A refusal, and one by size, come from us.
    submit(&sealpost, "", "nobody@partner.example", "", &mail("refused", "x")).await;
    let refused = text(&arrived(there, SENDER, |mail| text(mail).contains("nobody@partner")).await);
    assert!(refused.contains("Status: 5.1.1") && refused.contains("No such person"), "{refused}");
    submit(&sealpost, "", "c@partner.example", "", &mail("large", &"0123456789abcdef\r\n".repeat(100_000))).await;
    let refused = text(&arrived(there, SENDER, |mail| text(mail).contains("c@partner")).await);
    assert!(refused.contains("Status: 5.3.4"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn opensmtpd_takes_over_and_hands_over() {
    let scratch = Scratch::new();
    let mut setup = Setup::between(0, 0);
    let opensmtpd = OpenSmtpd::start(&scratch, setup.smtp).await;
    (setup.inside, setup.outside) = (opensmtpd.behind(), opensmtpd.behind());
    let sealpost = Sealpost::start(&scratch, setup).await;
    let there = opensmtpd.maildir();
    let dots = |subject: &str| mail(subject, ".\r\n..two\r\n\r\nx").replace("\r\n.", "\r\n..");
    submit(&sealpost, " RET=HDRS ENVID=QQ+2B1", "a@partner.example", ASKED, &dots("dots")).await;
    let arrived_mail = text(&arrived(there, "a@partner.example", |_| true).await);
    assert!(arrived_mail.ends_with("\n\n.\n..two\n\nx\n"), "{arrived_mail}");
    // It knows DSN, and reports itself; in a multipart of another kind than RFC 3464 wants.
    let is_theirs = |mail: &Mail| text(mail).contains("Reporting-MTA: dns; opensmtpd.outside.example");
    let told = text(&arrived(there, SENDER, is_theirs).await);
    assert!(told.contains("Action: delivered") && !told.contains("..two"), "{told}");
    submit(&sealpost, " BODY=8BITMIME", "b@partner.example", "", &mail("8bit", "f\u{fc}r")).await;
    assert!(text(&arrived(there, "b@partner.example", |_| true).await).contains("f\u{fc}r\n"));
    // It has no SMTPUTF8, its refusals have no codes of RFC 3463, and it says what is too large.
    let message = mail("Gr\u{fc}\u{df}e", "x");
    submit(&sealpost, " BODY=8BITMIME SMTPUTF8", "j\u{f6}rg@partner.example", "", &message).await;
    submit(&sealpost, "", "nobody@partner.example", "", &mail("refused", "x")).await;
    submit(&sealpost, "", "c@partner.example", "", &mail("large", &"0123456789abcdef\r\n".repeat(100_000))).await;
    for (status, said) in [("5.6.9", "isn't ASCII"), ("5.0.0", "Invalid recipient"), ("5.3.4", "c@partner.example")] {
        let is_ours = |mail: &Mail| is_report(mail) && text(mail).contains(&format!("Status: {status}"));
        let refused = text(&arrived(there, SENDER, is_ours).await);
        assert!(refused.contains(said), "{status}: {refused}");
    }
    // In front: what it hands over comes back to it, whole.
    for n in 0..3 {
        let to = format!("front-{n}@partner.example");
        submit_at(opensmtpd.front(), "", &to, "", &dots(&format!("front {n}"))).await;
        let through = text(&arrived(there, &to, |_| true).await);
        assert!(
            through.ends_with("\n\n.\n..two\n\nx\n") && through.contains("by sealpost.klinik.example"),
            "{through}"
        );
    }
}
