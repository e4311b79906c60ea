//! Each mail is parsed again by a parser that isn't lettre's, and looked at field by field.

use mail_parser::{Address, HeaderValue, Message, MessageParser, MimeHeaders, PartType};

use super::*;
use crate::message::{Part, PartKind};
use sealpost_vault::address::Identity;

mod answers;

const NOW: Time = 1_790_000_000;
const LINK: &str =
    "https://letters.klinik.example/p/01k5h2q8w3t7e9r4y6n0b2m5cd#7h3kq9v2m4xd8w5rt6yb1n0cz3fj5gpa2e4shm6v";
const CODE: &str = "7H3K-Q9V2-M4XD-8W5R-T6YB-1N0C-Z3FJ-5GPA-2E4S";

fn head() -> Letterhead {
    Letterhead {
        organisation: Organisation {
            name: "Klinikum Musterstadt".to_owned(),
            telephone: "+49 30 1234567".to_owned(),
            website: "https://www.klinik.example".to_owned(),
            portal: "https://letters.klinik.example".to_owned(),
            colour: "#1d5f8a".to_owned(),
            logo: String::new(),
            language: Language::En,
        },
        from: address("portal@klinik.example"),
        hostname: "mx.klinik.example".to_owned(),
    }
}

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

fn file(name: &str, media_type: &str, bytes: &[u8]) -> Part {
    Part { kind: PartKind::Enclosure, name: name.to_owned(), media_type: media_type.to_owned(), bytes: bytes.to_vec() }
}

fn first<'a>(sender: &'a EmailAddress, to: &'a EmailAddress) -> Notification<'a> {
    Notification {
        sender_name: "Dr. Anna Weber",
        sender,
        to,
        opening: Opening::Link { link: LINK, pickup_code: CODE },
        expires_at: NOW + 30 * 86_400,
        language: Language::En,
        follow_up: FollowUp::First,
        message_id: "n1@mx.klinik.example",
    }
}

fn reply<'a>(reader: &'a Identity, reply_address: &'a EmailAddress, to: &'a EmailAddress) -> Answer<'a> {
    Answer {
        reader,
        reply_address,
        to,
        subject: "Re: Ihr Befund",
        text: "Danke!",
        enclosures: &[],
        in_reply_to: Some("orig@klinik.example"),
        references: &[],
        message_id: "a1@mx.klinik.example",
        assurance: Assurance::HeldTheLink,
        scan: Scan::NotScanned,
        language: Language::En,
    }
}

/// What holds for every mail; gives it back parsed.
fn well_formed(bytes: &[u8]) -> Message<'_> {
    assert!(bytes.ends_with(b"\r\n"));
    assert!(bytes.is_ascii(), "7bit throughout");
    for (at, line) in bytes.split(|b| *b == b'\n').enumerate() {
        assert!(line.len() <= 999, "line {at} is long");
        let (last, before) = line.split_last().unwrap_or((&b'\r', &[]));
        assert!(*last == b'\r' || line.is_empty(), "line {at} ends with a bare LF");
        assert!(!before.contains(&b'\r'), "line {at} has a bare CR");
    }
    let message = MessageParser::default().parse(bytes).unwrap();
    for once in ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"] {
        let count = message.headers_raw().filter(|(name, _)| name.eq_ignore_ascii_case(once)).count();
        assert_eq!(count, 1, "{once}");
    }
    assert!(message.headers_raw().all(|(name, _)| !name.eq_ignore_ascii_case("Bcc")));
    for part in &message.parts {
        assert!(!part.is_encoding_problem);
    }
    let whole: String =
        message.text_bodies().chain(message.html_bodies()).filter_map(|part| part.text_contents()).collect();
    assert!(!whole.contains("[mail-") && !whole.contains("{$"), "a text is missing: {whole}");
    message
}

fn one<'a>(address: Option<&'a Address<'a>>) -> (Option<&'a str>, &'a str) {
    let all: Vec<_> = address.unwrap().iter().collect();
    assert_eq!(all.len(), 1);
    (all[0].name(), all[0].address().unwrap())
}

fn field<'a>(message: &'a Message<'_>, name: &'static str) -> Option<&'a str> {
    message.header_raw(name).map(str::trim)
}

fn html(message: &Message<'_>) -> String {
    message.body_html(0).unwrap().into_owned()
}

fn text(message: &Message<'_>) -> String {
    message.body_text(0).unwrap().into_owned()
}

/// Leaves a mail's HTML and text where somebody can look at them.
fn keep(name: &str, language: Language, bytes: &[u8]) {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/mails");
    std::fs::create_dir_all(&directory).unwrap();
    let message = MessageParser::default().parse(bytes).unwrap();
    let stem = format!("{name}.{}", language.code());
    std::fs::write(directory.join(format!("{stem}.eml")), bytes).unwrap();
    std::fs::write(directory.join(format!("{stem}.txt")), text(&message)).unwrap();
    if message.html_bodies().any(|part| matches!(part.body, PartType::Html(_))) {
        std::fs::write(directory.join(format!("{stem}.html")), html(&message)).unwrap();
    }
}

#[test]
fn notification_says_what_a_reader_needs() {
    let (sender, to) = (address("anna.weber@klinik.example"), address("Karl.Mueller@mail.example"));
    for language in Language::ALL {
        for follow_up in [FollowUp::First, FollowUp::Again] {
            let facts = Notification { language, follow_up, ..first(&sender, &to) };
            let bytes = notification(&head(), &facts, NOW).unwrap();
            keep(if follow_up == FollowUp::First { "notification" } else { "follow_up" }, language, &bytes);
            let message = well_formed(&bytes);

            let (name, from) = one(message.from());
            assert!(name.unwrap().starts_with("Dr. Anna Weber ") && name.unwrap().ends_with("Klinikum Musterstadt"));
            assert_eq!(from, "portal@klinik.example");
            assert_eq!(one(message.to()), (None, "Karl.Mueller@mail.example"));
            assert!(message.subject().unwrap().contains("Klinikum Musterstadt"));
            assert_eq!(message.message_id(), Some("n1@mx.klinik.example"));
            assert_eq!(message.date().unwrap().to_timestamp(), NOW);
            assert_eq!(field(&message, "Auto-Submitted"), Some("auto-generated"));
            assert_eq!(field(&message, "Content-Language"), Some(language.code()));
            assert_eq!(message.reply_to(), None);

            let date = sealpost_texts::Texts::new(language).date(facts.expires_at);
            for body in [text(&message), html(&message)] {
                for needed in [
                    "Dr. Anna Weber",
                    "anna.weber@klinik.example",
                    "Klinikum Musterstadt",
                    "+49 30 1234567",
                    "https://www.klinik.example",
                    "https://letters.klinik.example",
                    LINK,
                    CODE,
                    &date,
                ] {
                    assert!(body.contains(needed), "{language:?} {follow_up:?}: {needed} is not in {body}");
                }
                assert!(!body.to_lowercase().contains("karl.mueller"), "the recipient's address is in {body}");
            }
        }
    }
}

#[test]
fn first_and_further_notifications_differ() {
    let (sender, to) = (address("anna.weber@klinik.example"), address("karl@mail.example"));
    let subject = |follow_up| {
        let bytes = notification(&head(), &Notification { follow_up, ..first(&sender, &to) }, NOW).unwrap();
        well_formed(&bytes).subject().unwrap().to_owned()
    };
    assert_eq!(subject(FollowUp::First), "A protected message from Klinikum Musterstadt");
    assert_eq!(subject(FollowUp::Again), "A further protected message from Klinikum Musterstadt");
}

#[test]
fn html_loads_nothing_and_runs_nothing() {
    let (sender, to) = (address("anna.weber@klinik.example"), address("karl@mail.example"));
    let mut head = head();
    head.organisation.name = "<script>alert(1)</script> & \"Söhne\"".to_owned();
    head.organisation.colour = "red;background:url(https://evil.example/x)".to_owned();
    head.organisation.website = "javascript:alert(1)".to_owned();
    let facts = Notification {
        sender_name: "<img src=x onerror=alert(1)>'",
        opening: Opening::Link { link: LINK, pickup_code: "<b>1</b>" },
        ..first(&sender, &to)
    };
    let bytes = notification(&head, &facts, NOW).unwrap();
    let body = html(&well_formed(&bytes));
    for never in [
        "<script",
        "<img",
        "<b>",
        "<link",
        "<style",
        "url(",
        "@import",
        "src=\"",
        "href=\"javascript",
        "<table",
        "<form",
    ] {
        assert!(!body.contains(never), "{never} in {body}");
    }
    for piece in body.split("href=\"").skip(1) {
        assert!(piece.starts_with(LINK) || piece.starts_with("tel:+49301234567\""), "{piece}");
    }
}

#[test]
fn hostile_names_stay_names() {
    let (sender, to) = (address("anna.weber@klinik.example"), address("karl@mail.example"));
    for (name, shown) in [
        ("Dr. Anna Weber", Some("Dr. Anna Weber via Klinikum Musterstadt")),
        ("Jürgen Groß", Some("Jürgen Groß via Klinikum Musterstadt")),
        ("Weber, \"Anna\" (Radiologie); x", Some("Weber, Anna (Radiologie); x via Klinikum Musterstadt")),
        ("Anna\r\nBcc: thief@evil.example", Some("Klinikum Musterstadt")),
        ("Anna\r\nSubject: free money", Some("Anna Subject: free money via Klinikum Musterstadt")),
        ("=?utf-8?q?ceo=40bank=2Eexample?=", Some("=?utf-8?q?ceo=40bank=2Eexample?= via Klinikum Musterstadt")),
        ("\u{202e}rebeW\u{202c} annA\0", Some("rebeW annA via Klinikum Musterstadt")),
        ("ceo@bank.example", Some("Klinikum Musterstadt")),
        ("Anna <ceo@bank.example>", Some("Klinikum Musterstadt")),
        ("\"\\", Some("Klinikum Musterstadt")),
        ("", Some("Klinikum Musterstadt")),
    ] {
        let bytes = notification(&head(), &Notification { sender_name: name, ..first(&sender, &to) }, NOW).unwrap();
        let message = well_formed(&bytes);
        assert_eq!(one(message.from()), (shown, "portal@klinik.example"), "{name:?}");
        assert_eq!(message.subject(), Some("A protected message from Klinikum Musterstadt"));
    }
    for name in ["x".repeat(5000), "ü".repeat(5000), "a ".repeat(5000), "\"\\".repeat(5000)] {
        let bytes = notification(&head(), &Notification { sender_name: &name, ..first(&sender, &to) }, NOW).unwrap();
        let message = well_formed(&bytes);
        let (shown, from) = one(message.from());
        assert!(shown.unwrap().chars().count() < 150);
        assert_eq!(from, "portal@klinik.example");
    }
}

#[test]
fn unusual_addresses_are_written_as_they_are() {
    let sender = address("anna.weber@klinik.example");
    for to in
        ["\"a@b c\"@x.example", "\"a\\\"b\"@x.example", "karl@[192.0.2.1]", "karl@[IPv6:2001:db8::1]", "a%b@x.example"]
    {
        let to = address(to);
        let bytes = notification(&head(), &first(&sender, &to), NOW).unwrap();
        well_formed(&bytes);
        let written = String::from_utf8(bytes).unwrap();
        assert!(written.contains(&format!("\r\nTo: {to}\r\n")), "{to}");
    }
}

#[test]
fn code_is_in_the_body_and_nowhere_else() {
    let to = address("karl@mail.example");
    for language in Language::ALL {
        let [letter, account] = [CodeFor::Letter, CodeFor::Account]
            .map(|what| code(&head(), &to, "12345678", what, 10, language, "c1@mx.klinik.example", NOW).unwrap());
        keep("code", language, &letter);
        keep("account_code", language, &account);
        assert_ne!(text(&well_formed(&letter)), text(&well_formed(&account)));
    }
    for (language, what) in Language::ALL.into_iter().flat_map(|l| [(l, CodeFor::Letter), (l, CodeFor::Account)]) {
        let bytes = code(&head(), &to, "12345678", what, 10, language, "c1@mx.klinik.example", NOW).unwrap();
        let message = well_formed(&bytes);
        assert!(text(&message).contains("1234 5678"));
        let body = html(&message);
        assert!(body.contains(">1234<") && body.contains(">5678<"));
        assert!(text(&message).contains("10 Minut") || text(&message).contains("10 minutes"));
        for (name, value) in message.headers_raw() {
            assert!(!value.contains("1234") && !value.contains("5678"), "{name}: {value}");
        }
        assert_eq!(one(message.from()), (Some("Klinikum Musterstadt"), "portal@klinik.example"));
        assert_eq!(one(message.to()), (None, "karl@mail.example"));
        assert_eq!(field(&message, "Auto-Submitted"), Some("auto-generated"));
        assert!(!body.contains("karl@") && !body.contains("/p/"));
    }
}

#[test]
fn a_changed_passphrase_is_told_with_a_way_to_object() {
    let to = address("karl@mail.example");
    for language in Language::ALL {
        let bytes = passphrase_changed(&head(), &to, language, "p1@mx.klinik.example", NOW).unwrap();
        keep("passphrase", language, &bytes);
        let message = well_formed(&bytes);
        assert_eq!(one(message.to()), (None, "karl@mail.example"));
        assert_eq!(field(&message, "Auto-Submitted"), Some("auto-generated"));
        let date = sealpost_texts::Texts::new(language).date(NOW);
        for body in [text(&message), html(&message)] {
            for needed in ["Klinikum Musterstadt", "+49 30 1234567", &date] {
                assert!(body.contains(needed), "{needed} is not in {body}");
            }
            // Mails about passphrases that ask for a click are what thieves write.
            assert!(!body.contains("href=") && !body.contains("://"));
        }
    }
}

#[test]
fn reports_thread_with_the_letter_and_escape_the_servers_reply() {
    let (sender, recipient) = (address("anna.weber@klinik.example"), address("karl@mail.example"));
    let references = ["first@klinik.example".to_owned()];
    let original = Original {
        sender: &sender,
        recipient: &recipient,
        sent_at: NOW - 86_400,
        message_id: Some("orig@klinik.example"),
        references: &references,
    };
    let refusal = "550 5.1.1 <karl@mail.example>: user <b>unknown</b>\r\nBcc: thief@evil.example\r\n".to_owned()
        + &"x".repeat(9000);
    for language in Language::ALL {
        let told = undelivered(&head(), &original, &refusal, "u1@mx.klinik.example", language, NOW).unwrap();
        let gone = expired(&head(), &original, "e1@mx.klinik.example", language, NOW).unwrap();
        keep("undelivered", language, &told);
        keep("expired", language, &gone);
        for (bytes, id) in [(&told, "u1@mx.klinik.example"), (&gone, "e1@mx.klinik.example")] {
            let message = well_formed(bytes);
            assert_eq!(one(message.from()), (Some("Klinikum Musterstadt"), "portal@klinik.example"));
            assert_eq!(one(message.to()), (None, "anna.weber@klinik.example"));
            assert_eq!(message.message_id(), Some(id));
            assert_eq!(message.in_reply_to().as_text(), Some("orig@klinik.example"));
            assert_eq!(field(&message, "Auto-Submitted"), Some("auto-generated"));
            let date = sealpost_texts::Texts::new(language).date(NOW - 86_400);
            for body in [text(&message), html(&message)] {
                assert!(body.contains("karl@mail.example") && body.contains(&date), "{body}");
                assert!(!body.contains("/p/"), "{body}");
            }
            assert!(text(&message).contains("<orig@klinik.example>"));
        }
        let message = well_formed(&told);
        assert!(html(&message).contains("user &#60;b&#62;unknown"), "{}", html(&message));
        assert!(!html(&message).contains("<b>"));
        assert!(text(&message).contains("550 5.1.1") && text(&message).len() < 3000);
    }
    let unnamed = Original { message_id: None, references: &[], ..original };
    let bytes = expired(&head(), &unnamed, "e2@mx.klinik.example", Language::En, NOW).unwrap();
    let message = well_formed(&bytes);
    assert_eq!((field(&message, "In-Reply-To"), field(&message, "References")), (None, None));
    assert!(!text(&message).contains("Message-ID"));
}

#[test]
fn the_postmaster_is_told_which_message_waits() {
    let postmaster = address("postmaster@klinik.example");
    let id = sealpost_vault::id::QueueId::from_bytes([7; 16]);
    for language in Language::ALL {
        let bytes = stuck(&head(), &postmaster, id, "s1@mx.klinik.example", language, NOW).unwrap();
        keep("stuck", language, &bytes);
        let message = well_formed(&bytes);
        assert_eq!(one(message.to()), (None, "postmaster@klinik.example"));
        for body in [text(&message), html(&message)] {
            assert!(body.contains(&format!("sealpost queue show {id}")), "{body}");
        }
    }
}

#[test]
fn dates_beyond_the_calendar_do_not_stop_a_mail() {
    let to = address("karl@mail.example");
    for now in [i64::MIN, -1, 0, i64::MAX] {
        well_formed(&code(&head(), &to, "12345678", CodeFor::Account, 10, Language::En, "c@x.example", now).unwrap());
    }
}

#[test]
fn every_mail_text_is_used_and_every_used_one_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts = std::fs::read_to_string(root.join("../texts/locales/en/texts.ftl")).unwrap();
    let known: std::collections::BTreeSet<&str> = texts
        .lines()
        .filter(|line| line.starts_with("mail-"))
        .filter_map(|line| line.split_once(" =").map(|(key, _)| key))
        .collect();
    let mut used = std::collections::BTreeSet::new();
    let mut directories = ["../templates/mail", "src/notify", "src/queue"].map(|path| root.join(path)).to_vec();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("tests.rs") || path.ends_with("tests") {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            for piece in source.split("\"mail-").skip(1) {
                used.insert(format!("mail-{}", piece.split('"').next().unwrap()));
            }
        }
    }
    let used: std::collections::BTreeSet<&str> = used.iter().map(String::as_str).collect();
    assert_eq!(known, used);
}

#[test]
fn to_an_enrolled_reader_a_notification_carries_no_secret() {
    let (sender, to) = (address("anna.weber@klinik.example"), address("karl@mail.example"));
    let (page, _) = LINK.split_once('#').unwrap();
    for language in Language::ALL {
        for follow_up in [FollowUp::First, FollowUp::Again] {
            let facts =
                Notification { language, follow_up, opening: Opening::Account { link: page }, ..first(&sender, &to) };
            let bytes = notification(&head(), &facts, NOW).unwrap();
            keep("straight", language, &bytes);
            let message = well_formed(&bytes);
            let (text, html) = (text(&message), html(&message));
            for said in [&text, &html] {
                assert!(said.contains(page));
                assert!(!said.contains(&format!("{page}#")));
                assert!(!said.contains(CODE) && !said.contains("[pickup-code]"));
                assert!(said.contains("https://letters.klinik.example") && said.contains("+49 30 1234567"));
            }
            assert_eq!(html.matches("href=\"https://letters").count(), 2);
        }
    }
}

#[test]
fn mails_about_keys_name_reader_and_fingerprint() {
    let fingerprint = "0123456789ABCDEF".repeat(4);
    let (sender, contact) = (address("anna.weber@klinik.example"), address("postmaster@klinik.example"));
    let reader = Identity::from_stored("karl@mail.example".to_owned());
    for (name, news, fingerprint) in [
        ("account-made", News::Made, fingerprint.as_str()),
        ("account-enrolled", News::Enrolled, &fingerprint),
        ("account-changed", News::Changed, &fingerprint),
        ("account-reset", News::Reset, ""),
    ] {
        for language in Language::ALL {
            let facts = Account {
                news,
                to: &sender,
                reader: &reader,
                fingerprint,
                contact: &contact,
                at: NOW,
                language,
                message_id: "k1@mx.klinik.example",
            };
            let bytes = account(&head(), &facts, NOW).unwrap();
            keep(name, language, &bytes);
            let message = well_formed(&bytes);
            let (text, html) = (text(&message), html(&message));
            assert!(!message.subject().unwrap().contains('['));
            assert!(text.contains("karl@mail.example") && html.contains("karl@mail.example"), "{name}");
            let shown = "0123 4567 89AB CDEF 0123";
            assert_eq!(
                (text.contains(shown), html.contains(shown)),
                (!fingerprint.is_empty(), !fingerprint.is_empty())
            );
            if matches!(news, News::Made | News::Changed) {
                assert!(text.contains("postmaster@klinik.example"), "{name}");
            }
            assert_eq!(field(&message, "Auto-Submitted"), Some("auto-generated"));
            assert!(!html.contains("<img") && !html.contains("<script"));
        }
    }
}
