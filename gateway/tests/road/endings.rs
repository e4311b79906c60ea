//! Ends of letters: their date, and withdrawal.

use sealpost_gateway::expiry::Withdrawal;
use sealpost_gateway::pickups::State;
use sealpost_gateway::queue::Kind;

use crate::bench::{LIFETIME, Road, SENDER, START, marked};
use crate::reader::Reader;

const TABLES: [&str; 6] = ["letters", "contents", "parts", "pickups", "shares", "key_packets"];

async fn nothing_is_left(road: &Road) {
    for table in TABLES {
        assert_eq!(road.vault_rows(table).await, 0, "{table}");
    }
}

/// Two readers who see each other.
async fn letter_for_two(road: &Road) -> Vec<Reader> {
    let text = marked("anna@home.example, ben@home.example");
    road.send(SENDER, &["anna@home.example", "ben@home.example"], &text).await;
    let mut readers = Vec::new();
    for mail in road.deliver().await {
        readers.push(Reader::of(road, &mail).await);
    }
    readers.sort_by_key(|reader| reader.address.clone());
    readers
}

pub async fn an_unread_letter_ends_at_its_date_and_its_sender_is_told(road: Road) {
    let reader = road.letter_to("anna@home.example").await;
    // Released is what the portal says; only a receipt in the reader's voice counts as read.
    road.ask(&sealpost_vault::errands::Errand::Released { pickup: reader.pickup }).await;
    let date = START + LIFETIME;
    road.clock.set(date - 1);
    assert_eq!(road.gateway.expire(road.now()).await.unwrap(), 0);
    assert!(road.is_readable(reader.pickup).await);
    assert!(road.queued().await.is_empty());

    road.clock.set(date);
    assert!(!road.is_readable(reader.pickup).await, "the portal keeps the date by itself");
    assert_eq!(road.gateway.expire(road.now()).await.unwrap(), 1);
    nothing_is_left(&road).await;
    let pickup = road.pickup(reader.pickup).await;
    assert_eq!((pickup.state, pickup.kept_link.len(), pickup.kept_voice.len()), (State::Expired, 0, 0));
    let mails = road.deliver().await;
    let [report] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!((report.kind, report.recipients.as_slice()), (Kind::Report, [SENDER.to_owned()].as_slice()));
    assert_eq!((report.reverse_path.as_str(), report.header("In-Reply-To")), ("", "<first@klinik.example>".into()));
    assert_eq!(report.header("Subject"), "Expired unread: your protected message to anna@home.example");
    for secret in [reader.secret.as_str(), "Befund", "Guten Tag"] {
        assert!(!report.mentions(secret), "{secret}");
    }

    assert_eq!(road.gateway.expire(road.now() + 1).await.unwrap(), 0);
    assert!(road.queued().await.is_empty());
}

pub async fn an_opened_letter_ends_silently(road: Road) {
    let reader = road.letter_to("anna@home.example").await;
    reader.opens(&road).await;
    assert_eq!(road.pickup(reader.pickup).await.state, State::Opened);
    road.clock.set(START + LIFETIME);
    assert_eq!(road.gateway.expire(road.now()).await.unwrap(), 1);
    nothing_is_left(&road).await;
    assert!(road.queued().await.is_empty());
}

pub async fn the_job_running_twice_at_once_tells_once(road: Road) {
    road.letter_to("anna@home.example").await;
    road.clock.set(START + LIFETIME);
    let (one, other) = tokio::join!(road.gateway.expire(road.now()), road.gateway.expire(road.now()));
    assert!(one.unwrap() + other.unwrap() >= 1);
    assert_eq!(road.waiting().await, [(Kind::Report, SENDER.to_owned())]);
}

pub async fn each_reader_has_an_end_of_their_own(road: Road) {
    let readers = letter_for_two(&road).await;
    readers[0].opens(&road).await;
    road.clock.set(START + LIFETIME);
    assert_eq!(road.gateway.expire(road.now()).await.unwrap(), 2);
    nothing_is_left(&road).await;
    let mails = road.deliver().await;
    assert_eq!(mails.len(), 1);
    assert!(mails[0].mentions("ben@home.example") && !mails[0].mentions("anna@home.example"));
}

pub async fn a_withdrawn_pickup_leaves_the_others_their_way_in(road: Road) {
    let readers = letter_for_two(&road).await;
    assert_eq!(road.gateway.withdraw(Withdrawal::Pickup(readers[0].pickup)).await.unwrap(), 1);
    assert!(!road.is_readable(readers[0].pickup).await);
    let pickup = road.pickup(readers[0].pickup).await;
    assert_eq!((pickup.state, pickup.kept_link.len(), pickup.kept_voice.len()), (State::Withdrawn, 0, 0));
    assert_eq!((road.vault_rows("shares").await, road.vault_rows("key_packets").await), (1, 1));

    let other = &readers[1];
    assert_eq!(other.parts(&road).await[0].2, b"Guten Tag\n");
    other.opens(&road).await;
    assert_eq!(road.pickup(other.pickup).await.state, State::Opened);
    // Again: nothing is left to withdraw. The last one takes the letter with it.
    assert_eq!(road.gateway.withdraw(Withdrawal::Pickup(readers[0].pickup)).await.unwrap(), 0);
    assert_eq!(road.gateway.withdraw(Withdrawal::Pickup(other.pickup)).await.unwrap(), 1);
    nothing_is_left(&road).await;
    assert!(road.queued().await.is_empty());
}

pub async fn a_withdrawn_letter_ends_for_all(road: Road) {
    let readers = letter_for_two(&road).await;
    assert_eq!(readers[0].letter, readers[1].letter);
    assert_eq!(road.gateway.withdraw(Withdrawal::Letter(readers[0].letter)).await.unwrap(), 2);
    nothing_is_left(&road).await;
    for reader in &readers {
        assert_eq!(road.pickup(reader.pickup).await.state, State::Withdrawn);
        // What its reader still says no longer counts.
        road.ask(&reader.receipt(&road)).await;
        assert_eq!(road.pickup(reader.pickup).await.state, State::Withdrawn);
    }
    road.clock.set(START + LIFETIME);
    assert_eq!(road.gateway.expire(road.now()).await.unwrap(), 0);
    assert!(road.queued().await.is_empty());
}

pub async fn what_is_withdrawn_is_not_announced(road: Road) {
    let text = marked("anna@home.example, ben@home.example");
    road.send(SENDER, &["anna@home.example", "ben@home.example", "a@archive.example"], &text).await;
    let mails = road.queued().await;
    let anna = mails.iter().find(|mail| mail.recipients == ["anna@home.example"]).unwrap().pickup.unwrap();
    assert_eq!(road.gateway.withdraw(Withdrawal::Pickup(anna)).await.unwrap(), 1);
    let left = [(Kind::Notification, "ben@home.example".to_owned()), (Kind::Relayed, "a@archive.example".to_owned())];
    assert_eq!(road.waiting().await, left);
    let letter = road.pickup(anna).await.letter_id;
    assert_eq!(road.gateway.withdraw(Withdrawal::Letter(letter)).await.unwrap(), 1);
    assert_eq!(road.waiting().await, left[1..]);
}
