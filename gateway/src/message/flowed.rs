//! Paragraphs that a mail program broke into lines of 72 put together again: on a phone they would be torn.
//!
//! Standards: RFC 3676 4 (format=flowed).

/// What becomes of the blank at a soft line break.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SoftBreak {
    /// It is the blank between two words.
    KeepsBlank,
    /// `delsp=yes`: it was added for the break.
    DropsBlank,
}

/// Text with LF line endings, unbroken.
pub(super) fn unbroken(text: &str, soft_break: SoftBreak) -> String {
    let mut out = String::with_capacity(text.len());
    // The quote depth of a line that goes on.
    let mut open: Option<usize> = None;
    for line in text.lines() {
        let content = line.trim_start_matches('>');
        let depth = line.len().saturating_sub(content.len());
        let content = content.strip_prefix(' ').unwrap_or(content);
        // RFC 3676 4.3: the signature's line is no soft break, and nothing flows into it.
        let is_signature = content == "-- ";
        if open.is_some_and(|before| before != depth || is_signature) {
            out.push('\n');
            open = None;
        }
        if open.is_none() && depth > 0 {
            out.extend(std::iter::repeat_n('>', depth));
            out.push(' ');
        }
        match content.strip_suffix(' ') {
            Some(shorter) if !is_signature => {
                out.push_str(if soft_break == SoftBreak::DropsBlank { shorter } else { content });
                open = Some(depth);
            }
            _ => {
                out.push_str(content);
                out.push('\n');
                open = None;
            }
        }
    }
    if open.is_some() {
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_put_together() {
        for (text, expected) in [
            ("one \ntwo\nthree\n", "one two\nthree\n"),
            ("one \n\ntwo\n", "one \ntwo\n"),
            ("> a \n> b\n>> c \n> d\n", "> a b\n>> c \n> d\n"),
            (" From here\n  two\n", "From here\n two\n"),
            ("bye \n-- \nAnna \nx\n", "bye \n-- \nAnna x\n"),
            ("open ", "open \n"),
            ("", ""),
        ] {
            assert_eq!(unbroken(text, SoftBreak::KeepsBlank), expected, "{text:?}");
        }
        assert_eq!(unbroken("長い \n文\n", SoftBreak::DropsBlank), "長い文\n");
    }
}
