//! Notifications that are sent again, and what the first opening ends.

use sealpost_gateway::pickups::State;
use sealpost_vault::errands::{Answer, Bytes, Errand};

use crate::bench::Road;
use crate::reader::link;

fn resend(address: &str) -> Errand {
    Errand::Resend { address: address.into(), language: "en".into() }
}

pub async fn once_in_five_minutes_and_five_times_a_day(road: Road) {
    let reader = road.letter_to("anna@home.example").await;
    let begin = road.now();
    for n in 0..5 {
        assert_eq!(road.ask(&resend(" Anna@HOME.example")).await, Answer::Done);
        let mails = road.deliver().await;
        let [mail] = mails.as_slice() else { panic!("resending {n}: {mails:?}") };
        assert_eq!(link(mail), (reader.pickup, reader.secret.clone()));
        assert_eq!(mail.reverse_path, reader.return_address);
        road.pass(299);
        assert_eq!(road.ask(&resend("anna@home.example")).await, Answer::Done);
        assert!(road.queued().await.is_empty(), "resending {n} and a second too early");
        road.pass(1);
    }
    assert_eq!(road.ask(&resend("anna@home.example")).await, Answer::Done);
    assert!(road.queued().await.is_empty(), "a sixth in a day");
    road.clock.set(begin + 86_400);
    road.ask(&resend("anna@home.example")).await;
    assert_eq!(road.deliver().await.len(), 1);
    for stranger in ["ben@home.example", "", "no address"] {
        assert_eq!(road.ask(&resend(stranger)).await, Answer::Done);
    }
    assert!(road.queued().await.is_empty());
}

pub async fn nothing_is_resent_after_the_letter_was_opened(road: Road) {
    let reader = road.letter_to("anna@home.example").await;
    let before = road.pickup(reader.pickup).await;
    assert!(!before.kept_link.is_empty());
    reader.opens(&road).await;
    let opened = road.pickup(reader.pickup).await;
    assert_eq!((opened.state, opened.opened_at), (State::Opened, road.now()));
    assert!(opened.kept_link.is_empty() && !opened.kept_voice.is_empty());
    assert_eq!(road.ask(&resend("anna@home.example")).await, Answer::Done);
    assert!(!road.gateway.resend(&opened).await.unwrap());
    assert!(road.queued().await.is_empty());
    // Saying it again later changes nothing.
    road.pass(60);
    road.ask(&reader.receipt(&road)).await;
    road.ask(&Errand::Released { pickup: reader.pickup }).await;
    let again = road.pickup(reader.pickup).await;
    assert_eq!((again.state, again.opened_at), (State::Opened, opened.opened_at));
}

pub async fn a_receipt_counts_for_its_own_letter_only(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    let second = road.letter_to("anna@home.example").await;
    let Errand::Opened { mac, .. } = second.receipt(&road) else { unreachable!() };
    let wrong_label = anna.say(&road, "say/reply", &[&sealpost_vault::derive::sha256(&anna.released.slip)]);
    let wrong_slip = anna.say(&road, "say/opened", &[&sealpost_vault::derive::sha256(&second.released.slip)]);
    for mac in [mac, Bytes(wrong_label), Bytes(wrong_slip), Bytes(Vec::new())] {
        assert_eq!(road.ask(&Errand::Opened { pickup: anna.pickup, mac }).await, Answer::Done);
        let pickup = road.pickup(anna.pickup).await;
        assert_eq!((pickup.state, pickup.opened_at), (State::Notified, 0));
    }
    assert!(road.gateway.resend(&road.pickup(anna.pickup).await).await.unwrap());
}
