//! The organisation's keys as an administrator looks after them: rotated while letters wait, backed up, restored.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::browser::{Browser, Screen};
use crate::patience::{PATIENCE, until};
use crate::ports;
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup};
use crate::smtp;
use crate::world::{Database, READER, SENDER, World, contains, is_notification, letter, link_in};

const ENCLOSURE: (&str, &[u8]) = ("a.txt", b"enclosed");

#[tokio::test(flavor = "multi_thread")]
async fn letters_from_before_a_rotation_are_read_and_answered_after_it() {
    let mut world = World::start(Database::Sqlite).await;
    world.submit(SENDER, &[READER], &letter("[secure] before", READER, "canary-before", ENCLOSURE)).await;
    let before = link_in(&world.outside(READER, is_notification).await);
    // A browser that has the letter and its certificate from before.
    let open = Browser::start(Screen::Phone).await;
    open.read(&world, &before).await;

    let said = world.sealpost.command(&["keys", "rotate"]);
    assert!(said.contains("generation 2") && said.contains("Back the keys up again"), "{said}");
    world.sealpost.stop().await;
    world.sealpost.open().await;

    answer(&open, "answer-sealed-to-the-old-subkey").await;
    world.inside(SENDER, |mail| mail.text().contains("answer-sealed-to-the-old-subkey")).await;
    drop(open);

    let desk = Browser::start(Screen::Desk).await;
    desk.read(&world, &before).await;
    assert!(desk.text_of("letter-text").await.contains("canary-before"));
    answer(&desk, "answer-sealed-to-the-new-subkey").await;
    world.inside(SENDER, |mail| mail.text().contains("answer-sealed-to-the-new-subkey")).await;

    world.submit(SENDER, &[READER], &letter("[secure] after", READER, "canary-after", ENCLOSURE)).await;
    let after = world.outside(READER, |mail| is_notification(mail) && link_in(mail) != before).await;
    desk.read(&world, &link_in(&after)).await;
    assert!(desk.text_of("letter-text").await.contains("canary-after"));
}

async fn answer(browser: &Browser, text: &str) {
    browser.click("reply-open").await;
    browser.type_into("reply-text", text).await;
    browser.click("reply-send").await;
    browser.until("!document.getElementById('reply-sent').hidden").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_backed_up_and_restored_and_older_ones_are_recognised() {
    let scratch = Scratch::new();
    let mut sealpost = Sealpost::start(&scratch, Setup::between(1, 2)).await;
    sealpost.stop().await;
    let home = sealpost.state().parent().unwrap().to_owned();
    let at = |name: &str| home.join(name).display().to_string();
    let (first, second, words) = (at("first.backup"), at("second.backup"), at("passphrase"));
    fs::write(&words, "correct horse battery\n").unwrap();
    let backup = |file: &str| sealpost.command(&["keys", "backup", file, "--passphrase-file", &words]);
    let restore = ["keys", "restore"];

    backup(&first);
    assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, said) = sealpost.failing(&["keys", "backup", &first, "--passphrase-file", &words]);
    assert!(code == Some(64) && said.contains("nothing is overwritten"), "{said}");
    assert!(sealpost.command(&["keys", "rotate", "root", "mail"]).contains("Changed: mail, root."));
    backup(&second);
    let certificate = |said: &str| {
        let line = said.lines().find(|line| line.starts_with("certificate ")).unwrap().to_owned();
        assert!(said.contains("fits the keys"), "{said}");
        line
    };
    let known = certificate(&sealpost.command(&["check-config"]));

    // Never over keys, whatever the backup.
    let (code, said) = sealpost.failing(&[restore[0], restore[1], &second, "--passphrase-file", &words]);
    assert!(code == Some(78) && said.contains("never overwritten"), "{said}");

    // The machine is lost, keys and master key with it; the store is not.
    fs::remove_dir_all(home.join("keys")).unwrap();
    fs::remove_file(home.join("keys.master")).unwrap();
    let (code, said) = sealpost.failing(&[restore[0], restore[1], &first, "--passphrase-file", &words]);
    assert!(code == Some(78) && said.contains("older than the store"), "{said}");
    assert!(!home.join("keys").exists());
    // New keys would open nothing of what is stored.
    let (code, said) = sealpost.failing(&["init"]);
    assert!(code == Some(78) && said.contains("was used with keys before"), "{said}");
    assert!(!home.join("keys").exists() && !home.join("keys.master").exists());
    let wrong = at("wrong");
    fs::write(&wrong, "incorrect horse battery\n").unwrap();
    let (code, said) = sealpost.failing(&[restore[0], restore[1], &second, "--passphrase-file", &wrong]);
    assert!(code == Some(65) && said.contains("wrong passphrase"), "{said}");
    let said = sealpost.command(&[restore[0], restore[1], &second, "--passphrase-file", &words]);
    assert!(said.contains("generation 2") && said.contains("Master key made"), "{said}");
    assert_eq!(certificate(&sealpost.command(&["check-config"])), known);
    sealpost.open().await;
    sealpost.stop().await;

    // Somebody puts an old copy of the directory back.
    let old = home.join("old");
    fs::rename(home.join("keys"), &old).unwrap();
    let accepted = sealpost.command(&[restore[0], restore[1], &first, "--accept-older", "--passphrase-file", &words]);
    assert!(accepted.contains("generation 3"), "{accepted}");
    fs::remove_dir_all(home.join("keys")).unwrap();
    fs::rename(&old, home.join("keys")).unwrap();
    let (code, said) = sealpost.failing(&["check-config"]);
    assert!(code == Some(78) && said.contains("older than the store"), "{said}");
    let (status, log) = sealpost.try_open().await.expect_err("serves with keys older than the store");
    assert!(status.code() == Some(78) && log.contains("older than the store"), "{log}");
}

/// What a command queues is sealed under the new keys: a gateway with the old ones could not send it.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_runs_takes_up_changed_keys() {
    let scratch = Scratch::new();
    let sealpost = Sealpost::start(&scratch, Setup::between(ports::free(), ports::free())).await;
    let mail = format!("From: {SENDER}\r\nTo: {READER}\r\nSubject: [secure] x\r\n\r\nx\r\n");
    assert!(smtp::send(sealpost.setup().smtp, SENDER, &[READER], mail.as_bytes()).await.accepted());
    let pickup = until("the letter", PATIENCE, async || {
        let listed = sealpost.command(&["letters", "list", "--json"]);
        let letter: serde_json::Value = serde_json::from_str(listed.lines().next()?).ok()?;
        letter["pickup"].as_str().map(str::to_owned)
    })
    .await;
    let [gateway, portal] = ["gateway", "portal"].map(|name| sealpost.door(name).unwrap());
    sealpost.command(&["keys", "rotate", "spool"]);
    sealpost.command(&["letters", "resend", &pickup]);
    until("another gateway", PATIENCE, async || sealpost.door("gateway").filter(|pid| *pid != gateway)).await;
    assert_eq!(sealpost.door("portal"), Some(portal), "the portal has no keys");
    // The next hop isn't there; the mails themselves can be read, the older and the newer one.
    until("both mails to be tried", PATIENCE, async || {
        sealpost.command(&["queue", "retry", "--all"]);
        let listed = sealpost.command(&["queue", "list"]);
        (listed.lines().count() == 2 && !listed.contains("can't be read")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_portals_process_is_started_without_the_master_key() {
    let scratch = Scratch::new();
    let mut setup = Setup::between(1, 2);
    setup.set("keys", "master = \"environment:SEALPOST_STORY_MASTER\"");
    let mut sealpost = Sealpost::prepare(&scratch, setup);
    let (code, said) = sealpost.failing(&["init"]);
    assert!(code == Some(78) && said.contains("new-master"), "{said}");
    let master = sealpost.command(&["keys", "new-master"]);
    sealpost.give("SEALPOST_STORY_MASTER", master.trim_end());
    sealpost.command(&["init"]);
    sealpost.open().await;
    let has = |door: &str| {
        let environment = fs::read(format!("/proc/{}/environ", sealpost.door(door).unwrap())).unwrap();
        assert!(contains(&environment, "SEALPOST_LOG="));
        contains(&environment, "SEALPOST_STORY_MASTER")
    };
    assert!(has("gateway") && !has("portal"));
    assert!(!sealpost.state().parent().unwrap().join("keys.master").exists());
}
