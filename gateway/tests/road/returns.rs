//! What comes back to a notification's return address.

use sealpost_gateway::pickups::State;
use sealpost_gateway::queue::{Kind, Route, Undeliverable};
use sealpost_gateway::smtp::Door;
use sealpost_vault::errands::Errand;
use sealpost_vault::id::Token;

use crate::bench::{Road, SENDER};
use crate::reader::Reader;

const REPORT: &str = "multipart/report; report-type=delivery-status";

/// A report as a mail server writes it, the notification's link quoted in it.
fn report(reader: &Reader, action: &str, kind: &str) -> String {
    let link = format!("https://letters.klinik.example/p/{}#{}", reader.pickup, reader.secret);
    format!(
        "From: MAILER-DAEMON@mx.home.example\r\nTo: {}\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n\
         Content-Type: {kind}; boundary=\"b\"\r\n\r\n--b\r\n\r\nSorry. You wrote: {link}\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.home.example\r\n\r\n\
         Final-Recipient: rfc822; anna@home.example\r\nAction: {action}\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 no such user, message has {link} in it\r\n\r\n\
         --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n{link}\r\n--b--\r\n",
        reader.return_address
    )
}

pub async fn a_report_of_a_failure_marks_the_letter_and_tells_the_sender(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let bounce = report(&anna, "failed", REPORT);
    road.submit_at(Door::Returns, "", &[&anna.return_address], &bounce).await.unwrap();
    road.carry().await;
    assert_eq!(road.pickup(anna.pickup).await.state, State::Undelivered);
    let mails = road.deliver().await;
    let [told] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!((told.kind, told.route, told.reverse_path.as_str()), (Kind::Report, Route::Inside, ""));
    assert_eq!(told.recipients, [SENDER]);
    assert_eq!(told.header("In-Reply-To"), "<first@klinik.example>");
    assert!(told.text().contains("550 5.1.1 no such user"), "{}", told.text());
    for secret in [anna.secret.as_str(), &anna.pickup.to_string(), "Befund", "Guten Tag"] {
        assert!(!told.mentions(secret), "{secret}");
    }

    // The same again, from wherever, tells nobody a second time.
    road.submit("", &[&anna.return_address], &bounce).await.unwrap();
    road.carry().await;
    assert!(road.queued().await.is_empty());
    // The letter can be read still, and the notification sent again; then a new bounce counts.
    assert!(road.is_readable(anna.pickup).await);
    road.ask(&Errand::Resend { address: "anna@home.example".into(), language: "en".into() }).await;
    assert_eq!(road.pickup(anna.pickup).await.state, State::Notified);
    assert_eq!(road.deliver().await[0].kind, Kind::Notification);
    road.submit_at(Door::Returns, "", &[&anna.return_address], &bounce).await.unwrap();
    road.carry().await;
    assert_eq!(road.waiting().await, [(Kind::Report, SENDER.to_owned())]);
}

pub async fn delays_and_chatter_change_nothing(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let vacation = format!(
        "From: anna@home.example\r\nTo: {}\r\nSubject: I am away\r\nAuto-Submitted: auto-replied\r\n\r\nBye\r\n",
        anna.return_address
    );
    let unreadable = report(&anna, "failed", REPORT).replace("; boundary=\"b\"", "");
    for text in [
        report(&anna, "delayed", REPORT),
        report(&anna, "relayed", REPORT),
        report(&anna, "delivered", REPORT),
        report(&anna, "failed", "multipart/mixed"),
        vacation,
        unreadable,
        "\r\n".to_owned(),
    ] {
        road.submit_at(Door::Returns, "", &[&anna.return_address], &text).await.unwrap();
        road.carry().await;
        assert_eq!(road.pickup(anna.pickup).await.state, State::Notified, "{text}");
        assert!(road.gateway.spool().list().await.unwrap().is_empty());
        assert!(road.queued().await.is_empty(), "{text}");
    }
    let unknown = format!("return-{}@reply.klinik.example", Token::random().unwrap());
    for address in [unknown.as_str(), "kim@klinik.example", "anna@home.example", "post@reply.klinik.example"] {
        let refused = road.submit_at(Door::Returns, "", &[address], "\r\n").await.unwrap_err();
        assert_eq!(refused.code, 550, "{address}");
    }
}

pub async fn a_returned_notification_of_a_read_letter_changes_nothing(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    anna.opens(&road).await;
    road.submit_at(Door::Returns, "", &[&anna.return_address], &report(&anna, "failed", REPORT)).await.unwrap();
    road.carry().await;
    assert_eq!(road.pickup(anna.pickup).await.state, State::Opened);
    assert!(road.queued().await.is_empty());
}

/// The other way to learn it: the next hop refused the notification right away.
pub async fn a_refused_notification_is_told_once_and_without_the_link(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let reply = format!("550 5.7.1 https://letters.klinik.example/p/{}#{} is spam", anna.pickup, anna.secret);
    for _ in 0..2 {
        let mut transaction = road.stores.own.begin().await.unwrap();
        road.gateway.notification(anna.pickup, &mut transaction, &reply).await.unwrap();
        transaction.commit().await.unwrap();
    }
    assert_eq!(road.pickup(anna.pickup).await.state, State::Undelivered);
    let mails = road.deliver().await;
    let [told] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!((told.kind, told.recipients.as_slice()), (Kind::Report, [SENDER.to_owned()].as_slice()));
    assert!(told.text().contains("550 5.7.1") && told.text().contains("is spam"), "{}", told.text());
    assert!(!told.mentions(&anna.secret) && !told.mentions(&anna.pickup.to_string()));
}
