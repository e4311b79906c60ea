//! A stranger who knows an address uses up all that it has: codes for its account, tries at its passphrase. Its reader, whose
//! letters are all sealed straight to the account, gets back in by the link of one of them.

use super::{PASSPHRASE, SECOND_PASSPHRASE, pickup_in};
use crate::browser::Browser;
use crate::http;
use crate::reader::next_code;
use crate::world::{Database, READER, World, address_in, code_in, is_code};

/// Said of a code, in the mail for an account.
const FOR_ACCOUNT: &str = "without its passphrase";

/// How many codes were mailed: all, and those for the account.
fn mailed(world: &World) -> (usize, usize) {
    let codes: Vec<_> = world.behind.maildir().of(READER).into_iter().filter(is_code).collect();
    (codes.len(), codes.iter().filter(|mail| mail.text().contains(FOR_ACCOUNT)).count())
}

impl World {
    /// What a stranger from as many networks as questions is answered: their statuses.
    async fn asked_by_strangers(&self, path: &str, json: &str, times: u8) -> Vec<u16> {
        let port = self.sealpost.setup().portal;
        let mut asked = tokio::task::JoinSet::new();
        for n in 0..times {
            let (path, json) = (path.to_owned(), json.to_owned());
            asked.spawn(async move {
                let more = format!("X-Forwarded-For: 203.0.{n}.7\r\n");
                http::post_with(port, &path, &more, &json).await.expect("an answer").status
            });
        }
        asked.join_all().await
    }

    /// All codes for the account, and all tries at the passphrase from everywhere.
    async fn everything_spent(&self) {
        let code = format!(r#"{{"account":"{READER}","language":"en"}}"#);
        assert_eq!(self.asked_by_strangers("/api/code", &code, 12).await, [200; 12]);
        let request = super::enumeration::some_request();
        let sign_in = format!(r#"{{"address":"{READER}","request":"{request}"}}"#);
        let statuses = self.asked_by_strangers("/api/account/sign-in", &sign_in, 60).await;
        assert!(statuses.contains(&429), "{statuses:?}");
    }
}

impl Browser {
    /// From the link of a letter that is sealed to the account to what its own code leads to.
    async fn proves_by_letter(&self, world: &World, link: &str) {
        self.go(link).await;
        self.step("bare").await;
        let (before, _) = mailed(world);
        self.click("bare-code").await;
        self.step("code").await;
        let mail = next_code(world, before).await;
        assert!(!mail.text().contains(FOR_ACCOUNT), "{}", mail.text());
        // a phone that drops the tab while its owner fetches the code goes on where it was
        self.driver().refresh().await.unwrap();
        self.step("code").await;
        self.type_into("code", &code_in(&mail)).await;
        self.step("mailbox").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_spends_everything_locks_nobody_out() {
    let world = World::set_up(Database::Sqlite, |setup, _| setup.set("portal", "proxies = [\"127.0.0.1\"]")).await;
    let first = world.write("a", "canary-body-4545").await;
    let phone = Browser::phone().await;
    phone.read(&world, &address_in(&first)).await;
    let recovery = phone.enrol(PASSPHRASE).await;
    world.link_ended(&pickup_in(&first)).await;
    let second = world.write("canary-subject-4646", "canary-body-4747").await;
    let link = address_in(&second);
    super::has_no_secret(&second);

    world.everything_spent().await;
    // three were mailed, and what lies in the mailbox serves the stranger's other sessions, not the reader's
    crate::patience::until("the stranger's codes", crate::world::MAIL, async || (mailed(&world).1 == 3).then_some(()))
        .await;
    let desk = phone.desk().await;
    desk.account_page(&world, "/account/forgotten").await;
    desk.step("forgotten").await;
    desk.look_at("locked-out-1-forgotten-desk").await;
    desk.fill("address", READER).await;
    desk.click("forgotten-button").await;
    desk.step("code").await;
    let said = desk.page_text().await;
    assert!(said.contains("open the link in our mail about any message"), "{said}");
    desk.look_at("locked-out-2-no-code-desk").await;
    // the same for an address without an account, but for the time
    let clocks = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
    let other = phone.desk().await;
    other.account_page(&world, "/account/forgotten").await;
    other.step("forgotten").await;
    other.fill("address", "nobody@mail.example").await;
    other.click("forgotten-button").await;
    other.step("code").await;
    assert_eq!(clocks(&other.page_text().await), clocks(&said));
    // the right passphrase has to wait, too
    let desk = phone.desk().await;
    desk.account_page(&world, "/sign-in").await;
    desk.sign_in(READER, PASSPHRASE).await;
    assert!(desk.shown("sign-in-wait").await.contains("Too many attempts"));

    // by the link of the letter: its own code, the recovery code, and back to the letter
    desk.go(&link).await;
    desk.step("bare").await;
    desk.look_at("locked-out-3-bare-desk").await;
    desk.proves_by_letter(&world, &link).await;
    desk.look_at("locked-out-4-mailbox-desk").await;
    desk.click("mailbox-forgotten").await;
    desk.step("recover").await;
    desk.driver().refresh().await.unwrap();
    desk.step("recover").await;
    desk.look_at("locked-out-5-recover-desk").await;
    desk.fill("recover-code", &recovery).await;
    desk.click("recover-button").await;
    desk.step("renew").await;
    desk.fill("new-passphrase", SECOND_PASSPHRASE).await;
    desk.click("renew-button").await;
    let second_recovery = desk.take_recovery_code().await;
    assert_ne!(recovery, second_recovery);
    desk.step("letter").await;
    assert!(desk.text_of("letter-text").await.contains("canary-body-4747"));

    // who knows the passphrase signs in by such a code; who shows none still waits
    other.account_page(&world, "/sign-in").await;
    other.sign_in(READER, SECOND_PASSPHRASE).await;
    assert!(other.shown("sign-in-wait").await.contains("Too many attempts"));
    other.proves_by_letter(&world, &link).await;
    other.click("mailbox-sign-in").await;
    other.sign_in(READER, SECOND_PASSPHRASE).await;
    other.step("letter").await;
    assert!(other.text_of("letter-text").await.contains("canary-body-4747"));
    assert_eq!(mailed(&world).1, 3, "no more codes for the account");

    // on a small screen, in German
    phone.account_page(&world, "/account").await;
    phone.step("sign-in").await;
    phone.go(&format!("{link}?lang=de")).await;
    phone.step("bare").await;
    phone.look_at("locked-out-6-bare-phone-de").await;
    phone.proves_by_letter(&world, &format!("{link}?lang=de")).await;
    phone.look_at("locked-out-7-mailbox-phone-de").await;
    // whose code counts no more is told so, and begins anew
    phone.click("mailbox-forgotten").await;
    phone.step("recover").await;
    phone.driver().delete_all_cookies().await.unwrap();
    phone.fill("recover-code", &second_recovery).await;
    phone.click("recover-button").await;
    phone.step("forgotten").await;
    assert!(phone.shown("forgotten-over").await.contains("zu alt"));
    phone.look_at("locked-out-8-over-phone-de").await;
    phone.driver().refresh().await.unwrap();
    phone.step("forgotten").await;
    for browser in [&phone, &desk, &other] {
        browser.nothing_went_wrong().await;
    }
    let exported = world.audited(&["signed-in", "passphrase-changed"]).await;
    assert!(exported.contains("\"how\":\"recovery\""), "{exported}");
    world.hides(&exported, &["canary-body-4747", SECOND_PASSPHRASE, &recovery, &second_recovery]);
}
