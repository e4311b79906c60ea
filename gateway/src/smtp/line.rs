//! Cuts the client's octets into command lines: CRLF ends a line, nothing else does.
//!
//! Does no I/O: whoever reads feeds slices of any length.
//!
//! Standards: RFC 5321 2.3.8 (line endings), 4.5.3.1.4 (512 octets).

use super::command::announces_octets;
use crate::Rejection;

/// Octets of a command line, CRLF included.
const LIMIT: usize = 512;
/// The same for commands with parameters. RFC 1870 (26), RFC 6152 (17), RFC 6531 (10), RFC 3461 (109 and 528), RFC 4954 (500)
/// and XCLIENT add to it; sign-in of at most 255 octets each for name and password, as base64, fits as well.
const LIMIT_WITH_PARAMETERS: usize = 2048;
/// An overlong line is skipped up to here; who goes on has no command to give.
const PATIENCE: usize = 64 * 1024;

/// What a line turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its CRLF; holds no CR, LF or NUL.
    Command(Vec<u8>),
    /// A whole line that is refused; the next one may be fine.
    Refused(Rejection),
    /// Client and server no longer agree on where lines end: only closing is safe.
    Broken(Rejection),
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    AfterCr,
}

/// One line after the other.
#[derive(Debug, Default)]
pub(super) struct LineReader {
    state: State,
    text: Vec<u8>,
    /// Octets of this line so far, kept or not.
    seen: usize,
    fault: Option<Rejection>,
    /// In an exchange of AUTH: the line has no verb.
    is_answer: bool,
}

impl LineReader {
    /// The next line answers a question of ours in an exchange of AUTH.
    pub fn expect_answer(&mut self) {
        self.is_answer = true;
    }

    /// Takes octets up to the end of one line, and says what is left of `bytes` after it.
    pub fn feed<'a>(&mut self, bytes: &'a [u8]) -> (Option<Line>, &'a [u8]) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if let Some(line) = self.push(byte) {
                return (Some(line), rest);
            }
        }
        (None, rest)
    }

    fn push(&mut self, byte: u8) -> Option<Line> {
        self.seen += 1;
        match (&self.state, byte) {
            (State::AfterCr, b'\n') => return Some(self.finish()),
            (State::AfterCr, _) | (State::Text, b'\n') => return Some(Line::Broken(Rejection::BARE_LINE_ENDING)),
            (State::Text, b'\r') => self.state = State::AfterCr,
            (State::Text, 0) => return Some(Line::Broken(Rejection::NUL)),
            (State::Text, _) if self.seen > self.limit() - 2 => {
                let is_auth = self.is_answer || self.begins_with(b"AUTH ");
                let fault = if is_auth { Rejection::AUTH_TOO_LONG } else { Rejection::LINE_TOO_LONG };
                self.fault.get_or_insert(fault);
            }
            (State::Text, _) => self.text.push(byte),
        }
        (self.seen > PATIENCE).then_some(Line::Broken(Rejection::LINE_TOO_LONG))
    }

    fn limit(&self) -> usize {
        const LONG: [&[u8]; 4] = [b"MAIL ", b"RCPT ", b"AUTH ", b"XCLIENT "];
        let is_long = self.is_answer || LONG.iter().any(|verb| self.begins_with(verb));
        if is_long { LIMIT_WITH_PARAMETERS } else { LIMIT }
    }

    fn begins_with(&self, verb: &[u8]) -> bool {
        self.text.get(..verb.len()).is_some_and(|found| found.eq_ignore_ascii_case(verb))
    }

    fn finish(&mut self) -> Line {
        let Self { text, fault, is_answer, .. } = std::mem::take(self);
        match fault {
            None => Line::Command(text),
            // What follows may be the octets that the line announces.
            Some(rejection) if !is_answer && announces_octets(&text) => Line::Broken(rejection),
            Some(rejection) => Line::Refused(rejection),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzzing::lines as read;
    use super::*;

    fn command(text: &str) -> Line {
        Line::Command(text.into())
    }

    #[test]
    fn lines_at_every_split() {
        let long = format!("NOOP {}\r\nQUIT\r\n", "x".repeat(600));
        let bare = || Line::Broken(Rejection::BARE_LINE_ENDING);
        let table: Vec<(&str, Vec<Line>)> = vec![
            ("NOOP\r\n", vec![command("NOOP")]),
            ("\r\n", vec![command("")]),
            ("A\r\nB\r\nC", vec![command("A"), command("B")]),
            ("NOOP\nQUIT\r\n", vec![bare()]),
            ("NOOP\rQUIT\r\n", vec![bare()]),
            ("NOOP\r\r\nQUIT\r\n", vec![bare()]),
            ("NOOP\n\r\n", vec![bare()]),
            ("\nNOOP\r\n", vec![bare()]),
            ("A\r\nB\n", vec![command("A"), bare()]),
            ("NO\0OP\r\nQUIT\r\n", vec![Line::Broken(Rejection::NUL)]),
            ("NOOP\r\0\n", vec![bare()]),
            ("NOOP\0\n", vec![Line::Broken(Rejection::NUL)]),
            (&long, vec![Line::Refused(Rejection::LINE_TOO_LONG), command("QUIT")]),
        ];
        for (input, expected) in table {
            let bytes = input.as_bytes();
            assert_eq!(read(bytes.chunks(1)), expected, "byte by byte: {input:?}");
            for at in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(at);
                assert_eq!(read([head, tail]), expected, "{input:?} split at {at}");
            }
        }
    }

    #[test]
    fn limits_are_exact() {
        let check = |verb: &str, octets: usize, fits: bool| {
            let line = format!("{verb}{}\r\n", "x".repeat(octets - verb.len() - 2));
            assert_eq!(line.len(), octets);
            let refused = if verb == "Auth " { Rejection::AUTH_TOO_LONG } else { Rejection::LINE_TOO_LONG };
            let expected = if fits { Line::Command(line.trim_end().into()) } else { Line::Refused(refused) };
            assert_eq!(read([line.as_bytes()]), [expected], "{verb}{octets}");
        };
        check("NOOP ", 512, true);
        check("NOOP ", 513, false);
        for verb in ["MAIL ", "rcpt ", "Auth ", "XCLIENT "] {
            check(verb, 2048, true);
            check(verb, 2049, false);
        }
        check("MAILX", 513, false);
    }

    #[test]
    fn the_manual_says_the_limits() {
        let manual = include_str!("../../../deploy/sealpost.toml");
        let limits = format!(
            "at most {LIMIT} bytes, of MAIL, RCPT, AUTH and XCLIENT, which have parameters, {LIMIT_WITH_PARAMETERS};"
        );
        assert!(manual.contains(&limits), "{limits}");
    }

    #[test]
    fn overlong_bdat_breaks_and_overlong_answers_of_auth_do_not() {
        for verb in ["BDAT 1", "bdat", "\tBDAT\t5"] {
            let line = format!("{verb} {}\r\n", "x".repeat(600));
            assert_eq!(read([line.as_bytes()]), [Line::Broken(Rejection::LINE_TOO_LONG)], "{verb}");
        }
        for (octets, fits) in [(2048, true), (2049, false)] {
            let mut reader = LineReader::default();
            reader.expect_answer();
            let line = format!("BDAT {}\r\n", "x".repeat(octets - 7));
            let expected =
                if fits { Line::Command(line.trim_end().into()) } else { Line::Refused(Rejection::AUTH_TOO_LONG) };
            assert_eq!(reader.feed(line.as_bytes()), (Some(expected), &b""[..]));
            let next = format!("NOOP {}\r\n", "x".repeat(600));
            assert_eq!(
                reader.feed(next.as_bytes()).0,
                Some(Line::Refused(Rejection::LINE_TOO_LONG)),
                "one answer only"
            );
        }
    }

    #[test]
    fn endless_line_is_given_up_and_never_kept() {
        let mut reader = LineReader::default();
        let mut fed = 0;
        loop {
            let (line, _) = reader.feed(&[b'x'; 1024]);
            fed += 1024;
            assert!(reader.text.capacity() <= 2 * LIMIT_WITH_PARAMETERS);
            match line {
                None => assert!(fed <= PATIENCE),
                Some(line) => break assert_eq!(line, Line::Broken(Rejection::LINE_TOO_LONG)),
            }
        }
    }
}
