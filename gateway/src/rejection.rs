//! The one table of what SMTP peers are told when something is refused: code, enhanced status, fixed text.
//!
//! Causes go to the log, never to the peer.
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

impl Rejection {
    const fn new(code: u16, enhanced: &'static str, text: &'static str) -> Self {
        Self { code, enhanced, text }
    }

    pub const SYNTAX: Self = Self::new(500, "5.5.2", "Command not recognized");
    pub const PARAMETERS: Self = Self::new(501, "5.5.4", "Syntax error in parameters");
    pub const UNKNOWN_PARAMETER: Self = Self::new(555, "5.5.4", "Parameter not recognized");
    pub const NOT_IMPLEMENTED: Self = Self::new(502, "5.5.1", "Command not implemented");
    pub const BAD_SEQUENCE: Self = Self::new(503, "5.5.1", "Bad sequence of commands");
    pub const NO_GREETING: Self = Self::new(503, "5.5.1", "Send EHLO or HELO first");
    pub const ALREADY_TLS: Self = Self::new(503, "5.5.1", "TLS is already active");
    pub const EARLY_TALKER: Self = Self::new(554, "5.5.1", "Protocol error: wait for the greeting");
    pub const INJECTION: Self =
        Self::new(554, "5.5.1", "Protocol error: nothing may follow STARTTLS before the handshake");
    pub const NO_PROXY_HEADER: Self = Self::new(554, "5.7.0", "PROXY header missing or not usable");
    pub const CHUNK: Self = Self::new(554, "5.5.4", "Malformed BDAT: data can't be told from commands");
    pub const NON_ASCII: Self = Self::new(553, "5.6.7", "Addresses with more than ASCII need SMTPUTF8");
    // RFC 4954 6
    pub const NEEDS_TLS: Self = Self::new(538, "5.7.11", "Encryption required for AUTH");
    pub const MECHANISM: Self = Self::new(504, "5.5.4", "Authentication mechanism not offered");
    pub const AUTH_CANCELLED: Self = Self::new(501, "5.7.0", "Authentication cancelled");
    pub const CREDENTIALS: Self = Self::new(535, "5.7.8", "Authentication failed");
    pub const ALREADY_AUTHENTICATED: Self = Self::new(503, "5.5.1", "Already authenticated");
    pub const TOO_MANY_FAILURES: Self =
        Self::new(421, "4.7.0", "Too many failed authentications, closing the connection");
    pub const HEADER_TOO_LARGE: Self = Self::new(552, "5.3.4", "Message header too large");
    pub const NO_RECIPIENTS: Self = Self::new(554, "5.5.1", "No valid recipients");
    pub const LINE_TOO_LONG: Self = Self::new(500, "5.5.6", "Line too long");
    pub const BARE_LINE_ENDING: Self = Self::new(554, "5.6.11", "Bare CR or LF is not allowed; lines end with CRLF");
    pub const NUL: Self = Self::new(554, "5.6.7", "NUL is not allowed");
    pub const SENDER_ADDRESS: Self = Self::new(553, "5.1.7", "Sender address not well-formed");
    pub const RECIPIENT_ADDRESS: Self = Self::new(553, "5.1.3", "Recipient address not well-formed");
    pub const TOO_MANY_RECIPIENTS: Self = Self::new(452, "4.5.3", "Too many recipients");
    pub const TOO_LARGE: Self = Self::new(552, "5.3.4", "Message too large");
    pub const LOOP: Self = Self::new(554, "5.4.6", "Too many hops");
    pub const CAME_BACK: Self = Self::new(554, "5.4.6", "Routing loop: this message has passed here before");
    pub const RELAY_DENIED: Self = Self::new(550, "5.7.1", "Relaying denied");
    pub const NOT_A_RETURN: Self = Self::new(550, "5.1.1", "No such address here");
    pub const NOT_YOUR_CONVERSATION: Self = Self::new(550, "5.7.1", "This reply address is not for you");
    pub const POLICY: Self = Self::new(550, "5.7.1", "Refused by policy: the message must be protected and cannot be");
    // RFC 3463 3.8: X.7.5, necessary information such as a key was not available.
    pub const NO_KEY: Self = Self::new(550, "5.7.5", "Refused by policy: no usable OpenPGP key for a recipient");
    pub const HOLD_NEEDS_SENDER: Self =
        Self::new(550, "5.7.1", "Refused by policy: to be protected, the message needs a sender of the organisation");
    pub const UNREADABLE_HEADER: Self = Self::new(554, "5.6.0", "Header not well-formed");
    pub const STORAGE_FULL: Self = Self::new(452, "4.3.1", "Insufficient system storage, try again later");
    pub const TEMPORARY: Self = Self::new(451, "4.3.0", "Local error, try again later");
    pub const BUSY: Self = Self::new(421, "4.3.2", "Too many connections, try again later");
    pub const TIMEOUT: Self = Self::new(421, "4.4.2", "Timeout, closing the connection");
    pub const TOO_SLOW: Self = Self::new(421, "4.4.2", "Too slow, closing the connection");
    pub const SHUTTING_DOWN: Self = Self::new(421, "4.3.2", "Shutting down, try again later");
    pub const TOO_MANY_ERRORS: Self = Self::new(421, "4.7.0", "Too many errors, closing the connection");

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
