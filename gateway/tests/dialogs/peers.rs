//! Clients that others wrote: Python's smtplib (python3) and swaks. Both are in `deploy/install-debian test`.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;

use sealpost_gateway::smtp::{Door, Settings};
use sealpost_gateway::{BodyType, Charset};
use tokio::process::Command;
use tokio::time::timeout;

use crate::server::{Mood, Server, Shown, Tls, start, users};
use crate::talk::PATIENCE;

/// Nobody is inside by address.
async fn server() -> Server {
    let settings = Settings {
        hostname: "gateway.example".into(),
        networks: Vec::new(),
        users: Some(users("anna geheim")),
        auth_delay: std::time::Duration::ZERO,
        ..Settings::default()
    };
    start(settings, Door::Inside, Some(Arc::clone(&Tls::new(Shown::Nothing).server)), Mood::Willing, 1000).await
}

/// What it says, if it ends well.
async fn run(program: &str, arguments: &[&str]) -> String {
    let child = Command::new(program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(PATIENCE, child).await.expect("it ends").unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program}: {said}");
    said
}

const SMTPLIB: &str = r#"
import smtplib, ssl, sys
client = smtplib.SMTP("127.0.0.1", int(sys.argv[1]), local_hostname="mta.example")
client.starttls(context=ssl._create_unverified_context())
client.ehlo()
try:
    client.login("anna", "falsch")
    sys.exit("a wrong password was right")
except smtplib.SMTPAuthenticationError as error:
    assert error.smtp_code == 535, error
client.login("anna", "geheim")
message = "Subject: Gr\u00fc\u00dfe\r\n\r\n.\r\n..zwei\r\n".encode()
refused = client.sendmail("\u00e4nna@klinik.example", ["ben@mail.example"], message,
    mail_options=["SMTPUTF8", "BODY=8BITMIME", "RET=HDRS", "ENVID=a+2Bb"], rcpt_options=["NOTIFY=NEVER"])
assert not refused, refused
for command in ["MAIL FROM:<anna@klinik.example>", "RCPT TO:<ben@mail.example>"]:
    assert client.docmd(command)[0] == 250
piece = b"Subject: b\r\n\r\n.\r\n"
client.send(b"BDAT %d\r\n" % len(piece) + piece + b"BDAT 3 LAST\r\nc\r\n")
assert client.getreply()[0] == 250
assert client.getreply()[0] == 250
client.quit()
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smtplib_signs_in_and_sends_all_that_is_offered() {
    let server = server().await;
    run("python3", &["-c", SMTPLIB, &server.address.port().to_string()]).await;
    let accepted = server.intake.accepted.lock().unwrap();
    let [first, second] = accepted.as_slice() else { panic!("{} messages", accepted.len()) };
    assert_eq!(first.envelope.reverse_path.to_string(), "änna@klinik.example");
    assert_eq!((first.envelope.charset, first.envelope.body), (Charset::Utf8, BodyType::EightBitMime));
    assert_eq!(first.envelope.dsn.envid.as_ref().unwrap().text(), "a+b");
    assert_eq!(first.envelope.dsn.of(&first.envelope.recipients[0]).notify.unwrap().to_string(), "NEVER");
    assert_eq!(String::from_utf8_lossy(&first.bytes), "Subject: Grüße\r\n\r\n.\r\n..zwei\r\n");
    assert_eq!(String::from_utf8_lossy(&second.bytes), "Subject: b\r\n\r\n.\r\nc\r\n");
    assert!(first.client.tls);
}

async fn swaks(address: SocketAddr, more: &[&str]) {
    let port = address.port().to_string();
    let common = ["--server", "127.0.0.1", "--port", &port, "--helo", "mta.example", "--from", "anna@klinik.example"];
    let common =
        [&common[..], &["--to", "ben@mail.example", "--tls", "--auth-user", "anna", "--auth-password", "geheim"]];
    run("swaks", &[&common.concat()[..], more].concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaks_signs_in_both_ways() {
    let server = server().await;
    for mechanism in ["PLAIN", "LOGIN"] {
        swaks(server.address, &["--auth", mechanism, "--body", "geheim"]).await;
    }
    let accepted = server.intake.accepted.lock().unwrap();
    assert_eq!(accepted.len(), 2);
    assert!(accepted.iter().all(|message| message.client.tls && !message.bytes.is_empty()));
}
