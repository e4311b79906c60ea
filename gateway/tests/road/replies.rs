//! Answers of readers: what arrives, and what isn't believed.

use sealpost_gateway::expiry::Withdrawal;
use sealpost_gateway::queue::{Kind, Route};
use sealpost_vault::errands::Answer;
use sealpost_vault::id::{PickupId, ReplyId};
use serde_json::json;

use crate::bench::{LIFETIME, Road, SENDER, START};
use crate::openpgp;
use crate::reply::Reply;

pub async fn a_reply_arrives_as_ordinary_mail(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let scan: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let enclosures: [(&str, &str, &[u8]); 2] =
        [("Röntgen.pdf", "application/pdf", &scan), ("../notes.txt", "text/plain", "grün\n".as_bytes())];
    let first = Reply::new(&road, &anna, "Danke schön\n-- \nAnna", &enclosures);
    assert_eq!(first.send(&road, &anna).await, Answer::Taken);
    assert_eq!(road.pickup(anna.pickup).await.answered_at, road.now());
    let mails = road.deliver().await;
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!((mail.kind, mail.route, mail.reverse_path.as_str()), (Kind::Answer, Route::Inside, ""));
    assert_eq!(mail.recipients, [SENDER]);
    assert_eq!(mail.header("Subject"), "Re: Befund");
    assert_eq!(mail.header("To"), SENDER);
    assert_eq!(mail.header("In-Reply-To"), "<first@klinik.example>");
    assert_eq!(mail.header("References"), "<first@klinik.example>");
    assert_eq!(mail.header("X-Sealpost-Assurance"), "held-the-link");
    let from = mail.parsed().from().unwrap().first().unwrap().address().unwrap().to_owned();
    assert!(from.starts_with("reply-") && from.ends_with("@reply.klinik.example"), "{from}");
    assert!(mail.text().contains("Danke schön\r\n-- \r\nAnna"), "{}", mail.text());
    let arrived = mail.enclosures();
    assert_eq!((arrived[0].0.as_str(), arrived[0].1.as_str()), ("Röntgen.pdf", "application/pdf"));
    assert!(arrived[0].2 == scan);
    assert_eq!(arrived[1].0, "_notes.txt");
    assert_eq!(arrived[1].2, "grün\n".as_bytes());
    assert!(!mail.mentions(&anna.secret));

    // The next one names the first: the thread goes on.
    let message_id = mail.header("Message-ID");
    assert_eq!(Reply::new(&road, &anna, "noch etwas", &[]).send(&road, &anna).await, Answer::Taken);
    let second = &road.deliver().await[0];
    assert_eq!(second.header("References"), format!("{message_id} <first@klinik.example>"));
    assert_ne!(second.header("Message-ID"), message_id);
}

pub async fn a_reply_counts_once(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let other = road.letter_to("anna@home.example").await;
    let reply = Reply::new(&road, &anna, "einmal", &[]);
    assert_eq!(reply.send(&road, &anna).await, Answer::Taken);
    assert_eq!(road.deliver().await.len(), 1);
    assert_eq!(road.ask(&reply.errand()).await, Answer::Taken);
    // Its id, used for another letter.
    let mut stolen = reply;
    stolen.pickup = other.pickup;
    assert_eq!(road.ask(&stolen.errand()).await, Answer::Refused);
    assert!(road.queued().await.is_empty());
}

pub async fn what_is_not_believed_sends_nothing(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let ben = road.letter_to("ben@home.example").await;
    let second = road.letter_to("anna@home.example").await;
    let new = || Reply::new(&road, &anna, "Danke", &[("a.pdf", "application/pdf", b"%PDF-1")]);

    // In the voice of another reader, or of the same reader's other letter.
    assert_eq!(new().send(&road, &ben).await, Answer::Refused);
    assert_eq!(new().send(&road, &second).await, Answer::Refused);
    for errand_of in [ben.pickup, second.pickup, PickupId::random().unwrap()] {
        let mut elsewhere = new();
        elsewhere.pickup = errand_of;
        assert_eq!(elsewhere.send(&road, &anna).await, Answer::Refused);
    }
    let mut unsaid = new();
    unsaid.mac_over_another_slip = true;
    assert_eq!(unsaid.send(&road, &anna).await, Answer::Refused);
    // Well said, but about something else.
    for (member, value) in [
        ("letter", json!(second.letter)),
        ("conversation", second.slip()["conversation"].clone()),
        ("from", json!("ben@home.example")),
        ("reply", json!(ReplyId::random().unwrap())),
        ("is", json!("sealpost/v1/slip")),
        ("organisation", json!("00".repeat(32))),
    ] {
        let mut reply = new();
        reply.slip[member] = value;
        assert_eq!(reply.send(&road, &anna).await, Answer::Refused, "{member}");
    }
    // A part that was changed, exchanged, sealed under another key, or is missing.
    let mut flipped = new();
    *flipped.packets[1].last_mut().unwrap() ^= 1;
    assert_eq!(flipped.send(&road, &anna).await, Answer::Refused);
    let mut exchanged = new();
    exchanged.packets.swap(0, 1);
    assert_eq!(exchanged.send(&road, &anna).await, Answer::Refused);
    let mut foreign = new();
    let (key, _) = openpgp::session_key_for(&anna.released.certificate);
    foreign.packets[0] = openpgp::seal(&key, b"Danke");
    let hash = data_encoding::HEXLOWER.encode(&sealpost_vault::derive::sha256(&foreign.packets[0]));
    foreign.slip["parts"][0]["sha256"] = json!(hash);
    assert_eq!(foreign.send(&road, &anna).await, Answer::Refused);
    let mut missing = new();
    missing.packets.pop();
    assert_eq!(missing.send(&road, &anna).await, Answer::Refused);
    assert_eq!(road.ask(&new().errand()).await, Answer::Refused, "never uploaded");

    assert!(road.queued().await.is_empty());
    assert_eq!(road.pickup(anna.pickup).await.answered_at, 0);
    // None of it burned anything.
    assert_eq!(new().send(&road, &anna).await, Answer::Taken);
}

pub async fn fifty_replies_a_day(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    for _ in 0..49 {
        sqlx::query("insert into replies (reply_id, pickup_id, taken_at) values ($1, $2, $3)")
            .bind(ReplyId::random().unwrap().to_string())
            .bind(anna.pickup.to_string())
            .bind(START)
            .execute(road.stores.own.writer())
            .await
            .unwrap();
    }
    assert_eq!(Reply::new(&road, &anna, "50", &[]).send(&road, &anna).await, Answer::Taken);
    assert_eq!(road.deliver().await.len(), 1);
    let late = Reply::new(&road, &anna, "51", &[]);
    assert_eq!(late.send(&road, &anna).await, Answer::Refused);
    road.clock.set(START + 86_399);
    assert_eq!(road.ask(&late.errand()).await, Answer::Refused);
    assert!(road.queued().await.is_empty());
    road.clock.set(START + 86_400);
    assert_eq!(road.ask(&late.errand()).await, Answer::Taken);
    assert_eq!(road.deliver().await.len(), 1);
}

pub async fn an_ended_letter_has_no_voice(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let ben = road.letter_to("ben@home.example").await;
    road.gateway.withdraw(Withdrawal::Pickup(anna.pickup)).await.unwrap();
    assert_eq!(Reply::new(&road, &anna, "zu spät", &[]).send(&road, &anna).await, Answer::Refused);
    // The date counts, not the job that keeps it.
    road.clock.set(START + LIFETIME - 1);
    assert_eq!(Reply::new(&road, &ben, "rechtzeitig", &[]).send(&road, &ben).await, Answer::Taken);
    road.clock.set(START + LIFETIME);
    assert_eq!(Reply::new(&road, &ben, "zu spät", &[]).send(&road, &ben).await, Answer::Refused);
    assert_eq!(road.waiting().await, [(Kind::Answer, SENDER.to_owned())]);
}
