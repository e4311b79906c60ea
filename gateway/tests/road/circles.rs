//! Who sees whom, and which way each recipient of one message goes.

use std::time::Duration;

use sealpost_gateway::queue::{Kind, Route};
use sealpost_vault::id::{ConversationId, QueueId, Token};

use crate::bench::{Road, SENDER, marked};
use crate::reader::Reader;

pub async fn readers_who_see_each_other_share_a_letter_and_others_do_not(road: Road) {
    let text = format!(
        "From: Dr. Weber <{SENDER}>\r\nTo: Anna <Anna@home.example>\r\nCc: ben@home.example, kim@klinik.example\r\n\
         Subject: [secure] Befund\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nGuten Tag\r\n--b\r\n\
         Content-Disposition: attachment; filename=a.pdf\r\nContent-Type: application/pdf\r\n\r\n%PDF\r\n--b--\r\n"
    );
    let to = ["anna@home.example", "ben@home.example", "dora@home.example", "emil@home.example", "ANNA@home.example"];
    road.send(SENDER, &to, &text).await;
    let mut readers = Vec::new();
    for mail in road.deliver().await {
        assert_eq!((mail.kind, mail.recipients.len()), (Kind::Notification, 1));
        readers.push(Reader::of(&road, &mail).await);
    }
    readers.sort_by_key(|reader| reader.address.to_lowercase());
    let [anna, ben, dora, emil] = readers.as_slice() else { panic!("{} readers", readers.len()) };
    assert_eq!(anna.letter, ben.letter);
    assert!(dora.letter != anna.letter && emil.letter != anna.letter && dora.letter != emil.letter);
    assert!(anna.released.slip == ben.released.slip);
    let mut secrets: Vec<&str> = readers.iter().map(|reader| reader.secret.as_str()).collect();
    secrets.sort_unstable();
    secrets.dedup();
    assert_eq!(secrets.len(), 4);

    let (shared, for_dora, for_emil) = (anna.slip(), dora.slip(), emil.slip());
    assert_eq!(shared["for"], serde_json::json!(["anna@home.example", "ben@home.example"]));
    assert_eq!(for_dora["for"], serde_json::json!(["dora@home.example"]));
    assert_eq!(for_emil["for"], serde_json::json!(["emil@home.example"]));
    assert_ne!(shared["conversation"], for_dora["conversation"]);
    assert_ne!(for_emil["conversation"], for_dora["conversation"]);
    for (slip, hidden) in [(&shared, ["dora", "emil"]), (&for_dora, ["emil", "emil"]), (&for_emil, ["dora", "dora"])] {
        assert!(hidden.iter().all(|name| !slip.to_string().contains(name)), "{slip}");
        assert_eq!(slip["parts"], shared["parts"]);
        assert_eq!((&slip["to"], &slip["cc"], &slip["from"]), (&shared["to"], &shared["cc"], &shared["from"]));
        assert_eq!(slip["subject"], "Befund");
    }
    // The same parts, stored once.
    assert_eq!((road.vault_rows("contents").await, road.vault_rows("parts").await), (1, 2));
    let parts = anna.parts(&road).await;
    assert_eq!(parts[0].2, b"Guten Tag");
    assert_eq!(
        (parts[1].0.as_str(), parts[1].1.as_str(), parts[1].2.as_slice()),
        ("a.pdf", "application/pdf", b"%PDF".as_slice())
    );
    for reader in [ben, dora, emil] {
        assert!(reader.parts(&road).await == parts);
    }
}

/// How long sealing for hidden readers took would tell of them.
pub async fn what_a_reader_sees_has_one_time_whoever_else_reads(road: Road) {
    let hidden: Vec<String> = (0..20).map(|n| format!("hidden{n}@home.example")).collect();
    let to: Vec<&str> = std::iter::once("anna@home.example").chain(hidden.iter().map(String::as_str)).collect();
    let message = road.submit(SENDER, &to, &marked("anna@home.example")).await.unwrap();
    let time = |id: &[u8; 16]| id[..6].to_vec();
    tokio::time::sleep(Duration::from_millis(5)).await;
    road.carry().await;
    let mails = road.deliver().await;
    assert_eq!(mails.len(), 21);
    let now = time(QueueId::random().unwrap().bytes());
    for mail in mails {
        let reader = Reader::of(&road, &mail).await;
        assert_eq!(time(reader.pickup.bytes()), time(message.bytes()));
        assert_eq!(time(reader.letter.bytes()), time(message.bytes()));
        // No time at all: the first four octets of one change every 65 seconds.
        let conversation: ConversationId = reader.slip()["conversation"].as_str().unwrap().parse().unwrap();
        let mail_id: Token =
            mail.header("Message-ID").trim_matches(['<', '>']).split('@').next().unwrap().parse().unwrap();
        assert_ne!(conversation.bytes()[..4], now[..4]);
        assert_ne!(mail_id.bytes()[..4], now[..4]);
    }
}

pub async fn each_recipient_goes_its_own_way(road: Road) {
    let text = format!("Bcc: a@archive.example\r\n{}", marked("anna@home.example"));
    let to = ["a@archive.example", "anna@home.example", "kim@klinik.example", "b@archive.example", "x@labor.example"];
    road.send(SENDER, &to, &text).await;
    let mut mails = road.deliver().await;
    mails.sort_by_key(|mail| (mail.kind.as_str(), mail.route.as_str()));
    let ways: Vec<_> = mails.iter().map(|mail| (mail.kind, mail.route, mail.recipients.join(" "))).collect();
    assert_eq!(
        ways,
        [
            (Kind::Notification, Route::Outside, "anna@home.example".to_owned()),
            (Kind::Relayed, Route::Inside, "kim@klinik.example x@labor.example".to_owned()),
            (Kind::Relayed, Route::Outside, "a@archive.example b@archive.example".to_owned()),
        ]
    );
    let letter = Reader::of(&road, &mails[0]).await;
    assert_eq!(letter.parts(&road).await[0].2, b"Guten Tag\n");
    assert!(!mails[0].mentions("Guten Tag") && !mails[0].mentions("Befund"));
    assert_eq!(letter.slip()["for"], serde_json::json!(["anna@home.example"]));
    for mail in &mails[1..] {
        assert_eq!(mail.reverse_path, SENDER);
        assert_eq!(mail.text(), "Guten Tag\r\n");
        assert_eq!(mail.header("Subject"), "Befund", "tags are ours");
        assert!(mail.header("Received").contains("gw.klinik.example"));
        assert!(!mail.mentions(&letter.secret));
    }
    assert!(letter.return_address.ends_with("@reply.klinik.example"));
}

pub async fn one_refused_recipient_refuses_the_message(road: Road) {
    let text = marked("anna@home.example");
    for to in [
        ["anna@home.example", "kim@klinik.example", "news@paper.example"],
        ["news@paper.example", "anna@home.example", "kim@klinik.example"],
    ] {
        let refused = road.submit(SENDER, &to, &text).await.unwrap_err();
        assert_eq!((refused.code, refused.enhanced), (550, "5.7.1"));
    }
    assert!(road.gateway.spool().list().await.unwrap().is_empty());
    road.carry().await;
    assert!(road.queued().await.is_empty());
    assert_eq!(road.vault_rows("letters").await, 0);
    // Unmarked, the press gets mail.
    road.send(SENDER, &["news@paper.example"], &text.replace("[secure] ", "")).await;
    assert_eq!(road.waiting().await, [(Kind::Relayed, "news@paper.example".to_owned())]);
}
