//! The one table of what SMTP clients are told when something is not refused. Refusals: [`crate::rejection`].
//!
//! Standards: RFC 5321 4.2, RFC 3463; greetings and 354 bear no enhanced code (RFC 2034 4).

use std::borrow::Cow;

use sealpost_vault::id::QueueId;

use super::Greeting;
use super::command::Introduction;
use super::settings::Settings;
use crate::Rejection;

/// One reply, of one line or several, without the last CRLF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply(Cow<'static, str>);

/// Whether the session could be encrypted, and is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// There is no certificate.
    Unavailable,
    Offered,
    Active,
}

/// What isn't offered to everybody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offers {
    pub security: Security,
    pub auth: bool,
    pub introduction: bool,
}

impl Reply {
    const fn fixed(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    pub const SENDER: Self = Self::fixed("250 2.1.0 Ok");
    pub const RECIPIENT: Self = Self::fixed("250 2.1.5 Ok");
    pub const START_DATA: Self = Self::fixed("354 End data with <CRLF>.<CRLF>");
    pub const RESET: Self = Self::fixed("250 2.0.0 Ok");
    pub const NOOP: Self = Self::fixed("250 2.0.0 Ok");
    // RFC 5321 7.3: never says who exists.
    pub const VERIFY: Self = Self::fixed("252 2.5.0 Cannot verify, but will take mail for delivery");
    pub const START_TLS: Self = Self::fixed("220 2.0.0 Ready to start TLS");
    pub const AUTHENTICATED: Self = Self::fixed("235 2.7.0 Authentication successful");
    pub const BYE: Self = Self::fixed("221 2.0.0 Bye");

    /// The banner.
    pub fn greeting(settings: &Settings) -> Self {
        Self(format!("220 {} ESMTP Sealpost", settings.hostname).into())
    }

    /// The answer to EHLO or HELO.
    pub fn hello(kind: Greeting, settings: &Settings, offers: Offers) -> Self {
        let host = &settings.hostname;
        if kind == Greeting::Helo {
            return Self(format!("250 {host}").into());
        }
        let mut text = format!("250-{host}\r\n250-PIPELINING\r\n250-SIZE {}\r\n250-8BITMIME\r\n", settings.max_size);
        if offers.security == Security::Offered {
            text.push_str("250-STARTTLS\r\n");
        }
        if offers.auth {
            text.push_str("250-AUTH PLAIN LOGIN\r\n");
        }
        if offers.introduction {
            text.push_str(&format!("250-XCLIENT {}\r\n", Introduction::ATTRIBUTES));
        }
        text.push_str("250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING");
        Self(text.into())
    }

    /// A question in an exchange of AUTH, as base64.
    pub fn ask(question: &'static str) -> Self {
        Self(format!("334 {question}").into())
    }

    /// A piece of a message was taken, and more may come.
    pub fn piece(octets: u64) -> Self {
        Self(format!("250 2.0.0 Ok: {octets} octets").into())
    }

    /// The message is ours now.
    pub fn queued(id: &QueueId) -> Self {
        Self(format!("250 2.0.0 Ok: queued as {id}").into())
    }

    /// As it goes over the wire.
    pub fn write(&self, output: &mut Vec<u8>) {
        output.extend_from_slice(self.0.as_bytes());
        output.extend_from_slice(b"\r\n");
    }
}

impl From<Rejection> for Reply {
    fn from(rejection: Rejection) -> Self {
        Self(rejection.to_string().into())
    }
}
