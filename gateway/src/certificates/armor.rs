//! Armor: certificates as text, out of whatever text stands around them.
//!
//! The checksum is not looked at, as RFC 9580 demands: what was damaged doesn't verify. A block without its end is an error.
//!
//! Standards: RFC 9580 6 (ASCII armor).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::parse::ImportError;

const CERTIFICATE: &str = "PUBLIC KEY BLOCK";
const SECRET_KEY: &str = "PRIVATE KEY BLOCK";

/// The bytes of all certificate blocks in a text, one after another. `None`: the text has no block at all.
pub(super) fn decode(text: &str) -> Result<Option<Vec<u8>>, ImportError> {
    let mut decoded = Vec::new();
    let mut other = None;
    let mut found = false;
    let mut lines = text.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        match label(line, "-----BEGIN PGP ") {
            Some(CERTIFICATE) => {
                found = true;
                block(&mut lines, &mut decoded)?;
            }
            Some(SECRET_KEY) => return Err(ImportError::SecretKey),
            Some(label) => other = Some(label),
            None => {}
        }
    }
    match other {
        Some(label) if !found => Err(ImportError::OtherBlock(label.chars().take(40).collect())),
        _ => Ok(found.then_some(decoded)),
    }
}

/// Reads from the line after the beginning to the end.
fn block<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>, decoded: &mut Vec<u8>) -> Result<(), ImportError> {
    let mut text = String::new();
    for (number, line) in lines {
        if label(line, "-----END PGP ").is_some() {
            let bytes = STANDARD.decode(text).map_err(|_| ImportError::Armor { line: number + 1 })?;
            decoded.extend(bytes);
            return Ok(());
        }
        let line = line.trim();
        // Headers before the data; the checksum after it.
        if line.contains(": ") || line.ends_with(':') || (line.starts_with('=') && line.len() == 5) {
            continue;
        }
        if !line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)) {
            return Err(ImportError::Armor { line: number + 1 });
        }
        text.push_str(line);
    }
    Err(ImportError::TruncatedArmor)
}

fn label<'a>(line: &'a str, beginning: &str) -> Option<&'a str> {
    line.trim_end().strip_prefix(beginning)?.strip_suffix("-----")
}
