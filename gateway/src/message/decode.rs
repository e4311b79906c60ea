//! From transfer encodings to bytes, from character sets to UTF-8.
//!
//! Standards: RFC 2045 6 (transfer encodings), RFC 2046 4.1.2 (charset).

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;

use super::header::Header;
use super::structure::Unreadable;

/// A transfer encoding that we can undo.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Base64,
    QuotedPrintable,
}

impl Encoding {
    /// What a part's header declares.
    pub fn of(header: &Header<'_>) -> Result<Self, Unreadable> {
        let Some(field) = header.first("Content-Transfer-Encoding") else { return Ok(Self::Identity) };
        match field.word().as_str() {
            "" | "7bit" | "8bit" | "binary" => Ok(Self::Identity),
            "base64" => Ok(Self::Base64),
            "quoted-printable" => Ok(Self::QuotedPrintable),
            _ => Err(Unreadable::Encoding),
        }
    }
}

/// The bytes behind a transfer encoding.
pub(super) fn transfer(encoding: Encoding, bytes: &[u8]) -> Result<Cow<'_, [u8]>, Unreadable> {
    let decoded = match encoding {
        Encoding::Identity => return Ok(Cow::Borrowed(bytes)),
        Encoding::Base64 => base64_decode(bytes),
        Encoding::QuotedPrintable => quoted_printable(bytes),
    };
    decoded.map(Cow::Owned).ok_or(Unreadable::Encoding)
}

/// RFC 2045 6.7. mail-parser's decoder reads `50 = 50` as `50 P`; here it is damage.
fn quoted_printable(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let content = line.trim_ascii_end();
        // Blanks at the end of a line were added on the way; they count only before a line ending.
        let (content, ending) = match (content.strip_suffix(b"="), line.ends_with(b"\n")) {
            (Some(content), _) => (content, b"".as_slice()),
            (None, true) => (content, b"\r\n".as_slice()),
            (None, false) => (line, b"".as_slice()),
        };
        let mut rest = content;
        while let Some((first, after)) = rest.split_first() {
            if *first == b'=' {
                let hex = after.get(..2).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit))?;
                out.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
                rest = after.get(2..)?;
            } else {
                out.push(*first);
                rest = after;
            }
        }
        out.extend_from_slice(ending);
    }
    Some(out)
}

/// Text in UTF-8 with LF line endings. What no character set explains is taken for UTF-8, then for windows-1252: mail without
/// a label is one of them.
pub(super) fn characters(bytes: &[u8], charset: Option<&str>) -> String {
    let label = charset.unwrap_or_default().trim();
    let unlabelled = ["", "utf-8", "utf8", "us-ascii", "ascii"].iter().any(|name| label.eq_ignore_ascii_case(name));
    let utf8 = || std::str::from_utf8(bytes).ok().map(str::to_owned);
    let labelled = || if unlabelled { None } else { charset_decoder(label.as_bytes()).map(|decode| decode(bytes)) };
    let western = || charset_decoder(b"windows-1252").map(|decode| decode(bytes));
    let text = labelled().or_else(utf8).or_else(western).unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned());
    text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_sets() {
        for (bytes, charset, expected) in [
            (b"Gr\xfc\xdfe".as_slice(), Some("ISO-8859-1"), "Grüße"),
            (b"5 \x80 \x84so\x93", Some("windows-1252"), "5 € „so“"),
            (b"\xa4", Some("iso-8859-15"), "€"),
            ("Grüße".as_bytes(), Some("UTF-8"), "Grüße"),
            ("Grüße".as_bytes(), None, "Grüße"),
            (b"Gr\xfc\xdfe", None, "Grüße"),
            (b"Gr\xfc\xdfe", Some("utf-8"), "Grüße"),
            ("Grüße".as_bytes(), Some("x-no-such-thing"), "Grüße"),
            (b"\xff\xfeG\x00\xfc\x00", Some("utf-16"), "Gü"),
            (b"\x00G\x00\xfc", Some("UTF-16BE"), "Gü"),
            (b"\x1b$B$3$s$K$A$O\x1b(B", Some("ISO-2022-JP"), "こんにちは"),
            (b"\xcf\xf0\xe8\xe2\xe5\xf2", Some("windows-1251"), "Привет"),
            (b"\xc4\xe3\xba\xc3", Some("gb2312"), "你好"),
            (b"a\r\nb\0", None, "a\nb\u{fffd}"),
        ] {
            assert_eq!(characters(bytes, charset), expected, "{charset:?}");
        }
    }

    #[test]
    fn transfer_encodings() {
        let check = |encoding, bytes: &[u8], expected: Option<&[u8]>| {
            assert_eq!(transfer(encoding, bytes).ok().as_deref(), expected, "{}", String::from_utf8_lossy(bytes));
        };
        check(Encoding::Base64, b"SGVs\r\nbG8=\r\n", Some(b"Hello"));
        check(Encoding::Base64, b"", Some(b""));
        check(Encoding::Base64, b"SGVs!bG8=", None);
        check(Encoding::QuotedPrintable, b"Gr=FC=\r\n=DFe \r\nx", Some(b"Gr\xfc\xdfe\r\nx"));
        check(Encoding::QuotedPrintable, b"a=3D=3d\r\n\r\n=20\r\nb=  \r\nc= ", Some(b"a==\r\n\r\n \r\nbc"));
        check(Encoding::QuotedPrintable, b"", Some(b""));
        for damaged in [b"50 = 50".as_slice(), b"=ZZ", b"=4", b"=+1", b"a==\r\n"] {
            check(Encoding::QuotedPrintable, damaged, None);
        }
    }
}
