//! A reader's answer as ordinary MIME for the sender's mailbox.
//!
//! Security: whoever reads it must see that it came through the portal, what the writer proved and that nobody scanned
//! the enclosures. Names and media types of enclosures are the reader's: cleaned, never trusted.
//! Standards: RFC 2045, RFC 2046 5.2.1 (no base64 in message/*), RFC 2183, RFC 2231.

use askama::Template;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Attachment, MultiPartKind, SinglePart};
use sealpost_texts::Language;
use sealpost_vault::address::{EmailAddress, Identity};
use sealpost_vault::clock::Time;

use super::words::Words;
use super::{Author, ComposeError, Heading, Letterhead, encoded, header, multipart, text_part};
use crate::message::Part;

/// What an answer carries.
pub struct Answer<'a> {
    pub reader: &'a Identity,
    /// The conversation's own address: answering from any mail client stays in the conversation.
    pub reply_address: &'a EmailAddress,
    /// The sender of the letter.
    pub to: &'a EmailAddress,
    pub subject: &'a str,
    pub text: &'a str,
    pub enclosures: &'a [Part],
    /// Ids without angle brackets.
    pub in_reply_to: Option<&'a str>,
    pub references: &'a [String],
    pub message_id: &'a str,
    pub assurance: Assurance,
    pub scan: Scan,
    pub language: Language,
}

/// What the writer of an answer proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assurance {
    /// Had the link and a code from the reader's mailbox.
    HeldTheLink,
    /// Signed with the key that the reader enrolled at that time.
    SignedByTheEnrolledKey { enrolled_at: Time },
}

/// Whether somebody looked for malware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    NotScanned,
}

impl Assurance {
    fn word(self) -> &'static str {
        match self {
            Self::HeldTheLink => "held-the-link",
            Self::SignedByTheEnrolledKey { .. } => "signed-by-the-enrolled-key",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::HeldTheLink => "mail-answer-held-the-link",
            Self::SignedByTheEnrolledKey { .. } => "mail-answer-signed",
        }
    }
}

impl Scan {
    fn word(self) -> &'static str {
        match self {
            Self::NotScanned => "not-scanned",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::NotScanned => "mail-answer-not-scanned",
        }
    }
}

#[derive(Template)]
#[template(path = "mail/answer.txt")]
struct AnswerText<'a> {
    w: &'a Words,
    assurance: Assurance,
    scan: Option<Scan>,
    text: &'a str,
}

/// The answer: a banner, the reader's own text, the enclosures.
pub fn answer(head: &Letterhead, facts: &Answer<'_>, now: Time) -> Result<Vec<u8>, ComposeError> {
    let words =
        Words::new(&head.organisation, facts.language).fact("reader", header::shown_address(facts.reader.as_str()));
    let words = match facts.assurance {
        Assurance::HeldTheLink => words,
        Assurance::SignedByTheEnrolledKey { enrolled_at } => {
            let date = words.date(enrolled_at);
            words.fact("date", date)
        }
    };
    let scan = (!facts.enclosures.is_empty()).then_some(facts.scan);
    let text = AnswerText { w: &words, assurance: facts.assurance, scan, text: facts.text }.render()?;
    let subject = header::line(facts.subject, header::SUBJECT);
    let builder = Heading {
        author: Author::Person,
        name: words.say("mail-answer-from"),
        from: facts.reply_address,
        to: facts.to,
        subject: if subject.is_empty() { words.say("mail-answer-without-subject") } else { subject },
        message_id: facts.message_id,
        in_reply_to: facts.in_reply_to,
        references: facts.references,
        language: facts.language,
        now,
    }
    .builder()?
    .raw_header(header::plain("X-Sealpost-Assurance", facts.assurance.word()))
    .raw_header(header::plain("X-Sealpost-Scan", facts.scan.word()));

    let body = text_part(&text, ContentType::TEXT_PLAIN)?;
    if facts.enclosures.is_empty() {
        return Ok(builder.singlepart(body)?.formatted());
    }
    let unnamed = words.say("mail-answer-unnamed");
    let mut parts = multipart(MultiPartKind::Mixed).singlepart(body);
    for enclosure in facts.enclosures {
        parts = parts.singlepart(attachment(enclosure, &unnamed)?);
    }
    Ok(builder.multipart(parts)?.formatted())
}

fn attachment(enclosure: &Part, unnamed: &str) -> Result<SinglePart, ComposeError> {
    let body = encoded(enclosure.bytes.clone(), ContentTransferEncoding::Base64)?;
    let content_type = media_type(enclosure)?;
    Ok(Attachment::new(file_name(&enclosure.name, unnamed)).body(body, content_type))
}

// RFC 2046 5.1, 5.2: composite types must not be base64; such an enclosure travels as a file.
fn media_type(enclosure: &Part) -> Result<ContentType, ComposeError> {
    let essence = enclosure.media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let token = |text: &str| {
        (1..=127).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    let known = match essence.split_once('/') {
        Some(("multipart" | "message", _)) => None,
        Some(("text", kind)) if token(kind) && std::str::from_utf8(&enclosure.bytes).is_ok() => {
            ContentType::parse(&format!("text/{kind}; charset=utf-8")).ok()
        }
        Some((main, kind)) if token(main) && token(kind) => ContentType::parse(&essence).ok(),
        _ => None,
    };
    match known {
        Some(known) => Ok(known),
        None => ContentType::parse("application/octet-stream").map_err(|_| ComposeError::Encoding),
    }
}

// A name that every file system takes and no shell or viewer misreads; its ending stays when it is cut.
fn file_name(name: &str, unnamed: &str) -> String {
    const LONGEST: usize = 120;
    let clean: String = header::line(name, 1000)
        .chars()
        .map(|c| if matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') { '_' } else { c })
        .collect();
    let clean = clean.trim_matches(['.', ' ']);
    if clean.is_empty() {
        return unnamed.to_owned();
    }
    let length = clean.chars().count();
    if length <= LONGEST {
        return clean.to_owned();
    }
    let ending = clean.rsplit_once('.').map(|(_, ending)| ending).filter(|ending| ending.chars().count() <= 10);
    let kept: String = clean.chars().take(LONGEST - 12).collect();
    ending.map_or_else(|| kept.clone(), |ending| format!("{kept}.{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::PartKind;

    #[test]
    fn file_names() {
        for (name, expected) in [
            ("Befund März.pdf", "Befund März.pdf"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..\\..\\boot.ini", "_.._boot.ini"),
            (".bashrc", "bashrc"),
            ("a\r\nContent-Type: text/html\r\n\r\nx.pdf", "a Content-Type_ text_html x.pdf"),
            ("report\u{202e}fdp.exe", "reportfdp.exe"),
            ("say \"hi\"; filename=x.exe", "say _hi_; filename=x.exe"),
            ("=?utf-8?q?x.exe?=", "=_utf-8_q_x.exe_="),
            ("virus.exe . . ", "virus.exe"),
            ("", "enclosure"),
            ("...", "enclosure"),
            ("\u{202e}\0", "enclosure"),
        ] {
            assert_eq!(file_name(name, "enclosure"), expected, "{name:?}");
        }
        let long = file_name(&format!("{}.pdf", "ü".repeat(400)), "enclosure");
        assert!(long.chars().count() <= 120 && long.ends_with(".pdf"), "{long}");
        let endless = file_name(&format!("a.{}", "b".repeat(4000)), "enclosure");
        assert!(endless.chars().count() <= 120, "{endless}");
    }

    #[test]
    fn media_types() {
        use lettre::message::header::Header;
        for (declared, bytes, expected) in [
            ("application/pdf", &b"%PDF"[..], "application/pdf"),
            ("Image/JPEG; name=\"x\"", b"\xff\xd8", "image/jpeg"),
            ("text/plain", b"gr\xc3\xbcn", "text/plain; charset=utf-8"),
            ("text/plain; charset=iso-8859-1", b"gr\xfcn", "text/plain"),
            ("message/rfc822", b"From: x", "application/octet-stream"),
            ("multipart/mixed; boundary=x", b"--x", "application/octet-stream"),
            ("application/vnd.oasis.opendocument.text", b"PK", "application/vnd.oasis.opendocument.text"),
            ("", b"", "application/octet-stream"),
            ("pdf", b"", "application/octet-stream"),
            ("a/b\r\nBcc: x@y.example", b"", "application/octet-stream"),
            ("application/ä", b"", "application/octet-stream"),
        ] {
            let part = Part {
                kind: PartKind::Enclosure,
                name: String::new(),
                media_type: declared.to_owned(),
                bytes: bytes.to_vec(),
            };
            let mut headers = lettre::message::header::Headers::new();
            headers.insert_raw(media_type(&part).unwrap().display());
            assert_eq!(headers.get_raw("Content-Type"), Some(expected), "{declared:?}");
        }
    }
}
