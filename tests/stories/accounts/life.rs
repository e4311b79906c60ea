//! An account's ordinary life, on both databases: made on a phone, used at a desk, answered from, written to.

use super::{PASSPHRASE, has_no_secret, pickup_in};
use crate::browser::Browser;
use crate::world::{Database, READER, SENDER, World, address_in, contains, is_code};

#[tokio::test(flavor = "multi_thread")]
async fn an_account_lives_on_sqlite() {
    life(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_lives_on_postgres() {
    life(Database::Postgres).await;
}

async fn life(database: Database) {
    let world = World::start(database).await;
    let name = |step: &str| format!("account-{step}");
    let first = world.write("Erster canary-subject-3131", "canary-body-3232").await;
    let mut phone = Browser::phone().await;
    phone.read(&world, &address_in(&first)).await;

    // a passphrase is chosen; a weak one is refused here, and nothing was sent
    phone.shown("offer").await;
    phone.look_at(&name("1-offer-phone")).await;
    phone.click("offer-button").await;
    phone.step("enrol").await;
    for (weak, why) in [("kurz", "too short"), ("passwort1234567", "easy to guess")] {
        phone.fill("new-passphrase", weak).await;
        phone.click("enrol-button").await;
        let said = phone.shown("new-passphrase-error").await;
        assert!(said.contains(why), "{weak}: {said}");
    }
    phone.look_at(&name("2-enrol-phone")).await;
    phone
        .script(
            "const heading = document.getElementById('working-heading');
             window.headings = [];
             new MutationObserver(() => window.headings.push(heading.textContent)).observe(heading, { childList: true });",
        )
        .await;
    phone.fill("new-passphrase", PASSPHRASE).await;
    phone.click("enrol-button").await;
    phone.step("recovery").await;
    let headings = phone.script("return window.headings.join(' ')").await;
    assert!(headings.as_str().unwrap().contains("Your account is being confirmed"), "{headings}");
    phone.look_at(&name("3-recovery-phone")).await;
    phone.click("recovery-button").await;
    assert!(phone.shown("recovery-kept-error").await.contains("keep the code first"));
    let recovery = phone.take_recovery_code().await;
    phone.step("letter").await;
    phone.look_at(&name("4-letter-in-account-phone")).await;
    world.link_ended(&pickup_in(&first)).await;

    // reader and sender are told, of the same key
    let fingerprint = world.sealpost.command(&["accounts", "show", READER]);
    let fingerprint = fingerprint
        .lines()
        .find(|line| line.starts_with("key"))
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .to_lowercase();
    assert_eq!(fingerprint.len(), 64, "{fingerprint}");
    let to_reader = world.outside(READER, |mail| mail.subject().contains("Your account on the portal")).await;
    let to_sender = world.inside(SENDER, |mail| mail.subject().contains("has an account now")).await;
    for mail in [&to_reader, &to_sender] {
        let text: String = mail.text().split_whitespace().collect::<String>().to_lowercase();
        assert!(text.contains(&fingerprint), "{}", mail.text());
    }

    // the second letter is sealed straight to the account
    let second = world.write("Zweiter canary-subject-3333", "canary-body-3434").await;
    has_no_secret(&second);
    assert_eq!(world.ways(&pickup_in(&second)).await, ("0".to_owned(), "1".to_owned()));
    phone.go(&address_in(&second)).await;
    phone.step("letter").await;
    assert_eq!(phone.text_of("letter-subject").await, "Zweiter canary-subject-3333");
    assert!(phone.text_of("letter-text").await.contains("canary-body-3434"));
    phone.discard().await;
    phone.watch().await;
    phone.step("letter").await;
    phone.answer("canary-answer-3535").await;

    // the answer, in the sender's own mailbox, signed
    let answer = world.inside(SENDER, |mail| mail.text().contains("canary-answer-3535")).await;
    assert_eq!(answer.header("X-Sealpost-Assurance").as_deref(), Some("signed-by-the-enrolled-key"));
    assert!(answer.text().contains("It is signed with the key that"), "{}", answer.text());
    for thread in ["In-Reply-To", "References"] {
        assert!(answer.header(thread).unwrap().contains("<letter-2@klinik.example>"), "{thread}");
    }
    let reply_address = answer.parsed().from().unwrap().first().unwrap().address().unwrap().to_owned();

    // another browser: the link asks to sign in, and leads back to the letter
    let desk = phone.desk().await;
    desk.go(&address_in(&second)).await;
    desk.step("bare").await;
    desk.look_at(&name("5-bare-desk")).await;
    desk.click("bare-sign-in").await;
    desk.step("sign-in").await;
    desk.look_at(&name("6-sign-in-desk")).await;
    desk.sign_in("Paula@Mail.Example", PASSPHRASE).await;
    desk.step("letter").await;
    assert!(desk.text_of("letter-text").await.contains("canary-body-3434"));

    // the sender answers from an ordinary program: sealed straight, same conversation
    let third = world.write_to(&reply_address, "Re: Zweiter", "canary-body-3636").await;
    has_no_secret(&third);
    assert_eq!(world.ways(&pickup_in(&third)).await, ("0".to_owned(), "1".to_owned()));
    desk.account_page(&world, "/account").await;
    desk.step("list").await;
    desk.until("document.querySelectorAll('#conversations .entry').length === 4").await;
    assert_eq!(desk.script("return document.querySelectorAll('#conversations .conversation').length").await, 2);
    let listed = desk.text_of("conversations").await;
    for shown in ["Erster canary-subject-3131", "Zweiter canary-subject-3333", "Dr. Anna Weber", "You"] {
        assert!(listed.contains(shown), "{shown} in {listed}");
    }
    desk.look_at(&name("7-list-desk")).await;
    desk.color_scheme("dark").await;
    desk.look_at(&name("8-list-desk-dark")).await;

    // the own reply, on the browser that didn't write it; an old letter; the newest
    desk.script("document.querySelector('#conversations a[href^=\"#r-\"]').click()").await;
    desk.step("own-reply").await;
    assert!(desk.text_of("own-text").await.contains("canary-answer-3535"));
    desk.look_at(&name("9-own-reply-desk")).await;
    for (letter, text) in [(&first, "canary-body-3232"), (&third, "canary-body-3636")] {
        desk.account_page(&world, &format!("/account#l-{}", pickup_in(letter))).await;
        desk.step("letter").await;
        desk.until(&format!("document.getElementById('letter-text').textContent.includes('{text}')")).await;
    }
    desk.account_page(&world, "/account#settings").await;
    desk.step("settings").await;
    assert!(desk.shown("settings-vouch").await.contains("Confirmed by the signature"));
    let shown: String = desk.text_of("settings-fingerprint").await.split_whitespace().collect();
    assert_eq!(shown.to_lowercase(), fingerprint);
    desk.look_at(&name("10-settings-desk")).await;

    phone.nothing_went_wrong().await;
    desk.nothing_went_wrong().await;
    let codes = world.behind.maildir().of(READER).iter().filter(|mail| is_code(mail)).count();
    assert_eq!(codes, 1, "no code after the first letter");
    let exported = world.audited(&["enrolled", "signed-in", "answered", "opened", "link-ended"]).await;
    assert!(exported.contains("\"way\":\"account\"") && exported.contains("\"proof\":\"signature\""), "{exported}");
    world.hides(
        &exported,
        &[
            "canary-subject-3131",
            "canary-subject-3333",
            "canary-body-3232",
            "canary-body-3434",
            "canary-body-3636",
            "canary-answer-3535",
            PASSPHRASE,
            &recovery,
        ],
    );
    assert!(!contains(exported.as_bytes(), "canary"));
}
