//! Conversations: the reply address, who may write there, and which mails join.

use sealpost_gateway::queue::{Kind, Route};
use sealpost_gateway::smtp::Door;
use sealpost_vault::errands::Answer;
use sealpost_vault::id::Token;

use crate::bench::{Road, SENDER, marked};
use crate::reader::Reader;
use crate::reply::Reply;

/// The reply address that an answer of this reader carries, and the answer's Message-ID.
async fn answered(road: &Road, reader: &Reader) -> (String, String) {
    assert_eq!(Reply::new(road, reader, "Danke", &[]).send(road, reader).await, Answer::Taken);
    let mails = road.deliver().await;
    let from = mails[0].parsed().from().unwrap().first().unwrap().address().unwrap().to_owned();
    (from, mails[0].header("Message-ID"))
}

fn follow_up(from: &str, to: &str) -> String {
    format!("From: {from}\r\nTo: {to}\r\nSubject: Re: Befund\r\nMessage-ID: <next@klinik.example>\r\n\r\nGern\r\n")
}

fn conversation(reader: &Reader) -> String {
    reader.slip()["conversation"].as_str().unwrap().to_owned()
}

pub async fn only_the_sender_and_colleagues_may_write_to_a_reply_address(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let (reply_address, _) = answered(&road, &anna).await;
    let submit = async |door, from: &str, to: &str| {
        road.submit_at(door, from, &[to], &follow_up(from, to)).await.map_err(|no| (no.code, no.enhanced))
    };
    for stranger in
        ["mueller@labor.example", "weber@klinik.example.evil.example", "anna@home.example", "x@sub.klinik.example"]
    {
        assert_eq!(submit(Door::Inside, stranger, &reply_address).await, Err((550, "5.7.1")), "{stranger}");
    }
    for sender in [SENDER, "anna@home.example", ""] {
        assert_eq!(submit(Door::Returns, sender, &reply_address).await, Err((550, "5.7.1")), "{sender}");
    }
    let unknown = format!("reply-{}@reply.klinik.example", Token::random().unwrap());
    for address in [unknown.as_str(), "reply-x@reply.klinik.example", "post@reply.klinik.example"] {
        assert_eq!(submit(Door::Inside, SENDER, address).await, Err((550, "5.1.1")), "{address}");
    }
    road.carry().await;
    assert!(road.queued().await.is_empty());

    // The sender, whatever the mail program makes of the address's case.
    submit(Door::Inside, "Weber@Klinik.Example", &reply_address.to_uppercase()).await.unwrap();
    road.carry().await;
    let again = road.only_reader().await;
    assert_eq!(again.address, "anna@home.example");
    assert_eq!(conversation(&again), conversation(&anna));
    assert_ne!(again.letter, anna.letter);
    let slip = again.slip();
    assert_eq!(slip["to"][0]["address"], "anna@home.example", "the reader's own address, not the reply address");
    assert!(!slip.to_string().contains("reply-"));
    assert_eq!(slip["subject"], "Re: Befund");
}

pub async fn automatic_mail_to_a_reply_address_is_dropped(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let (reply_address, _) = answered(&road, &anna).await;
    let vacation = format!("Auto-Submitted: auto-replied\r\n{}", follow_up(SENDER, &reply_address));
    road.submit(SENDER, &[&reply_address], &vacation).await.unwrap();
    road.submit("", &[&reply_address], &follow_up("MAILER-DAEMON@klinik.example", &reply_address)).await.unwrap();
    road.carry().await;
    assert!(road.gateway.spool().list().await.unwrap().is_empty());
    assert!(road.queued().await.is_empty());
    assert_eq!(road.vault_rows("letters").await, 1);
    // Automatic or not, a stranger learns nothing more.
    let refused = road.submit("x@labor.example", &[&reply_address], &vacation).await.unwrap_err();
    assert_eq!((refused.code, refused.enhanced), (550, "5.7.1"));
}

pub async fn a_colleagues_answer_is_a_letter_of_the_colleague(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let (reply_address, _) = answered(&road, &anna).await;
    let text = follow_up("Schwester Kim <kim@klinik.example>", &reply_address);
    road.send("kim@klinik.example", &[&reply_address], &text).await;
    let mails = road.deliver().await;
    let [notification] = mails.as_slice() else { panic!("{mails:?}") };
    assert!(notification.text().contains("kim@klinik.example") && !notification.mentions(SENDER));
    let letter = Reader::of(&road, notification).await;
    assert_eq!(road.pickup(letter.pickup).await.sender.to_string(), "kim@klinik.example");
    assert_eq!(letter.slip()["from"][0]["address"], "kim@klinik.example");
    assert_eq!(conversation(&letter), conversation(&anna));
    // What the reader says to it goes to the colleague, and still leads into the one conversation.
    assert_eq!(Reply::new(&road, &letter, "Danke", &[]).send(&road, &letter).await, Answer::Taken);
    let answer = &road.deliver().await[0];
    assert_eq!(answer.recipients, ["kim@klinik.example"]);
    assert_eq!(answer.header("In-Reply-To"), "<next@klinik.example>");
    assert!(answer.header("References").starts_with("<first@klinik.example>"), "{}", answer.header("References"));
    assert!(answer.header("From").contains(&reply_address));
}

pub async fn a_mail_that_names_an_earlier_one_joins_its_conversation(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let (_, answer_id) = answered(&road, &anna).await;
    let mail = |field: &str, id: &str| {
        let text = marked("anna@home.example").replace("first@", &format!("{}@", Token::random().unwrap()));
        format!("{field}: <old@x.example>\r\n {id}\r\n{text}")
    };
    let sent = async |from: &str, to: &str, text: String| {
        road.send(from, &[to], &text).await;
        conversation(&road.only_reader().await)
    };
    let known = conversation(&anna);
    for (field, id) in [("References", "<first@klinik.example>"), ("In-Reply-To", answer_id.as_str())] {
        assert_eq!(sent(SENDER, "Anna@home.example", mail(field, id)).await, known, "{field}");
    }
    let first = || mail("References", "<first@klinik.example>");
    assert_ne!(sent("kim@klinik.example", "anna@home.example", first()).await, known, "another sender");
    assert_ne!(sent(SENDER, "ben@home.example", first()).await, known, "another reader");
    assert_ne!(sent(SENDER, "anna@home.example", mail("References", "<other@klinik.example>")).await, known);
    assert_ne!(
        sent(SENDER, "anna@home.example", marked("anna@home.example")).await,
        known,
        "the same id names nothing"
    );
}

pub async fn reply_addresses_do_not_leave(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let (reply_address, _) = answered(&road, &anna).await;
    let upper = reply_address.to_uppercase();
    let header = |subject: &str| {
        format!(
            "From: Dr. Weber <{SENDER}>\r\nTo: \"Anna\" <{reply_address}>, carla@home.example\r\nCc: {upper}\r\n\
             Reply-To: {SENDER}, {reply_address}\r\nSubject: {subject}\r\nMessage-ID: <n@klinik.example>\r\n\r\nGern\r\n"
        )
    };
    // Copies in the clear: outside with the real address, inside as it came.
    road.send(SENDER, &["carla@home.example", "kim@klinik.example"], &header("plan")).await;
    for mail in road.deliver().await {
        assert_eq!(mail.kind, Kind::Relayed);
        let real = mail.route == Route::Outside;
        assert_eq!(mail.mentions(&reply_address), !real, "{mail:?}");
        assert_eq!(mail.mentions("anna@home.example"), real, "{mail:?}");
        assert_eq!(mail.mentions(&upper), !real, "{mail:?}");
    }
    // Only in Reply-To.
    let only = format!("From: {SENDER}\r\nTo: carla@home.example\r\nReply-To: {reply_address}\r\n\r\nGern\r\n");
    road.send(SENDER, &["carla@home.example"], &only).await;
    let mails = road.deliver().await;
    assert_eq!(mails[0].header("Reply-To"), "anna@home.example");

    // Sealed whole, because nobody can read it.
    let broken = header("[secure] plan").replace("\r\n\r\n", "\r\nContent-Type: multipart/mixed\r\n\r\n");
    road.send(SENDER, &["carla@home.example"], &broken).await;
    let (name, _, whole) = road.only_reader().await.parts(&road).await.remove(0);
    let whole = String::from_utf8(whole).unwrap();
    assert_eq!(name, "message.eml");
    assert!(whole.contains("Cc: anna@home.example") && !whole.to_lowercase().contains("@reply.klinik"), "{whole}");

    // Sealed: both readers see each other by their real addresses.
    road.send(SENDER, &[&reply_address, "carla@home.example"], &header("[secure] plan")).await;
    let mails = road.deliver().await;
    assert_eq!(mails.len(), 2);
    for mail in mails {
        let slip = Reader::of(&road, &mail).await.slip();
        assert!(!slip.to_string().to_lowercase().contains("reply-"), "{slip}");
        assert_eq!(slip["to"][0]["address"], "anna@home.example");
        assert_eq!(slip["cc"][0]["address"], "anna@home.example");
    }
}

pub async fn an_answer_to_all_is_one_letter_for_all(road: Road) {
    let text = marked("anna@home.example, ben@home.example");
    road.send(SENDER, &["anna@home.example", "ben@home.example"], &text).await;
    let mut known = String::new();
    let mut addresses = Vec::new();
    for mail in road.deliver().await {
        let reader = Reader::of(&road, &mail).await;
        known = conversation(&reader);
        addresses.push(answered(&road, &reader).await.0);
    }
    assert_ne!(addresses[0], addresses[1], "each reader has an address of their own");
    let text = follow_up(SENDER, &addresses.join(", "));
    let to: Vec<&str> = addresses.iter().map(String::as_str).collect();
    road.send(SENDER, &to, &text).await;
    let mails = road.deliver().await;
    assert_eq!(mails.len(), 2);
    let (one, other) = (Reader::of(&road, &mails[0]).await, Reader::of(&road, &mails[1]).await);
    assert_eq!((one.letter, conversation(&one)), (other.letter, known));
    assert_eq!(one.slip()["for"].as_array().unwrap().len(), 2);
}
