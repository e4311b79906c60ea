//! To a reader: the account's passphrase was changed. Who didn't do it must hear of it.

use sealpost_texts::Language;
use sealpost_vault::address::EmailAddress;
use sealpost_vault::clock::Time;

use super::words::{Words, triple};
use super::{Author, ComposeError, Heading, Letterhead};

triple!(render, "mail/passphrase.subject.txt", "mail/passphrase.txt", "mail/passphrase.html");

/// The mail. The Message-ID comes without angle brackets.
pub fn passphrase_changed(
    head: &Letterhead,
    to: &EmailAddress,
    language: Language,
    message_id: &str,
    now: Time,
) -> Result<Vec<u8>, ComposeError> {
    let words = Words::new(&head.organisation, language);
    let date = words.date(now);
    let words = words.fact("date", date);
    let triple = render(&words)?;
    Heading {
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
    .alternative(&triple)
}
