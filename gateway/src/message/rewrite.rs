//! Addresses in a header field, replaced in place: only the octets of an addr-spec change.
//!
//! Obsolete forms with blanks around `@` or dots are not recognized and stay as they are.
//! Standards: RFC 5322 3.4 (mailboxes), 3.2.2 (comments), 3.2.4 (quoted strings).

use std::ops::Range;

/// All lines of an address field with each address replaced for which `replacement` has one.
pub(super) fn addresses(whole: &[u8], replacement: &dyn Fn(&str) -> Option<String>) -> Vec<u8> {
    let mut out = Vec::with_capacity(whole.len());
    let mut done = 0;
    // The field's name can hold no address: a colon ends it.
    for place in places(whole) {
        let (Some(between), Some(address)) = (whole.get(done..place.start), whole.get(place.clone())) else { continue };
        let new = std::str::from_utf8(address).ok().and_then(replacement);
        // What can't stand in a header as one word never gets there.
        let Some(new) = new.filter(|new| !new.is_empty() && new.bytes().all(|b| b.is_ascii_graphic())) else {
            continue;
        };
        out.extend_from_slice(between);
        out.extend_from_slice(new.as_bytes());
        done = place.end;
    }
    out.extend_from_slice(whole.get(done..).unwrap_or_default());
    out
}

/// Where something like an address stands, outside comments. A quoted string that is nothing but an address counts:
/// mail programs put the address there where they know no name.
fn places(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0_usize;
    while let Some(byte) = bytes.get(at) {
        at = match byte {
            b'(' => after_comment(bytes, at),
            b'"' => {
                let end = after_quoted(bytes, at);
                if bytes.get(end) == Some(&b'@') {
                    let word = after_word(bytes, end);
                    found.push(at..word);
                    word
                } else {
                    let inner = at.saturating_add(1)..end.saturating_sub(1);
                    if bytes.get(inner.clone()).is_some_and(|text| text.contains(&b'@') && text.iter().all(is_word)) {
                        found.push(inner);
                    }
                    end
                }
            }
            byte if is_word(byte) => {
                let end = after_word(bytes, at);
                if bytes.get(at..end).is_some_and(|word| word.contains(&b'@')) {
                    found.push(at..end);
                }
                end
            }
            _ => at.saturating_add(1),
        };
    }
    found
}

fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"!#$%&'*+-/=?^_`{|}~.@".contains(byte)
}

/// Behind a run of word octets; a domain literal belongs to it.
fn after_word(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        if is_word(byte) {
            at = at.saturating_add(1);
        } else if *byte == b'[' && at.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'@') {
            let rest = bytes.get(at..).unwrap_or_default();
            return memchr::memchr3(b']', b'\r', b' ', rest)
                .map_or(bytes.len(), |end| at.saturating_add(end).saturating_add(1));
        } else {
            break;
        }
    }
    at
}

fn after_quoted(bytes: &[u8], start: usize) -> usize {
    let mut at = start.saturating_add(1);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at.saturating_add(1),
            b'\\' => at = at.saturating_add(2),
            _ => at = at.saturating_add(1),
        }
    }
    bytes.len()
}

fn after_comment(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'(' => depth = depth.saturating_add(1),
            b')' => depth = depth.saturating_sub(1),
            b'\\' => at = at.saturating_add(1),
            _ => {}
        }
        at = at.saturating_add(1);
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_change() {
        let replacement = |address: &str| match address {
            "r@reply.example" | "\"r r\"@reply.example" | "r@[192.0.2.1]" => Some("anna@klinik.example".to_owned()),
            "evil@reply.example" => Some("a@x.example\r\nBcc: b@x.example".to_owned()),
            _ => None,
        };
        for (field, expected) in [
            ("To: r@reply.example\r\n", "To: anna@klinik.example\r\n"),
            ("To: <r@reply.example>\r\n", "To: <anna@klinik.example>\r\n"),
            (
                "To:r@reply.example,\r\n\tb@x.example ,r@reply.example",
                "To:anna@klinik.example,\r\n\tb@x.example ,anna@klinik.example",
            ),
            (
                "To: =?utf-8?Q?J=C3=B6rg?=  <\r\n r@reply.example>\r\n",
                "To: =?utf-8?Q?J=C3=B6rg?=  <\r\n anna@klinik.example>\r\n",
            ),
            ("To: \"r@reply.example\" <r@reply.example>\r\n", "To: \"anna@klinik.example\" <anna@klinik.example>\r\n"),
            ("To: \"via r@reply.example\" <b@x.example>\r\n", "To: \"via r@reply.example\" <b@x.example>\r\n"),
            ("To: \"r r\"@reply.example\r\n", "To: anna@klinik.example\r\n"),
            ("To: r@[192.0.2.1] (home)\r\n", "To: anna@klinik.example (home)\r\n"),
            ("To: team: r@reply.example, c@x.example;\r\n", "To: team: anna@klinik.example, c@x.example;\r\n"),
            ("To: <@relay.example:r@reply.example>\r\n", "To: <@relay.example:anna@klinik.example>\r\n"),
            (
                "To: b@x.example (not (r@reply.example) \\) here)\r\n",
                "To: b@x.example (not (r@reply.example) \\) here)\r\n",
            ),
            ("To: xr@reply.example, r@reply.example.org\r\n", "To: xr@reply.example, r@reply.example.org\r\n"),
            ("To: evil@reply.example\r\n", "To: evil@reply.example\r\n"),
            ("To: \"unended r@reply.example\r\n", "To: \"unended r@reply.example\r\n"),
            ("To: (unended r@reply.example\r\n", "To: (unended r@reply.example\r\n"),
            ("To: r@[unended", "To: r@[unended"),
            ("To: \"\\", "To: \"\\"),
            ("To: \"", "To: \""),
            ("To: @@@, <>, ;\r\n", "To: @@@, <>, ;\r\n"),
        ] {
            let new = addresses(field.as_bytes(), &replacement);
            assert_eq!(String::from_utf8_lossy(&new), expected, "{field}");
        }
    }
}
