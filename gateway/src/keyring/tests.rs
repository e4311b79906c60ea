//! Tests of the keyring: made once, read strictly, kept secrets bound to their row.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;

use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::Preferences;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::PublicKeyAlgorithm;
use tempfile::TempDir;

use super::*;

mod backup;
mod change;

const NOW: Time = 1_750_000_000;

/// A keyring and the directory that it lies in.
pub(crate) fn keyring() -> (Keyring, TempDir) {
    let home = TempDir::new().unwrap();
    let keyring = create(&home.path().join("keys"), "Klinikum Süd (Haus 2)", "post@klinik.example", NOW).unwrap();
    (keyring, home)
}

fn create(keys: &Path, organisation: &str, address: &str, now: Time) -> Result<Keyring, KeyringError> {
    Keyring::create(keys, &MasterSource::beside(keys), organisation, address, now)
}

fn load(keys: &Path) -> Result<Keyring, KeyringError> {
    Keyring::load(keys, &MasterSource::beside(keys))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_was_created_loads_again() {
    let (made, home) = keyring();
    let loaded = load(&home.path().join("keys")).unwrap();
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
    assert_eq!(names, ["format", "keyring"]);
    for name in names {
        assert_eq!(mode(&keys.join(name)), 0o600);
    }
    assert_eq!(mode(&home.path().join("keys.master")), 0o600);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
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
    let keyring = create(&home.path().join("k"), "Office", "post@office.example", 4_000_000_000).unwrap();
    assert!(keyring.organisation().signer().is_some());
    assert_eq!(keyring.organisation().openers().len(), 1);
}

#[test]
fn nothing_is_overwritten() {
    let (keyring, home) = keyring();
    let keys = home.path().join("keys");
    let again = create(&keys, "Office", "post@office.example", NOW);
    assert!(matches!(again, Err(KeyringError::AlreadyThere(_))));
    assert_eq!(load(&keys).unwrap().fingerprint(), keyring.fingerprint());

    let foreign = home.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("notes"), "mine").unwrap();
    assert!(matches!(create(&foreign, "O", "o@x.example", NOW), Err(KeyringError::AlreadyThere(_))));
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
}

#[test]
fn an_empty_directory_is_taken_and_closed_to_others() {
    let home = TempDir::new().unwrap();
    fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
    create(home.path(), "Office", "post@office.example", NOW).unwrap();
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
        let refused = create(&home.path().join("k"), name, address, NOW);
        assert!(matches!(refused, Err(KeyringError::UserId)), "{name} {address}");
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage, &str); 19] = [
        ("all gone", |d| fs::remove_dir_all(d).unwrap(), "no keys in"),
        (
            "emptied",
            |d| fs::read_dir(d).unwrap().for_each(|f| fs::remove_file(f.unwrap().path()).unwrap()),
            "no keys in",
        ),
        ("keyring gone", |d| fs::remove_file(d.join("keyring")).unwrap(), "nothing that is stored can be opened"),
        ("interrupted", |d| fs::remove_file(d.join("format")).unwrap(), "interrupted"),
        ("newer", |d| fs::write(d.join("format"), "sealpost-keyring 3\n").unwrap(), "newer Sealpost"),
        ("older", |d| fs::write(d.join("format"), "sealpost-keyring 1\n").unwrap(), "sealpost keys upgrade"),
        ("left over", |d| fs::write(d.join("spool"), "spool x y\n").unwrap(), "unencrypted keys are left"),
        ("other format", |d| fs::write(d.join("format"), "??").unwrap(), "damaged"),
        ("cut", |d| cut(&d.join("keyring")), "damaged"),
        ("empty", |d| fs::write(d.join("keyring"), "").unwrap(), "damaged"),
        (
            "endless",
            |d| File::options().write(true).open(d.join("keyring")).unwrap().set_len(1 << 40).unwrap(),
            "damaged",
        ),
        ("one bit", |d| change(&d.join("keyring"), 400), "damaged"),
        ("readable", |d| open(&d.join("keyring"), 0o640), "mode 0640"),
        ("open directory", |d| open(d, 0o755), "mode 0755"),
        ("master gone", |d| fs::remove_file(master(d)).unwrap(), "the master key is missing: the file"),
        ("master emptied", |d| fs::write(master(d), "").unwrap(), "the master key is missing: the file"),
        ("master cut", |d| cut(&master(d)), "holds no master key"),
        ("master readable", |d| open(&master(d), 0o604), "mode 0604"),
        ("another master", another_master, "another master key"),
    ];
    for (name, damage, said) in cases {
        let (_, home) = keyring();
        let keys = home.path().join("keys");
        damage(&keys);
        let error = load(&keys).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(said), "{name}: {error}");
    }
}

fn master(keys: &Path) -> PathBuf {
    keys.with_file_name("keys.master")
}

fn another_master(keys: &Path) {
    fs::write(master(keys), MasterKey::random().unwrap().written().unwrap().as_bytes()).unwrap();
}

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 9]).unwrap();
}

fn change(path: &Path, place: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[place] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn no_changed_byte_of_the_file_is_taken() {
    let (_, home) = keyring();
    let keys = home.path().join("keys");
    let whole = fs::read(keys.join("keyring")).unwrap();
    let sealing = MasterSource::beside(&keys).load().unwrap();
    for place in (0..80).chain((80..whole.len()).step_by(37)).chain(whole.len() - 20..whole.len()) {
        let mut changed = whole.clone();
        changed[place] ^= 0x20;
        assert!(sealed::open(&sealing, &changed).unwrap().is_err(), "byte {place}");
        assert!(sealed::open(&sealing, &whole[..place]).unwrap().is_err(), "cut at {place}");
    }
    assert!(sealed::open(&sealing, &whole).unwrap().is_ok());
}

#[test]
fn the_directory_without_the_master_key_holds_no_key_that_can_be_read() {
    let (keyring, home) = keyring();
    let file = fs::read(home.path().join("keys/keyring")).unwrap();
    let plain = keyring.0.to_bytes().unwrap();
    for line in std::str::from_utf8(&plain).unwrap().lines().filter(|line| line.len() > 30) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(!file.windows(value.len()).any(|bytes| bytes == value.as_bytes()), "{line}");
    }
}

#[test]
fn contents_are_read_strictly() {
    let (keyring, _home) = keyring();
    let plain = keyring.0.to_bytes().unwrap();
    let text = std::str::from_utf8(&plain).unwrap();
    let read = |text: &str| Contents::from_bytes(text.as_bytes()).is_some();
    assert!(read(text));
    let lines: Vec<&str> = text.lines().collect();
    for left_out in 0..lines.len() {
        let mut fewer = lines.clone();
        let gone = fewer.remove(left_out);
        assert!(!read(&format!("{}\n", fewer.join("\n"))), "without {gone}");
    }
    for (from, to) in [
        ("root 1 ", "root 2 AAAA\nroot 1 "),
        ("root 1 ", "root x "),
        ("root 1 ", "root 4294967296 "),
        ("audit ", "unknown AAAA\naudit "),
        ("opaque ", "opaque A"),
        ("end", "end\nend"),
        ("set ", "set A"),
    ] {
        assert!(text.contains(from) && !read(&text.replacen(from, to, 1)), "{to}");
    }
    assert!(Contents::from_bytes(b"\xff\xfe").is_none());
    // The public certificates in the place of the secret ones.
    for (name, public) in [("organisation", keyring.certificate()), ("mail", keyring.mail().certificate())] {
        let line = lines.iter().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        use base64::Engine;
        let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(public);
        assert!(!read(&text.replace(line, &format!("{name} {encoded}"))), "{name}");
    }
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

#[test]
fn what_was_spooled_in_the_first_format_opens() {
    let (keyring, _home) = keyring();
    let id = QueueId::from_bytes([3; 16]);
    let (epoch, key) = keyring.0.spool.present();
    assert_eq!(epoch, 1);
    // Written out: the format before keys had epochs.
    let row = storage::hkdf(&[], key, &sealpost_vault::derive::ctx("spool", &[id.bytes()]).unwrap()).unwrap();
    let aead =
        ring::aead::LessSafeKey::new(ring::aead::UnboundKey::new(&ring::aead::AES_256_GCM, row.as_slice()).unwrap());
    let mut sealed = b"mail".to_vec();
    aead.seal_in_place_append_tag(
        ring::aead::Nonce::assume_unique_for_key([9; 12]),
        ring::aead::Aad::empty(),
        &mut sealed,
    )
    .unwrap();
    sealed.extend_from_slice(&[9; 12]);
    sealed.push(1);
    assert_eq!(keyring.spool_open(&id, sealed).unwrap(), b"mail");
    assert_eq!(keyring.spool_seal(&id, b"mail".to_vec()).unwrap().last(), Some(&2));
}

#[test]
fn vouches_are_the_organisations_and_over_these_words() {
    let (keyring, _home) = keyring();
    let (other, _home2) = self::keyring();
    let vouch = keyring.vouch(b"words").unwrap();
    assert!(keyring.verify_vouch(b"words", &vouch));
    assert!(!keyring.verify_vouch(b"word", &vouch));
    assert!(!other.verify_vouch(b"words", &vouch));
    assert!(matches!(
        sequoia_openpgp::Packet::from_bytes(&vouch),
        Ok(sequoia_openpgp::Packet::Signature(sequoia_openpgp::packet::Signature::V6(_)))
    ));
    let mut taken = Vec::new();
    for place in 0..vouch.len() {
        let mut changed = vouch.clone();
        changed[place] ^= 1;
        if keyring.verify_vouch(b"words", &changed) {
            taken.push(place);
        }
        assert!(!keyring.verify_vouch(b"words", &vouch[..place]), "cut at {place}");
    }
    // The two bytes of the hash that stand there as a hint vouch for nothing.
    assert_eq!(taken.len(), 2, "{taken:?}");
    assert!(!keyring.verify_vouch(b"words", &[vouch.as_slice(), &vouch].concat()), "two signatures");
    assert!(!keyring.verify_vouch(b"words", &vec![0xc2; 100_000]));
}

#[test]
fn the_mail_certificate_is_one_that_gnupg_reads() {
    let (keyring, _home) = keyring();
    let cert = Cert::from_bytes(&keyring.mail().certificate()).unwrap();
    assert!(!cert.is_tsk() && !keyring.mail().certificate_ref().is_tsk());
    let policy = StandardPolicy::new();
    let valid = cert.with_policy(&policy, None).unwrap();
    let algorithms: Vec<_> = valid.keys().map(|key| (key.key().version(), key.key().pk_algo())).collect();
    assert_eq!(
        algorithms,
        [(4, PublicKeyAlgorithm::EdDSA), (4, PublicKeyAlgorithm::EdDSA), (4, PublicKeyAlgorithm::ECDH)]
    );
    let features = valid.primary_userid().unwrap().features().unwrap();
    assert!(features.supports_seipdv1() && !features.supports_seipdv2());
    assert_eq!(
        valid.primary_userid().unwrap().userid().value(),
        "Klinikum Süd (Haus 2) <post@klinik.example>".as_bytes()
    );
    assert!(keyring.mail().signer().is_some());
    for (published, bytes) in
        [(Published::Mail, keyring.mail().certificate()), (Published::Organisation, keyring.certificate())]
    {
        let text = keyring.published(published).unwrap();
        assert!(text.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----"));
        let read = Cert::from_bytes(text.as_bytes()).unwrap();
        assert!(!read.is_tsk() && read == Cert::from_bytes(&bytes).unwrap());
    }
    assert_ne!(cert.fingerprint().to_hex(), keyring.fingerprint_hex());
}

#[test]
fn audit_signatures_verify_with_the_published_key() {
    let (keyring, home) = keyring();
    let signature = keyring.audit_sign(b"record");
    assert_eq!(keyring.audit_publics(), [keyring.audit_public()]);
    assert!(audit_verify(&keyring.audit_publics(), b"record", &signature));
    assert!(!audit_verify(&keyring.audit_publics(), b"recorD", &signature));
    let loaded = load(&home.path().join("keys")).unwrap();
    assert_eq!(loaded.audit_public(), keyring.audit_public());
    assert_eq!(loaded.opaque_setup(), keyring.opaque_setup());
    assert_eq!(loaded.mail().certificate(), keyring.mail().certificate());
}

#[test]
fn randomness_for_the_library_does_not_repeat() {
    use opaque_ke::rand::RngCore;
    let mut bytes = [[0; 100]; 2];
    let mut randomness = Randomness::new().unwrap();
    bytes.iter_mut().for_each(|target| randomness.fill_bytes(target));
    let mut blocks: Vec<&[u8]> = bytes.iter().flat_map(|bytes| bytes.chunks_exact(10)).collect();
    blocks.sort();
    blocks.dedup();
    assert_eq!(blocks.len(), 20);
    let mut other = [0; 100];
    Randomness::new().unwrap().fill_bytes(&mut other);
    assert_ne!(other, bytes[0]);
}
