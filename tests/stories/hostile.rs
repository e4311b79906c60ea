//! A next hop that refuses mail in words meant to break out of wherever they are shown: reports, the queue's list, the log.
//!
//! What its dialogue may try besides is tested beside our SMTP client (gateway/src/deliver/tests.rs).

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::hop::Hop;
use crate::patience::{PATIENCE, until};
use crate::ports;
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup};
use crate::smtp;
use crate::world::SENDER;

/// To RCPT, by the recipient's local part; `content` is let through to DATA.
const REPLIES: [(&str, &[u8]); 6] = [
    (
        "lines",
        b"550-5.1.1 unknown\r\n550-\r\n550-Bcc: evil@x.example\r\n550-\r\n550-Status: 2.0.0\r\n550 Action: delivered\r\n",
    ),
    ("returns", b"550 5.1.1 unknown\rBcc: evil@x.example\r\rStatus: 2.0.0\rAction: delivered\r\n"),
    ("terminal", b"550 5.1.1 \x1b]0;owned\x07\x1b[2J\x08\x7f\x9b31m\0 \xe2\x80\xae\xe2\x81\xa6live\r\n"),
    ("markup", b"550 5.1.1 <script>alert(1)</script> --=_report_x-- =?utf-8?q?=0D=0ABcc:_evil@x.example?=\r\n"),
    ("status", b"550 5.1.1\r5.1.1 2.0.0 delivered\r\n"),
    ("later", b"450-4.2.1 not\x1b[8m\r\n450 Bcc: evil@x.example\r\n"),
];
const END: &[u8] = b"554-5.6.0 \xff\xfe\r\n554 Bcc: evil@x.example\r\n";

async fn listen(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move { drop(converse(stream).await) });
    }
}

async fn converse(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220-\x1b[2J\r\n220 Bcc: evil@x.example\r\n").await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let reply: &[u8] = match line.get(..4).unwrap_or_default() {
            "EHLO" => b"250-\x1b[2J evil\r\n250-8BITMIME\x1b\r\n250 SIZE -1\r\n",
            "MAIL" | "RSET" => b"250 \x1b[2J\r\n",
            "RCPT" => REPLIES
                .iter()
                .find(|(name, _)| line.contains(&format!("<{name}@")))
                .map_or(b"250 ok\r\n", |(_, reply)| reply),
            "DATA" => {
                stream.write_all(b"354 \x1b[2J\r\n").await?;
                while line != ".\r\n" {
                    line.clear();
                    stream.read_line(&mut line).await?;
                }
                END
            }
            _ => b"500 \x1b[2J\r\n",
        };
        stream.write_all(reply).await?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_of_a_next_hop_breaks_out_of_its_place() {
    let scratch = Scratch::new();
    let (inside, outside) = (Hop::start(ports::free()), ports::free());
    tokio::spawn(listen(outside));
    let sealpost = Sealpost::start(&scratch, Setup::between(inside.port(), outside)).await;
    for (name, status, shown) in [
        ("lines", "5.1.1", "550 5.1.1 unknown Bcc: evil@x.example Status: 2.0.0 Action: delivered"),
        ("returns", "5.1.1", "550 5.1.1 unknown Bcc: evil@x.example Status: 2.0.0 Action: delivered"),
        ("terminal", "5.1.1", "550 5.1.1 ?]0;owned??[2J???31m? ??live"),
        ("markup", "5.1.1", "550 5.1.1 <script>alert(1)</script> --=_report_x-- =?utf-8?q?=0D=0ABcc:_evil@x.example?="),
        ("status", "5.0.0", "550 5.1.1 5.1.1 2.0.0 delivered"),
        ("content", "5.6.0", "554 5.6.0 ?? Bcc: evil@x.example"),
    ] {
        let to = format!("{name}@partner.example");
        let mail = format!("From: {SENDER}\r\nTo: {to}\r\nSubject: Lunch\r\n\r\ncanary-body\r\n");
        assert!(smtp::send(sealpost.setup().smtp, SENDER, &[&to], mail.as_bytes()).await.accepted());
        let about = format!("Final-Recipient: rfc822; {to}\r\n");
        let report = until(&format!("a report about {to}"), PATIENCE, async || {
            inside
                .taken()
                .into_iter()
                .map(|taken| taken.bytes)
                .find(|bytes| String::from_utf8_lossy(bytes).contains(&about))
        })
        .await;
        let text = String::from_utf8(report).unwrap();
        // Unfolded, and of quoted-printable too: nothing of it is cut where we look.
        let said = format!("\r\nStatus: {status}\r\nRemote-MTA: dns; 127.0.0.1\r\nDiagnostic-Code: smtp; {shown}\r\n");
        assert!(text.contains(&said), "{name}: wanted {said}, in {text}");
        let starts = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(
            [starts("Bcc"), starts("Status:"), starts("Action:"), starts("<script")],
            [0, 1, 1, 0],
            "{name}: {text}"
        );
        assert!(
            text.bytes().all(|b| b.is_ascii_graphic() || matches!(b, b' ' | b'\t' | b'\r' | b'\n')),
            "{name}: {text}"
        );
        assert!(!text.contains("canary-body"), "{name}");
        let parsed = mail_parser::MessageParser::default().parse(text.as_bytes()).unwrap();
        assert_eq!(parsed.attachment_count() + parsed.text_body_count(), 3, "{name}: its frame is whole: {text}");
        assert!(parsed.bcc().is_none());
    }
    // What stays in the queue is shown as safely, and so is what was logged about all of them.
    let mail = format!("From: {SENDER}\r\nTo: later@partner.example\r\nSubject: Lunch\r\n\r\nx\r\n");
    assert!(smtp::send(sealpost.setup().smtp, SENDER, &["later@partner.example"], mail.as_bytes()).await.accepted());
    let listed = until("a mail that waits", PATIENCE, async || {
        Some(sealpost.command(&["queue", "list"])).filter(|listed| listed.contains("450 4.2.1"))
    })
    .await;
    assert!(listed.contains("450 4.2.1 not?[8m Bcc: evil@x.example") && listed.lines().count() == 1, "{listed}");
    for (name, text) in [("the list", listed), ("the log", sealpost.log())] {
        let harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
        assert!(text.chars().all(harmless) && !text.contains('\u{202e}'), "{name}: {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{name}");
    }
}
