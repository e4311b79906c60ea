//! DKIM: what others' programs say of our signatures, on messages as they arrive at a next hop.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::browser::{Browser, Screen};
use crate::hop::{Hop, Mood};
use crate::maildir::Mail;
use crate::openpgp::Gnupg;
use crate::patience::{PATIENCE, until};
use crate::ports;
use crate::process::run;
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup};
use crate::smtp::Client;
use crate::world::{Database, READER, SENDER, World, is_notification, letter, link_in};

const VERIFIER: &str = include_str!("dkim/verify.py");
/// Unpacked, never a daemon (deploy/install-debian).
const OPENDKIM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/opendkim/usr/sbin/opendkim");

/// What dkimpy says of one signature.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    selector: String,
    algorithm: String,
    passed: bool,
    names: Vec<String>,
    has_length: bool,
}

/// Makes a key as many an organisation has one already.
fn openssl_key(path: &Path, options: &[&str]) {
    let mut command = Command::new("openssl");
    command.arg("genpkey").args(options).arg("-out").arg(path);
    run(command);
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// Sealpost's configuration of keys of our domain.
fn table(keys: &[(&str, &Path)], passing: &str) -> String {
    let key = |(selector, file): &(&str, &Path)| {
        format!("{{ domain = \"klinik.example\", selector = \"{selector}\", file = \"{}\" }}", file.display())
    };
    let keys: Vec<String> = keys.iter().map(key).collect();
    format!("[dkim]\nkeys = [{}]\npassing = \"{passing}\"\n", keys.join(", "))
}

const RSA: [&str; 4] = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const ED25519: [&str; 2] = ["-algorithm", "ED25519"];

struct Signing {
    sealpost: Sealpost,
    hop: Hop,
    verifiers: Verifiers,
    scratch: Scratch,
}

impl Signing {
    async fn start(passing: &str) -> Self {
        let scratch = Scratch::new();
        let keys = scratch.directory("dkim");
        openssl_key(&keys.join("rsa.pem"), &RSA);
        openssl_key(&keys.join("ed.pem"), &ED25519);
        let hop = Hop::start(ports::free());
        let mut setup = Setup::between(hop.port(), hop.port());
        setup.more = table(&[("r1", &keys.join("rsa.pem")), ("e1", &keys.join("ed.pem"))], passing);
        let sealpost = Sealpost::start(&scratch, setup).await;
        let verifiers = Verifiers::knowing(&sealpost, &scratch);
        Self { sealpost, hop, verifiers, scratch }
    }

    async fn send(&self, from: &str, parameters: &str, to: &str, message: &[u8]) {
        self.send_asking(from, parameters, to, "", message).await;
    }

    async fn send_asking(&self, from: &str, parameters: &str, to: &str, asked: &str, message: &[u8]) {
        let mut client = Client::connect(self.sealpost.setup().smtp).await;
        client.command("EHLO client.klinik.example").await;
        let reply = client.command(&format!("MAIL FROM:<{from}>{parameters}")).await;
        assert_eq!(reply.code, 250, "{reply:?}");
        assert_eq!(client.command(&format!("RCPT TO:<{to}>{asked}")).await.code, 250);
        assert_eq!(client.command("DATA").await.code, 354);
        client.raw(&[message, b".\r\n"].concat()).await;
        let reply = client.reply().await.unwrap();
        assert_eq!(reply.code, 250, "{reply:?}");
    }

    /// What arrived for somebody.
    async fn arrived(&self, to: &str) -> Vec<u8> {
        let found = async || self.hop.taken().into_iter().find(|taken| taken.recipients.contains(&to.to_owned()));
        until(&format!("a mail to {to}"), PATIENCE, found).await.bytes
    }
}

/// dkimpy and OpenDKIM, which know our records.
struct Verifiers {
    script: PathBuf,
    records: PathBuf,
    opendkim: PathBuf,
    message: PathBuf,
}

impl Verifiers {
    fn knowing(sealpost: &Sealpost, scratch: &Scratch) -> Self {
        assert!(Path::new(OPENDKIM).exists(), "no OpenDKIM in {OPENDKIM}: `deploy/install-debian test` brings it");
        let at = |name: &str| scratch.path().join(name);
        let records = sealpost.command(&["dkim", "records", "--plain"]);
        fs::write(at("records"), &records).unwrap();
        fs::write(at("verify.py"), VERIFIER).unwrap();
        let lines: Vec<&str> = records.lines().collect();
        let pairs: Vec<String> = lines.chunks(2).map(|pair| pair.join(" ") + "\n").collect();
        fs::write(at("opendkim.keys"), pairs.concat()).unwrap();
        let keys = at("opendkim.keys");
        fs::write(at("opendkim.conf"), format!("Mode v\nSyslog no\nTestPublicKeys {}\n", keys.display())).unwrap();
        Self {
            script: at("verify.py"),
            records: at("records"),
            opendkim: at("opendkim.conf"),
            message: at("verified.eml"),
        }
    }

    /// Our selectors, and what OpenDKIM says of the signatures made with them.
    fn second_opinion(&self, message: &[u8]) -> Vec<(String, bool)> {
        fs::write(&self.message, message).unwrap();
        let mut command = Command::new(OPENDKIM);
        command.arg("-x").arg(&self.opendkim).args(["-vv", "-t"]).arg(&self.message);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // It doesn't report on a message without any signature.
        let results = said.split_once("'Authentication-Results'").map_or("", |(_, results)| results);
        let word = |result: &str, name: &str| {
            result.split_whitespace().find_map(|word| word.strip_prefix(name)).unwrap_or_default().to_owned()
        };
        let of_ours = |result: &&str| word(result, "header.d=") == "klinik.example";
        results
            .split(';')
            .filter(of_ours)
            .map(|result| (word(result, "header.s="), word(result, "dkim=") == "pass"))
            .collect()
    }

    fn verdicts(&self, message: &[u8]) -> Vec<Verdict> {
        // Debian's own: that is where its package python3-dkim goes.
        let mut python = Command::new("/usr/bin/python3");
        python.arg(&self.script).arg(&self.records).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = python.spawn().unwrap();
        child.stdin.take().unwrap().write_all(message).unwrap();
        let output = child.wait_with_output().unwrap();
        let (out, error) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
        assert!(output.status.success(), "{error}");
        let verdict = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            Verdict {
                selector: words[0].to_owned(),
                algorithm: words[1].to_owned(),
                passed: words[2] == "pass",
                names: words[3].split(':').map(str::to_owned).collect(),
                has_length: words[4] == "l=",
            }
        };
        out.lines().map(verdict).collect()
    }

    /// Both signatures are good, and cover what they must.
    fn check(&self, name: &str, message: &[u8]) {
        let verdicts = self.verdicts(message);
        let text = String::from_utf8_lossy(message);
        let signers: Vec<(&str, &str)> =
            verdicts.iter().map(|verdict| (verdict.selector.as_str(), verdict.algorithm.as_str())).collect();
        assert_eq!(signers, [("r1", "rsa-sha256"), ("e1", "ed25519-sha256")], "{name}: {text}");
        for verdict in verdicts {
            assert!(verdict.passed && !verdict.has_length, "{name}: {verdict:?}\n{text}");
            for field in ["subject", "date", "to", "cc", "message-id", "mime-version", "content-type"] {
                assert!(verdict.names.iter().any(|signed| signed == field), "{name}: {field}");
            }
            assert_eq!(verdict.names.iter().filter(|signed| *signed == "from").count(), 2, "{name}: {verdict:?}");
        }
        let second = self.second_opinion(message);
        assert_eq!(second, [("r1".to_owned(), true), ("e1".to_owned(), true)], "{name}, says OpenDKIM: {text}");
    }

    fn fails(&self, name: &str, message: &[u8]) {
        let verdicts = self.verdicts(message);
        assert_eq!(verdicts.len(), 2, "{name}");
        let second = self.second_opinion(message);
        assert!(second.iter().all(|(_, passed)| !passed), "{name}, says OpenDKIM: {second:?}");
        assert!(
            verdicts.iter().all(|verdict| !verdict.passed),
            "{name}: {verdicts:?}\n{}",
            String::from_utf8_lossy(message)
        );
    }
}

const HEADER: &str = "From: Anna Weber <anna.weber@klinik.example>\r\nTo: x@partner.example\r\nSubject: Lunch\r\n\
    Date: Tue, 24 Nov 2026 10:00:00 +0100\r\nMessage-ID: <1@klinik.example>\r\nMIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=iso-8859-1\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_signed_as_it_arrives() {
    let signing = Signing::start("signed").await;
    let eight_bit =
        [HEADER.as_bytes(), b"Content-Transfer-Encoding: 8bit\r\n\r\n\xe4\xf6\xfc \x80 trailing \t \r\n \r\n"].concat();
    let odd = HEADER.replace("Subject: Lunch", "sUBJECT:\r\n\tLunch  on\r\n   Thursday  =?x?=");
    let utf8 = HEADER
        .replace("Anna Weber <anna.weber@", "J\u{f6}rg M\u{fc}ller <j\u{f6}rg@")
        .replace("Lunch", "Gr\u{fc}\u{df}e \u{1f600}");
    let many = HEADER.replace(
        "To: ",
        "X-Other: 1\r\nDKIM-Signature: v=1; a=rsa-sha256; d=x.example; s=x; h=from; bh=AA==; b=AA==\r\nX-Long: ",
    );
    let without_date = "From: anna.weber@klinik.example\r\n\r\nno more fields than that\r\n".to_owned();
    let long = format!("{HEADER}\r\n{}", "0123456789 abcdefghijklmnopqrstuvwxyz  \r\n\r\n".repeat(20_000));
    for (name, from, parameters, message) in [
        ("plain", SENDER, "", format!("{HEADER}\r\nThursday?\r\n").into_bytes()),
        ("dots", SENDER, "", format!("{HEADER}\r\n..\r\n...two\r\nx\r\n..x\r\n\r\n\r\n").into_bytes()),
        ("eight-bit", SENDER, " BODY=8BITMIME", eight_bit),
        (
            "internationalized",
            "j\u{f6}rg@klinik.example",
            " BODY=8BITMIME SMTPUTF8",
            format!("{utf8}\r\nf\u{fc}r alle\r\n").into_bytes(),
        ),
        ("oddly-folded", SENDER, "", format!("{odd}\r\n  x  \r\n").into_bytes()),
        ("blank-lines", SENDER, "", format!("{HEADER}\r\n\r\n\r\n\r\n").into_bytes()),
        ("empty", SENDER, "", format!("{HEADER}\r\n").into_bytes()),
        ("few-fields", SENDER, "", without_date.into_bytes()),
        ("two-subjects", SENDER, "", format!("Subject: one more\r\n{HEADER}\r\nx\r\n").into_bytes()),
        ("large", SENDER, "", long.into_bytes()),
    ] {
        let to = format!("{name}@partner.example");
        signing.send(from, parameters, &to, &message).await;
        let arrived = signing.arrived(&to).await;
        assert!(arrived.starts_with(b"DKIM-Signature:"), "{name}: above everything else");
        signing.verifiers.check(name, &arrived);
        if name == "plain" {
            let text = String::from_utf8(arrived).unwrap();
            for (change, changed) in [
                ("another body", text.replace("Thursday?", "Friday?")),
                ("more behind it", format!("{text}P.S.: something else\r\n")),
                ("another subject", text.replace("Subject: Lunch", "Subject: Dinner")),
                ("a second From above", text.replace("From: Anna", "From: evil@x.example\r\nFrom: Anna")),
                ("a second From below", text.replace("MIME-Version: 1", "From: evil@x.example\r\nMIME-Version: 1")),
                ("a second subject", text.replace("MIME-Version: 1", "Subject: evil\r\nMIME-Version: 1")),
                ("a copy to somebody", text.replace("MIME-Version: 1", "Cc: evil@x.example\r\nMIME-Version: 1")),
                ("another type", text.replace("text/plain", "text/html")),
            ] {
                assert_ne!(changed, text, "{change}");
                signing.verifiers.fails(change, changed.as_bytes());
            }
            let refolded =
                text.replace("Subject: Lunch", "SUBJECT:\r\n  Lunch").replace("Received:", "X-Added: 1\r\nReceived:");
            signing.verifiers.check("folded anew, and with another field", refolded.as_bytes());
        }
    }
    // Whoever has two signatures of somebody else's in front of ours keeps them.
    signing.send(SENDER, "", "many@partner.example", format!("{many}\r\nx\r\n").as_bytes()).await;
    let arrived = signing.arrived("many@partner.example").await;
    let verdicts = signing.verifiers.verdicts(&arrived);
    assert_eq!(verdicts.iter().map(|verdict| verdict.passed).collect::<Vec<_>>(), [true, true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_domains_is_not_signed() {
    let signing = Signing::start("signed").await;
    let mail = |from: &str| format!("{from}\r\nSubject: x\r\n\r\nx\r\n");
    for (n, (sender, from)) in [
        ("max@elsewhere.example", "From: anna.weber@klinik.example"),
        ("", "From: anna.weber@klinik.example"),
        (SENDER, "From: max@elsewhere.example"),
        (SENDER, "From: anna.weber@klinik.example, max@elsewhere.example"),
        (SENDER, "From: anna.weber@klinik.example\r\nFrom: anna.weber@klinik.example"),
        (SENDER, "From: max@otherklinik.example"),
        (SENDER, "From: \"anna.weber@klinik.example\" <max@elsewhere.example>"),
        (SENDER, "From: nobody in particular"),
        (SENDER, "X-From: anna.weber@klinik.example"),
    ]
    .into_iter()
    .enumerate()
    {
        let to = format!("unsigned-{n}@partner.example");
        signing.send(sender, "", &to, mail(from).as_bytes()).await;
        let arrived = signing.arrived(&to).await;
        assert_eq!(signing.verifiers.verdicts(&arrived), [], "<{sender}> {from}");
    }
    // Domains below one that has keys are its own.
    signing
        .send("a@ward.klinik.example", "", "below@partner.example", mail("From: a@ward.klinik.example").as_bytes())
        .await;
    let arrived = signing.arrived("below@partner.example").await;
    assert_eq!(signing.verifiers.verdicts(&arrived).iter().filter(|verdict| verdict.passed).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_write_is_signed_and_what_passes_is_not_by_default() {
    let signing = Signing::start("unsigned").await;
    signing.send(SENDER, "", "plain@partner.example", format!("{HEADER}\r\nx\r\n").as_bytes()).await;
    assert_eq!(signing.verifiers.verdicts(&signing.arrived("plain@partner.example").await), []);
    let secure = HEADER.replace("Subject: ", "Subject: [secure] ");
    signing.send(SENDER, "", READER, format!("{secure}\r\nx\r\n").as_bytes()).await;
    signing.verifiers.check("a notification", &signing.arrived(READER).await);
    // A report of ours goes inside: this hop knows no DSN, so we say that we passed it on.
    let plain = format!("{HEADER}\r\nx\r\n");
    signing.send_asking(SENDER, "", "told@partner.example", " NOTIFY=SUCCESS", plain.as_bytes()).await;
    let report = signing.arrived(SENDER).await;
    assert!(String::from_utf8_lossy(&report).contains("Action: relayed"));
    signing.verifiers.check("a report", &report);
    assert!(!signing.sealpost.log().contains("PRIVATE KEY"));
}

/// What passes is signed as what it has become.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_encrypted_is_signed_afterwards() {
    let signing = Signing::start("signed").await;
    let paula = Gnupg::of(&signing.scratch, "paula", READER);
    signing.sealpost.command(&["keys", "import", &paula.public(signing.scratch.path(), "paula.asc")]);
    let secure = HEADER.replace("Subject: ", "X-Sealpost-Protect: openpgp\r\nSubject: ");
    signing.send(SENDER, "", READER, format!("{secure}\r\ncanary-secret\r\n").as_bytes()).await;
    let arrived = signing.arrived(READER).await;
    let text = String::from_utf8(arrived.clone()).unwrap();
    assert!(text.contains("-----BEGIN PGP MESSAGE-----") && !text.contains("canary-secret"), "{text}");
    signing.verifiers.check("an encrypted message", &arrived);
    let (before, after) = text.split_once("-----BEGIN PGP MESSAGE-----").unwrap();
    let changed = format!("{before}-----BEGIN PGP MESSAGE-----\r\nComment: x{after}");
    signing.verifiers.fails("another ciphertext", changed.as_bytes());
}

/// The next hop takes it, and the connection breaks before it says so: what comes again is the same, byte for byte.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_again_is_what_was_signed() {
    let signing = Signing::start("signed").await;
    signing.hop.is(Mood::DropsReply);
    signing.send(SENDER, "", "again@partner.example", format!("{HEADER}\r\nx\r\n").as_bytes()).await;
    signing.arrived("again@partner.example").await;
    signing.hop.is(Mood::Up);
    // A signature names its second.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let both = until("the same mail again", PATIENCE, async || {
        signing.sealpost.command(&["queue", "retry", "--all"]);
        let taken = signing.hop.taken();
        (taken.len() >= 2).then_some(taken)
    })
    .await;
    assert_eq!(both.iter().map(|taken| taken.answered).collect::<Vec<_>>(), [false, true]);
    assert!(both[0].bytes == both[1].bytes);
    signing.verifiers.check("the second try", &both[1].bytes);
}

/// Through Postfix, as it lies in mailboxes: a notification, a code, and a reader's answer.
#[tokio::test(flavor = "multi_thread")]
async fn what_we_write_is_still_good_in_its_mailbox() {
    let world = World::set_up(Database::Sqlite, |setup, scratch| {
        let keys = scratch.directory("dkim");
        let mut named = Vec::new();
        for (selector, algorithm) in [("r1", "rsa"), ("e1", "ed25519")] {
            let file = keys.join(format!("{selector}.pem"));
            let sealpost = Sealpost::prepare(scratch, Setup::between(1, 2));
            let arguments =
                ["dkim", "new", "klinik.example", selector, file.to_str().unwrap(), "--algorithm", algorithm];
            sealpost.command(&arguments);
            named.push((selector, file));
        }
        let named: Vec<(&str, &Path)> = named.iter().map(|(selector, file)| (*selector, file.as_path())).collect();
        setup.more = table(&named, "unsigned");
    })
    .await;
    let verifiers = Verifiers::knowing(&world.sealpost, &world.scratch);
    // A mailbox has the line endings of its machine; on the wire each was CRLF.
    let check = |name: &str, mail: &Mail| {
        verifiers.check(name, String::from_utf8(mail.bytes.clone()).unwrap().replace('\n', "\r\n").as_bytes());
    };
    world.submit(SENDER, &[READER], &letter("[secure] Befund", READER, "canary", ("a.pdf", b"%PDF-1.4"))).await;
    let notification = world.outside(READER, is_notification).await;
    check("a notification", &notification);
    let browser = Browser::start(Screen::Desk).await;
    browser.driver().goto(&link_in(&notification)).await.unwrap();
    check("a code", &browser.prove_mailbox(&world).await);
    browser.step("letter").await;
    browser.click("reply-open").await;
    browser.type_into("reply-text", "Danke, canary-answer.\n.\n  Gr\u{fc}\u{df}e  \n").await;
    browser.click("reply-send").await;
    browser.until("!document.getElementById('reply-sent').hidden").await;
    check("an answer", &world.inside(SENDER, |mail| mail.text().contains("canary-answer")).await);
}

/// What is made is what OpenSSL knows as a sound key, and never replaces one.
#[tokio::test(flavor = "multi_thread")]
async fn new_keys_are_sound() {
    let scratch = Scratch::new();
    let sealpost = Sealpost::prepare(&scratch, Setup::between(1, 2));
    for (algorithm, said, record) in [
        ("rsa", "Private-Key: (2048 bit", "k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"),
        ("ed25519", "ED25519 Private-Key:", "k=ed25519; p="),
    ] {
        let file = scratch.path().join(algorithm);
        let file = file.to_str().unwrap();
        let make = ["dkim", "new", "klinik.example", "S1", file, "--algorithm", algorithm, "--plain"];
        let printed = sealpost.command(&make);
        let (name, text) = printed.trim_end().split_once('\n').unwrap();
        assert_eq!(name, "s1._domainkey.klinik.example");
        assert!(text.starts_with(&format!("v=DKIM1; h=sha256; {record}")), "{text}");
        let openssl = |arguments: &[&str]| {
            let mut openssl = Command::new("openssl");
            openssl.args(["pkey", "-in", file]).args(arguments);
            run(openssl)
        };
        let shown = openssl(&["-check", "-noout", "-text"]);
        assert!(shown.contains("Key is valid") && shown.contains(said), "{shown}");
        let public = openssl(&["-pubout"]);
        let public: String = public.lines().filter(|line| !line.starts_with("-----")).collect();
        // Of Ed25519 the record has the bare key, without the frame of twelve bytes (RFC 8463 4.2).
        assert!(text.ends_with(if algorithm == "rsa" { &public } else { &public[16..] }), "{text} {public}");
        let before = fs::read(file).unwrap();
        let (code, error) = sealpost.failing(&make);
        assert!(code == Some(71) && error.contains("cannot write") && fs::read(file).unwrap() == before, "{error}");
    }
    for (domain, selector) in [("..", "a"), ("klinik.example", "a_b")] {
        let (code, error) = sealpost.failing(&["dkim", "new", domain, selector, "/nowhere/file"]);
        assert!(code == Some(64), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_can_not_be_used_are_named() {
    let scratch = Scratch::new();
    let directory = scratch.directory("dkim");
    let path = |name: &str| directory.join(name);
    openssl_key(&path("good.pem"), &RSA);
    openssl_key(&path("exposed.pem"), &ED25519);
    fs::set_permissions(path("exposed.pem"), Permissions::from_mode(0o640)).unwrap();
    openssl_key(&path("small.pem"), &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    openssl_key(&path("curve.pem"), &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl_key(&path("locked.pem"), &["-algorithm", "ED25519", "-aes256", "-pass", "pass:secret"]);
    Sealpost::prepare(&scratch, Setup::between(1, 2)).command(&["init"]);
    let good = fs::read_to_string(path("good.pem")).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let broken = [&lines[..5], &lines[7..]].concat().join("\n");
    for (name, text) in [("broken.pem", broken.as_str()), ("empty.pem", ""), ("text.pem", "no key at all\n")] {
        fs::write(path(name), text).unwrap();
        fs::set_permissions(path(name), Permissions::from_mode(0o600)).unwrap();
    }
    for (domain, selector, file, said) in [
        ("klinik.example", "a", "none.pem", "none.pem: No such file"),
        ("klinik.example", "a", "exposed.pem", "(mode 0640): take their rights away"),
        ("klinik.example", "a", "small.pem", "less than 2,048 bits"),
        ("klinik.example", "a", "curve.pem", "neither RSA nor Ed25519"),
        ("klinik.example", "a", "locked.pem", "no private key in PEM that isn't encrypted"),
        ("klinik.example", "a", "broken.pem", "damaged"),
        ("klinik.example", "a", "empty.pem", "no private key in PEM"),
        ("klinik.example", "a", "text.pem", "no private key in PEM"),
        ("klinik.example", "a", ".", "no private key in PEM"),
        ("klinik.example", "a_b", "good.pem", "\"a_b\" is no selector"),
        ("klinik.example", "", "good.pem", "\"\" is no selector"),
        ("klinic.example", "a", "good.pem", "a key of klinic.example would sign nothing"),
    ] {
        let mut setup = Setup::between(1, 2);
        setup.more = format!(
            "[dkim]\nkeys = [{{ domain = \"{domain}\", selector = \"{selector}\", file = \"{}\" }}]\n",
            path(file).display()
        );
        let sealpost = Sealpost::prepare(&scratch, setup);
        for command in [&["check-config"][..], &["dkim", "records"], &["serve"]] {
            let (code, error) = sealpost.failing(command);
            assert_eq!(code, Some(78), "{file}: {error}");
            assert!(error.contains(said), "{command:?} {file}: {error}");
            assert!(!error.contains(lines[1]), "{error}");
        }
    }
    let mut setup = Setup::between(1, 2);
    setup.more = format!(
        "[dkim]\nkeys = [{{ domain = \"Klinik.example\", selector = \"S1\", file = \"{}\" }}]\n",
        path("good.pem").display()
    );
    let sealpost = Sealpost::prepare(&scratch, setup);
    let checked = sealpost.command(&["check-config"]);
    assert!(checked.contains("dkim           s1._domainkey.klinik.example (RSA, 2048 bits)"), "{checked}");
    let record = sealpost.command(&["dkim", "records"]);
    assert!(
        record
            .starts_with("; RSA, 2048 bits\ns1._domainkey.klinik.example. IN TXT ( \"v=DKIM1; h=sha256; k=rsa; p=MII"),
        "{record}"
    );
    let strings: Vec<&str> = record.split('"').skip(1).step_by(2).collect();
    assert!(strings.iter().all(|string| string.len() <= 255), "{record}");
    assert_eq!(
        sealpost.command(&["dkim", "records", "--plain"]),
        format!("s1._domainkey.klinik.example\n{}\n", strings.concat())
    );
    // What OpenSSL says the public key is.
    let mut openssl = Command::new("openssl");
    openssl.args(["pkey", "-pubout", "-in"]).arg(path("good.pem"));
    let public = run(openssl);
    let public: String = public.lines().filter(|line| !line.starts_with("-----")).collect();
    assert_eq!(strings.concat(), format!("v=DKIM1; h=sha256; k=rsa; p={public}"));
}
