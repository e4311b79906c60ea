//! The content as it goes over the wire: checked first, then dot-stuffed piece by piece.
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
    if memchr::memchr(0, bytes).is_some() {
        return Err(ContentError::Nul);
    }
    let pairs = memmem::find_iter(bytes, b"\r\n").count();
    if memchr_iter(b'\r', bytes).count() != pairs || memchr_iter(b'\n', bytes).count() != pairs {
        return Err(ContentError::BareLineEnding);
    }
    Ok(if bytes.is_ascii() { BodyType::SevenBit } else { BodyType::EightBitMime })
}

/// Whether the header of the content has more than ASCII (RFC 6532).
pub(super) fn has_internationalized_header(bytes: &[u8]) -> bool {
    let end = memmem::find(bytes, b"\r\n\r\n").unwrap_or(bytes.len());
    !bytes.iter().take(end).all(u8::is_ascii)
}

/// The checked content with dots doubled and its end marked: pieces to be sent one after the other.
pub(super) fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let first: &[u8] = if bytes.starts_with(b".") { b"." } else { b"" };
    // A last line without its CRLF gets one: the end of data can't be marked otherwise.
    let end: &[u8] = if bytes.is_empty() || bytes.ends_with(b"\r\n") { b".\r\n" } else { b"\r\n.\r\n" };
    let mut rest = Some(bytes);
    let lines = std::iter::from_fn(move || {
        let bytes = rest?;
        // Up to and with the dot that begins a line; the next piece begins with that dot again.
        let cut = memmem::find(bytes, b"\r\n.").and_then(|at| bytes.split_at_checked(at + 3));
        rest = cut.map(|(_, after)| after);
        Some(cut.map_or(bytes, |(line, _)| line))
    });
    let stuffed = lines.enumerate().flat_map(|(n, piece)| [if n == 0 { b"".as_slice() } else { b"." }, piece]);
    std::iter::once(first).chain(stuffed).chain(std::iter::once(end)).filter(|piece| !piece.is_empty())
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
            let out: Vec<u8> = pieces(bytes.as_bytes()).flatten().copied().collect();
            assert_eq!(String::from_utf8(out).unwrap(), sent, "{bytes:?}");
        }
    }
}
