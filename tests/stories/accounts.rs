//! Readers who come back: an account is made, used on two browsers, recovered, attacked, taken away.
//!
//! Here are the steps that the stories below share. Each watches the browser for errors and each screen for what people
//! with a screen reader or a keyboard can't use.

mod administration;
mod broken;
mod enumeration;
mod life;
mod locked_out;
mod passphrases;
mod sessions;

use serde_json::json;

use crate::browser::{Browser, Screen};
use crate::maildir::Mail;
use crate::patience::until;
use crate::reader::next_code;
use crate::world::{MAIL, READER, SENDER, World, address_in, code_in, contains, is_code, is_notification};

const PASSPHRASE: &str = "vier Äpfel rollen langsam";
const SECOND_PASSPHRASE: &str = "drei Katzen tanzen Walzer";

/// Collects what goes wrong in pages; `window.name` outlives them.
const WATCH: &str = "(() => {
    const note = text => { window.name += text + '\\n'; };
    addEventListener('error', e => note('error: ' + (e.message ?? e.target?.src)), true);
    addEventListener('unhandledrejection', e => note('rejection: ' + e.reason));
    document.addEventListener('securitypolicyviolation', e => note('policy: ' + e.violatedDirective + ' ' + e.blockedURI));
    const told = console.error;
    console.error = (...words) => { note('console: ' + words.join(' ')); told(...words); };
})()";

impl Browser {
    /// A phone whose pages are watched.
    async fn phone() -> Self {
        let browser = Self::start(Screen::Phone).await;
        browser.watch().await;
        browser
    }

    /// Another profile, with a large screen.
    async fn desk(&self) -> Self {
        let browser = self.beside(Screen::Desk).await;
        browser.watch().await;
        browser
    }

    async fn watch(&self) {
        self.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": WATCH})).await;
    }

    async fn nothing_went_wrong(&self) {
        assert_eq!(self.script("return window.name").await, "", "the console of the browser");
    }

    async fn go(&self, address: &str) {
        self.driver().goto(address).await.unwrap();
    }

    async fn account_page(&self, world: &World, path: &str) {
        self.go(&format!("http://localhost:{}{path}", world.sealpost.setup().portal)).await;
    }

    /// Types over what is there.
    async fn fill(&self, id: &str, text: &str) {
        self.script(&format!("document.getElementById('{id}').value = ''")).await;
        self.type_into(id, text).await;
    }

    /// Waits until an element is shown; its text.
    async fn shown(&self, id: &str) -> String {
        self.until(&format!("document.getElementById('{id}')?.checkVisibility()")).await;
        self.text_of(id).await
    }

    /// What is to be read on the page.
    async fn page_text(&self) -> String {
        self.script("return document.querySelector('main').innerText").await.as_str().unwrap().to_owned()
    }

    /// From a letter opened by its link to the account: its recovery code.
    async fn enrol(&self, passphrase: &str) -> String {
        self.try_to_enrol(passphrase).await;
        let code = self.take_recovery_code().await;
        self.step("letter").await;
        self.shown("letter-taken").await;
        code
    }

    async fn try_to_enrol(&self, passphrase: &str) {
        self.shown("offer").await;
        self.click("offer-button").await;
        self.step("enrol").await;
        self.fill("new-passphrase", passphrase).await;
        self.click("enrol-button").await;
    }

    /// The recovery code that the page shows, once.
    async fn take_recovery_code(&self) -> String {
        self.step("recovery").await;
        let code = self.text_of("recovery-code").await;
        let groups: Vec<&str> = code.split_whitespace().collect();
        assert!(groups.len() == 9 && groups.iter().all(|group| group.len() == 4), "{code}");
        self.click("recovery-kept").await;
        self.click("recovery-button").await;
        self.until("document.querySelector('[data-step=recovery]')?.hidden ?? true").await;
        let left = self
            .script("return document.body.textContent + JSON.stringify({...sessionStorage, ...localStorage})")
            .await;
        assert!(!left.as_str().unwrap().contains(groups[4]), "the recovery code stays on the page");
        groups.join("-")
    }

    /// Fills in the form for signing in.
    async fn sign_in(&self, address: &str, passphrase: &str) {
        self.step("sign-in").await;
        self.fill("address", address).await;
        self.fill("passphrase", passphrase).await;
        self.click("sign-in-button").await;
    }

    /// Signs in and waits for the list of messages.
    async fn sign_in_to_list(&self, world: &World, passphrase: &str) {
        self.account_page(world, "/sign-in").await;
        self.sign_in(READER, passphrase).await;
        self.step("list").await;
    }

    /// As [`Self::sign_in`], where it is refused: what the page says.
    async fn is_refused(&self, address: &str, passphrase: &str) -> String {
        self.sign_in(address, passphrase).await;
        self.step("sign-in").await;
        self.shown("passphrase-error").await
    }

    /// From the page for a forgotten passphrase to the field for the recovery code.
    async fn forgot(&self, world: &World) {
        self.account_page(world, "/account/forgotten").await;
        self.step("forgotten").await;
        self.fill("address", READER).await;
        let before = world.behind.maildir().of(READER).iter().filter(|mail| is_code(mail)).count();
        self.click("forgotten-button").await;
        self.step("code").await;
        self.type_into("code", &code_in(&next_code(world, before).await)).await;
        self.step("recover").await;
    }

    /// Asks for a present and a new passphrase under Settings.
    async fn change_passphrase(&self, world: &World, present: &str, new: &str) {
        self.try_to_change(world, present, new).await;
        self.shown("settings-done").await;
    }

    async fn try_to_change(&self, world: &World, present: &str, new: &str) {
        self.account_page(world, "/account#change").await;
        self.step("change").await;
        self.fill("present-passphrase", present).await;
        self.fill("new-passphrase", new).await;
        self.click("change-button").await;
    }

    async fn answer(&self, text: &str) {
        self.click("reply-open").await;
        self.fill("reply-text", text).await;
        self.click("reply-send").await;
        self.shown("reply-sent").await;
    }

    /// Its session, as it stands in a request's head.
    async fn cookie(&self) -> String {
        let cookie = self.driver().get_named_cookie("__Host-sealpost").await.unwrap();
        format!("{}={}", cookie.name, cookie.value)
    }
}

impl World {
    /// Somebody inside writes to the reader: the notification. The first mail's Message-ID begins with `letter-1`.
    async fn write(&self, subject: &str, text: &str) -> Mail {
        self.write_to(READER, subject, text).await
    }

    async fn write_to(&self, to: &str, subject: &str, text: &str) -> Mail {
        let notified = || self.behind.maildir().of(READER).into_iter().filter(is_notification);
        let before = notified().count();
        let number = before + 1;
        let message = format!(
            "From: \"Dr. Anna Weber\" <{SENDER}>\r\nTo: {to}\r\nSubject: [secure] {subject}\r\nMessage-ID: <letter-{number}@klinik.example>\r\n\r\n{text}\r\n"
        );
        self.submit(SENDER, &[to], message.as_bytes()).await;
        until("a notification", MAIL, async || notified().nth(before)).await
    }

    /// One value out of the vault; tables are written as `vault.letters`.
    async fn vault_says(&self, query: &str) -> String {
        if let Some(postgres) = &self.postgres {
            return postgres.psql("sealpost", &format!("select ({query})::text")).trim().to_owned();
        }
        let path = self.sealpost.state().join("vault/vault.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).busy_timeout(MAIL);
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        let query = format!("select cast(({}) as text)", query.replace("vault.", ""));
        let (value,): (String,) = sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap();
        sqlx::Connection::close(connection).await.unwrap();
        value
    }

    /// How a letter is opened, as the vault has it: rows that a link needs, and rows that an account needs.
    async fn ways(&self, pickup: &str) -> (String, String) {
        let count = |table: &str| format!("(select count(*) from vault.{table} where pickup_id = '{pickup}')");
        let link = self.vault_says(&format!("select {} + {}", count("shares"), count("key_packets"))).await;
        (link, self.vault_says(&format!("select {}", count("account_keys"))).await)
    }

    /// Waits until a letter opens by the account alone.
    async fn link_ended(&self, pickup: &str) {
        until("the end of the link's way", MAIL, async || {
            (self.ways(pickup).await == ("0".to_owned(), "1".to_owned())).then_some(())
        })
        .await;
    }

    /// Records are chained about a second later; the export once these kinds are in it.
    async fn audited(&self, kinds: &[&str]) -> String {
        let exported = until("the records", MAIL, async || {
            let exported = self.sealpost.command(&["audit", "export", "-"]);
            kinds.iter().all(|kind| exported.contains(&format!("\"kind\":\"{kind}\""))).then_some(exported)
        });
        let Ok(exported) = tokio::time::timeout(MAIL, exported).await else {
            panic!("not all of {kinds:?} in {}", self.sealpost.command(&["audit", "export", "-"]))
        };
        let verified = self.sealpost.command(&["audit", "verify"]);
        assert!(verified.contains("nothing is missing or changed"), "{verified}");
        exported
    }

    /// None of it is readable in what is stored, logged, exported or mailed.
    fn hides(&self, exported: &str, secrets: &[&str]) {
        let mut all = self.everything_stored();
        all.extend_from_slice(exported.as_bytes());
        all.extend_from_slice(self.behind.log().as_bytes());
        all.extend_from_slice(self.front.log().as_bytes());
        for mail in self.behind.maildir().all() {
            all.extend_from_slice(&mail.bytes);
        }
        for secret in secrets {
            for written in [(*secret).to_owned(), secret.to_lowercase(), secret.replace('-', "")] {
                assert!(!contains(&all, &written), "{secret} is readable somewhere");
            }
        }
    }
}

/// The pickup's id in a notification.
fn pickup_in(notification: &Mail) -> String {
    let link = address_in(notification);
    link[link.find("/p/").unwrap() + 3..].chars().take(26).collect()
}

/// A notification that is worth nothing without the account.
fn has_no_secret(notification: &Mail) {
    let link = address_in(notification);
    assert!(!link.contains('#'), "{link}");
    let parsed = notification.parsed();
    let bodies = [parsed.body_text(0), parsed.body_html(0)].map(Option::unwrap_or_default);
    let raw = String::from_utf8_lossy(&notification.bytes).into_owned();
    for text in bodies.iter().map(AsRef::as_ref).chain([raw.as_str()]) {
        assert!(!text.to_lowercase().contains("pickup code"), "{text}");
        let pickup = pickup_in(notification);
        assert!(!text.contains(&format!("{pickup}#")) && !text.contains(&format!("{pickup}=23")), "{text}");
        // nine groups of four
        let grouped = text.split_whitespace().any(|word| word.split('-').filter(|group| group.len() == 4).count() >= 9);
        assert!(!grouped, "{text}");
    }
}
