//! To a reader: the account's passphrase was changed. Who didn't do it must hear of it.

use sealpost_texts::Language;
use sealpost_vault::address::EmailAddress;
use sealpost_vault::clock::Time;

use super::words::{Words, triple};
use super::{ComposeError, Heading, Letterhead};

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
    Heading::of_machine(head, &words, &triple, to, message_id, language, now).alternative(&triple)
}
