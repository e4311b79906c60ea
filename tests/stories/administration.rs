//! The administrator's commands, and the demo.

use std::fs;
use std::process::Command;

use crate::browser::{Browser, Screen};
use crate::patience::{PATIENCE, until};
use crate::process::{Running, run};
use crate::scratch::Scratch;
use crate::sealpost::{EXECUTABLE, Sealpost, Setup};
use crate::world::{Database, READER, SENDER, World};
use crate::{http, ports};

fn help(arguments: &[&str]) -> String {
    let mut command = Command::new(EXECUTABLE);
    command.args(arguments).arg("--help");
    run(command)
}

#[test]
fn help_says_what_each_command_does() {
    let all = help(&[]);
    for command in ["init", "serve", "demo", "policy", "queue", "letters", "audit", "keys", "check-config"] {
        assert!(all.contains(command), "{command} in:\n{all}");
    }
    assert!(help(&["letters", "withdraw"]).contains("destroyed at once"));
    assert!(help(&["init"]).contains("never overwritten"));
    assert!(help(&["queue"]).contains("retry"));
}

#[test]
fn policy_test_says_treatment_rule_and_what_matched() {
    let scratch = Scratch::new();
    let sealpost = Sealpost::prepare(&scratch, Setup::between(1, 2));
    let mail = scratch.path().join("mail.eml");
    fs::write(&mail, format!("From: {SENDER}\nTo: {READER}\nSubject: [Secure] x\n\nx\n")).unwrap();
    let said = sealpost.command(&["policy", "test", mail.to_str().unwrap(), "--from", SENDER, "--to", READER]);
    assert!(said.contains("hold") && said.contains("rule") && said.to_lowercase().contains("[secure]"), "{said}");
    // as the gateway decides, not only as the rules say: a stranger's tag is no word to us, and what must be protected
    // needs somebody who can be answered
    let private = scratch.path().join("private.eml");
    fs::write(&private, format!("From: {SENDER}\nTo: {READER}\nSensitivity: Private\nSubject: x\n\nx\n")).unwrap();
    let stranger = "somebody@elsewhere.example";
    for (mail, from, to, treatment) in [
        (&mail, SENDER, "jonas.berger@klinik.example", "relay"),
        (&mail, stranger, READER, "relay"),
        (&private, stranger, READER, "refuse"),
    ] {
        let arguments = ["policy", "test", mail.to_str().unwrap(), "--from", from, "--to", to, "--json"];
        let said = sealpost.command(&arguments);
        assert!(said.contains(&format!("\"treatment\":\"{treatment}\"")), "{from} {to}: {said}");
    }
}

#[test]
fn a_wrong_configuration_is_named_by_line_and_nearest_key() {
    let scratch = Scratch::new();
    let mut setup = Setup::between(1, 2);
    setup.more = "[letters]\nexpire-dayz = 3\n".into();
    let sealpost = Sealpost::prepare(&scratch, setup);
    let (code, said) = sealpost.failing(&["check-config"]);
    assert_eq!(code, Some(78));
    assert!(
        said.contains("expire-dayz") && said.contains("did you mean `expire-days`") && said.contains("sealpost.toml:"),
        "{said}"
    );
}

#[test]
fn init_never_overwrites_keys() {
    let scratch = Scratch::new();
    let sealpost = Sealpost::prepare(&scratch, Setup::between(1, 2));
    assert!(sealpost.command(&["init"]).contains("Back the keys up"));
    let (code, said) = sealpost.failing(&["init"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(sealpost.command(&["check-config"]).contains("fine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_listed_retried_and_deleted() {
    let mut world = World::start(Database::Sqlite).await;
    world.behind.stop().await;
    let message = format!("From: {SENDER}\r\nTo: {READER}\r\nSubject: x\r\n\r\nx\r\n");
    world.submit(SENDER, &[READER], message.as_bytes()).await;
    let id = until("a row in the queue", PATIENCE, async || {
        let listed = world.sealpost.command(&["queue", "list"]);
        let line = listed.lines().find(|line| line.contains(READER))?.to_owned();
        line.contains("attempts 1").then(|| line.split_whitespace().next().unwrap().to_owned())
    })
    .await;
    let shown = world.sealpost.command(&["queue", "show", &id]);
    assert!(shown.contains(READER) && shown.contains("outside"), "{shown}");
    world.sealpost.command(&["queue", "retry", &id]);
    world.sealpost.command(&["queue", "delete", &id]);
    assert!(!world.sealpost.command(&["queue", "list"]).contains(READER));
    world.behind.start().await;
    assert!(world.behind.maildir().all().is_empty());
    assert!(world.sealpost.stop().await.success(), "stops gracefully");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_the_main_job() {
    let scratch = Scratch::new();
    let [smtp, portal, catcher, mailbox] = [(); 4].map(|()| ports::free());
    let flags = |command: &mut Command| {
        command.arg("demo").args(["--directory".to_owned(), scratch.path().join("demo").display().to_string()]);
        for (flag, port) in [("smtp", smtp), ("portal", portal), ("catcher", catcher), ("mailbox", mailbox)] {
            command.args([format!("--{flag}-port"), port.to_string()]);
        }
    };
    let mut command = Command::new(EXECUTABLE);
    flags(&mut command);
    let mut demo = Running::start("demo", command, &scratch.path().join("demo.log"));
    until("the demo's next steps", PATIENCE, async || {
        assert!(demo.ended().is_none(), "{}", demo.log());
        demo.log().contains("Sealpost is running").then_some(())
    })
    .await;
    let list = until("both samples", PATIENCE, async || {
        let list = http::get(mailbox, "/").await?.body;
        (list.matches("<li>").count() == 2).then_some(list)
    })
    .await;
    assert!(list.contains("Lunch on Thursday?") && !list.contains("lab results"), "{list}");

    // what the printed steps say, in a browser
    let browser = Browser::start(Screen::Desk).await;
    let open = |wanted: &'static str| format!("[...document.querySelectorAll('.mails a')].find(a => {wanted}).click()");
    let reload = async || browser.driver().goto(format!("http://127.0.0.1:{mailbox}/")).await.unwrap();
    reload().await;
    browser.look_at("demo-mailbox-desk").await;
    browser.script(&open("!a.textContent.includes('Lunch')")).await;
    browser.until("document.querySelector('pre a[href*=\"/p/\"]')").await;
    browser.screenshot("demo-notification-desk").await;
    let link = browser.script("return document.querySelector('pre a[href*=\"/p/\"]').href").await;
    browser.driver().goto(link.as_str().unwrap()).await.unwrap();
    browser.step("greeting").await;
    browser.click("greeting-button").await;
    browser.step("code").await;
    let portal_window = browser.driver().window().await.unwrap();
    let other = browser.driver().new_tab().await.unwrap();
    browser.driver().switch_to_window(other).await.unwrap();
    let code = until("the code in the mailbox", PATIENCE, async || {
        reload().await;
        let source = browser.driver().source().await.unwrap();
        if source.matches("<li>").count() < 3 {
            return None;
        }
        browser.script("document.querySelector('.mails a').click()").await;
        browser.until("document.querySelector('pre')").await;
        let text = browser.script("return document.querySelector('pre').textContent").await;
        text.as_str()?.lines().map(str::trim).find_map(|line| {
            let digits: String = line.chars().filter(char::is_ascii_digit).collect();
            (digits.len() == 8 && line.chars().all(|c| c.is_ascii_digit() || c == ' ')).then_some(digits)
        })
    })
    .await;
    browser.driver().switch_to_window(portal_window).await.unwrap();
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
        let list = http::get(mailbox, "/").await?.body;
        list.contains("Re: Your lab results of Monday").then_some(())
    })
    .await;

    let mut again = Command::new(EXECUTABLE);
    flags(&mut again);
    again.arg("send");
    run(again);
    until("the samples again", PATIENCE, async || {
        let list = http::get(mailbox, "/").await?.body;
        (list.matches("Lunch on Thursday?").count() == 2).then_some(())
    })
    .await;
    assert!(demo.terminate(PATIENCE).await.success());
}
