//! The notification: tells a reader that a letter waits, and how to see that this mail is genuine.
//!
//! Security: says nothing of the letter but who wrote it. The link's secret is in its fragment; no address is in it.

use sealpost_texts::Language;
use sealpost_vault::address::EmailAddress;
use sealpost_vault::clock::Time;

use super::words::{Words, triple};
use super::{Author, ComposeError, Heading, Letterhead, header};

/// What a notification says.
pub struct Notification<'a> {
    /// As in From of the letter; may be empty.
    pub sender_name: &'a str,
    pub sender: &'a EmailAddress,
    pub to: &'a EmailAddress,
    /// Pickup and link secret, the whole URL.
    pub link: &'a str,
    /// The link secret to type, in groups of four.
    pub pickup_code: &'a str,
    pub expires_at: Time,
    pub language: Language,
    pub follow_up: FollowUp,
    /// Without angle brackets.
    pub message_id: &'a str,
}

/// Whether the reader knows the conversation already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowUp {
    First,
    Again,
}

triple!(first, "mail/notification.subject.txt", "mail/notification.txt", "mail/notification.html");
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
        .fact("link", facts.link)
        .fact("pickup-code", header::line(facts.pickup_code, 80))
        .fact("date", expires);
    let triple = match facts.follow_up {
        FollowUp::First => first(&words)?,
        FollowUp::Again => again(&words)?,
    };
    let from_name = if name.is_some() { words.say("mail-notification-from") } else { words.value("organisation") };
    Heading {
        author: Author::Machine,
        name: from_name,
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
