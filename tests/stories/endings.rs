//! How letters end or fail to arrive: returned notifications, withdrawal, automatic answers.

use crate::postfix::GONE;
use crate::smtp;
use crate::world::{Database, SENDER, World, is_notification, link_in};

fn secure(to: &str) -> Vec<u8> {
    format!(
        "From: {SENDER}\r\nTo: {to}\r\nSubject: [secure] canary-ending\r\nMessage-ID: <m@klinik.example>\r\n\r\nx\r\n"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_bounces_later_is_told_to_the_sender_without_the_link() {
    let world = World::start(Database::Sqlite).await;
    let reader = format!("{GONE}paula@mail.example");
    world.submit(SENDER, &[&reader], &secure(&reader)).await;
    let report = world.inside(SENDER, |mail| mail.return_path().is_empty()).await;
    let source = String::from_utf8_lossy(&report.bytes).into_owned();
    assert!(report.text().contains(&reader), "{source}");
    assert!(!source.contains("/p/") && !source.contains("canary-ending"), "{source}");
    assert!(report.header("In-Reply-To").unwrap().contains("m@klinik.example"));
    assert!(world.sealpost.command(&["letters", "list"]).contains("undelivered"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_is_refused_at_once_is_told_too() {
    // Postfix looks at its tables anew when a connection begins, so none is kept.
    let world = World::with(Database::Sqlite, "[relay]\nidle = 0\n").await;
    world.behind.refuse("paula@mail.example", "550 5.1.1 No such person");
    world.submit(SENDER, &["paula@mail.example"], &secure("paula@mail.example")).await;
    let report = world.inside(SENDER, |mail| mail.return_path().is_empty()).await;
    assert!(report.text().contains("paula@mail.example"));
    assert!(!String::from_utf8_lossy(&report.bytes).contains("/p/"));
    assert!(world.sealpost.command(&["letters", "list"]).contains("undelivered"));
    // the mistake is mended, the notification goes out again
    world.behind.accept("paula@mail.example");
    world.behind.has_no_client().await;
    let listed = world.sealpost.command(&["letters", "list"]);
    let pickup = listed.split_whitespace().nth(1).unwrap().to_owned();
    world.sealpost.command(&["letters", "resend", &pickup]);
    world.outside("paula@mail.example", is_notification).await;
    assert!(world.sealpost.command(&["letters", "show", &pickup]).contains("notified"));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_nowhere_with_our_own_addresses() {
    let world = World::start(Database::Sqlite).await;
    world.submit(SENDER, &["paula@mail.example"], &secure("paula@mail.example")).await;
    let notification = world.outside("paula@mail.example", is_notification).await;
    let return_address = notification.return_path();
    let returns = world.sealpost.setup().returns;
    // the door for bounces takes bounces and nothing else
    let outcome = smtp::send(
        returns,
        "",
        &["paula@mail.example", "reply-00000000000000000000000000@reply.klinik.example"],
        b"Subject: x\r\n\r\nx\r\n",
    )
    .await;
    assert!(!outcome.accepted() && outcome.recipients.iter().all(|reply| reply.code == 550), "{outcome:?}");
    // an out-of-office notice to the return address is taken and does nothing
    let notice = format!(
        "From: paula@mail.example\r\nTo: {return_address}\r\nSubject: away\r\nAuto-Submitted: auto-replied\r\n\r\nBack on Monday.\r\n"
    );
    assert!(smtp::send(returns, "", &[&return_address], notice.as_bytes()).await.accepted());
    crate::patience::until("the notice to be dropped", crate::world::MAIL, async || {
        world.sealpost.log().contains("no report of a failure").then_some(())
    })
    .await;
    assert!(world.sealpost.command(&["letters", "list"]).contains("notified"));
    assert!(world.front.maildir().all().is_empty(), "nobody inside was told anything");
    let _ = link_in(&notification);
}
