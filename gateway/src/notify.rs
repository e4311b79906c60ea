//! Every mail that Sealpost writes itself: notification and code to the reader, answer and reports to the staff.
//!
//! Each mail is a triple in `templates/mail/` (subject, text, HTML) that holds no sentence of its own: all of them come
//! from [`sealpost_texts`]. lettre's builder makes the MIME frame; `header` makes every header value that carries
//! something from outside. Envelopes and sending are the queue's business.
//!
//! Security: no mail names the letter's subject except the answer, which goes to the sender's own mailbox. What comes
//! from outside is one clean line in a header and escaped data in HTML. HTML mails load nothing and run nothing.
//! Standards: RFC 5322, RFC 2045-2047, RFC 2231, RFC 3834 (Auto-Submitted).

mod account;
mod answer;
mod code;
mod header;
mod notification;
mod passphrase;
mod report;
mod words;

#[cfg(test)]
mod tests;

pub use account::{Account, News, account};
pub use answer::{Answer, Assurance, Scan, answer};
pub use code::{CodeFor, code};
pub use notification::{FollowUp, Notification, Opening, notification};
pub use passphrase::passphrase_changed;
pub use report::{Original, expired, stuck, undelivered, unsent};

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, Date};
use lettre::message::{Body, Message, MessageBuilder, MultiPart, MultiPartKind, SinglePart};
use sealpost_texts::{Language, Organisation};
use sealpost_vault::address::EmailAddress;
use sealpost_vault::clock::Time;

use words::{Triple, Words};

/// Whose mails these are.
#[derive(Clone, Debug)]
pub struct Letterhead {
    pub organisation: Organisation,
    /// The address that our mails come from.
    pub from: EmailAddress,
    /// Name of the machine that mails come from, as in Message-ID.
    pub hostname: String,
}

impl Letterhead {
    /// A Message-ID, without angle brackets, from an id that occurs once only.
    pub fn message_id(&self, unique: &str) -> String {
        format!("{unique}@{}", self.hostname)
    }
}

/// Why a mail could not be composed. Never carries content.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    #[error("a template of a mail doesn't render")]
    Template(#[from] askama::Error),
    #[error("the address that mails come from is none that a From field can carry")]
    From(#[from] lettre::address::AddressError),
    #[error("the Message-ID is not well-formed")]
    MessageId,
    #[error("a part of the mail can't be encoded")]
    Encoding,
    #[error("the mail's frame can't be built")]
    Frame(#[from] lettre::error::Error),
}

/// Who wrote a mail: tells vacation responders and mailing lists what to leave alone.
#[derive(Clone, Copy)]
enum Author {
    Machine,
    Person,
}

/// The fields that stand above every mail.
struct Heading<'a> {
    author: Author,
    name: String,
    from: &'a EmailAddress,
    to: &'a EmailAddress,
    subject: String,
    message_id: &'a str,
    in_reply_to: Option<&'a str>,
    references: &'a [String],
    language: Language,
    now: Time,
}

impl<'a> Heading<'a> {
    /// Of a mail that the organisation's machine writes, and that answers none.
    fn of_machine(
        head: &'a Letterhead,
        words: &Words,
        triple: &Triple,
        to: &'a EmailAddress,
        message_id: &'a str,
        language: Language,
        now: Time,
    ) -> Self {
        Self {
            author: Author::Machine,
            name: words.value("organisation"),
            from: &head.from,
            to,
            subject: triple.subject.clone(),
            message_id,
            in_reply_to: None,
            references: &[],
            language,
            now,
        }
    }

    fn builder(&self) -> Result<MessageBuilder, ComposeError> {
        let from: lettre::Address = self.from.to_string().parse()?;
        // lettre wants an envelope and would derive it from header fields; only the queue's counts.
        let envelope = Envelope::new(None, vec![from])?;
        let id = header::id(self.message_id).ok_or(ComposeError::MessageId)?;
        let mut builder = Message::builder()
            .envelope(envelope)
            .header(Date::new(moment(self.now)))
            .raw_header(header::mailbox("From", &self.name, self.from))
            .raw_header(header::mailbox("To", "", self.to))
            .raw_header(header::text("Subject", &self.subject))
            .raw_header(header::plain("Message-ID", &id));
        if let Some(parent) = self.in_reply_to.and_then(header::id) {
            builder = builder.raw_header(header::plain("In-Reply-To", &parent));
        }
        if let Some(references) = header::references(self.references, self.in_reply_to) {
            builder = builder.raw_header(references);
        }
        Ok(match self.author {
            Author::Person => builder,
            // The second field is what Exchange heeds; `DR` and `NDR` stay out of it, because bounces are wanted.
            Author::Machine => builder
                .raw_header(header::plain("Content-Language", self.language.code()))
                .raw_header(header::plain("Auto-Submitted", "auto-generated"))
                .raw_header(header::plain("X-Auto-Response-Suppress", "OOF, AutoReply, RN, NRN")),
        })
    }

    /// The whole mail: text and HTML that say the same.
    fn alternative(&self, triple: &Triple) -> Result<Vec<u8>, ComposeError> {
        let parts = multipart(MultiPartKind::Alternative)
            .singlepart(text_part(&triple.text, ContentType::TEXT_PLAIN)?)
            .singlepart(text_part(&triple.html, ContentType::TEXT_HTML)?);
        Ok(self.builder()?.multipart(parts)?.formatted())
    }
}

/// A multipart whose boundary can't occur in it: all our parts are quoted-printable or base64, and neither writes `=_`.
fn multipart(kind: MultiPartKind) -> MultiPart {
    MultiPart::builder().kind(kind).boundary("=_sealpost").build()
}

// RFC 2045 6.7: quoted-printable carries any line length, trailing blanks and controls unharmed.
fn text_part(text: &str, content_type: ContentType) -> Result<SinglePart, ComposeError> {
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    encoded(lines, ContentTransferEncoding::QuotedPrintable)
        .map(|body| SinglePart::builder().header(content_type).body(body))
}

fn encoded(
    content: impl Into<lettre::message::MaybeString>,
    encoding: ContentTransferEncoding,
) -> Result<Body, ComposeError> {
    Body::new_with_encoding(content, encoding).map_err(|_| ComposeError::Encoding)
}

// A date that a Date field can carry: years 1970 to 9999.
fn moment(now: Time) -> SystemTime {
    const LAST: u64 = 253_402_300_799;
    UNIX_EPOCH + Duration::from_secs(u64::try_from(now).unwrap_or_default().min(LAST))
}
