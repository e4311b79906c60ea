//! What the audit says of a letter's life, and what it doesn't.

use std::path::PathBuf;

use sealpost_gateway::audit::{self, Fault, Trusted};
use sealpost_gateway::expiry::Withdrawal;
use sealpost_gateway::queue::Selection;
use sealpost_gateway::smtp::Door;
use sealpost_vault::derive::sha256;
use sealpost_vault::errands::{Answer, Bytes, Errand, Scope};
use sealpost_vault::id::PickupId;
use serde_json::Value;

use crate::bench::{LIFETIME, Road, SENDER, marked};
use crate::passphrase::SigningIn;
use crate::reader::Reader;
use crate::reply::Reply;

/// Records in the order of the chain, after it was verified.
async fn records(road: &Road) -> Vec<(Value, String)> {
    let head_file: PathBuf = road.directory().join("audit-head");
    road.gateway.sequencer(head_file.clone()).catch_up().await.unwrap();
    let trusted = Trusted { keys: road.keyring.audit_publics(), organisation: Some(*road.keyring.fingerprint()) };
    let found = audit::verify(&road.stores.own, &trusted, &head_file, Vec::new(), road.now()).await.unwrap();
    assert_eq!(found.faults, [] as [Fault; 0]);
    let rows: Vec<(String,)> =
        sqlx::query_as("select body from audit_chain order by n").fetch_all(road.stores.own.reader()).await.unwrap();
    rows.into_iter().map(|(body,)| (serde_json::from_str(&body).unwrap(), body)).collect()
}

async fn kinds(road: &Road) -> Vec<String> {
    records(road).await.into_iter().map(|(record, _)| record["kind"].as_str().unwrap().to_owned()).collect()
}

const SUBJECT: &str = "Unmistakable-subject-7391";
const BODY: &str = "Unmistakable-body-5512";
const ENCLOSURE: &str = "unmistakable-enclosure-8080.pdf";
const REPLY: &str = "Unmistakable-reply-1143";
const SENDER_NAME: &str = "Unmistakable-Name-2291";

fn mail(to: &str) -> String {
    format!(
        "From: {SENDER_NAME} <{SENDER}>\r\nTo: {to}\r\nSubject: [secure] {SUBJECT}\r\nMessage-ID: <first@klinik.example>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{BODY}\r\n--b\r\n\
         Content-Type: application/pdf; name={ENCLOSURE}\r\nContent-Disposition: attachment; filename={ENCLOSURE}\r\n\r\n\
         {BODY}\r\n--b--\r\n"
    )
}

fn bounce(reader: &Reader) -> String {
    format!(
        "From: MAILER-DAEMON@mx.home.example\r\nTo: {}\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n--b\r\n\r\nSorry.\r\n--b\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.home.example\r\n\r\n\
         Final-Recipient: rfc822; anna@home.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 Unmistakable-diagnosis {}\r\n\r\n--b--\r\n",
        reader.return_address, reader.secret
    )
}

pub async fn a_letters_life_is_recorded_in_order_and_without_content(road: Road) {
    // Held for one, relayed to another, refused for a third.
    let to = ["anna@home.example", "box@archive.example"];
    road.send(SENDER, &to, &mail("anna@home.example")).await;
    let mails = road.deliver().await;
    let notification = mails.iter().find(|mail| mail.pickup.is_some()).unwrap();
    let anna = Reader::of(&road, notification).await;
    road.submit(SENDER, &["news@paper.example"], &mail("news@paper.example")).await.unwrap_err();
    // The notification comes back, and is sent again.
    road.submit_at(Door::Returns, "", &[&anna.return_address], &bounce(&anna)).await.unwrap();
    road.carry().await;
    road.deliver().await;
    road.ask(&Errand::Resend { address: "anna@home.example".into(), language: "en".into() }).await;
    road.deliver().await;
    // A code, the letter, a receipt that isn't the reader's, one that is.
    let code = Errand::Code { session: Bytes(vec![5; 32]), scope: Scope::Pickup(anna.pickup), language: "en".into() };
    road.ask(&code).await;
    let code = road.deliver().await[0].code();
    road.ask(&Errand::Released { pickup: anna.pickup }).await;
    road.ask(&Errand::Released { pickup: anna.pickup }).await;
    road.ask(&Errand::Opened { pickup: anna.pickup, mac: Bytes(vec![0; 32]) }).await;
    road.ask(&anna.receipt(&road)).await;
    road.ask(&anna.receipt(&road)).await;
    // A reply that isn't the reader's, one that is, once and once more.
    let mut false_reply = Reply::new(&road, &anna, REPLY, &[]);
    false_reply.mac_over_another_slip = true;
    assert_eq!(false_reply.send(&road, &anna).await, Answer::Refused);
    let reply = Reply::new(&road, &anna, REPLY, &[(ENCLOSURE, "application/pdf", REPLY.as_bytes())]);
    assert_eq!(reply.send(&road, &anna).await, Answer::Taken);
    assert_eq!(road.ask(&reply.errand()).await, Answer::Taken);
    let answer = road.deliver().await;
    let answer_from = answer[0].parsed().from().unwrap().first().unwrap().address().unwrap().to_owned();
    // An answer into the conversation; withdrawn; the first one expires.
    road.send(SENDER, &[&answer_from], &mail(&answer_from)).await;
    let mails = road.deliver().await;
    let second = Reader::of(&road, &mails[0]).await;
    road.gateway.withdraw(Withdrawal::Letter(second.letter)).await.unwrap();
    road.gateway.withdraw(Withdrawal::Letter(second.letter)).await.unwrap();
    road.pass(LIFETIME + 1);
    road.gateway.expire(road.now()).await.unwrap();

    // What the bench takes out of the queue is deleted there, as an administrator does.
    assert_eq!(
        kinds(&road).await,
        [
            "accepted",
            "held",
            "relayed",
            "queue-deleted",
            "queue-deleted",
            "refused-by-policy",
            "accepted",
            "notification-returned",
            "queue-deleted",
            "notification-resent",
            "queue-deleted",
            "code-mailed",
            "queue-deleted",
            "released",
            "statement-refused",
            "opened",
            "statement-refused",
            "answered",
            "queue-deleted",
            "accepted",
            "held",
            "queue-deleted",
            "withdrawn",
            "expired",
        ]
    );

    let records = records(&road).await;
    let (accepted, _) = &records[0];
    assert_eq!(accepted["from"], SENDER);
    assert_eq!(accepted["recipients"][0]["treatment"], "hold");
    assert_eq!(accepted["recipients"][0]["rule"], "hold what is marked");
    assert_eq!(accepted["recipients"][1]["treatment"], "relay");
    assert_eq!(records[6].0["recipients"][0]["recipient"], Value::Null, "a return address has a token");
    assert_eq!(records[15].0["pickup"], anna.pickup.to_string());
    assert_eq!(records[23].0["read"], "opened");

    let (tokens,): (String,) =
        sqlx::query_as("select token from conversations").fetch_one(road.stores.own.reader()).await.unwrap();
    let (code_digits, slip) = (code.as_str(), data_encoding::HEXLOWER.encode(&sha256(&anna.released.slip)));
    let return_token = anna.return_address.split(['-', '@']).nth(1).unwrap();
    for secret in [
        SUBJECT,
        BODY,
        ENCLOSURE,
        REPLY,
        SENDER_NAME,
        "Unmistakable",
        "Befund",
        &anna.secret,
        &second.secret,
        code_digits,
        &tokens,
        return_token,
        &slip,
        "first@klinik.example",
    ] {
        assert!(secret.len() >= 6, "{secret}");
        for (_, text) in &records {
            assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "{secret}: {text}");
        }
    }
}

/// Nobody fills the disk with what is recorded of being refused.
pub async fn what_strangers_repeat_is_recorded_once_in_an_hour(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let false_receipt = Errand::Opened { pickup: anna.pickup, mac: Bytes(vec![0; 32]) };
    let put_off = SigningIn::new("nobody@home.example", "a wrong passphrase").errand("198.51.100.0/24", None);
    for recorded in [1, 2] {
        for _ in 0..5 {
            road.ask(&false_receipt).await;
        }
        road.ask_all(&vec![put_off.clone(); 8]).await;
        assert_eq!(road.recorded("statement-refused").await.len(), recorded);
        let delayed = road.recorded("sign-in-delayed").await;
        assert_eq!(delayed.len(), recorded);
        assert_eq!(delayed[0]["address"], "nobody@home.example");
        road.pass(3_600);
    }
    // Something else each time, and bounded all the same.
    let made_up = (0..1_100).map(|_| Errand::Rewrap {
        pickup: PickupId::random().unwrap(),
        packet: Bytes(vec![1; 64]),
        signature: Bytes(vec![1; 64]),
    });
    road.ask_all(&made_up.collect::<Vec<_>>()).await;
    assert_eq!(road.recorded("statement-refused").await.len(), 2 + 1_000);
}

pub async fn an_administrators_orders_are_recorded(road: Road) {
    road.send(SENDER, &["box@archive.example"], &mail("box@archive.example")).await;
    let row = road.queue.list().await.unwrap()[0].queue_id;
    road.queue.hold(Selection::All).await.unwrap();
    road.queue.hold(Selection::All).await.unwrap();
    road.queue.release(Selection::Id(row)).await.unwrap();
    road.queue.retry(Selection::Id(row)).await.unwrap();
    road.queue.delete(Selection::Id(row)).await.unwrap();
    let waiting = road.submit(SENDER, &["anna@home.example"], &marked("anna@home.example")).await.unwrap();
    let spool = road.gateway.spool();
    for _ in 0..2 {
        spool.hold(Selection::Id(waiting)).await.unwrap();
    }
    spool.release(Selection::All).await.unwrap();
    assert_eq!(spool.retry(Selection::Id(waiting)).await.unwrap().changed, 1);
    assert_eq!(spool.delete(waiting).await.unwrap().changed, 1);
    assert_eq!(spool.delete(waiting).await.unwrap().changed, 0);
    assert_eq!(spool.retry(Selection::Id(waiting)).await.unwrap().changed, 0);
    let records = records(&road).await;
    let shown: Vec<(&str, &Value, &Value)> =
        records.iter().map(|(record, _)| (record["kind"].as_str().unwrap(), &record["order"], &record["of"])).collect();
    let (row, id) = (Value::from(row.to_string()), Value::from(waiting.to_string()));
    let word = |word: &str| Value::from(word);
    assert_eq!(
        shown,
        [
            ("accepted", &Value::Null, &Value::Null),
            ("queue-ordered", &word("hold"), &Value::Null),
            ("queue-ordered", &word("release"), &row),
            ("queue-ordered", &word("retry"), &row),
            ("queue-deleted", &Value::Null, &Value::Null),
            ("accepted", &Value::Null, &Value::Null),
            ("queue-ordered", &word("hold"), &id),
            ("queue-ordered", &word("release"), &Value::Null),
            ("queue-ordered", &word("retry"), &id),
            ("spool-deleted", &Value::Null, &Value::Null),
        ]
    );
}

/// A change whose record can't be written doesn't happen.
pub async fn nothing_changes_without_its_record(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    sqlx::query("alter table audit_records rename to audit_records_gone")
        .execute(road.stores.own.writer())
        .await
        .unwrap();
    road.submit(SENDER, &["ben@home.example"], &mail("ben@home.example")).await.unwrap_err();
    assert!(road.gateway.spool().list().await.unwrap().is_empty(), "no 250, and nothing in the spool");
    let before = road.pickup(anna.pickup).await;
    road.gateway.withdraw(Withdrawal::Pickup(anna.pickup)).await.unwrap_err();
    road.gateway.resend(&before).await.unwrap_err();
    assert_eq!(road.pickup(anna.pickup).await.state, before.state);
    assert!(road.queued().await.is_empty());
}
