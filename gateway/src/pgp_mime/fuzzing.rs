//! What is fuzzed here: how a message is taken apart before it is encrypted.

use super::fields::Mail;
use crate::message::{Header, Strictness};

/// The body goes inside as it is; outside are fields, none of them with the sender's subject or hidden recipients.
pub(crate) fn fields(bytes: &[u8]) {
    let Ok(mail) = Mail::read(bytes, "boundary") else { return };
    assert!(bytes.ends_with(mail.body), "the body isn't the message's own");
    let whole = [mail.outside.as_slice(), b"\r\n"].concat();
    let outside = Header::read(&whole, Strictness::Message);
    assert!(outside.as_ref().is_ok_and(|header| header.body.is_empty()), "a field outside ends the header");
    let fields = outside.map(|header| header.fields).unwrap_or_default();
    assert!(fields.iter().all(|field| !field.is("Bcc") && !field.is("Content-Type")));
    let subjects = fields.iter().filter(|field| field.is("Subject"));
    assert!(subjects.map(|field| field.value.trim_ascii()).eq([b"[...]".as_slice()]), "a subject outside");
    let inside = Header::read(&mail.inside, Strictness::Message);
    let types = inside.map(|header| header.all("Content-Type").count());
    assert_eq!(types, Ok(1), "not one type inside");
}
