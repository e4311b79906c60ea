//! Reasons: what a check found, in words that an administrator understands without having read the standard.

use std::fmt;

use sealpost_vault::Time;
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::types::ReasonForRevocation;
use serde::{Serialize, Serializer};

use super::check::seconds;

/// What a certificate must be, for mail to be encrypted to it. In the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// Its owner signed it, with algorithms that are still accepted.
    SelfSigned,
    /// Begun, and not expired.
    Alive,
    NotRevoked,
    /// A User ID names exactly this address, is signed by the owner and not revoked.
    Bound,
    /// Imported for this address.
    Admitted,
    /// A subkey for encrypting mail that is alive, not revoked, accepted, and supported here.
    Encrypts,
}

impl Requirement {
    pub fn words(self) -> &'static str {
        match self {
            Self::SelfSigned => "signed by its owner",
            Self::Alive => "alive",
            Self::NotRevoked => "not revoked",
            Self::Bound => "names the address",
            Self::Admitted => "imported for it",
            Self::Encrypts => "can encrypt mail",
        }
    }
}

/// One requirement and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub requirement: Requirement,
    pub result: Result<Fact, Fault>,
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut object = serializer.serialize_struct("check", 3)?;
        object.serialize_field("requirement", &self.requirement)?;
        object.serialize_field("passed", &self.result.is_ok())?;
        match &self.result {
            Ok(fact) => object.serialize_field("found", &fact.to_string())?,
            Err(fault) => object.serialize_field("found", &fault.to_string())?,
        }
        object.end()
    }
}

/// What was found where a check passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    SelfSigned,
    ExpiresAt(Time),
    NeverExpires,
    NotRevoked,
    UserId(String),
    Admitted,
    /// Fingerprints.
    Keys(Vec<String>),
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SelfSigned => f.write_str("its self-signature is valid"),
            Self::ExpiresAt(until) => write!(f, "expires on {}", Date(*until)),
            Self::NeverExpires => f.write_str("has no date of expiry"),
            Self::NotRevoked => f.write_str("no revocation is known"),
            Self::UserId(user_id) => write!(f, "by the User ID \"{user_id}\""),
            Self::Admitted => f.write_str("mail to the address may use it"),
            Self::Keys(keys) => write!(f, "to {}", keys.join(", ")),
        }
    }
}

/// Why a check failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("no signature of its owner verifies")]
    NoSelfSignature,
    #[error("the owner's signature has expired")]
    SelfSignatureExpired,
    #[error("not accepted any more: {0}")]
    Weak(Weakness),
    #[error("dated {}, which is in the future", Date(*.0))]
    NotYet(Time),
    #[error("expired on {}", Date(*.0))]
    Expired(Time),
    #[error("nothing is known, because no signature of its owner counts")]
    NotKnown,
    #[error("revoked{}{}", .at.map(|at| format!(" on {}", Date(at))).unwrap_or_default(), Because(.reason))]
    Revoked { at: Option<Time>, reason: &'static str },
    #[error(
        "another key that the owner named for this says that it is revoked; whether that is so can't be verified here"
    )]
    PerhapsRevoked,
    #[error("no User ID names exactly this address")]
    NoSuchUserId,
    #[error("the User ID \"{user_id}\": {why}")]
    UserId { user_id: String, why: Box<Fault> },
    #[error("imported for other addresses only; `sealpost keys import --address` admits it for this one")]
    NotAdmitted,
    #[error("it has no subkey for encrypting mail")]
    NoEncryptionKey,
    #[error("{0} isn't supported here")]
    Unsupported(String),
    #[error("nothing can be encrypted to it: its numbers are none that a key of its kind has")]
    Unfit,
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Keys(Vec<KeyFault>),
}

impl Fault {
    /// Of the certificate, or of all its subkeys for encrypting.
    pub(super) fn is_expiry(&self) -> bool {
        match self {
            Self::Expired(_) => true,
            Self::Keys(keys) => keys.iter().all(|key| key.fault.is_expiry()),
            _ => false,
        }
    }

    /// From the revocations that count; the earliest is told.
    pub(super) fn revoked(signatures: &[&Signature]) -> Self {
        let first = signatures.iter().min_by_key(|signature| signature.signature_creation_time());
        let at = first.and_then(|signature| signature.signature_creation_time()).map(seconds);
        let reason =
            first.and_then(|signature| signature.reason_for_revocation()).map_or("", |(reason, _)| match reason {
                ReasonForRevocation::KeySuperseded => "replaced by another",
                ReasonForRevocation::KeyCompromised => "somebody else may have the secret key",
                ReasonForRevocation::KeyRetired => "no longer used",
                ReasonForRevocation::UIDRetired => "the address is no longer used",
                _ => "",
            });
        Self::Revoked { at, reason }
    }
}

/// A subkey, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFault {
    pub key: String,
    pub fault: Fault,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.fault)
    }
}

/// What is too weak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// In the owner's signature.
    Hash(String),
    Algorithm {
        name: String,
        bits: usize,
    },
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(name) => write!(f, "the owner's signature was made with {name}"),
            Self::Algorithm { name, bits: 0 } => f.write_str(name),
            Self::Algorithm { name, bits } => write!(f, "{name} with {bits} bits"),
        }
    }
}

struct Because<'a>(&'a str);

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

/// A day, UTC.
struct Date(Time);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match time::OffsetDateTime::from_unix_timestamp(self.0) {
            Ok(moment) => write!(f, "{}", moment.date()),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}
