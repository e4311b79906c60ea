//! E-mail addresses: as they were written (for delivery) and as an [`Identity`] (for comparing).
//!
//! The local part is kept as the sender wrote it and never re-interpreted: no percent hack, no bang path, no source
//! route. The domain is an A-label host name or an address literal. A local part may hold more than ASCII, but nothing that
//! is invisible, turns the direction of writing, or is a compatibility spelling of something else.
//! Standards: RFC 5321 4.1.2 (Mailbox), RFC 5890 (A-labels), RFC 6531 3.3 (local parts).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// Why a text is no address that we deliver to.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum AddressError {
    #[error("the address has no @")]
    NoAt,
    #[error("the local part is empty, longer than 64 octets or not well-formed")]
    LocalPart,
    #[error("the domain is empty, longer than 255 octets or not well-formed")]
    Domain,
}

/// A mailbox, checked: `local@domain` without angle brackets.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress {
    local: String,
    domain: String,
}

impl EmailAddress {
    /// The part before the last `@`, as written (quotes included).
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain: lower-case A-label host name, or `[literal]`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The canonical address: what two spellings of one mailbox have in common.
    pub fn identity(&self) -> Identity {
        let local: String = self.local.nfc().map(|c| c.to_ascii_lowercase()).collect();
        Identity(format!("{local}@{}", self.domain))
    }

    /// Whether only a server that knows SMTPUTF8 can take it.
    pub fn needs_smtputf8(&self) -> bool {
        !self.local.is_ascii()
    }

    /// Whether the domain is an address literal such as `[192.0.2.1]`.
    pub fn is_literal(&self) -> bool {
        self.domain.starts_with('[')
    }
}

/// A canonical address: domain as lower-case A-labels, local part NFC with ASCII letters lower-cased.
/// Made by the gateway only; everybody else treats it as bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity(String);

impl Identity {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From a store of our own, where it was written in canonical form.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0)
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self}>")
    }
}

impl FromStr for EmailAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
        if local.is_empty() || local.len() > 64 || !(is_dot_atom(local) || is_quoted(local)) {
            return Err(AddressError::LocalPart);
        }
        Ok(Self { local: local.to_owned(), domain: domain_of(domain)? })
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> String {
        address.to_string()
    }
}

/// A host name in lower-case A-labels, or an address literal.
pub fn domain_of(text: &str) -> Result<String, AddressError> {
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        // RFC 5321 4.1.3
        let address = match inner.get(..5) {
            Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => {
                inner.get(5..).and_then(|v6| v6.parse::<std::net::Ipv6Addr>().ok()).map(|v6| format!("[IPv6:{v6}]"))
            }
            _ => inner.parse::<std::net::Ipv4Addr>().ok().map(|v4| format!("[{v4}]")),
        };
        return address.ok_or(AddressError::Domain);
    }
    if text.is_empty() || text.len() > 255 {
        return Err(AddressError::Domain);
    }
    // Fullwidth and other compatibility spellings would be mapped to another name: taken literally they are no host names.
    if text.chars().any(|c| !c.is_ascii() && c.nfkc().next() != Some(c)) {
        return Err(AddressError::Domain);
    }
    let ascii = idna::domain_to_ascii_strict(text).map_err(|_| AddressError::Domain)?;
    // What IDNA maps to something else (another kind of dot, something invisible) is another name than the one written.
    let (unicode, _) = idna::domain_to_unicode(&ascii);
    let is_literal = text.split('.').count() == unicode.split('.').count()
        && text
            .split('.')
            .zip(unicode.split('.'))
            .all(|(written, read)| written.is_ascii() || written.nfc().collect::<String>().to_lowercase() == read);
    let well_formed = is_literal
        && ascii.len() <= 253
        && ascii.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
    if well_formed { Ok(ascii.to_ascii_lowercase()) } else { Err(AddressError::Domain) }
}

// RFC 5321 4.1.2: Dot-string
fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

// RFC 5322 3.2.3, RFC 6531 3.3
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_foreign(c)
}

/// More than ASCII, and what it looks like.
fn is_foreign(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !c.is_whitespace() && !is_treacherous(c) && c.nfkc().eq([c])
}

/// Invisible, or turns the direction of writing: what a person sees isn't what stands there.
pub fn is_treacherous(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}'
    )
}

// RFC 5321 4.1.2: Quoted-string
fn is_quoted(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|l| l.strip_suffix('"')) else { return false };
    if local.len() < 2 {
        return false;
    }
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let fits = match c {
            '\\' => chars.next().is_some_and(|next| (' '..='~').contains(&next)),
            '"' => false,
            _ => (' '..='~').contains(&c) || is_foreign(c),
        };
        if !fits {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let ok = |text: &str, written: &str, identity: &str| {
            let address: EmailAddress = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(address.to_string(), written);
            assert_eq!(address.identity().as_str(), identity);
        };
        ok("Anna.Weber@Klinik.Example", "Anna.Weber@klinik.example", "anna.weber@klinik.example");
        ok("a@bücher.example", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example");
        ok("\"a@b c\"@x.example", "\"a@b c\"@x.example", "\"a@b c\"@x.example");
        ok("a%b.example@x.example", "a%b.example@x.example", "a%b.example@x.example");
        ok("Ä@Bücher.example", "Ä@xn--bcher-kva.example", "Ä@xn--bcher-kva.example");
        ok("a@BÜCHER.Straße.example", "a@xn--bcher-kva.xn--strae-oqa.example", "a@xn--bcher-kva.xn--strae-oqa.example");
        ok("a@XN--bcher-kva.ü.example", "a@xn--bcher-kva.xn--tda.example", "a@xn--bcher-kva.xn--tda.example");
        ok("a\u{308}@x.example", "a\u{308}@x.example", "ä@x.example");
        ok("用户@x.example", "用户@x.example", "用户@x.example");
        ok("a@[192.0.2.1]", "a@[192.0.2.1]", "a@[192.0.2.1]");
        ok("a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]");
    }

    #[test]
    fn refused() {
        for (text, why) in [
            ("", AddressError::NoAt),
            ("anna", AddressError::NoAt),
            ("@x.example", AddressError::LocalPart),
            ("a..b@x.example", AddressError::LocalPart),
            (".a@x.example", AddressError::LocalPart),
            ("a b@x.example", AddressError::LocalPart),
            ("a@b@x.example", AddressError::LocalPart),
            ("@relay.example:a@x.example", AddressError::LocalPart),
            ("\"@x.example", AddressError::LocalPart),
            ("a\u{202e}b@x.example", AddressError::LocalPart),
            ("a\u{200d}b@x.example", AddressError::LocalPart),
            ("ａ@x.example", AddressError::LocalPart),
            ("a\u{ff20}b@x.example", AddressError::LocalPart),
            ("a\u{a0}b@x.example", AddressError::LocalPart),
            ("a\u{85}b@x.example", AddressError::LocalPart),
            ("\"a\u{202e}b\"@x.example", AddressError::LocalPart),
            ("\"a\\ä\"@x.example", AddressError::LocalPart),
            ("ä.@x.example", AddressError::LocalPart),
            ("a\r\n@x.example", AddressError::LocalPart),
            ("a@", AddressError::Domain),
            ("a@-x.example", AddressError::Domain),
            ("a@x..example", AddressError::Domain),
            ("a@x.example.", AddressError::Domain),
            ("a@ｘ.example", AddressError::Domain),
            ("a@x\u{202e}.example", AddressError::Domain),
            ("a@x\u{3002}example", AddressError::Domain),
            ("a@x\u{ad}y.example", AddressError::Domain),
            ("a@x\u{200d}.example", AddressError::Domain),
            ("a@x\u{fe0f}.example", AddressError::Domain),
            ("a@[300.0.2.1]", AddressError::Domain),
        ] {
            assert_eq!(text.parse::<EmailAddress>(), Err(why), "{text:?}");
        }
    }
}
