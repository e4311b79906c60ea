//! Tests of changed keys: what is older stays good, whole or not at all, and the primary out of the house.

use sequoia_openpgp::crypto::Signer;
use sequoia_openpgp::packet::PKESK;
use sequoia_openpgp::packet::pkesk::PKESK6;

use super::*;

fn change(keys: &Path, rotating: &[Rotating]) -> Keyring {
    let mut change = Change::begin(keys, &MasterSource::beside(keys)).unwrap();
    for key in rotating {
        change.rotate(*key, None, NOW + 1000).unwrap();
    }
    change.commit().unwrap()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(zeroize::Zeroizing::new(text.to_owned())).unwrap()
}

/// A session key sealed to the newest encryption subkey of a certificate, as browsers choose it.
fn sealed_to(certificate: &[u8]) -> PKESK {
    let cert = Cert::from_bytes(certificate).unwrap();
    let policy = StandardPolicy::new();
    let newest = cert
        .keys()
        .subkeys()
        .with_policy(&policy, None)
        .for_transport_encryption()
        .max_by_key(|key| key.key().creation_time())
        .unwrap();
    let key = sequoia_openpgp::crypto::SessionKey::from(vec![7; 32]);
    PKESK6::for_recipient(&key, newest.key()).unwrap().into()
}

fn opens(keyring: &Keyring, packet: &PKESK) -> bool {
    keyring
        .organisation()
        .openers()
        .iter_mut()
        .any(|key| packet.decrypt(key, None).is_some_and(|(_, session)| session.as_ref() == [7; 32]))
}

#[test]
fn rotation_keeps_what_older_letters_need() {
    let (old, home) = keyring();
    let keys = home.path().join("keys");
    let id = QueueId::from_bytes([1; 16]);
    let kept = old.keep("link", b"row", b"owner", b"secret").unwrap();
    let spooled = old.spool_seal(&id, b"mail".to_vec()).unwrap();
    let vouch = old.vouch(b"words").unwrap();
    let reply = sealed_to(&old.certificate());
    let audited = old.audit_sign(b"record");

    let mut generation = 1;
    for _ in 0..3 {
        change(&keys, &Rotating::ALL);
        generation += 1;
        let new = load(&keys).unwrap();
        assert_eq!(new.generation(), generation);
        assert_eq!((new.fingerprint(), new.set()), (old.fingerprint(), old.set()));
        assert_eq!(new.mail_fingerprint(), old.mail_fingerprint());
        assert_eq!(new.opaque_setup(), old.opaque_setup());
        assert_eq!(new.open_kept("link", b"row", b"owner", &kept).unwrap().as_slice(), b"secret");
        assert_eq!(new.spool_open(&id, spooled.clone()).unwrap(), b"mail");
        assert!(new.verify_vouch(b"words", &vouch));
        assert!(opens(&new, &reply));
        assert!(audit_verify(&new.audit_publics(), b"record", &audited));

        // What is new doesn't open with the old ones.
        let kept = new.keep("link", b"row", b"owner", b"secret").unwrap();
        assert!(matches!(old.open_kept("link", b"row", b"owner", &kept), Err(KeyringError::NotOurs)));
        let spooled = new.spool_seal(&id, b"mail".to_vec()).unwrap();
        assert!(matches!(old.spool_open(&id, spooled), Err(KeyringError::NotOurs)));
        assert!(!old.verify_vouch(b"words", &new.vouch(b"words").unwrap()));
        let reply = sealed_to(&new.certificate());
        assert!(opens(&new, &reply) && !opens(&old, &reply));
        assert!(!audit_verify(&[old.audit_public()], b"record", &new.audit_sign(b"record")));
    }
    let new = load(&keys).unwrap();
    assert_eq!(new.organisation().openers().len(), 4);
    assert_eq!(new.audit_publics().len(), 4);
}

#[test]
fn a_rotation_changes_what_it_was_asked_to_and_nothing_else() {
    for rotating in Rotating::ALL {
        let (old, home) = keyring();
        let new = change(&home.path().join("keys"), &[rotating]);
        let changed: Vec<&str> = [
            ("organisation", old.certificate() != new.certificate()),
            ("mail", old.mail().certificate() != new.mail().certificate()),
            ("root", old.0.root.present().0 != new.0.root.present().0),
            ("spool", old.0.spool.present().0 != new.0.spool.present().0),
            ("audit", old.audit_public() != new.audit_public()),
        ]
        .into_iter()
        .filter_map(|(word, changed)| changed.then_some(word))
        .collect();
        assert_eq!(changed, [rotating.word()]);
    }
}

#[test]
fn new_subkeys_are_newer_by_their_date_and_fit_a_version_4_key_without_seipd_2() {
    let (_, home) = keyring();
    let keys = home.path().join("keys");
    // Twice at the very moment of the making: dates have seconds.
    let mut begun = Change::begin(&keys, &MasterSource::beside(&keys)).unwrap();
    for _ in 0..2 {
        begun.rotate(Rotating::Mail, None, NOW).unwrap();
        begun.rotate(Rotating::Organisation, None, NOW).unwrap();
    }
    let keyring = begun.commit().unwrap();
    let policy = StandardPolicy::new();
    for (certificate, version) in [(keyring.certificate(), 6), (keyring.mail().certificate(), 4)] {
        let cert = Cert::from_bytes(&certificate).unwrap();
        let valid = cert.with_policy(&policy, None).unwrap();
        let mut dates: Vec<_> = valid.keys().subkeys().for_signing().map(|key| key.key().creation_time()).collect();
        assert_eq!(dates.len(), 3);
        dates.dedup();
        assert_eq!(dates.len(), 3);
        assert!(valid.keys().all(|key| key.key().version() == version));
        let newest = valid.keys().subkeys().for_signing().max_by_key(|key| key.key().creation_time()).unwrap();
        let signer = if version == 6 { keyring.organisation().signer() } else { keyring.mail().signer() };
        assert_eq!(signer.unwrap().public().fingerprint(), newest.key().fingerprint());
        assert!(
            valid
                .keys()
                .all(|key| key.binding_signature().features().is_none_or(|f| version == 6 || !f.supports_seipdv2()))
        );
    }
}

#[test]
fn a_rotation_that_is_not_committed_changes_nothing_and_a_leftover_of_one_is_no_harm() {
    let (old, home) = keyring();
    let keys = home.path().join("keys");
    let before = fs::read(keys.join("keyring")).unwrap();
    let mut begun = Change::begin(&keys, &MasterSource::beside(&keys)).unwrap();
    begun.rotate(Rotating::Root, None, NOW).unwrap();
    // Only one at a time.
    assert!(matches!(Change::begin(&keys, &MasterSource::beside(&keys)), Err(KeyringError::Busy(_))));
    drop(begun);
    assert_eq!(fs::read(keys.join("keyring")).unwrap(), before);
    // A crash between writing and renaming leaves this.
    fs::write(keys.join("keyring.new"), &before[..100]).unwrap();
    assert_eq!(load(&keys).unwrap().generation(), old.generation());
    assert_eq!(change(&keys, &[Rotating::Root]).generation(), 2);
    assert!(!keys.join("keyring.new").exists());
    assert_eq!(mode(&keys.join("keyring")), 0o600);
}

#[test]
fn the_primary_out_of_the_house_binds_new_subkeys_and_nothing_else_does() {
    let (old, home) = keyring();
    let keys = home.path().join("keys");
    let source = MasterSource::beside(&keys);
    let words = passphrase("correct horse battery");
    let mut begun = Change::begin(&keys, &source).unwrap();
    let file = begun.take_primary_out(&words).unwrap();
    assert!(matches!(begun.take_primary_out(&words), Err(KeyringError::PrimaryIsOut)));
    begun.commit().unwrap();

    let without = load(&keys).unwrap();
    assert!(!without.has_primary() && old.has_primary());
    assert_eq!(without.certificate(), old.certificate());
    assert!(without.verify_vouch(b"words", &old.vouch(b"words").unwrap()));
    assert!(opens(&without, &sealed_to(&old.certificate())));
    // The primary's secret is in no key that is left, and the file holds no other.
    let tsk = Cert::from_bytes(&without.0.organisation.secret_bytes().unwrap()).unwrap();
    assert!(!tsk.primary_key().key().has_secret());
    assert_eq!(tsk.keys().subkeys().filter(|key| key.key().has_secret()).count(), 2);

    let mut begun = Change::begin(&keys, &source).unwrap();
    assert!(matches!(begun.rotate(Rotating::Organisation, None, NOW), Err(KeyringError::PrimaryIsOut)));
    assert!(matches!(Primary::unlock(&file, &passphrase("another passphrase")), Err(LockedError::WrongOrDamaged)));
    let primary = Primary::unlock(&file, &words).unwrap();
    begun.rotate(Rotating::Organisation, Some(&primary), NOW + 5000).unwrap();
    begun.commit().unwrap();
    let rotated = load(&keys).unwrap();
    assert_eq!(rotated.fingerprint(), old.fingerprint());
    assert_eq!(rotated.organisation().openers().len(), 2);
    assert!(!rotated.has_primary());

    // Another organisation's primary binds nothing here.
    let (_, elsewhere) = keyring();
    let theirs = elsewhere.path().join("keys");
    let mut begun = Change::begin(&theirs, &MasterSource::beside(&theirs)).unwrap();
    assert!(matches!(begun.rotate(Rotating::Organisation, Some(&primary), NOW), Err(KeyringError::OtherPrimary)));
    assert!(matches!(Backup::open(&file, &words), Err(LockedError::NotThis(_))));
}
