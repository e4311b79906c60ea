//! Puts a reply together from octets as they come. Does no I/O.
//!
//! A lone LF ends a line as well: nothing of ours depends on where replies' lines end.
//!
//! Security: a line's length and the lines of a reply are bounded; what is kept is one line more than was read at once.
//!
//! Standards: RFC 5321 4.2.1 (all lines have one code).

use memchr::memchr;

use super::{LONGEST_LINE, Line, MOST_LINES, NotAReply, Reply, line};

/// One reply after the other. After an error there are none any more.
#[derive(Debug, Default)]
pub(in super::super) struct ReplyReader {
    /// Octets that are no line yet.
    ahead: Vec<u8>,
    /// A reply whose last line hasn't come.
    begun: Option<Reply>,
}

impl ReplyReader {
    /// More of what the server says.
    pub(in super::super) fn take(&mut self, octets: &[u8]) {
        self.ahead.extend_from_slice(octets);
    }

    /// Whether the server has said nothing beyond the replies that were handed out.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.ahead.is_empty() && self.begun.is_none()
    }

    /// The next reply, if it is whole.
    pub(in super::super) fn reply(&mut self) -> Result<Option<Reply>, NotAReply> {
        while let Some(bytes) = self.line()? {
            let (code, end, text) = line(&bytes)?;
            let begun = self.begun.get_or_insert_with(|| Reply { code, lines: Vec::new() });
            if begun.code != code {
                return Err(NotAReply);
            }
            begun.lines.push(text.to_vec());
            match end {
                Line::Last => return Ok(self.begun.take()),
                Line::More if begun.lines.len() >= MOST_LINES => return Err(NotAReply),
                Line::More => {}
            }
        }
        Ok(None)
    }

    /// One line without its ending.
    fn line(&mut self) -> Result<Option<Vec<u8>>, NotAReply> {
        let end = memchr(b'\n', &self.ahead);
        if end.unwrap_or(self.ahead.len()) >= LONGEST_LINE {
            return Err(NotAReply);
        }
        let Some(end) = end else { return Ok(None) };
        let mut line: Vec<u8> = self.ahead.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fuzzing::replies;
    use super::*;

    fn reply(code: u16, lines: &[&str]) -> Reply {
        Reply { code, lines: lines.iter().map(|line| line.as_bytes().to_vec()).collect() }
    }

    #[test]
    fn replies_at_every_split() {
        let many = "250-x\r\n".repeat(MOST_LINES - 1) + "250 y\r\n";
        let all: Vec<&str> = std::iter::repeat_n("x", MOST_LINES - 1).chain(["y"]).collect();
        let table: Vec<(&str, Vec<Reply>, bool)> = vec![
            ("", vec![], true),
            ("250 ok\r\n", vec![reply(250, &["ok"])], true),
            ("250 ok\n", vec![reply(250, &["ok"])], true),
            ("250 ok", vec![], true),
            ("250-a\r\n250-b\r\n250 c\r\n354 d\r\n", vec![reply(250, &["a", "b", "c"]), reply(354, &["d"])], true),
            ("250-a\r\n250\r\n", vec![reply(250, &["a", ""])], true),
            ("250-a\r\n550 b\r\n250 c\r\n", vec![], false),
            ("250 a\r\nwhat\r\n250 c\r\n", vec![reply(250, &["a"])], false),
            ("250 a\r\r\n", vec![reply(250, &["a\r"])], true),
            ("\r\n", vec![], false),
            (&many, vec![reply(250, &all)], true),
        ];
        for (input, expected, holds) in table {
            let bytes = input.as_bytes();
            for at in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(at);
                assert_eq!(replies([head, tail]), (expected.clone(), holds), "{input:?} split at {at}");
            }
            assert_eq!(replies(bytes.chunks(1)), (expected, holds), "octet by octet: {input:?}");
        }
    }

    #[test]
    fn limits_are_exact() {
        let line = |octets: usize| format!("250 {}\r\n", "x".repeat(octets - 6));
        let endless = |lines: usize| "250-x\r\n".repeat(lines);
        for (input, holds) in [
            (line(LONGEST_LINE), true),
            (line(LONGEST_LINE + 1), false),
            ("2".repeat(LONGEST_LINE - 1), true),
            ("2".repeat(LONGEST_LINE), false),
            (endless(MOST_LINES - 1), true),
            (endless(MOST_LINES), false),
        ] {
            assert_eq!(replies([input.as_bytes()]).1, holds, "{} octets", input.len());
            assert_eq!(replies(input.as_bytes().chunks(1)).1, holds, "{} octets, one by one", input.len());
        }
    }

    #[test]
    fn half_a_reply_is_something_said() {
        let mut reader = ReplyReader::default();
        for (octets, empty) in [("250-a\r\n", false), ("250", false), (" b\r\n", true)] {
            reader.take(octets.as_bytes());
            reader.reply().unwrap();
            assert_eq!(reader.is_empty(), empty, "{octets:?}");
        }
    }
}
