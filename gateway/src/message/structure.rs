//! The MIME structure of a message: a flat list of parts in the order they stand in, found in one pass over its lines.
//!
//! There is no recursion, and messages within the message are leaves: their inside is nobody's business here. A parser
//! that entered them could be led a hundred thousand levels down.
//! Standards: RFC 2046 5.1 (multiparts), RFC 2045 5.2 (defaults), RFC 3676 (flowed text).

use std::borrow::Cow;

use mail_parser::ContentType;

use super::decode::{self, Encoding};
use super::flowed::{self, SoftBreak};
use super::header::{Header, Strictness, first_line, is_empty_line};
use super::limits;

/// Why a message is sealed whole.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Unreadable {
    #[error("a part's header can't be read")]
    Header,
    #[error("a multipart has no boundary")]
    NoBoundary,
    #[error("a multipart does not end")]
    Unterminated,
    #[error("a multipart has no part")]
    Empty,
    #[error("multiparts lie too deep in each other")]
    TooDeep,
    #[error("there are too many parts")]
    TooManyParts,
    #[error("a transfer encoding is unknown or its data is damaged")]
    Encoding,
}

/// One part: a multipart or a leaf.
pub(crate) struct Node<'a> {
    pub parent: Option<usize>,
    pub children: Vec<usize>,
    pub header: Header<'a>,
    /// Lower case, such as `text`, `plain`.
    pub main: String,
    pub sub: String,
    pub content_type: Option<ContentType<'static>>,
    pub disposition: Option<ContentType<'static>>,
    /// A leaf's content, still encoded.
    pub content: &'a [u8],
}

impl Node<'_> {
    pub fn is(&self, main: &str, sub: &str) -> bool {
        self.main == main && self.sub == sub
    }

    pub fn is_multipart(&self) -> bool {
        self.main == "multipart"
    }

    /// The leaf's bytes.
    pub fn decoded(&self) -> Result<Cow<'_, [u8]>, Unreadable> {
        decode::transfer(Encoding::of(&self.header)?, self.content)
    }

    /// The leaf's text, from whatever character set, flowed lines put together.
    pub fn text(&self) -> Result<String, Unreadable> {
        let attribute = |name: &str| self.content_type.as_ref().and_then(|content_type| content_type.attribute(name));
        let is = |name: &str, value: &str| attribute(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
        let text = decode::characters(&self.decoded()?, attribute("charset"));
        if !self.is("text", "plain") || !is("format", "flowed") {
            return Ok(text);
        }
        let soft_break = if is("delsp", "yes") { SoftBreak::DropsBlank } else { SoftBreak::KeepsBlank };
        Ok(flowed::unbroken(&text, soft_break))
    }

    /// Content-ID without angle brackets.
    pub fn content_id(&self) -> Option<String> {
        self.header.first("Content-ID").and_then(|field| field.ids().into_iter().next())
    }
}

/// All parts; the first is the message itself.
pub(crate) struct Structure<'a> {
    pub nodes: Vec<Node<'a>>,
}

/// Where the pass is within an open multipart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Preamble,
    Parts,
    Epilogue,
}

struct Open {
    node: usize,
    boundary: Vec<u8>,
    place: Place,
}

struct Walk<'a> {
    bytes: &'a [u8],
    nodes: Vec<Node<'a>>,
    open: Vec<Open>,
    /// The part whose lines are being read: where it starts, and its node once its header has ended.
    part: Option<(usize, Option<usize>)>,
}

/// A line that delimits parts.
enum Delimiter {
    Next,
    Close,
}

impl<'a> Structure<'a> {
    /// Finds the parts of a whole message.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let mut walk = Walk { bytes, nodes: Vec::new(), open: Vec::new(), part: Some((0, None)) };
        let mut at = 0_usize;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let line = first_line(rest).0;
            let next = at.saturating_add(line.len());
            match walk.delimiter(line) {
                Some((level, delimiter)) => walk.delimit(level, &delimiter, at, next)?,
                None if is_empty_line(line) => walk.end_header(next)?,
                None => {}
            }
            at = next;
        }
        walk.end()
    }

    /// Whether every leaf can be decoded.
    pub fn check(&self) -> Result<(), Unreadable> {
        self.nodes.iter().try_for_each(|node| match Encoding::of(&node.header)? {
            Encoding::Identity => Ok(()),
            _ if node.is_multipart() => Err(Unreadable::Encoding),
            _ => node.decoded().map(|_| ()),
        })
    }
}

impl<'a> Walk<'a> {
    /// The open multipart that a line delimits, innermost first.
    fn delimiter(&self, line: &[u8]) -> Option<(usize, Delimiter)> {
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        self.open.iter().enumerate().rev().find_map(|(level, open)| {
            match text.strip_prefix(open.boundary.as_slice())? {
                b"" => Some((level, Delimiter::Next)),
                b"--" => Some((level, Delimiter::Close)),
                _ => None,
            }
        })
    }

    fn delimit(&mut self, level: usize, delimiter: &Delimiter, at: usize, next: usize) -> Result<(), Unreadable> {
        self.end_part(at)?;
        let deeper = level.saturating_add(1);
        if self.open.iter().skip(deeper).any(|open| open.place != Place::Epilogue) {
            return Err(Unreadable::Unterminated);
        }
        self.open.truncate(deeper);
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        match delimiter {
            _ if open.place == Place::Epilogue => {}
            Delimiter::Next => {
                open.place = Place::Parts;
                self.part = Some((next, None));
            }
            Delimiter::Close => open.place = Place::Epilogue,
        }
        Ok(())
    }

    /// The first empty line of a part: now its kind is known.
    fn end_header(&mut self, end: usize) -> Result<(), Unreadable> {
        match self.part {
            Some((start, None)) => self.add(start, end),
            _ => Ok(()),
        }
    }

    fn add(&mut self, start: usize, end: usize) -> Result<(), Unreadable> {
        if self.nodes.len() >= limits::PARTS {
            return Err(Unreadable::TooManyParts);
        }
        let parent = self.open.last().map(|open| open.node);
        let bytes = self.bytes.get(start..end).unwrap_or_default();
        let header = Header::read(bytes, Strictness::Part).map_err(|_| Unreadable::Header)?;
        let node = self.nodes.len();
        let part = self.node(header, parent);
        if part.is_multipart() {
            let boundary = part.content_type.as_ref().and_then(|content_type| content_type.attribute("boundary"));
            let boundary = boundary.unwrap_or_default().trim_ascii_end().as_bytes().to_vec();
            if boundary.is_empty() {
                return Err(Unreadable::NoBoundary);
            }
            if self.open.len() >= limits::DEPTH {
                return Err(Unreadable::TooDeep);
            }
            self.open.push(Open { node, boundary, place: Place::Preamble });
            self.part = None;
        } else {
            self.part = Some((start, Some(node)));
        }
        if let Some(parent) = parent.and_then(|parent| self.nodes.get_mut(parent)) {
            parent.children.push(node);
        }
        self.nodes.push(part);
        Ok(())
    }

    fn node(&self, header: Header<'a>, parent: Option<usize>) -> Node<'a> {
        let field = header.first("Content-Type");
        let content_type = field.and_then(|field| field.content_type());
        let in_digest = parent.and_then(|parent| self.nodes.get(parent)).is_some_and(|p| p.is("multipart", "digest"));
        let (main, sub) = match &content_type {
            Some(found) => {
                (found.ctype().to_ascii_lowercase(), found.subtype().unwrap_or_default().to_ascii_lowercase())
            }
            None if field.is_some() => ("application".to_owned(), "octet-stream".to_owned()),
            // RFC 2046 5.1.5
            None if in_digest => ("message".to_owned(), "rfc822".to_owned()),
            None => ("text".to_owned(), "plain".to_owned()),
        };
        let disposition = header.first("Content-Disposition").and_then(|field| field.content_type());
        let content = header.body;
        Node { parent, children: Vec::new(), header, main, sub, content_type, disposition, content }
    }

    /// The part being read ends before the line at `at`; the line ending before it belongs to the delimiter.
    fn end_part(&mut self, at: usize) -> Result<(), Unreadable> {
        let at = match self.bytes.get(..at) {
            Some([.., b'\r', b'\n']) => at.saturating_sub(2),
            Some([.., b'\n']) => at.saturating_sub(1),
            _ => at,
        };
        self.close_part(at)
    }

    fn close_part(&mut self, end: usize) -> Result<(), Unreadable> {
        if let Some((start, None)) = self.part {
            self.add(start, end.max(start))?;
        }
        if let Some((start, Some(node))) = self.part.take()
            && let Some(node) = self.nodes.get_mut(node)
        {
            let part = self.bytes.get(start..end).unwrap_or_default();
            node.content = Header::read(part, Strictness::Part).map_err(|_| Unreadable::Header)?.body;
        }
        Ok(())
    }

    fn end(mut self) -> Result<Structure<'a>, Unreadable> {
        self.close_part(self.bytes.len())?;
        if self.open.iter().any(|open| open.place != Place::Epilogue) {
            return Err(Unreadable::Unterminated);
        }
        if self.nodes.iter().any(|node| node.is_multipart() && node.children.is_empty()) {
            return Err(Unreadable::Empty);
        }
        Ok(Structure { nodes: self.nodes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Result<String, Unreadable> {
        let text = text.replace('\n', "\r\n");
        let structure = Structure::read(text.as_bytes())?;
        structure.check()?;
        let one = |node: &Node<'_>| {
            let parent = node.parent.map_or("-".to_owned(), |parent| parent.to_string());
            format!("{parent}:{}/{}:{}", node.main, node.sub, String::from_utf8_lossy(node.content))
        };
        Ok(structure.nodes.iter().map(one).collect::<Vec<_>>().join(" | "))
    }

    #[test]
    fn shapes() {
        for (text, expected) in [
            ("Subject: x\n\nhello\n", "-:text/plain:hello\r\n"),
            ("Subject: x\n", "-:text/plain:"),
            ("", "-:text/plain:"),
            (
                "Content-Type: multipart/mixed; boundary=\"a b\"\n\npre\n--a b  \n\none\n--a b\nContent-Type: x/y\n--a b--\nepi\n--a b\n",
                "-:multipart/mixed: | 0:text/plain:one | 0:x/y:",
            ),
            (
                "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/digest; boundary=ab\n\n--ab\n\nSubject: in\n\n--a-\n--ab--\n\n--a\n\n2\n--a--",
                "-:multipart/mixed: | 0:multipart/digest: | 1:message/rfc822:Subject: in\r\n\r\n--a- | 0:text/plain:2",
            ),
            (
                "Content-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=x\n\n--x\n",
                "-:message/rfc822:Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
            ),
            (
                "Content-Type: multipart/mixed; boundary=a:b\n\n--a:b\n\nx\n--a:b--\n",
                "-:multipart/mixed: | 0:text/plain:x",
            ),
            ("Content-Type: ;;;\n\nx", "-:application/octet-stream:x"),
        ] {
            assert_eq!(shape(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn unreadable_ones() {
        let multipart = "Content-Type: multipart/mixed; boundary=a\n";
        for (text, expected) in [
            ("Content-Type: multipart/mixed\n\n--a\n\nx\n--a--\n".to_owned(), Unreadable::NoBoundary),
            ("Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\nx\n----\n".to_owned(), Unreadable::NoBoundary),
            (format!("{multipart}\n--a\n\nx\n"), Unreadable::Unterminated),
            (format!("{multipart}\nx\n"), Unreadable::Unterminated),
            (format!("{multipart}\n--a--\n"), Unreadable::Empty),
            (
                format!("{multipart}\n--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--a--\n"),
                Unreadable::Unterminated,
            ),
            (format!("{multipart}Content-Transfer-Encoding: base64\n\n--a\n\nx\n--a--\n"), Unreadable::Encoding),
            ("Content-Transfer-Encoding: base64\n\nSGVs*G8=\n".to_owned(), Unreadable::Encoding),
            ("Content-Transfer-Encoding: quoted-printable\n\nGr=ZZe\n".to_owned(), Unreadable::Encoding),
            ("Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n".to_owned(), Unreadable::Encoding),
            (format!("{multipart}\n{}--a--\n", "--a\n\n\n".repeat(limits::PARTS)), Unreadable::TooManyParts),
        ] {
            assert_eq!(shape(&text), Err(expected), "{}", text.get(..text.len().min(200)).unwrap_or_default());
        }
        let mut deep = String::new();
        for level in 0..200_000 {
            deep.push_str(&format!("--b{level}\nContent-Type: multipart/mixed; boundary=b{}\n\n", level + 1));
        }
        assert_eq!(shape(&format!("Content-Type: multipart/mixed; boundary=b0\n\n{deep}")), Err(Unreadable::TooDeep));
        // Nested messages cost nothing, however many.
        let nested = "Content-Type: message/rfc822\n\n".repeat(200_000);
        assert!(shape(&nested).is_ok());
    }
}
