//! Tests of the keyring: made once, read strictly, kept secrets bound to their row.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use sequoia_openpgp::Cert;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::PublicKeyAlgorithm;
use tempfile::TempDir;

use super::*;

const NOW: Time = 1_750_000_000;

/// A keyring and the directory that it lies in.
pub(crate) fn keyring() -> (Keyring, TempDir) {
    let home = TempDir::new().unwrap();
    let keyring =
        Keyring::create(&home.path().join("keys"), "Klinikum Süd (Haus 2)", "post@klinik.example", NOW).unwrap();
    (keyring, home)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_was_created_loads_again() {
    let (made, home) = keyring();
    let loaded = Keyring::load(&home.path().join("keys")).unwrap();
    assert_eq!(made.fingerprint(), loaded.fingerprint());
    assert_eq!(made.certificate(), loaded.certificate());
    let kept = made.keep("link", b"row", b"owner", b"secret").unwrap();
    assert_eq!(loaded.open_kept("link", b"row", b"owner", &kept).unwrap().as_slice(), b"secret");
    let id = QueueId::from_bytes([1; 16]);
    let spooled = made.spool_seal(&id, b"mail".to_vec()).unwrap();
    assert_eq!(loaded.spool_open(&id, spooled).unwrap(), b"mail");
}

#[test]
fn files_are_the_owners_alone_and_nothing_else_lies_there() {
    let (_, home) = keyring();
    let keys = home.path().join("keys");
    assert_eq!(mode(&keys), 0o700);
    let mut names: Vec<_> =
        fs::read_dir(&keys).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["format", "gateway-root", "organisation", "spool"]);
    for name in names {
        assert_eq!(mode(&keys.join(name)), 0o600);
    }
}

#[test]
fn the_certificate_is_the_one_that_sealing_needs() {
    let (keyring, _home) = keyring();
    let cert = Cert::from_bytes(&keyring.certificate()).unwrap();
    assert!(!cert.is_tsk());
    assert_eq!(cert.primary_key().key().version(), 6);
    assert_eq!(cert.primary_key().key().pk_algo(), PublicKeyAlgorithm::Ed25519);
    assert_eq!(cert.fingerprint().as_bytes(), keyring.fingerprint());
    assert_eq!(cert.fingerprint().to_hex(), keyring.fingerprint_hex());
    assert_eq!(
        cert.userids().map(|u| String::from_utf8_lossy(u.userid().value()).into_owned()).collect::<Vec<_>>(),
        ["Klinikum Süd (Haus 2) <post@klinik.example>"]
    );
    let policy = StandardPolicy::new();
    let valid = cert.with_policy(&policy, None).unwrap();
    let primary = valid.primary_key().key_flags().unwrap();
    assert!(primary.for_certification() && !primary.for_signing());
    assert_eq!(valid.keys().count(), 3);
    let signing: Vec<_> = valid.keys().for_signing().map(|k| k.key().pk_algo()).collect();
    assert_eq!(signing, [PublicKeyAlgorithm::Ed25519]);
    let sealing: Vec<_> = valid.keys().for_transport_encryption().map(|k| k.key().pk_algo()).collect();
    assert_eq!(sealing, [PublicKeyAlgorithm::X25519]);
    for key in valid.keys() {
        let made = key.key().creation_time().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(made, 1_749_999_940);
    }
}

#[test]
fn a_certificate_dated_ahead_of_this_clock_still_signs_and_opens() {
    let home = TempDir::new().unwrap();
    let keyring = Keyring::create(&home.path().join("k"), "Office", "post@office.example", 4_000_000_000).unwrap();
    assert!(keyring.organisation().signer().is_some());
    assert_eq!(keyring.organisation().openers().len(), 1);
}

#[test]
fn nothing_is_overwritten() {
    let (keyring, home) = keyring();
    let keys = home.path().join("keys");
    let again = Keyring::create(&keys, "Office", "post@office.example", NOW);
    assert!(matches!(again, Err(KeyringError::AlreadyThere(_))));
    assert_eq!(Keyring::load(&keys).unwrap().fingerprint(), keyring.fingerprint());

    let foreign = home.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("notes"), "mine").unwrap();
    assert!(matches!(Keyring::create(&foreign, "O", "o@x.example", NOW), Err(KeyringError::AlreadyThere(_))));
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
}

#[test]
fn an_empty_directory_is_taken_and_closed_to_others() {
    let home = TempDir::new().unwrap();
    fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
    Keyring::create(home.path(), "Office", "post@office.example", NOW).unwrap();
    assert_eq!(mode(home.path()), 0o700);
}

#[test]
fn user_ids_that_would_say_something_else_are_refused() {
    let home = TempDir::new().unwrap();
    for (name, address) in [
        ("A\nB", "a@x.example"),
        ("A <b@y.example>", "a@x.example"),
        (" ", "a@x.example"),
        ("A", "nowhere"),
        ("A", "a@x.example> <b@y.example"),
    ] {
        let refused = Keyring::create(&home.path().join("k"), name, address, NOW);
        assert!(matches!(refused, Err(KeyringError::UserId)), "{name} {address}");
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage, &str); 13] = [
        ("all gone", |d| fs::remove_dir_all(d).unwrap(), "no keys in"),
        (
            "emptied",
            |d| fs::read_dir(d).unwrap().for_each(|f| fs::remove_file(f.unwrap().path()).unwrap()),
            "no keys in",
        ),
        ("root gone", |d| fs::remove_file(d.join("gateway-root")).unwrap(), "no notification can be sent again"),
        ("spool gone", |d| fs::remove_file(d.join("spool")).unwrap(), "not yet delivered"),
        ("certificate gone", |d| fs::remove_file(d.join("organisation")).unwrap(), "no letter that waits"),
        ("interrupted", |d| fs::remove_file(d.join("format")).unwrap(), "interrupted"),
        ("newer", |d| fs::write(d.join("format"), "sealpost-keyring 2\n").unwrap(), "newer Sealpost"),
        ("other format", |d| fs::write(d.join("format"), "??").unwrap(), "damaged"),
        ("cut", |d| cut(&d.join("spool")), "damaged"),
        ("one digit", |d| change(&d.join("gateway-root")), "damaged"),
        ("mixed up", mix_up, "damaged"),
        ("readable", |d| fs::set_permissions(d.join("spool"), Permissions::from_mode(0o640)).unwrap(), "mode 0640"),
        ("open directory", |d| fs::set_permissions(d, Permissions::from_mode(0o755)).unwrap(), "mode 0755"),
    ];
    for (name, damage, said) in cases {
        let (_, home) = keyring();
        let keys = home.path().join("keys");
        damage(&keys);
        let error = Keyring::load(&keys).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(said), "{name}: {error}");
    }
}

fn mix_up(keys: &Path) {
    fs::copy(keys.join("spool"), keys.join("gateway-root")).unwrap();
}

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 9]).unwrap();
}

fn change(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[20] = if bytes[20] == b'A' { b'B' } else { b'A' };
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_certificate_without_the_keys_it_needs_is_damage() {
    let (keyring, home) = keyring();
    let keys = home.path().join("keys");
    fs::remove_file(keys.join("organisation")).unwrap();
    // The check fits; the secret parts are gone.
    Files::open(&keys).unwrap().write(KeyFile::Organisation, &keyring.certificate()).unwrap();
    assert!(matches!(Keyring::load(&keys), Err(KeyringError::Corrupt(_))));
}

#[test]
fn kept_secrets_open_only_in_their_place() {
    let (keyring, _home) = keyring();
    let (other, _home2) = self::keyring();
    let kept = keyring.keep("link", b"row", b"owner", b"secret").unwrap();
    assert!(keyring.open_kept("link", b"row", b"owner", &kept).is_ok());
    for (kind, row, owner) in [
        ("voice", &b"row"[..], &b"owner"[..]),
        ("link", b"row2", b"owner"),
        ("link", b"row", b"owner2"),
        ("link", b"rowo", b"wner"),
    ] {
        assert!(matches!(keyring.open_kept(kind, row, owner, &kept), Err(KeyringError::NotOurs)), "{kind}");
    }
    assert!(matches!(other.open_kept("link", b"row", b"owner", &kept), Err(KeyringError::NotOurs)));
    for place in 0..kept.len() {
        let mut changed = kept.clone();
        changed[place] ^= 1;
        assert!(keyring.open_kept("link", b"row", b"owner", &changed).is_err(), "byte {place}");
        assert!(keyring.open_kept("link", b"row", b"owner", &kept[..place]).is_err(), "cut at {place}");
    }
    assert_ne!(kept, keyring.keep("link", b"row", b"owner", b"secret").unwrap());
    assert!(!kept.windows(6).any(|bytes| bytes == b"secret"));
}

#[test]
fn spooled_mail_opens_only_as_itself() {
    let (keyring, _home) = keyring();
    let (id, other) = (QueueId::from_bytes([1; 16]), QueueId::from_bytes([2; 16]));
    for mail in [Vec::new(), b"short".to_vec(), vec![7; 300_000]] {
        let sealed = keyring.spool_seal(&id, mail.clone()).unwrap();
        assert_eq!(keyring.spool_open(&id, sealed.clone()).unwrap(), mail);
        assert!(matches!(keyring.spool_open(&other, sealed.clone()), Err(KeyringError::NotOurs)));
        for place in (0..sealed.len()).step_by(1 + sealed.len() / 50) {
            let mut changed = sealed.clone();
            changed[place] ^= 0x80;
            assert!(keyring.spool_open(&id, changed).is_err());
            assert!(keyring.spool_open(&id, sealed[..place].to_vec()).is_err());
        }
        // Sealed twice under one id, a nonce must not repeat.
        assert_ne!(sealed, keyring.spool_seal(&id, mail).unwrap());
    }
}

#[test]
fn a_keyring_is_shared_by_all_workers() {
    fn shared<T: Send + Sync>() {}
    shared::<Keyring>();
    shared::<crate::seal::SealedMessage>();
    shared::<crate::seal::PickupSecrets>();
}
