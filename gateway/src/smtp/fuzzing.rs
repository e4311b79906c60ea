//! Fuzz targets of the SMTP server: octets cut in one go and one by one must come to the same.

use std::net::IpAddr;

use base64::Engine;

use super::chunk::ChunkReader;
use super::command::{Command, Fault};
use super::data::{DataEnd, DataReader};
use super::line::{Line, LineReader};
use super::proxy;
use super::sasl::{Exchange, Mechanism, Turn};
use crate::Rejection;

/// All lines of `pieces`, fed one after the other.
pub(super) fn lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Line> {
    let mut reader = LineReader::default();
    let mut lines = Vec::new();
    for piece in pieces {
        let mut rest = piece;
        while !rest.is_empty() {
            let (line, after) = reader.feed(rest);
            rest = after;
            let broken = matches!(line, Some(Line::Broken(_)));
            lines.extend(line);
            if broken {
                return lines;
            }
        }
    }
    lines
}

/// Command lines, and what they parse to.
pub fn command_lines(bytes: &[u8]) {
    let at_once = lines(std::iter::once(bytes));
    assert_eq!(at_once, lines(bytes.chunks(1)), "lines depend on how they arrive");
    for line in at_once {
        if let Line::Command(text) = line {
            assert!(!text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "a control in a command line");
            // Refused or understood; either way it must come back.
            let parsed = Command::parse(&text);
            let words = String::from_utf8_lossy(&text).to_ascii_uppercase();
            let is_piece = words.split([' ', '\t', '\x0b', '\x0c']).find(|word| !word.is_empty()) == Some("BDAT");
            assert!(!is_piece || !matches!(parsed, Err(Fault::Refused(_))), "a piece whose octets would be commands");
        }
    }
}

fn message<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<DataEnd> {
    let mut reader = DataReader::new(64 * 1024);
    for piece in pieces {
        if let (Some(end), _) = reader.feed(piece) {
            return Some(end);
        }
    }
    None
}

/// The same, relieved of what has gathered after each piece.
fn relieved_message<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<DataEnd> {
    let mut reader = DataReader::new(64 * 1024);
    let mut taken = Vec::new();
    for piece in pieces {
        if let (Some(end), _) = reader.feed(piece) {
            return Some(behind(taken, end));
        }
        taken.append(&mut reader.message);
    }
    None
}

fn behind(mut taken: Vec<u8>, end: DataEnd) -> DataEnd {
    match end {
        DataEnd::Message(rest) => {
            taken.extend_from_slice(&rest);
            DataEnd::Message(taken)
        }
        end => end,
    }
}

/// A message after DATA: no bare CR or LF and no NUL gets through, however it arrives.
pub fn data(bytes: &[u8]) {
    let at_once = message(std::iter::once(bytes));
    assert_eq!(at_once, message(bytes.chunks(1)), "a message depends on how it arrives");
    for size in [1, 5] {
        assert_eq!(at_once, relieved_message(bytes.chunks(size)), "a message depends on where it lies");
    }
    if let Some(DataEnd::Message(message)) = at_once {
        let mut before = 0;
        for &byte in &message {
            assert!(byte != 0 && (before == b'\r') == (byte == b'\n'), "a bare line ending or NUL got through");
            before = byte;
        }
        assert!(message.is_empty() || message.ends_with(b"\r\n"), "a message that ends within a line");
    }
}

/// A message in pieces: pairs of a length and as many octets. However they are cut, the outcome is the same; and one that
/// passes has no bare CR or LF and no NUL.
pub fn bdat(bytes: &[u8]) {
    let limit = 4096;
    let (mut pieced, mut whole) = (ChunkReader::new(limit), ChunkReader::new(limit));
    let mut taken = Vec::new();
    let mut broken: Option<Rejection> = None;
    let mut rest = bytes;
    let mut all = Vec::new();
    while let Some((&length, after)) = rest.split_first() {
        let (piece, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        all.extend_from_slice(piece);
        pieced.announce(u64::from(length));
        whole.announce(u64::from(length));
        broken = broken.or_else(|| pieced.feed(piece).err());
        taken.append(&mut pieced.message);
    }
    assert_eq!(broken, whole.feed(&all).err(), "pieces depend on how they are cut");
    if broken.is_some() {
        return;
    }
    let end = behind(taken, pieced.finish());
    assert_eq!(end, whole.finish());
    if let DataEnd::Message(message) = end {
        let mut before = 0;
        for &byte in &message {
            assert!(byte != 0 && (before == b'\r') == (byte == b'\n'), "a bare line ending or NUL got through");
            before = byte;
        }
        assert!(message.is_empty() || message.ends_with(b"\r\n"), "a message that ends within a line");
    }
}

/// A PROXY header: bounded before it is read; an address only where one stands.
pub fn proxy(bytes: &[u8]) {
    let Some((prefix, body)) = bytes.split_first_chunk::<{ proxy::PREFIX }>() else { return };
    let Ok(length) = proxy::length(prefix) else { return };
    assert!(length <= 2048, "a header without bound");
    let Some(body) = body.get(..length) else { return };
    if let Ok(proxy::Speaker::Client(address)) = proxy::speaker(prefix, body) {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        // An IPv4 address may have come within an IPv6 one.
        assert!(body.windows(octets.len()).any(|window| window == octets), "an address that isn't there");
    }
}

/// An exchange of AUTH, line by line; it asks twice at most.
pub fn auth(bytes: &[u8]) {
    for mechanism in [Mechanism::Plain, Mechanism::Login] {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let mut turn = Exchange::begin(mechanism, None);
        let mut asked = 0;
        while let Ok(Turn::Ask(question, exchange)) = turn {
            asked += 1;
            assert!(asked <= 2, "an exchange without end");
            assert!(base64::engine::general_purpose::STANDARD.decode(question).is_ok(), "a question that is no base64");
            let Some(line) = lines.next() else { return };
            turn = exchange.take(line);
        }
        if let Ok(Turn::Verify(credentials)) = turn {
            assert!(!credentials.name.is_empty() && !credentials.name.contains('\0'), "a name that is none");
        }
    }
}
