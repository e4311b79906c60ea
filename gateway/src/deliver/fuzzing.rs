//! Fuzz target of the relay client: what a next hop says.

use super::reply::{Line, line};

/// Lines of a reply: whatever comes, the text shown of it is one printable line.
pub fn reply_lines(bytes: &[u8]) {
    for text in bytes.split(|byte| *byte == b'\n') {
        if let Ok((code, more, rest)) = line(text.strip_suffix(b"\r").unwrap_or(text)) {
            assert!((200..=599).contains(&code) && matches!(more, Line::More | Line::Last));
            let shown = super::reply::one_line(&String::from_utf8_lossy(rest));
            assert!(!shown.chars().any(char::is_control), "a control in what is shown");
        }
    }
}
