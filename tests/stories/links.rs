//! Links meet machines, strangers and forgetful people.

use crate::browser::{Browser, Screen};
use crate::http;
use crate::maildir::Mail;
use crate::reader::next_code;
use crate::world::{Database, READER, SENDER, World, code_in, is_code, is_notification, link_in};

fn plain(subject: &str, to: &str, text: &str) -> Vec<u8> {
    format!(
        "From: Dr. Weber <{SENDER}>\r\nTo: {to}\r\nSubject: [secure] {subject}\r\nMessage-ID: <{subject}@klinik.example>\r\n\r\n{text}\r\n"
    )
    .into_bytes()
}

async fn held(world: &World, subject: &str) -> Mail {
    let before = world.behind.maildir().of(READER).len();
    world.submit(SENDER, &[READER], &plain(subject, READER, "canary-text")).await;
    crate::patience::until("a notification", crate::world::MAIL, async || {
        world.behind.maildir().of(READER).into_iter().skip(before).find(is_notification)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_presses_the_button_locks_nobody_out() {
    let world = World::start(Database::Sqlite).await;
    let link = link_in(&held(&world, "scanned").await);
    // as many browsers of a scanner as the quota has codes, each presses the button
    for _ in 0..4 {
        let scanner = Browser::start(Screen::Desk).await;
        scanner.driver().goto(&link.replace('#', "%23")).await.unwrap();
        scanner.step("greeting").await;
        scanner.click("greeting-button").await;
        scanner.step("code").await;
    }
    let codes = world.behind.maildir().of(READER).iter().filter(|mail| is_code(mail)).count();
    assert!(codes <= 3, "{codes} codes were mailed");
    let newest = next_code(&world, codes - 1).await;
    let reader = Browser::start(Screen::Phone).await;
    reader.driver().goto(&link).await.unwrap();
    reader.step("greeting").await;
    reader.click("greeting-button").await;
    reader.step("code").await;
    reader.type_into("code", &code_in(&newest)).await;
    reader.step("letter").await;
    let sent = world.behind.maildir().of(READER).iter().filter(|mail| is_code(mail)).count();
    assert!(sent <= 3, "the quota held: {sent}");
    // a secret that stood in the path as %23 is in no log
    let secret = link.split_once('#').unwrap().1;
    assert!(!world.sealpost.log().contains(secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_five_times_kills_it_and_a_new_one_works() {
    let world = World::start(Database::Sqlite).await;
    let link = link_in(&held(&world, "guessed").await);
    let browser = Browser::start(Screen::Phone).await;
    browser.driver().goto(&link).await.unwrap();
    browser.step("greeting").await;
    browser.click("greeting-button").await;
    browser.step("code").await;
    let right = code_in(&next_code(&world, 0).await);
    let wrong = if right == "00000000" { "00000001" } else { "00000000" };
    for _ in 0..5 {
        browser.script("document.getElementById('code').value = ''").await;
        browser.type_into("code", wrong).await;
        browser
            .until("!document.getElementById('code-error').hidden && !document.getElementById('code-button').disabled")
            .await;
    }
    browser.script("document.getElementById('code').value = ''").await;
    browser.type_into("code", &right).await;
    browser
        .until("!document.getElementById('code-error').hidden && !document.getElementById('code-button').disabled")
        .await;
    browser.screenshot("code-dead-phone").await;
    drop(browser);
    // the same link once more
    let again = Browser::start(Screen::Phone).await;
    again.read_after(&world, &link, 1).await;
}

impl Browser {
    async fn read_after(&self, world: &World, link: &str, codes_before: usize) {
        self.driver().goto(link).await.unwrap();
        self.step("greeting").await;
        self.click("greeting-button").await;
        self.step("code").await;
        let code = code_in(&next_code(world, codes_before).await);
        self.type_into("code", &code).await;
        self.step("letter").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_opens_by_typing_address_and_pickup_code() {
    let world = World::start(Database::Sqlite).await;
    let first = held(&world, "typed").await;
    let secret = link_in(&first).split_once('#').unwrap().1.to_owned();
    let text = first.text();
    let grouped = text
        .split_whitespace()
        .find(|word| word.contains('-') && word.replace('-', "").eq_ignore_ascii_case(&secret))
        .unwrap_or_else(|| panic!("the pickup code in groups in: {text}"))
        .to_owned();
    let portal = world.sealpost.setup().portal;
    let browser = Browser::start(Screen::Desk).await;
    browser.driver().goto(format!("http://localhost:{portal}/open")).await.unwrap();
    browser.step("open").await;
    browser.look_at("open-desk").await;
    browser.type_into("address", "Paula@Mail.Example").await;
    browser.type_into("secret", &grouped).await;
    browser.click("open-button").await;
    browser.step("code").await;
    let code = code_in(&next_code(&world, 0).await);
    browser.type_into("code", &code).await;
    browser.step("letter").await;
    assert_eq!(browser.text_of("letter-subject").await, "typed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_link_is_sent_again_and_nobody_learns_who_has_letters() {
    let world = World::start(Database::Sqlite).await;
    let first = held(&world, "lost").await;
    let portal = world.sealpost.setup().portal;
    let browser = Browser::start(Screen::Phone).await;
    let mut pages = Vec::new();
    for address in [READER, "stranger@mail.example"] {
        browser.driver().goto(format!("http://localhost:{portal}/lost")).await.unwrap();
        browser.type_into("address", address).await;
        browser.script("document.querySelector('form button').click()").await;
        browser.until("!document.querySelector('form') && document.readyState === 'complete'").await;
        pages.push(browser.driver().source().await.unwrap());
    }
    browser.look_at("lost-phone").await;
    assert_eq!(pages[0], pages[1]);
    let again = crate::patience::until("the notification again", crate::world::MAIL, async || {
        world.behind.maildir().of(READER).into_iter().filter(is_notification).nth(1)
    })
    .await;
    assert_eq!(link_in(&again), link_in(&first));
    assert!(world.behind.maildir().of("stranger@mail.example").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_letters_look_like_any_other() {
    let world = World::start(Database::Sqlite).await;
    let link = link_in(&held(&world, "known").await);
    let path = &link[link.find("/p/").unwrap()..link.find('#').unwrap()];
    let portal = world.sealpost.setup().portal;
    let known = http::get(portal, path).await.unwrap();
    for other in ["/p/00000000000000000000000000", "/p/x", "/p/..%2f..", &format!("{path}%23ABCD")] {
        let page = http::get(portal, other).await.unwrap();
        assert_eq!((page.status, &page.body), (known.status, &known.body), "{other}");
    }
    let browser = Browser::start(Screen::Phone).await;
    browser
        .driver()
        .goto(format!("http://localhost:{portal}/p/00000000000000000000000000#{}", link.split_once('#').unwrap().1))
        .await
        .unwrap();
    browser.step("greeting").await;
    browser.click("greeting-button").await;
    browser.step("code").await;
    browser.type_into("code", "12345678").await;
    browser.until("!document.getElementById('code-error').hidden").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tampered_ciphertext_is_said_and_nothing_shown() {
    let world = World::start(Database::Sqlite).await;
    let link = link_in(&held(&world, "tampered").await);
    let browser = Browser::start(Screen::Phone).await;
    browser.read(&world, &link).await;
    world.in_vault("update parts set packet = zeroblob(length(packet))").await;
    browser.driver().refresh().await.unwrap();
    browser.step("problem").await;
    assert!(!browser.driver().source().await.unwrap().contains("canary-text"));
    browser.look_at("tampered-phone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_javascript_a_page_explains() {
    let world = World::start(Database::Sqlite).await;
    let portal = world.sealpost.setup().portal;
    let browser = Browser::start(Screen::Phone).await;
    browser.command("Emulation.setScriptExecutionDisabled", serde_json::json!({"value": true})).await;
    browser.driver().goto(format!("http://localhost:{portal}/p/00000000000000000000000000")).await.unwrap();
    browser.screenshot("no-javascript-phone").await;
    let source = browser.driver().source().await.unwrap();
    assert!(source.contains("JavaScript") && source.contains("+49 30 5550100"), "{source}");
    let shown = browser.driver().find(thirtyfour::By::Css("body")).await.unwrap().text().await.unwrap();
    assert!(shown.contains("JavaScript"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_webcrypto_a_page_explains_in_the_readers_language() {
    let world = World::start(Database::Sqlite).await;
    let portal = world.sealpost.setup().portal;
    let browser = Browser::start(Screen::Phone).await;
    let script = "Object.defineProperty(Crypto.prototype, 'subtle', { value: undefined })";
    browser.command("Page.addScriptToEvaluateOnNewDocument", serde_json::json!({"source": script})).await;
    browser.driver().goto(format!("http://localhost:{portal}/p/00000000000000000000000000?lang=de")).await.unwrap();
    browser.step("old-browser").await;
    browser.look_at("old-browser-phone-german").await;
    let shown = browser.driver().find(thirtyfour::By::Css("main")).await.unwrap().text().await.unwrap();
    assert!(shown.contains("+49 30 5550100") && shown.contains("Browser"), "{shown}");
    assert_eq!(browser.script("return document.documentElement.lang").await, "de");
}
