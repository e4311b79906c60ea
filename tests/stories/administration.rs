//! The administrator's commands.

use std::fs;
use std::process::Command;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};

use crate::patience::{PATIENCE, until};
use crate::process::run;
use crate::scratch::Scratch;
use crate::sealpost::{EXECUTABLE, Sealpost, Setup};
use crate::world::{Database, READER, SENDER, World};

fn help(arguments: &[&str]) -> String {
    let mut command = Command::new(EXECUTABLE);
    command.args(arguments).arg("--help");
    run(command)
}

#[test]
fn help_says_what_each_command_does() {
    let all = help(&[]);
    let commands = ["init", "serve", "demo", "policy", "queue", "accounts", "letters", "audit", "keys", "check-config"];
    for command in commands {
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

/// The lines of `queue list` with this text.
fn listed(world: &World, text: &str) -> Vec<String> {
    let listed = world.sealpost.command(&["queue", "list"]);
    listed.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

async fn in_vault(world: &World, statement: &'static str) {
    let vault = SqliteConnectOptions::new().filename(world.sealpost.state().join("vault/vault.db"));
    let mut vault = vault.connect().await.unwrap();
    vault.execute(statement).await.unwrap();
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn spooled_and_queued_mail_is_held_released_and_retried() {
    let mut world = World::start(Database::Sqlite).await;
    world.behind.stop().await;
    in_vault(&world, "alter table letters rename to letters_away").await;
    for (to, subject) in [(READER, "x"), ("ben@mail.example", "[secure] x")] {
        let message = format!("From: {SENDER}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nx\r\n");
        world.submit(SENDER, &[to], message.as_bytes()).await;
    }
    let lines = until("one spooled, one queued, both tried", PATIENCE, async || {
        let lines = [listed(&world, READER), listed(&world, "spooled")].concat();
        (lines.len() == 2 && lines.iter().all(|line| line.contains("active  attempts 1"))).then_some(lines)
    })
    .await;
    let [queued, spooled] = [0, 1].map(|n: usize| lines[n].split_whitespace().next().unwrap().to_owned());
    let command = |arguments: &[&str]| world.sealpost.command(&[&["queue"], arguments].concat());

    for id in [&queued, &spooled] {
        assert_eq!(command(&["hold", id]), "1 held\n");
        let (code, said) = world.sealpost.failing(&["queue", "hold", id]);
        assert!(code == Some(64) && said.contains("nothing is to be done"), "{code:?} {said}");
        assert!(command(&["show", id]).contains("state        held\n"));
    }
    assert_eq!(command(&["release", "--all"]), "2 released\n");
    assert_eq!(listed(&world, "  active  attempts 1").len(), 2);
    assert_eq!(command(&["hold", "--all"]), "2 held\n");
    assert_eq!(listed(&world, "  held  attempts 1").len(), 2);
    assert_eq!(command(&["release", &spooled]), "1 released\n");
    assert_eq!((listed(&world, "  held  ").len(), listed(&world, "  active  ").len()), (1, 1));

    in_vault(&world, "alter table letters_away rename to letters").await;
    world.behind.start().await;
    assert_eq!(world.sealpost.command(&["queue", "retry", "--all"]), "2 due now\n");
    for to in [READER, "ben@mail.example"] {
        world.outside(to, |_| true).await;
    }
}
