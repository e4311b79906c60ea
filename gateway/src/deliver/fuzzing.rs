//! Fuzz target of the relay client: what a next hop says, cut in one go and otherwise, must come to the same.

use super::reply::{LONGEST_LINE, MOST_LINES, Reply, ReplyReader};
use super::{LONGEST_TEXT, Outcome};
use crate::seal::LinkSecret;

/// All replies in `pieces`, fed one after the other; and whether nothing else was among them.
pub(super) fn replies<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Reply>, bool) {
    let mut reader = ReplyReader::default();
    let mut replies = Vec::new();
    for piece in pieces {
        reader.take(piece);
        loop {
            match reader.reply() {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(_) => return (replies, false),
            }
        }
    }
    (replies, true)
}

/// Replies: bounded; each means one thing; whatever comes, what is shown of it is one printable line without a link's secret.
pub fn reply_lines(bytes: &[u8]) {
    let (at_once, holds) = replies(std::iter::once(bytes));
    for size in [1, 7] {
        let (pieced, pieces_hold) = replies(bytes.chunks(size));
        assert!(pieced == at_once && pieces_hold == holds, "replies depend on how they arrive");
    }
    for reply in at_once {
        assert!((200..=599).contains(&reply.code) && (1..=MOST_LINES).contains(&reply.lines.len()));
        assert!(reply.lines.iter().all(|line| line.len() < LONGEST_LINE), "a line without bound");
        let shown = reply.shown();
        assert!(shown.starts_with(&reply.code.to_string()) && shown.len() <= LONGEST_TEXT);
        assert!(shown.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "no printable line");
        // One that was cut off may look like a secret.
        let gives_away = shown.split(' ').any(|word| LinkSecret::parse(word).is_ok());
        assert!(shown.len() == LONGEST_TEXT || !gives_away, "a link's secret is shown");
        let (fits, text, status) = match reply.verdict() {
            Outcome::Delivered(text) => ((200..=299).contains(&reply.code), text, None),
            Outcome::Later(failure) => ((300..=499).contains(&reply.code), failure.text, Some(failure.status)),
            Outcome::Refused(failure) => (reply.code >= 500, failure.text, Some(failure.status)),
        };
        assert!(fits && text == shown, "{} taken for something else", reply.code);
        let Some(status) = status else { continue };
        let numbers: Vec<&str> = status.split('.').collect();
        let is_number = |number: &&str| number.len() <= 3 && number.parse::<u16>().is_ok();
        assert!(numbers.len() == 3 && numbers.iter().all(is_number), "no status: {status}");
        let class = if reply.code >= 500 { "5" } else { "4" };
        assert!(numbers.first() == Some(&class), "{status} with {}", reply.code);
    }
}
