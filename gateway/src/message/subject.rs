//! Subject tags: `[secure]`, `[encrypt]`, `[confidential]` ask for protection, in any case, anywhere in the subject.
//!
//! They are found in the decoded subject, however it was encoded, and taken out of everything that leaves. From a subject
//! in plain bytes only the tag and one blank beside it are cut; encoded-words that hold a tag are written anew.
//! Standards: RFC 5322 2.2.3 (folding), RFC 2047 (encoded-words).

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::header::{Field, first_line, is_blank, printable};

/// A tag in a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tag {
    Secure,
    Encrypt,
    Confidential,
}

impl Tag {
    pub const ALL: [Self; 3] = [Self::Secure, Self::Encrypt, Self::Confidential];

    /// With brackets, in lower case.
    pub fn written(self) -> &'static str {
        match self {
            Self::Secure => "[secure]",
            Self::Encrypt => "[encrypt]",
            Self::Confidential => "[confidential]",
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.written())
    }
}

/// The tags of a decoded subject, each once.
pub(super) fn tags(subject: &str) -> Vec<Tag> {
    let found = |tag: &Tag| find(subject.as_bytes(), tag.written()).is_some();
    Tag::ALL.into_iter().filter(found).collect()
}

/// A decoded subject without its tags.
pub fn without_tags(subject: &str) -> String {
    // Tags are ASCII: cutting them leaves UTF-8.
    String::from_utf8_lossy(&cut(subject.as_bytes())).trim().to_owned()
}

/// A Subject field without tags; `None` if it has none and stays as it is.
pub(super) fn field_without_tags(field: &Field<'_>) -> Option<Vec<u8>> {
    let decoded = field.text();
    let clean = without_tags(&decoded);
    let lines = cut(field.whole);
    if clean == decoded && lines == field.whole {
        return None;
    }
    let lines = drop_blank_lines(&lines);
    // A cut through encoded-words may leave blanks or glue words together that were apart: then the text is written anew.
    let is_clean =
        |text: &str| printable(text).split_whitespace().eq(clean.split_whitespace()) && !text.starts_with(' ');
    match Field::read(&lines) {
        Some(cut) if is_clean(&cut.unstructured()) => Some(lines),
        _ => Some(written(field, &clean)),
    }
}

fn find(bytes: &[u8], tag: &str) -> Option<usize> {
    memchr::memchr_iter(b'[', bytes).find(|at| {
        let word = at.checked_add(tag.len()).and_then(|end| bytes.get(*at..end));
        word.is_some_and(|word| word.eq_ignore_ascii_case(tag.as_bytes()))
    })
}

/// Takes out every tag with one blank (or one folding) beside it, again until none is left: cutting may join a new one.
fn cut(bytes: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        out.push(*first);
        rest = after;
        let ended = Tag::ALL
            .into_iter()
            .find(|tag| *first == b']' && out.len() >= tag.written().len() && ends_with(&out, tag.written()));
        let Some(tag) = ended else { continue };
        out.truncate(out.len().saturating_sub(tag.written().len()));
        match blank(rest) {
            0 => {
                if matches!(rest, b"" | b"\r\n" | b"\n") {
                    let before = blank_before(&out);
                    out.truncate(out.len().saturating_sub(before));
                }
            }
            length => rest = rest.get(length..).unwrap_or_default(),
        }
    }
    out
}

fn ends_with(bytes: &[u8], tag: &str) -> bool {
    let start = bytes.len().saturating_sub(tag.len());
    bytes.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(tag.as_bytes()))
}

/// The length of one blank at the start, with the line ending that it folds.
fn blank(bytes: &[u8]) -> usize {
    match bytes {
        [b' ' | b'\t', ..] => 1,
        [b'\n', b' ' | b'\t', ..] => 2,
        [b'\r', b'\n', b' ' | b'\t', ..] => 3,
        _ => 0,
    }
}

/// The same at the end. The blank behind the colon stays.
fn blank_before(bytes: &[u8]) -> usize {
    match bytes {
        [.., b'\r', b'\n', b' ' | b'\t'] => 3,
        [.., b'\n', b' ' | b'\t'] => 2,
        [.., b':', b' ' | b'\t'] => 0,
        [.., b' ' | b'\t'] => 1,
        _ => 0,
    }
}

/// Takes out lines after the first that cutting left with nothing but blanks: some read them as the header's end.
fn drop_blank_lines(bytes: &[u8]) -> Vec<u8> {
    let (first, mut rest) = first_line(bytes);
    let mut out = first.to_vec();
    while !rest.is_empty() {
        let (line, after) = first_line(rest);
        if !line.iter().all(|b| is_blank(*b) || matches!(b, b'\r' | b'\n')) {
            out.extend_from_slice(line);
        }
        rest = after;
    }
    out
}

/// The field with another text, its name as it was.
fn written(field: &Field<'_>, text: &str) -> Vec<u8> {
    let name = field.whole.len().saturating_sub(field.value.len());
    let mut out = field.whole.get(..name).unwrap_or_default().to_vec();
    let plain = text.len() <= 60 && !text.contains("=?") && text.bytes().all(|b| matches!(b, b' '..=b'~'));
    if plain {
        out.push(b' ');
        out.extend_from_slice(text.as_bytes());
    } else {
        // RFC 2047 2: at most 75 characters each, none splits a character. 45 octets make 60.
        let mut word = String::new();
        let mut separator: &[u8] = b" ";
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            word.push(c);
            if chars.peek().is_none_or(|next| word.len().saturating_add(next.len_utf8()) > 45) {
                out.extend_from_slice(separator);
                out.extend_from_slice(format!("=?utf-8?B?{}?=", BASE64_STANDARD.encode(&word)).as_bytes());
                separator = b"\r\n ";
                word.clear();
            }
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found() {
        let check = |subject: &str, expected: &[Tag]| assert_eq!(tags(subject), expected, "{subject}");
        check("[secure] Befund", &[Tag::Secure]);
        check("Befund [SECURE]", &[Tag::Secure]);
        check("Re: AW: [Encrypt] Befund [confidential]", &[Tag::Encrypt, Tag::Confidential]);
        check("Re:[secure]Befund", &[Tag::Secure]);
        check("secure Befund", &[]);
        check("[secure", &[]);
        check("[ secure ] Befund", &[]);
        check("[insecure] [secured]", &[]);
        check("", &[]);
    }

    #[test]
    fn tags_are_cut_from_decoded_subjects() {
        for (subject, expected) in [
            ("[secure] Befund", "Befund"),
            ("Befund [secure]", "Befund"),
            ("Re: [secure] Befund", "Re: Befund"),
            ("A [secure] B [encrypt] C", "A B C"),
            ("[sec[secure]ure] B", "B"),
            ("[sec[secure] ure] B", "B"),
            ("[secure][secure]", ""),
            ("Größe  [x] bleibt", "Größe  [x] bleibt"),
        ] {
            assert_eq!(without_tags(subject), expected, "{subject}");
        }
    }

    #[test]
    fn tags_are_cut_from_fields() {
        for (field, expected) in [
            ("Subject: [secure] Befund\r\n", "Subject: Befund\r\n"),
            ("SUBJECT:[Secure]Befund\r\n", "SUBJECT:Befund\r\n"),
            ("Subject: Befund [secure]\r\n", "Subject: Befund\r\n"),
            ("Subject: Befund [secure]", "Subject: Befund"),
            ("Subject: [secure]\r\n", "Subject: \r\n"),
            ("Subject: Ihr  Befund\r\n\t[secure]\r\n", "Subject: Ihr  Befund\r\n"),
            ("Subject: [secure]\r\n Befund\r\n", "Subject: Befund\r\n"),
            ("Subject: Ihr\r\n [secure]\r\n Befund\r\n", "Subject: Ihr\r\n Befund\r\n"),
            ("Subject: Ihr\r\n [secure] \r\n\tBefund\r\n", "Subject: Ihr\r\n\tBefund\r\n"),
            ("Subject: [secure] =?utf-8?Q?Bef=C3=BCnde?=\r\n", "Subject: =?utf-8?Q?Bef=C3=BCnde?=\r\n"),
            ("Subject: [secure] Gr\u{fc}\u{df}e\r\n", "Subject: Gr\u{fc}\u{df}e\r\n"),
            ("Subject: Be\u{7}fund [secure]\r\n", "Subject: Be\u{7}fund\r\n"),
            ("Subject: =?utf-8?Q?[secure]_Bef=C3=BCnde?=\r\n", "Subject: =?utf-8?B?QmVmw7xuZGU=?=\r\n"),
            ("Subject: =?utf-8?B?W3NlY3VyZV0gQmVmdW5k?=\r\n", "Subject: Befund\r\n"),
            ("Subject: =?utf-8?Q?[sec?= =?utf-8?Q?ure]_Lab?=\r\n", "Subject: Lab\r\n"),
            ("Subject: =?utf-8?Q?A?= [secure] =?utf-8?Q?B?=\r\n", "Subject: A B\r\n"),
        ] {
            let whole = field.as_bytes();
            let cut = field_without_tags(&Field::read(whole).unwrap()).unwrap();
            assert_eq!(String::from_utf8_lossy(&cut), expected, "{field}");
        }
        for field in ["Subject: Befund [x]\r\n", "Subject: =?utf-8?Q?Bef=C3=BCnde?=\r\n", "Subject: a\r\n \r\n b\r\n"] {
            assert_eq!(field_without_tags(&Field::read(field.as_bytes()).unwrap()), None, "{field}");
        }
    }

    #[test]
    fn long_subjects_are_encoded_in_words_of_75() {
        let text = "[secure] ".to_owned() + &"Prüfbericht über die Röhre ".repeat(8);
        let encoded = BASE64_STANDARD.encode(&text);
        let whole = format!("Subject: =?utf-8?B?{encoded}?=\r\n");
        let cut = field_without_tags(&Field::read(whole.as_bytes()).unwrap()).unwrap();
        assert!(cut.split(|b| *b == b'\n').all(|line| line.len() <= 85));
        assert!(String::from_utf8_lossy(&cut).split_whitespace().skip(1).all(|word| word.len() <= 75));
        assert_eq!(Field::read(&cut).unwrap().text(), without_tags(&text));
    }
}
