//! What a client asks to be told of a message's fate: DSN parameters, parsed strictly and kept until the next hop or our
//! own report needs them.
//!
//! Security: what is kept is printable, so it can stand in a command or a report without more ado; each is bounded.
//!
//! Standards: RFC 3461 4 (RET, ENVID, NOTIFY, ORCPT, xtext), RFC 6533 3 (utf-8 addresses).

use std::collections::BTreeMap;
use std::fmt;

use sealpost_vault::{EmailAddress, Identity};
use serde::{Deserialize, Serialize};

/// RFC 3461 4.4: an envelope identifier has at most 100 characters.
const ENVID: usize = 100;
/// RFC 3461 4.2: at most 500 characters, type and `;` included.
const ORCPT: usize = 500;

/// The parameter isn't as the standard has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a DSN parameter is not well-formed")]
pub struct DsnError;

/// The wishes of a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dsn {
    pub ret: Option<Return>,
    pub envid: Option<Xtext>,
    /// Only recipients for whom something was asked.
    recipients: BTreeMap<Identity, RecipientDsn>,
}

impl Dsn {
    /// What was asked for one recipient; nothing, mostly.
    pub fn of(&self, recipient: &EmailAddress) -> RecipientDsn {
        self.recipients.get(&recipient.identity()).cloned().unwrap_or_default()
    }

    pub fn set(&mut self, recipient: &EmailAddress, wishes: RecipientDsn) {
        if wishes != RecipientDsn::default() {
            self.recipients.insert(recipient.identity(), wishes);
        }
    }
}

/// RET: what of the message comes back with a report of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Return {
    Full,
    Headers,
}

impl Return {
    pub fn parse(value: &str) -> Result<Self, DsnError> {
        if value.eq_ignore_ascii_case("FULL") {
            Ok(Self::Full)
        } else if value.eq_ignore_ascii_case("HDRS") {
            Ok(Self::Headers)
        } else {
            Err(DsnError)
        }
    }
}

impl fmt::Display for Return {
    /// As the parameter's value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        })
    }
}

/// The wishes for one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientDsn {
    /// `None` where the client didn't say: failures are told then, and delays may be.
    pub notify: Option<Notify>,
    pub orcpt: Option<OriginalRecipient>,
}

/// NOTIFY: what is told. Nothing at all is NEVER.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    pub success: bool,
    pub failure: bool,
    pub delay: bool,
}

impl Notify {
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };

    // RFC 3461 4.1: NEVER stands alone; nothing is said twice.
    pub fn parse(value: &str) -> Result<Self, DsnError> {
        if value.eq_ignore_ascii_case("NEVER") {
            return Ok(Self::NEVER);
        }
        let mut notify = Self::default();
        for word in value.split(',') {
            let wish = if word.eq_ignore_ascii_case("SUCCESS") {
                &mut notify.success
            } else if word.eq_ignore_ascii_case("FAILURE") {
                &mut notify.failure
            } else if word.eq_ignore_ascii_case("DELAY") {
                &mut notify.delay
            } else {
                return Err(DsnError);
            };
            if std::mem::replace(wish, true) {
                return Err(DsnError);
            }
        }
        Ok(notify)
    }
}

impl fmt::Display for Notify {
    /// As the parameter's value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        let mut said = words.into_iter().filter(|(wished, _)| *wished).map(|(_, word)| word);
        f.write_str(said.next().unwrap_or("NEVER"))?;
        said.try_for_each(|word| write!(f, ",{word}"))
    }
}

/// ORCPT: the address that the sender wrote, whatever it became on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalRecipient {
    address_type: String,
    address: String,
}

impl OriginalRecipient {
    pub fn parse(value: &str) -> Result<Self, DsnError> {
        if value.len() > ORCPT { Err(DsnError) } else { Self::from_stored(value) }
    }

    /// As [`fmt::Display`] wrote it: what came in fewer octets may be longer in ASCII.
    pub(crate) fn from_stored(value: &str) -> Result<Self, DsnError> {
        let (address_type, address) = value.split_once(';').ok_or(DsnError)?;
        let is_atom = !address_type.is_empty()
            && address_type.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*-/?^_`{|}~".contains(&b));
        if !is_atom {
            return Err(DsnError);
        }
        let address = if is_utf8(address_type) { unitext(address)? } else { Xtext::parse(address)?.0 };
        if address.is_empty() {
            return Err(DsnError);
        }
        Ok(Self { address_type: address_type.to_owned(), address })
    }

    /// Such as `rfc822` or `utf-8`, as written.
    pub fn address_type(&self) -> &str {
        &self.address_type
    }

    /// Decoded.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Display for OriginalRecipient {
    /// As the parameter's value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};", self.address_type)?;
        if !is_utf8(&self.address_type) {
            return write_xtext(f, &self.address);
        }
        self.address.chars().try_for_each(|c| match c {
            '+' | '=' | '\\' | ' ' => write!(f, "\\x{{{:02X}}}", u32::from(c)),
            c if c.is_ascii() => write!(f, "{c}"),
            c => write!(f, "\\x{{{:X}}}", u32::from(c)),
        })
    }
}

/// Text that came as xtext: printable ASCII and blanks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Xtext(String);

impl Xtext {
    /// ENVID's value.
    pub fn envid(value: &str) -> Result<Self, DsnError> {
        if value.len() > ENVID { Err(DsnError) } else { Self::parse(value) }
    }

    /// The AUTH parameter's value.
    pub(crate) fn mailbox(value: &str) -> Result<Self, DsnError> {
        if value.len() > ORCPT { Err(DsnError) } else { Self::parse(value) }
    }

    /// The value of an attribute of XCLIENT.
    pub(crate) fn attribute(value: &str) -> Result<Self, DsnError> {
        Self::mailbox(value)
    }

    /// Decoded.
    pub fn text(&self) -> &str {
        &self.0
    }

    // RFC 3461 4: `+` and two upper-case hexadecimal digits, or `!` to `~` without `+` and `=`.
    fn parse(value: &str) -> Result<Self, DsnError> {
        let mut text = String::with_capacity(value.len());
        let mut rest = value;
        while let Some(first) = rest.chars().next() {
            let (octet, after) = match first {
                '+' => {
                    let digits = rest.get(1..3).filter(|digits| digits.bytes().all(is_upper_hex)).ok_or(DsnError)?;
                    (u8::from_str_radix(digits, 16).map_err(|_| DsnError)?, rest.get(3..))
                }
                '=' => return Err(DsnError),
                '!'..='~' => (u8::try_from(first).map_err(|_| DsnError)?, rest.get(1..)),
                _ => return Err(DsnError),
            };
            // RFC 3461 4.2 and 4.4: decoded, nothing but graphic characters and white space.
            if !(b' '..=b'~').contains(&octet) {
                return Err(DsnError);
            }
            text.push(char::from(octet));
            rest = after.unwrap_or_default();
        }
        if text.is_empty() { Err(DsnError) } else { Ok(Self(text)) }
    }
}

fn is_utf8(address_type: &str) -> bool {
    address_type.eq_ignore_ascii_case("utf-8")
}

// RFC 6533 3: characters as `\x{HEX}`, or as they are in a command that may hold them.
fn unitext(value: &str) -> Result<String, DsnError> {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(first) = rest.chars().next() {
        let (character, after) = match first {
            '\\' => {
                let (digits, after) =
                    rest.strip_prefix("\\x{").and_then(|rest| rest.split_once('}')).ok_or(DsnError)?;
                let well_formed = (2..=6).contains(&digits.len()) && digits.bytes().all(is_upper_hex);
                let code = u32::from_str_radix(digits, 16).ok().filter(|_| well_formed).ok_or(DsnError)?;
                (char::from_u32(code).ok_or(DsnError)?, after)
            }
            '+' | '=' => return Err(DsnError),
            first if first.is_ascii() && !first.is_ascii_graphic() => return Err(DsnError),
            first => (first, rest.get(first.len_utf8()..).unwrap_or_default()),
        };
        if character.is_control() || sealpost_vault::address::is_treacherous(character) {
            return Err(DsnError);
        }
        text.push(character);
        rest = after;
    }
    Ok(text)
}

fn is_upper_hex(b: u8) -> bool {
    b.is_ascii_digit() || (b'A'..=b'F').contains(&b)
}

impl fmt::Display for Xtext {
    /// Encoded: as the parameter's value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_xtext(f, &self.0)
    }
}

fn write_xtext(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|c| match c {
        '+' | '=' | ' ' => write!(f, "+{:02X}", u32::from(c)),
        c => write!(f, "{c}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelope_identifiers() {
        for (value, text) in [("QQ314159", "QQ314159"), ("a+2Bb+3Dc+20d", "a+b=c d"), ("+7E", "~"), ("a;b", "a;b")] {
            let xtext = Xtext::envid(value).unwrap();
            assert_eq!(xtext.text(), text);
            assert_eq!(Xtext::envid(&xtext.to_string()).unwrap(), xtext);
        }
        for value in [
            "", "a+", "a+2", "a+2b", "a+0D", "a+0D+0A", "a+00", "a+7F", "a+FF", "a=b", "a b", "ä", "a+\u{e4}", "+G0",
            "a\tb",
        ] {
            assert_eq!(Xtext::envid(value), Err(DsnError), "{value:?}");
        }
        assert!(Xtext::envid(&"x".repeat(100)).is_ok());
        assert_eq!(Xtext::envid(&"x".repeat(101)), Err(DsnError));
    }

    #[test]
    fn original_recipients() {
        for (value, address, written) in [
            ("rfc822;anna@x.example", "anna@x.example", "rfc822;anna@x.example"),
            ("RFC822;a+2Bb@x.example", "a+b@x.example", "RFC822;a+2Bb@x.example"),
            ("x400;/G+3DA/S+3DB+20C", "/G=A/S=B C", "x400;/G+3DA/S+3DB+20C"),
            ("utf-8;\\x{E4}@x.example", "ä@x.example", "utf-8;\\x{E4}@x.example"),
            ("utf-8;ä@x.example", "ä@x.example", "utf-8;\\x{E4}@x.example"),
            ("utf-8;a\\x{2B}\\x{5C}@x.example", "a+\\@x.example", "utf-8;a\\x{2B}\\x{5C}@x.example"),
        ] {
            let orcpt = OriginalRecipient::parse(value).unwrap();
            assert_eq!((orcpt.address(), orcpt.to_string().as_str()), (address, written));
            assert_eq!(OriginalRecipient::parse(written).unwrap(), orcpt);
        }
        for value in [
            "",
            ";",
            "rfc822;",
            "rfc822",
            ";a@x.example",
            "rfc 822;a",
            "rfc822;a@x\r\n",
            "rfc822;a+0Ab",
            "rfc822;ä@x",
            "x400;/G=A",
            "utf-8;\\x{0}",
            "utf-8;\\x{D800}",
            "utf-8;\\x{e4}",
            "utf-8;\\xE4",
            "utf-8;a\u{85}b",
            "utf-8;\\x{0D}",
            "utf-8;a b",
        ] {
            assert_eq!(OriginalRecipient::parse(value), Err(DsnError), "{value:?}");
        }
        assert_eq!(OriginalRecipient::parse(&format!("rfc822;{}", "x".repeat(494))), Err(DsnError));
        assert!(OriginalRecipient::parse(&format!("rfc822;{}", "x".repeat(493))).is_ok());
    }

    #[test]
    fn notifications() {
        for (value, written) in [
            ("NEVER", "NEVER"),
            ("never", "NEVER"),
            ("success", "SUCCESS"),
            ("DELAY,FAILURE", "FAILURE,DELAY"),
            ("SUCCESS,FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"),
        ] {
            assert_eq!(Notify::parse(value).unwrap().to_string(), written);
        }
        for value in ["", ",", "SUCCESS,", "NEVER,FAILURE", "FAILURE,NEVER", "DELAY,DELAY", "FAILURE DELAY", "MAYBE"] {
            assert_eq!(Notify::parse(value), Err(DsnError), "{value:?}");
        }
    }

    #[test]
    fn an_envelope_from_before_these_were_kept_is_read() {
        let old = r#"{"reverse_path":"Null","recipients":["a@x.example"],"body":"SevenBit"}"#;
        let mut envelope: crate::Envelope = serde_json::from_str(old).unwrap();
        let [recipient] = envelope.recipients.as_slice() else { panic!() };
        assert_eq!(envelope.dsn.of(recipient), RecipientDsn::default());
        let wishes = RecipientDsn {
            notify: Some(Notify::NEVER),
            orcpt: Some(OriginalRecipient::parse("rfc822;b@x.example").unwrap()),
        };
        envelope.dsn.set(recipient, wishes.clone());
        envelope.dsn.envid = Some(Xtext::envid("a+2Bb").unwrap());
        let again: crate::Envelope = serde_json::from_slice(&serde_json::to_vec(&envelope).unwrap()).unwrap();
        assert_eq!(again, envelope);
        assert_eq!(again.dsn.of(&"A@x.example".parse().unwrap()), wishes);
    }
}
