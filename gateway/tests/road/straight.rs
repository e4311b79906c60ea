//! Letters that are sealed straight to a reader's certificate, and what a broken portal can do about it: nothing.

use sealpost_gateway::expiry::Withdrawal;
use sealpost_gateway::pickups::{State, Way};
use sealpost_gateway::queue::{Kind, Route};
use sealpost_vault::errands::{Answer, Bytes, Errand, Scope};
use sealpost_vault::id::PickupId;
use serde_json::json;

use crate::account::{Enrolled, Key, has_link_way, stored_slip};
use crate::bench::{LIFETIME, Road, SENDER, marked};
use crate::mail::Queued;
use crate::reader::{self, Reader};
use crate::reply::{By, Reply};

const ANNA: &str = "anna@home.example";
const PORTAL: &str = "https://letters.klinik.example/p/";

/// The pickup of a notification to an enrolled reader, which has no secret in it.
fn without_secret(mail: &Queued) -> PickupId {
    assert_eq!(mail.kind, Kind::Notification);
    let text = mail.text();
    let (_, rest) = text.split_once(PORTAL).expect("a link");
    let link = rest.split_whitespace().next().unwrap();
    assert_eq!(link.len(), 26, "{link}");
    assert_eq!(mail.pickup, link.parse().ok());
    assert!(!mail.mentions(&format!("{PORTAL}{link}#")));
    // A pickup code is nine groups of four.
    let coded = text.split_whitespace().any(|word| word.split('-').count() >= 9);
    assert!(!coded, "{text}");
    link.parse().unwrap()
}

/// The next letter to an enrolled reader.
async fn next_letter(road: &Road, to: &str) -> PickupId {
    road.send(SENDER, &[to], &marked(to)).await;
    let mails = road.deliver().await;
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    without_secret(mail)
}

pub async fn the_next_letter_needs_no_link(road: Road) {
    let anna = road.letter_to(ANNA).await;
    let enrolled = Enrolled::with(&road, &anna).await;
    let pickup = next_letter(&road, "Anna@home.example").await;
    let row = road.pickup(pickup).await;
    assert_eq!((row.way, row.kept_link.len(), row.kept_voice.len()), (Way::Account, 0, 0));
    assert!(!has_link_way(&road, pickup).await);
    let slip = enrolled.opens(&road, pickup).await.expect("opens with the account's key");
    assert_eq!((&slip["subject"], &slip["for"]), (&json!("Befund"), &json!([ANNA])));
    assert_eq!(slip["conversation"], json!(row.conversation_id));
    let held = road.recorded("held").await;
    assert_eq!(held.last().map(|record| record["way"].clone()), Some(json!("account")));
    road.ask(&Errand::Released { pickup }).await;
    assert_eq!(road.pickup(pickup).await.state, State::Released);
    road.ask(&enrolled.receipt(&road, pickup).await).await;
    assert_eq!(road.pickup(pickup).await.state, State::Opened);
    assert!(enrolled.opens(&road, pickup).await.is_some());
}

pub async fn links_and_accounts_share_one_ciphertext(road: Road) {
    let first = road.letter_to(ANNA).await;
    let anna = Enrolled::with(&road, &first).await;
    let first = road.letter_to("cara@home.example").await;
    let cara = Enrolled::with(&road, &first).await;
    let contents = road.vault_rows("contents").await;
    let text = marked("anna@home.example, ben@home.example");
    road.send(SENDER, &[ANNA, "ben@home.example", "cara@home.example"], &text).await;
    let mut mails = road.deliver().await;
    mails.sort_by_key(|mail| mail.recipients.concat());
    let [to_anna, to_ben, to_cara] = mails.as_slice() else { panic!("{mails:?}") };
    let (annas, caras) = (without_secret(to_anna), without_secret(to_cara));
    let ben = Reader::of(&road, to_ben).await;
    assert_eq!(road.vault_rows("contents").await, contents + 1);
    // Anna and Ben share a letter; Cara, who isn't named, has one of her own over the same parts.
    let (shared, hers) = (anna.opens(&road, annas).await.unwrap(), cara.opens(&road, caras).await.unwrap());
    assert_eq!(shared, ben.slip());
    assert_eq!(stored_slip(&road, annas).await, ben.released.slip);
    assert_eq!((&shared["for"], &hers["for"]), (&json!([ANNA, "ben@home.example"]), &json!(["cara@home.example"])));
    assert_eq!((&shared["parts"], &shared["subject"]), (&hers["parts"], &hers["subject"]));
    assert_ne!(shared["letter"], hers["letter"]);
    assert!(!shared.to_string().contains("cara"));
    assert_eq!(ben.parts(&road).await[0].2, b"Guten Tag\n");
    // Nobody has another's key.
    assert!(cara.opens(&road, annas).await.is_none() && anna.opens(&road, caras).await.is_none());
    assert!(anna.opens(&road, ben.pickup).await.is_none());
}

pub async fn not_enrolled_is_nothing_a_portal_can_claim(road: Road) {
    let anna = road.letter_to(ANNA).await;
    let enrolled = Enrolled::with(&road, &anna).await;
    let portals = Key::new(ANNA);
    let vault = &road.stores.vault;
    let row = enrolled.row(&road).await.unwrap();
    // Another certificate in the vault: letters are sealed to the pin, in the gateway's own store.
    Road::tamper(vault, "update accounts set certificate = $1", &portals.certificate()).await;
    let pickup = next_letter(&road, ANNA).await;
    assert!(enrolled.opens(&road, pickup).await.is_some());
    let packet = enrolled.key_packet(&road, pickup).await.unwrap();
    assert!(portals.unwrap(&packet).is_none());
    // Another reader's name on it; no account at all.
    sqlx::query("update accounts set reader = 'ben@home.example'").execute(vault.writer()).await.unwrap();
    assert!(enrolled.opens(&road, next_letter(&road, ANNA).await).await.is_some());
    let bens = road.letter_to("ben@home.example").await;
    assert_eq!(road.pickup(bens.pickup).await.way, Way::Link);
    sqlx::query("delete from accounts").execute(vault.writer()).await.unwrap();
    assert!(enrolled.opens(&road, next_letter(&road, ANNA).await).await.is_some());
    // The vault's row means nothing for signing either.
    let receipt = Enrolled { account: enrolled.account, key: portals, address: ANNA.to_owned() };
    road.ask(&receipt.receipt(&road, pickup).await).await;
    assert_eq!(road.pickup(pickup).await.state, State::Notified);
    assert_eq!(row.counter, 1);
}

pub async fn a_damaged_pin_keeps_mail_waiting(road: Road) {
    let anna = road.letter_to(ANNA).await;
    let enrolled = Enrolled::with(&road, &anna).await;
    let own = &road.stores.own;
    let (vouch, certificate): (Vec<u8>, Vec<u8>) =
        sqlx::query_as("select vouch, certificate from pins").fetch_one(own.reader()).await.unwrap();
    let portals = Key::new(ANNA).certificate();
    for (name, statement, bytes, right) in [
        ("certificate", "update pins set certificate = $1", portals.as_slice(), certificate.as_slice()),
        ("no vouch", "update pins set vouch = $1", &[], &vouch),
        ("half a vouch", "update pins set vouch = $1", &vouch[..60], &vouch),
        ("counter", "update pins set counter = 2, vouch = $1", &vouch, &vouch),
        ("reset by hand", "update pins set counter = 1, state = 'reset', vouch = $1", &vouch, &vouch),
    ] {
        Road::tamper(own, statement, bytes).await;
        road.submit(SENDER, &[ANNA], &marked(ANNA)).await.unwrap();
        road.carry().await;
        assert!(road.queued().await.is_empty(), "{name}");
        assert_eq!(road.gateway.spool().list().await.unwrap().len(), 1, "{name}");
        Road::tamper(own, "update pins set counter = 1, state = 'enrolled', vouch = $1", &vouch).await;
        if name == "certificate" {
            Road::tamper(own, statement, right).await;
        }
        road.pass(3_600);
        road.carry().await;
        let mails = road.deliver().await;
        assert!(enrolled.opens(&road, without_secret(&mails[0])).await.is_some(), "{name}");
    }
}

pub async fn notifications_without_a_secret_are_sent_again_until_the_letter_was_opened(road: Road) {
    let anna = road.letter_to(ANNA).await;
    let pending = road.letter_to(ANNA).await;
    let enrolled = Enrolled::with(&road, &anna).await;
    let pickup = next_letter(&road, ANNA).await;
    road.ask(&enrolled.receipt(&road, anna.pickup).await).await;
    let again = Errand::Resend { address: ANNA.to_owned(), language: "en".to_owned() };
    assert_eq!(road.ask(&again).await, Answer::Done);
    let mails = road.deliver().await;
    let mut sent: Vec<PickupId> = mails.iter().map(without_secret).collect();
    sent.sort();
    let mut expected = vec![pickup, pending.pickup];
    expected.sort();
    assert_eq!(sent, expected);
    // By hand too, and no more once it was opened.
    assert!(road.gateway.resend(&road.pickup(pickup).await).await.unwrap());
    without_secret(&road.deliver().await[0]);
    road.ask(&enrolled.receipt(&road, pickup).await).await;
    assert!(!road.gateway.resend(&road.pickup(pickup).await).await.unwrap());
    road.pass(3_600);
    road.ask(&again).await;
    assert_eq!(road.deliver().await.iter().map(without_secret).collect::<Vec<_>>(), [pending.pickup]);
}

pub async fn codes_are_minted_for_letters_of_accounts_too(road: Road) {
    let anna = road.letter_to(ANNA).await;
    Enrolled::with(&road, &anna).await;
    let pickup = next_letter(&road, ANNA).await;
    let session = Bytes(vec![5; 32]);
    let code = Errand::Code { session, scope: Scope::Pickup(pickup), language: "en".to_owned() };
    let Answer::Code { pickups, .. } = road.ask(&code).await else { panic!() };
    assert_eq!(pickups, [pickup]);
    assert_eq!(road.waiting().await, [(Kind::Code, ANNA.to_owned())]);
}

pub async fn an_end_destroys_what_the_account_opens(road: Road) {
    let anna = road.letter_to(ANNA).await;
    let enrolled = Enrolled::with(&road, &anna).await;
    let (withdrawn, shared, expired) =
        (next_letter(&road, ANNA).await, next_letter(&road, ANNA).await, next_letter(&road, ANNA).await);
    let letter = road.pickup(withdrawn).await.letter_id;
    assert_eq!(road.gateway.withdraw(Withdrawal::Letter(letter)).await.unwrap(), 1);
    assert!(enrolled.key_packet(&road, withdrawn).await.is_none());
    assert_eq!(road.gateway.withdraw(Withdrawal::Pickup(shared)).await.unwrap(), 1);
    assert!(enrolled.key_packet(&road, shared).await.is_none());
    road.clock.set(road.now() + LIFETIME);
    road.gateway.expire(road.now()).await.unwrap();
    assert!(enrolled.key_packet(&road, expired).await.is_none());
    assert_eq!((road.vault_rows("account_keys").await, road.vault_rows("letters").await), (0, 0));
    for (pickup, state) in [(withdrawn, State::Withdrawn), (shared, State::Withdrawn), (expired, State::Expired)] {
        assert_eq!(road.pickup(pickup).await.state, state);
    }
    // Its senders are told of those that nobody had opened: of the first, by link, too.
    assert!(road.waiting().await.iter().all(|(kind, to)| (*kind, to.as_str()) == (Kind::Report, SENDER)));
}

pub async fn a_signed_reply_says_so(road: Road) {
    let anna = road.letter_to(ANNA).await;
    let enrolled = Enrolled::with(&road, &anna).await;
    let pickup = next_letter(&road, ANNA).await;
    road.send("boss@labor.example", &[ANNA], &marked(ANNA)).await;
    let bosses = without_secret(&road.deliver().await[0]);
    let slip = enrolled.opens(&road, pickup).await.unwrap();
    let new = || Reply::to(&road, pickup, &slip, ANNA, "Danke", &[("a.pdf", "application/pdf", b"%PDF-1")]);
    let stranger = Key::new(ANNA);

    // By the voice of a letter that had one, by another key, by nobody; and for another letter than it says.
    assert_eq!(new().send(&road, &anna).await, Answer::Refused);
    assert_eq!(new().send_by(&road, By::Key(&stranger)).await, Answer::Refused);
    assert_eq!(new().send_by(&road, By::Nobody).await, Answer::Refused);
    let mut elsewhere = new();
    elsewhere.pickup = bosses;
    assert_eq!(elsewhere.send_by(&road, By::Key(&enrolled.key)).await, Answer::Refused);
    let mut flipped = new();
    *flipped.packets[0].last_mut().unwrap() ^= 1;
    assert_eq!(flipped.send_by(&road, By::Key(&enrolled.key)).await, Answer::Refused);
    // Where the letter was opened by link: the voice counts no more, the key does.
    assert_eq!(Reply::new(&road, &anna, "Danke", &[]).send(&road, &anna).await, Answer::Refused);
    assert!(road.queued().await.is_empty());
    assert_eq!(Reply::new(&road, &anna, "Danke", &[]).send_by(&road, By::Key(&enrolled.key)).await, Answer::Taken);
    road.deliver().await;

    // A broken portal exchanges what the vault says of conversation and letter: the reply goes where the own store says.
    let conversation = road.pickup(bosses).await.conversation_id.to_string();
    sqlx::query("update letters set conversation_id = $1")
        .bind(conversation)
        .execute(road.stores.vault.writer())
        .await
        .unwrap();
    let reply = new();
    assert_eq!(reply.send_by(&road, By::Key(&enrolled.key)).await, Answer::Taken);
    let mails = road.deliver().await;
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!((mail.kind, mail.route, mail.recipients.concat()), (Kind::Answer, Route::Inside, SENDER.to_owned()));
    assert_eq!(mail.header("X-Sealpost-Assurance"), "signed-by-the-enrolled-key");
    let text = mail.text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("signed with the key that anna@home.example enrolled on 15 June 2025"), "{text}");
    assert!(text.contains("Danke"));
    assert_eq!(road.recorded("answered").await.last().map(|record| record["proof"].clone()), Some(json!("signature")));
    // Once.
    assert_eq!(road.ask(&reply.errand()).await, Answer::Taken);
    assert!(road.queued().await.is_empty());
}

pub async fn enrolled_while_a_letter_was_sealed(road: Road) {
    let anna = road.letter_to(ANNA).await;
    Enrolled::with(&road, &anna).await;
    // As a letter by link that was being sealed when the pin came: the link opens it, the voice counts for nothing.
    let late = road.letter_to("ben@home.example").await;
    sqlx::query("update pickups set reader = $1 where pickup_id = $2")
        .bind(ANNA)
        .bind(late.pickup.to_string())
        .execute(road.stores.own.writer())
        .await
        .unwrap();
    road.ask(&late.receipt(&road)).await;
    assert_eq!(road.pickup(late.pickup).await.state, State::Notified);
    assert!(road.gateway.resend(&road.pickup(late.pickup).await).await.unwrap());
    let mails = road.deliver().await;
    without_secret(&mails[0]);
    assert!(std::panic::catch_unwind(|| reader::link(&mails[0])).is_err());
}
