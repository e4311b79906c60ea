//! Certificates of recipients by the administrator's commands, with keys that GnuPG made. Needs Debian's `gpg`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::run;
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup};

/// A key ring of somebody's own.
struct Gpg {
    home: PathBuf,
}

impl Gpg {
    fn new(scratch: &Scratch) -> Self {
        let home = scratch.directory("gpg");
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        Self { home }
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(&self.home).args(["--batch", "--yes", "--pinentry-mode", "loopback"]);
        command.args(["--passphrase", "", "--quiet"]).args(arguments);
        run(command)
    }

    fn generate(&self, parameters: &str) {
        let file = self.home.join("parameters");
        fs::write(&file, format!("%no-protection\n{parameters}\nExpire-Date: 1y\n%commit\n")).unwrap();
        self.run(&["--gen-key", file.to_str().unwrap()]);
    }

    fn fingerprint(&self, of: &str) -> String {
        let listed = self.run(&["--with-colons", "--list-keys", of]);
        let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    fn export(&self, options: &[&str], of: &str, file: &Path) -> String {
        let file = file.to_str().unwrap();
        self.run(&[&["--output", file], options, &[of]].concat());
        file.to_owned()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(&self.home).args(["--kill", "all"]).output();
    }
}

#[test]
fn keys_that_gnupg_made_are_imported_explained_and_removed() {
    let scratch = Scratch::new();
    let sealpost = Sealpost::prepare(&scratch, Setup::between(1, 2));
    let gpg = Gpg::new(&scratch);
    let file = |name: &str| scratch.path().join(name);
    gpg.generate(
        "Key-Type: eddsa\nKey-Curve: ed25519\nSubkey-Type: ecdh\nSubkey-Curve: cv25519\n\
         Name-Real: Anna Weber\nName-Comment: at work\nName-Email: anna@praxis.example",
    );
    let anna = gpg.fingerprint("anna@praxis.example");
    let armored = gpg.export(&["--armor", "--export"], "anna@praxis.example", &file("anna.asc"));

    // Secrets don't come in.
    let secret = gpg.export(&["--armor", "--export-secret-keys"], "anna@praxis.example", &file("secret.asc"));
    let (code, said) = sealpost.failing(&["keys", "import", &secret]);
    assert!(code == Some(65) && said.contains("secret key"), "{code:?} {said}");
    assert!(sealpost.command(&["keys", "list"]).contains("no certificates"));

    // Only for whom it names.
    let (code, said) = sealpost.failing(&["keys", "import", &armored, "--address", "anna@klinik.example"]);
    assert!(code == Some(65) && said.contains("1 of 1"), "{code:?} {said}");
    let said = sealpost.command(&["keys", "import", &armored]);
    assert!(said.contains(&anna) && said.contains("anna@praxis.example: usable"), "{said}");
    let said = sealpost.command(&["keys", "explain", "Anna@PRAXIS.example"]);
    assert!(said.contains("is used for this address") && !said.contains(" NO "), "{said}");
    assert!(said.contains(&format!("`openpgp`: encrypted to {anna}")), "{said}");
    assert!(said.contains(r#"by the User ID "Anna Weber (at work) <anna@praxis.example>""#), "{said}");
    let said = sealpost.command(&["keys", "explain", "eva@praxis.example"]);
    assert!(said.contains("no certificate names this address") && said.contains(&anna), "{said}");
    assert!(said.contains("`best`:    a sealed letter in the portal"), "{said}");
    let said = sealpost.command(&["keys", "list", "praxis.example"]);
    assert!(said.contains(&anna) && said.contains("usable") && said.contains("anna@praxis.example"), "{said}");

    // From standard input, with and without a name for it.
    for arguments in [&["keys", "import"][..], &["keys", "import", "-"]] {
        let said = sealpost.command_reading(Path::new(&armored), arguments);
        assert!(said.contains(&format!("{anna}  known already")), "{said}");
    }

    // What is stored is what GnuPG reads.
    let shown = file("shown.asc");
    fs::write(&shown, sealpost.command(&["keys", "show", "anna@praxis.example", "--armor"])).unwrap();
    let read = gpg.run(&["--with-colons", "--show-keys", shown.to_str().unwrap()]);
    assert!(read.contains(&anna) && read.contains(":e:"), "{read}");

    // A key of twenty years ago.
    gpg.generate(
        "Key-Type: DSA\nKey-Length: 2048\nSubkey-Type: ELG-E\nSubkey-Length: 2048\nName-Email: old@praxis.example",
    );
    let old = gpg.export(&["--export"], "old@praxis.example", &file("old.pgp"));
    let said = sealpost.command(&["keys", "import", &old]);
    assert!(said.contains("old@praxis.example: not usable") && said.contains("ElGamal"), "{said}");
    let said = sealpost.command(&["keys", "explain", "old@praxis.example", "--json"]);
    assert!(said.contains(r#""openpgp":"refuse""#) && said.contains(r#""best":"hold""#), "{said}");

    // Revoked: with the certificate that GnuPG made for this, which its owner disarmed by a colon.
    let made = fs::read_to_string(gpg.home.join(format!("openpgp-revocs.d/{anna}.rev"))).unwrap();
    let revocation = file("revocation.asc");
    fs::write(&revocation, made.replace(":-----BEGIN", "-----BEGIN")).unwrap();
    let (code, said) = sealpost.failing(&["keys", "import", revocation.to_str().unwrap()]);
    assert!(code == Some(65) && said.contains("a signature alone"), "{code:?} {said}");
    gpg.run(&["--import", revocation.to_str().unwrap()]);
    let revoked = gpg.export(&["--export"], "anna@praxis.example", &file("revoked.pgp"));
    let said = sealpost.command(&["keys", "import", &revoked]);
    assert!(said.contains("merged") && said.contains("not usable: revoked on"), "{said}");
    let said = sealpost.command(&["keys", "import", &armored]);
    assert!(said.contains("known already") && said.contains("not usable: revoked on"), "{said}");
    let said = sealpost.command(&["keys", "show", &anna]);
    assert!(said.contains("state        revoked") && said.contains("NO   not revoked"), "{said}");

    let (code, said) = sealpost.failing(&["keys", "remove", &anna[24..]]);
    assert!(code == Some(64) && said.contains("the whole fingerprint"), "{code:?} {said}");
    assert!(sealpost.command(&["keys", "remove", &anna.to_lowercase()]).contains("removed"));
    let (code, said) = sealpost.failing(&["keys", "remove", &anna]);
    assert!(code == Some(64) && said.contains("no such certificate"), "{code:?} {said}");
}
