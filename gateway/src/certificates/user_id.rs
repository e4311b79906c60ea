//! User IDs: which address one of them names, if it names exactly one.
//!
//! Two forms are read, `address` and `Name <address>`, from the first byte to the last. Whatever could be read as more
//! than one address, or as another one by another program, names none: an address in a name or comment, a second pair of
//! angle brackets, a NUL or another control character.
//!
//! Standards: RFC 9580 5.11 (by convention a mail name-addr), draft-koch-librepgp and draft-dkg-openpgp-userid-conventions
//! (what the convention is in practice). Addresses compare as [`Identity`], as Autocrypt compares them.

use sealpost_vault::{EmailAddress, Identity};

/// The canonical address that a User ID names.
pub(super) fn address(user_id: &[u8]) -> Option<Identity> {
    let text = std::str::from_utf8(user_id).ok()?;
    if text.chars().any(is_deceptive) {
        return None;
    }
    let address = match text.split_once('<') {
        None => text,
        Some((name, rest)) => {
            let address = rest.strip_suffix('>')?;
            if name.contains('>') || address.contains(['<', '>']) {
                return None;
            }
            address
        }
    };
    // A look-alike of a letter is another mailbox for a mail server, and the same one for the person who imports.
    let address = address.parse::<EmailAddress>().ok().filter(|address| !address.needs_smtputf8());
    address.map(|address| address.identity())
}

/// A User ID as it can be shown on a terminal: nothing in it moves the cursor or turns the direction of writing.
pub(super) fn shown(user_id: &[u8]) -> String {
    let text = String::from_utf8_lossy(user_id);
    text.chars().map(|c| if is_deceptive(c) { char::REPLACEMENT_CHARACTER } else { c }).take(120).collect()
}

/// Control characters, and the invisible ones that reorder or hide what stands beside them.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_an_address() {
        for (user_id, expected) in [
            ("anna@klinik.example", "anna@klinik.example"),
            ("Anna@KLINIK.example", "anna@klinik.example"),
            ("Anna Weber <anna@klinik.example>", "anna@klinik.example"),
            ("Anna Weber (at work) <anna@klinik.example>", "anna@klinik.example"),
            ("<anna@klinik.example>", "anna@klinik.example"),
            ("Änne Müller <a.m@bücher.example>", "a.m@xn--bcher-kva.example"),
            ("A <a.m@xn--bcher-kva.example>", "a.m@xn--bcher-kva.example"),
            ("anna@klinik.example <eve@evil.example>", "eve@evil.example"),
            ("Eve (anna@klinik.example) <eve@evil.example>", "eve@evil.example"),
        ] {
            assert_eq!(address(user_id.as_bytes()).map(|a| a.to_string()).as_deref(), Some(expected), "{user_id}");
        }
    }

    #[test]
    fn names_none() {
        for user_id in [
            &b""[..],
            b"Anna Weber",
            b"Eve <eve@evil.example> <anna@klinik.example>",
            b"Anna <anna@klinik.example> ",
            b"Anna <anna@klinik.example> (work)",
            b" anna@klinik.example",
            b"anna@klinik.example (work)",
            b"anna@klinik.example, eve@evil.example",
            b"Anna <anna@klinik.example, eve@evil.example>",
            b"Anna < anna@klinik.example >",
            b"Anna <anna@klinik.example\0@evil.example>",
            b"anna@klinik.example\0",
            b"Anna\0 <anna@klinik.example>",
            b"Anna\r\n <anna@klinik.example>",
            b"Anna > <anna@klinik.example>",
            b"Anna <<anna@klinik.example>>",
            b"Anna <anna@klinik.example@evil.example>",
            b"mailto:anna@klinik.example <",
            b"Anna <\xffanna@klinik.example>",
            "Anna <anna@klinik\u{ff0e}example>".as_bytes(),
            "Anna <\u{202e}anna@klinik.example>".as_bytes(),
            "Anna\u{200b} <anna@klinik.example>".as_bytes(),
            "Anna <\u{430}nna@klinik.example>".as_bytes(),
        ] {
            assert_eq!(address(user_id), None, "{}", String::from_utf8_lossy(user_id));
        }
    }

    #[test]
    fn look_alikes_are_others() {
        // The second letter of the domain is Cyrillic.
        let address = address("Anna <anna@kl\u{456}nik.example>".as_bytes());
        assert_ne!(address.map(|a| a.to_string()).as_deref(), Some("anna@klinik.example"));
    }
}
