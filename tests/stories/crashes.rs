//! Processes that die, and processes that are asked to end.

use std::net::TcpListener;

use tokio::net::TcpStream;

use crate::http;
use crate::patience::{PATIENCE, until};
use crate::process::signal;
use crate::sealpost::is_alive;
use crate::smtp;
use crate::world::{Database, READER, SENDER, World, code_in, is_code, is_notification, link_in};

fn mail(recipient: &str, subject: &str) -> Vec<u8> {
    format!("From: {SENDER}\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\nfirst line\r\nlast line\r\n").into_bytes()
}

impl World {
    async fn accepts(&self, recipient: &str, subject: &str) {
        let outcome = smtp::send(self.sealpost.setup().smtp, SENDER, &[recipient], &mail(recipient, subject)).await;
        assert!(outcome.accepted(), "{outcome:?}");
    }

    /// Another process than `old` runs this door.
    async fn door_again(&self, name: &str, old: u32) -> u32 {
        until(&format!("a new {name}"), PATIENCE, async || self.sealpost.door(name).filter(|pid| *pid != old)).await
    }

    /// Asks the portal for a code, as the browser does.
    async fn ask_for_code(&self, pickup: &str) -> Option<http::Response> {
        let body = format!(r#"{{"pickup":"{pickup}"}}"#);
        http::post(self.sealpost.setup().portal, "/api/code", &body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_that_dies_is_started_again_and_mail_goes_on() {
    let world = World::start(Database::Sqlite).await;
    let (portal, gateway) = (world.sealpost.door("portal").unwrap(), world.sealpost.door("gateway").unwrap());
    signal("KILL", portal);
    world.accepts("meanwhile@mail.example", "x").await;
    world.door_again("portal", portal).await;
    let port = world.sealpost.setup().portal;
    until("the portal", PATIENCE, async || (http::get(port, "/ready").await?.status == 200).then_some(())).await;
    world.outside("meanwhile@mail.example", |_| true).await;
    assert_eq!(world.sealpost.door("gateway"), Some(gateway), "the other door never noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_gateway_the_portal_is_busy_and_then_works() {
    let world = World::start(Database::Sqlite).await;
    world.accepts(READER, "[secure] x").await;
    let link = link_in(&world.outside(READER, is_notification).await);
    let pickup = link[link.find("/p/").unwrap() + 3..link.find('#').unwrap()].to_owned();
    let (portal, gateway) = (world.sealpost.door("portal").unwrap(), world.sealpost.door("gateway").unwrap());
    // one that hangs: nobody starts it again, so that there is time to ask
    signal("STOP", gateway);
    let answer = world.ask_for_code(&pickup).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (503, r#"{"error":"busy"}"#));
    assert_eq!(http::get(world.sealpost.setup().portal, "/ready").await.map(|answer| answer.status), Some(200));
    signal("KILL", gateway);
    world.door_again("gateway", gateway).await;
    until("a code to be mailed", PATIENCE, async || (world.ask_for_code(&pickup).await?.status == 200).then_some(()))
        .await;
    code_in(&world.outside(READER, is_code).await);
    assert_eq!(world.sealpost.door("portal"), Some(portal));
    world.accepts("afterwards@mail.example", "x").await;
    world.outside("afterwards@mail.example", |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_door_outlives_the_process_that_looks_after_it() {
    let mut world = World::start(Database::Sqlite).await;
    let doors = ["gateway", "portal"].map(|name| world.sealpost.door(name).unwrap());
    signal("KILL", world.sealpost.supervisor());
    until("the end of serve", PATIENCE, async || world.sealpost.ended()).await;
    until("the end of both doors", PATIENCE, async || doors.iter().all(|door| !is_alive(*door)).then_some(())).await;
    let setup = world.sealpost.setup();
    for port in [setup.smtp, setup.returns, setup.portal] {
        TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    }
    world.sealpost.forget();
    world.sealpost.open().await;
    world.accepts(READER, "x").await;
    world.outside(READER, |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_of_a_message_leaves_no_doubt() {
    let mut world = World::start(Database::Sqlite).await;
    world.behind.stop().await;
    let port = world.sealpost.setup().smtp;
    let mut idle = smtp::Client::connect(port).await;
    idle.command("EHLO client.klinik.example").await;
    let mut client = smtp::Client::connect(port).await;
    client.command("EHLO client.klinik.example").await;
    client.command(&format!("MAIL FROM:<{SENDER}>")).await;
    client.command(&format!("RCPT TO:<{READER}>")).await;
    assert_eq!(client.command("DATA").await.code, 354);
    let message = mail(READER, "[secure] x");
    let (head, tail) = message.split_at(message.len() / 2);
    client.raw(head).await;

    world.sealpost.ask_to_stop();
    until("the door to close", PATIENCE, async || TcpStream::connect(("127.0.0.1", port)).await.err()).await;
    assert_eq!(idle.reply().await.expect("a last word").code, 421, "who waits is sent away");
    client.raw(tail).await;
    client.raw(b".\r\n").await;
    let reply = client.reply().await.expect("an answer to the message");
    assert_eq!(reply.code, 250, "what is on its way gets its time: {reply:?}");
    let status = until("the end of serve", PATIENCE, async || world.sealpost.ended()).await;
    assert_eq!(status.code(), Some(0));

    let before = world.sealpost.log().len();
    world.sealpost.forget();
    world.sealpost.open().await;
    world.behind.start().await;
    until("the letter", crate::world::MAIL, async || {
        world.sealpost.command(&["queue", "retry", "--all"]);
        world.behind.maildir().of(READER).into_iter().find(is_notification)
    })
    .await;
    assert_eq!(world.behind.maildir().of(READER).len(), 1);
    let log = world.sealpost.log();
    let repairs = ["WARN", "ERROR", "without a row", "swept from", "ended by itself"];
    let said = log[before..].lines().find(|line| repairs.iter().any(|word| line.contains(word)));
    assert_eq!(said, None, "nothing to repair after a graceful stop");
}
