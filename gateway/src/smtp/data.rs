//! Reads a message after DATA: only CRLF ends a line, only CRLF.CRLF ends the message, dot-stuffing is undone.
//!
//! A CR without LF, an LF without CR and NUL break the message off, wherever they stand: another server might take them
//! for the end, and what follows for commands. Does no I/O: whoever reads feeds slices of any length.
//!
//! Security: holds at most the limit, and much less where it is relieved ([`super::overflow`]); what exceeds it is counted, scanned and forgotten.
//!
//! Standards: RFC 5321 2.3.8, 4.1.1.4, 4.5.2.

use memchr::memchr3;

use crate::Rejection;

/// How a message ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DataEnd {
    /// Whole, with what its reader was relieved of: lines end with CRLF.
    Message(Vec<u8>),
    /// Read to its end and forgotten.
    Dropped(Rejection),
    /// Client and server no longer agree on where the message ends, or it goes on forever: only closing is safe.
    Broken(Rejection),
}

#[derive(Clone, Copy, Debug)]
enum State {
    LineStart,
    Text,
    AfterCr,
    /// After a dot that began a line.
    AfterDot,
    AfterDotCr,
}

/// One message.
#[derive(Debug)]
pub(super) struct DataReader {
    state: State,
    limit: usize,
    /// What of it is in memory.
    pub(super) message: Vec<u8>,
    /// Octets of the message so far, kept or not.
    length: usize,
    pub(super) dropped: Option<Rejection>,
}

impl DataReader {
    /// For a message of at most `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self { state: State::LineStart, limit, message: Vec::new(), length: 0, dropped: None }
    }

    /// Forgets the message; the rest is read for its end only, which brings `why`.
    pub fn drop_for(&mut self, why: Rejection) {
        self.dropped.get_or_insert(why);
        self.message = Vec::new();
    }

    /// Takes octets up to the end of the message, and says what is left of `bytes` after it.
    pub fn feed<'a>(&mut self, bytes: &'a [u8]) -> (Option<DataEnd>, &'a [u8]) {
        let bare = Some(DataEnd::Broken(Rejection::BARE_LINE_ENDING));
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            self.state = match (self.state, byte) {
                (State::AfterCr, b'\n') => {
                    self.keep(b"\r\n");
                    State::LineStart
                }
                (State::AfterDotCr, b'\n') => return (Some(self.finish()), after),
                (State::AfterCr | State::AfterDotCr, _) | (_, b'\n') => return (bare, after),
                (_, 0) => return (Some(DataEnd::Broken(Rejection::NUL)), after),
                (State::AfterDot, b'\r') => State::AfterDotCr,
                (State::LineStart | State::Text, b'\r') => State::AfterCr,
                (State::LineStart, b'.') => State::AfterDot,
                (State::LineStart | State::Text | State::AfterDot, _) => {
                    let (text, after) = rest.split_at(memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len()));
                    self.keep(text);
                    self.state = State::Text;
                    rest = after;
                    continue;
                }
            };
            rest = after;
        }
        // Twice the limit: a client that reads no SIZE and no reply is not waited for.
        let endless = self.length / 2 > self.limit;
        (endless.then_some(DataEnd::Broken(Rejection::TOO_LARGE)), rest)
    }

    fn keep(&mut self, text: &[u8]) {
        self.length = self.length.saturating_add(text.len());
        if self.length > self.limit {
            self.drop_for(Rejection::TOO_LARGE);
        }
        if self.dropped.is_none() {
            self.message.extend_from_slice(text);
        }
    }

    fn finish(&mut self) -> DataEnd {
        let message = std::mem::take(&mut self.message);
        self.dropped.map_or(DataEnd::Message(message), DataEnd::Dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end, and what is left after it.
    fn read(limit: usize, pieces: &[&[u8]]) -> (Option<DataEnd>, Vec<u8>) {
        let mut reader = DataReader::new(limit);
        for (index, piece) in pieces.iter().enumerate() {
            let (end, rest) = reader.feed(piece);
            if end.is_some() {
                let mut left = rest.to_vec();
                left.extend(pieces[index + 1..].concat());
                return (end, left);
            }
            assert!(rest.is_empty(), "stopped early without an end");
        }
        (None, Vec::new())
    }

    fn check(limit: usize, input: &str, expected: Option<DataEnd>, left: &str) {
        let bytes = input.as_bytes();
        let expected = (expected, left.as_bytes().to_vec());
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(limit, &single), expected, "byte by byte: {input:?}");
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(read(limit, &[head, tail]), expected, "{input:?} split at {at}");
        }
    }

    #[test]
    fn messages_at_every_split() {
        for (input, message, left) in [
            (".\r\n", "", ""),
            ("\r\n.\r\n", "\r\n", ""),
            ("a\r\n.\r\n", "a\r\n", ""),
            ("a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n"),
            ("..\r\n.\r\n", ".\r\n", ""),
            ("...\r\n.\r\n", "..\r\n", ""),
            (".a\r\n.\r\n", "a\r\n", ""),
            ("..a\r\n..b\r\n.\r\n", ".a\r\n.b\r\n", ""),
            ("a.\r\nb..\r\n.\r\n", "a.\r\nb..\r\n", ""),
            ("a\r\n..\r\n.\r\n", "a\r\n.\r\n", ""),
            ("a\r\n. \r\n.\r\n", "a\r\n \r\n", ""),
            ("Subject: a\r\n\r\nb\r\n.\r\n", "Subject: a\r\n\r\nb\r\n", ""),
            ("ä\r\n.\r\n.\r\n", "ä\r\n", ".\r\n"),
        ] {
            check(100, input, Some(DataEnd::Message(message.into())), left);
        }
    }

    #[test]
    fn smuggling_at_every_split() {
        let bare = || Some(DataEnd::Broken(Rejection::BARE_LINE_ENDING));
        let nul = || Some(DataEnd::Broken(Rejection::NUL));
        for (input, expected, left) in [
            ("a\n.\nX", bare(), ".\nX"),
            ("a\n.\r\nX", bare(), ".\r\nX"),
            ("a\r\n.\nX", bare(), "X"),
            ("a\r\n.\rX", bare(), ""),
            ("a\r.\rX", bare(), "\rX"),
            ("a\r.\r\nX", bare(), "\r\nX"),
            ("a\r\r\n.\r\n", bare(), "\n.\r\n"),
            ("a\r\n.\r\r\nX", bare(), "\nX"),
            ("a\r\n\r.\r\n", bare(), "\r\n"),
            ("a\r\n.\r.\r\n", bare(), "\r\n"),
            ("\n.\r\n", bare(), ".\r\n"),
            (".\n", bare(), ""),
            ("..\n", bare(), ""),
            ("a\r\n\n", bare(), ""),
            ("a\0\r\n.\r\n", nul(), "\r\n.\r\n"),
            ("\0", nul(), ""),
            ("a\r\n.\0\r\n", nul(), "\r\n"),
            ("a\r\n\0.\r\n", nul(), ".\r\n"),
            ("a\r\0\n.\r\n", bare(), "\n.\r\n"),
            ("a\r\n.\r\0\n", bare(), "\n"),
        ] {
            check(100, input, expected, left);
        }
    }

    #[test]
    fn unfinished() {
        for input in ["", "a", "a\r", "a\r\n", "a\r\n.", "a\r\n.\r", ".", "..", "a\r\n..\r\n"] {
            check(100, input, None, "");
        }
    }

    #[test]
    fn size_is_exact_and_stuffing_does_not_count() {
        check(6, "..34\r\n.\r\n", Some(DataEnd::Message(".34\r\n".into())), "");
        check(5, "..34\r\n.\r\n", Some(DataEnd::Message(".34\r\n".into())), "");
        check(4, "..34\r\n.\r\n", Some(DataEnd::Dropped(Rejection::TOO_LARGE)), "");
        check(0, ".\r\n", Some(DataEnd::Message(Vec::new())), "");
    }

    #[test]
    fn oversize_is_forgotten_at_once_and_still_watched() {
        let mut reader = DataReader::new(10);
        assert_eq!(reader.feed(b"123456789012345\r\n"), (None, &b""[..]));
        assert_eq!(reader.message.capacity(), 0);
        assert_eq!(reader.feed(b"\n").0, Some(DataEnd::Broken(Rejection::BARE_LINE_ENDING)));
    }

    #[test]
    fn endless_message_is_given_up() {
        let mut reader = DataReader::new(10);
        assert_eq!(reader.feed(&[b'x'; 21]).0, None);
        assert_eq!(reader.feed(b"x").0, Some(DataEnd::Broken(Rejection::TOO_LARGE)));
    }

    #[test]
    fn dropped_keeps_the_first_reason() {
        let mut reader = DataReader::new(10);
        reader.drop_for(Rejection::STORAGE_FULL);
        assert_eq!(reader.feed(b"123456789012345\r\n.\r\n").0, Some(DataEnd::Dropped(Rejection::STORAGE_FULL)));
    }
}
