//! Mails about a reader's key: to the reader, that an account was made; to those who write to the reader, that a key came,
//! changed or went.
//!
//! Security: who takes over a mailbox can make an account in its owner's name. These mails are how the owner and the senders
//! get to know; the fingerprint in them can be compared by telephone.

use sealpost_texts::Language;
use sealpost_vault::address::{EmailAddress, Identity};
use sealpost_vault::clock::Time;

use super::words::{Words, triple};
use super::{ComposeError, Heading, Letterhead, header};

/// What happened to a reader's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// To the reader: an account was made.
    Made,
    /// To the reader: the administration took the account away.
    Ended,
    /// To a sender: the reader enrolled a key.
    Enrolled,
    /// To a sender: the reader's key is another one than before.
    Changed,
    /// To a sender: the administration took the reader's key away.
    Reset,
}

/// What such a mail says.
pub struct Account<'a> {
    pub news: News,
    pub to: &'a EmailAddress,
    pub reader: &'a Identity,
    /// Upper-case hexadecimal; empty where there is no key any more.
    pub fingerprint: &'a str,
    /// Whom to write to if something is wrong.
    pub contact: &'a EmailAddress,
    pub at: Time,
    pub language: Language,
    /// Without angle brackets.
    pub message_id: &'a str,
}

struct Keys {
    subject: &'static str,
    title: &'static str,
    intro: &'static str,
    next: &'static str,
}

impl News {
    fn keys(self) -> Keys {
        match self {
            Self::Made => Keys {
                subject: "mail-account-made-subject",
                title: "mail-account-made-title",
                intro: "mail-account-made-intro",
                next: "mail-account-made-next",
            },
            Self::Ended => Keys {
                subject: "mail-account-ended-subject",
                title: "mail-account-ended-title",
                intro: "mail-account-ended-intro",
                next: "mail-account-ended-next",
            },
            Self::Enrolled => Keys {
                subject: "mail-account-enrolled-subject",
                title: "mail-account-enrolled-title",
                intro: "mail-account-enrolled-intro",
                next: "mail-account-enrolled-next",
            },
            Self::Changed => Keys {
                subject: "mail-account-changed-subject",
                title: "mail-account-changed-title",
                intro: "mail-account-changed-intro",
                next: "mail-account-changed-next",
            },
            Self::Reset => Keys {
                subject: "mail-account-reset-subject",
                title: "mail-account-reset-title",
                intro: "mail-account-reset-intro",
                next: "mail-account-reset-next",
            },
        }
    }
}

triple!(render, "mail/account.subject.txt", "mail/account.txt", "mail/account.html");

/// The mail.
pub fn account(head: &Letterhead, facts: &Account<'_>, now: Time) -> Result<Vec<u8>, ComposeError> {
    let keys = facts.news.keys();
    let words = Words::new(&head.organisation, facts.language)
        .fact("reader", header::shown_address(facts.reader.as_str()))
        .fact("contact", facts.contact.to_string())
        .fact("fingerprint", in_groups(facts.fingerprint));
    let date = words.date(facts.at);
    let words = words.fact("date", date);
    let said = |key| words.say(key);
    let (subject, title, intro, next) = (said(keys.subject), said(keys.title), said(keys.intro), said(keys.next));
    let words = words.fact("subject", subject).fact("title", title).fact("intro", intro).fact("next", next);
    let triple = render(&words)?;
    Heading::of_machine(head, &words, &triple, facts.to, facts.message_id, facts.language, now).alternative(&triple)
}

/// Four digits at a time, to be read aloud.
fn in_groups(fingerprint: &str) -> String {
    let digits: Vec<char> = fingerprint.chars().collect();
    digits.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}
