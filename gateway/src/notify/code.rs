//! The code mail: eight digits that prove who owns the mailbox.
//!
//! Security: the code isn't in the subject, which lock screens show and mail servers log.

use sealpost_texts::Language;
use sealpost_vault::address::EmailAddress;
use sealpost_vault::clock::Time;

use super::words::{Words, triple};
use super::{ComposeError, Heading, Letterhead};

triple!(render, "mail/code.subject.txt", "mail/code.txt", "mail/code.html");

/// What a code opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeFor {
    Letter,
    /// For whoever forgot a passphrase, or must show that the mailbox is theirs before trying once more.
    Account,
}

#[expect(clippy::too_many_arguments, reason = "each is a fact of the mail")]
/// The mail with the code: eight digits, valid for some minutes. The Message-ID comes without angle brackets.
pub fn code(
    head: &Letterhead,
    to: &EmailAddress,
    code: &str,
    what: CodeFor,
    minutes: u32,
    language: Language,
    message_id: &str,
    now: Time,
) -> Result<Vec<u8>, ComposeError> {
    let digits: String = code.chars().filter(char::is_ascii_digit).take(16).collect();
    let (first, second) = digits.split_at_checked(digits.len() / 2).unwrap_or((&digits, ""));
    let words = Words::new(&head.organisation, language)
        .fact("code-first", first)
        .fact("code-second", second)
        .fact("minutes", minutes.to_string());
    let (intro, ignore) = match what {
        CodeFor::Letter => ("mail-code-intro", "mail-code-ignore"),
        CodeFor::Account => ("mail-code-account-intro", "mail-code-account-ignore"),
    };
    let (intro, ignore) = (words.say(intro), words.say(ignore));
    let words = words.fact("intro", intro).fact("ignore", ignore);
    let triple = render(&words)?;
    Heading::of_machine(head, &words, &triple, to, message_id, language, now).alternative(&triple)
}
