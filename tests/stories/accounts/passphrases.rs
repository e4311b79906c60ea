//! Passphrases that are wrong, forgotten, and no longer wanted; signing out.

use super::{PASSPHRASE, SECOND_PASSPHRASE};
use crate::browser::Browser;
use crate::http;
use crate::patience::until;
use crate::world::{Database, MAIL, READER, World, address_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_passphrase_says_nothing_and_a_forgotten_one_is_replaced() {
    let world = World::start(Database::Sqlite).await;
    let first = world.write("canary-subject-4141", "canary-body-4242").await;
    let phone = Browser::phone().await;
    phone.read(&world, &address_in(&first)).await;
    let recovery = phone.enrol(PASSPHRASE).await;

    // wrong: the page is the same for an address without account
    let desk = phone.desk().await;
    desk.account_page(&world, "/sign-in").await;
    let mut pages = Vec::new();
    for address in [READER, "nobody@mail.example"] {
        let said = desk.is_refused(address, "falsch falsch falsch").await;
        assert!(said.contains("do not fit together"), "{said}");
        let html = desk.script("return document.documentElement.outerHTML").await;
        pages.push((desk.page_text().await, html));
    }
    assert_eq!(pages[0], pages[1]);
    desk.look_at("account-wrong-desk").await;

    // forgotten
    desk.forgot(&world).await;
    desk.look_at("account-recover-desk").await;
    let misspelt = recovery.replace(&recovery[..4], if recovery.starts_with("0000") { "1111" } else { "0000" });
    desk.fill("recover-code", &misspelt).await;
    desk.click("recover-button").await;
    assert!(desk.shown("recover-code-error").await.contains("characters must be wrong"));
    desk.fill("recover-code", &recovery.to_lowercase().replace('-', " ")).await;
    desk.click("recover-button").await;
    desk.step("renew").await;
    desk.look_at("account-renew-desk").await;
    desk.fill("new-passphrase", SECOND_PASSPHRASE).await;
    desk.click("renew-button").await;
    let second_recovery = desk.take_recovery_code().await;
    assert_ne!(recovery, second_recovery);
    desk.step("list").await;
    assert!(desk.text_of("conversations").await.contains("canary-subject-4141"));
    world.outside(READER, |mail| mail.subject().contains("Your passphrase")).await;

    // signed out: the server's session too, and nothing stays
    let cookie = desk.cookie().await;
    let portal = world.sealpost.setup().portal;
    assert_eq!(http::get_with_cookie(portal, "/api/account", &cookie).await.unwrap().status, 200);
    desk.click("sign-out").await;
    desk.step("sign-in").await;
    let replayed = http::get_with_cookie(portal, "/api/account", &cookie).await.unwrap();
    assert_eq!(replayed.status, 401, "{}", replayed.body);
    let letters = http::get_with_cookie(portal, "/api/account/letters", &cookie).await.unwrap();
    assert!(letters.status == 401 && !letters.body.contains("slip"), "{}", letters.body);
    assert_eq!(desk.script("return sessionStorage.length + localStorage.length").await, 0);
    let cookies = desk.driver().get_all_cookies().await.unwrap();
    assert!(cookies.iter().all(|cookie| cookie.name != "__Host-sealpost"));
    desk.driver().back().await.unwrap();
    desk.step("sign-in").await;
    let source = desk.driver().source().await.unwrap();
    assert!(!source.contains("canary-subject-4141"), "{source}");

    // the old ones are worth nothing
    desk.account_page(&world, "/sign-in").await;
    assert!(desk.is_refused(READER, PASSPHRASE).await.contains("do not fit together"));
    desk.forgot(&world).await;
    desk.fill("recover-code", &recovery).await;
    desk.click("recover-button").await;
    assert!(desk.shown("recover-code-error").await.contains("does not belong to this account"));
    desk.look_at("account-old-recovery-desk").await;
    // the new one is; and the phone, which had the account open, no longer has
    desk.sign_in_to_list(&world, SECOND_PASSPHRASE).await;
    phone.account_page(&world, "/account").await;
    phone.step("sign-in").await;

    phone.nothing_went_wrong().await;
    desk.nothing_went_wrong().await;
    let exported = world.audited(&["sign-in-failed", "passphrase-changed", "signed-out", "signed-in"]).await;
    assert!(exported.contains("\"how\":\"recovery\""), "{exported}");
    world.hides(
        &exported,
        &[
            "canary-subject-4141",
            "canary-body-4242",
            PASSPHRASE,
            SECOND_PASSPHRASE,
            &recovery,
            &second_recovery,
            "falsch falsch",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tries_too_often_waits_or_shows_a_code() {
    let world = World::start(Database::Sqlite).await;
    let first = world.write("a", "canary-body-4343").await;
    let phone = Browser::phone().await;
    phone.read(&world, &address_in(&first)).await;
    phone.enrol(PASSPHRASE).await;

    let desk = phone.desk().await;
    desk.account_page(&world, "/sign-in").await;
    for _ in 0..5 {
        desk.is_refused(READER, "falsch falsch falsch").await;
    }
    // also the right one has to wait; the text is the same for an address without account
    desk.sign_in(READER, PASSPHRASE).await;
    desk.step("sign-in").await;
    let said = desk.shown("sign-in-wait").await;
    assert!(said.contains("Too many attempts"), "{said}");
    desk.look_at("account-later-desk").await;
    // a code by mail opens the way at once
    let before = world.behind.maildir().of(READER).iter().filter(|mail| crate::world::is_code(mail)).count();
    desk.click("sign-in-code").await;
    desk.step("code").await;
    desk.look_at("account-code-desk").await;
    let code = until("a code", MAIL, async || {
        world.behind.maildir().of(READER).into_iter().filter(crate::world::is_code).nth(before)
    })
    .await;
    desk.type_into("code", &crate::world::code_in(&code)).await;
    desk.step("list").await;
    // and an address without account gets the same five, and the same page
    let other = phone.desk().await;
    other.account_page(&world, "/sign-in").await;
    for _ in 0..5 {
        other.is_refused("nobody@mail.example", "falsch falsch falsch").await;
    }
    other.sign_in("nobody@mail.example", PASSPHRASE).await;
    other.step("sign-in").await;
    assert_eq!(other.shown("sign-in-wait").await, said);
    world.audited(&["sign-in-delayed"]).await;
    for browser in [&phone, &desk, &other] {
        browser.nothing_went_wrong().await;
    }
}
