//! Mail to recipients' own OpenPGP keys: who shares a copy, and what becomes of a message whose recipient has no usable key
//! at the door, or none any more when it is made.

use std::io::Read;
use std::time::{Duration, UNIX_EPOCH};

use sealpost_gateway::certificates::{self, Removed, Scope, Source};
use sealpost_gateway::queue::{Kind, Route};
use sealpost_vault::errands::Answer;
use sequoia_openpgp::cert::{CertBuilder, CipherSuite};
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::packet::{PKESK, SKESK};
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::parse::stream::{DecryptionHelper, DecryptorBuilder, MessageStructure, VerificationHelper};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::{Features, SymmetricAlgorithm};
use sequoia_openpgp::{Cert, KeyHandle, Packet, PacketPile, Profile, anyhow};

use crate::bench::{Road, SENDER, START, marked};
use crate::reader::Reader;
use crate::reply::Reply;

/// A key that was made an hour ago, imported as an administrator does.
pub async fn with_key(road: &Road, reader: &str, lifetime: Option<Duration>) -> Cert {
    let (cert, _) = CertBuilder::new()
        .set_profile(Profile::RFC4880)
        .unwrap()
        .set_features(Features::empty().set_seipdv1())
        .unwrap()
        .set_cipher_suite(CipherSuite::Cv25519)
        .add_userid(format!("<{reader}>"))
        .add_transport_encryption_subkey()
        .set_creation_time(UNIX_EPOCH + Duration::from_secs(START.unsigned_abs() - 3_600))
        .set_validity_period(lifetime)
        .generate()
        .unwrap();
    let bytes = cert.to_vec().unwrap();
    let imported =
        certificates::import(&road.stores.own, &bytes, Source::Import, Scope::AllNamed, road.now()).await.unwrap();
    let taken = imported[0].result.as_ref().unwrap();
    assert!(taken.addresses.iter().all(|(_, fault)| fault.is_none()), "{taken:?}");
    cert
}

/// A second later: keys are looked at again then.
async fn without_key(road: &Road, cert: &Cert) {
    road.pass(1);
    let removed = certificates::remove(&road.stores.own, &cert.fingerprint().to_hex(), None, road.now()).await.unwrap();
    assert_eq!(removed, Removed::Certificate);
}

struct Opener<'a>(&'a Cert);

impl VerificationHelper for Opener<'_> {
    fn get_certs(&mut self, _: &[KeyHandle]) -> anyhow::Result<Vec<Cert>> {
        Ok(Vec::new())
    }

    /// Who signed is looked at where the mail is written.
    fn check(&mut self, _: MessageStructure) -> anyhow::Result<()> {
        Ok(())
    }
}

impl DecryptionHelper for Opener<'_> {
    fn decrypt(
        &mut self,
        pkesks: &[PKESK],
        _: &[SKESK],
        cipher: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> anyhow::Result<Option<Cert>> {
        for key in self.0.keys().unencrypted_secret() {
            let mut pair = key.key().clone().into_keypair()?;
            let opens =
                |pkesk: &PKESK| pkesk.decrypt(&mut pair, cipher).is_some_and(|(cipher, key)| decrypt(cipher, &key));
            if pkesks.iter().any(opens) {
                return Ok(Some(self.0.clone()));
            }
        }
        Err(anyhow::anyhow!("not for this key"))
    }
}

fn armored(mail: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(mail.to_vec()).unwrap();
    let begin = text.find("-----BEGIN PGP MESSAGE-----").expect("armor");
    text[begin..].split_inclusive("-----END PGP MESSAGE-----").next().unwrap().as_bytes().to_vec()
}

fn opened(mail: &[u8], with: &Cert) -> anyhow::Result<String> {
    let policy = StandardPolicy::new();
    let mut inner = Vec::new();
    DecryptorBuilder::from_bytes(&armored(mail))?
        .with_policy(&policy, UNIX_EPOCH + Duration::from_secs(START.unsigned_abs()), Opener(with))?
        .read_to_end(&mut inner)?;
    Ok(String::from_utf8(inner)?)
}

/// Key packets of a mail.
fn key_packets(mail: &[u8]) -> usize {
    let pile = PacketPile::from_bytes(&armored(mail)).unwrap();
    pile.children().filter(|packet| matches!(packet, Packet::PKESK(_))).count()
}

fn asking(how: &str, to: &str) -> String {
    format!("X-Sealpost-Protect: {how}\r\n{}", marked(to).replace("[secure] ", ""))
}

pub async fn who_sees_each_other_shares_a_copy_and_hidden_ones_leave_no_trace(road: Road) {
    let anna = with_key(&road, "anna@friends.example", None).await;
    let ben = with_key(&road, "ben@friends.example", None).await;
    let [dora, emil] =
        [with_key(&road, "dora@friends.example", None).await, with_key(&road, "emil@friends.example", None).await];
    let text = format!(
        "From: Dr. Weber <{SENDER}>\r\nTo: Anna <ANNA@friends.example>\r\nCc: ben@friends.example, nokey@friends.example\r\n\
         Bcc: dora@friends.example\r\nSubject: [secure] Befund\r\nMessage-ID: <1@klinik.example>\r\n\r\nGuten Tag\r\n"
    );
    let to = [
        "anna@friends.example",
        "dora@friends.example",
        "ben@friends.example",
        "nokey@friends.example",
        "emil@friends.example",
        "kim@klinik.example",
    ];
    road.send(SENDER, &to, &text).await;
    let mut mails = road.deliver().await;
    mails.sort_by_key(|mail| (mail.kind.as_str(), mail.recipients.clone()));
    let ways: Vec<_> = mails.iter().map(|mail| (mail.kind, mail.recipients.join(" "))).collect();
    assert_eq!(
        ways,
        [
            (Kind::Encrypted, "anna@friends.example ben@friends.example".to_owned()),
            (Kind::Encrypted, "dora@friends.example".to_owned()),
            (Kind::Encrypted, "emil@friends.example".to_owned()),
            (Kind::Notification, "nokey@friends.example".to_owned()),
            (Kind::Relayed, "kim@klinik.example".to_owned()),
        ]
    );
    assert_eq!([&mails[0], &mails[1], &mails[2]].map(|mail| key_packets(&mail.bytes)), [2, 1, 1]);
    for (mail, opens) in [(&mails[0], vec![&anna, &ben]), (&mails[1], vec![&dora]), (&mails[2], vec![&emil])] {
        assert_eq!((mail.route, mail.reverse_path.as_str()), (Route::Outside, SENDER));
        assert_eq!(mail.header("Subject"), "[...]");
        assert!(!mail.mentions("Befund") && !mail.mentions("Guten Tag"));
        // Random letters of the ciphertext may say anything.
        let outside = String::from_utf8_lossy(&mail.bytes).split("-----BEGIN").next().unwrap().to_lowercase();
        for cert in [&anna, &ben, &dora, &emil] {
            let found = opened(&mail.bytes, cert);
            assert_eq!(found.is_ok(), opens.iter().any(|one| one.fingerprint() == cert.fingerprint()));
            let Ok(inner) = found else { continue };
            assert!(inner.contains("Subject: Befund\r\n") && inner.ends_with("\r\n\r\nGuten Tag\r\n"), "{inner}");
            for hidden in ["dora@", "emil@", "bcc:", "x-sealpost", "[secure]"] {
                assert!(!inner.to_lowercase().contains(hidden), "{hidden}: {inner}");
                assert!(!outside.contains(hidden), "{hidden}: {outside}");
            }
        }
    }
}

pub async fn a_wish_for_openpgp_is_kept_or_refused(road: Road) {
    let refused = road.submit(SENDER, &["anna@wishes.example"], &asking("openpgp", "anna@wishes.example")).await;
    assert_eq!(refused.map_err(|no| (no.code, no.enhanced)), Err((550, "5.7.5")));
    assert!(road.gateway.spool().list().await.unwrap().is_empty());
    with_key(&road, "anna@wishes.example", None).await;
    // One recipient without a key refuses it for all: nobody gets half a message.
    let both = ["anna@wishes.example", "ben@wishes.example"];
    let refused = road.submit(SENDER, &both, &asking("openpgp", "anna@wishes.example")).await;
    assert_eq!(refused.map_err(|no| (no.code, no.enhanced)), Err((550, "5.7.5")));
    // Mail that nobody sent can be encrypted: nothing has to come back.
    for from in [SENDER, ""] {
        road.send(from, &["anna@wishes.example"], &asking("openpgp", "anna@wishes.example")).await;
        assert_eq!(road.waiting().await, [(Kind::Encrypted, "anna@wishes.example".to_owned())]);
        road.deliver().await;
    }
    // The portal, where it is asked for, whatever keys there are.
    road.send(SENDER, &["anna@wishes.example"], &asking("portal", "anna@wishes.example")).await;
    assert_eq!(road.waiting().await, [(Kind::Notification, "anna@wishes.example".to_owned())]);
}

pub async fn a_key_that_ends_before_it_is_used_sends_nothing(road: Road) {
    with_key(&road, "anna@steuer.example", Some(Duration::from_secs(7_200))).await;
    let removed = with_key(&road, "ben@steuer.example", None).await;
    let to = ["anna@steuer.example", "ben@steuer.example"];
    road.submit(SENDER, &to, &marked("anna@steuer.example")).await.unwrap();
    road.pass(3_601);
    without_key(&road, &removed).await;
    road.carry().await;
    let mails = road.deliver().await;
    assert_eq!(mails.len(), 2);
    for recipient in to {
        assert_eq!(mails.iter().filter(|mail| mail.mentions(recipient)).count(), 1, "{recipient}");
    }
    for mail in &mails {
        assert_eq!((mail.kind, mail.route, mail.reverse_path.as_str()), (Kind::Report, Route::Inside, ""));
        assert_eq!(mail.recipients, [SENDER]);
        assert!(!mail.mentions("Befund") && !mail.mentions("Guten Tag"));
        assert_eq!(mail.header("In-Reply-To"), "<first@klinik.example>");
    }
    assert!(road.gateway.spool().list().await.unwrap().is_empty());
    let rows: Vec<(String,)> =
        sqlx::query_as("select body from audit_records").fetch_all(road.stores.own.reader()).await.unwrap();
    let told = |kind: &str| rows.iter().filter(|(body,)| body.contains(&format!("\"kind\":\"{kind}\""))).count();
    assert_eq!((told("unsent"), told("encrypted"), told("relayed"), told("held")), (2, 0, 0, 0));
    // At the door it is refused now.
    let refused = road.submit(SENDER, &["anna@steuer.example"], &marked("anna@steuer.example")).await;
    assert_eq!(refused.map_err(|no| (no.code, no.enhanced)), Err((550, "5.7.5")));
}

pub async fn a_null_senders_unsent_message_is_told_to_the_postmaster(road: Road) {
    let key = with_key(&road, "anna@steuer.example", None).await;
    for from in ["", "stranger@elsewhere.example"] {
        road.submit(from, &["anna@steuer.example"], &marked("anna@steuer.example")).await.unwrap();
    }
    without_key(&road, &key).await;
    road.carry().await;
    let told = road.waiting().await;
    assert_eq!(told, vec![(Kind::Report, "postmaster@klinik.example".to_owned()); 2]);
}

pub async fn best_holds_where_the_key_is_gone_or_never_was(road: Road) {
    let key = with_key(&road, "anna@friends.example", None).await;
    road.submit(SENDER, &["anna@friends.example"], &marked("anna@friends.example")).await.unwrap();
    without_key(&road, &key).await;
    road.carry().await;
    let letter = road.only_reader().await;
    assert_eq!(letter.parts(&road).await[0].2, b"Guten Tag\n");
    road.send(SENDER, &["nokey@friends.example"], &marked("nokey@friends.example")).await;
    assert_eq!(road.waiting().await, [(Kind::Notification, "nokey@friends.example".to_owned())]);
    road.deliver().await;
    // Nobody could be answered: with a key that doesn't matter, without one it is refused.
    with_key(&road, "ben@friends.example", None).await;
    road.send("", &["ben@friends.example"], &marked("ben@friends.example")).await;
    assert_eq!(road.waiting().await, [(Kind::Encrypted, "ben@friends.example".to_owned())]);
    let refused = road.submit("", &["nokey@friends.example"], &marked("nokey@friends.example")).await;
    assert_eq!(refused.map_err(|no| (no.code, no.enhanced)), Err((550, "5.7.1")));
}

pub async fn what_the_sender_encrypted_passes_and_what_claims_to_be_does_not(road: Road) {
    with_key(&road, "anna@friends.example", None).await;
    road.send(SENDER, &["anna@friends.example"], &marked("anna@friends.example")).await;
    let armor = String::from_utf8(armored(&road.deliver().await[0].bytes)).unwrap();
    let mail = |armor: &str| {
        format!(
            "From: {SENDER}\r\nTo: anna@friends.example\r\nSubject: [secure] Befund\r\nX-Odd :  \t kept\r\nContent-Type: multipart/encrypted;\r\n\
             \tprotocol=\"application/pgp-encrypted\"; boundary=b\r\n\r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\n\
             Version: 1\r\n\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n{armor}\r\n--b--\r\n"
        )
    };
    let everybody = ["anna@friends.example", "anna@steuer.example", "anna@home.example"];
    road.send(SENDER, &everybody, &mail(&armor)).await;
    let mails = road.deliver().await;
    // Best, openpgp without any key, hold: as it came, in one transaction.
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0].kind, Kind::Relayed);
    let sent = String::from_utf8(mails[0].bytes.clone()).unwrap();
    assert!(sent.ends_with(&mail(&armor).replace("[secure] ", "")), "unchanged but for tag and trace: {sent}");
    // The same with a few letters that are no ciphertext: encrypted around, refused, held.
    let claim = mail("-----BEGIN PGP MESSAGE-----\r\n\r\nR3V0ZW4gVGFnLCBkZXIgQmVmdW5k\r\n-----END PGP MESSAGE-----");
    let refused = road.submit(SENDER, &["anna@steuer.example"], &claim).await;
    assert_eq!(refused.map_err(|no| (no.code, no.enhanced)), Err((550, "5.7.5")));
    road.send(SENDER, &["anna@friends.example", "anna@home.example"], &claim).await;
    let kinds: Vec<_> = road.waiting().await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [Kind::Encrypted, Kind::Notification]);
    assert!(road.deliver().await.iter().all(|mail| !mail.mentions("R3V0ZW4")));
}

pub async fn an_answer_to_a_reply_address_stays_in_the_portal(road: Road) {
    let anna = road.letter_to("anna@home.example").await;
    assert_eq!(Reply::new(&road, &anna, "Danke", &[]).send(&road, &anna).await, Answer::Taken);
    let mails = road.deliver().await;
    let reply_address = mails[0].parsed().from().unwrap().first().unwrap().address().unwrap().to_owned();
    with_key(&road, "anna@home.example", None).await;
    // Copied to somebody with a key: the reply address is of use inside only, and doesn't leave inside a ciphertext either.
    let ben = with_key(&road, "ben@friends.example", None).await;
    let text = format!(
        "From: {SENDER}\r\nTo: {reply_address}\r\nCc: ben@friends.example\r\nSubject: [secure] Re: Befund\r\n\r\nGern\r\n"
    );
    road.send(SENDER, &[&reply_address, "ben@friends.example"], &text).await;
    let mut mails = road.deliver().await;
    mails.sort_by_key(|mail| mail.kind.as_str());
    assert_eq!(mails.iter().map(|mail| mail.kind).collect::<Vec<_>>(), [Kind::Encrypted, Kind::Notification]);
    let inner = opened(&mails[0].bytes, &ben).unwrap();
    assert!(inner.contains("To: anna@home.example\r\n") && !inner.contains("reply-"), "{inner}");
    assert!(!mails[0].mentions("reply-"));
    let again = Reader::of(&road, &mails[1]).await;
    assert_eq!(again.slip()["conversation"], anna.slip()["conversation"]);
}

pub async fn what_was_encrypted_is_in_the_audit(road: Road) {
    let anna = with_key(&road, "anna@friends.example", None).await;
    road.send(SENDER, &["anna@friends.example"], &marked("anna@friends.example")).await;
    let rows: Vec<(String,)> =
        sqlx::query_as("select body from audit_records").fetch_all(road.stores.own.reader()).await.unwrap();
    let told: Vec<&String> = rows.iter().map(|(body,)| body).filter(|body| body.contains("\"encrypted\"")).collect();
    assert_eq!(told.len(), 1, "{rows:?}");
    assert!(told[0].contains(&anna.fingerprint().to_hex()) && told[0].contains("friends"), "{}", told[0]);
    assert!(!told[0].contains("Befund"));
}
