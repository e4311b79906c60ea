//! Clients that others wrote at every way in: sign-in, certificates, a load balancer's header, a filter's introduction, BDAT.
//! Nobody is inside by their address here, but 192.0.2.0/24, from where nobody can come.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate as Believed, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::response::Response;
use lettre::{Message, SmtpTransport, Transport};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use crate::certificates::Certificate;
use crate::hop::Hop;
use crate::patience::until;
use crate::ports;
use crate::process::run;
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup};
use crate::smtp;
use crate::world::{MAIL, SENDER};

/// `geheim`, by the command in the manual, with smaller numbers.
const HASH: &str = "$argon2id$v=19$m=4096,t=1,p=1$YmVlNmI1M2NjNDZkYzhlMA$egAolgPul0URt5KK6wlAQdH4mcX7YYDg92E8F6yYzLg";

struct Doors {
    sealpost: Sealpost,
    hop: Hop,
    shown: Certificate,
    encrypted: u16,
    scratch: Scratch,
}

impl Doors {
    /// With more lines of `[smtp]`.
    async fn open(lines: impl FnOnce(&Path) -> String) -> Self {
        let scratch = Scratch::new();
        let hop = Hop::start(ports::free());
        let shown = Certificate::make(&scratch.directory("tls"));
        let users = scratch.path().join("users");
        fs::write(&users, format!("# people\n\nanna:{HASH}\n")).unwrap();
        let encrypted = ports::free();
        let mut setup = Setup::between(hop.port(), hop.port());
        setup.set("smtp", shown.lines());
        setup.set("smtp", format!("tls-listen = \"127.0.0.1:{encrypted}\"\nusers = \"{}\"", users.display()));
        setup.set("smtp", format!("networks = [\"192.0.2.0/24\"]\n{}", lines(scratch.path())));
        let sealpost = Sealpost::start(&scratch, setup).await;
        Self { sealpost, hop, shown, encrypted, scratch }
    }

    fn port(&self) -> u16 {
        self.sealpost.setup().smtp
    }

    /// What left for `recipient`.
    async fn left(&self, recipient: &str) -> String {
        let taken =
            until("a mail", MAIL, async || self.hop.taken().into_iter().find(|taken| taken.recipients == [recipient]))
                .await;
        String::from_utf8(taken.bytes).unwrap()
    }

    /// Whether swaks was served, and what was said.
    fn swaks(&self, port: u16, to: &str, arguments: &[&str]) -> (bool, String) {
        let mut swaks = Command::new("swaks");
        swaks.args(["--server", "127.0.0.1", "--port", &port.to_string(), "--helo", "client.klinik.example"]);
        swaks.args(["--from", SENDER, "--to", to, "--header", "Subject: typed"]).args(arguments);
        let output = swaks.output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), said)
    }

    fn python(&self, script: &str, arguments: &[&str]) {
        let mut python = Command::new("python3");
        run({
            python.args(["-c", script]).arg(&self.shown.chain).args(arguments);
            python
        });
    }
}

fn mail(to: &str) -> Message {
    let text = "text\r\n.\r\n..";
    Message::builder().from(SENDER.parse().unwrap()).to(to.parse().unwrap()).subject("x").body(text.to_owned()).unwrap()
}

/// By STARTTLS, as lettre does it.
async fn lettre(
    doors: &Doors,
    to: &str,
    how: Option<(Mechanism, &'static str)>,
) -> Result<Response, lettre::transport::smtp::Error> {
    let believed = Believed::from_pem(&fs::read(&doors.shown.chain).unwrap()).unwrap();
    let tls = TlsParameters::builder("localhost".to_owned())
        .certificate_store(CertificateStore::None)
        .add_root_certificate(believed)
        .build_rustls()
        .unwrap();
    let client = SmtpTransport::builder_dangerous("127.0.0.1").port(doors.port()).tls(Tls::Required(tls));
    let client = match how {
        None => client,
        Some((mechanism, password)) => {
            client.authentication(vec![mechanism]).credentials(Credentials::new("anna".to_owned(), password.to_owned()))
        }
    };
    let (client, mail) = (client.build(), mail(to));
    tokio::task::spawn_blocking(move || client.send(&mail)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lettre_signs_in_after_starttls() {
    let doors = Doors::open(|_| String::new()).await;
    let stranger = lettre(&doors, "nobody@partner.example", None).await.unwrap_err();
    assert!(stranger.to_string().contains("5.7.1") && stranger.is_permanent(), "{stranger}");
    for (mechanism, to) in [(Mechanism::Plain, "plain@partner.example"), (Mechanism::Login, "login@partner.example")] {
        let wrong = lettre(&doors, to, Some((mechanism, "falsch"))).await.unwrap_err();
        assert!(wrong.to_string().contains("5.7.8"), "{wrong}");
        lettre(&doors, to, Some((mechanism, "geheim"))).await.unwrap();
        let left = doors.left(to).await;
        assert!(
            left.contains("by sealpost.klinik.example with ESMTPSA id ") && left.contains("text\r\n.\r\n..\r\n"),
            "{left}"
        );
    }
    assert_eq!(doors.hop.taken().len(), 2);
    assert!(!doors.sealpost.log().contains("geheim") && !doors.sealpost.log().contains("falsch"));
}

/// TLS from the first octet, with the certificate believed; the message in two pieces, and dots that end nothing.
const IN_PIECES: &str = r#"
import smtplib, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
client = smtplib.SMTP_SSL("localhost", int(sys.argv[2]), local_hostname="mta.example", context=context)
client.ehlo()
assert client.has_extn("chunking") and client.has_extn("smtputf8") and client.has_extn("dsn"), client.esmtp_features
client.login("anna", "geheim")
for command in ["MAIL FROM:<anna.weber@klinik.example>", "RCPT TO:<pieces@partner.example>"]:
    assert client.docmd(command)[0] == 250
head = b"From: anna.weber@klinik.example\r\nSubject: pieces\r\n\r\n.\r\n"
tail = b"..two\r\n.\r\nMAIL FROM:<eve@klinik.example>\r\nno line ending"
client.send(b"BDAT %d\r\n" % len(head) + head + b"BDAT %d LAST\r\n" % len(tail) + tail)
assert client.getreply()[0] == 250
assert client.getreply()[0] == 250
for smuggled in [b"a\n.\r\nb\r\n", b"a\r\n.\rb\r\n", b"a\0b\r\n"]:
    for command in ["MAIL FROM:<anna.weber@klinik.example>", "RCPT TO:<smuggled@partner.example>"]:
        assert client.docmd(command)[0] == 250
    client.send(b"BDAT %d LAST\r\n" % len(smuggled) + smuggled)
    code, text = client.getreply()
    assert code == 554 and text.startswith(b"5.6.11"), (code, text)
    client.close()
    client = smtplib.SMTP_SSL("localhost", int(sys.argv[2]), local_hostname="mta.example", context=context)
    client.login("anna", "geheim")
client.quit()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn smtplib_and_swaks_sign_in_inside_tls_and_send_pieces() {
    let doors = Doors::open(|_| String::new()).await;
    doors.python(IN_PIECES, &[&doors.encrypted.to_string()]);
    let left = doors.left("pieces@partner.example").await;
    let whole = "Subject: pieces\r\n\r\n.\r\n..two\r\n.\r\nMAIL FROM:<eve@klinik.example>\r\nno line ending\r\n";
    assert!(left.ends_with(whole) && left.contains(" with ESMTPSA id "), "{left}");
    for mechanism in ["PLAIN", "LOGIN"] {
        let to = format!("{}@partner.example", mechanism.to_lowercase());
        let sign_in = ["--tls-on-connect", "--auth", mechanism, "--auth-user", "anna", "--auth-password", "geheim"];
        let (served, said) = doors.swaks(doors.encrypted, &to, &sign_in);
        assert!(served, "{said}");
        doors.left(&to).await;
        let (served, said) = doors.swaks(doors.port(), &to, &[&["--auth"], &sign_in[2..]].concat());
        assert!(!served && !said.contains("334"), "no password is asked for in clear: {said}");
    }
    assert_eq!(doors.hop.taken().len(), 3);
}

/// A certificate for clients, issued by an authority: the authority's file, and the client's two.
fn issued(directory: &Path) -> (PathBuf, Certificate) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = directory.join("authority.pem");
    fs::write(&authority, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let mut params = CertificateParams::new(["mail.klinik.example".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let client = Certificate { chain: directory.join("client.pem"), key: directory.join("client-key.pem") };
    fs::write(&client.chain, params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    fs::write(&client.key, key.serialize_pem()).unwrap();
    (authority, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_a_way_in() {
    let mut clients = None;
    let doors = Doors::open(|scratch| {
        let directory = |name: &str| {
            let directory = scratch.join(name);
            fs::create_dir_all(&directory).unwrap();
            directory
        };
        let listed = Certificate::make(&directory("listed"));
        let (authority, client) = issued(&directory("issued"));
        // As the manual says.
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&listed.chain);
        let printed = run(openssl);
        let fingerprint = printed.trim().rsplit('=').next().unwrap().to_owned();
        clients = Some((listed, client));
        format!("client-fingerprints = [\"{fingerprint}\"]\nclient-authorities = \"{}\"", authority.display())
    })
    .await;
    let (listed, issued) = clients.unwrap();
    let stranger = Certificate::make(&doors.scratch.directory("stranger"));
    for (name, client, inside) in [("listed", &listed, true), ("issued", &issued, true), ("stranger", &stranger, false)]
    {
        for (way, port) in [("--tls", doors.port()), ("--tls-on-connect", doors.encrypted)] {
            let to = format!("{name}{way}@partner.example");
            let (chain, key) = (client.chain.to_str().unwrap(), client.key.to_str().unwrap());
            let (served, said) = doors.swaks(port, &to, &[way, "--tls-cert", chain, "--tls-key", key]);
            assert_eq!(served, inside, "{name} {way}: {said}");
            if inside {
                assert!(doors.left(&to).await.contains(" with ESMTPS id "));
            } else {
                assert!(said.contains("550 5.7.1 Relaying denied"), "{said}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_and_a_filter_speak_for_their_clients() {
    let doors = Doors::open(|_| "proxies = [\"127.0.0.2/32\"]\nxclient = [\"127.0.0.3/32\"]".to_owned()).await;
    let port = doors.port();
    let header = |source: &'static str| {
        let header = ["--local-interface", "127.0.0.2", "--proxy-version", "2", "--proxy-family", "AF_INET"];
        let source = ["--proxy-source", source, "--proxy-source-port", "4321"];
        [&header[..], &source, &["--proxy-dest", "127.0.0.1", "--proxy-dest-port", "25"]].concat()
    };
    let (served, said) = doors.swaks(port, "balanced@partner.example", &header("192.0.2.7"));
    assert!(served, "{said}");
    let left = doors.left("balanced@partner.example").await;
    assert!(left.starts_with("Received: from client.klinik.example ([192.0.2.7])\r\n"), "{left}");
    let (served, said) = doors.swaks(port, "x@partner.example", &header("203.0.113.9"));
    assert!(!served && said.contains("550 5.7.1"), "{said}");
    // through the balancer, and TLS from the first octet behind its header
    let encrypted = [&header("192.0.2.8")[..], &["--tls-on-connect"]].concat();
    let (served, said) = doors.swaks(doors.encrypted, "both@partner.example", &encrypted);
    assert!(served, "{said}");
    assert!(
        doors.left("both@partner.example").await.contains("([192.0.2.8])\r\n\tby sealpost.klinik.example with ESMTPS ")
    );
    // a header of version 1
    let older = ["--local-interface", "127.0.0.2", "--proxy-version", "1", "--proxy-family", "TCP4"];
    let older = [&older[..], &header("192.0.2.7")[6..]].concat();
    let (served, said) = doors.swaks(port, "x@partner.example", &older);
    assert!(!served && said.contains("554 5.7.0"), "{said}");
    // a header from elsewhere
    let elsewhere = header("192.0.2.7").into_iter().map(|word| if word == "127.0.0.2" { "127.0.0.1" } else { word });
    let (served, said) = doors.swaks(port, "x@partner.example", &elsewhere.collect::<Vec<_>>());
    assert!(!served && (said.contains("554 5.5.0") || said.contains("554 5.6.11")), "{said}");

    let introduced = |address: &'static str| ["--xclient-addr", address, "--xclient-helo", "filtered.example"];
    let from = ["--local-interface", "127.0.0.3"];
    let (served, said) = doors.swaks(port, "filtered@partner.example", &[&from[..], &introduced("192.0.2.9")].concat());
    assert!(served && said.contains("250-XCLIENT NAME ADDR PORT PROTO HELO"), "{said}");
    assert!(
        doors.left("filtered@partner.example").await.starts_with("Received: from client.klinik.example ([192.0.2.9])")
    );
    let (served, said) = doors.swaks(port, "x@partner.example", &[&from[..], &introduced("203.0.113.9")].concat());
    assert!(!served && said.contains("550 5.7.1"), "{said}");
    // nobody else is offered it, those who come through the balancer neither
    for more in [vec!["--local-interface", "127.0.0.1"], header("192.0.2.7")] {
        let (served, said) = doors.swaks(port, "x@partner.example", &[&more[..], &introduced("192.0.2.9")].concat());
        assert!(!served && said.contains("250 CHUNKING") && !said.contains("250-XCLIENT"), "{said}");
    }
    let mut stranger = smtp::Client::connect(port).await;
    stranger.command("EHLO x.example").await;
    assert_eq!(stranger.command("XCLIENT ADDR=192.0.2.9").await.code, 502);
    assert_eq!(doors.hop.taken().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_hop_gets_addresses_as_they_came() {
    let doors = Doors::open(|_| "xclient = [\"127.0.0.1/32\"]".to_owned()).await;
    let mut client = smtp::Client::connect(doors.port()).await;
    client.command("EHLO x.example").await;
    assert_eq!(client.command("XCLIENT ADDR=192.0.2.7").await.code, 220);
    client.command("EHLO x.example").await;
    for address in [
        "a%b@partner.example",
        "a%b%c@partner.example",
        "host!user@partner.example",
        "\"a@b\"@partner.example",
        "\"a b\"@partner.example",
        "\"a\\\"b\"@partner.example",
        "\"@relay.example:a\"@partner.example",
        "Anna+x@partner.example",
        "a@[192.0.2.9]",
        "|sh@partner.example",
        "-f@partner.example",
    ] {
        let outcome = client.deliver(address, &[address], b"Subject: x\r\n\r\nx\r\n").await;
        assert!(outcome.accepted(), "{address}: {outcome:?}");
        doors.left(address).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_tls_is_refused() {
    let doors = Doors::open(|_| String::new()).await;
    for (version, spoken) in [("-tls1", false), ("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)] {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{}", doors.encrypted), version]);
        // Else the client itself refuses.
        client.args(["-cipher", "DEFAULT:@SECLEVEL=0", "-no_ign_eof"]).stdin(std::process::Stdio::null());
        let output = client.output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(said.contains("depth=0"), spoken, "{version}: {said}");
        assert_eq!(said.contains("SSL alert"), !spoken, "{version}: {said}");
    }
}
