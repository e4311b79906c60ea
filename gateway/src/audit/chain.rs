//! The chain: each record's hash holds the one before it, and a signed head holds them all.
//!
//! ```text
//! hash 0 = 32 zero bytes
//! hash n = H(ctx(audit/record, n, hash n-1, H(body n)))
//! head n = Ed25519 by the audit key over ctx(audit/head, O, n, hash n, time)
//! ```
//!
//! The body goes in by its hash, so that a body can be deleted one day and the chain still be checked.
//! Standards: RFC 6234 (SHA-256), RFC 8032 (Ed25519).

use data_encoding::{HEXLOWER_PERMISSIVE, HEXUPPER};
use serde::{Deserialize, Serialize};

use sealpost_vault::clock::Time;
use sealpost_vault::derive::{FieldTooLong, ctx, sha256};

use crate::keyring::{Keyring, audit_verify};

/// What a record or a whole chain comes down to.
pub type Hash = [u8; 32];

/// The hash before the first record.
pub const BEGINNING: Hash = [0; 32];

/// The hash of record `n`, of whose body `body` is the SHA-256.
pub fn link(n: i64, previous: &Hash, body: &Hash) -> Result<Hash, FieldTooLong> {
    Ok(sha256(&ctx("audit/record", &[&n.to_be_bytes(), previous, body])?))
}

/// Who signs heads: the keyring.
pub trait Signer: Send + Sync + 'static {
    /// O: the fingerprint of the organisation's certificate.
    fn organisation(&self) -> Hash;
    /// The audit key's public half.
    fn public(&self) -> [u8; 32];
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

impl Signer for Keyring {
    fn organisation(&self) -> Hash {
        *self.fingerprint()
    }

    fn public(&self) -> [u8; 32] {
        self.audit_public()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.audit_sign(message)
    }
}

/// A signed statement that the chain had `n` records, the last one with this hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub n: i64,
    pub hash: Hash,
    pub at: Time,
    pub organisation: Hash,
    /// The public half of the key that signed.
    pub signer: [u8; 32],
    pub signature: [u8; 64],
}

/// As it stands in an export and in the head file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    head: i64,
    hash: String,
    at: Time,
    organisation: String,
    signer: String,
    signature: String,
}

impl Head {
    /// Signs the chain's end.
    pub fn sign(n: i64, hash: Hash, at: Time, signer: &impl Signer) -> Result<Self, FieldTooLong> {
        let organisation = signer.organisation();
        let signature = signer.sign(&message(&organisation, n, &hash, at)?);
        Ok(Self { n, hash, at, organisation, signer: signer.public(), signature })
    }

    /// Whether one of these keys signed it.
    pub fn is_signed_by(&self, keys: &[[u8; 32]]) -> bool {
        let Ok(message) = message(&self.organisation, self.n, &self.hash, self.at) else { return false };
        audit_verify(keys, &message, &self.signature)
    }

    /// One line of JSON, without its end.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Written {
            head: self.n,
            hash: hex(&self.hash),
            at: self.at,
            organisation: HEXUPPER.encode(&self.organisation),
            signer: hex(&self.signer),
            signature: data_encoding::HEXLOWER.encode(&self.signature),
        })
    }

    /// Reads [`Head::line`]; `None` for everything else.
    pub fn from_line(line: &str) -> Option<Self> {
        let written: Written = serde_json::from_str(line).ok()?;
        Some(Self {
            n: written.head,
            hash: unhex(&written.hash)?,
            at: written.at,
            organisation: unhex(&written.organisation)?,
            signer: unhex(&written.signer)?,
            signature: unhex(&written.signature)?,
        })
    }
}

fn message(organisation: &Hash, n: i64, hash: &Hash, at: Time) -> Result<Vec<u8>, FieldTooLong> {
    ctx("audit/head", &[organisation, &n.to_be_bytes(), hash, &at.to_be_bytes()])
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8; 32]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Hexadecimal in either case, of exactly so many bytes.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()
}
