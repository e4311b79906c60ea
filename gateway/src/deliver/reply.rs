//! A reply of the next hop: parsed strictly, and made safe to show.
//!
//! Security: a reply ends up in reports and on terminals. It leaves here as one line of printable ASCII of bounded length.
//! Standards: RFC 5321 4.2 (replies), RFC 2034 and RFC 3463 (enhanced status).

mod reader;

use super::{Failure, LONGEST_TEXT, Outcome, Speaker};
use crate::seal::LinkSecret;

pub(super) use reader::ReplyReader;

/// Longest line of a reply, in bytes with its line ending. RFC 5321 asks for 512; servers write more.
pub(super) const LONGEST_LINE: usize = 2048;
/// Most lines of a reply.
pub(super) const MOST_LINES: usize = 64;

/// A complete reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// 200 to 599.
    pub(super) code: u16,
    /// The text of each line, without code and separator; at least one.
    pub(super) lines: Vec<Vec<u8>>,
}

/// The bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAReply;

/// Whether more lines follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    More,
    Last,
}

/// One line, without its line ending.
pub(super) fn line(bytes: &[u8]) -> Result<(u16, Line, &[u8]), NotAReply> {
    let (digits, rest) = bytes.split_at_checked(3).ok_or(NotAReply)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(NotAReply);
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    if !(200..=599).contains(&code) {
        return Err(NotAReply);
    }
    match rest.split_first() {
        None => Ok((code, Line::Last, rest)),
        Some((b' ', text)) => Ok((code, Line::Last, text)),
        Some((b'-', text)) => Ok((code, Line::More, text)),
        Some(_) => Err(NotAReply),
    }
}

impl Reply {
    pub(super) fn is_positive(&self) -> bool {
        (200..=299).contains(&self.code)
    }

    pub(super) fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// The enhanced status code, if there is one and it agrees with the code.
    pub(super) fn enhanced(&self) -> Option<&str> {
        let word = self.lines.first()?.split(|b| *b == b' ').next()?;
        let word = std::str::from_utf8(word).ok()?;
        let mut numbers = word.split('.');
        let (class, subject, detail) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let fits = |number: &str| (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        let agrees = class == (self.code / 100).to_string();
        (numbers.next().is_none() && agrees && fits(subject) && fits(detail)).then_some(word)
    }

    /// Code and text in one safe line.
    pub(super) fn shown(&self) -> String {
        let mut text = self.code.to_string();
        for line in &self.lines {
            text.push(' ');
            text.push_str(&String::from_utf8_lossy(line));
        }
        one_line(&text)
    }

    /// What this reply means for a recipient. A reply that doesn't belong here (`354` to RCPT) is a "not now".
    pub(super) fn verdict(&self) -> Outcome {
        if self.is_positive() {
            return Outcome::Delivered(self.shown());
        }
        match self.code {
            500.. => Outcome::Refused(self.failure()),
            _ => Outcome::Later(self.failure()),
        }
    }

    pub(super) fn failure(&self) -> Failure {
        let class = if self.is_permanent() { 5 } else { 4 };
        let status = self.enhanced().filter(|_| self.code >= 400).map_or(format!("{class}.0.0"), str::to_owned);
        Failure { status, text: self.shown(), said_by: Speaker::NextHop }
    }
}

/// Whether a word is, or ends in, a notification's link secret: servers quote what they don't like in a mail, and what
/// they say goes into logs and the queue's rows.
fn gives_away(word: &str) -> bool {
    let typed = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let behind = word.split(['#', '%']).next_back().map(|rest| rest.strip_prefix("23").unwrap_or(rest));
    [Some(typed), behind].into_iter().flatten().any(|secret| LinkSecret::parse(secret).is_ok())
}

/// One line of printable ASCII, at most [`LONGEST_TEXT`] characters; runs of white space are one space, a link secret is
/// left out.
pub(super) fn one_line(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        let word = if gives_away(word) { "[...]" } else { word };
        out.extend(word.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).take(LONGEST_TEXT));
        if out.len() >= LONGEST_TEXT {
            break;
        }
    }
    out.truncate(LONGEST_TEXT); // ASCII: every position is a character's border
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_link_is_left_out() {
        let secret = LinkSecret::from_bytes([7; 20]);
        for word in [
            format!("https://x.example/p/abc#{}", secret.written()),
            format!("https://x.example/p/abc%23{}", secret.written()),
            secret.written(),
            format!("({})", secret.grouped()),
        ] {
            assert_eq!(one_line(&format!("550 5.7.1  {word} is on a list")), "550 5.7.1 [...] is on a list", "{word}");
        }
        let kept = "550 https://x.example/policy#links 4bn3 <p@x.example>";
        assert_eq!(one_line(kept), kept);
    }

    fn reply(code: u16, lines: &[&str]) -> Reply {
        Reply { code, lines: lines.iter().map(|line| line.as_bytes().to_vec()).collect() }
    }

    #[test]
    fn lines() {
        for (bytes, expected) in [
            (&b"250 ok"[..], Ok((250, Line::Last, &b"ok"[..]))),
            (b"250-SIZE 10", Ok((250, Line::More, b"SIZE 10"))),
            (b"250", Ok((250, Line::Last, b""))),
            (b"250 ", Ok((250, Line::Last, b""))),
            (b"", Err(NotAReply)),
            (b"25", Err(NotAReply)),
            (b"2500 ok", Err(NotAReply)),
            (b"250_ok", Err(NotAReply)),
            (b"199 ok", Err(NotAReply)),
            (b"600 ok", Err(NotAReply)),
            (b" 250 ok", Err(NotAReply)),
            (b"+50 ok", Err(NotAReply)),
            (b"HTTP/1.1 200 OK", Err(NotAReply)),
        ] {
            assert_eq!(line(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn status() {
        for (code, text, status) in [
            (550, "5.1.1 unknown", "5.1.1"),
            (550, "unknown", "5.0.0"),
            (550, "4.1.1 contradicts itself", "5.0.0"),
            (450, "4.7.100 greylisted", "4.7.100"),
            (450, "4.7", "4.0.0"),
            (450, "4.7.1000", "4.0.0"),
            (450, "4.7.1.1", "4.0.0"),
            (450, "4.\u{661}.1", "4.0.0"),
            (450, "", "4.0.0"),
            (354, "3.0.0 go ahead", "4.0.0"),
        ] {
            assert_eq!(reply(code, &[text]).failure().status, status, "{code} {text}");
        }
    }

    #[test]
    fn shown_safely() {
        let shown = reply(550, &["5.1.1 no\x1b[31m such\x07", "\u{202e}user\tevil\0"]).shown();
        assert_eq!(shown, "550 5.1.1 no?[31m such? ?user evil?");
        for long in ["x".repeat(5000), "x ".repeat(5000), "\u{e4}".repeat(5000)] {
            let shown = reply(550, &[&long]).shown();
            assert_eq!(shown.len(), LONGEST_TEXT);
            assert!(shown.is_ascii());
        }
    }
}
