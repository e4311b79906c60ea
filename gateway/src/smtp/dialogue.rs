//! The order of a conversation: what may be said after what, and what a transaction has gathered. No I/O.
//!
//! Standards: RFC 5321 3.3 and 4.1.4, RFC 1870 6 (SIZE is checked before the data).

use std::collections::HashSet;

use sealpost_vault::{EmailAddress, Identity};

use super::command::{ForwardPath, Mail};
use super::settings::Settings;
use crate::{BodyType, Envelope, Rejection, ReversePath};

/// Where the conversation stands.
#[derive(Debug, Default)]
pub(super) enum Dialogue {
    /// No greeting yet.
    #[default]
    Fresh,
    /// Greeted; no transaction.
    Greeted,
    /// Between MAIL and the end of the data.
    Open(Transaction),
}

/// A mail transaction that isn't complete.
#[derive(Debug)]
pub(super) struct Transaction {
    from: ReversePath,
    body: BodyType,
    recipients: Vec<EmailAddress>,
    /// One mailbox gets one copy, however often and in whatever spelling it is named.
    named: HashSet<Identity>,
}

/// A recipient that the order of things allows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    New(EmailAddress),
    /// Accepted already.
    Repeated,
}

impl Dialogue {
    /// EHLO and HELO forget an open transaction.
    pub fn greet(&mut self) {
        *self = Self::Greeted;
    }

    /// RSET.
    pub fn reset(&mut self) {
        if let Self::Open(_) = self {
            *self = Self::Greeted;
        }
    }

    /// MAIL.
    pub fn open(&mut self, mail: Mail, settings: &Settings) -> Result<(), Rejection> {
        match self {
            Self::Fresh => return Err(Rejection::NO_GREETING),
            Self::Open(_) => return Err(Rejection::BAD_SEQUENCE),
            Self::Greeted => {}
        }
        if mail.size.is_some_and(|size| usize::try_from(size).map_or(true, |size| size > settings.max_size)) {
            return Err(Rejection::TOO_LARGE);
        }
        let Mail { from, body, .. } = mail;
        *self = Self::Open(Transaction { from, body, recipients: Vec::new(), named: HashSet::new() });
        Ok(())
    }

    /// RCPT: where the message comes from, and the recipient to ask about.
    pub fn candidate(&self, path: ForwardPath, settings: &Settings) -> Result<(&ReversePath, Candidate), Rejection> {
        let transaction = match self {
            Self::Fresh => return Err(Rejection::NO_GREETING),
            Self::Greeted => return Err(Rejection::BAD_SEQUENCE),
            Self::Open(transaction) => transaction,
        };
        let address = match path {
            ForwardPath::Mailbox(address) => address,
            ForwardPath::Postmaster => {
                format!("postmaster@{}", settings.hostname).parse().map_err(|_| Rejection::RECIPIENT_ADDRESS)?
            }
        };
        if transaction.named.contains(&address.identity()) {
            return Ok((&transaction.from, Candidate::Repeated));
        }
        if transaction.recipients.len() >= settings.max_recipients {
            return Err(Rejection::TOO_MANY_RECIPIENTS);
        }
        Ok((&transaction.from, Candidate::New(address)))
    }

    /// Adds a recipient that was accepted.
    pub fn add(&mut self, recipient: EmailAddress) {
        if let Self::Open(transaction) = self
            && transaction.named.insert(recipient.identity())
        {
            transaction.recipients.push(recipient);
        }
    }

    /// DATA: the envelope is complete, and this transaction over, however the data turns out.
    pub fn close(&mut self) -> Result<Envelope, Rejection> {
        match std::mem::take(self) {
            Self::Fresh => Err(Rejection::NO_GREETING),
            Self::Greeted => {
                *self = Self::Greeted;
                Err(Rejection::BAD_SEQUENCE)
            }
            Self::Open(transaction) if transaction.recipients.is_empty() => {
                *self = Self::Open(transaction);
                Err(Rejection::NO_RECIPIENTS)
            }
            Self::Open(Transaction { from, body, recipients, .. }) => {
                *self = Self::Greeted;
                Ok(Envelope::plain(from, recipients, body))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(size: Option<u64>) -> Mail {
        Mail { from: ReversePath::Null, body: BodyType::EightBitMime, size }
    }

    fn to(address: &str) -> ForwardPath {
        ForwardPath::Mailbox(address.parse().unwrap())
    }

    #[test]
    fn sizes() {
        let settings = Settings { max_size: 1000, ..Settings::default() };
        for (size, expected) in [
            (None, Ok(())),
            (Some(0), Ok(())),
            (Some(1000), Ok(())),
            (Some(1001), Err(Rejection::TOO_LARGE)),
            (Some(u64::MAX), Err(Rejection::TOO_LARGE)),
        ] {
            let mut dialogue = Dialogue::Greeted;
            assert_eq!(dialogue.open(mail(size), &settings), expected, "{size:?}");
            assert_eq!(matches!(dialogue, Dialogue::Open(_)), expected.is_ok(), "{size:?}");
        }
    }

    #[test]
    fn one_mailbox_is_named_once_and_the_first_spelling_stays() {
        let settings = Settings { max_recipients: 2, ..Settings::default() };
        let mut dialogue = Dialogue::Greeted;
        dialogue.open(mail(None), &settings).unwrap();
        dialogue.add("Anna@x.example".parse().unwrap());
        let repeated = dialogue.candidate(to("anna@X.example"), &settings).unwrap().1;
        assert_eq!(repeated, Candidate::Repeated);
        dialogue.add("anna@x.example".parse().unwrap());
        dialogue.add("b@x.example".parse().unwrap());
        assert_eq!(dialogue.candidate(to("c@x.example"), &settings).unwrap_err(), Rejection::TOO_MANY_RECIPIENTS);
        assert_eq!(dialogue.candidate(to("b@x.example"), &settings).unwrap().1, Candidate::Repeated);
        let envelope = dialogue.close().unwrap();
        let written: Vec<String> = envelope.recipients.iter().map(ToString::to_string).collect();
        assert_eq!(written, ["Anna@x.example", "b@x.example"]);
        assert_eq!(envelope.body, BodyType::EightBitMime);
        assert_eq!(dialogue.close(), Err(Rejection::BAD_SEQUENCE));
    }

    #[test]
    fn postmaster_belongs_to_our_name() {
        let settings = Settings { hostname: "gateway.example".into(), ..Settings::default() };
        let mut dialogue = Dialogue::Greeted;
        dialogue.open(mail(None), &settings).unwrap();
        let expected = Candidate::New("postmaster@gateway.example".parse().unwrap());
        assert_eq!(dialogue.candidate(ForwardPath::Postmaster, &settings).unwrap().1, expected);
    }

    #[test]
    fn order() {
        let settings = Settings::default();
        let mut dialogue = Dialogue::Fresh;
        dialogue.reset();
        assert_eq!(dialogue.open(mail(None), &settings), Err(Rejection::NO_GREETING));
        assert_eq!(dialogue.candidate(to("a@x.example"), &settings).unwrap_err(), Rejection::NO_GREETING);
        assert_eq!(dialogue.close(), Err(Rejection::NO_GREETING));
        dialogue.greet();
        assert_eq!(dialogue.candidate(to("a@x.example"), &settings).unwrap_err(), Rejection::BAD_SEQUENCE);
        assert_eq!(dialogue.close(), Err(Rejection::BAD_SEQUENCE));
        dialogue.open(mail(None), &settings).unwrap();
        assert_eq!(dialogue.open(mail(None), &settings), Err(Rejection::BAD_SEQUENCE));
        assert_eq!(dialogue.close(), Err(Rejection::NO_RECIPIENTS));
        dialogue.add("a@x.example".parse().unwrap());
        dialogue.reset();
        assert_eq!(dialogue.close(), Err(Rejection::BAD_SEQUENCE));
        dialogue.open(mail(None), &settings).unwrap();
        dialogue.greet();
        assert_eq!(dialogue.close(), Err(Rejection::BAD_SEQUENCE));
    }
}
