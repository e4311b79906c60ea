//! The notification: tells a reader that a letter waits, and how to see that this mail is genuine.
//!
//! Security: says nothing of the letter but who wrote it. The link's secret is in its fragment; no address is in it. To a
//! reader who enrolled, the mail carries no secret at all.

use sealpost_texts::Language;
use sealpost_vault::address::EmailAddress;
use sealpost_vault::clock::Time;

use super::words::{Words, triple};
use super::{ComposeError, Heading, Letterhead, header};

/// What a notification says.
pub struct Notification<'a> {
    /// As in From of the letter; may be empty.
    pub sender_name: &'a str,
    pub sender: &'a EmailAddress,
    pub to: &'a EmailAddress,
    pub opening: Opening<'a>,
    pub expires_at: Time,
    pub language: Language,
    pub follow_up: FollowUp,
    /// Without angle brackets.
    pub message_id: &'a str,
}

/// How the letter is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening<'a> {
    /// With the link. `link` is pickup and link secret, the whole URL; `pickup_code` the link secret to type, in groups of four.
    Link { link: &'a str, pickup_code: &'a str },
    /// With the reader's account. `link` is the pickup's URL, without any secret.
    Account { link: &'a str },
}

/// Whether the reader knows the conversation already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowUp {
    First,
    Again,
}

triple!(first, "mail/notification.subject.txt", "mail/notification.txt", "mail/notification.html");
triple!(straight, "mail/straight.subject.txt", "mail/straight.txt", "mail/straight.html");
triple!(again, "mail/follow_up.subject.txt", "mail/follow_up.txt", "mail/follow_up.html");

/// The mail with the link.
pub fn notification(head: &Letterhead, facts: &Notification<'_>, now: Time) -> Result<Vec<u8>, ComposeError> {
    let words = Words::new(&head.organisation, facts.language);
    let address = facts.sender.to_string();
    let name = header::person(facts.sender_name);
    let sender = name.as_ref().map_or_else(|| address.clone(), |name| format!("{name} ({address})"));
    let expires = words.date(facts.expires_at);
    let words = words
        .fact("sender", sender)
        .fact("sender-name", name.clone().unwrap_or_default())
        .fact("sender-address", address)
        .fact("date", expires);
    let (words, triple) = match (facts.opening, facts.follow_up) {
        (Opening::Account { link }, _) => {
            let words = words.fact("link", link);
            let triple = straight(&words)?;
            (words, triple)
        }
        (Opening::Link { link, pickup_code }, follow_up) => {
            let words = words.fact("link", link).fact("pickup-code", header::line(pickup_code, 80));
            let triple = match follow_up {
                FollowUp::First => first(&words)?,
                FollowUp::Again => again(&words)?,
            };
            (words, triple)
        }
    };
    let from_name = if name.is_some() { words.say("mail-notification-from") } else { words.value("organisation") };
    Heading {
        name: from_name,
        ..Heading::of_machine(head, &words, &triple, facts.to, facts.message_id, facts.language, now)
    }
    .alternative(&triple)
}
