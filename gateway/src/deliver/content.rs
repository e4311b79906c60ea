//! The content as it goes over the wire: checked first, then dot-stuffed piece by piece, whether all of it is in memory or not.
//!
//! Security: a bare CR, LF or NUL in what we send could end the message early at a lax server, and begin another one
//! there (SMTP smuggling). Such content is never sent.
//! Standards: RFC 5321 2.3.8 (lines), 4.5.2 (transparency).

use memchr::{memchr_iter, memmem};

use crate::envelope::BodyType;

/// Why content may not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ContentError {
    #[error("The content has a carriage return or line feed of its own")]
    BareLineEnding,
    #[error("The content has a NUL")]
    Nul,
}

/// Whether the content may leave, and what the server must be able to take.
pub(super) fn check(bytes: &[u8]) -> Result<BodyType, ContentError> {
    let mut check = Check::default();
    check.feed(bytes);
    check.end()
}

/// The same for content that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Check {
    returns: usize,
    feeds: usize,
    pairs: usize,
    after_return: bool,
    has_nul: bool,
    has_eighth_bit: bool,
}

impl Check {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.returns += memchr_iter(b'\r', bytes).count();
        self.feeds += memchr_iter(b'\n', bytes).count();
        self.pairs += memmem::find_iter(bytes, b"\r\n").count();
        self.pairs += usize::from(self.after_return && bytes.starts_with(b"\n"));
        self.has_nul |= memchr::memchr(0, bytes).is_some();
        self.has_eighth_bit |= !bytes.is_ascii();
        self.after_return = if bytes.is_empty() { self.after_return } else { bytes.ends_with(b"\r") };
    }

    pub(super) fn end(&self) -> Result<BodyType, ContentError> {
        if self.has_nul {
            return Err(ContentError::Nul);
        }
        if self.returns != self.pairs || self.feeds != self.pairs {
            return Err(ContentError::BareLineEnding);
        }
        Ok(if self.has_eighth_bit { BodyType::EightBitMime } else { BodyType::SevenBit })
    }
}

/// Whether the header of the content has more than ASCII (RFC 6532).
pub(super) fn has_internationalized_header(bytes: &[u8]) -> bool {
    let end = memmem::find(bytes, b"\r\n\r\n").unwrap_or(bytes.len());
    !bytes.iter().take(end).all(u8::is_ascii)
}

/// Doubles the dots of checked content that comes in pieces, and marks its end.
#[derive(Debug, Default)]
pub(super) struct Stuffing(At);

/// Where the next octet stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    LineStart,
    Text,
    AfterReturn,
}

impl Stuffing {
    /// A piece as it is sent, itself in pieces.
    pub(super) fn pieces<'a>(&mut self, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        // A line may have ended in the piece before but for its line feed.
        let (feed, text) = match bytes.split_first() {
            Some((b'\n', text)) if self.0 == At::AfterReturn => (bytes.get(..1).unwrap_or_default(), text),
            _ => (&[][..], bytes),
        };
        let begins_line = self.0 == At::LineStart || !feed.is_empty();
        let first: &[u8] = if begins_line && text.starts_with(b".") { b"." } else { b"" };
        self.0 = match text {
            [] if feed.is_empty() => self.0,
            [] => At::LineStart,
            _ if text.ends_with(b"\r\n") => At::LineStart,
            _ if text.ends_with(b"\r") => At::AfterReturn,
            _ => At::Text,
        };
        let mut rest = Some(text);
        let lines = std::iter::from_fn(move || {
            let bytes = rest?;
            // Up to and with the dot that begins a line; the next piece begins with that dot again.
            let cut = memmem::find(bytes, b"\r\n.").and_then(|at| bytes.split_at_checked(at + 3));
            rest = cut.map(|(_, after)| after);
            Some(cut.map_or(bytes, |(line, _)| line))
        });
        let stuffed = lines.enumerate().flat_map(|(n, piece)| [if n == 0 { b"".as_slice() } else { b"." }, piece]);
        [feed, first].into_iter().chain(stuffed).filter(|piece| !piece.is_empty())
    }

    /// A last line without its CRLF gets one: the end of data can't be marked otherwise.
    pub(super) fn end(&self) -> &'static [u8] {
        if self.0 == At::LineStart { b".\r\n" } else { b"\r\n.\r\n" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_leave() {
        for (bytes, expected) in [
            (&b"a\r\nb\r\n"[..], Ok(BodyType::SevenBit)),
            (b"", Ok(BodyType::SevenBit)),
            (b"\xc3\xa4\r\n", Ok(BodyType::EightBitMime)),
            (b"a\nb\r\n", Err(ContentError::BareLineEnding)),
            (b"a\rb\r\n", Err(ContentError::BareLineEnding)),
            (b"a\r\r\n", Err(ContentError::BareLineEnding)),
            (b"a\n\r\n", Err(ContentError::BareLineEnding)),
            (b"a\r\n\n", Err(ContentError::BareLineEnding)),
            (b"a\n\r", Err(ContentError::BareLineEnding)),
            (b"a\r\n.\r", Err(ContentError::BareLineEnding)),
            (b"a\n.\n", Err(ContentError::BareLineEnding)),
            (b"a\0\r\n", Err(ContentError::Nul)),
        ] {
            assert_eq!(check(bytes), expected, "{}", bytes.escape_ascii());
            for at in 0..=bytes.len() {
                let mut check = Check::default();
                [&bytes[..at], b"", &bytes[at..]].iter().for_each(|piece| check.feed(piece));
                assert_eq!(check.end(), expected, "{} cut at {at}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn headers() {
        for (bytes, expected) in [
            ("Subject: a\r\n\r\n\u{e4}\r\n", false),
            ("Subject: \u{e4}\r\n\r\na\r\n", true),
            ("Subject: \u{e4}", true),
            ("", false),
        ] {
            assert_eq!(has_internationalized_header(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }

    #[test]
    fn stuffing() {
        for (bytes, sent) in [
            ("", ".\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("..\r\n", "...\r\n.\r\n"),
            ("\r\n.\r\n", "\r\n..\r\n.\r\n"),
            (".a\r\n.b\r\n.\r\nc.\r\n", "..a\r\n..b\r\n..\r\nc.\r\n.\r\n"),
            ("\r\n.\r\n.\r\n.", "\r\n..\r\n..\r\n..\r\n.\r\n"),
            ("a.b\r\n c.\r\n", "a.b\r\n c.\r\n.\r\n"),
        ] {
            let stuffed = |pieces: &[&[u8]]| {
                let mut stuffing = Stuffing::default();
                let mut out = Vec::new();
                for piece in pieces {
                    stuffing.pieces(piece).for_each(|piece| out.extend_from_slice(piece));
                }
                out.extend_from_slice(stuffing.end());
                String::from_utf8(out).unwrap()
            };
            let bytes = bytes.as_bytes();
            assert_eq!(stuffed(&[bytes]), sent);
            for at in 0..=bytes.len() {
                assert_eq!(stuffed(&[&bytes[..at], b"", &bytes[at..]]), sent, "cut at {at}");
            }
            let singly: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(stuffed(&singly), sent, "one by one");
        }
    }
}
