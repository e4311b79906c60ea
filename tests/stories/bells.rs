//! The bell on PostgreSQL: heard over another connection, and again after the connection was lost.

use std::time::Duration;

use sealpost_vault::Db;
use sealpost_vault::bell::{Door, Listener, Ringer};
use sealpost_vault::db::Schema;

use crate::postgres::Postgres;
use crate::scratch::Scratch;

/// Far beyond what a ring takes: who returns true was rung, and didn't just look anyway.
const LONG: Duration = Duration::from_secs(60);
/// For what must not happen.
const SHORT: Duration = Duration::from_millis(300);

async fn vault(url: &str) -> Db {
    Db::connect(url, Schema::Vault).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_is_heard_on_postgres_and_again_after_the_connection_was_lost() {
    let scratch = Scratch::new();
    let postgres = Postgres::start(&scratch).await;
    postgres.create_roles_apart();
    // The roles need nothing in the database to ring and to hear.
    let gateway = vault(&postgres.url("sealpost", "sealpost")).await;
    let portal = vault(&postgres.url("sealpost_portal", "sealpost")).await;
    let ear = Listener::bind(&gateway, scratch.path(), Door::Gateway);
    let rope = Ringer::new(&portal, scratch.path(), Door::Gateway);
    assert!(ear.rung_within(LONG).await, "once it hears, it looks");

    rope.ring();
    assert!(ear.rung_within(LONG).await);
    assert!(!ear.rung_within(SHORT).await, "one ring, one look");
    Ringer::new(&gateway, scratch.path(), Door::Portal).ring();
    assert!(!ear.rung_within(SHORT).await, "that was the other bell");

    let terminate = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'sealpost bell'";
    assert_eq!(postgres.psql("sealpost", terminate).trim(), "t", "one connection listens");
    assert!(ear.rung_within(LONG).await, "once it hears again, it looks, for what may have rung meanwhile");
    assert!(!ear.rung_within(SHORT).await);
    rope.ring();
    assert!(ear.rung_within(LONG).await, "and it is heard again");

    let ends = "select count(*) from pg_stat_activity where application_name = 'sealpost bell'";
    drop(ear);
    crate::patience::until("the listener's connection to end", LONG, async || {
        (postgres.psql("sealpost", ends).trim() == "0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ringing_fails_nobody_when_the_database_is_gone() {
    let scratch = Scratch::new();
    let postgres = Postgres::start(&scratch).await;
    postgres.create_roles_apart();
    let db = vault(&postgres.url("sealpost", "sealpost")).await;
    let ear = Listener::bind(&db, scratch.path(), Door::Portal);
    let rope = Ringer::new(&db, scratch.path(), Door::Portal);
    assert!(ear.rung_within(LONG).await);
    drop(postgres);
    for _ in 0..1000 {
        rope.ring();
    }
    assert!(!ear.rung_within(SHORT).await);
    ear.wait().await;
}
