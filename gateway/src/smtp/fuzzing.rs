//! Fuzz targets of the SMTP server: octets cut in one go and one by one must come to the same.

use super::command::Command;
use super::data::{DataEnd, DataReader};
use super::line::{Line, LineReader};

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
            let _ = Command::parse(&text);
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

/// A message after DATA: no bare CR or LF and no NUL gets through, however it arrives.
pub fn data(bytes: &[u8]) {
    let at_once = message(std::iter::once(bytes));
    assert_eq!(at_once, message(bytes.chunks(1)), "a message depends on how it arrives");
    if let Some(DataEnd::Message(message)) = at_once {
        let mut before = 0;
        for &byte in &message {
            assert!(byte != 0 && (before == b'\r') == (byte == b'\n'), "a bare line ending or NUL got through");
            before = byte;
        }
        assert!(message.is_empty() || message.ends_with(b"\r\n"), "a message that ends within a line");
    }
}
