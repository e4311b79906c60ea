//! The one table of what SMTP peers are told when something is refused: code, enhanced status, fixed text.
//!
//! Causes go to the log, never to the peer. Two refusals share an enhanced status only where the registry has none that says more.
//!
//! Standards: RFC 5321 4.2 (replies), RFC 3463 and RFC 5248 (enhanced status codes).

use std::fmt;

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// 4xx: try again later. 5xx: never.
    pub code: u16,
    /// RFC 3463, such as `5.7.1`.
    pub enhanced: &'static str,
    pub text: &'static str,
}

/// Makes each a constant, and all of them a list that none is missing from.
macro_rules! table {
    ($($name:ident = $code:literal $enhanced:literal $text:literal;)*) => {
        impl Rejection {
            $(pub const $name: Self = Self { code: $code, enhanced: $enhanced, text: $text };)*

            /// The whole table.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

table! {
    SYNTAX = 500 "5.5.2" "Command not recognized";
    PARAMETERS = 501 "5.5.4" "Syntax error in parameters";
    UNKNOWN_PARAMETER = 555 "5.5.4" "Parameter not recognized";
    NOT_IMPLEMENTED = 502 "5.5.1" "Command not implemented";
    BAD_SEQUENCE = 503 "5.5.1" "Bad sequence of commands";
    NO_GREETING = 503 "5.5.1" "Send EHLO or HELO first";
    ALREADY_TLS = 503 "5.5.1" "TLS is already active";
    EARLY_TALKER = 554 "5.5.0" "Protocol error: wait for the greeting";
    INJECTION = 554 "5.5.0" "Protocol error: nothing may follow STARTTLS before the handshake";
    NO_PROXY_HEADER = 554 "5.7.0" "PROXY header missing or not usable";
    CHUNK = 554 "5.5.4" "Malformed BDAT: data can't be told from commands";
    NON_ASCII = 553 "5.6.7" "Addresses with more than ASCII need SMTPUTF8";
    // RFC 4954 6
    NEEDS_TLS = 538 "5.7.11" "Encryption required for AUTH";
    MECHANISM = 504 "5.5.4" "Authentication mechanism not offered";
    AUTH_CANCELLED = 501 "5.7.0" "Authentication cancelled";
    CREDENTIALS = 535 "5.7.8" "Authentication failed";
    ALREADY_AUTHENTICATED = 503 "5.5.1" "Already authenticated";
    TOO_MANY_FAILURES = 421 "4.7.0" "Too many failed authentications, closing the connection";
    HEADER_TOO_LARGE = 552 "5.3.4" "Message header too large";
    NO_RECIPIENTS = 554 "5.5.1" "No valid recipients";
    LINE_TOO_LONG = 500 "5.5.2" "Line too long";
    // RFC 4954 4
    AUTH_TOO_LONG = 500 "5.5.6" "Line too long in an authentication exchange";
    // Not registered; what others say for the same, and better than "other".
    BARE_LINE_ENDING = 554 "5.6.11" "Bare CR or LF is not allowed; lines end with CRLF";
    NUL = 554 "5.6.11" "NUL is not allowed";
    SENDER_ADDRESS = 553 "5.1.7" "Sender address not well-formed";
    RECIPIENT_ADDRESS = 553 "5.1.3" "Recipient address not well-formed";
    TOO_MANY_RECIPIENTS = 452 "4.5.3" "Too many recipients";
    TOO_LARGE = 552 "5.3.4" "Message too large";
    LOOP = 554 "5.4.6" "Too many hops";
    CAME_BACK = 554 "5.4.6" "Routing loop: this message has passed here before";
    RELAY_DENIED = 550 "5.7.1" "Relaying denied";
    NOT_A_RETURN = 550 "5.1.1" "No such address here";
    NOT_YOUR_CONVERSATION = 550 "5.7.1" "This reply address is not for you";
    POLICY = 550 "5.7.1" "Refused by policy: the message must be protected and cannot be";
    // RFC 3463 3.8: X.7.5, necessary information such as a key was not available.
    NO_KEY = 550 "5.7.5" "Refused by policy: no usable OpenPGP key for a recipient";
    HOLD_NEEDS_SENDER = 550 "5.7.1" "Refused by policy: to be protected, the message needs a sender of the organisation";
    UNREADABLE_HEADER = 554 "5.6.0" "Header not well-formed";
    STORAGE_FULL = 452 "4.3.1" "Insufficient system storage, try again later";
    TEMPORARY = 451 "4.3.0" "Local error, try again later";
    BUSY = 421 "4.3.2" "Too many connections, try again later";
    TIMEOUT = 421 "4.4.2" "Timeout, closing the connection";
    TOO_SLOW = 421 "4.4.2" "Too slow, closing the connection";
    SHUTTING_DOWN = 421 "4.3.2" "Shutting down, try again later";
    TOO_MANY_ERRORS = 421 "4.7.0" "Too many errors, closing the connection";
}

impl Rejection {
    /// Whether the connection ends with it (RFC 5321 3.8).
    pub fn closes(&self) -> bool {
        self.code == 421
    }

    /// Whether the client may try again.
    pub fn is_temporary(&self) -> bool {
        self.code < 500
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.enhanced, self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Where the registry of RFC 5248 has one status for several of ours, and why that is so.
    const SHARED: [(&str, &[&str]); 15] = [
        // Security features: nothing that says more
        (
            "4.7.0",
            &["Too many errors, closing the connection", "Too many failed authentications, closing the connection"],
        ),
        // The system doesn't accept messages
        ("4.3.2", &["Shutting down, try again later", "Too many connections, try again later"]),
        // Bad connection
        ("4.4.2", &["Timeout, closing the connection", "Too slow, closing the connection"]),
        // Message too big for system
        ("5.3.4", &["Message header too large", "Message too large"]),
        // Protocol, other: who talks out of turn
        (
            "5.5.0",
            &[
                "Protocol error: nothing may follow STARTTLS before the handshake",
                "Protocol error: wait for the greeting",
            ],
        ),
        // Invalid command
        (
            "5.5.1",
            &[
                "Already authenticated",
                "Bad sequence of commands",
                "Command not implemented",
                "No valid recipients",
                "Send EHLO or HELO first",
                "TLS is already active",
            ],
        ),
        // Syntax error
        ("5.5.2", &["Command not recognized", "Line too long"]),
        // Invalid command arguments
        (
            "5.5.4",
            &[
                "Authentication mechanism not offered",
                "Malformed BDAT: data can't be told from commands",
                "Parameter not recognized",
                "Syntax error in parameters",
            ],
        ),
        // Invalid characters
        ("5.6.11", &["Bare CR or LF is not allowed; lines end with CRLF", "NUL is not allowed"]),
        // Security features, other
        ("5.7.0", &["Authentication cancelled", "PROXY header missing or not usable"]),
        // Delivery not authorized
        (
            "5.7.1",
            &[
                "Refused by policy: the message must be protected and cannot be",
                "Refused by policy: to be protected, the message needs a sender of the organisation",
                "Relaying denied",
                "This reply address is not for you",
            ],
        ),
        // Routing loop detected
        ("5.4.6", &["Routing loop: this message has passed here before", "Too many hops"]),
        // One each
        ("4.3.0", &["Local error, try again later"]),
        ("4.3.1", &["Insufficient system storage, try again later"]),
        ("4.5.3", &["Too many recipients"]),
    ];

    #[test]
    fn statuses_are_shared_only_where_there_is_no_better_one() {
        let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for rejection in Rejection::ALL {
            let first = found.entry(rejection.enhanced).or_default().insert(rejection.text);
            assert!(first, "two refusals with one text: {rejection}");
        }
        for (enhanced, texts) in found {
            let expected = SHARED.iter().find(|(shared, _)| *shared == enhanced);
            let expected: BTreeSet<&str> = expected
                .map_or_else(|| texts.iter().take(1).copied().collect(), |(_, texts)| texts.iter().copied().collect());
            assert_eq!(texts, expected, "{enhanced}");
        }
    }

    #[test]
    fn code_and_status_say_the_same() {
        for rejection in Rejection::ALL {
            let mut parts = rejection.enhanced.split('.').map(|part| part.parse::<u16>().unwrap());
            assert_eq!(parts.next(), Some(rejection.code / 100), "{rejection}");
            assert_eq!(parts.count(), 2, "{rejection}");
            assert!(rejection.text.is_ascii() && rejection.to_string().len() < 200, "{rejection}");
        }
    }

    #[test]
    fn the_manual_explains_every_refusal() {
        let manual = include_str!("../../deploy/ADMIN.md");
        let heading = "## What a refusal means";
        let (_, chapter) = manual.split_once(heading).unwrap();
        let (chapter, _) = chapter.split_once("\n## ").unwrap();
        let row = |line: &str| {
            line.strip_prefix("| ").filter(|row| row.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
        };
        let rows: Vec<String> = chapter.lines().filter_map(row).collect();
        let heading =
            |rejection: &Rejection| format!("{} {} | {} | ", rejection.code, rejection.enhanced, rejection.text);
        for rejection in Rejection::ALL {
            let explained = rows.iter().filter(|row| row.starts_with(&heading(rejection))).count();
            assert_eq!(explained, 1, "{rejection}");
        }
        for row in &rows {
            assert!(
                Rejection::ALL.iter().any(|rejection| row.starts_with(&heading(rejection))),
                "no refusal of ours: {row}"
            );
        }
    }
}
