//! Reports: what became of a letter, told to its sender; what waits for help, told to the postmaster.
//!
//! Security: they carry neither link nor subject. A mail server's reply is text from outside: one line, bounded, escaped.

use sealpost_texts::Language;
use sealpost_vault::address::EmailAddress;
use sealpost_vault::clock::Time;
use sealpost_vault::id::QueueId;

use super::words::{Triple, Words, triple};
use super::{ComposeError, Heading, Letterhead, header};

/// The letter that a report is about, as its sender knows it.
pub struct Original<'a> {
    /// Who gets the report.
    pub sender: &'a EmailAddress,
    pub recipient: &'a EmailAddress,
    pub sent_at: Time,
    /// Ids without angle brackets.
    pub message_id: Option<&'a str>,
    pub references: &'a [String],
}

triple!(render_undelivered, "mail/undelivered.subject.txt", "mail/undelivered.txt", "mail/undelivered.html");
triple!(render_stuck, "mail/stuck.subject.txt", "mail/stuck.txt", "mail/stuck.html");
triple!(render_unsent, "mail/unsent.subject.txt", "mail/unsent.txt", "mail/unsent.html");
triple!(render_expired, "mail/expired.subject.txt", "mail/expired.txt", "mail/expired.html");

// RFC 5321 4.5.3.1.5 gives a reply line 512 octets; replies of several lines are told in part.
const REPLY: usize = 600;

/// The notification of a letter could not be delivered.
pub fn undelivered(
    head: &Letterhead,
    original: &Original<'_>,
    reply: &str,
    message_id: &str,
    language: Language,
    now: Time,
) -> Result<Vec<u8>, ComposeError> {
    let words = about(head, original, language).fact("reply", header::line(reply, REPLY));
    let triple = render_undelivered(&words)?;
    to_sender(head, original, &words, &triple, message_id, language, now)
}

/// A letter expired unread and was destroyed.
pub fn expired(
    head: &Letterhead,
    original: &Original<'_>,
    message_id: &str,
    language: Language,
    now: Time,
) -> Result<Vec<u8>, ComposeError> {
    let words = about(head, original, language);
    let triple = render_expired(&words)?;
    to_sender(head, original, &words, &triple, message_id, language, now)
}

/// A message was not sent: the recipient's OpenPGP key stopped being usable after it was accepted.
pub fn unsent(
    head: &Letterhead,
    original: &Original<'_>,
    message_id: &str,
    language: Language,
    now: Time,
) -> Result<Vec<u8>, ComposeError> {
    let words = about(head, original, language);
    let triple = render_unsent(&words)?;
    to_sender(head, original, &words, &triple, message_id, language, now)
}

/// To the postmaster: an accepted message can't be sealed or passed on, and waits in the spool.
pub fn stuck(
    head: &Letterhead,
    postmaster: &EmailAddress,
    queue_id: QueueId,
    message_id: &str,
    language: Language,
    now: Time,
) -> Result<Vec<u8>, ComposeError> {
    let words = Words::new(&head.organisation, language).fact("queue-id", queue_id.to_string());
    let triple = render_stuck(&words)?;
    Heading::of_machine(head, &words, &triple, postmaster, message_id, language, now).alternative(&triple)
}

fn about(head: &Letterhead, original: &Original<'_>, language: Language) -> Words {
    let words = Words::new(&head.organisation, language);
    let date = words.date(original.sent_at);
    words
        .fact("recipient", original.recipient.to_string())
        .fact("date", date)
        .fact("message-id", original.message_id.and_then(header::id).unwrap_or_default())
}

fn to_sender(
    head: &Letterhead,
    original: &Original<'_>,
    words: &Words,
    triple: &Triple,
    message_id: &str,
    language: Language,
    now: Time,
) -> Result<Vec<u8>, ComposeError> {
    Heading {
        in_reply_to: original.message_id,
        references: original.references,
        ..Heading::of_machine(head, words, triple, original.sender, message_id, language, now)
    }
    .alternative(triple)
}
