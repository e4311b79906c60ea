//! Several browsers of one reader: letters that were opened elsewhere are taken in, a changed passphrase ends the others.

use super::{PASSPHRASE, SECOND_PASSPHRASE, pickup_in};
use crate::browser::Browser;
use crate::http;
use crate::world::{Database, READER, World, address_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_from_elsewhere_is_taken_in_and_a_changed_passphrase_ends_other_sessions() {
    let world = World::start(Database::Sqlite).await;
    // read at the desk before there was an account: its link is forgotten by the gateway, so nobody can wrap it
    let elsewhere = world.write("Anderswo canary-subject-5151", "canary-body-5252").await;
    let first = world.write("Erster canary-subject-5353", "canary-body-5454").await;
    let phone = Browser::phone().await;
    let desk = phone.desk().await;
    desk.read(&world, &address_in(&elsewhere)).await;
    world.audited(&["opened"]).await;
    phone.read(&world, &address_in(&first)).await;
    let recovery = phone.enrol(PASSPHRASE).await;
    world.link_ended(&pickup_in(&first)).await;
    let (link, account) = world.ways(&pickup_in(&elsewhere)).await;
    assert_eq!((link.as_str(), account.as_str()), ("2", "0"), "not wrapped, and not destroyed");

    // by its link alone it still opens, but answers don't count any more
    desk.driver().refresh().await.unwrap();
    desk.step("letter").await;
    desk.shown("reply-sign-in").await;
    assert!(!desk.script("return document.getElementById('reply-open').checkVisibility()").await.as_bool().unwrap());
    desk.look_at("account-by-link-desk").await;

    // signed in, the list knows of it, and its link takes it in
    desk.sign_in_to_list(&world, PASSPHRASE).await;
    desk.shown("by-link").await;
    assert!(!desk.text_of("conversations").await.contains("canary-subject-5151"));
    desk.look_at("account-list-by-link-desk").await;
    desk.go(&address_in(&elsewhere)).await;
    desk.step("letter").await;
    desk.shown("letter-taken").await;
    assert_eq!(desk.text_of("letter-subject").await, "Anderswo canary-subject-5151");
    world.link_ended(&pickup_in(&elsewhere)).await;
    phone.account_page(&world, "/account").await;
    phone.step("list").await;
    phone.until("document.getElementById('conversations').textContent.includes('canary-subject-5151')").await;
    assert!(!phone.script("return document.getElementById('by-link').checkVisibility()").await.as_bool().unwrap());

    // the passphrase is changed at the phone: the desk's session ends, the phone's doesn't
    let cookie = desk.cookie().await;
    let portal = world.sealpost.setup().portal;
    assert_eq!(http::get_with_cookie(portal, "/api/account", &cookie).await.unwrap().status, 200);
    phone.account_page(&world, "/account#change").await;
    phone.step("change").await;
    phone.look_at("account-change-phone").await;
    phone.fill("present-passphrase", "falsch falsch falsch").await;
    phone.fill("new-passphrase", SECOND_PASSPHRASE).await;
    phone.click("change-button").await;
    assert!(phone.shown("present-passphrase-error").await.contains("not your present passphrase"));
    phone.change_passphrase(&world, PASSPHRASE, SECOND_PASSPHRASE).await;
    assert_eq!(http::get_with_cookie(portal, "/api/account", &cookie).await.unwrap().status, 401);
    desk.account_page(&world, "/account").await;
    desk.step("sign-in").await;
    phone.account_page(&world, "/account").await;
    phone.step("list").await;
    assert!(desk.is_refused(READER, PASSPHRASE).await.contains("do not fit together"));
    desk.sign_in_to_list(&world, SECOND_PASSPHRASE).await;

    // a new recovery code alone; the first one is gone
    phone.account_page(&world, "/account#code-new").await;
    phone.step("code-new").await;
    phone.look_at("account-code-new-phone").await;
    phone.fill("code-new-passphrase", SECOND_PASSPHRASE).await;
    phone.click("code-new-button").await;
    let second_recovery = phone.take_recovery_code().await;
    phone.shown("settings-done").await;
    assert_ne!(recovery, second_recovery);

    phone.nothing_went_wrong().await;
    desk.nothing_went_wrong().await;
    let exported = world.audited(&["rewrapped", "passphrase-changed", "link-ended"]).await;
    world.hides(
        &exported,
        &[
            "canary-subject-5151",
            "canary-subject-5353",
            "canary-body-5252",
            "canary-body-5454",
            PASSPHRASE,
            SECOND_PASSPHRASE,
            &recovery,
            &second_recovery,
        ],
    );
}
