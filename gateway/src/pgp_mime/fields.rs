//! Which header field goes where, and what stands inside.
//!
//! RFC 9788 calls this a header confidentiality policy. Its `hcp_baseline` hides Subject, Comments and Keywords and leaves
//! everything else outside. Ours is stricter: outside stands only what is listed here, because mail programs write
//! subjects into other fields too (Thread-Topic), and say much about their users (User-Agent, X-*, List-*). Inside stands
//! every field but those that would tell of hidden recipients or of the way the mail took.
//!
//! There is no legacy display element: it would change bodies. Programs that know nothing of RFC 9788 but of its
//! forerunner (`protected-headers`) show the subject; the others show `[...]`.

use super::PgpMimeError;
use crate::message::{Field, Header, Strictness};

/// Marks the inner part (RFC 9788 2.1.1, and the forerunner that Thunderbird, K-9 and Mutt heed).
const MARK: &str = "; hp=\"cipher\"; protected-headers=\"v1\"";
/// In place of the subject (RFC 9788 3.2.1).
const OBSCURED: &str = "[...]";

/// What delivery, threading and automatic answerers need.
const OUTSIDE: [&str; 12] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Auto-Submitted",
    "Precedence",
    "X-Auto-Response-Suppress",
];

/// Fields that would name hidden recipients, or that only the last server may write.
const DROPPED: [&str; 11] = [
    "Bcc",
    "Resent-Bcc",
    "Return-Path",
    "Delivered-To",
    "Envelope-To",
    "Apparently-To",
    "X-Original-To",
    "X-Envelope-To",
    "X-RcptTo",
    "X-Received",
    "HP-Outer",
];

/// A mail taken apart.
pub(super) struct Mail<'a> {
    /// The fields outside, but for those of the frame.
    pub outside: Vec<u8>,
    /// The fields inside and the empty line.
    pub inside: Vec<u8>,
    /// Byte for byte.
    pub body: &'a [u8],
    /// What follows the body inside; empty but for a body that had to be wrapped.
    pub end: Vec<u8>,
}

impl<'a> Mail<'a> {
    /// `boundary` is for a body that must be wrapped.
    pub fn read(message: &'a [u8], boundary: &str) -> Result<Self, PgpMimeError> {
        let header = Header::read(message, Strictness::Message).map_err(|_| PgpMimeError::Header)?;
        let mut outside = Vec::new();
        let mut named = Vec::new();
        let mut inside = Vec::new();
        let mut content = Vec::new();
        for field in &header.fields {
            let among = |names: &[&str]| names.iter().any(|name| field.is(name));
            if field.is("Received") {
                // RFC 5321 4.4: who passes a mail on leaves them; loops are found by them.
                copy(&mut outside, field);
            } else if among(&DROPPED) {
            } else if is_content(field) {
                copy(&mut content, field);
            } else if field.is("MIME-Version") {
                copy(&mut inside, field);
            } else {
                copy(&mut inside, field);
                if among(&OUTSIDE) {
                    copy(&mut outside, field);
                    copy_named(&mut named, field);
                }
            }
        }
        outside.extend_from_slice(format!("Subject: {OBSCURED}\r\n").as_bytes());
        named.extend_from_slice(format!("HP-Outer: Subject: {OBSCURED}\r\n").as_bytes());
        inside.extend_from_slice(&named);
        let mut end = Vec::new();
        match marked(&header) {
            Some(content) => inside.extend_from_slice(&content),
            None => {
                let multipart = format!(
                    "Content-Type: multipart/mixed{MARK};\r\n\tboundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n"
                );
                inside.extend_from_slice(multipart.as_bytes());
                inside.extend_from_slice(&content);
                end.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
            }
        }
        inside.extend_from_slice(b"\r\n");
        Ok(Self { outside, inside, body: header.body, end })
    }
}

fn is_content(field: &Field<'_>) -> bool {
    field.name.get(.."Content-".len()).is_some_and(|start| start.eq_ignore_ascii_case("Content-"))
}

fn copy(out: &mut Vec<u8>, field: &Field<'_>) {
    out.extend_from_slice(field.whole);
    end_line(out);
}

/// RFC 9788 2.2: the field as it stands outside.
fn copy_named(out: &mut Vec<u8>, field: &Field<'_>) {
    out.extend_from_slice(b"HP-Outer: ");
    out.extend_from_slice(field.name.as_bytes());
    out.extend_from_slice(b":");
    out.extend_from_slice(field.value);
    end_line(out);
}

/// A header that ends without a line ending gets one.
fn end_line(out: &mut Vec<u8>) {
    if !out.ends_with(b"\n") {
        out.extend_from_slice(b"\r\n");
    }
}

/// The Content-* fields with the mark in Content-Type. `None` where it can't be set without doubt, or where the content
/// is a cryptographic layer of the sender's: the mark belongs to what lies within (RFC 9788 2.1), and that isn't touched.
fn marked(header: &Header<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut types = header.fields.iter().filter(|field| field.is("Content-Type"));
    match (types.next(), types.next()) {
        (None, _) => out.extend_from_slice(format!("Content-Type: text/plain{MARK}\r\n").as_bytes()),
        (Some(field), None) => {
            let parsed = field.content_type()?;
            if parsed.attribute("hp").is_some() || parsed.attribute("protected-headers").is_some() {
                return None;
            }
            let name = format!("{}/{}", parsed.ctype(), parsed.subtype()?).to_ascii_lowercase();
            if is_layer(&name) {
                return None;
            }
            let (written, rest) = media_type(field.value)?;
            if !written.trim_ascii().eq_ignore_ascii_case(name.as_bytes()) {
                return None;
            }
            out.extend_from_slice(b"Content-Type:");
            out.extend_from_slice(written);
            out.extend_from_slice(MARK.as_bytes());
            out.extend_from_slice(rest);
            end_line(&mut out);
        }
        (Some(_), Some(_)) => return None,
    }
    header.fields.iter().filter(|field| is_content(field) && !field.is("Content-Type")).for_each(|f| copy(&mut out, f));
    Some(out)
}

fn is_layer(media_type: &str) -> bool {
    ["multipart/signed", "multipart/encrypted"].contains(&media_type)
        || ["application/pkcs7-", "application/x-pkcs7-", "application/pgp"].iter().any(|at| media_type.starts_with(at))
}

/// `type/subtype` with the blanks before it, and the rest.
fn media_type(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = value.iter().position(|b| !b.is_ascii_whitespace())?;
    // RFC 2045 5.1
    let token = |b: &u8| b.is_ascii_graphic() && !b"()<>@,;:\\\"[]?=".contains(b);
    let length = value.get(start..)?.iter().take_while(|b| token(b)).count();
    let (written, rest) = value.split_at_checked(start.saturating_add(length))?;
    let follows = rest.iter().find(|b| !b.is_ascii_whitespace());
    follows.is_none_or(|b| matches!(b, b';' | b'(')).then_some((written, rest))
}
