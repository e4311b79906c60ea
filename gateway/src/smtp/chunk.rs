//! Reads a message that comes in counted pieces (BDAT): there is no dot-stuffing and no end to look for.
//!
//! The octets are counted, so a bare CR or LF can't smuggle anything *here*. It could at the next server, which gets the
//! message with DATA: so what DATA refuses is refused here as well, across the edges of pieces too. A message whose last line
//! has no CRLF gets one. Does no I/O.
//!
//! Security: a size is compared with the limit before a single octet is kept; nothing is allocated for what is announced.
//!
//! Standards: RFC 3030.

use memchr::memchr3;

use super::data::DataEnd;
use crate::Rejection;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    Text,
    AfterCr,
}

/// One message.
#[derive(Debug)]
pub(super) struct ChunkReader {
    state: State,
    limit: usize,
    /// What of it is in memory.
    pub(super) message: Vec<u8>,
    length: u64,
    dropped: Option<Rejection>,
}

impl ChunkReader {
    /// For a message of at most `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self { state: State::LineStart, limit, message: Vec::new(), length: 0, dropped: None }
    }

    /// Octets that came or are announced.
    pub fn announce(&mut self, octets: u64) {
        self.length = self.length.saturating_add(octets);
        if usize::try_from(self.length).map_or(true, |length| length > self.limit) {
            self.drop_for(Rejection::TOO_LARGE);
        }
    }

    /// Twice the limit: a client that reads no SIZE and no reply is not waited for.
    pub fn is_endless(&self) -> bool {
        usize::try_from(self.length / 2).map_or(true, |half| half > self.limit)
    }

    /// Why the message is already lost.
    pub fn dropped(&self) -> Option<Rejection> {
        self.dropped
    }

    /// Forgets the message; what follows is only looked through.
    pub fn drop_for(&mut self, why: Rejection) {
        self.dropped.get_or_insert(why);
        self.message = Vec::new();
    }

    /// Takes octets that were announced. An error ends the connection.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Rejection> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            self.state = match (self.state, byte) {
                (State::AfterCr, b'\n') => State::LineStart,
                (State::AfterCr, _) | (_, b'\n') => return Err(Rejection::BARE_LINE_ENDING),
                (_, 0) => return Err(Rejection::NUL),
                (_, b'\r') => State::AfterCr,
                (State::LineStart | State::Text, _) => {
                    let text = memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
                    rest = rest.get(text..).unwrap_or_default();
                    State::Text
                }
            };
        }
        if self.dropped.is_none() {
            self.message.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// After the last piece.
    pub fn finish(mut self) -> DataEnd {
        match (self.state, self.dropped) {
            (State::AfterCr, _) => DataEnd::Broken(Rejection::BARE_LINE_ENDING),
            (_, Some(rejection)) => DataEnd::Dropped(rejection),
            (State::LineStart, None) => DataEnd::Message(self.message),
            (State::Text, None) => {
                self.message.extend_from_slice(b"\r\n");
                DataEnd::Message(self.message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(limit: usize, pieces: &[&[u8]]) -> DataEnd {
        let mut reader = ChunkReader::new(limit);
        for piece in pieces {
            reader.announce(piece.len() as u64);
            if let Err(rejection) = reader.feed(piece) {
                return DataEnd::Broken(rejection);
            }
        }
        reader.finish()
    }

    fn check(limit: usize, input: &str, expected: &DataEnd) {
        let bytes = input.as_bytes();
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(limit, &single), *expected, "octet by octet: {input:?}");
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(read(limit, &[head, tail]), *expected, "{input:?} split at {at}");
        }
    }

    #[test]
    fn messages_at_every_split() {
        let message = |text: &str| DataEnd::Message(text.into());
        for (input, expected) in [
            ("", ""),
            ("a\r\n", "a\r\n"),
            ("a", "a\r\n"),
            ("a\r\nb", "a\r\nb\r\n"),
            ("\r\n", "\r\n"),
            ("a\r\n.\r\nb\r\n", "a\r\n.\r\nb\r\n"),
            ("..\r\n", "..\r\n"),
            ("ä\r\n", "ä\r\n"),
        ] {
            check(100, input, &message(expected));
        }
        check(4, "ab\r\n", &message("ab\r\n"));
        check(3, "ab\r\n", &DataEnd::Dropped(Rejection::TOO_LARGE));
    }

    #[test]
    fn smuggling_at_every_split() {
        let bare = DataEnd::Broken(Rejection::BARE_LINE_ENDING);
        for input in [
            "a\n.\n",
            "a\n.\r\n",
            "a\r\n.\n",
            "a\r.\r",
            "a\r\r\n.\r\r\n",
            "a\r\n.\r\r\n",
            "a\r",
            "\n",
            "a\r\n\n",
            "\ra",
            "a\r\0\n",
        ] {
            check(100, input, &bare);
            check(0, input, &bare);
        }
        for input in ["\0", "a\0\r\n", "a\r\n\0.\r\n", "a\r\n.\0\r\n"] {
            check(100, input, &DataEnd::Broken(Rejection::NUL));
        }
    }

    #[test]
    fn what_is_announced_takes_no_memory() {
        let mut reader = ChunkReader::new(1000);
        reader.announce(1000);
        assert_eq!((reader.message.capacity(), reader.dropped()), (0, None));
        reader.announce(u64::MAX);
        reader.announce(u64::MAX);
        assert_eq!(reader.dropped(), Some(Rejection::TOO_LARGE));
        reader.feed(&[b'x'; 2000]).unwrap();
        assert_eq!(reader.message.capacity(), 0);
    }
}
