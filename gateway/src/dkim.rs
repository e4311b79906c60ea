//! DKIM signatures on what leaves: on what the product writes itself, and, if wanted, on what passes.
//!
//! A mail is signed by the keys of the domain that its From names; where that domain has none, by those of the nearest
//! domain above it, which DMARC takes for as good. Several keys of one domain sign all: RSA for everybody, Ed25519
//! beside it for those who know it. A From of a domain without keys leaves the mail as it is.
//!
//! Signed are the fields of [`SIGNED`], named once more than they stand there, so that nobody adds another one behind us,
//! and the whole body: `l=` would let anybody append to it. There is no date of expiry: mail is read, forwarded and checked
//! years later. Nothing comes after the signature but the servers on the way.
//!
//! Security: a signature says that a mail is the domain's. What passes is signed only if its envelope sender and all
//! authors in its From are of the signing domain: mail of strangers that is forwarded through us may claim any From.
//! Keys are read once, from files that nobody else may read, and are in no log and no error.
//! Standards: RFC 6376, RFC 8301 (RSA of 2,048 bits and more, SHA-256), RFC 8463 (Ed25519).

use std::fmt;

use mail_auth::common::crypto::{Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{DkimSigner, Done};
use sealpost_vault::EmailAddress;

use crate::envelope::ReversePath;
use crate::message::{Field, Header, Strictness};
use crate::queue::Kind;

mod der;
mod key;
mod new;

pub use key::{Algorithm, DkimKey, DkimKeyError};
pub use new::NewKey;

/// The fields that are signed, each of which a message has once at most, or is to be taken as having once.
const SIGNED: [&str; 14] = [
    "From",
    "Subject",
    "Date",
    "To",
    "Cc",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Auto-Submitted",
    "Reply-To",
    "In-Reply-To",
    "References",
];

/// Whether what only passes is signed too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passing {
    #[default]
    Unsigned,
    Signed,
}

/// A key makes no signature.
#[derive(Debug, thiserror::Error)]
#[error("{key} signs nothing: {cause}")]
pub(crate) struct Unsigned {
    key: String,
    cause: mail_auth::Error,
}

/// The organisation's keys, and what they sign.
#[derive(Debug, Default)]
pub struct Dkim {
    keys: Vec<DkimKey>,
    passing: Passing,
}

impl Dkim {
    pub fn new(keys: Vec<DkimKey>, passing: Passing) -> Self {
        Self { keys, passing }
    }

    pub fn keys(&self) -> &[DkimKey] {
        &self.keys
    }

    /// The signatures' fields for a mail, each with its CRLF; empty where none is to be.
    ///
    /// # Errors
    /// What is to be signed and can't be doesn't leave: whoever expects signatures would take it for forged.
    pub(crate) fn signatures(&self, kind: Kind, sender: &ReversePath, message: &[u8]) -> Result<String, Unsigned> {
        let passes = matches!(kind, Kind::Relayed | Kind::Encrypted);
        let mut fields = String::new();
        if self.keys.is_empty() || (passes && self.passing == Passing::Unsigned) {
            return Ok(fields);
        }
        let Ok(header) = Header::read(message, Strictness::Message) else { return Ok(fields) };
        let Some(domain) = author_domain(&header) else { return Ok(fields) };
        let Some(signing) = self.signing_domain(&domain) else { return Ok(fields) };
        if passes && !sender.address().is_some_and(|sender| is_within(sender.domain(), signing)) {
            return Ok(fields);
        }
        let Some(body) = from_empty_line(&header, message) else { return Ok(fields) };
        let signed = signed_fields(&header);
        for key in self.keys.iter().filter(|key| key.domain() == signing) {
            let field = key.sign(&signed, body).map_err(|cause| Unsigned { key: key.to_string(), cause })?;
            fields.push_str(&field);
        }
        Ok(fields)
    }

    /// The longest of our domains that this one is, or lies in.
    fn signing_domain(&self, domain: &str) -> Option<&str> {
        let ours = self.keys.iter().map(DkimKey::domain).filter(|ours| is_within(domain, ours));
        ours.max_by_key(|ours| ours.len())
    }
}

fn is_within(domain: &str, ours: &str) -> bool {
    domain.strip_suffix(ours).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The domain of all authors. `None`: there are none, or they are of several, or it can't be told.
fn author_domain(header: &Header<'_>) -> Option<String> {
    let mut fields = header.all("From");
    let (from, None) = (fields.next()?, fields.next()) else { return None };
    let addresses = from.addresses();
    let mut domains = addresses.iter().map(|(_, address)| address.parse::<EmailAddress>().ok());
    let first = domains.next()??.domain().to_owned();
    domains.all(|domain| domain.is_some_and(|address| address.domain() == first)).then_some(first)
}

/// The fields to be signed, in their order, as `Name:value`: the library is given what we cut, so that it and whoever
/// verifies can't see other fields than we do.
fn signed_fields(header: &Header<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let is_signed = |field: &&Field<'_>| SIGNED.iter().any(|name| field.is(name));
    for field in header.fields.iter().filter(is_signed) {
        out.extend_from_slice(field.name.as_bytes());
        out.push(b':');
        out.extend_from_slice(field.value);
        if !out.ends_with(b"\n") {
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

/// The body with the empty line before it, up to its last line that isn't blank, without that line's end. `None`: the
/// empty line isn't one of CR and LF, and the mail never leaves.
///
/// The relaxed form has neither blank lines at the end nor blanks at the end of lines; the library leaves one of the former
/// in where it consists of blanks (RFC 6376 3.4.4 takes blanks off first), and puts the last line end on itself.
fn from_empty_line<'a>(header: &Header<'_>, message: &'a [u8]) -> Option<&'a [u8]> {
    const EMPTY: &[u8] = b"\r\n";
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    let Some(last) = header.body.iter().rposition(|b| !is_blank(b)) else { return Some(EMPTY) };
    let start = message.len().checked_sub(header.body.len())?;
    let end = start.checked_add(last)?.checked_add(1)?;
    message.get(start.checked_sub(EMPTY.len())?..end).filter(|rest| rest.starts_with(EMPTY))
}

/// A key with what it signs for.
enum Signer {
    Rsa(Box<DkimSigner<RsaKey<Sha256>, Done>>),
    Ed25519(Box<DkimSigner<Ed25519Key, Done>>),
    /// Signs nothing.
    #[cfg(test)]
    Broken,
}

impl Signer {
    fn rsa(key: RsaKey<Sha256>, domain: &str, selector: &str) -> Self {
        Self::Rsa(Box::new(DkimSigner::from_key(key).domain(domain).selector(selector).headers(names())))
    }

    fn ed25519(key: Ed25519Key, domain: &str, selector: &str) -> Self {
        Self::Ed25519(Box::new(DkimSigner::from_key(key).domain(domain).selector(selector).headers(names())))
    }

    /// `body` begins with the empty line.
    fn sign(&self, fields: &[u8], body: &[u8]) -> Result<String, mail_auth::Error> {
        let message = [fields, body];
        let signature = match self {
            Self::Rsa(signer) => signer.sign_chained(message),
            Self::Ed25519(signer) => signer.sign_chained(message),
            #[cfg(test)]
            Self::Broken => Err(mail_auth::Error::NotAligned),
        }?;
        Ok(signature.to_header())
    }
}

/// Each twice: the second one is never there, and is signed as missing.
fn names() -> impl Iterator<Item = String> {
    SIGNED.iter().chain(&SIGNED).map(|name| (*name).to_owned())
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa(_) => "RSA",
            Self::Ed25519(_) => "Ed25519",
            #[cfg(test)]
            Self::Broken => "broken",
        })
    }
}

#[cfg(test)]
mod tests;
