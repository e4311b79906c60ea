//! The log as an administrator has it, without `SEALPOST_LOG`: what was refused, why, and by which id it is found.

use std::process::Command;

use crate::hop::Hop;
use crate::patience::{PATIENCE, until};
use crate::ports;
use crate::process::Running;
use crate::scratch::Scratch;
use crate::sealpost::{EXECUTABLE, Sealpost, Setup};
use crate::smtp;
use crate::world::SENDER;

const RECIPIENT: &str = "paula@mail.example";

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_each_cause_by_default() {
    let scratch = Scratch::new();
    let hop = Hop::start(ports::free());
    let mut setup = Setup::between(hop.port(), hop.port());
    setup.set("smtp", "max-size = 5000\nmax-header = 1000\ncommand-timeout = 5");
    let sealpost = Sealpost::prepare(&scratch, setup);
    sealpost.command(&["init"]);
    let mut serve = Command::new(EXECUTABLE);
    serve.arg("--config").arg(scratch.path().join("sealpost/sealpost.toml")).arg("serve").env_remove("SEALPOST_LOG");
    let running = Running::start("sealpost", serve, &scratch.path().join("by-default.log"));
    let (inside, returns) = (sealpost.setup().smtp, sealpost.setup().returns);
    let mut client = until("the doors", PATIENCE, async || {
        smtp::Client::try_connect(returns).await?;
        smtp::Client::try_connect(inside).await
    })
    .await;

    client.command("EHLO client.klinik.example").await;
    for (header, body, code) in [("", 6000, "552 5.3.4"), ("canary-subject", 10, "250"), ("x", 10, "552 5.3.4")] {
        let header = if code == "250" { header.to_owned() } else { header.repeat(2000) };
        let message = format!("From: {SENDER}\r\nSubject: {header}\r\n\r\n{}\r\n", "canary ".repeat(body / 7));
        let outcome = client.deliver(SENDER, &[RECIPIENT], message.as_bytes()).await;
        let reply = outcome.data.unwrap();
        assert!(format!("{} {}", reply.code, reply.text()).starts_with(code), "{reply:?}");
    }
    // Broken off by a bare LF; silence; a stranger at the door for bounces.
    client.command(&format!("MAIL FROM:<{SENDER}>")).await;
    client.command(&format!("RCPT TO:<{RECIPIENT}>")).await;
    client.command("DATA").await;
    client.raw(b"Subject: canary\n.\r\n").await;
    assert_eq!(client.reply().await.unwrap().code, 554);
    let mut silent = smtp::Client::connect(inside).await;
    let outcome = smtp::send(returns, SENDER, &[RECIPIENT], b"canary\r\n").await;
    assert_eq!(outcome.recipients[0].code, 550);
    assert_eq!(silent.reply().await.unwrap().code, 421);

    let expected = [
        ("message{queue_id=", format!("refused rejection=552 5.3.4 Message too large from={SENDER}")),
        ("message{queue_id=", format!("refused rejection=552 5.3.4 Message header too large from={SENDER}")),
        ("message{queue_id=", "message broken off rejection=554 5.6.11 Bare CR or LF".to_owned()),
        ("message{queue_id=", "accepted".to_owned()),
        ("door=Inside", "session ends rejection=554 5.6.11 Bare CR or LF".to_owned()),
        ("door=Inside", "session ends rejection=421 4.4.2 Timeout".to_owned()),
        ("door=Returns", format!("from={SENDER} to={RECIPIENT}")),
    ];
    for (whose, what) in &expected {
        until(what, PATIENCE, async || {
            running.log().lines().any(|line| line.contains(whose) && line.contains(what)).then_some(())
        })
        .await;
    }
    assert!(!running.log().contains("canary"), "{}", running.log());
    assert!(!running.log().contains(" DEBUG "), "more than what runs by default");
}
