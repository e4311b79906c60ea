//! Address patterns: `anna@x.example`, `@x.example`, `*.x.example` (subdomains, not x.example itself), `*`, and `<>` for the
//! null sender.

use std::fmt;
use std::str::FromStr;

use sealpost_vault::{EmailAddress, Identity, address};

/// A pattern, checked. Cases don't matter; domains are compared as A-labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Anyone,
    Null,
    Mailbox(Identity),
    Domain(String),
    /// With the dot in front.
    Subdomains(String),
}

/// The text is no pattern.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoPattern;

impl Pattern {
    /// Whether an address (`None`: the null sender) fits.
    pub fn fits(&self, address: Option<&EmailAddress>) -> bool {
        match (self, address) {
            (Self::Anyone, _) | (Self::Null, None) => true,
            (Self::Null, Some(_)) | (_, None) => false,
            (Self::Mailbox(identity), Some(address)) => address.identity() == *identity,
            (Self::Domain(domain), Some(address)) => address.domain() == domain,
            (Self::Subdomains(suffix), Some(address)) => address.domain().ends_with(suffix),
        }
    }
}

impl FromStr for Pattern {
    type Err = NoPattern;

    fn from_str(text: &str) -> Result<Self, NoPattern> {
        let domain = |text: &str| address::domain_of(text).map_err(|_| NoPattern);
        if text == "*" {
            Ok(Self::Anyone)
        } else if text == "<>" {
            Ok(Self::Null)
        } else if let Some(rest) = text.strip_prefix("*.") {
            Ok(Self::Subdomains(format!(".{}", domain(rest)?)))
        } else if let Some(rest) = text.strip_prefix('@') {
            domain(rest).map(Self::Domain)
        } else if text.contains('*') {
            // A star elsewhere would be taken as a letter: surely not what was meant.
            Err(NoPattern)
        } else {
            text.parse::<EmailAddress>().map(|address| Self::Mailbox(address.identity())).map_err(|_| NoPattern)
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("*"),
            Self::Null => f.write_str("<>"),
            Self::Mailbox(identity) => identity.fmt(f),
            Self::Domain(domain) => write!(f, "@{domain}"),
            Self::Subdomains(suffix) => write!(f, "*{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, address, expected) in [
            ("*", "a@x.example", true),
            ("*", "", true),
            ("<>", "", true),
            ("<>", "a@x.example", false),
            ("@x.example", "A@X.EXAMPLE", true),
            ("@X.Example", "a@x.example", true),
            ("@x.example", "a@sub.x.example", false),
            ("@x.example", "a@notx.example", false),
            ("@x.example", "", false),
            ("*.x.example", "a@sub.x.example", true),
            ("*.x.example", "a@a.b.x.example", true),
            ("*.x.example", "a@x.example", false),
            ("*.x.example", "a@evilx.example", false),
            ("Anna@x.example", "anna@X.example", true),
            ("anna@x.example", "joanna@x.example", false),
            ("@bücher.example", "a@xn--bcher-kva.example", true),
        ] {
            let address: Option<EmailAddress> = (!address.is_empty()).then(|| address.parse().unwrap());
            assert_eq!(pattern.parse::<Pattern>().unwrap().fits(address.as_ref()), expected, "{pattern} {address:?}");
        }
        for text in
            ["", "@", "*.", "x.example", "*@x.example", "a*@x.example", "@*.x.example", "a b@x.example", "@x..example"]
        {
            assert_eq!(text.parse::<Pattern>(), Err(NoPattern), "{text}");
        }
    }
}
