//! Recipients with OpenPGP keys of their own: a key made by GnuPG is imported with the real command, a mail goes through
//! three servers, GnuPG opens it, and a mail program shows it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mail_parser::MessageParser;

use crate::maildir::Mail;
use crate::scratch::Scratch;
use crate::smtp;
use crate::world::{Database, READER, SENDER, World, contains, is_notification, letter};

const SUBJECT: &str = "[secure] Befund canary-subject-7171";
const TEXT: &str = "Liebe Frau Patient, der Wert ist canary-body-7272 und damit gut.";
const ENCLOSURE: (&str, &[u8]) = ("Befund canary-name-7373.pdf", b"%PDF-1.4 canary-enclosure-7474 \x00\xff\x80 end");
const HIDDEN: &str = "dora@hidden.example";

/// Somebody's GnuPG, with one key.
pub struct Gnupg {
    home: PathBuf,
}

impl Gnupg {
    pub fn of(scratch: &Scratch, name: &str, address: &str) -> Self {
        let home = scratch.directory(name);
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        let gnupg = Self { home };
        let user_id = format!("<{address}>");
        gnupg.run(&["--passphrase", "", "--quick-gen-key", &user_id, "future-default", "default"]);
        gnupg
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("gpg");
        let command = command.arg("--homedir").arg(&self.home).args(["--batch", "--status-fd", "2"]).args(arguments);
        command.env("LC_ALL", "C").output().expect("gpg (Debian: gnupg)")
    }

    pub fn public(&self, directory: &Path, name: &str) -> String {
        let path = directory.join(name);
        fs::write(&path, self.run(&["--armor", "--export"]).stdout).unwrap();
        path.display().to_string()
    }

    /// What stands inside, and what GnuPG says about it.
    fn open(&self, mail: &Mail) -> (Vec<u8>, String) {
        let parsed = mail.parsed();
        let part = parsed.attachment(1).expect("the encrypted part");
        let path = self.home.join("encrypted.asc");
        fs::write(&path, part.contents()).unwrap();
        let done = self.run(&["--decrypt", path.to_str().unwrap()]);
        (done.stdout, String::from_utf8_lossy(&done.stderr).into_owned())
    }
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(&self.home).args(["--kill", "all"]).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_imported_and_gnupg_opens_the_mail() {
    let world = World::start(Database::Sqlite).await;
    let paula = Gnupg::of(&world.scratch, "paula", READER);
    let dora = Gnupg::of(&world.scratch, "dora", HIDDEN);
    let mail = world.scratch.path().join("mail.eml");
    fs::write(&mail, format!("From: {SENDER}\nTo: {READER}\nX-Sealpost-Protect: openpgp\nSubject: x\n\nx\n")).unwrap();
    let policy = ["policy", "test", mail.to_str().unwrap(), "--from", SENDER, "--to", READER, "--json"];
    assert!(world.sealpost.command(&policy).contains("\"treatment\":\"refuse\""));
    let signer = world.scratch.path().join("organisation.asc");
    fs::write(&signer, world.sealpost.command(&["keys", "export", "mail"])).unwrap();
    for (who, name) in [(&paula, "paula.asc"), (&dora, "dora.asc")] {
        who.run(&["--import", signer.to_str().unwrap()]);
        world.sealpost.command(&["keys", "import", &who.public(world.scratch.path(), name)]);
    }
    assert!(world.sealpost.command(&policy).contains("\"treatment\":\"openpgp\""));

    let sent = letter(SUBJECT, READER, TEXT, ENCLOSURE);
    let keyless = "nokey@mail.example";
    world.submit(SENDER, &[READER, HIDDEN, keyless], &sent).await;
    let to_paula = world.outside(READER, |_| true).await;
    let to_dora = world.outside(HIDDEN, |_| true).await;
    assert!(is_notification(&world.outside(keyless, |_| true).await));

    for (mail, reader, other) in [(&to_paula, &paula, &dora), (&to_dora, &dora, &paula)] {
        // The envelope sender is the person who wrote: bounces go there, and hold ciphertext.
        assert_eq!((mail.return_path().as_str(), mail.subject().as_str()), (SENDER, "[...]"));
        assert!(mail.header("To").unwrap().contains(READER) && mail.header("Bcc").is_none());
        let (inner, said) = reader.open(mail);
        assert!(said.contains("[GNUPG:] DECRYPTION_OKAY") && said.contains("[GNUPG:] GOODMDC"), "{said}");
        assert!(said.contains("[GNUPG:] GOODSIG"), "{said}");
        assert_eq!(said.matches("[GNUPG:] ENC_TO").count(), 1, "{said}");
        let begins = |bytes: &[u8]| bytes.windows(7).position(|at| at == b"\r\n--mix").expect("the first part");
        assert!(inner[begins(&inner)..] == sent[begins(&sent)..], "body and enclosure, byte for byte");
        let parsed = MessageParser::default().parse(&inner).unwrap();
        assert_eq!(parsed.subject(), SUBJECT.strip_prefix("[secure] "));
        assert_eq!(parsed.attachment(0).unwrap().contents(), ENCLOSURE.1);
        let (_, said) = other.open(mail);
        assert!(said.contains("[GNUPG:] DECRYPTION_FAILED"), "{said}");
        // Behind our own trace field stands what we wrote; in front of it what the other side's server did.
        let source = String::from_utf8(mail.bytes.clone()).unwrap();
        let (_, ours) = source.split_once("by sealpost.klinik.example").expect("our trace field");
        assert!(!ours.contains("hidden.example") && !contains(&inner, "hidden.example"), "{ours}");
        let whole = contains(&mail.bytes, "hidden.example");
        assert_eq!(whole, std::ptr::eq(mail, &to_dora), "nobody else's copy names the hidden recipient");
    }
    shown_by_a_mail_program(&world.scratch, &paula, &to_paula);

    // Nothing of it is readable in what is stored or logged.
    let stored = world.everything_stored();
    for canary in ["canary-subject-7171", "canary-body-7272", "canary-name-7373", "canary-enclosure-7474"] {
        assert!(!contains(&stored, canary), "{canary}");
    }
}

/// NeoMutt, as a person has it, but for the person: opens the mail and pipes what it shows.
fn shown_by_a_mail_program(scratch: &Scratch, gnupg: &Gnupg, mail: &Mail) {
    let maildir = scratch.directory("mutt");
    for name in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(name)).unwrap();
    }
    fs::write(maildir.join("new/1.mail"), &mail.bytes).unwrap();
    let at = |name: &str| scratch.path().join(name).display().to_string();
    let folder = scratch.path().display();
    // Without `folder` it would ask whether to make one.
    let settings = format!(
        "set folder = {folder}\nset crypt_use_gpgme = yes\nset mbox_type = Maildir\nset pipe_decode = yes\nset wait_key = no\nset quit = yes\n\
        set crypt_protected_headers_read = yes\nset sleep_time = 0\n"
    );
    fs::write(at("muttrc"), settings).unwrap();
    let keys = format!(
        "<display-message><exit><pipe-message>cat > {}<enter><view-attachments><last-entry><save-entry><kill-line>{}<enter><exit><exit>",
        at("piped"),
        at("saved.pdf")
    );
    let program = format!("neomutt -n -F {} -f {} -e 'push \"{keys}\"'", at("muttrc"), maildir.display());
    // `script` is the terminal.
    let shown = Command::new("timeout")
        .args(["60", "script", "-qec", &program, "/dev/null"])
        .env("TERM", "xterm")
        .env("GNUPGHOME", &gnupg.home)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("timeout and script");
    let screen = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(screen.contains("Befund canary-subject-7171"), "the subject in the list: {screen}");
    let piped = fs::read_to_string(at("piped")).unwrap_or_else(|e| panic!("{e}: {screen}"));
    assert!(piped.contains("canary-body-7272"), "{piped}");
    let saved = fs::read(at("saved.pdf")).unwrap_or_else(|e| panic!("{e}: {screen}"));
    assert!(saved == ENCLOSURE.1, "the enclosure, byte for byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_openpgp_is_refused_and_never_plain() {
    let world = World::start(Database::Sqlite).await;
    let port = world.sealpost.setup().smtp;
    let message =
        format!("From: {SENDER}\r\nTo: {READER}\r\nX-Sealpost-Protect: openpgp\r\nSubject: x\r\n\r\ncanary-plain\r\n");
    let refused = smtp::send(port, SENDER, &[READER], message.as_bytes()).await.data.expect("an answer to the data");
    assert!(refused.code == 550 && refused.text().contains("5.7.5"), "{refused:?}");
    // With a key it goes out encrypted; when the key is taken away, it is refused again.
    let paula = Gnupg::of(&world.scratch, "paula", READER);
    let key = paula.public(world.scratch.path(), "paula.asc");
    world.sealpost.command(&["keys", "import", &key]);
    assert!(smtp::send(port, SENDER, &[READER], message.as_bytes()).await.accepted());
    let mail = world.outside(READER, |_| true).await;
    assert!(!contains(&mail.bytes, "canary-plain"));
    let fingerprint = world.sealpost.command(&["keys", "list"]);
    let fingerprint = fingerprint.split_whitespace().find(|word| word.len() == 40).expect("a fingerprint").to_owned();
    world.sealpost.command(&["keys", "remove", &fingerprint]);
    let refused = smtp::send(port, SENDER, &[READER], message.as_bytes()).await.data.expect("an answer to the data");
    assert!(refused.code == 550 && refused.text().contains("5.7.5"), "{refused:?}");
    assert_eq!(world.behind.maildir().of(READER).len(), 1);
}
