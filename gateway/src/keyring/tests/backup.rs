//! Tests of the way back: backups, keys of an earlier format, and keys that are older than the store.

use sealpost_vault::db::{Db, Schema};

use super::*;

const WORDS: &str = "correct horse battery";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(zeroize::Zeroizing::new(text.to_owned())).unwrap()
}

fn rotated(keys: &Path) -> Keyring {
    let mut change = Change::begin(keys, &MasterSource::beside(keys)).unwrap();
    change.rotate(Rotating::Root, None, NOW).unwrap();
    change.commit().unwrap()
}

async fn store(home: &TempDir) -> Db {
    let url = format!("sqlite:{}", home.path().join("gateway.db").display());
    let store = Db::connect(&url, Schema::Gateway).await.unwrap();
    store.migrate().await.unwrap();
    store
}

#[test]
fn a_backup_restores_to_the_same_keys_under_another_master_key() {
    let (_, home) = keyring();
    let keys = home.path().join("keys");
    let made = rotated(&keys);
    let kept = made.keep("link", b"row", b"owner", b"secret").unwrap();
    let file = made.backup(&passphrase(WORDS), NOW + 7).unwrap();

    let elsewhere = TempDir::new().unwrap();
    let there = elsewhere.path().join("keys");
    fs::create_dir(&there).unwrap();
    let backup = Backup::open(&file, &passphrase(WORDS)).unwrap();
    assert_eq!((backup.made, backup.keyring().generation()), (NOW + 7, 2));
    backup.restore(&there, &MasterSource::beside(&there)).unwrap();
    let restored = load(&there).unwrap();
    assert_eq!(restored.fingerprint(), made.fingerprint());
    assert_eq!(restored.mail().certificate(), made.mail().certificate());
    assert_eq!(restored.opaque_setup(), made.opaque_setup());
    assert_eq!(restored.audit_publics(), made.audit_publics());
    assert_eq!((restored.generation(), restored.set()), (made.generation(), made.set()));
    assert_eq!(restored.open_kept("link", b"row", b"owner", &kept).unwrap().as_slice(), b"secret");
    assert_eq!((mode(&there), mode(&there.join("keyring")), mode(&master(&there))), (0o700, 0o600, 0o600));
    // Nothing is overwritten, and the master key that is there is used.
    let again = Backup::open(&file, &passphrase(WORDS)).unwrap();
    assert!(matches!(again.restore(&there, &MasterSource::beside(&there)), Err(KeyringError::AlreadyThere(_))));
    let sealed = fs::read(master(&there)).unwrap();
    fs::remove_dir_all(&there).unwrap();
    let again = Backup::open(&file, &passphrase(WORDS)).unwrap();
    again.restore(&there, &MasterSource::beside(&there)).unwrap();
    assert_eq!(fs::read(master(&there)).unwrap(), sealed);
}

#[test]
fn a_backup_opens_with_its_passphrase_and_whole_or_not_at_all() {
    let (keyring, _home) = keyring();
    let file = keyring.backup(&passphrase(WORDS), NOW).unwrap();
    assert!(!file.windows(8).any(|bytes| bytes == b"opaque A" || bytes == b"audit AA"));
    assert!(matches!(Backup::open(&file, &passphrase("correct horse batterY")), Err(LockedError::WrongOrDamaged)));
    assert!(matches!(Passphrase::new(zeroize::Zeroizing::new("elevenchars".into())), Err(LockedError::TooShort)));
    // Stretching takes its time: some places only.
    for (place, error) in [
        (0, "not a backup"),
        (16, "newer"),
        (18, "wrong passphrase"),
        (40, "wrong passphrase"),
        (file.len() - 1, "wrong"),
    ] {
        let mut changed = file.clone();
        changed[place] ^= 1;
        let said = Backup::open(&changed, &passphrase(WORDS)).err().unwrap().to_string();
        assert!(said.contains(error), "byte {place}: {said}");
    }
    for length in [0, 10, 18, 30, 60, file.len() - 1] {
        assert!(Backup::open(&file[..length], &passphrase(WORDS)).is_err(), "cut at {length}");
    }
    assert_ne!(keyring.backup(&passphrase(WORDS), NOW).unwrap(), file);
}

#[tokio::test]
async fn keys_older_than_the_store_are_recognised() {
    let (first, home) = keyring();
    let keys = home.path().join("keys");
    let store = store(&home).await;
    assert_eq!(Used::of(&store).await.unwrap(), None);
    first.take_up(&store, NOW).await.unwrap();
    first.take_up(&store, NOW).await.unwrap();
    let backup = first.backup(&passphrase(WORDS), NOW).unwrap();
    let second = rotated(&keys);
    second.take_up(&store, NOW).await.unwrap();
    assert_eq!(Used::of(&store).await.unwrap().unwrap().generation, 2);

    let refused = first.take_up(&store, NOW).await.unwrap_err();
    assert!(matches!(refused, UseError::Older { keys: 1, store: 2 }));
    assert!(refused.to_string().contains("Restore the newer backup"));
    assert_eq!(Used::of(&store).await.unwrap().unwrap().generation, 2, "a refusal is not remembered");

    let (other, _elsewhere) = self::keyring();
    assert!(matches!(other.take_up(&store, NOW).await, Err(UseError::OtherSet)));

    // Where no newer backup exists, the older keys go on above what the store remembers.
    let there = home.path().join("restored");
    let mut opened = Backup::open(&backup, &passphrase(WORDS)).unwrap();
    opened.accept_older(2);
    let restored = opened.restore(&there, &MasterSource::beside(&there)).unwrap();
    restored.take_up(&store, NOW).await.unwrap();
    assert_eq!(restored.generation(), 3);
    // And the keys that were given up are now the older ones.
    assert!(matches!(second.take_up(&store, NOW).await, Err(UseError::Older { .. })));
    let taken: Vec<(String,)> =
        sqlx::query_as("select body from audit_records order by position").fetch_all(store.reader()).await.unwrap();
    assert_eq!(taken.len(), 3);
    assert!(taken.iter().all(|(body,)| body.contains("keys-taken-up")));
}

/// A keyring as the first format had it, made of this one's keys.
fn as_format_1(keyring: &Keyring, keys: &Path) {
    use base64::Engine;
    use sealpost_vault::derive::{ctx, sha256};
    let organisation = keyring.0.organisation.secret_bytes().unwrap();
    for (name, key) in [
        ("gateway-root", keyring.0.root.present().1.as_slice()),
        ("spool", keyring.0.spool.present().1),
        ("organisation", &organisation),
    ] {
        let check = sha256(&ctx("keyring-file", &[name.as_bytes(), key]).unwrap());
        let check = data_encoding::HEXLOWER.encode(&check[..6]);
        let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key);
        fs::write(keys.join(name), format!("{name} {encoded} {check}\n")).unwrap();
        open(&keys.join(name), 0o600);
    }
    fs::remove_file(keys.join("keyring")).unwrap();
    fs::remove_file(master(keys)).unwrap();
    fs::write(keys.join("format"), "sealpost-keyring 1\n").unwrap();
}

fn upgrade(keys: &Path) -> Result<Upgraded, KeyringError> {
    Keyring::upgrade(keys, &MasterSource::beside(keys), "Klinik", "post@klinik.example", NOW)
}

#[test]
fn keys_of_the_first_format_are_upgraded_on_command_and_stay_the_same() {
    let (old, home) = keyring();
    let keys = home.path().join("keys");
    let kept = old.keep("link", b"row", b"owner", b"secret").unwrap();
    as_format_1(&old, &keys);
    assert!(matches!(load(&keys), Err(KeyringError::Unencrypted(_))));
    assert!(matches!(Change::begin(&keys, &MasterSource::beside(&keys)), Err(KeyringError::Unencrypted(_))));
    assert_eq!(upgrade(&keys).unwrap(), Upgraded::Sealed(Made::New));
    assert_eq!(upgrade(&keys).unwrap(), Upgraded::AlreadySealed);
    let new = load(&keys).unwrap();
    assert_eq!(new.certificate(), old.certificate());
    assert_eq!(new.open_kept("link", b"row", b"owner", &kept).unwrap().as_slice(), b"secret");
    let mut names: Vec<_> = fs::read_dir(&keys).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["format", "keyring"]);
}

#[test]
fn an_upgrade_can_be_interrupted_anywhere() {
    // After the sealed file was written and before the format says so: it is made anew.
    let (old, home) = keyring();
    let keys = home.path().join("keys");
    let stray = fs::read(keys.join("keyring")).unwrap();
    as_format_1(&old, &keys);
    fs::write(keys.join("keyring"), &stray).unwrap();
    open(&keys.join("keyring"), 0o600);
    assert!(matches!(load(&keys), Err(KeyringError::Unencrypted(_))));
    assert_eq!(upgrade(&keys).unwrap(), Upgraded::Sealed(Made::New));
    assert_eq!(load(&keys).unwrap().certificate(), old.certificate());

    // After the format says so, before the unencrypted files are gone: nothing is loaded over them.
    fs::write(keys.join("gateway-root"), "left over").unwrap();
    assert!(matches!(load(&keys), Err(KeyringError::LeftUnencrypted(_))));
    // If what replaces them doesn't open, they are not deleted.
    let sealed = fs::read(keys.join("keyring")).unwrap();
    super::change(&keys.join("keyring"), 500);
    assert!(matches!(upgrade(&keys), Err(KeyringError::Corrupt(_))));
    assert!(keys.join("gateway-root").exists());
    fs::write(keys.join("keyring"), sealed).unwrap();
    assert_eq!(upgrade(&keys).unwrap(), Upgraded::Finished);
    assert_eq!(load(&keys).unwrap().certificate(), old.certificate());
}

#[test]
fn damaged_keys_of_the_first_format_are_not_upgraded() {
    for (name, bytes) in [
        ("gateway-root", &b"gateway-root AAAA 000000000000\n"[..]),
        ("spool", b""),
        ("spool", b"\xff\xff\n"),
        ("organisation", b"organisation AAAA"),
    ] {
        let (old, home) = keyring();
        let keys = home.path().join("keys");
        as_format_1(&old, &keys);
        fs::write(keys.join(name), bytes).unwrap();
        assert!(matches!(upgrade(&keys), Err(KeyringError::Corrupt(_))), "{name}");
        assert!(!keys.join("keyring").exists() && !master(&keys).exists());
        fs::remove_file(keys.join(name)).unwrap();
        assert!(matches!(upgrade(&keys), Err(KeyringError::Missing { .. })), "{name}");
    }
}

#[test]
fn master_keys_come_from_where_the_configuration_says() {
    let base = Path::new("/etc/sealpost");
    for (text, source) in [
        ("file:master", MasterSource::File("/etc/sealpost/master".into())),
        ("file:/run/master", MasterSource::File("/run/master".into())),
        ("credential:sealpost-master", MasterSource::Credential("sealpost-master".into())),
        ("environment:SEALPOST_MASTER", MasterSource::Environment("SEALPOST_MASTER".into())),
    ] {
        assert_eq!(MasterSource::parse(text, base).unwrap(), source);
    }
    for wrong in
        ["", "master", "file:", "credential:", "credential:../x", "credential:a/b", "environment:A=B", "credential:.."]
    {
        assert!(MasterSource::parse(wrong, base).is_err(), "{wrong}");
    }
    // Set in no process: names of one test only.
    for source in ["environment:SEALPOST_TEST_NO_SUCH", "credential:no-such"] {
        let source = MasterSource::parse(source, base).unwrap();
        let said = source.load_or_make().err().unwrap().to_string();
        assert!(said.contains("is not set") && said.contains("new-master"), "{said}");
    }
    let home = TempDir::new().unwrap();
    let file = home.path().join("master");
    fs::write(&file, "").unwrap();
    open(&file, 0o600);
    let source = MasterSource::File(file.clone());
    assert_eq!(source.load_or_make().unwrap().1, Made::New);
    assert_eq!(source.load_or_make().unwrap().1, Made::WasThere);
    let written = fs::read_to_string(&file).unwrap();
    assert_eq!(written.trim_end().len(), 48);
    for (n, damaged) in
        [written.chars().skip(1).collect(), written.replace('\n', "A"), "A".repeat(48), "\u{fffd}".into()]
            .iter()
            .enumerate()
    {
        fs::write(&file, damaged).unwrap();
        assert!(matches!(source.load_or_make(), Err(MasterError::Damaged { .. })), "{n}");
    }
}
