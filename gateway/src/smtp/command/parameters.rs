//! Paths and parameters of MAIL and RCPT.
//!
//! Standards: RFC 5321 4.1.2 (esmtp-param), RFC 1870 (SIZE), RFC 6152 (BODY), RFC 6531 (SMTPUTF8), RFC 3461 (RET, ENVID,
//! NOTIFY, ORCPT), RFC 4954 5 (AUTH).

use super::{ForwardPath, Mail, Recipient};
use crate::{BodyType, Charset, Notify, OriginalRecipient, RecipientDsn, Rejection, Return, ReversePath, Xtext};

pub(super) fn mail(argument: &str) -> Result<Mail, Rejection> {
    let (path, parameters) = path(argument, "FROM:").ok_or(Rejection::PARAMETERS)?;
    let (mut size, mut body, mut charset, mut ret, mut envid, mut auth) = (None, None, None, None, None, None);
    let mut unknown = false;
    for parameter in parameters {
        let Parameter { keyword, value } = parameter?;
        match keyword.to_ascii_uppercase().as_str() {
            "SIZE" => once(&mut size, octets(value)?)?,
            "BODY" => once(&mut body, body_type(value)?)?,
            "SMTPUTF8" if value.is_none() => once(&mut charset, Charset::Utf8)?,
            "RET" => once(&mut ret, dsn(value, Return::parse)?)?,
            "ENVID" => once(&mut envid, dsn(value, Xtext::envid)?)?,
            "AUTH" => once(&mut auth, authorship(value)?)?,
            "SMTPUTF8" => return Err(Rejection::PARAMETERS),
            _ => unknown = true,
        }
    }
    if unknown {
        return Err(Rejection::UNKNOWN_PARAMETER);
    }
    let charset = charset.unwrap_or_default();
    if charset == Charset::Ascii && !argument.is_ascii() {
        return Err(Rejection::NON_ASCII);
    }
    let from = match path {
        "" => ReversePath::Null,
        address => ReversePath::Address(address.parse().map_err(|_| Rejection::SENDER_ADDRESS)?),
    };
    Ok(Mail { from, body: body.unwrap_or_default(), size, charset, ret, envid })
}

pub(super) fn recipient(argument: &str) -> Result<Recipient, Rejection> {
    let (path, parameters) = path(argument, "TO:").ok_or(Rejection::PARAMETERS)?;
    let (mut notify, mut orcpt) = (None, None);
    let mut unknown = false;
    for parameter in parameters {
        let Parameter { keyword, value } = parameter?;
        match keyword.to_ascii_uppercase().as_str() {
            "NOTIFY" => once(&mut notify, dsn(value, Notify::parse)?)?,
            "ORCPT" => once(&mut orcpt, dsn(value, OriginalRecipient::parse)?)?,
            _ => unknown = true,
        }
    }
    if unknown {
        return Err(Rejection::UNKNOWN_PARAMETER);
    }
    let path = if path.eq_ignore_ascii_case("postmaster") {
        ForwardPath::Postmaster
    } else {
        // A source route (`@relay:mailbox`) is no mailbox: RFC 5321 4.1.1.3 allows refusing it.
        ForwardPath::Mailbox(path.parse().map_err(|_| Rejection::RECIPIENT_ADDRESS)?)
    };
    let charset = if argument.is_ascii() { Charset::Ascii } else { Charset::Utf8 };
    Ok(Recipient { path, charset, dsn: RecipientDsn { notify, orcpt } })
}

/// No parameter stands twice.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Rejection> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Rejection::PARAMETERS),
    }
}

fn dsn<T, E>(value: Option<&str>, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, Rejection> {
    value.and_then(|value| parse(value).ok()).ok_or(Rejection::PARAMETERS)
}

/// Who is said to have handed the message in first. Nobody here believes it; it must only be well-formed.
fn authorship(value: Option<&str>) -> Result<(), Rejection> {
    match value {
        Some("<>") => Ok(()),
        value => dsn(value, Xtext::mailbox).map(|_| ()),
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
