//! A message's whole life, on both databases: in over SMTP, sealed, picked up, answered, answered again, withdrawn.

use std::fs;

use crate::browser::{Browser, Screen};
use crate::reader::next_code;
use crate::world::{Database, READER, SENDER, World, code_in, contains, is_code, is_notification, letter, link_in};

const SUBJECT: &str = "[secure] Befund vom Montag canary-subject-4711";
const TEXT: &str = "Liebe Frau Patient, der Wert ist canary-body-0815 und damit gut.";
const ENCLOSURE: (&str, &[u8]) = ("Befund canary-name-2342.pdf", b"%PDF-1.4 canary-enclosure-9001 \x00\xff\x80 end");
const ANSWER: &str = "Danke! Ich nehme Vitamin D.\nGrüße, canary-answer-1337";

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_lives_on_sqlite() {
    life(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_lives_on_postgres() {
    life(Database::Postgres).await;
}

async fn life(database: Database) {
    let world = World::start(database).await;
    let name = |step: &str| format!("{}-{step}", if database == Database::Sqlite { "sqlite" } else { "postgres" });

    // in over SMTP, from an ordinary mail server
    world.submit(SENDER, &[READER], &letter(SUBJECT, READER, TEXT, ENCLOSURE)).await;
    let notification = world.outside(READER, is_notification).await;
    check_notification(&notification);
    let link = link_in(&notification);
    let secret = link.split_once('#').unwrap().1.to_owned();

    // picked up on a phone, whose owner leaves the tab to fetch the code
    let mut phone = Browser::start(Screen::Phone).await;
    phone.driver().goto(&link).await.unwrap();
    phone.step("greeting").await;
    assert!(!phone.driver().current_url().await.unwrap().as_str().contains(&secret), "the secret left the address bar");
    phone.look_at(&name("1-greeting-phone")).await;
    phone.click("greeting-button").await;
    phone.step("code").await;
    phone.look_at(&name("2-code-phone")).await;
    phone.discard().await;
    phone.step("code").await;
    let code = code_in(&next_code(&world, 0).await);
    phone.type_into("code", &code).await;
    phone.step("letter").await;
    assert_eq!(phone.text_of("letter-subject").await, "Befund vom Montag canary-subject-4711");
    let shown =
        phone.script("return document.querySelector('#letter-html iframe').contentDocument.body.innerHTML").await;
    let shown = shown.as_str().unwrap();
    assert!(
        shown.contains("canary-body-0815") && !shown.contains("<script") && !shown.contains("tracker.example"),
        "{shown}"
    );
    phone.look_at(&name("3-letter-phone")).await;

    // opening spends nothing: a reload, and the same link again
    phone.driver().refresh().await.unwrap();
    phone.step("letter").await;
    phone.driver().goto(&link).await.unwrap();
    phone.step("letter").await;

    // the enclosure, saved
    phone.script("document.querySelector('#enclosure-list button').click()").await;
    assert_eq!(phone.download(ENCLOSURE.0).await, ENCLOSURE.1);

    // an answer; half-written it survives a discarded tab
    phone.click("reply-open").await;
    phone.type_into("reply-text", ANSWER).await;
    let attachment = world.scratch.path().join("canary-attachment.txt");
    fs::write(&attachment, "canary-attached-5150\n").unwrap();
    phone.discard().await;
    phone.step("letter").await;
    phone.until("document.getElementById('reply-text').value.includes('canary-answer-1337')").await;
    phone.choose_file("reply-files", &attachment).await;
    phone.look_at(&name("4-reply-phone")).await;
    phone.click("reply-send").await;
    phone.until("!document.getElementById('reply-sent').hidden").await;
    phone.look_at(&name("5-sent-phone")).await;

    // the answer in the sender's mailbox, in the same thread
    let answer = world.inside(SENDER, |mail| mail.text().contains("canary-answer-1337")).await;
    let original = format!("first-{}@klinik.example", TEXT.len());
    assert!(answer.header("In-Reply-To").unwrap().contains(&original));
    assert!(answer.header("References").unwrap().contains(&original));
    assert!(answer.subject().ends_with("Befund vom Montag canary-subject-4711"), "{}", answer.subject());
    assert_eq!(answer.header("X-Sealpost-Assurance").as_deref(), Some("held-the-link"));
    assert_eq!(answer.header("X-Sealpost-Scan").as_deref(), Some("not-scanned"));
    assert!(answer.header("Auto-Submitted").is_none());
    let parsed = answer.parsed();
    assert_eq!(parsed.attachment_count(), 1);
    assert_eq!(parsed.attachment(0).unwrap().contents(), b"canary-attached-5150\n");
    let reply_address = parsed.from().unwrap().first().unwrap().address().unwrap().to_owned();
    assert!(reply_address.ends_with("@reply.klinik.example"), "{reply_address}");
    drop(phone);

    // answered from an ordinary mail program: sealed again, into the same conversation
    let again = format!(
        "From: {SENDER}\r\nTo: {reply_address}\r\nSubject: Re: Befund\r\nMessage-ID: <second@klinik.example>\r\n\
         In-Reply-To: {}\r\n\r\nDann weiter so. canary-second-6502\r\n",
        answer.header("Message-ID").unwrap()
    );
    world.submit(SENDER, &[&reply_address], again.as_bytes()).await;
    let second = world.outside(READER, |mail| is_notification(mail) && link_in(mail) != link).await;
    assert!(!contains(&second.bytes, "canary-second-6502") && !contains(&second.bytes, &reply_address));
    let desk = Browser::start(Screen::Desk).await;
    desk.read(&world, &link_in(&second)).await;
    assert!(desk.text_of("letter-text").await.contains("canary-second-6502"));
    assert!(desk.text_of("letter-to").await.contains(READER), "the reader's real address, not the reply address");
    desk.look_at(&name("6-second-letter-desk")).await;
    desk.color_scheme("dark").await;
    desk.look_at(&name("7-second-letter-desk-dark")).await;
    drop(desk);

    // nothing of it is readable anywhere
    let codes: Vec<String> =
        world.behind.maildir().of(READER).iter().filter(|mail| is_code(mail)).map(code_in).collect();
    assert_eq!(codes.len(), 2);
    let mut canaries = vec![
        "canary-subject-4711",
        "canary-body-0815",
        "canary-name-2342",
        "canary-enclosure-9001",
        "canary-answer-1337",
        "canary-attached-5150",
        "canary-second-6502",
    ];
    canaries.push(&secret);
    let lower = secret.to_lowercase();
    canaries.push(&lower);
    canaries.extend(codes.iter().map(String::as_str));
    let stored = world.everything_stored();
    for canary in &canaries {
        assert!(!contains(&stored, canary), "{canary} lies in the state directory or the log");
    }

    // withdrawn: gone at once, also for who was reading
    let listed = world.sealpost.command(&["letters", "list"]);
    let opened = listed.lines().find(|line| line.contains("opened")).unwrap_or_else(|| panic!("{listed}"));
    // its link is forgotten with the proof that it was opened
    let (code, said) = world.sealpost.failing(&["letters", "resend", opened.split_whitespace().nth(1).unwrap()]);
    assert!(code == Some(64) && said.contains("can't be sent again"), "{said}");
    for line in listed.lines() {
        let letter = line.split_whitespace().next().unwrap();
        world.sealpost.command(&["letters", "withdraw", letter]);
    }
    let stored = world.everything_stored();
    for canary in &canaries {
        assert!(!contains(&stored, canary), "{canary} lies in the state directory or the log");
    }
    let late = Browser::start(Screen::Phone).await;
    late.driver().goto(&link).await.unwrap();
    late.step("greeting").await;
    late.click("greeting-button").await;
    late.step("code").await;
    late.type_into("code", "12345678").await;
    late.until("!document.getElementById('code-error').hidden").await;
    late.look_at(&name("8-withdrawn-phone")).await;
}

fn check_notification(notification: &crate::maildir::Mail) {
    let source = String::from_utf8_lossy(&notification.bytes).into_owned();
    assert_eq!(notification.header("Auto-Submitted").as_deref(), Some("auto-generated"));
    assert!(notification.return_path().ends_with("@reply.klinik.example"), "{}", notification.return_path());
    let text = notification.text();
    for said in ["Anna Weber", SENDER, "Klinik am See", "+49 30 5550100"] {
        assert!(text.contains(said), "{said} is missing in:\n{text}");
    }
    for hidden in ["canary-subject", "canary-body", "canary-name", "Befund"] {
        assert!(!source.contains(hidden), "{hidden} is in the notification");
    }
    assert!(!link_in(notification).contains(READER) && !link_in(notification).contains("paula"));
    assert_eq!(notification.parsed().html_body_count(), 1);
}
