//! Crashes between the two stores: the vault has a letter that the gateway's own store doesn't know.

use sealpost_gateway::queue::Kind;
use sqlx::Executor;

use crate::bench::{Road, SENDER, marked};

/// The own store's commit fails until it is mended.
async fn break_own_store(road: &Road) {
    road.stores.own.writer().execute("alter table pickups rename to pickups_away").await.unwrap();
}

async fn mend_own_store(road: &Road) {
    road.stores.own.writer().execute("alter table pickups_away rename to pickups").await.unwrap();
}

async fn letters(road: &Road) -> Vec<String> {
    let rows: Vec<(String,)> = sqlx::query_as("select letter_id from letters order by letter_id")
        .fetch_all(road.stores.vault.reader())
        .await
        .unwrap();
    rows.into_iter().map(|(id,)| id).collect()
}

pub async fn a_second_attempt_replaces_what_the_first_left_in_the_vault(road: Road) {
    break_own_store(&road).await;
    let large = format!("{}\r\n", "0123456789abcdef".repeat(4)).repeat(5_000);
    let text = format!("{}{large}", marked("anna@home.example"));
    let to = ["anna@home.example", "dora@home.example", "kim@klinik.example"];
    let queue_id = road.submit(SENDER, &to, &text).await.unwrap();
    road.carry().await;
    let waiting = road.gateway.spool().list().await.unwrap();
    assert_eq!((waiting.len(), waiting[0].queue_id, waiting[0].attempts), (1, queue_id, 1));
    assert!(road.queued().await.is_empty(), "nothing leaves before all of it is true");
    let first = letters(&road).await;
    assert_eq!(first.len(), 2, "the vault was written");

    mend_own_store(&road).await;
    road.carry().await;
    assert!(road.queued().await.is_empty(), "not before its time");
    road.clock.set(waiting[0].next_at);
    road.carry().await;
    assert!(road.gateway.spool().list().await.unwrap().is_empty());
    let mails = road.deliver().await;
    assert_eq!(mails.len(), 3);
    let second = letters(&road).await;
    assert_eq!(second.len(), 2);
    assert!(first.iter().all(|letter| !second.contains(letter)), "the first attempt's keys went with it");
    for table in ["pickups", "shares", "key_packets"] {
        assert_eq!(road.vault_rows(table).await, 2, "{table}");
    }
    assert_eq!((road.vault_rows("contents").await, road.vault_rows("parts").await), (1, 1));
    for mail in mails.iter().filter(|mail| mail.pickup.is_some()) {
        let reader = crate::reader::Reader::of(&road, mail).await;
        assert!(reader.parts(&road).await[0].2.ends_with(large.replace("\r\n", "\n").as_bytes()));
    }
}

pub async fn the_sweep_takes_old_letters_that_nobody_knows(road: Road) {
    let known = road.letter_to("anna@home.example").await;
    break_own_store(&road).await;
    let queue_id = road.submit(SENDER, &["dora@home.example"], &marked("dora@home.example")).await.unwrap();
    road.carry().await;
    mend_own_store(&road).await;
    assert!(road.gateway.spool().delete(queue_id).await.unwrap());
    assert_eq!(road.vault_rows("letters").await, 2);
    for seconds in [0, 3_600] {
        road.pass(seconds);
        road.gateway.sweep().await.unwrap();
        assert_eq!(road.vault_rows("letters").await, 2, "young: its gateway may be about to commit");
    }
    road.pass(1);
    road.gateway.sweep().await.unwrap();
    assert_eq!(letters(&road).await, [known.letter.to_string()]);
    assert_eq!((road.vault_rows("contents").await, road.vault_rows("shares").await), (1, 1));
    assert_eq!(known.parts(&road).await[0].2, b"Guten Tag\n");
}

pub async fn the_postmaster_is_told_of_a_message_that_stays(road: Road) {
    break_own_store(&road).await;
    let queue_id = road.submit(SENDER, &["dora@home.example"], &marked("dora@home.example")).await.unwrap();
    for attempt in 1..12 {
        road.carry().await;
        let waiting = road.gateway.spool().list().await.unwrap();
        assert_eq!(waiting[0].attempts, attempt);
        road.clock.set(waiting[0].next_at);
    }
    mend_own_store(&road).await;
    let mails = road.deliver().await;
    let [told] = mails.as_slice() else { panic!("told once: {mails:?}") };
    assert_eq!(
        (told.kind, told.recipients.as_slice()),
        (Kind::Report, ["postmaster@klinik.example".to_owned()].as_slice())
    );
    assert!(told.mentions(&queue_id.to_string()) && !told.mentions("dora"));
}
