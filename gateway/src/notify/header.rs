//! Header values that carry something from outside: one clean line, encoded where it must be.
//!
//! lettre writes an ASCII text as it stands. That isn't enough for names and subjects which strangers choose: `=?..?=`
//! in them would be decoded by the reader's program, a long word would make a long line.
//!
//! Security: no value made here contains CR, LF (but before a fold), a control or a character that reorders text.
//! Standards: RFC 5322 2.2.3 (folding), 3.2.4 (quoted strings), 3.6.4 (ids); RFC 2047 (encoded words).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::{HeaderName, HeaderValue};
use sealpost_vault::address::EmailAddress;

/// Longest subject that leaves with a mail of ours, in characters.
pub const SUBJECT: usize = 250;
/// Longest name of a person or an organisation, in characters.
pub const NAME: usize = 100;

// RFC 5322 2.1.1 allows 998 octets; a quoted name shares its line with the field's name.
const QUOTED: usize = 150;
// A word that folding can't break.
const WORD: usize = 60;
// RFC 2047 2: an encoded word and its line have 75 and 76 octets; 39 octets are 64 when encoded, after `Subject: `.
const ENCODED: usize = 39;
// References keeps where a thread began and its latest members (RFC 5322 3.6.4 leaves it open).
const REFERENCES: usize = 20;

/// One line without controls, without characters that are invisible or reorder others, of at most `limit` characters.
pub fn line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = true;
            continue;
        }
        if is_unseen(c) {
            continue;
        }
        if length >= limit {
            line.push('…');
            break;
        }
        if gap && !line.is_empty() {
            line.push(' ');
            length += 1;
        }
        gap = false;
        line.push(c);
        length += 1;
    }
    line
}

/// The name of a person as it may stand beside an address; `None` if there is none, or if it poses as something else.
///
/// A name such as `ceo@bank.example` would be read as the address, and a web address in it would become a link.
pub fn person(name: &str) -> Option<String> {
    let name: String = line(name, NAME).chars().filter(|c| !matches!(c, '"' | '<' | '>' | '\\')).collect();
    let name = name.trim().trim_matches('\'').trim();
    let lower = name.to_lowercase();
    let poses = lower.contains(['@', '\u{fe6b}', '\u{ff20}']) || lower.contains("://") || lower.contains("www.");
    (!name.is_empty() && !poses).then(|| name.to_owned())
}

/// An address as it may stand in a display name: a quoted local part (`"ceo@bank.example"@..`) loses what poses.
pub fn shown_address(address: &str) -> String {
    let address = line(address, 320);
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{}@{domain}", local.replace(['"', '\\', '@', '<', '>'], "_")),
        None => address,
    }
}

/// `<id>`; `None` if it is no id that a header can carry.
pub fn id(text: &str) -> Option<String> {
    let inner = text.trim();
    let inner = inner.strip_prefix('<').unwrap_or(inner);
    let inner = inner.strip_suffix('>').unwrap_or(inner);
    let fits = !inner.is_empty()
        && inner.len() <= 250
        && inner.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>')
        && !inner.contains("=?");
    fits.then(|| format!("<{inner}>"))
}

/// References: those given, and the parent at their end.
pub fn references(given: &[String], parent: Option<&str>) -> Option<HeaderValue> {
    let mut ids: Vec<String> = given.iter().filter_map(|text| id(text)).collect();
    if let Some(parent) = parent.and_then(id) {
        ids.retain(|id| *id != parent);
        ids.push(parent);
    }
    let surplus = ids.len().saturating_sub(REFERENCES);
    if surplus > 0 {
        ids.drain(1..=surplus);
    }
    (!ids.is_empty()).then(|| value("References", ids.join(" "), ids.join("\r\n ")))
}

/// An unstructured field: Subject.
pub fn text(name: &'static str, text: &str) -> HeaderValue {
    let clean = line(text, SUBJECT);
    if clean.is_ascii() && !clean.contains("=?") && clean.split(' ').all(|word| word.len() <= WORD) {
        return HeaderValue::new(HeaderName::new_from_ascii_str(name), clean);
    }
    let encoded = encoded_words(&clean);
    value(name, clean, encoded)
}

/// A field with one mailbox; an empty display name leaves the address alone.
pub fn mailbox(name: &'static str, display: &str, address: &EmailAddress) -> HeaderValue {
    let display = line(display, 2 * NAME + 320);
    let address = address.to_string();
    let encoded = if display.is_empty() {
        address.clone()
    } else if display.is_ascii() && display.len() <= QUOTED && !display.contains("=?") {
        let quoted = display.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{quoted}\"\r\n <{address}>")
    } else {
        format!("{}\r\n <{address}>", encoded_words(&display))
    };
    // lettre parses the raw value of From to see that there is one; the address alone says it.
    value(name, address, encoded)
}

/// A field whose value is ours: ASCII words.
pub fn plain(name: &'static str, text: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), line(text, 998))
}

fn value(name: &'static str, raw: String, encoded: String) -> HeaderValue {
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), raw, encoded)
}

// RFC 2047 5 (3), 8: each word is decodable alone, so no character is cut; blanks between words vanish.
fn encoded_words(text: &str) -> String {
    let mut words = Vec::new();
    let mut piece = String::new();
    for c in text.chars() {
        if piece.len() + c.len_utf8() > ENCODED {
            // Between words where possible: some programs show a blank where one encoded word ends.
            let rest = piece.rfind(' ').filter(|at| *at > 0).map(|at| piece.split_off(at)).unwrap_or_default();
            words.push(std::mem::replace(&mut piece, rest));
        }
        piece.push(c);
    }
    words.push(piece);
    let encoded: Vec<String> = words.iter().map(|word| format!("=?utf-8?b?{}?=", STANDARD.encode(word))).collect();
    encoded.join("\r\n ")
}

// Bidirectional controls, zero-width and soft characters, annotations, tags. Joiners stay: scripts need them.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (text, limit, expected) in [
            ("Anna Weber", 99, "Anna Weber"),
            ("  a \r\nBcc: x@y.example\t\0b ", 99, "a Bcc: x@y.example b"),
            ("a\u{2028}b\u{85}c", 99, "a b c"),
            ("gnp.\u{202e}exe\u{2066}\u{200f}\u{feff}", 99, "gnp.exe"),
            ("می\u{200c}خواهم", 99, "می\u{200c}خواهم"),
            ("abcdef", 3, "abc…"),
            ("", 3, ""),
        ] {
            assert_eq!(line(text, limit), expected, "{text:?}");
        }
    }

    #[test]
    fn persons() {
        for (name, expected) in [
            ("Dr. Anna Weber", Some("Dr. Anna Weber")),
            ("\"Weber, Anna\"", Some("Weber, Anna")),
            ("'Anna'", Some("Anna")),
            ("Jürgen Groß", Some("Jürgen Groß")),
            ("ceo@bank.example", None),
            ("CEO <ceo@bank.example>", None),
            ("ceo＠bank.example", None),
            ("c\u{200b}eo\u{202e}@bank.example", None),
            ("see https://evil.example/", None),
            ("WWW.evil.example", None),
            (" \r\n ", None),
            ("\"\"", None),
        ] {
            assert_eq!(person(name).as_deref(), expected, "{name:?}");
        }
    }

    #[test]
    fn ids() {
        for (text, expected) in [
            ("a@b.example", Some("<a@b.example>")),
            ("<a@b.example>", Some("<a@b.example>")),
            (" <a@b.example> ", Some("<a@b.example>")),
            ("", None),
            ("<>", None),
            ("a b@c", None),
            ("a@b>\r\nBcc: x@y.example", None),
            ("a><b", None),
            ("ä@b", None),
            ("=?utf-8?q?=0D=0A?=", None),
        ] {
            assert_eq!(id(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(id(&"a".repeat(251)), None);
    }

    #[test]
    fn shown_addresses() {
        for (address, expected) in [
            ("karl@mail.example", "karl@mail.example"),
            ("\"ceo@bank.example\"@evil.example", "_ceo_bank.example_@evil.example"),
            ("a\r\nb@c.example", "a b@c.example"),
        ] {
            assert_eq!(shown_address(address), expected);
        }
    }

    #[test]
    fn long_threads_keep_their_beginning_and_their_end() {
        let given: Vec<String> = (0..100).map(|n| format!("m{n}@x.example")).collect();
        let mut headers = lettre::message::header::Headers::new();
        headers.insert_raw(references(&given, Some("m50@x.example")).unwrap());
        let written = headers.get_raw("References").unwrap();
        let ids: Vec<&str> = written.split(' ').collect();
        assert_eq!(ids.len(), REFERENCES);
        assert_eq!(ids.first(), Some(&"<m0@x.example>"));
        assert_eq!(ids.last(), Some(&"<m50@x.example>"));
        assert_eq!(ids.iter().filter(|id| **id == "<m50@x.example>").count(), 1);
    }
}
