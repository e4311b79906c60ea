//! What administrators do while a reader has an account: list, show, rotate keys, reset, look at the audit.

use super::{PASSPHRASE, SECOND_PASSPHRASE, has_no_secret, pickup_in};
use crate::browser::Browser;
use crate::world::{Database, READER, SENDER, World, address_in, contains, link_in};

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_listed_outlives_a_rotation_and_is_reset() {
    let mut world = World::start(Database::Sqlite).await;
    assert!(world.sealpost.command(&["accounts", "list"]).contains("no accounts"));
    let (code, said) = world.sealpost.failing(&["accounts", "show", READER]);
    assert!(code == Some(64) && said.contains("no account"), "{said}");
    let (code, said) = world.sealpost.failing(&["accounts", "reset", READER]);
    assert!(code == Some(64) && said.contains("no account"), "{said}");
    let first = world.write("Erster canary-subject-8181", "canary-body-8282").await;
    let phone = Browser::phone().await;
    phone.read(&world, &address_in(&first)).await;
    let recovery = phone.enrol(PASSPHRASE).await;
    world.link_ended(&pickup_in(&first)).await;
    let listed = world.sealpost.command(&["accounts", "list"]);
    assert!(listed.contains(READER) && listed.contains("enrolled") && listed.lines().count() == 1, "{listed}");
    let json = world.sealpost.command(&["accounts", "list", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["address"], &json["state"], &json["counter"]), (&READER.into(), &"enrolled".into(), &1.into()));
    assert!(world.sealpost.command(&["accounts", "show", "Paula@Mail.Example"]).contains("enrolled"));

    // the organisation's keys change under the account
    let said = world.sealpost.command(&["keys", "rotate", "organisation"]);
    assert!(said.contains("starts anew with them"), "{said}");
    world.sealpost.stop().await;
    world.sealpost.open().await;
    let second = world.write("Zweiter canary-subject-8383", "canary-body-8484").await;
    has_no_secret(&second);
    let desk = phone.desk().await;
    desk.sign_in_to_list(&world, PASSPHRASE).await;
    for (letter, text) in [(&first, "canary-body-8282"), (&second, "canary-body-8484")] {
        desk.account_page(&world, &format!("/account#l-{}", pickup_in(letter))).await;
        desk.step("letter").await;
        desk.until(&format!("document.getElementById('letter-text').textContent.includes('{text}')")).await;
        desk.answer(&format!("canary-answer to {text}")).await;
        let answer = world.inside(SENDER, |mail| mail.text().contains(&format!("canary-answer to {text}"))).await;
        assert_eq!(answer.header("X-Sealpost-Assurance").as_deref(), Some("signed-by-the-enrolled-key"));
    }
    desk.account_page(&world, "/account#settings").await;
    desk.step("settings").await;
    assert!(desk.shown("settings-vouch").await.contains("Confirmed by the signature"));
    // the phone had everything open from before
    phone.go(&address_in(&second)).await;
    phone.step("letter").await;

    // reset, on the telephone
    let cookie = desk.cookie().await;
    assert!(world.sealpost.command(&["accounts", "reset", READER]).contains("reset"));
    assert!(world.sealpost.command(&["accounts", "reset", READER]).contains("was reset before"));
    assert!(world.sealpost.command(&["accounts", "list"]).contains("reset"));
    let portal = world.sealpost.setup().portal;
    assert_eq!(crate::http::get_with_cookie(portal, "/api/account", &cookie).await.unwrap().status, 401);
    world.inside(SENDER, |mail| mail.subject().contains("is no longer used")).await;
    world.outside(READER, |mail| mail.subject().contains("was reset")).await;
    desk.account_page(&world, "/sign-in").await;
    assert!(desk.is_refused(READER, PASSPHRASE).await.contains("do not fit together"));

    // by link again, and another account: the sender hears that the key is another one
    let third = world.write("Dritter canary-subject-8585", "canary-body-8686").await;
    assert!(link_in(&third).contains('#'));
    desk.read(&world, &link_in(&third)).await;
    let second_recovery = desk.enrol(SECOND_PASSPHRASE).await;
    world.inside(SENDER, |mail| mail.subject().contains("has changed")).await;
    let shown = world.sealpost.command(&["accounts", "show", READER]);
    assert!(
        shown.contains("enrolled") && shown.lines().any(|line| line.starts_with("counter") && line.contains('3')),
        "{shown}"
    );
    let fourth = world.write("Vierter canary-subject-8787", "canary-body-8888").await;
    has_no_secret(&fourth);
    desk.go(&address_in(&fourth)).await;
    desk.step("letter").await;

    phone.nothing_went_wrong().await;
    desk.nothing_went_wrong().await;
    let kinds = [
        "gateway-started",
        "accepted",
        "held",
        "delivered",
        "code-mailed",
        "released",
        "opened",
        "answered",
        "enrolled",
        "link-ended",
        "signed-in",
        "account-reset",
        "key-rotated",
    ];
    let exported = world.audited(&kinds).await;
    assert!(!contains(exported.as_bytes(), "canary"));
    let secret = link_in(&third).split_once('#').unwrap().1.to_owned();
    assert!(!contains(exported.as_bytes(), &secret) && !contains(world.sealpost.log().as_bytes(), &secret));
    world.hides(
        &exported,
        &[
            "canary-subject-8181",
            "canary-subject-8383",
            "canary-subject-8585",
            "canary-body-8282",
            "canary-body-8484",
            "canary-body-8686",
            "canary-body-8888",
            "canary-answer to",
            PASSPHRASE,
            SECOND_PASSPHRASE,
            &recovery,
            &second_recovery,
        ],
    );
}
