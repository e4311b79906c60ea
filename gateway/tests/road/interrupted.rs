//! Crashes between the two stores: the vault has a letter that the gateway's own store doesn't know.

use sealpost_gateway::queue::Kind;
use sealpost_vault::id::{ConversationId, LetterId, PickupId};
use sealpost_vault::letters::{self, NewContent, NewLetter, NewPickup, NewWay};
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

/// A gateway stood still before the vault's commit for longer than its lease, and another one did its work.
pub async fn who_comes_late_to_the_vault_changes_nothing(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let known = road.pickup(anna.pickup).await;
    let late = |attempt: i64| NewContent {
        content_id: known.content_id,
        parts: vec![b"another body".to_vec(), vec![b'!'; 200_000]],
        letters: vec![NewLetter {
            letter_id: LetterId::random().unwrap(),
            conversation_id: ConversationId::random().unwrap(),
            slip: b"another slip".to_vec(),
            pickups: vec![NewPickup {
                pickup_id: PickupId::random().unwrap(),
                reader: known.reader.clone(),
                organisation: known.organisation.clone(),
                way: NewWay::Link { share: [7; 32], key_packet: b"another key packet".to_vec() },
            }],
        }],
        created_at: road.now(),
        expires_at: known.expires_at,
        attempt,
    };
    let store = async |attempt| letters::store(&road.stores.vault, &road.stores.vault_blobs, late(attempt)).await;
    // The letter is of the first attempt. Alone, and in a batch with others that are good.
    assert!(store(1).await.is_err());
    let (one, two, _) = tokio::join!(store(0), store(1), road.letter_to("dora@home.example"));
    assert!(one.is_err() && two.is_err());
    assert!(letters(&road).await.contains(&anna.letter.to_string()));
    assert_eq!(anna.parts(&road).await[0].2, b"Guten Tag\n");
    store(2).await.unwrap();
    assert!(!letters(&road).await.contains(&anna.letter.to_string()), "a later one does replace it");
}

pub async fn the_sweep_takes_old_letters_that_nobody_knows(road: Road) {
    let known = road.letter_to("anna@home.example").await;
    break_own_store(&road).await;
    let queue_id = road.submit(SENDER, &["dora@home.example"], &marked("dora@home.example")).await.unwrap();
    road.carry().await;
    mend_own_store(&road).await;
    assert_eq!(road.gateway.spool().delete(queue_id).await.unwrap().changed, 1);
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
