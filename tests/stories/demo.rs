//! The demo: what it prints is done here, step by step.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::browser::{Browser, Screen};
use crate::patience::{PATIENCE, until};
use crate::process::{Running, run};
use crate::scratch::Scratch;
use crate::sealpost::EXECUTABLE;
use crate::{http, ports};

const PASSPHRASE: &str = "seven herons over the lake";
const PATIENT: &str = "paula.patient@mail.example";

/// A demo that runs, and a browser in front of its mailbox and its portal.
struct Demo {
    running: Running,
    directory: String,
    ports: [u16; 4],
    browser: Browser,
}

impl Demo {
    async fn start(scratch: &Scratch) -> Self {
        let ports = [(); 4].map(|()| ports::free());
        let directory = scratch.path().join("demo").display().to_string();
        let running = Running::start("demo", command(&directory, ports), &scratch.path().join("demo.log"));
        Self { running, directory, ports, browser: Browser::start(Screen::Desk).await }
    }

    async fn list(&self) -> String {
        http::get(self.ports[3], "/").await.map(|page| page.body).unwrap_or_default()
    }

    /// The mailbox, once so many mails are in it.
    async fn mailbox(&self, mails: usize) -> String {
        let what = format!("{mails} mails in the mailbox");
        let list = until(&what, PATIENCE, async || {
            let list = self.list().await;
            (list.matches("<li>").count() >= mails).then_some(list)
        })
        .await;
        self.browser.driver().goto(format!("http://127.0.0.1:{}/", self.ports[3])).await.unwrap();
        list
    }

    /// Opens the newest mail that the script's expression over `li` wants; its text.
    async fn read(&self, wanted: &str) -> String {
        let script =
            format!("[...document.querySelectorAll('.mails li')].find(li => {wanted}).querySelector('a').click()");
        self.browser.script(&script).await;
        self.browser.until("document.querySelector('pre')").await;
        self.browser.script("return document.body.textContent").await.as_str().unwrap().to_owned()
    }

    /// Follows the link of the notification that is open.
    async fn follow(&self) -> String {
        let link = self.browser.script("return document.querySelector('pre a[href*=\"/p/\"]').href").await;
        let link = link.as_str().unwrap().to_owned();
        self.browser.driver().goto(&link).await.unwrap();
        link
    }

    /// Reads a code in another tab, as people do.
    async fn code(&self, mails: usize) -> String {
        let portal = self.browser.driver().window().await.unwrap();
        let other = self.browser.driver().new_tab().await.unwrap();
        self.browser.driver().switch_to_window(other).await.unwrap();
        self.mailbox(mails).await;
        let text = self.read("true").await;
        let code = text.lines().map(str::trim).find_map(|line| {
            let digits: String = line.chars().filter(char::is_ascii_digit).collect();
            (digits.len() == 8 && line.chars().all(|c| c.is_ascii_digit() || c == ' ')).then_some(digits)
        });
        self.browser.driver().switch_to_window(portal).await.unwrap();
        code.expect("a code in the newest mail")
    }

    fn administer(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(EXECUTABLE);
        command.arg("-c").arg(Path::new(&self.directory).join("sealpost.toml")).args(arguments);
        run(command)
    }
}

fn command(directory: &str, ports: [u16; 4]) -> Command {
    let mut command = Command::new(EXECUTABLE);
    command.args(["demo", "--directory", directory]);
    for (flag, port) in ["smtp", "portal", "catcher", "mailbox"].into_iter().zip(ports) {
        command.args([format!("--{flag}-port"), port.to_string()]);
    }
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_the_main_job() {
    let scratch = Scratch::new();
    let mut demo = Demo::start(&scratch).await;
    until("the demo's next steps", PATIENCE, async || {
        assert!(demo.running.ended().is_none(), "{}", demo.running.log());
        demo.running.log().contains("Sealpost is running").then_some(())
    })
    .await;
    let list = demo.mailbox(3).await;
    assert!(
        list.contains("Lunch on Thursday?") && !list.contains("lab results") && !list.contains("Referral"),
        "{list}"
    );
    demo.browser.look_at("demo-mailbox-desk").await;

    a_letter(&demo).await;
    an_account(&demo).await;
    an_openpgp_key(&demo).await;

    assert!(demo.administer(&["keys", "explain", "emil.olsen@partner.example"]).contains("encrypted to"));
    assert!(demo.administer(&["accounts", "list"]).contains(PATIENT));
    demo.administer(&["audit", "verify"]);
    let mut again = command(&demo.directory, demo.ports);
    again.arg("send");
    run(again);
    until("the samples again", PATIENCE, async || {
        (demo.list().await.matches("Lunch on Thursday?").count() == 2).then_some(())
    })
    .await;
    assert!(demo.running.terminate(PATIENCE).await.success());
    // GnuPG's agent doesn't outlive it.
    let home = format!("{}/gnupg", demo.directory);
    agent_gone(&home).await;
}

async fn a_letter(demo: &Demo) {
    let browser = &demo.browser;
    demo.read("li.textContent.includes('paula')").await;
    browser.screenshot("demo-notification-desk").await;
    demo.follow().await;
    browser.step("greeting").await;
    browser.click("greeting-button").await;
    browser.step("code").await;
    let code = demo.code(4).await;
    browser.type_into("code", &code).await;
    browser.step("letter").await;
    browser.look_at("demo-letter-desk").await;
    assert_eq!(browser.text_of("letter-subject").await, "Your lab results of Monday");
    browser.script("document.querySelector('#enclosure-list button').click()").await;
    assert!(browser.download("Lab report.pdf").await.starts_with(b"%PDF-1.4"));
    browser.click("reply-open").await;
    browser.type_into("reply-text", "No supplements at the moment.").await;
    browser.click("reply-send").await;
    browser.until("!document.getElementById('reply-sent').hidden").await;
    until("the answer in Dr. Weber's mailbox", PATIENCE, async || {
        demo.list().await.contains("Re: Your lab results of Monday").then_some(())
    })
    .await;
}

async fn an_account(demo: &Demo) {
    let browser = &demo.browser;
    browser.click("offer-button").await;
    browser.step("enrol").await;
    browser.type_into("new-passphrase", PASSPHRASE).await;
    browser.click("enrol-button").await;
    browser.step("recovery").await;
    browser.click("recovery-kept").await;
    browser.click("recovery-button").await;
    browser.step("letter").await;

    // Paula and Dr. Weber are told of the key; then Dr. Weber writes again.
    demo.mailbox(7).await;
    browser.script("document.querySelector('form[action=\"/another-letter\"] button').click()").await;
    demo.mailbox(8).await;
    demo.read("li.textContent.includes('paula')").await;
    let link = demo.follow().await;
    assert!(!link.contains('#'), "a link that carries a secret: {link}");

    // as from another browser
    browser.driver().delete_all_cookies().await.unwrap();
    browser.script("sessionStorage.clear(); localStorage.clear()").await;
    browser.driver().goto(&link).await.unwrap();
    browser.step("bare").await;
    browser.click("bare-sign-in").await;
    browser.step("sign-in").await;
    browser.type_into("address", PATIENT).await;
    browser.type_into("passphrase", PASSPHRASE).await;
    browser.click("sign-in-button").await;
    browser.step("letter").await;
    assert_eq!(browser.text_of("letter-subject").await, "What to do about your vitamin D");
    browser.driver().goto(format!("http://localhost:{}/account", demo.ports[1])).await.unwrap();
    browser.step("list").await;
    let both = "[...document.querySelectorAll('#conversations h2')].map(h => h.textContent).join()";
    browser.until(&format!("{both}.includes('vitamin D') && {both}.includes('lab results')")).await;
}

async fn an_openpgp_key(demo: &Demo) {
    demo.mailbox(8).await;
    let page = demo.read("li.textContent.includes('emil')").await;
    assert!(page.contains("-----BEGIN PGP MESSAGE-----") && !page.contains("knee"), "{page}");
    demo.browser.screenshot("demo-encrypted-desk").await;
    let shown = demo.browser.script("return document.querySelector('.command').textContent").await;
    let mut gnupg = Command::new("sh");
    gnupg.args(["-c", &format!("{} 2>&1", shown.as_str().unwrap())]).env("LC_ALL", "C").env_remove("GNUPGHOME");
    let opened = run(gnupg);
    assert!(opened.contains("Subject: Referral: Ms Patient") && opened.contains("about her knee"), "{opened}");
    assert!(opened.contains("Good signature from"), "{opened}");
}

/// An agent that was told to end takes a moment.
async fn agent_gone(home: &str) {
    until("GnuPG's agent to end", PATIENCE, async || {
        let mut lines = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            Some(String::from_utf8_lossy(&line).into_owned())
        });
        lines.all(|line| !(line.contains(home) && line.contains("gpg-agent"))).then_some(())
    })
    .await;
}
