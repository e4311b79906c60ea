//! Certificates in the store, on SQLite and on PostgreSQL: imported, merged, chosen, explained, removed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

#[path = "support/postgres.rs"]
mod postgres;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealpost_gateway::certificates::{
    self, Fault, Filter, ImportError, Imported, News, Outcome, Removed, Requirement, Scope, Source, State, Unfit,
};
use sealpost_vault::db::{Db, Schema};
use sealpost_vault::{EmailAddress, Time};
use sequoia_openpgp::cert::{Cert, CertBuilder, CertRevocationBuilder, CipherSuite};
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::UserID;
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::{ReasonForRevocation, SignatureType};

const NOW: Time = 1_790_000_000;
const DAY: Time = 24 * 60 * 60;

macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let directory = tempfile::tempdir().unwrap();
                let url = format!("sqlite:{}", directory.path().join("own.db").display());
                crate::$name(crate::open(&url).await).await;
            })+
        }

        /// One server for all of them; each has a database of its own.
        #[tokio::test(flavor = "multi_thread")]
        async fn on_postgres() {
            let server = postgres::Postgres::start();
            $(
                println!("{}", stringify!($name));
                $name(open(&server.database(stringify!($name))).await).await;
            )+
        }
    };
}

scenarios!(
    imported_and_found_by_canonical_address,
    for_one_address_only,
    the_newest_is_used_whatever_came_first,
    a_revocation_is_never_lost,
    imports_at_once_lose_nothing,
    removed,
    listed,
    explained,
    one_address_has_no_more_than_it_should,
);

async fn open(url: &str) -> Db {
    let store = Db::connect(url, Schema::Gateway).await.unwrap();
    store.migrate().await.unwrap();
    store
}

fn at(moment: Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(moment).unwrap())
}

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

/// With its secret, so that more can be signed; what is imported is the public half.
fn made(user_ids: &[&str], moment: Time) -> Cert {
    let builder = CertBuilder::new().set_cipher_suite(CipherSuite::Cv25519).set_creation_time(at(moment));
    let builder = user_ids.iter().fold(builder, |builder, user_id| builder.add_userid(*user_id));
    builder.add_transport_encryption_subkey().generate().unwrap().0
}

fn signer(cert: &Cert) -> KeyPair {
    cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap()
}

fn revoked(cert: &Cert, reason: ReasonForRevocation) -> Cert {
    let revocation = CertRevocationBuilder::new()
        .set_signature_creation_time(at(NOW - DAY))
        .unwrap()
        .set_reason_for_revocation(reason, b"")
        .unwrap()
        .build(&mut signer(cert), cert, None)
        .unwrap();
    cert.clone().insert_packets(vec![sequoia_openpgp::Packet::from(revocation)]).unwrap().0
}

fn also_named(cert: &Cert, user_id: &str) -> Cert {
    let user_id = UserID::from(user_id);
    let signature =
        SignatureBuilder::new(SignatureType::PositiveCertification).set_signature_creation_time(at(NOW - DAY)).unwrap();
    let signature = user_id.bind(&mut signer(cert), cert, signature).unwrap();
    let packets = vec![sequoia_openpgp::Packet::from(user_id), signature.into()];
    cert.clone().insert_packets(packets).unwrap().0
}

async fn import(store: &Db, cert: &Cert, scope: Scope<'_>) -> Imported {
    let bytes = cert.to_vec().unwrap();
    let mut imported = certificates::import(store, &bytes, Source::Import, scope, NOW).await.unwrap();
    assert_eq!(imported.len(), 1);
    imported.remove(0)
}

#[track_caller]
fn news(imported: Imported) -> News {
    imported.result.unwrap().news
}

async fn used(store: &Db, of: &str) -> Option<String> {
    certificates::usable_for(store, &address(of), NOW).await.unwrap().map(|usable| usable.fingerprint_hex())
}

/// Kinds of what was recorded, with the address; oldest first.
async fn recorded(store: &Db) -> Vec<String> {
    let rows: Vec<(String,)> =
        sqlx::query_as("select body from audit_records order by position").fetch_all(store.reader()).await.unwrap();
    let short = |(body,): &(String,)| {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        format!("{} {}", body["kind"].as_str().unwrap(), body["address"].as_str().unwrap())
    };
    rows.iter().map(short).collect()
}

async fn imported_and_found_by_canonical_address(store: Db) {
    let cert = made(&["Anna <Anna.Weber@KLINIK.example>", "anna@bücher.example"], NOW - DAY);
    let imported = import(&store, &cert, Scope::AllNamed).await;
    assert_eq!(imported.fingerprint, cert.fingerprint().to_hex());
    let taken = imported.result.unwrap();
    assert_eq!(taken.news, News::New);
    assert!(taken.addresses.iter().all(|(_, fault)| fault.is_none()));
    for named in ["anna.weber@klinik.example", "ANNA.WEBER@klinik.example", "anna@xn--bcher-kva.example"] {
        assert_eq!(used(&store, named).await, Some(cert.fingerprint().to_hex()), "{named}");
    }
    for other in ["anna@klinik.example", "anna.weber@klinik.example.org", "anna_weber@klinik.example"] {
        assert_eq!(used(&store, other).await, None, "{other}");
    }
    let usable = certificates::usable_for(&store, &address("anna@bücher.example"), NOW).await.unwrap().unwrap();
    assert!(!usable.cert().is_tsk());
    assert_eq!(news(import(&store, &cert, Scope::AllNamed).await), News::Known);
    let told = ["certificate-imported anna.weber@klinik.example", "certificate-imported anna@xn--bcher-kva.example"];
    assert_eq!(recorded(&store).await, told, "once, and nothing where nothing changed");
    let secret = cert.as_tsk().to_vec().unwrap();
    let refused = certificates::import(&store, &secret, Source::Import, Scope::AllNamed, NOW).await;
    assert!(matches!(refused, Err(ImportError::SecretKey)));
}

async fn for_one_address_only(store: Db) {
    let cert = made(&["anna@klinik.example", "anna@praxis.example"], NOW - DAY);
    let elsewhere = address("anna@elsewhere.example");
    let named = vec!["anna@klinik.example".to_owned(), "anna@praxis.example".to_owned()];
    let refused = import(&store, &cert, Scope::Only(&elsewhere)).await.result;
    assert_eq!(refused, Err(Unfit::OtherAddress { wanted: elsewhere.to_string(), named }));
    assert!(certificates::list(&store, &Filter::Everything, 10, NOW).await.unwrap().is_empty());

    let praxis = address("Anna@praxis.example");
    import(&store, &cert, Scope::Only(&praxis)).await.result.unwrap();
    assert_eq!(used(&store, "anna@praxis.example").await, Some(cert.fingerprint().to_hex()));
    assert_eq!(used(&store, "anna@klinik.example").await, None);
    let explanation = certificates::explain(&store, &address("anna@klinik.example"), NOW).await.unwrap();
    let faults = explanation.certificates[0].checks.iter().filter_map(|check| check.result.as_ref().err());
    assert_eq!(faults.collect::<Vec<_>>(), [&Fault::NotAdmitted]);

    assert_eq!(news(import(&store, &cert, Scope::AllNamed).await), News::Known);
    assert_eq!(used(&store, "anna@klinik.example").await, Some(cert.fingerprint().to_hex()));
    // What was admitted stays so when it comes again for one address.
    import(&store, &cert, Scope::Only(&praxis)).await.result.unwrap();
    assert!(used(&store, "anna@klinik.example").await.is_some());
}

async fn the_newest_is_used_whatever_came_first(store: Db) {
    let [old, middle, new] = [30, 20, 10].map(|days| made(&["anna@klinik.example"], NOW - days * DAY));
    for cert in [&middle, &new, &old] {
        import(&store, cert, Scope::AllNamed).await.result.unwrap();
    }
    assert_eq!(used(&store, "anna@klinik.example").await, Some(new.fingerprint().to_hex()));
    // What is signed anew later doesn't make an old key the new one.
    import(&store, &also_named(&old, "anna@klinik.example"), Scope::AllNamed).await.result.unwrap();
    assert_eq!(used(&store, "anna@klinik.example").await, Some(new.fingerprint().to_hex()));
    import(&store, &revoked(&new, ReasonForRevocation::KeyRetired), Scope::AllNamed).await.result.unwrap();
    assert_eq!(used(&store, "anna@klinik.example").await, Some(middle.fingerprint().to_hex()));

    let explanation = certificates::explain(&store, &address("anna@klinik.example"), NOW).await.unwrap();
    let told: Vec<_> = explanation.certificates.iter().map(|one| (one.fingerprint.clone(), one.outcome)).collect();
    let expected = [(&middle, Outcome::Used), (&old, Outcome::Outdone), (&new, Outcome::Unusable)];
    assert_eq!(told, expected.map(|(cert, outcome)| (cert.fingerprint().to_hex(), outcome)));
    assert_eq!(explanation.used().unwrap().fingerprint, middle.fingerprint().to_hex());

    // Made in the same second: one of them, always the same.
    let twins = [made(&["tom@klinik.example"], NOW - DAY), made(&["tom@klinik.example"], NOW - DAY)];
    for cert in &twins {
        import(&store, cert, Scope::AllNamed).await.result.unwrap();
    }
    let higher = twins.iter().map(|cert| cert.fingerprint().to_hex()).max();
    assert_eq!(used(&store, "tom@klinik.example").await, higher);
}

async fn a_revocation_is_never_lost(store: Db) {
    for reason in [ReasonForRevocation::KeyCompromised, ReasonForRevocation::KeyRetired] {
        let cert = made(&["anna@klinik.example"], NOW - 30 * DAY);
        let fingerprint = cert.fingerprint().to_hex();
        let revoked = revoked(&cert, reason);
        assert_eq!(news(import(&store, &cert, Scope::AllNamed).await), News::New);
        assert_eq!(used(&store, "anna@klinik.example").await, Some(fingerprint.clone()));
        let taken = import(&store, &revoked, Scope::AllNamed).await.result.unwrap();
        assert_eq!(taken.news, News::Merged);
        assert!(matches!(taken.addresses[0].1, Some(Fault::Revoked { .. })));
        assert_eq!(used(&store, "anna@klinik.example").await, None);
        // The old copy comes again.
        assert_eq!(news(import(&store, &cert, Scope::AllNamed).await), News::Known);
        assert_eq!(used(&store, "anna@klinik.example").await, None);
        // A copy with something new, and without the revocation.
        let named = also_named(&cert, "anna@praxis.example");
        assert_eq!(news(import(&store, &named, Scope::AllNamed).await), News::Merged);
        for address in ["anna@klinik.example", "anna@praxis.example"] {
            assert_eq!(used(&store, address).await, None);
        }
        // Only the removal forgets it.
        certificates::remove(&store, &fingerprint, None, NOW).await.unwrap();
    }
    // As key servers hand it out: the key and its revocation, no User ID. What is known gets it.
    let cert = made(&["anna@klinik.example"], NOW - 30 * DAY);
    let bare = revoked(&cert, ReasonForRevocation::KeyCompromised).retain_userids(|_| false);
    assert_eq!(import(&store, &bare, Scope::AllNamed).await.result, Err(Unfit::NoAddress));
    import(&store, &cert, Scope::AllNamed).await.result.unwrap();
    assert_eq!(news(import(&store, &bare, Scope::AllNamed).await), News::Merged);
    assert_eq!(used(&store, "anna@klinik.example").await, None);
}

async fn imports_at_once_lose_nothing(store: Db) {
    for round in 0..5 {
        let name = format!("anna{round}@klinik.example");
        let cert = made(&[&name], NOW - 30 * DAY);
        let others: Vec<_> = (0..4).map(|n| format!("other{n}@klinik{round}.example")).collect();
        let mut copies: Vec<_> = others.iter().map(|other| also_named(&cert, other)).collect();
        copies.push(revoked(&cert, ReasonForRevocation::KeyRetired));
        let imports = copies.into_iter().map(|copy| {
            let store = store.clone();
            tokio::spawn(async move { import(&store, &copy, Scope::AllNamed).await.result.unwrap() })
        });
        for import in imports.collect::<Vec<_>>() {
            import.await.unwrap();
        }
        let stored = certificates::find(&store, &cert.fingerprint().to_hex(), NOW).await.unwrap().unwrap();
        assert_eq!(stored.listed.state, State::Revoked);
        assert_eq!(stored.listed.addresses.len(), 5);
    }
}

async fn removed(store: Db) {
    let cert = made(&["anna@klinik.example", "anna@praxis.example"], NOW - DAY);
    let fingerprint = cert.fingerprint().to_hex();
    let [klinik, praxis] = ["anna@klinik.example", "anna@praxis.example"].map(address);
    let remove =
        async |from: Option<&EmailAddress>| certificates::remove(&store, &fingerprint, from, NOW).await.unwrap();
    assert_eq!(remove(None).await, Removed::Nothing);
    import(&store, &cert, Scope::AllNamed).await.result.unwrap();
    assert_eq!(remove(Some(&address("eve@klinik.example"))).await, Removed::Nothing);
    assert_eq!(remove(Some(&klinik)).await, Removed::Address);
    assert_eq!(remove(Some(&klinik)).await, Removed::Nothing);
    assert_eq!(used(&store, "anna@klinik.example").await, None);
    assert_eq!(used(&store, "anna@praxis.example").await, Some(fingerprint.clone()));
    assert_eq!(remove(Some(&praxis)).await, Removed::Certificate);
    assert!(certificates::find(&store, &fingerprint, NOW).await.unwrap().is_none());
    import(&store, &cert, Scope::AllNamed).await.result.unwrap();
    assert_eq!(remove(None).await, Removed::Certificate);
    assert_eq!(used(&store, "anna@praxis.example").await, None);
    let told = recorded(&store).await;
    let removals: Vec<_> = told.iter().filter(|told| told.starts_with("certificate-removed")).collect();
    assert_eq!(removals.len(), 4, "{told:?}");
}

async fn listed(store: Db) {
    let anna = made(&["anna@klinik.example"], NOW - DAY);
    let gone = revoked(&made(&["jonas@klinik.example"], NOW - DAY), ReasonForRevocation::KeyRetired);
    let elsewhere = made(&["a_na@sub.klinik.example"], NOW - DAY);
    let builder = CertBuilder::new().set_creation_time(at(NOW - 30 * DAY)).add_userid("eva@praxis.example");
    let builder = builder.set_validity_period(Duration::from_secs(10 * 24 * 60 * 60)).add_transport_encryption_subkey();
    let expired = builder.generate().unwrap().0;
    for cert in [&anna, &gone, &elsewhere, &expired] {
        import(&store, cert, Scope::AllNamed).await.result.unwrap();
    }
    let list = async |filter: Filter| {
        let listed = certificates::list(&store, &filter, 10, NOW).await.unwrap();
        let mut short: Vec<_> = listed.iter().map(|one| (one.addresses[0].to_string(), one.state)).collect();
        short.sort_by(|left, right| left.0.cmp(&right.0));
        short
    };
    let line = |address: &str, state| (address.to_owned(), state);
    let all = [
        line("a_na@sub.klinik.example", State::Usable),
        line("anna@klinik.example", State::Usable),
        line("eva@praxis.example", State::Expired),
        line("jonas@klinik.example", State::Revoked),
    ];
    assert_eq!(list(Filter::Everything).await, all);
    assert_eq!(list(Filter::Domain("klinik.example".into())).await, [all[1].clone(), all[3].clone()]);
    assert_eq!(list(Filter::Address(address("Anna@klinik.example"))).await, [all[1].clone()]);
    assert_eq!(list(Filter::Address(address("a_na@klinik.example"))).await, []);
    assert_eq!(certificates::list(&store, &Filter::Everything, 2, NOW).await.unwrap().len(), 2);
    let stored = certificates::find(&store, &expired.fingerprint().to_hex(), NOW).await.unwrap().unwrap();
    assert_eq!(stored.listed.expires_at, NOW - 20 * DAY);
    assert_eq!((stored.listed.source.as_str(), stored.listed.imported_at), ("import", NOW));
    let armored = String::from_utf8(stored.armored().unwrap()).unwrap();
    assert!(armored.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----"), "{armored}");
    assert_eq!(certificates::parse(armored.as_bytes()).unwrap().len(), 1);
}

async fn explained(store: Db) {
    let nobody = certificates::explain(&store, &address("anna@klinik.example"), NOW).await.unwrap();
    assert!(nobody.certificates.is_empty() && nobody.used().is_none());
    let cert = revoked(&made(&["anna@klinik.example"], NOW - DAY), ReasonForRevocation::KeyCompromised);
    import(&store, &cert, Scope::AllNamed).await.result.unwrap();
    let explanation = certificates::explain(&store, &address("ANNA@klinik.example"), NOW).await.unwrap();
    let checks = &explanation.certificates[0].checks;
    let failed: Vec<_> = checks.iter().filter(|check| check.result.is_err()).map(|check| check.requirement).collect();
    assert_eq!(failed, [Requirement::NotRevoked]);
    let text = serde_json::to_string(&explanation).unwrap();
    assert!(text.contains(r#""requirement":"not-revoked","passed":false,"found":"revoked on 2026-09-20"#), "{text}");
    assert!(text.contains(r#""outcome":"unusable""#), "{text}");
}

async fn one_address_has_no_more_than_it_should(store: Db) {
    let certs: Vec<_> = (0..33).map(|_| made(&["anna@klinik.example"], NOW - DAY)).collect();
    for cert in &certs[..32] {
        import(&store, cert, Scope::AllNamed).await.result.unwrap();
    }
    let refused = import(&store, &certs[32], Scope::AllNamed).await.result;
    assert_eq!(refused, Err(Unfit::Crowded("anna@klinik.example".into())));
    // Nothing of it is left, and what is known can be imported again.
    assert_eq!(certificates::list(&store, &Filter::Everything, 100, NOW).await.unwrap().len(), 32);
    assert_eq!(news(import(&store, &certs[0], Scope::AllNamed).await), News::Known);
}
