//! The one table of what SMTP clients are told when something is not refused. Refusals: [`crate::rejection`].
//!
//! Standards: RFC 5321 4.2, RFC 3463; greetings and 354 bear no enhanced code (RFC 2034 4).

use std::borrow::Cow;

use sealpost_vault::id::QueueId;

use super::command::Hello;
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
    pub const BYE: Self = Self::fixed("221 2.0.0 Bye");

    /// The banner.
    pub fn greeting(settings: &Settings) -> Self {
        Self(format!("220 {} ESMTP Sealpost", settings.hostname).into())
    }

    /// The answer to EHLO or HELO.
    pub fn hello(kind: Hello, settings: &Settings, security: Security) -> Self {
        let host = &settings.hostname;
        if kind == Hello::Plain {
            return Self(format!("250 {host}").into());
        }
        let starttls = match security {
            Security::Offered => "250-STARTTLS\r\n",
            Security::Unavailable | Security::Active => "",
        };
        let size = settings.max_size;
        Self(
            format!(
                "250-{host}\r\n250-PIPELINING\r\n250-SIZE {size}\r\n250-8BITMIME\r\n{starttls}250 ENHANCEDSTATUSCODES"
            )
            .into(),
        )
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
