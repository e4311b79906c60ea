//! A small world: the organisation's Postfix in front, Sealpost, and a Postfix behind that stands for everybody outside.

use std::time::Duration;

use crate::maildir::Mail;
use crate::postfix::{Behind, Front, Postfix, front_ports};
use crate::postgres::Postgres;
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup, Store};
use crate::{ports, smtp};

/// How long a mail may take through three servers.
pub const MAIL: Duration = Duration::from_secs(60);

pub const SENDER: &str = "anna.weber@klinik.example";
pub const READER: &str = "paula@mail.example";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

pub struct World {
    pub sealpost: Sealpost,
    pub front: Postfix,
    pub behind: Postfix,
    submission: u16,
    pub postgres: Option<Postgres>,
    pub scratch: Scratch,
}

impl World {
    pub async fn start(database: Database) -> Self {
        Self::with(database, "").await
    }

    /// With more lines of configuration.
    pub async fn with(database: Database, more: &str) -> Self {
        Self::set_up(database, |setup, _| setup.more = more.to_owned()).await
    }

    /// With another set-up.
    pub async fn set_up(database: Database, change: impl FnOnce(&mut Setup, &Scratch)) -> Self {
        let scratch = Scratch::new();
        let (submission, back) = front_ports();
        let outside = ports::free();
        let mut setup = Setup::between(back, outside);
        change(&mut setup, &scratch);
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(Postgres::start(&scratch).await),
        };
        if let Some(postgres) = &postgres {
            setup.store = shared(postgres);
        }
        let front = Postfix::front(
            &scratch,
            Front { submission, back, sealpost: Some(setup.smtp), returns: Some(setup.returns), beyond: outside },
        )
        .await;
        let behind =
            Postfix::behind(&scratch, Behind { port: outside, returns: Some(setup.returns), home: Some(back) }).await;
        let sealpost = Sealpost::start(&scratch, setup).await;
        if let Some(postgres) = &postgres {
            let connected = "select distinct usename from pg_stat_activity where datname = 'sealpost' and usename <> 'postgres' order by 1";
            let roles = postgres.psql("sealpost", connected);
            assert_eq!(roles.lines().collect::<Vec<_>>(), ["sealpost", "sealpost_portal"], "each door has its role");
            assert!(!sealpost.log().contains("could write the gateway's tables"));
        }
        Self { sealpost, front, behind, submission, postgres, scratch }
    }

    /// Somebody inside sends a mail through the organisation's server.
    pub async fn submit(&self, from: &str, to: &[&str], message: &[u8]) {
        let outcome = smtp::send(self.submission, from, to, message).await;
        assert!(outcome.accepted(), "Postfix did not take the mail: {outcome:?}");
    }

    /// What arrived outside.
    pub async fn outside(&self, recipient: &str, wanted: impl Fn(&Mail) -> bool) -> Mail {
        self.behind.maildir().wait_for(recipient, MAIL, wanted).await
    }

    /// What arrived in a mailbox of the organisation.
    pub async fn inside(&self, recipient: &str, wanted: impl Fn(&Mail) -> bool) -> Mail {
        self.front.maildir().wait_for(recipient, MAIL, wanted).await
    }

    /// Everything that lies below the state directory, and all logs.
    pub fn everything_stored(&self) -> Vec<u8> {
        let mut all = self.sealpost.log().into_bytes();
        read_all(&self.sealpost.state(), &mut all);
        all
    }
}

/// One database, a schema for each store, a role for each door.
pub fn shared(postgres: &Postgres) -> Store {
    postgres.create_roles_apart();
    let [gateway, portal] = ["sealpost", "sealpost_portal"].map(|role| postgres.url(role, "sealpost"));
    Store::Postgres { vault: gateway.clone(), gateway, portal, role: "sealpost_portal".to_owned() }
}

fn read_all(directory: &std::path::Path, all: &mut Vec<u8>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        all.extend_from_slice(entry.file_name().as_encoded_bytes());
        let path = entry.path();
        if path.is_dir() {
            read_all(&path, all);
        } else {
            all.extend(std::fs::read(&path).unwrap_or_default());
        }
    }
}

pub fn contains(haystack: &[u8], needle: &str) -> bool {
    memchr_find(haystack, needle.as_bytes())
}

fn memchr_find(haystack: &[u8], needle: &[u8]) -> bool {
    assert!(needle.len() >= 6, "too short to be looked for");
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// A mail as a mail program writes it, with an enclosure.
pub fn letter(subject: &str, to: &str, text: &str, enclosure: (&str, &[u8])) -> Vec<u8> {
    let (name, bytes) = enclosure;
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let lines: Vec<&str> = encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!(
        "From: \"Dr. Anna Weber\" <{SENDER}>\r\nTo: {to}\r\nSubject: {subject}\r\nDate: Tue, 24 Nov 2026 10:00:00 +0100\r\n\
         Message-ID: <first-{}@klinik.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"mix\"\r\n\r\n\
         --mix\r\nContent-Type: multipart/alternative; boundary=\"alt\"\r\n\r\n\
         --alt\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n\
         --alt\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>{text}</p><script>window.top.document.title='pwned'</script>\
         <img src=\"http://tracker.example/pixel.gif\" alt=\"\">\r\n--alt--\r\n\
         --mix\r\nContent-Type: application/pdf; name=\"{name}\"\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n--mix--\r\n",
        text.len(),
        lines.join("\r\n"),
    )
    .into_bytes()
}

/// The link in a notification, with its secret.
pub fn link_in(notification: &Mail) -> String {
    let link = address_in(notification);
    assert!(link.contains('#'), "{link}");
    link
}

/// The link in a notification, whether or not there is a secret in it.
pub fn address_in(notification: &Mail) -> String {
    let text = notification.text();
    let start = text.find("http://localhost:").expect("a link in the notification");
    let link: String = text[start..].chars().take_while(|c| !c.is_whitespace()).collect();
    assert!(link.contains("/p/"), "{link}");
    link
}

/// The code in a code mail: the first eight digits that stand together or in two groups of four.
pub fn code_in(mail: &Mail) -> String {
    find_code(mail).unwrap_or_else(|| panic!("no code in: {}", mail.text()))
}

fn find_code(mail: &Mail) -> Option<String> {
    mail.text().lines().find_map(|line| {
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        let only = line.trim().chars().all(|c| c.is_ascii_digit() || c == ' ');
        (digits.len() == 8 && only).then_some(digits)
    })
}

pub fn is_notification(mail: &Mail) -> bool {
    mail.text().contains("/p/")
}

pub fn is_code(mail: &Mail) -> bool {
    !is_notification(mail) && mail.header("Auto-Submitted").is_some() && find_code(mail).is_some()
}
