//! One DKIM key: its file, what is wrong with it, and the DNS record that makes others believe it.
//!
//! Security: the file must be its owner's alone. What was read is zeroed; errors name the file and never quote it.
//! Standards: RFC 6376 3.6.1 (records), RFC 8410 (Ed25519 in PKCS #8), RFC 8463 4.2.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use mail_auth::common::crypto::{Ed25519Key, RsaKey};
use ring::signature::{Ed25519KeyPair, KeyPair, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use sealpost_vault::address::domain_of;
use zeroize::Zeroizing;

use super::{Signer, der};

/// Larger files are no keys, in bytes.
const LARGEST: u64 = 64 * 1024;
/// Characters of one string of a TXT record (RFC 1035 3.3).
const STRING: usize = 255;

/// Why a key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DkimKeyError {
    #[error("{0:?} is no domain")]
    Domain(String),
    #[error("{0:?} is no selector: letters, digits and hyphens, perhaps with dots between")]
    Selector(String),
    #[error("cannot read {}: {source}", .path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("others than its owner may access {} (mode {mode:04o}): take their rights away (chmod go= ...), and \
             consider whether the key was read and needs a successor", .path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{} holds no private key in PEM that isn't encrypted", .0.display())]
    NotPem(PathBuf),
    #[error("{} holds a key that is neither RSA nor Ed25519", .0.display())]
    Algorithm(PathBuf),
    #[error("{} holds an RSA key of less than 2,048 bits: nobody believes it any more", .0.display())]
    TooSmall(PathBuf),
    #[error("{} holds an RSA key of more than 4,096 bits: nobody has to believe it", .0.display())]
    TooLarge(PathBuf),
    #[error("{} is damaged: its numbers don't make a key", .0.display())]
    Damaged(PathBuf),
    #[error("cannot write {}: {source}", .path.display())]
    Unwritten { path: PathBuf, source: std::io::Error },
    #[error("the cryptographic library makes no key")]
    NotMade,
}

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// With SHA-256; of so many bits.
    Rsa(usize),
    Ed25519,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA, {bits} bits"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

/// A key that signs for a domain.
#[derive(Debug)]
pub struct DkimKey {
    domain: String,
    selector: String,
    algorithm: Algorithm,
    public: Vec<u8>,
    signer: Signer,
}

impl DkimKey {
    /// Reads an RSA (PKCS #1 or #8) or Ed25519 (PKCS #8) key from a PEM file.
    pub fn load(domain: &str, selector: &str, path: &Path) -> Result<Self, DkimKeyError> {
        let domain = named(domain, selector)?;
        let selector = selector.to_ascii_lowercase();
        let pem = read(path)?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| DkimKeyError::NotPem(path.to_owned()))?;
        let der = Zeroizing::new(key.secret_der().to_vec());
        let (algorithm, public, signer) = match &key {
            PrivateKeyDer::Pkcs8(_) if Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).is_ok() => {
                let key = Ed25519Key::from_pkcs8_maybe_unchecked_der(&der)
                    .map_err(|_| DkimKeyError::Damaged(path.to_owned()))?;
                (Algorithm::Ed25519, key.public_key(), Signer::ed25519(key, &domain, &selector))
            }
            PrivateKeyDer::Pkcs8(_) => rsa(RsaKeyPair::from_pkcs8(&der), key, &domain, &selector, path)?,
            PrivateKeyDer::Pkcs1(_) => rsa(RsaKeyPair::from_der(&der), key, &domain, &selector, path)?,
            _ => return Err(DkimKeyError::Algorithm(path.to_owned())),
        };
        Ok(Self { domain, selector, algorithm, public, signer })
    }

    /// One that signs nothing.
    #[cfg(test)]
    pub(crate) fn broken(domain: &str) -> Self {
        let (domain, selector) = (domain.to_owned(), "broken".to_owned());
        Self { domain, selector, algorithm: Algorithm::Ed25519, public: Vec::new(), signer: Signer::Broken }
    }

    pub fn domain(&self) -> &str {
        &self.domain
    }

    pub fn selector(&self) -> &str {
        &self.selector
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn sign(&self, fields: &[u8], body: &[u8]) -> Result<String, mail_auth::Error> {
        self.signer.sign(fields, body)
    }

    /// Where the record belongs: `selector._domainkey.domain`.
    pub fn record_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// What the record says.
    pub fn record(&self) -> String {
        let kind = match self.algorithm {
            Algorithm::Rsa(_) => "rsa",
            Algorithm::Ed25519 => "ed25519",
        };
        format!("v=DKIM1; h=sha256; k={kind}; p={}", BASE64.encode(&self.public))
    }

    /// The record as a line of a zone file: a long one is several strings, which count as one.
    pub fn zone_line(&self) -> String {
        let mut record = self.record();
        let mut strings = Vec::new();
        while record.len() > STRING {
            let rest = record.split_off(STRING); // ASCII: every position is a character's border
            strings.push(format!("\"{record}\""));
            record = rest;
        }
        strings.push(format!("\"{record}\""));
        format!("{}. IN TXT ( {} )", self.record_name(), strings.join(" "))
    }
}

impl fmt::Display for DkimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.record_name(), self.algorithm)
    }
}

fn rsa(
    pair: Result<RsaKeyPair, ring::error::KeyRejected>,
    key: PrivateKeyDer<'_>,
    domain: &str,
    selector: &str,
    path: &Path,
) -> Result<(Algorithm, Vec<u8>, Signer), DkimKeyError> {
    let path = path.to_owned();
    let pair = match pair {
        Ok(pair) => pair,
        // The crate names the cause in words only.
        Err(cause) => {
            return Err(match cause.to_string().as_str() {
                "TooSmall" => DkimKeyError::TooSmall(path),
                "TooLarge" => DkimKeyError::TooLarge(path),
                "WrongAlgorithm" => DkimKeyError::Algorithm(path),
                _ => DkimKeyError::Damaged(path),
            });
        }
    };
    let bits = pair.public().modulus_len().saturating_mul(8);
    let public = der::rsa_public(pair.public_key().as_ref());
    let key = RsaKey::from_key_der(key).map_err(|_| DkimKeyError::Damaged(path))?;
    Ok((Algorithm::Rsa(bits), public, Signer::rsa(key, domain, selector)))
}

/// The domain as it is written in records, where both can name a key.
pub(super) fn named(domain: &str, selector: &str) -> Result<String, DkimKeyError> {
    let named = domain_of(domain)
        .ok()
        .filter(|name| !name.starts_with('['))
        .ok_or_else(|| DkimKeyError::Domain(domain.to_owned()))?;
    if is_selector(selector) { Ok(named) } else { Err(DkimKeyError::Selector(selector.to_owned())) }
}

fn is_selector(selector: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    selector.len() <= 100 && selector.split('.').all(label)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, DkimKeyError> {
    let failed = |source| DkimKeyError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if !metadata.is_file() {
        return Err(DkimKeyError::NotPem(path.to_owned()));
    }
    if mode & 0o077 != 0 {
        return Err(DkimKeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut pem = Zeroizing::new(Vec::with_capacity(8 * 1024));
    file.take(LARGEST).read_to_end(&mut pem).map_err(failed)?;
    Ok(pem)
}
