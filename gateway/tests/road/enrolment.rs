//! Enrolment, and what a portal that lies, swaps, repeats or withholds gets out of it.

use sealpost_gateway::pickups::{State, Way};
use sealpost_gateway::queue::{Kind, Route};
use sealpost_vault::accounts;
use sealpost_vault::errands::{Answer, Bytes, Errand, Registration, WrappedKey};
use sealpost_vault::id::{AccountId, ErrandId, PickupId};
use sequoia_openpgp::crypto::SessionKey;

use crate::account::{Enrolled, Enrolment, Key, account_file, element, has_link_way};
use crate::bench::{LIFETIME, Road, SENDER, address, marked};

const ANNA: &str = "anna@home.example";

/// Nobody enrolled, nothing was said, nothing lies in the vault.
async fn nothing_came_of_it(road: &Road) {
    assert!(road.queued().await.is_empty());
    let (pins,): (i64,) =
        sqlx::query_as("select count(*) from pins").fetch_one(road.stores.own.reader()).await.unwrap();
    assert_eq!((pins, road.vault_rows("accounts").await, road.vault_rows("account_keys").await), (0, 0, 0));
}

pub async fn a_reader_enrols_and_those_concerned_are_told(road: Road) {
    let anna = road.letter_to(ANNA).await;
    anna.opens(&road).await;
    road.send("boss@labor.example", &[ANNA], &marked(ANNA)).await;
    road.deliver().await;
    let key = Key::new(ANNA);
    let enrolment = Enrolment::new(&road, &anna, &key, &[&anna]).await;
    let account = enrolment.account;
    assert_eq!(road.ask(&enrolment.errand()).await, Answer::Enrolled { account });

    // Reader and senders know, and what they are told carries no secret.
    let fingerprint = data_encoding::HEXUPPER.encode(&key.fingerprint());
    let grouped = fingerprint.as_bytes().chunks(4).map(|four| std::str::from_utf8(four).unwrap());
    let grouped = grouped.collect::<Vec<_>>().join(" ");
    let mut mails = road.deliver().await;
    mails.sort_by_key(|mail| mail.recipients.concat());
    let to: Vec<_> = mails.iter().map(|mail| (mail.recipients.concat(), mail.route)).collect();
    assert_eq!(
        to,
        [
            (ANNA.to_owned(), Route::Outside),
            ("boss@labor.example".to_owned(), Route::Inside),
            (SENDER.to_owned(), Route::Inside)
        ]
    );
    for mail in &mails {
        assert_eq!((mail.kind, mail.reverse_path.as_str()), (Kind::Report, ""));
        let text = mail.text().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&grouped), "{text}");
        assert!(text.contains(ANNA) && !text.contains("#") && !text.contains("/p/"), "{text}");
    }
    assert!(mails[0].mentions("postmaster@klinik.example"));

    // What the browser gets in another session, and what the audit has.
    let row = accounts::account(&road.stores.vault, account).await.unwrap().unwrap();
    assert_eq!(
        (row.reader.as_str(), row.fingerprint.as_str(), row.counter, row.changes),
        (ANNA, fingerprint.as_str(), 1, 0)
    );
    assert!(row.certificate == enrolment.certificate && row.file == enrolment.file);
    let enrolled = Enrolled { account, key, address: ANNA.to_owned() };
    assert_eq!(enrolled.opens(&road, anna.pickup).await.unwrap()["subject"], "Befund");
    let [record] = road.recorded("enrolled").await.try_into().unwrap();
    assert_eq!((record["reader"].as_str(), record["counter"].as_i64()), (Some(ANNA), Some(1)));

    // Until the browser has opened the letter with the account, both ways are there; then only one.
    assert!(has_link_way(&road, anna.pickup).await);
    let before = road.pickup(anna.pickup).await;
    assert_eq!((before.way, before.kept_link.len(), before.kept_voice.len()), (Way::Link, 0, 0));
    assert_eq!(road.ask(&enrolled.receipt(&road, anna.pickup).await).await, Answer::Done);
    assert!(!has_link_way(&road, anna.pickup).await);
    assert_eq!(road.pickup(anna.pickup).await.way, Way::Account);
    assert!(enrolled.opens(&road, anna.pickup).await.is_some());
    assert_eq!(road.recorded("link-ended").await.len(), 1);
    // Said again by a second device: nothing more comes of it.
    assert_eq!(road.ask(&enrolled.receipt(&road, anna.pickup).await).await, Answer::Done);
    assert_eq!((road.recorded("link-ended").await.len(), road.recorded("opened").await.len()), (1, 1));
}

pub async fn what_a_portal_exchanges_is_not_believed(road: Road) {
    let anna = road.letter_to(ANNA).await;
    let second = road.letter_to(ANNA).await;
    let ben = road.letter_to("ben@home.example").await;
    let key = Key::new(ANNA);
    let (portals, bens) = (Key::new(ANNA), Key::new("ben@home.example"));
    let session_key = SessionKey::new(32).unwrap();
    let ben_registered = Enrolment::new(&road, &ben, &bens, &[]).await.account;
    let second_registered = Enrolment::new(&road, &second, &key, &[]).await.account;
    let packet = |key: &Key| Bytes(key.wrap(&session_key));

    type Change<'a> = Box<dyn Fn(&mut Enrolment) + 'a>;
    let cases: Vec<(&str, Change)> = vec![
        ("the portal's certificate", Box::new(|e| e.certificate = portals.certificate())),
        ("another reader's certificate", Box::new(|e| e.certificate = bens.certificate())),
        ("a certificate with something behind it", Box::new(|e| e.certificate.extend(portals.certificate()))),
        ("no certificate", Box::new(|e| e.certificate.clear())),
        ("another account file", Box::new(|e| e.file = account_file())),
        ("another OPAQUE record", Box::new(|e| e.upload[100] ^= 1)),
        ("another recovery hash", Box::new(|e| e.recovery[0] ^= 1)),
        ("no recovery hash", Box::new(|e| e.recovery.clear())),
        ("no MAC", Box::new(|e| e.mac.clear())),
        ("another MAC", Box::new(|e| e.mac[31] ^= 1)),
        ("the reader's other letter", Box::new(|e| e.pickup = second.pickup)),
        ("another reader's letter", Box::new(|e| e.pickup = ben.pickup)),
        ("a letter that isn't there", Box::new(|e| e.pickup = PickupId::random().unwrap())),
        ("an account that nobody registered", Box::new(|e| e.account = AccountId::random().unwrap())),
        ("an account registered with the other letter", Box::new(|e| e.account = second_registered)),
        ("another reader's account", Box::new(|e| e.account = ben_registered)),
        ("a key packet to the portal's certificate", Box::new(|e| e.keys[0].packet = packet(&portals))),
        ("half a key packet", Box::new(|e| e.keys[0].packet.0.truncate(60))),
        ("two for one letter", Box::new(|e| e.keys.push(e.keys[0].clone()))),
        (
            "one for another reader's letter",
            Box::new(|e| e.keys.push(WrappedKey { pickup: ben.pickup, packet: packet(&key) })),
        ),
        (
            "one for no letter",
            Box::new(|e| e.keys.push(WrappedKey { pickup: PickupId::random().unwrap(), packet: packet(&key) })),
        ),
        ("seventeen", Box::new(|e| e.keys = (0..17).map(|_| e.keys[0].clone()).collect())),
    ];
    let count = cases.len();
    for (name, change) in cases {
        let mut enrolment = Enrolment::new(&road, &anna, &key, &[&anna]).await;
        change(&mut enrolment);
        assert_eq!(road.ask(&enrolment.errand()).await, Answer::Refused, "{name}");
    }
    // Stated in the right voice, and wrong all the same: what no library would notice, and what it would.
    type Said<'a> = Box<dyn Fn(&mut Enrolment) -> Vec<u8> + 'a>;
    let said: Vec<(&str, Said)> = vec![
        (
            "another's certificate",
            Box::new(|e| {
                e.certificate = bens.certificate();
                bens.fingerprint()
            }),
        ),
        ("another fingerprint", Box::new(|_| portals.fingerprint())),
        (
            "a file that is none",
            Box::new(|e| {
                e.file.truncate(200);
                key.fingerprint()
            }),
        ),
        (
            "a record that is none",
            Box::new(|e| {
                e.upload.truncate(191);
                key.fingerprint()
            }),
        ),
        (
            "a hash of another length",
            Box::new(|e| {
                e.recovery.push(0);
                key.fingerprint()
            }),
        ),
    ];
    let count = count + said.len();
    for (name, change) in said {
        let mut enrolment = Enrolment::new(&road, &anna, &key, &[&anna]).await;
        let fingerprint = change(&mut enrolment);
        enrolment.mac = enrolment.said_by(&road, &anna, &fingerprint);
        assert_eq!(road.ask(&enrolment.errand()).await, Answer::Refused, "{name}");
    }
    // The voice of another reader, or of this reader's other letter.
    for voice in [&ben, &second] {
        let mut enrolment = Enrolment::new(&road, &anna, &key, &[]).await;
        enrolment.mac = enrolment.said_by(&road, voice, &key.fingerprint());
        assert_eq!(road.ask(&enrolment.errand()).await, Answer::Refused);
    }
    assert_eq!(road.recorded("statement-refused").await.len(), count + 2);
    nothing_came_of_it(&road).await;
    for reader in [&anna, &second, &ben] {
        assert!(road.is_readable(reader.pickup).await);
        assert!(!road.pickup(reader.pickup).await.kept_voice.is_empty());
    }
    // None of it burned anything.
    let enrolment = Enrolment::new(&road, &anna, &key, &[&anna]).await;
    assert_eq!(road.ask(&enrolment.errand()).await, Answer::Enrolled { account: enrolment.account });
}

pub async fn of_two_at_once_one_counts(road: Road) {
    let mut readers = Vec::new();
    for n in 0..4 {
        let address = format!("reader{n}@home.example");
        readers.push((road.letter_to(&address).await, road.letter_to(&address).await, address));
    }
    let mut errands = Vec::new();
    let mut made = Vec::new();
    for (first, second, address) in &readers {
        for letter in [first, second] {
            let key = Key::new(address);
            let enrolment = Enrolment::new(&road, letter, &key, &[letter]).await;
            errands.push(enrolment.errand());
            made.push((enrolment.account, key));
        }
    }
    let answers = road.ask_together(&errands).await;
    for (n, (pair, of)) in answers.chunks(2).zip(made.chunks(2)).enumerate() {
        let enrolled: Vec<_> =
            of.iter().zip(pair).filter(|((id, _), said)| **said == Answer::Enrolled { account: *id }).collect();
        let [((account, key), _)] = enrolled.as_slice() else { panic!("{pair:?}") };
        assert!(pair.contains(&Answer::Conflict), "{pair:?}");
        // What lies in the vault is the winner's, and so is the pin: both letters open with the winner's key.
        let row = accounts::account(&road.stores.vault, *account).await.unwrap().expect("the winner's row");
        assert_eq!(row.certificate, key.certificate());
        let enrolled =
            Enrolled { account: *account, key: Key { secret: key.secret.clone() }, address: row.reader.to_string() };
        let (first, second, _) = &readers[n];
        for letter in [first, second] {
            assert!(enrolled.opens(&road, letter.pickup).await.is_some(), "reader {n}");
        }
    }
    assert_eq!(road.vault_rows("accounts").await, 4);
    assert_eq!((road.recorded("enrolled").await.len(), road.recorded("enrolment-conflict").await.len()), (4, 4));
    // Each address told its reader and its sender, once.
    assert_eq!(road.deliver().await.len(), 8);
    // One that comes later: the first counts.
    let anna = road.letter_to(ANNA).await;
    let late = Enrolment::new(&road, &anna, &Key::new(ANNA), &[]).await;
    Enrolled::with(&road, &anna).await;
    assert_eq!(road.ask(&late.errand()).await, Answer::Conflict);
    let register = Errand::Register { purpose: Registration::Enrol(anna.pickup), request: Bytes(element()) };
    assert_eq!(road.ask(&register).await, Answer::Conflict);
    assert!(road.queued().await.is_empty());
}

pub async fn asked_again_after_a_crash_nothing_happens_twice(road: Road) {
    let anna = road.letter_to(ANNA).await;
    let key = Key::new(ANNA);
    let enrolment = Enrolment::new(&road, &anna, &key, &[&anna]).await;
    let (errand_id, account) = (ErrandId::random().unwrap(), enrolment.account);
    assert_eq!(road.ask_as(errand_id, &enrolment.errand()).await, Answer::Enrolled { account });
    assert_eq!(road.deliver().await.len(), 2);
    let row = accounts::account(&road.stores.vault, account).await.unwrap().unwrap();
    road.pass(10);
    assert_eq!(road.ask_again_after_a_crash(errand_id).await, Answer::Enrolled { account });
    // The same by another errand, as a portal asks that never heard the answer.
    assert_eq!(road.ask(&enrolment.errand()).await, Answer::Enrolled { account });
    assert!(road.queued().await.is_empty());
    assert!(accounts::account(&road.stores.vault, account).await.unwrap() == Some(row));
    assert_eq!(road.recorded("enrolled").await.len(), 1);
    // The same account with another certificate is another enrolment.
    let mut other = Enrolment { certificate: Key::new(ANNA).certificate(), keys: Vec::new(), ..enrolment };
    other.mac = other.said_by(&road, &anna, &key.fingerprint());
    assert_eq!(road.ask(&other.errand()).await, Answer::Conflict);
}

pub async fn what_a_crash_leaves_in_the_vault_counts_nothing(road: Road) {
    let anna = road.letter_to(ANNA).await;
    let ben = road.letter_to("ben@home.example").await;
    let enrolled = Enrolled::with(&road, &ben).await;
    // As if the gateway had died before its own commit: an account and its key without a pin.
    let (left, key) = (AccountId::random().unwrap(), Key::new(ANNA));
    let row = accounts::AccountRow {
        account_id: left,
        reader: anna.released.reader.clone(),
        ..enrolled.row(&road).await.unwrap()
    };
    accounts::store_account(&road.stores.vault, &row).await.unwrap();
    accounts::put_account_key(&road.stores.vault, anna.pickup, left, &key.wrap(&anna.session_key())).await.unwrap();

    // The reader goes on by link, and is written to by link.
    anna.opens(&road).await;
    assert_eq!(road.pickup(anna.pickup).await.state, State::Opened);
    let next = road.letter_to(ANNA).await;
    assert_eq!(road.pickup(next.pickup).await.way, Way::Link);
    // Young ones are left alone: somebody may be about to commit the pin.
    road.pass(3_600);
    road.gateway.sweep().await.unwrap();
    assert_eq!(road.vault_rows("accounts").await, 2);
    road.pass(1);
    road.gateway.sweep().await.unwrap();
    assert_eq!((road.vault_rows("accounts").await, road.vault_rows("account_keys").await), (1, 1));
    assert!(enrolled.opens(&road, ben.pickup).await.is_some());
    assert!(road.is_readable(anna.pickup).await);
    // The same reader enrols after all.
    let enrolled = Enrolled::with(&road, &next).await;
    assert!(enrolled.opens(&road, next.pickup).await.is_some());
}

pub async fn a_registration_is_good_for_an_hour_and_the_letter_must_live(road: Road) {
    let anna = road.letter_to(ANNA).await;
    let key = Key::new(ANNA);
    let early = Enrolment::new(&road, &anna, &key, &[]).await;
    road.pass(3_600);
    assert_eq!(road.ask(&early.errand()).await, Answer::Refused);
    // A browser whose clock is far ahead: its certificate would be no good to another device.
    let (secret, _) = sequoia_openpgp::cert::CertBuilder::new()
        .set_profile(sequoia_openpgp::Profile::RFC9580)
        .unwrap()
        .set_cipher_suite(sequoia_openpgp::cert::CipherSuite::Cv25519)
        .set_primary_key_flags(sequoia_openpgp::types::KeyFlags::empty().set_certification().set_signing())
        .add_userid(ANNA)
        .add_transport_encryption_subkey()
        .set_creation_time(std::time::UNIX_EPOCH + std::time::Duration::from_secs(road.now().unsigned_abs() + 301))
        .generate()
        .unwrap();
    let ahead = Enrolment::new(&road, &anna, &Key { secret }, &[]).await;
    assert_eq!(road.ask(&ahead.errand()).await, Answer::Refused);
    let late = Enrolment::new(&road, &anna, &key, &[]).await;
    road.pass(LIFETIME - 3_600);
    assert_eq!(road.ask(&late.errand()).await, Answer::Refused);
    nothing_came_of_it(&road).await;
}

pub async fn letters_whose_link_is_kept_are_taken_along(road: Road) {
    let anna = road.letter_to(ANNA).await;
    let pending = road.letter_to(ANNA).await;
    let elsewhere = road.letter_to(ANNA).await;
    elsewhere.opens(&road).await;
    let robbed = road.letter_to(ANNA).await;
    let swapped = road.letter_to(ANNA).await;
    let bens = road.letter_to("ben@home.example").await;
    // A broken portal: a share that is none, and another letter's halves.
    Road::tamper(&road.stores.vault, "update shares set share = $1", &[7; 31]).await;
    for reader in [&anna, &pending, &elsewhere, &swapped, &bens] {
        let of = if reader.pickup == swapped.pickup { &bens } else { reader };
        sqlx::query("update shares set share = $1 where pickup_id = $2")
            .bind(of.released.share.as_slice())
            .bind(reader.pickup.to_string())
            .execute(road.stores.vault.writer())
            .await
            .unwrap();
    }
    let enrolled = Enrolled::with(&road, &anna).await;
    assert!(enrolled.opens(&road, anna.pickup).await.is_some());
    assert!(enrolled.opens(&road, pending.pickup).await.is_some());
    for left in [&elsewhere, &robbed, &swapped, &bens] {
        assert!(enrolled.key_packet(&road, left.pickup).await.is_none());
    }
    assert_eq!(road.recorded("rewrapped").await.len(), 2);
    // The link that was forgotten opens it still; the browser that has it takes the letter along later.
    assert!(road.is_readable(elsewhere.pickup).await);
    let packet = enrolled.key.wrap(&elsewhere.session_key());
    assert_eq!(road.ask(&enrolled.rewrap(&road, elsewhere.pickup, packet).await).await, Answer::Done);
    assert!(enrolled.opens(&road, elsewhere.pickup).await.is_some());
    assert!(has_link_way(&road, elsewhere.pickup).await);
    road.ask(&enrolled.receipt(&road, elsewhere.pickup).await).await;
    assert!(!has_link_way(&road, elsewhere.pickup).await);
    assert!(has_link_way(&road, bens.pickup).await);
}

/// No MAC covers the key packets. A portal adds garbage for letters that their reader has not even seen; then their links are
/// forgotten, and can't be sent again.
pub async fn garbage_does_not_take_the_place_of_what_the_gateway_wraps(road: Road) {
    let anna = road.letter_to(ANNA).await;
    anna.opens(&road).await;
    let unseen = road.letter_to(ANNA).await;
    let key = Key::new(ANNA);
    let mut enrolment = Enrolment::new(&road, &anna, &key, &[&anna]).await;
    let garbage = Bytes(key.wrap(&SessionKey::new(32).unwrap()));
    enrolment.keys.push(WrappedKey { pickup: unseen.pickup, packet: garbage });
    let account = enrolment.account;
    assert_eq!(road.ask(&enrolment.errand()).await, Answer::Enrolled { account });
    let enrolled = Enrolled { account, key, address: ANNA.to_owned() };
    for letter in [&anna, &unseen] {
        assert!(enrolled.opens(&road, letter.pickup).await.is_some());
    }
    assert_eq!(road.recorded("rewrapped").await.len(), 2);
}

pub async fn garbage_instead_of_a_key_packet_destroys_nothing(road: Road) {
    let anna = road.letter_to(ANNA).await;
    anna.opens(&road).await;
    let key = Key::new(ANNA);
    let mut enrolment = Enrolment::new(&road, &anna, &key, &[&anna]).await;
    // Of the right shape, to the right certificate, with another session key inside.
    let garbage = key.wrap(&SessionKey::new(32).unwrap());
    enrolment.keys[0].packet = Bytes(garbage.clone());
    let account = enrolment.account;
    assert_eq!(road.ask(&enrolment.errand()).await, Answer::Enrolled { account });
    let enrolled = Enrolled { account, key, address: ANNA.to_owned() };
    assert!(enrolled.opens(&road, anna.pickup).await.is_none());
    // The portal shows the browser the right one instead, and gets a receipt for that one: it ends nothing.
    let shown = enrolled.key.wrap(&anna.session_key());
    assert_eq!(road.ask(&enrolled.receipt_for(&road, anna.pickup, &shown).await).await, Answer::Done);
    // The browser that is shown garbage sends no receipt: the link opens the letter, and the right key packet comes by link.
    assert!(road.is_readable(anna.pickup).await && has_link_way(&road, anna.pickup).await);
    let packet = enrolled.key.wrap(&anna.session_key());
    assert_eq!(road.ask(&enrolled.rewrap(&road, anna.pickup, packet).await).await, Answer::Done);
    assert!(enrolled.opens(&road, anna.pickup).await.is_some());
    road.ask(&enrolled.receipt(&road, anna.pickup).await).await;
    assert!(!has_link_way(&road, anna.pickup).await);
    // Afterwards the only way in can't be overwritten, not even by who has the key.
    assert_eq!(road.ask(&enrolled.rewrap(&road, anna.pickup, garbage).await).await, Answer::Done);
    assert!(enrolled.opens(&road, anna.pickup).await.is_some());
}

pub async fn a_withheld_key_packet_keeps_the_link(road: Road) {
    let anna = road.letter_to(ANNA).await;
    let enrolled = Enrolled::with(&road, &anna).await;
    // The portal shows the packet to the browser and takes it out of the vault; or another certificate's in its place.
    let packet = enrolled.key_packet(&road, anna.pickup).await.unwrap();
    let receipt = enrolled.receipt(&road, anna.pickup).await;
    for there in [Key::new(ANNA).wrap(&anna.session_key()), packet[..50].to_vec(), Vec::new()] {
        Road::tamper(&road.stores.vault, "update account_keys set packet = $1", &there).await;
        assert_eq!(road.ask(&receipt).await, Answer::Done);
        assert!(has_link_way(&road, anna.pickup).await);
    }
    assert_eq!(
        (road.pickup(anna.pickup).await.state, road.pickup(anna.pickup).await.way),
        (State::Notified, Way::Link)
    );
    Road::tamper(&road.stores.vault, "update account_keys set packet = $1", &packet).await;
    assert_eq!(road.ask(&receipt).await, Answer::Done);
    assert!(!has_link_way(&road, anna.pickup).await);
}

pub async fn from_the_pin_on_only_signatures_count(road: Road) {
    let anna = road.letter_to(ANNA).await;
    let other = road.letter_to(ANNA).await;
    let ben = road.letter_to("ben@home.example").await;
    let enrolled = Enrolled::with(&road, &anna).await;
    let stranger = Enrolled { account: enrolled.account, key: Key::new(ANNA), address: ANNA.to_owned() };
    let bens = Enrolled { account: enrolled.account, key: Key::new("ben@home.example"), address: ben.address.clone() };

    // The voice that counted before; another key; a signature over another letter or another statement; nobody's.
    let signed = |errand: &Errand| match errand {
        Errand::Receipt { signature, .. } | Errand::Rewrap { signature, .. } => signature.clone(),
        other => panic!("{other:?}"),
    };
    let packet = enrolled.key.wrap(&anna.session_key());
    let rewrap = enrolled.rewrap(&road, anna.pickup, packet.clone()).await;
    let of_other = signed(&enrolled.receipt(&road, other.pickup).await);
    for errand in [
        anna.receipt(&road),
        stranger.receipt(&road, anna.pickup).await,
        Errand::Receipt { pickup: anna.pickup, signature: of_other },
        Errand::Receipt { pickup: anna.pickup, signature: signed(&rewrap) },
        Errand::Receipt { pickup: anna.pickup, signature: Bytes(Vec::new()) },
        Errand::Receipt { pickup: anna.pickup, signature: Bytes(vec![0x55; 2_000]) },
        bens.receipt(&road, ben.pickup).await,
        Errand::Receipt { pickup: PickupId::random().unwrap(), signature: signed(&rewrap) },
    ] {
        assert_eq!(road.ask(&errand).await, Answer::Done);
    }
    for reader in [&anna, &other, &ben] {
        assert_eq!(road.pickup(reader.pickup).await.state, State::Notified);
        assert!(has_link_way(&road, reader.pickup).await);
    }
    let held = enrolled.key_packet(&road, anna.pickup).await.unwrap();
    let foreign = stranger.key.wrap(&anna.session_key());
    for (name, errand) in [
        ("another key's signature", stranger.rewrap(&road, anna.pickup, packet.clone()).await),
        ("to another certificate", enrolled.rewrap(&road, anna.pickup, foreign).await),
        (
            "another packet",
            Errand::Rewrap { pickup: anna.pickup, packet: Bytes(held.clone()), signature: signed(&rewrap) },
        ),
        (
            "for another letter",
            Errand::Rewrap { pickup: other.pickup, packet: Bytes(packet.clone()), signature: signed(&rewrap) },
        ),
        ("for a reader who isn't enrolled", bens.rewrap(&road, ben.pickup, bens.key.wrap(&ben.session_key())).await),
    ] {
        assert_eq!(road.ask(&errand).await, Answer::Refused, "{name}");
    }
    assert_eq!(enrolled.key_packet(&road, anna.pickup).await.unwrap(), held);
    // The old voice's enrolment, played again in a new errand, is none either.
    let mut again = Enrolment {
        pickup: anna.pickup,
        account: AccountId::random().unwrap(),
        certificate: stranger.key.certificate(),
        file: account_file(),
        upload: [element(), vec![7; 160]].concat(),
        recovery: vec![1; 32],
        mac: Vec::new(),
        keys: Vec::new(),
    };
    again.mac = again.said_by(&road, &anna, &stranger.key.fingerprint());
    assert_eq!(road.ask(&again.errand()).await, Answer::Conflict);
    assert_eq!(road.ask(&rewrap).await, Answer::Done);
}

pub async fn after_a_reset_an_old_enrolment_cannot_be_played_again(road: Road) {
    let anna = road.letter_to(ANNA).await;
    let key = Key::new(ANNA);
    let old = Enrolment::new(&road, &anna, &key, &[&anna]).await;
    assert_eq!(road.ask(&old.errand()).await, Answer::Enrolled { account: old.account });
    let was = Enrolled { account: old.account, key, address: ANNA.to_owned() };
    road.gateway.reset_account(&address(ANNA)).await.unwrap();
    road.deliver().await;
    assert_eq!((road.vault_rows("accounts").await, road.vault_rows("account_keys").await), (0, 0));

    // The same errand; and with the registration put back, as if it had just been given out.
    assert_eq!(road.ask(&old.errand()).await, Answer::Refused);
    sqlx::query("insert into registrations (account_id, reader, pickup_id, begun_at) values ($1, $2, $3, $4)")
        .bind(old.account.to_string())
        .bind(ANNA)
        .bind(anna.pickup.to_string())
        .bind(road.now())
        .execute(road.stores.own.writer())
        .await
        .unwrap();
    assert_eq!(road.ask(&old.errand()).await, Answer::Refused);
    // What the old key says counts no more, and the old voice doesn't come back.
    road.ask(&was.receipt(&road, anna.pickup).await).await;
    road.ask(&anna.receipt(&road)).await;
    assert_eq!(road.pickup(anna.pickup).await.state, State::Notified);
    assert!(has_link_way(&road, anna.pickup).await);
    assert_eq!(road.vault_rows("accounts").await, 0);

    // The next letter goes by link; with it the reader enrols anew, and those who write are told that the key is another one.
    let next = road.letter_to(ANNA).await;
    assert_eq!(road.pickup(next.pickup).await.way, Way::Link);
    let key = Key::new(ANNA);
    let new = Enrolment::new(&road, &next, &key, &[&next, &anna]).await;
    assert_eq!(road.ask(&new.errand()).await, Answer::Enrolled { account: new.account });
    let mails = road.deliver().await;
    let told = mails.iter().find(|mail| mail.recipients == [SENDER.to_owned()]).unwrap();
    assert_eq!(told.header("Subject"), format!("The key of {ANNA} has changed"));
    let row = accounts::account(&road.stores.vault, new.account).await.unwrap().unwrap();
    assert_eq!(row.counter, 3);
    let is = Enrolled { account: new.account, key, address: ANNA.to_owned() };
    assert!(is.opens(&road, next.pickup).await.is_some() && is.opens(&road, anna.pickup).await.is_some());
    road.ask(&was.receipt(&road, next.pickup).await).await;
    assert!(has_link_way(&road, next.pickup).await);
    assert_eq!(road.ask(&old.errand()).await, Answer::Conflict);
}
