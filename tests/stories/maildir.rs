//! A real mailbox: the Maildir into which a Postfix instance delivers, read with a MIME parser.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mail_parser::{Message, MessageParser};

use crate::patience::until;

/// One Maildir for everybody at an instance; who a mail is for stands in its `Delivered-To`.
#[derive(Clone, Debug)]
pub struct Maildir {
    directory: PathBuf,
}

#[derive(Clone, Debug)]
pub struct Mail {
    pub bytes: Vec<u8>,
}

impl Mail {
    pub fn parsed(&self) -> Message<'_> {
        MessageParser::default().parse(&self.bytes).expect("a mail that parses")
    }

    /// The first header field of this name, unfolded as it stands.
    pub fn header(&self, name: &str) -> Option<String> {
        let parsed = self.parsed();
        parsed.header_raw(name).map(|value| value.trim().to_owned())
    }

    /// The envelope recipient, written by the delivery agent.
    pub fn delivered_to(&self) -> String {
        self.header("Delivered-To").unwrap_or_default()
    }

    /// The envelope sender without its angle brackets, written by the delivery agent; empty for bounces.
    pub fn return_path(&self) -> String {
        self.header("Return-Path").unwrap_or_default().trim_matches(['<', '>']).to_owned()
    }

    pub fn subject(&self) -> String {
        self.parsed().subject().unwrap_or_default().to_owned()
    }

    /// The plain text body.
    pub fn text(&self) -> String {
        self.parsed().body_text(0).unwrap_or_default().into_owned()
    }
}

impl Maildir {
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Everything delivered so far, oldest first.
    pub fn all(&self) -> Vec<Mail> {
        let Ok(entries) = fs::read_dir(self.directory.join("new")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort_by_key(|path| (fs::metadata(path).unwrap().modified().unwrap(), path.clone()));
        paths.iter().map(|path| Mail { bytes: fs::read(path).unwrap() }).collect()
    }

    /// Everything delivered to one envelope recipient, oldest first.
    pub fn of(&self, recipient: &str) -> Vec<Mail> {
        self.all().into_iter().filter(|mail| mail.delivered_to() == recipient).collect()
    }

    /// The first mail to `recipient` that is wanted; panics, naming what is there, when `patience` is over.
    pub async fn wait_for(&self, recipient: &str, patience: Duration, wanted: impl Fn(&Mail) -> bool) -> Mail {
        let found = async || self.of(recipient).into_iter().find(|mail| wanted(mail));
        let waited = tokio::time::timeout(patience, until("a mail", Duration::MAX, found)).await;
        waited.unwrap_or_else(|_| {
            let there: Vec<String> =
                self.all().iter().map(|mail| format!("\n  to {}: {}", mail.delivered_to(), mail.subject())).collect();
            panic!(
                "waited {patience:?} in vain for a mail to {recipient}; there are {}:{}",
                there.len(),
                there.concat()
            )
        })
    }
}
