//! The answer to a registration: a browser knows the gateway's, and whatever else a portal can answer isn't taken for it.

use sealpost_vault::errands::Registration;

use crate::bench::Road;
use crate::passphrase::{Account, BrokenPortal, PASSPHRASE, Registered, Registering};

const ANNA: &str = "anna@home.example";

/// Answers and signatures that a portal can collect or make, in every combination.
async fn only_the_gateways_is_believed(road: &Road, annas: impl Fn() -> Registration, bens: Registration) {
    let portal = BrokenPortal::new();
    let [earlier, browser] = [(); 2].map(|()| Registering::new(PASSPHRASE));
    let before = earlier.asks(road, annas()).await;
    let given = browser.asks(road, annas()).await;
    // The same request in another reader's name.
    let for_ben = browser.asks(road, bens).await;
    let own = portal.evaluates(&browser, ANNA);
    let others_key = [&given.response[..32], &own[32..]].concat();
    let vouches: Vec<(Vec<u8>,)> =
        sqlx::query_as("select vouch from pins").fetch_all(road.stores.own.reader()).await.unwrap();

    let responses = [&given.response, &before.response, &for_ben.response, &own, &others_key];
    let mut signatures = vec![given.signature.clone(), before.signature, for_ben.signature, Vec::new()];
    signatures.extend(vouches.into_iter().map(|(vouch,)| vouch));
    let mut believed = Vec::new();
    for account in [given.account, before.account, for_ben.account] {
        for response in responses {
            for signature in &signatures {
                let answer = Registered { account, response: response.clone(), signature: signature.clone() };
                if browser.believes(road, ANNA, &answer) {
                    believed.push((account, answer.response, answer.signature));
                }
            }
        }
    }
    believed.dedup();
    assert_eq!(believed, [(given.account, given.response.clone(), given.signature)]);

    // What there is to lose: where the portal evaluated, what the browser sends next tells whether a guess is right.
    let guesses = |response| {
        let record = browser.record(response);
        [PASSPHRASE, "a wrong guess"].map(|guess| portal.guesses(&record, ANNA, guess))
    };
    assert_eq!((guesses(&own), guesses(&given.response)), ([true, false], [false, false]));
}

pub async fn what_a_portal_answers_itself_is_not_the_gateways(road: Road) {
    let ben = road.letter_to("ben@home.example").await;
    let anna = road.letter_to(ANNA).await;
    only_the_gateways_is_believed(&road, || Registration::Enrol(anna.pickup), Registration::Enrol(ben.pickup)).await;
    let enrolled = Account::enrol(&road, &anna).await;
    let annas = || Registration::Change(enrolled.account);
    only_the_gateways_is_believed(&road, annas, Registration::Enrol(ben.pickup)).await;
    assert!(enrolled.signs_in(&road, PASSPHRASE).await);
}
