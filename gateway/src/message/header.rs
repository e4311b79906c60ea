//! A header section, cut into fields without changing a byte.
//!
//! Reading values is mail-parser's work, one field at a time; where fields begin and end is decided here and only here,
//! so that what policy saw is what gets removed on the way out.
//! Standards: RFC 5322 2.2, 4.2 (blanks before the colon are an obsolete form that is still read).

use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, Address, ContentType, HeaderValue};

use super::limits;

/// Why a header section can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub(crate) enum HeaderError {
    #[error("the header section is too large")]
    TooLarge,
    #[error("the header section has too many fields")]
    TooManyFields,
    #[error("a line of the header section is no field")]
    NotAField,
}

/// What to do about a line that is no field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// An error: control headers behind it would be missed.
    Message,
    /// The body begins there, as mail readers have it.
    Part,
}

/// One field with all its lines.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    /// As written, without blanks.
    pub name: &'a str,
    /// Behind the colon, folding and final line ending included.
    pub value: &'a [u8],
    /// Name, colon, value.
    pub whole: &'a [u8],
}

impl<'a> Field<'a> {
    /// From all lines of one field.
    pub fn read(whole: &'a [u8]) -> Option<Self> {
        let colon = memchr::memchr(b':', whole)?;
        let (name, rest) = whole.split_at_checked(colon)?;
        let name = std::str::from_utf8(name.trim_ascii_end()).ok()?;
        let well_formed = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
        well_formed.then_some(Self { name, value: rest.get(1..)?, whole })
    }

    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn terminated(&self) -> Vec<u8> {
        let mut value = self.value.trim_ascii().to_vec();
        value.extend_from_slice(b"\r\n");
        value
    }

    /// Unstructured text, encoded-words decoded, in one line.
    pub fn text(&self) -> String {
        printable(&self.unstructured())
    }

    /// The same as it stands: control characters in, blanks around it too where they were encoded.
    pub fn unstructured(&self) -> String {
        match MessageStream::new(&self.terminated()).parse_unstructured() {
            HeaderValue::Text(text) => text.into_owned(),
            _ => String::new(),
        }
    }

    /// Each address with its display name; groups are flattened.
    pub fn addresses(&self) -> Vec<(String, String)> {
        let one = |addr: &Addr<'_>| {
            let address = addr.address.as_deref()?.trim().to_owned();
            Some((addr.name.as_deref().map(printable).unwrap_or_default(), address))
        };
        match MessageStream::new(&self.terminated()).parse_address() {
            HeaderValue::Address(Address::List(list)) => list.iter().filter_map(one).collect(),
            HeaderValue::Address(Address::Group(groups)) => {
                groups.iter().flat_map(|group| &group.addresses).filter_map(one).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Message ids without angle brackets.
    pub fn ids(&self) -> Vec<String> {
        match MessageStream::new(&self.terminated()).parse_id() {
            HeaderValue::Text(id) => vec![printable(&id)],
            HeaderValue::TextList(ids) => ids.iter().map(|id| printable(id)).collect(),
            _ => Vec::new(),
        }
    }

    /// Seconds since the epoch, where the field is a date.
    pub fn date(&self) -> Option<i64> {
        match MessageStream::new(&self.terminated()).parse_date() {
            HeaderValue::DateTime(date) if date.is_valid() => Some(date.to_timestamp()),
            _ => None,
        }
    }

    /// A value with parameters, as in Content-Type and Content-Disposition.
    pub fn content_type(&self) -> Option<ContentType<'static>> {
        match MessageStream::new(&self.terminated()).parse_content_type() {
            HeaderValue::ContentType(content_type) => {
                HeaderValue::ContentType(content_type).into_owned().into_content_type()
            }
            _ => None,
        }
    }

    /// The value's first word in lower case, comments apart: `Base64 (really)` is `base64`.
    pub fn word(&self) -> String {
        let value = String::from_utf8_lossy(self.value);
        let end = |c: char| c.is_whitespace() || matches!(c, ';' | '(' | ',');
        value.trim().split(end).next().unwrap_or_default().to_ascii_lowercase()
    }
}

/// A header section and what follows it.
pub(crate) struct Header<'a> {
    pub fields: Vec<Field<'a>>,
    /// Behind the empty line; empty where there is none.
    pub body: &'a [u8],
}

impl<'a> Header<'a> {
    /// Cuts `bytes` at the first empty line (or its end).
    pub fn read(bytes: &'a [u8], strictness: Strictness) -> Result<Self, HeaderError> {
        let mut fields = Vec::new();
        let mut rest = bytes;
        loop {
            if rest.is_empty() {
                return Ok(Self { fields, body: rest });
            }
            let (line, after) = first_line(rest);
            if is_empty_line(line) {
                return Ok(Self { fields, body: after });
            }
            let (whole, after) = first_field(rest);
            if bytes.len().saturating_sub(after.len()) > limits::HEADER {
                return Err(HeaderError::TooLarge);
            }
            let starts_with_blank = line.first().is_some_and(|b| is_blank(*b));
            match Field::read(whole) {
                Some(field) if !starts_with_blank => fields.push(field),
                _ if strictness == Strictness::Part => return Ok(Self { fields, body: rest }),
                _ => return Err(HeaderError::NotAField),
            }
            if fields.len() > limits::FIELDS {
                return Err(HeaderError::TooManyFields);
            }
            rest = after;
        }
    }

    pub fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h Field<'a>> {
        self.fields.iter().filter(move |field| field.is(name))
    }

    pub fn first(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.is(name))
    }
}

/// The first line with its ending, and the rest.
pub(crate) fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at.saturating_add(1));
    bytes.split_at_checked(end).unwrap_or((bytes, &[]))
}

/// The first line and those that continue it, and the rest.
pub(crate) fn first_field(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut length = first_line(bytes).0.len();
    while let Some(rest) = bytes.get(length..).filter(|rest| rest.first().is_some_and(|b| is_blank(*b))) {
        length = length.saturating_add(first_line(rest).0.len());
    }
    bytes.split_at_checked(length).unwrap_or((bytes, &[]))
}

/// Whether a line ends the header section.
pub(crate) fn is_empty_line(line: &[u8]) -> bool {
    matches!(line, b"\r\n" | b"\n" | b"\r" | b"")
}

pub(crate) fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

/// One line without control characters and without marks that turn the direction of what follows.
pub(crate) fn printable(text: &str) -> String {
    let kept = |c: &char| !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text: String = text.chars().filter(kept).map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_bytes() {
        let bytes = b"Subject : a\r\n\tb\r\nX: \xff\r\n\r\nbody";
        let header = Header::read(bytes, Strictness::Message).unwrap();
        assert_eq!(header.fields[0].whole, b"Subject : a\r\n\tb\r\n");
        assert_eq!(header.fields[0].text(), "a b");
        assert_eq!(header.fields[1].value, b" \xff\r\n");
        assert_eq!(header.body, b"body");
    }

    #[test]
    fn what_is_no_header() {
        let refused = |bytes: &[u8]| Header::read(bytes, Strictness::Message).err();
        assert_eq!(refused(b"hello\r\nSubject: x\r\n\r\n"), Some(HeaderError::NotAField));
        assert_eq!(refused(b" folded first\r\n\r\n"), Some(HeaderError::NotAField));
        assert_eq!(refused(b": no name\r\n\r\n"), Some(HeaderError::NotAField));
        assert_eq!(refused(b"From somebody Mon Jan 1 2026\r\n\r\n"), Some(HeaderError::NotAField));
        assert_eq!(refused("Süß: x\r\n\r\n".as_bytes()), Some(HeaderError::NotAField));
        assert_eq!(refused(&b"A: b\r\n".repeat(limits::FIELDS + 1)), Some(HeaderError::TooManyFields));
        let long = [b"A: ".as_slice(), &b"x".repeat(limits::HEADER)].concat();
        assert_eq!(refused(&long), Some(HeaderError::TooLarge));
        assert_eq!(refused(b"\r\nno header at all"), None);
        assert_eq!(refused(b""), None);
    }

    #[test]
    fn values_survive_any_bytes() {
        // Every two-byte ending and every special in every position: mail-parser must not panic on any.
        let specials = b"=?utf-8?q?\"\\()<>@,;:[]*'%\r\n\t \xff\xc3a1";
        for a in specials {
            for b in specials {
                for c in specials {
                    let whole = [b"X:a", [*a, *b, *c].as_slice()].concat();
                    let field = Field::read(&whole).unwrap();
                    let _ = (
                        field.text(),
                        field.addresses(),
                        field.ids(),
                        field.date(),
                        field.content_type(),
                        field.word(),
                    );
                }
            }
        }
    }
}
