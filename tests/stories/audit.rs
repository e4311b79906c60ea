//! The audit from the command line: whole, exported, and after somebody was at the database.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sealpost_vault::db::{Db, Schema};

use crate::patience::{PATIENCE, until};
use crate::world::{Database, READER, SENDER, World, is_notification};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_to_the_audit_is_said_by_the_command() {
    let mut world = World::start(Database::Sqlite).await;
    let message = format!("From: {SENDER}\r\nTo: {READER}\r\nSubject: [secure] canary-subject\r\n\r\ncanary-body\r\n");
    world.submit(SENDER, &[READER], message.as_bytes()).await;
    world.outside(READER, is_notification).await;
    // while the gateway runs
    until("the delivery in the audit", PATIENCE, async || {
        world.sealpost.command(&["audit", "export", "-"]).contains("\"kind\":\"delivered\"").then_some(())
    })
    .await;
    assert!(world.sealpost.command(&["audit", "verify"]).contains("nothing is missing or changed"));
    let exported = world.sealpost.state().join("export.jsonl");
    let export = exported.to_str().unwrap();
    world.sealpost.command(&["audit", "export", export]);
    assert_eq!(fs::metadata(&exported).unwrap().permissions().mode() & 0o777, 0o600, "it says who writes to whom");
    let text = fs::read_to_string(&exported).unwrap();
    for kind in ["gateway-started", "accepted", "held", "delivered"] {
        assert!(text.contains(&format!("\"kind\":\"{kind}\"")), "{kind} in:\n{text}");
    }
    assert!(!text.contains("canary"), "{text}");
    let (code, _) = world.sealpost.failing(&["audit", "export", export]);
    assert_eq!(code, Some(64), "an export isn't overwritten");

    // the export alone, with the key alone
    let key = world.sealpost.command(&["audit", "keys"]).trim().to_owned();
    world.sealpost.command(&["audit", "verify", "--file", export, "--key", &key]);
    let edited = world.sealpost.state().join("edited.jsonl");
    fs::write(&edited, text.replace("\"treatment\":\"hold\"", "\"treatment\":\"relay\"")).unwrap();
    let (code, said) = world.sealpost.failing(&["audit", "verify", "--file", edited.to_str().unwrap(), "--key", &key]);
    assert_eq!(code, Some(65));
    assert!(said.contains("edited: record"), "{said}");

    // what happened until the end, and that it ended
    assert!(world.sealpost.stop().await.success());
    let whole = world.sealpost.command(&["audit", "export", "-"]);
    assert!(whole.contains("gateway-stopped"), "{whole}");
    let said = world.sealpost.command(&["audit", "verify", "--head", export]);
    assert!(!said.contains("not chained"), "{said}");

    // somebody at the database: the end is cut off, heads included
    let url = format!("sqlite:{}", world.sealpost.state().join("gateway/gateway.db").display());
    let store = Db::connect(&url, Schema::Gateway).await.unwrap();
    for statement in ["delete from audit_chain where n > 2", "delete from audit_heads where n > 2"] {
        sqlx::query(statement).execute(store.writer()).await.unwrap();
    }
    let (code, said) = world.sealpost.failing(&["audit", "verify"]);
    assert_eq!(code, Some(65));
    assert!(said.contains("cut off: the head file says"), "{said}");
    // the gateway's file too: a head kept elsewhere still tells
    fs::remove_file(world.sealpost.state().join("gateway/audit-head")).unwrap();
    let (code, said) = world.sealpost.failing(&["audit", "verify", "--head", export]);
    assert_eq!(code, Some(65));
    assert!(said.contains("cut off: the given head says") && said.contains("the head file is missing"), "{said}");
}
