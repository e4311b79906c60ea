//! Parses one command line into a [`Command`]: strictly, because a lenient parser is one more way to be misunderstood.
//!
//! Keywords are taken in any case; between the parts stands exactly one space, and around addresses stand angle
//! brackets. Extensions (AUTH, CHUNKING, DSN, SMTPUTF8) add a variant here and a keyword in [`super::reply`].
//!
//! Standards: RFC 5321 4.1.1 and 4.1.2, RFC 1870 (SIZE), RFC 6152 (BODY), RFC 3207 (STARTTLS).

use sealpost_vault::EmailAddress;

use crate::{BodyType, Rejection, ReversePath};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Hello(Hello, String),
    Mail(Mail),
    Recipient(ForwardPath),
    Data,
    Reset,
    Noop,
    Verify,
    StartTls,
    Quit,
    /// A web browser, or somebody who uses one against us.
    Http,
}

/// Which greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hello {
    Plain,
    Extended,
}

/// MAIL FROM with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mail {
    pub from: ReversePath,
    pub body: BodyType,
    /// Octets, as the client estimates; saturated.
    pub size: Option<u64>,
}

/// Where a message shall go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ForwardPath {
    /// `<postmaster>` without a domain, which every host must have (RFC 5321 4.5.1).
    Postmaster,
    Mailbox(EmailAddress),
}

impl Command {
    /// From a line without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Self, Rejection> {
        // RFC 5321 4.1.1: white space before the CRLF is tolerated.
        let line = line.trim_ascii_end();
        let (verb, argument) = match line.iter().position(|byte| *byte == b' ') {
            Some(space) => line.split_at_checked(space).map_or((line, None), |(verb, rest)| (verb, rest.get(1..))),
            None => (line, None),
        };
        let verb = verb.to_ascii_uppercase();
        let argument = match argument.map(str::from_utf8) {
            None => None,
            Some(Ok(text)) if text.bytes().all(|b| (b' '..=b'~').contains(&b)) => Some(text),
            // SMTPUTF8 isn't offered.
            Some(_) => return Err(not_ascii(&verb)),
        };
        match (verb.as_slice(), argument) {
            (b"EHLO", Some(name)) => hello(Hello::Extended, name),
            (b"HELO", Some(name)) => hello(Hello::Plain, name),
            (b"MAIL", Some(argument)) => mail(argument),
            (b"RCPT", Some(argument)) => recipient(argument),
            (b"DATA", None) => Ok(Self::Data),
            (b"RSET", None) => Ok(Self::Reset),
            (b"NOOP", _) => Ok(Self::Noop),
            (b"VRFY", Some(_)) => Ok(Self::Verify),
            (b"QUIT", None) => Ok(Self::Quit),
            (b"STARTTLS", None) => Ok(Self::StartTls),
            (b"GET" | b"POST" | b"HEAD" | b"PUT" | b"DELETE" | b"PATCH" | b"OPTIONS" | b"CONNECT" | b"TRACE", _)
            | (b"PRI", _) => Ok(Self::Http),
            (b"EHLO" | b"HELO" | b"MAIL" | b"RCPT" | b"DATA" | b"RSET" | b"VRFY" | b"QUIT" | b"STARTTLS", _) => {
                Err(Rejection::PARAMETERS)
            }
            (b"EXPN" | b"HELP" | b"BDAT" | b"AUTH" | b"TURN" | b"ETRN" | b"SEND" | b"SOML" | b"SAML", _) => {
                Err(Rejection::NOT_IMPLEMENTED)
            }
            _ => Err(Rejection::SYNTAX),
        }
    }
}

fn not_ascii(verb: &[u8]) -> Rejection {
    match verb {
        b"MAIL" => Rejection::SENDER_ADDRESS,
        b"RCPT" => Rejection::RECIPIENT_ADDRESS,
        b"EHLO" | b"HELO" | b"VRFY" | b"NOOP" => Rejection::PARAMETERS,
        _ => Rejection::SYNTAX,
    }
}

/// Names of mail servers are often not host names; but they are written into the trace header, so no name may
/// hold what means something there.
fn hello(kind: Hello, name: &str) -> Result<Command, Rejection> {
    let fits = (1..=255).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'));
    if fits { Ok(Command::Hello(kind, name.to_owned())) } else { Err(Rejection::PARAMETERS) }
}

fn mail(argument: &str) -> Result<Command, Rejection> {
    let (path, parameters) = path(argument, "FROM:").ok_or(Rejection::PARAMETERS)?;
    let from = match path {
        "" => ReversePath::Null,
        address => ReversePath::Address(address.parse().map_err(|_| Rejection::SENDER_ADDRESS)?),
    };
    let (mut size, mut body) = (None, None);
    for parameter in parameters {
        let Parameter { keyword, value } = parameter?;
        if keyword.eq_ignore_ascii_case("SIZE") && size.is_none() {
            size = Some(octets(value)?);
        } else if keyword.eq_ignore_ascii_case("BODY") && body.is_none() {
            body = Some(body_type(value)?);
        } else if keyword.eq_ignore_ascii_case("SIZE") || keyword.eq_ignore_ascii_case("BODY") {
            return Err(Rejection::PARAMETERS);
        } else {
            return Err(Rejection::UNKNOWN_PARAMETER);
        }
    }
    Ok(Command::Mail(Mail { from, body: body.unwrap_or_default(), size }))
}

fn recipient(argument: &str) -> Result<Command, Rejection> {
    let (path, mut parameters) = path(argument, "TO:").ok_or(Rejection::PARAMETERS)?;
    let path = if path.eq_ignore_ascii_case("postmaster") {
        ForwardPath::Postmaster
    } else {
        // A source route (`@relay:mailbox`) is no mailbox: RFC 5321 4.1.1.3 allows refusing it.
        ForwardPath::Mailbox(path.parse().map_err(|_| Rejection::RECIPIENT_ADDRESS)?)
    };
    match parameters.next() {
        None => Ok(Command::Recipient(path)),
        Some(Ok(_)) => Err(Rejection::UNKNOWN_PARAMETER),
        Some(Err(rejection)) => Err(rejection),
    }
}

/// `FROM:<path> KEY=value ...`: what is between the brackets, and the parameters.
fn path<'a>(
    argument: &'a str,
    keyword: &str,
) -> Option<(&'a str, impl Iterator<Item = Result<Parameter<'a>, Rejection>>)> {
    let (found, rest) = argument.split_at_checked(keyword.len())?;
    if !found.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let rest = rest.strip_prefix('<')?;
    let (path, rest) = rest.split_at_checked(closing_bracket(rest)?)?;
    let rest = rest.strip_prefix('>')?;
    let parameters = match rest {
        "" => None,
        _ => Some(rest.strip_prefix(' ')?.split(' ').map(parameter)),
    };
    Some((path, parameters.into_iter().flatten()))
}

/// Where the path ends: a `>` in a quoted local part isn't the end.
fn closing_bracket(text: &str) -> Option<usize> {
    let mut quoted = Quoted::Not;
    for (at, byte) in text.bytes().enumerate() {
        quoted = match (quoted, byte) {
            (Quoted::Not, b'>') => return Some(at),
            (Quoted::Not, b'"') => Quoted::Inside,
            (Quoted::Inside, b'"') => Quoted::Not,
            (Quoted::Inside, b'\\') => Quoted::Escaped,
            (Quoted::Escaped, _) => Quoted::Inside,
            (unchanged, _) => unchanged,
        };
    }
    None
}

#[derive(Clone, Copy)]
enum Quoted {
    Not,
    Inside,
    Escaped,
}

// RFC 5321 4.1.2: esmtp-param
struct Parameter<'a> {
    keyword: &'a str,
    value: Option<&'a str>,
}

fn parameter(text: &str) -> Result<Parameter<'_>, Rejection> {
    let (keyword, value) = text.split_once('=').map_or((text, None), |(keyword, value)| (keyword, Some(value)));
    let well_formed = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
        && keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && value.is_none_or(|value| !value.is_empty() && !value.contains('='));
    if well_formed { Ok(Parameter { keyword, value }) } else { Err(Rejection::PARAMETERS) }
}

// RFC 1870 3: one to twenty digits, which is more than 64 bits hold.
fn octets(value: Option<&str>) -> Result<u64, Rejection> {
    match value {
        Some(digits) if digits.len() <= 20 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            Ok(digits.parse().unwrap_or(u64::MAX))
        }
        _ => Err(Rejection::PARAMETERS),
    }
}

fn body_type(value: Option<&str>) -> Result<BodyType, Rejection> {
    match value {
        Some(value) if value.eq_ignore_ascii_case("7BIT") => Ok(BodyType::SevenBit),
        Some(value) if value.eq_ignore_ascii_case("8BITMIME") => Ok(BodyType::EightBitMime),
        _ => Err(Rejection::PARAMETERS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<Command, Rejection>) {
        assert_eq!(Command::parse(line.as_bytes()), expected, "{line:?}");
    }

    fn from(address: &str) -> Mail {
        let from = if address.is_empty() { ReversePath::Null } else { ReversePath::Address(address.parse().unwrap()) };
        Mail { from, body: BodyType::SevenBit, size: None }
    }

    fn to(address: &str) -> Command {
        Command::Recipient(ForwardPath::Mailbox(address.parse().unwrap()))
    }

    #[test]
    fn verbs() {
        check("EHLO mta.example", Ok(Command::Hello(Hello::Extended, "mta.example".into())));
        check("ehlo my_pc", Ok(Command::Hello(Hello::Extended, "my_pc".into())));
        check("HELO [IPv6:2001:db8::1]", Ok(Command::Hello(Hello::Plain, "[IPv6:2001:db8::1]".into())));
        check("DATA", Ok(Command::Data));
        check("data  \t", Ok(Command::Data));
        check("RSET", Ok(Command::Reset));
        check("NOOP", Ok(Command::Noop));
        check("NOOP anything at all", Ok(Command::Noop));
        check("VRFY anna", Ok(Command::Verify));
        check("STARTTLS", Ok(Command::StartTls));
        check("QUIT", Ok(Command::Quit));
        check("GET / HTTP/1.1", Ok(Command::Http));
        check("post /x HTTP/1.0", Ok(Command::Http));
        check("CONNECT a:25 HTTP/1.1", Ok(Command::Http));
        check("PRI * HTTP/2.0", Ok(Command::Http));
    }

    #[test]
    fn no_verbs() {
        for line in ["", " ", " NOOP", "NOOPS", "MAILFROM:<a@x.example>", "X", "DA TA", "\u{a0}NOOP", "NOOP\tx"] {
            check(line, Err(Rejection::SYNTAX));
        }
        for line in ["EHLO", "HELO ", "EHLO a b", "EHLO a<b", "EHLO (x)", "EHLO ä.example", "EHLO  x", "DATA x"] {
            check(line, Err(Rejection::PARAMETERS));
        }
        for line in ["RSET x", "QUIT x", "STARTTLS x", "VRFY", "MAIL", "RCPT", "NOOP ä"] {
            check(line, Err(Rejection::PARAMETERS));
        }
        for line in ["EXPN list", "HELP", "BDAT 3 LAST", "AUTH PLAIN"] {
            check(line, Err(Rejection::NOT_IMPLEMENTED));
        }
        check(&format!("EHLO {}", "x".repeat(256)), Err(Rejection::PARAMETERS));
    }

    #[test]
    fn paths() {
        check("MAIL FROM:<anna@x.example>", Ok(Command::Mail(from("anna@x.example"))));
        check("mail from:<Anna@X.example>", Ok(Command::Mail(from("Anna@x.example"))));
        check("MAIL FROM:<>", Ok(Command::Mail(from(""))));
        check("RCPT TO:<Anna@X.example>", Ok(to("Anna@x.example")));
        check("RCPT TO:<\"a@b\"@x.example>", Ok(to("\"a@b\"@x.example")));
        check("RCPT TO:<\"a>b\"@x.example>", Ok(to("\"a>b\"@x.example")));
        check("RCPT TO:<\"a\\\">\"@x.example>", Ok(to("\"a\\\">\"@x.example")));
        check("RCPT TO:<\"a b\"@x.example>", Ok(to("\"a b\"@x.example")));
        check("RCPT TO:<a@[192.0.2.1]>", Ok(to("a@[192.0.2.1]")));
        check("RCPT TO:<a%b@x.example>", Ok(to("a%b@x.example")));
        check("RCPT TO:<PostMaster>", Ok(Command::Recipient(ForwardPath::Postmaster)));
    }

    #[test]
    fn no_paths() {
        for argument in [
            "a@x.example",
            " <a@x.example>",
            "<a@x.example",
            "a@x.example>",
            "<\"a>@x.example",
            "<a@x.example>>",
            "<a@x.example>SIZE=1",
            "<a@x.example>  SIZE=1",
            "<a@x.example> SIZE=1  BODY=7BIT",
        ] {
            check(&format!("MAIL FROM:{argument}"), Err(Rejection::PARAMETERS));
            check(
                &format!("RCPT TO:{argument}"),
                Err(Rejection::PARAMETERS).map_err(|e| {
                    // A recipient has no parameters yet: the first one is refused before a later empty one is seen.
                    if argument.contains("SIZE=1  ") { Rejection::UNKNOWN_PARAMETER } else { e }
                }),
            );
        }
        for path in [
            "anna",
            "@x.example",
            "anna@",
            "a@b@x.example",
            "@relay.example:a@x.example",
            "@one.example,@two.example:a@x.example",
            "<a@x.example>",
            "a b@x.example",
            "a@x..example",
            "ä@x.example",
            "a@bücher.example",
            "a\t@x.example",
            "\"a\"b@x.example",
        ] {
            check(&format!("MAIL FROM:<{path}>"), Err(Rejection::SENDER_ADDRESS).map_err(|e| nested(path, e)));
            check(&format!("RCPT TO:<{path}>"), Err(Rejection::RECIPIENT_ADDRESS).map_err(|e| nested(path, e)));
        }
        check("RCPT TO:<>", Err(Rejection::RECIPIENT_ADDRESS));
        check("MAIL FROM:<postmaster>", Err(Rejection::SENDER_ADDRESS));
        check("MAIL TO:<a@x.example>", Err(Rejection::PARAMETERS));
        check("RCPT FROM:<a@x.example>", Err(Rejection::PARAMETERS));
    }

    /// `<<a@b>>` ends at the first bracket, so what follows is no parameter.
    fn nested(path: &str, otherwise: Rejection) -> Rejection {
        if path.ends_with('>') { Rejection::PARAMETERS } else { otherwise }
    }

    #[test]
    fn parameters() {
        let mail = |text: &str, size, body| {
            let expected = Mail { size, body, ..from("a@x.example") };
            check(&format!("MAIL FROM:<a@x.example> {text}"), Ok(Command::Mail(expected)));
        };
        mail("SIZE=0", Some(0), BodyType::SevenBit);
        mail("size=1024 body=8bitmime", Some(1024), BodyType::EightBitMime);
        mail("BODY=7BIT SIZE=5", Some(5), BodyType::SevenBit);
        mail("SIZE=99999999999999999999", Some(u64::MAX), BodyType::SevenBit);
        let refused = |text: &str, why| check(&format!("MAIL FROM:<a@x.example> {text}"), Err(why));
        for text in [
            "SIZE",
            "SIZE=",
            "SIZE=-1",
            "SIZE=1x",
            "SIZE=999999999999999999999",
            "SIZE=1 SIZE=1",
            "BODY=7BIT BODY=7BIT",
            "BODY",
            "BODY=BINARYMIME",
            "=1",
            "-X=1",
            "S?ZE=1",
            "SIZE=1=1",
        ] {
            refused(text, Rejection::PARAMETERS);
        }
        for text in ["AUTH=<>", "RET=HDRS", "SMTPUTF8", "SIZE=1 X-UNKNOWN"] {
            refused(text, Rejection::UNKNOWN_PARAMETER);
        }
        check("RCPT TO:<a@x.example> NOTIFY=NEVER", Err(Rejection::UNKNOWN_PARAMETER));
    }
}
