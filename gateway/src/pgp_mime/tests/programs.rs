//! Other people's programs open our mail: GnuPG, sq, RNP (the Debian packages), OpenPGP.js and rPGP. Each makes its keys
//! by itself, opens every sample byte for byte and verifies the signature.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};

use pgp::composed::{Deserializable, Message, SignedPublicKey, SignedSecretKey};
use sequoia_openpgp::serialize::{Serialize, SerializeInto};

use super::*;

struct Desk {
    directory: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { directory: tempfile::tempdir().unwrap() };
        for home in ["home", "rnp"] {
            std::fs::create_dir(desk.path(home)).unwrap();
        }
        // GnuPG warns of others who could read it.
        std::fs::set_permissions(desk.path("home"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn run(&self, program: &str, arguments: &[&dyn AsRef<OsStr>]) -> Output {
        let done = Command::new(program)
            .args(arguments)
            .env("GNUPGHOME", self.path("home"))
            .env("LC_ALL", "C")
            .current_dir(self.directory.path())
            .output()
            .unwrap_or_else(|e| panic!("{program}, which deploy/install-debian installs: {e}"));
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{program}: {told}");
        done
    }
}

impl Drop for Desk {
    /// GnuPG's agent would stay.
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", self.path("home")).output();
    }
}

/// What the mail must come to inside.
fn expected(mail_of: &[u8]) -> Vec<u8> {
    let mail = super::super::fields::Mail::read(mail_of, "fixed").unwrap();
    [&mail.inside, mail.body, mail.end.as_slice()].concat()
}

/// Inside, apart from the boundary that is drawn anew each time.
fn same(found: &[u8], message: &[u8], name: &str) {
    let wanted = expected(message);
    if memchr::memmem::find(&wanted, b"fixed").is_none() {
        assert!(found == wanted, "{name}");
    }
    let body = halves(message).1;
    assert!(memchr::memmem::find(found, body).is_some(), "{name}: the body, byte for byte");
}

fn large() -> (String, Vec<u8>) {
    let octets: Vec<u8> = (0..1_u32 << 20).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    ("large".to_owned(), [b"Content-Type: application/x\r\n\r\n".as_slice(), &octets].concat())
}

#[test]
fn gnupg_opens_it() {
    let desk = Desk::new();
    let ours = old();
    desk.run("gpg", &[&"--batch", &"--import", &desk.write("ours", &ours.to_vec().unwrap())]);
    let quick = [&"--batch" as &dyn AsRef<OsStr>, &"--passphrase", &"", &"--quick-gen-key"];
    desk.run("gpg", &[&quick[..], &[&"<rsa@mail.example>", &"default", &"default"]].concat());
    desk.run("gpg", &[&quick[..], &[&"<curve@mail.example>", &"future-default", &"default"]].concat());
    for (who, samples) in
        [("curve@mail.example", samples().into_iter().chain([large()]).collect()), ("rsa@mail.example", vec![large()])]
    {
        let exported = desk.run("gpg", &[&"--export", &who]).stdout;
        let theirs = Cert::from_bytes(&exported).unwrap();
        for (name, message) in samples {
            let mail = protected(&message, &[&theirs], &ours);
            let file = desk.write("mail.asc", &armored(&mail));
            let done = desk.run("gpg", &[&"--batch", &"--status-fd", &"2", &"--decrypt", &file]);
            let told = String::from_utf8_lossy(&done.stderr).into_owned();
            for line in ["[GNUPG:] DECRYPTION_OKAY", "[GNUPG:] GOODMDC", "[GNUPG:] GOODSIG", "[GNUPG:] PLAINTEXT 62 "] {
                assert!(told.contains(line), "{name}: {line} in {told}");
            }
            same(&done.stdout, &message, &name);
        }
    }
    // The organisation's own mail certificate, as the keyring has it.
    let (keyring, _keys) = crate::keyring::tests::keyring();
    desk.run("gpg", &[&"--batch", &"--import", &desk.write("organisation", &keyring.mail().certificate())]);
    let theirs = Cert::from_bytes(&desk.run("gpg", &[&"--export", &"curve@mail.example"]).stdout).unwrap();
    let message = b"Subject: x\r\n\r\nbody\r\n";
    let mail = wrap(message, TRACE, &[target(&theirs)], keyring.mail().signer(), now()).unwrap();
    let file = desk.write("organisations.asc", &armored(&mail));
    let done = desk.run("gpg", &[&"--batch", &"--status-fd", &"2", &"--decrypt", &file]);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(told.contains("[GNUPG:] GOODSIG"), "{told}");
    same(&done.stdout, message, "signed by the organisation");
    // Two who see each other: either opens the one copy.
    let [one, two] = ["rsa@mail.example", "curve@mail.example"]
        .map(|who| Cert::from_bytes(&desk.run("gpg", &[&"--export", &who]).stdout).unwrap());
    let file = desk.write("both.asc", &armored(&protected(b"Subject: x\r\n\r\nboth\r\n", &[&one, &two], &ours)));
    let listed = desk.run("gpg", &[&"--batch", &"--list-packets", &file]).stdout;
    assert_eq!(String::from_utf8_lossy(&listed).matches(":pubkey enc packet:").count(), 2);
}

#[test]
fn sq_opens_it() {
    let desk = Desk::new();
    let ours = old();
    let signer = desk.write("ours", &ours.to_vec().unwrap());
    for suite in ["cv25519", "rsa3k"] {
        let key = desk.path(suite);
        desk.run(
            "sq",
            &[&"key", &"generate", &"--userid", &"<p@mail.example>", &"--cipher-suite", &suite, &"--export", &key],
        );
        let theirs = Cert::from_file(&key).unwrap();
        for (name, message) in samples().into_iter().chain([large()]) {
            let file = desk.write("mail.asc", &armored(&protected(&message, &[&theirs], &ours)));
            let arguments: [&dyn AsRef<OsStr>; 8] =
                [&"decrypt", &"--signatures", &"1", &"--recipient-key", &key, &"--signer-cert", &signer, &file];
            same(&desk.run("sq", &arguments).stdout, &message, &name);
        }
    }
}

#[test]
fn rnp_opens_it() {
    let desk = Desk::new();
    let ours = old();
    let home = desk.path("rnp");
    let home: [&dyn AsRef<OsStr>; 2] = [&"--homedir", &home];
    for (who, algorithm) in [("curve@mail.example", "ECDH"), ("rsa@mail.example", "RSA")] {
        // `--generate-key` makes RSA; the elliptic curves come from GnuPG, as RNP asks questions for them.
        if algorithm == "RSA" {
            desk.run(
                "rnpkeys",
                &[&home[..], &[&"--generate-key", &"--userid", &who, &"--password", &"", &"--numbits", &"2048"]]
                    .concat(),
            );
        } else {
            desk.run(
                "gpg",
                &[&"--batch", &"--passphrase", &"", &"--quick-gen-key", &who, &"future-default", &"default"],
            );
            let secret = desk.run("gpg", &[&"--batch", &"--export-secret-keys", &who]).stdout;
            desk.run("rnpkeys", &[&home[..], &[&"--import", &desk.write("secret", &secret)]].concat());
        }
        let exported = desk.run("rnpkeys", &[&home[..], &[&"--export-key", &who]].concat()).stdout;
        let theirs = Cert::from_bytes(&exported).unwrap();
        desk.run("rnpkeys", &[&home[..], &[&"--import", &desk.write("ours", &ours.to_vec().unwrap())]].concat());
        for (name, message) in samples().into_iter().chain([large()]) {
            let file = desk.write("mail.asc", &armored(&protected(&message, &[&theirs], &ours)));
            let out = desk.path("opened");
            let _ = std::fs::remove_file(&out);
            let done =
                desk.run("rnp", &[&home[..], &[&"--password", &"", &"--decrypt", &"--output", &out, &file]].concat());
            let told = String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
            assert!(told.contains("Good signature"), "{name}: {told}");
            same(&std::fs::read(&out).unwrap(), &message, &name);
        }
    }
}

#[test]
fn openpgp_js_opens_it() {
    let desk = Desk::new();
    let ours = old();
    desk.write("ours", &ours.to_vec().unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/mail.mjs");
    desk.run("node", &[&script, &"keys", &desk.path("")]);
    let mut versions = Vec::new();
    let all: Vec<(String, Vec<u8>)> = samples().into_iter().chain([large()]).collect();
    for kind in ["v4-curve", "v4-rsa", "v4-aead", "v6"] {
        let theirs = Cert::from_file(desk.path(&format!("{kind}.public"))).unwrap();
        for (n, (_, message)) in all.iter().enumerate() {
            let mail = protected(message, &[&theirs], &ours);
            desk.write(&format!("{kind}.{n}.mail"), &armored(&mail));
        }
        let profile = super::super::openpgp::profile(&[&target(&theirs)], SystemTime::now());
        versions.push((kind, matches!(profile, Profile::SeipdV2(_, AEADAlgorithm::GCM))));
    }
    assert_eq!(versions, [("v4-curve", false), ("v4-rsa", false), ("v4-aead", true), ("v6", true)]);
    desk.run("node", &[&script, &"open", &desk.path("")]);
    for kind in ["v4-curve", "v4-rsa", "v4-aead", "v6"] {
        for (n, (name, message)) in all.iter().enumerate() {
            same(&std::fs::read(desk.path(&format!("{kind}.{n}.opened"))).unwrap(), message, name);
        }
    }
}

#[test]
fn rpgp_opens_it() {
    let ours = old();
    let signer = SignedPublicKey::from_bytes(ours.to_vec().unwrap().as_slice()).unwrap();
    for theirs in [old(), new()] {
        let mut secret = Vec::new();
        theirs.as_tsk().serialize(&mut secret).unwrap();
        let key = SignedSecretKey::from_bytes(secret.as_slice()).unwrap();
        for (name, message) in samples().into_iter().chain([large()]) {
            let armor = armored(&protected(&message, &[&theirs], &ours));
            let (opened, _) = Message::from_armor(armor.as_slice()).unwrap();
            let mut opened = opened.decrypt(&"".into(), &key).unwrap();
            same(&opened.as_data_vec().unwrap(), &message, &name);
            assert!(signer.public_subkeys.iter().any(|subkey| opened.verify(subkey).is_ok()), "{name}");
        }
    }
}
