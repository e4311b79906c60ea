//! How large a message's header may be: asked of every message before anybody reads it.

use super::settings::Settings;
use crate::Rejection;

/// From the whole message.
pub(super) fn check(message: &[u8], settings: &Settings) -> Result<(), Rejection> {
    let (mut octets, mut fields) = (0_usize, 0_usize);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line == b"\r\n" {
            break;
        }
        octets = octets.saturating_add(line.len());
        // RFC 5322 2.2.3: what begins with a blank goes on with the field before.
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            fields = fields.saturating_add(1);
        }
        if octets > settings.max_header || fields > settings.max_header_fields {
            return Err(Rejection::HEADER_TOO_LARGE);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_exact() {
        let settings = Settings { max_header: 20, max_header_fields: 2, ..Settings::default() };
        for (message, fits) in [
            ("", true),
            ("A: b\r\nC: d\r\n\r\nE: f\r\nG: h\r\nthe body counts nothing\r\n", true),
            ("A: b\r\nC: d\r\nE: f\r\n\r\n", false),
            ("A: b\r\n c\r\n\td\r\nE: f\r\n", true),
            ("A: 5678901234567890\r\n\r\n", false),
            ("A: 56789012345678\r\n\r\n", true),
            ("A: 567890123456789\r\n\r\n", true),
            ("A: 567890123456789012345\r\n", false),
        ] {
            assert_eq!(check(message.as_bytes(), &settings).is_ok(), fits, "{message:?}");
        }
    }
}
