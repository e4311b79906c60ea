//! The exchange behind AUTH, for the two mechanisms that mail servers and devices speak. No I/O.
//!
//! Security: bounded by the length of a command line; what was a password is zeroed.
//!
//! Standards: RFC 4954 (AUTH), RFC 4616 (PLAIN); LOGIN as everybody has it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::users::Credentials;
use crate::Rejection;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Login,
}

impl Mechanism {
    pub fn parse(name: &str) -> Result<Self, Rejection> {
        if name.eq_ignore_ascii_case("PLAIN") {
            Ok(Self::Plain)
        } else if name.eq_ignore_ascii_case("LOGIN") {
            Ok(Self::Login)
        } else {
            Err(Rejection::MECHANISM)
        }
    }
}

/// An exchange that isn't over.
pub(super) enum Exchange {
    Plain,
    LoginName,
    LoginPassword(String),
}

/// What comes next.
pub(super) enum Turn {
    /// Say `334` and this, and go on.
    Ask(&'static str, Exchange),
    Verify(Credentials),
}

impl Exchange {
    /// With the client's first words, if it sent them along.
    pub fn begin(mechanism: Mechanism, initial: Option<&[u8]>) -> Result<Turn, Rejection> {
        let exchange = match mechanism {
            Mechanism::Plain => Self::Plain,
            Mechanism::Login => Self::LoginName,
        };
        match (initial, exchange) {
            (None, Self::Plain) => Ok(Turn::Ask("", Self::Plain)),
            (None, exchange) => Ok(Turn::Ask("VXNlcm5hbWU6", exchange)), // "Username:"
            // RFC 4954 4: `=` is an answer of no octets.
            (Some(b"="), exchange) => exchange.take(b""),
            (Some(words), exchange) => exchange.take(words),
        }
    }

    /// The client's next line, without its CRLF.
    pub fn take(self, line: &[u8]) -> Result<Turn, Rejection> {
        if line == b"*" {
            return Err(Rejection::AUTH_CANCELLED);
        }
        let words = Zeroizing::new(STANDARD.decode(line).map_err(|_| Rejection::PARAMETERS)?);
        match self {
            Self::Plain => plain(&words).map(Turn::Verify),
            Self::LoginName => Ok(Turn::Ask("UGFzc3dvcmQ6", Self::LoginPassword(name(&words)?))), // "Password:"
            Self::LoginPassword(name) => Ok(Turn::Verify(Credentials { name, password: words })),
        }
    }
}

// RFC 4616 2: [authzid] NUL authcid NUL passwd. Nobody here acts for somebody else.
fn plain(words: &[u8]) -> Result<Credentials, Rejection> {
    let mut parts = words.split(|octet| *octet == 0);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(acts_for), Some(who), Some(password), None)
            if (acts_for.is_empty() || acts_for == who) && !password.is_empty() =>
        {
            Ok(Credentials { name: name(who)?, password: Zeroizing::new(password.to_vec()) })
        }
        _ => Err(Rejection::PARAMETERS),
    }
}

fn name(words: &[u8]) -> Result<String, Rejection> {
    match str::from_utf8(words) {
        Ok(name) if !name.is_empty() && !name.chars().any(char::is_control) => Ok(name.to_owned()),
        _ => Err(Rejection::PARAMETERS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(mechanism: Mechanism, initial: Option<&str>, lines: &[&str]) -> Result<(String, String), Rejection> {
        let mut turn = Exchange::begin(mechanism, initial.map(str::as_bytes))?;
        let mut lines = lines.iter();
        loop {
            turn = match turn {
                Turn::Ask(_, exchange) => exchange.take(lines.next().expect("asks too often").as_bytes())?,
                Turn::Verify(credentials) => {
                    let password = String::from_utf8(credentials.password.to_vec()).unwrap();
                    return Ok((credentials.name, password));
                }
            }
        }
    }

    #[test]
    fn exchanges() {
        let encoded = |text: &str| STANDARD.encode(text);
        let anna = || Ok(("anna".to_owned(), "secret".to_owned()));
        let plain = encoded("\0anna\0secret");
        assert_eq!(held(Mechanism::Plain, Some(&plain), &[]), anna());
        assert_eq!(held(Mechanism::Plain, None, &[&plain]), anna());
        assert_eq!(held(Mechanism::Plain, Some(&encoded("anna\0anna\0secret")), &[]), anna());
        let (name, password) = (encoded("anna"), encoded("secret"));
        assert_eq!(held(Mechanism::Login, None, &[&name, &password]), anna());
        assert_eq!(held(Mechanism::Login, Some(&name), &[&password]), anna());
        for words in [
            "\0anna",
            "anna\0secret",
            "ben\0anna\0secret",
            "\0\0secret",
            "\0anna\0",
            "\0anna\0a\0b",
            "",
            "\0an\nna\0secret",
        ] {
            assert_eq!(held(Mechanism::Plain, None, &[&encoded(words)]), Err(Rejection::PARAMETERS), "{words:?}");
        }
        for line in ["AGFubmEAc2VjcmV0=", "AGFu bmE", "A", "====", "AGFubmEAc2VjcmV0\t", "ä"] {
            assert_eq!(held(Mechanism::Plain, None, &[line]), Err(Rejection::PARAMETERS), "{line:?}");
        }
        assert_eq!(held(Mechanism::Plain, Some("="), &[]), Err(Rejection::PARAMETERS));
        assert_eq!(held(Mechanism::Plain, None, &["*"]), Err(Rejection::AUTH_CANCELLED));
        assert_eq!(held(Mechanism::Login, None, &[&name, "*"]), Err(Rejection::AUTH_CANCELLED));
        assert_eq!(Mechanism::parse("plain"), Ok(Mechanism::Plain));
        assert_eq!(Mechanism::parse("CRAM-MD5"), Err(Rejection::MECHANISM));
    }
}
