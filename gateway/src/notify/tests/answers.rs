//! Tests of what a reader writes, as the sender gets it.

use super::*;

#[test]
fn answer_is_mime_in_the_senders_thread() {
    let reader = address("karl.mueller@mail.example").identity();
    let (reply_address, to) = (address("r-7h3kq9v2@reply.klinik.example"), address("anna.weber@klinik.example"));
    let references = ["first@klinik.example".to_owned(), "orig@klinik.example".to_owned()];
    let photo: Vec<u8> = (0..=255_u8).cycle().take(200_000).collect();
    let enclosures = [
        file("Überweisung März 2026 – Seite 1.jpg", "image/jpeg", &photo),
        file("note.txt", "text/plain", "a\nb\r\nc grün".as_bytes()),
        file("forwarded.eml", "message/rfc822", b"From: a@b.example\r\n\r\n--=_sealpost--\r\n"),
        file("", "", b""),
    ];
    for language in Language::ALL {
        let facts = Answer {
            references: &references,
            enclosures: &enclosures,
            text: "Sehr geehrte Frau Doktor,\n\nvielen Dank für den Befund.\nViele Grüße\nKarl Müller\n",
            language,
            ..reply(&reader, &reply_address, &to)
        };
        let bytes = answer(&head(), &facts, NOW).unwrap();
        keep("answer", language, &bytes);
        let message = well_formed(&bytes);

        let (name, from) = one(message.from());
        assert_eq!(from, "r-7h3kq9v2@reply.klinik.example");
        assert!(
            name.unwrap().starts_with("karl.mueller@mail.example ") && name.unwrap().contains("Klinikum Musterstadt")
        );
        assert_eq!(one(message.to()), (None, "anna.weber@klinik.example"));
        assert_eq!(message.subject(), Some("Re: Ihr Befund"));
        assert_eq!(message.in_reply_to().as_text(), Some("orig@klinik.example"));
        let HeaderValue::TextList(thread) = message.references() else { panic!("one reference only") };
        assert_eq!(thread, &["first@klinik.example", "orig@klinik.example"]);
        assert_eq!(message.date().unwrap().to_timestamp(), NOW);
        assert_eq!(field(&message, "X-Sealpost-Assurance"), Some("held-the-link"));
        assert_eq!(field(&message, "X-Sealpost-Scan"), Some("not-scanned"));
        assert_eq!(field(&message, "Auto-Submitted"), None);

        let body = text(&message).replace("\r\n", "\n");
        let (banner, own) = body.split_once("\n----------------------------------------\n\n").unwrap();
        assert!(banner.contains("karl.mueller@mail.example") && banner.contains("Klinikum Musterstadt"));
        assert_eq!(own.trim_end(), facts.text.trim_end());

        assert_eq!(message.attachment_count(), enclosures.len());
        let unnamed = if language == Language::En { "enclosure" } else { "Anlage" };
        let expected = [
            ("Überweisung März 2026 – Seite 1.jpg", "image", "jpeg"),
            ("note.txt", "text", "plain"),
            ("forwarded.eml", "application", "octet-stream"),
            (unnamed, "application", "octet-stream"),
        ];
        for ((enclosure, sent), (name, main, kind)) in message.attachments().zip(&enclosures).zip(expected) {
            assert_eq!(enclosure.attachment_name(), Some(name));
            assert!(enclosure.content_disposition().unwrap().is_attachment());
            let content_type = enclosure.content_type().unwrap();
            assert_eq!((content_type.ctype(), content_type.subtype()), (main, Some(kind)));
            assert_eq!(enclosure.contents(), sent.bytes, "{name}");
        }
    }
}

#[test]
fn answers_text_arrives_exactly() {
    let reader = address("karl@mail.example").identity();
    let (reply_address, to) = (address("r@reply.klinik.example"), address("anna@klinik.example"));
    let long = "wort".repeat(5000);
    for own in [
        "",
        "plain",
        ".\n..\n.x",
        "--=_sealpost\nContent-Type: text/html\n\n<b>no</b>\n--=_sealpost--",
        "From here\n>From there",
        "trailing blanks  \n\ttabs\t\n\n\nend",
        "=41=\n= soft =3D",
        "grün 😀 \u{202e}txt\u{0}\u{7}",
        long.as_str(),
    ] {
        for enclosures in [&[][..], &[file("x.pdf", "application/pdf", b"%PDF")][..]] {
            let bytes =
                answer(&head(), &Answer { text: own, enclosures, ..reply(&reader, &reply_address, &to) }, NOW).unwrap();
            let message = well_formed(&bytes);
            let body = text(&message).replace("\r\n", "\n");
            let (banner, written) = body.split_once("\n----------------------------------------\n\n").unwrap();
            assert_eq!(written.strip_suffix('\n').unwrap_or(written), own);
            assert_eq!(banner.contains("not scanned"), !enclosures.is_empty());
            assert_eq!(message.attachment_count(), enclosures.len());
        }
    }
    // Line ends of any kind are line ends.
    let facts = Answer { text: "a\rb\r\nc\nd", ..reply(&reader, &reply_address, &to) };
    let bytes = answer(&head(), &facts, NOW).unwrap();
    assert!(text(&well_formed(&bytes)).replace("\r\n", "\n").trim_end().ends_with("a\nb\nc\nd"));
}

#[test]
fn hostile_subjects_and_ids_of_answers() {
    let reader = address("karl@mail.example").identity();
    let (reply_address, to) = (address("r@reply.klinik.example"), address("anna@klinik.example"));
    let encoded = "=?utf-8?b?Qm9v?= =?utf-8?q?=0D=0ABcc:_x?=";
    for (subject, expected) in [
        ("Re: Befund – März", "Re: Befund – März"),
        ("Re: a\r\nBcc: thief@evil.example\r\n\r\nbody", "Re: a Bcc: thief@evil.example body"),
        (encoded, encoded),
        ("  lots   of\tspace ", "lots of space"),
        ("\u{202e}gnp.exe", "gnp.exe"),
        ("", "Your message was answered"),
        ("\r\n", "Your message was answered"),
    ] {
        let bytes = answer(&head(), &Answer { subject, ..reply(&reader, &reply_address, &to) }, NOW).unwrap();
        assert_eq!(well_formed(&bytes).subject(), Some(expected), "{subject:?}");
    }
    for subject in ["x".repeat(9000), "ü".repeat(9000), "wort ".repeat(9000)] {
        let bytes = answer(&head(), &Answer { subject: &subject, ..reply(&reader, &reply_address, &to) }, NOW).unwrap();
        let message = well_formed(&bytes);
        let shown = message.subject().unwrap();
        assert!(
            shown.chars().count() <= 252
                && shown.ends_with('…')
                && subject.starts_with(shown.trim_end_matches('…').trim())
        );
    }
    let hostile = ["a@b>\r\nBcc: thief@evil.example".to_owned(), "ok@x.example".to_owned(), "x".repeat(2000)];
    let facts = Answer {
        in_reply_to: Some("p@x>\r\nBcc: thief@evil.example"),
        references: &hostile,
        ..reply(&reader, &reply_address, &to)
    };
    let bytes = answer(&head(), &facts, NOW).unwrap();
    let message = well_formed(&bytes);
    assert_eq!(field(&message, "In-Reply-To"), None);
    assert_eq!(field(&message, "References"), Some("<ok@x.example>"));

    let bad = Answer { message_id: "a b", ..reply(&reader, &reply_address, &to) };
    assert!(matches!(answer(&head(), &bad, NOW), Err(ComposeError::MessageId)));
}

#[test]
fn a_readers_quoted_local_part_does_not_pose() {
    let reader = address("\"ceo@bank.example>\"@evil.example").identity();
    let (reply_address, to) = (address("r@reply.klinik.example"), address("anna@klinik.example"));
    let bytes = answer(&head(), &reply(&reader, &reply_address, &to), NOW).unwrap();
    let message = well_formed(&bytes);
    assert_eq!(
        one(message.from()),
        (Some("_ceo_bank.example__@evil.example via Klinikum Musterstadt portal"), "r@reply.klinik.example")
    );
    assert!(!text(&message).contains("ceo@bank"));
}

#[test]
fn an_answer_says_with_which_key_it_was_signed() {
    let reader = Identity::from_stored("karl@mail.example".to_owned());
    let (reply_address, to) = (address("r-1@reply.klinik.example"), address("anna.weber@klinik.example"));
    for language in Language::ALL {
        let signed = Assurance::SignedByTheEnrolledKey { enrolled_at: NOW - 86_400 };
        let facts = Answer { assurance: signed, language, ..reply(&reader, &reply_address, &to) };
        let bytes = answer(&head(), &facts, NOW).unwrap();
        keep("answer-signed", language, &bytes);
        let message = well_formed(&bytes);
        assert_eq!(field(&message, "X-Sealpost-Assurance"), Some("signed-by-the-enrolled-key"));
        let date = sealpost_texts::Texts::new(language).date(NOW - 86_400);
        assert!(text(&message).contains(&date) && text(&message).contains("karl@mail.example"));
    }
}
