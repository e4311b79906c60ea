//! Messages that aren't as they should be.

use crate::bench::{Road, SENDER, marked};

pub async fn unreadable_mime_is_sealed_whole(road: Road) {
    let header =
        format!("From: {SENDER}\r\nTo: anna@home.example\r\nSubject: [secure] kaputt\r\nX-Sealpost-Protect: yes\r\n");
    for (kind, body) in [
        ("multipart/mixed", "--A\r\n\r\nx\r\n--A--\r\n"),
        (
            "multipart/mixed; boundary=A",
            "--A\r\n\r\nx\r\n--A\r\nContent-Transfer-Encoding: base64\r\nContent-Type: a/b\r\n\r\nJVBE*!\r\n--A--\r\n",
        ),
    ] {
        let text = format!("{header}Content-Type: {kind}\r\n\r\n{body}");
        road.send(SENDER, &["anna@home.example"], &text).await;
        let letter = road.only_reader().await;
        assert_eq!(letter.slip()["subject"], "kaputt");
        let parts = letter.parts(&road).await;
        let [(name, media_type, bytes)] = parts.as_slice() else { panic!("{} parts", parts.len()) };
        assert_eq!((name.as_str(), media_type.as_str()), ("message.eml", "message/rfc822"));
        let whole =
            format!("From: {SENDER}\r\nTo: anna@home.example\r\nSubject: kaputt\r\nContent-Type: {kind}\r\n\r\n{body}");
        assert_eq!(String::from_utf8_lossy(bytes), whole);
    }
}

/// No index takes it, and no answer could name it.
pub async fn a_message_id_without_an_end_keeps_nothing_waiting(road: Road) {
    use sealpost_vault::id::Token;
    for length in [900_usize, 1_100, 4_000, 60_000] {
        // Nothing that a database could make shorter.
        let tokens = length / 26 + 1;
        let mut id: String = (0..tokens).map(|_| Token::random().unwrap().to_string()).collect();
        id.truncate(length);
        let text = marked("anna@home.example").replace("first@klinik.example", &format!("{id}@klinik.example"));
        road.send(SENDER, &["anna@home.example"], &text).await;
        assert!(road.gateway.spool().list().await.unwrap().is_empty(), "{length}");
        let letter = road.only_reader().await;
        assert_eq!(letter.parts(&road).await[0].2, b"Guten Tag\n", "{length}");
        let next = format!("References: <{id}@klinik.example>\r\n{}", marked("anna@home.example"));
        road.send(SENDER, &["anna@home.example"], &next).await;
        let conversation = |slip: &serde_json::Value| slip["conversation"].as_str().unwrap().to_owned();
        let joined = conversation(&road.only_reader().await.slip()) == conversation(&letter.slip());
        assert_eq!(joined, length < 998, "{length}");
    }
}

pub async fn more_than_fifty_hops_are_a_loop(road: Road) {
    let hops = |n: usize| format!("{}{}", "Received: from a by b\r\n".repeat(n), marked("anna@home.example"));
    let refused = road.submit(SENDER, &["anna@home.example"], &hops(51)).await.unwrap_err();
    assert_eq!((refused.code, refused.enhanced), (554, "5.4.6"));
    assert!(road.gateway.spool().list().await.unwrap().is_empty());
    road.send(SENDER, &["anna@home.example"], &hops(50)).await;
    assert_eq!(road.only_reader().await.parts(&road).await[0].2, b"Guten Tag\n");
}

pub async fn without_a_sender_inside_nothing_is_held(road: Road) {
    // A stranger's tags don't count; what says of itself that it is private doesn't leave in the clear, whoever wrote it.
    let private = format!("Sensitivity: Private\r\n{}", marked("ben@home.example"));
    for from in ["", "anna@home.example", "weber@klinik.example.evil.example"] {
        let refused = road.submit(from, &["ben@home.example"], &private).await.unwrap_err();
        assert_eq!((refused.code, refused.enhanced), (550, "5.7.1"), "{from}");
    }
    road.carry().await;
    assert!(road.queued().await.is_empty());
    assert_eq!(road.vault_rows("letters").await, 0);
}
