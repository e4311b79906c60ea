//! Parses one command line into a [`Command`]: strictly, because a lenient parser is one more way to be misunderstood.
//!
//! Keywords are taken in any case; between the parts stands exactly one space, and around addresses stand angle
//! brackets. More than ASCII is understood in addresses only, and only printable characters.
//!
//! Standards: RFC 5321 4.1.1 and 4.1.2, RFC 3207 (STARTTLS), RFC 3030 (BDAT), RFC 4954 (AUTH), Postfix' XCLIENT_README.
//! Parameters: [`parameters`].

mod parameters;
mod xclient;

use std::fmt;

use sealpost_vault::EmailAddress;

use super::Greeting;
use super::sasl::Mechanism;
use crate::{BodyType, Charset, Envelope, RecipientDsn, Rejection, Return, ReversePath, Xtext};

pub(super) use xclient::Introduction;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Hello(Greeting, String),
    Mail(Mail),
    Recipient(Recipient),
    Data,
    Chunk(Chunk),
    /// With the first words of the exchange, if they came along.
    Auth(Mechanism, Option<String>),
    Introduce(Introduction),
    Reset,
    Noop,
    Verify,
    StartTls,
    Quit,
    /// A web browser, or somebody who uses one against us.
    Http,
}

/// MAIL FROM with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mail {
    pub from: ReversePath,
    pub body: BodyType,
    /// Octets, as the client estimates; saturated.
    pub size: Option<u64>,
    pub charset: Charset,
    pub ret: Option<Return>,
    pub envid: Option<Xtext>,
}

impl Mail {
    /// An envelope that nobody has been added to.
    pub fn envelope(self) -> Envelope {
        let Self { from, body, charset, ret, envid, .. } = self;
        let mut envelope = Envelope::plain(from, Vec::new(), body);
        envelope.charset = charset;
        envelope.dsn.ret = ret;
        envelope.dsn.envid = envid;
        envelope
    }
}

/// RCPT TO with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recipient {
    pub path: ForwardPath,
    /// What the command holds.
    pub charset: Charset,
    pub dsn: RecipientDsn,
}

/// Where a message shall go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ForwardPath {
    /// `<postmaster>` without a domain, which every host must have (RFC 5321 4.5.1).
    Postmaster,
    Mailbox(EmailAddress),
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("postmaster"),
            Self::Mailbox(address) => address.fmt(f),
        }
    }
}

/// A piece of a message, whose octets follow the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub octets: u64,
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Inner,
    Last,
}

/// Why a line isn't obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The next line may be fine.
    Refused(Rejection),
    /// What follows may be data that nobody can tell from commands.
    Lost(Rejection),
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl Command {
    /// From a line without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Self, Fault> {
        // RFC 5321 4.1.1: white space before the CRLF is tolerated.
        let line = line.trim_ascii_end();
        let (verb, argument) = match line.iter().position(|byte| *byte == b' ') {
            Some(space) => line.split_at_checked(space).map_or((line, None), |(verb, rest)| (verb, rest.get(1..))),
            None => (line, None),
        };
        let verb = verb.to_ascii_uppercase();
        if announces_octets(line) {
            let argument = argument.filter(|_| verb == b"BDAT");
            return argument.and_then(chunk).map(Self::Chunk).ok_or(Fault::Lost(Rejection::CHUNK));
        }
        let argument = match argument.map(str::from_utf8) {
            None => None,
            Some(Ok(text)) if text.bytes().all(|b| (b' '..=b'~').contains(&b)) => Some(text),
            Some(Ok(text)) if matches!(verb.as_slice(), b"MAIL" | b"RCPT") && !text.chars().any(char::is_control) => {
                Some(text)
            }
            Some(_) => return Err(unprintable(&verb).into()),
        };
        let parsed = match (verb.as_slice(), argument) {
            (b"EHLO", Some(name)) => hello(Greeting::Ehlo, name),
            (b"HELO", Some(name)) => hello(Greeting::Helo, name),
            (b"MAIL", Some(argument)) => parameters::mail(argument).map(Self::Mail),
            (b"RCPT", Some(argument)) => parameters::recipient(argument).map(Self::Recipient),
            (b"DATA", None) => Ok(Self::Data),
            (b"AUTH", Some(argument)) => auth(argument),
            (b"XCLIENT", Some(argument)) => Introduction::parse(argument).map(Self::Introduce),
            (b"RSET", None) => Ok(Self::Reset),
            (b"NOOP", _) => Ok(Self::Noop),
            (b"VRFY", Some(_)) => Ok(Self::Verify),
            (b"QUIT", None) => Ok(Self::Quit),
            (b"STARTTLS", None) => Ok(Self::StartTls),
            (b"GET" | b"POST" | b"HEAD" | b"PUT" | b"DELETE" | b"PATCH" | b"OPTIONS" | b"CONNECT" | b"TRACE", _)
            | (b"PRI", _) => Ok(Self::Http),
            (
                b"EHLO" | b"HELO" | b"MAIL" | b"RCPT" | b"DATA" | b"AUTH" | b"XCLIENT" | b"RSET" | b"VRFY" | b"QUIT"
                | b"STARTTLS",
                _,
            ) => Err(Rejection::PARAMETERS),
            (b"EXPN" | b"HELP" | b"TURN" | b"ETRN" | b"SEND" | b"SOML" | b"SAML", _) => Err(Rejection::NOT_IMPLEMENTED),
            _ => Err(Rejection::SYNTAX),
        };
        parsed.map_err(Fault::from)
    }
}

/// Whether somebody may take the line for BDAT, also who is lenient about blanks: then nobody knows what follows it.
pub(super) fn announces_octets(line: &[u8]) -> bool {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let first = line.split(is_blank).find(|word| !word.is_empty());
    first.is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT"))
}

fn unprintable(verb: &[u8]) -> Rejection {
    match verb {
        b"MAIL" => Rejection::SENDER_ADDRESS,
        b"RCPT" => Rejection::RECIPIENT_ADDRESS,
        b"EHLO" | b"HELO" | b"VRFY" | b"NOOP" | b"AUTH" | b"XCLIENT" => Rejection::PARAMETERS,
        _ => Rejection::SYNTAX,
    }
}

/// Names of mail servers are often not host names; but they are written into the trace header, so no name may
/// hold what means something there.
fn is_helo(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
}

fn hello(kind: Greeting, name: &str) -> Result<Command, Rejection> {
    if is_helo(name) { Ok(Command::Hello(kind, name.to_owned())) } else { Err(Rejection::PARAMETERS) }
}

// RFC 3030 2: a size, and perhaps LAST. Who gets a byte of this wrong may have sent anything behind it.
fn chunk(argument: &[u8]) -> Option<Chunk> {
    let text = str::from_utf8(argument).ok()?;
    let (digits, place) = match text.split_once(' ') {
        None => (text, Place::Inner),
        Some((digits, last)) if last.eq_ignore_ascii_case("LAST") => (digits, Place::Last),
        Some(_) => return None,
    };
    let well_formed = (1..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let octets = digits.parse().ok().filter(|_| well_formed)?;
    Some(Chunk { octets, place })
}

// RFC 4954 4
fn auth(argument: &str) -> Result<Command, Rejection> {
    let (mechanism, words) = match argument.split_once(' ') {
        None => (argument, None),
        Some((mechanism, words)) if !words.is_empty() && !words.contains(' ') => (mechanism, Some(words.to_owned())),
        Some(_) => return Err(Rejection::PARAMETERS),
    };
    Ok(Command::Auth(Mechanism::parse(mechanism)?, words))
}

#[cfg(test)]
mod tests;
