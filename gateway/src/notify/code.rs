//! The code mail: eight digits that prove who owns the mailbox.
//!
//! Security: the code isn't in the subject, which lock screens show and mail servers log.

use sealpost_texts::Language;
use sealpost_vault::address::EmailAddress;
use sealpost_vault::clock::Time;

use super::words::{Words, triple};
use super::{Author, ComposeError, Heading, Letterhead};

/// What a code mail says.
pub struct Code<'a> {
    pub to: &'a EmailAddress,
    /// Eight digits.
    pub code: &'a str,
    /// How long it is valid.
    pub minutes: u32,
    pub language: Language,
    /// Without angle brackets.
    pub message_id: &'a str,
}

triple!(render, "mail/code.subject.txt", "mail/code.txt", "mail/code.html");

/// The mail with the code.
pub fn code(head: &Letterhead, facts: &Code<'_>, now: Time) -> Result<Vec<u8>, ComposeError> {
    let digits: String = facts.code.chars().filter(char::is_ascii_digit).take(16).collect();
    let (first, second) = digits.split_at_checked(digits.len() / 2).unwrap_or((&digits, ""));
    let words = Words::new(&head.organisation, facts.language)
        .fact("code-first", first)
        .fact("code-second", second)
        .fact("minutes", facts.minutes.to_string());
    let triple = render(&words)?;
    Heading {
        author: Author::Machine,
        name: words.value("organisation"),
        from: &head.from,
        to: facts.to,
        subject: triple.subject.clone(),
        message_id: facts.message_id,
        in_reply_to: None,
        references: &[],
        language: facts.language,
        now,
    }
    .alternative(&triple)
}
