//! TLS at both doors and towards next hops, with the real program; and what the portal's process can't read.

use std::fs;
use std::os::unix::fs::symlink;

use crate::certificates::{Certificate, Speech};
use crate::patience::{PATIENCE, until};
use crate::smtp;
use crate::world::{Database, MAIL, READER, SENDER, World, is_notification};

fn mail(to: &str, subject: &str) -> Vec<u8> {
    format!("From: {SENDER}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\ncanary-in-transit\r\n").into_bytes()
}

/// A world whose doors show certificates: of SMTP, of the portal.
async fn with_certificates() -> (World, Certificate, Certificate) {
    let mut made = None;
    let world = World::set_up(Database::Sqlite, |setup, scratch| {
        let smtp = Certificate::make(&scratch.directory("tls-smtp"));
        let portal = Certificate::make(&scratch.directory("tls-portal"));
        setup.set("smtp", smtp.lines());
        setup.set("portal", portal.lines());
        setup.shown = Some(portal.clone());
        made = Some((smtp, portal));
    })
    .await;
    let (smtp, portal) = made.unwrap();
    (world, smtp, portal)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_doors_speak_tls_and_take_up_renewed_certificates() {
    let (world, smtp, portal) = with_certificates().await;
    let setup = world.sealpost.setup();
    let doors = ["gateway", "portal"].map(|name| world.sealpost.door(name));
    let shown = [
        (setup.smtp, Speech::Smtp, &smtp, "renewed-smtp"),
        (setup.returns, Speech::Smtp, &smtp, "renewed-returns"),
        (setup.portal, Speech::Https, &portal, "renewed-portal"),
    ];
    let stranger = Certificate::make(&world.scratch.directory("stranger"));
    for (port, speech, certificate, _) in shown {
        assert!(certificate.is_shown(port, speech), "{speech:?} on {port}");
        assert!(!stranger.is_shown(port, speech), "a check that takes any certificate proves nothing");
    }
    for (port, speech, certificate, name) in shown {
        let new = Certificate::make(&world.scratch.directory(name));
        new.replace(certificate);
        until("the renewed certificate", PATIENCE, async || new.is_shown(port, speech).then_some(())).await;
    }
    assert_eq!(["gateway", "portal"].map(|name| world.sealpost.door(name)), doors, "without a restart");
    // in the clear, the HTTPS door says nothing
    assert!(crate::http::get(setup.portal, "/ready").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_in_front_that_insists_on_tls_gets_it() {
    let (mut world, ..) = with_certificates().await;
    world.front.stop().await;
    world.front.set("smtp_tls_security_level", "encrypt");
    world.front.set("smtp_tls_loglevel", "1");
    world.front.start().await;
    world.submit(SENDER, &["jonas@partner.example"], &mail("jonas@partner.example", "x")).await;
    let passed = world.outside("jonas@partner.example", |_| true).await;
    let traces = String::from_utf8_lossy(&passed.bytes).into_owned();
    assert!(traces.contains("by sealpost.klinik.example with ESMTPS"), "{traces}");
    let log = world.front.log();
    assert!(
        log.contains(&format!("TLS connection established to 127.0.0.1[127.0.0.1]:{}", world.sealpost.setup().smtp)),
        "{log}"
    );
    world.submit(SENDER, &[READER], &mail(READER, "[secure] x")).await;
    world.outside(READER, is_notification).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn required_tls_waits_rather_than_trust_or_go_in_the_clear() {
    let mut world = World::set_up(Database::Sqlite, |setup, _| setup.set("outside", "tls = \"required\"")).await;
    let port = world.sealpost.setup().smtp;
    let recipient = "jonas@partner.example";
    let outcome = smtp::send(port, SENDER, &[recipient], &mail(recipient, "x")).await;
    assert!(outcome.accepted(), "{outcome:?}");

    // a next hop without STARTTLS
    let why = deferred(&world).await;
    assert!(why.contains("doesn't offer TLS"), "{why}");

    // one with a certificate that nobody signed
    let unsigned = Certificate::make(&world.scratch.directory("tls-behind"));
    world.behind.stop().await;
    world.behind.set("smtpd_tls_security_level", "may");
    world.behind.set("smtpd_tls_chain_files", &format!("{}, {}", unsigned.key.display(), unsigned.chain.display()));
    world.behind.set("smtpd_tls_loglevel", "1");
    world.behind.start().await;
    until("the certificate to be refused", MAIL, async || {
        world.sealpost.command(&["queue", "retry", "--all"]);
        deferred(&world).await.contains("no authority that this system trusts").then_some(())
    })
    .await;
    assert!(world.behind.maildir().all().is_empty(), "nothing was handed over");
    assert!(!world.behind.log().contains("client="), "no envelope was opened: {}", world.behind.log());
}

/// The last reply of the only row in the queue, once it was tried, as an administrator sees it.
async fn deferred(world: &World) -> String {
    until("a failed attempt", MAIL, async || {
        let listed = world.sealpost.command(&["queue", "list", "--json"]);
        let row: serde_json::Value = serde_json::from_str(listed.lines().next()?).ok()?;
        let shown = world.sealpost.command(&["queue", "show", row["id"].as_str()?]);
        let reply = shown.lines().find_map(|line| line.strip_prefix("last reply   "))?.to_owned();
        (!reply.trim().is_empty()).then_some(reply)
    })
    .await
}

/// The stories run as root, whom no file's mode stops: what is refused here, the sandbox refuses. The portal reads its
/// certificate again when it changes, on whichever thread shakes hands, and that is a way to make it read what we like.
#[tokio::test(flavor = "multi_thread")]
async fn the_portal_reads_no_key() {
    let (world, smtp, portal) = with_certificates().await;
    let setup = world.sealpost.setup();
    let elsewhere = world.scratch.directory("elsewhere");
    let hidden = Certificate::make(&elsewhere);
    for (name, file) in [
        ("a key of the gateway", first_file(&world.sealpost.state().parent().unwrap().join("keys"))),
        ("the gateway's store", world.sealpost.state().join("gateway/gateway.db")),
        ("the key of the SMTP door", smtp.key.clone()),
        ("a good certificate in another directory", hidden.chain.clone()),
        ("the machine's users", "/etc/shadow".into()),
    ] {
        fs::read(&file).expect("a file that root reads");
        let before = refusals(&world);
        let link = portal.chain.with_extension("link");
        symlink(&file, &link).unwrap();
        fs::rename(&link, &portal.chain).unwrap();
        until(&format!("{name} to be refused"), PATIENCE, async || {
            // a handshake makes the portal look
            hidden.is_shown(setup.portal, Speech::Https);
            (refusals(&world) > before).then_some(())
        })
        .await;
    }
    // the same door reads what lies where it may
    let renewed = Certificate::make(&world.scratch.directory("renewed"));
    renewed.replace(&portal);
    until("the renewed certificate", PATIENCE, async || renewed.is_shown(setup.portal, Speech::Https).then_some(()))
        .await;
}

fn first_file(directory: &std::path::Path) -> std::path::PathBuf {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.into_iter().find(|path| path.is_file()).expect("a key")
}

/// How often the portal was told that it may not read its certificate.
fn refusals(world: &World) -> usize {
    let log = world.sealpost.log();
    log.lines().filter(|line| line.contains("certificate can't be used") && line.contains("Permission denied")).count()
}
