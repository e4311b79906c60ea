//! The order of a conversation: what may be said after what, and what a transaction has gathered. No I/O.
//!
//! Standards: RFC 5321 3.3 and 4.1.4, RFC 1870 6 (SIZE is checked before the data).

use std::collections::HashSet;

use sealpost_vault::{EmailAddress, Identity};

use super::command::{ForwardPath, Mail, Recipient};
use super::settings::Settings;
use crate::{Charset, Envelope, RecipientDsn, Rejection, ReversePath};

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
    /// Some of the message's pieces have come (RFC 3030), and the last one hasn't.
    Receiving,
}

/// A mail transaction that isn't complete.
#[derive(Debug)]
pub(super) struct Transaction {
    envelope: Envelope,
    /// One mailbox gets one copy, however often and in whatever spelling it is named.
    named: HashSet<Identity>,
    /// How often a recipient was named, taken or not.
    asked: usize,
}

/// A recipient that the order of things allows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    New(EmailAddress, RecipientDsn),
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
        if !matches!(self, Self::Fresh) {
            *self = Self::Greeted;
        }
    }

    /// Where the message of an open transaction comes from.
    pub fn from(&self) -> Option<&ReversePath> {
        match self {
            Self::Open(transaction) => Some(&transaction.envelope.reverse_path),
            Self::Fresh | Self::Greeted | Self::Receiving => None,
        }
    }

    /// MAIL.
    pub fn open(&mut self, mail: Mail, settings: &Settings) -> Result<(), Rejection> {
        match self {
            Self::Fresh => return Err(Rejection::NO_GREETING),
            Self::Open(_) | Self::Receiving => return Err(Rejection::BAD_SEQUENCE),
            Self::Greeted => {}
        }
        if mail.size.is_some_and(|size| usize::try_from(size).map_or(true, |size| size > settings.max_size)) {
            return Err(Rejection::TOO_LARGE);
        }
        *self = Self::Open(Transaction { envelope: mail.envelope(), named: HashSet::new(), asked: 0 });
        Ok(())
    }

    /// AUTH and XCLIENT: only between transactions.
    pub fn between(&self) -> Result<(), Rejection> {
        match self {
            Self::Fresh => Err(Rejection::NO_GREETING),
            Self::Greeted => Ok(()),
            Self::Open(_) | Self::Receiving => Err(Rejection::BAD_SEQUENCE),
        }
    }

    /// RCPT: where the message comes from, and the recipient to ask about.
    pub fn candidate(
        &mut self,
        recipient: Recipient,
        settings: &Settings,
    ) -> Result<(&ReversePath, Candidate), Rejection> {
        let Transaction { envelope, named, asked } = match self {
            Self::Fresh => return Err(Rejection::NO_GREETING),
            Self::Greeted | Self::Receiving => return Err(Rejection::BAD_SEQUENCE),
            Self::Open(transaction) => transaction,
        };
        *asked = asked.saturating_add(1);
        if recipient.charset == Charset::Utf8 && envelope.charset == Charset::Ascii {
            return Err(Rejection::NON_ASCII);
        }
        let address = match recipient.path {
            ForwardPath::Mailbox(address) => address,
            ForwardPath::Postmaster => {
                format!("postmaster@{}", settings.hostname).parse().map_err(|_| Rejection::RECIPIENT_ADDRESS)?
            }
        };
        if named.contains(&address.identity()) {
            return Ok((&envelope.reverse_path, Candidate::Repeated));
        }
        if envelope.recipients.len() >= settings.max_recipients {
            return Err(Rejection::TOO_MANY_RECIPIENTS);
        }
        Ok((&envelope.reverse_path, Candidate::New(address, recipient.dsn)))
    }

    /// Whether far more recipients were named than a message may have: a client that heeds no answer.
    pub fn is_flooded(&self, settings: &Settings) -> bool {
        matches!(self, Self::Open(transaction) if transaction.asked > settings.max_recipients.saturating_mul(2))
    }

    /// Adds a recipient that was accepted.
    pub fn add(&mut self, recipient: EmailAddress, dsn: RecipientDsn) {
        if let Self::Open(Transaction { envelope, named, .. }) = self
            && named.insert(recipient.identity())
        {
            envelope.dsn.set(&recipient, dsn);
            envelope.recipients.push(recipient);
        }
    }

    /// DATA: the envelope is complete, and this transaction over, however the data turns out.
    pub fn close(&mut self) -> Result<Envelope, Rejection> {
        self.complete(Self::Greeted)
    }

    /// The first BDAT: the envelope is complete; [`Dialogue::reset`] ends the transaction.
    pub fn begin_pieces(&mut self) -> Result<Envelope, Rejection> {
        self.complete(Self::Receiving)
    }

    fn complete(&mut self, next: Self) -> Result<Envelope, Rejection> {
        match std::mem::take(self) {
            Self::Fresh => Err(Rejection::NO_GREETING),
            Self::Greeted => {
                *self = Self::Greeted;
                Err(Rejection::BAD_SEQUENCE)
            }
            Self::Receiving => {
                *self = Self::Receiving;
                Err(Rejection::BAD_SEQUENCE)
            }
            Self::Open(transaction) if transaction.envelope.recipients.is_empty() => {
                *self = Self::Open(transaction);
                Err(Rejection::NO_RECIPIENTS)
            }
            Self::Open(transaction) => {
                *self = next;
                Ok(transaction.envelope)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BodyType;

    fn mail(size: Option<u64>) -> Mail {
        Mail {
            from: ReversePath::Null,
            body: BodyType::EightBitMime,
            size,
            charset: Charset::Ascii,
            ret: None,
            envid: None,
        }
    }

    fn to(address: &str) -> Recipient {
        recipient(ForwardPath::Mailbox(address.parse().unwrap()))
    }

    fn recipient(path: ForwardPath) -> Recipient {
        Recipient { path, charset: Charset::Ascii, dsn: RecipientDsn::default() }
    }

    fn add(dialogue: &mut Dialogue, address: &str) {
        dialogue.add(address.parse().unwrap(), RecipientDsn::default());
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
        add(&mut dialogue, "Anna@x.example");
        let repeated = dialogue.candidate(to("anna@X.example"), &settings).unwrap().1;
        assert_eq!(repeated, Candidate::Repeated);
        add(&mut dialogue, "anna@x.example");
        add(&mut dialogue, "b@x.example");
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
        let expected = Candidate::New("postmaster@gateway.example".parse().unwrap(), RecipientDsn::default());
        assert_eq!(dialogue.candidate(recipient(ForwardPath::Postmaster), &settings).unwrap().1, expected);
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
        add(&mut dialogue, "a@x.example");
        dialogue.reset();
        assert_eq!(dialogue.close(), Err(Rejection::BAD_SEQUENCE));
        dialogue.open(mail(None), &settings).unwrap();
        dialogue.greet();
        assert_eq!(dialogue.close(), Err(Rejection::BAD_SEQUENCE));
    }

    #[test]
    fn pieces_are_a_state_of_their_own() {
        let settings = Settings::default();
        let mut dialogue = Dialogue::Greeted;
        assert_eq!(dialogue.begin_pieces(), Err(Rejection::BAD_SEQUENCE));
        dialogue.open(mail(None), &settings).unwrap();
        assert_eq!(dialogue.begin_pieces(), Err(Rejection::NO_RECIPIENTS));
        add(&mut dialogue, "a@x.example");
        dialogue.begin_pieces().unwrap();
        assert_eq!(dialogue.begin_pieces(), Err(Rejection::BAD_SEQUENCE));
        assert_eq!(dialogue.close(), Err(Rejection::BAD_SEQUENCE));
        assert_eq!(dialogue.open(mail(None), &settings), Err(Rejection::BAD_SEQUENCE));
        assert_eq!(dialogue.candidate(to("b@x.example"), &settings).unwrap_err(), Rejection::BAD_SEQUENCE);
        assert_eq!(dialogue.between(), Err(Rejection::BAD_SEQUENCE));
        dialogue.reset();
        assert_eq!(dialogue.between(), Ok(()));
    }

    #[test]
    fn more_than_ascii_needs_to_be_announced() {
        let settings = Settings::default();
        let foreign = || Recipient { charset: Charset::Utf8, ..to("ä@x.example") };
        let mut dialogue = Dialogue::Greeted;
        dialogue.open(mail(None), &settings).unwrap();
        assert_eq!(dialogue.candidate(foreign(), &settings).unwrap_err(), Rejection::NON_ASCII);
        dialogue.reset();
        dialogue.open(Mail { charset: Charset::Utf8, ..mail(None) }, &settings).unwrap();
        assert!(matches!(dialogue.candidate(foreign(), &settings), Ok((_, Candidate::New(..)))));
    }
}
