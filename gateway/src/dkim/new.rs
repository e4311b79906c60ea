//! A new DKIM key, in a file for its owner only.
//!
//! Security: an RSA key comes from OpenSSL, because ring makes none; both kinds from the operating system's randomness. What
//! is written is zeroed, and a file that is there is never overwritten. It is PEM that OpenSSL reads too, not encrypted: the
//! mode protects it, as with a web server's key.
//! Standards: RFC 7468 (PEM), RFC 8301 3.2 (2,048 bits), RFC 8032.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use data_encoding::BASE64;
use ossl::OsslContext;
use ossl::pkey::{EvpPkey, EvpPkeyType, PkeyData};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::der;
use super::key::{DkimKey, DkimKeyError, named};

/// What every receiver must take, and what its DNS record has room for without tricks (RFC 8301 3.2).
const BITS: usize = 2048;
/// 65,537.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// What kind of key is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKey {
    /// Of 2,048 bits.
    Rsa,
    Ed25519,
}

impl NewKey {
    /// Makes the key and writes it to a file that isn't there yet.
    pub fn write(self, domain: &str, selector: &str, path: &Path) -> Result<DkimKey, DkimKeyError> {
        named(domain, selector)?;
        let key = match self {
            Self::Rsa => rsa().ok_or(DkimKeyError::NotMade)?,
            Self::Ed25519 => ed25519().ok_or(DkimKeyError::NotMade)?,
        };
        write_new(path, pem(&key).as_bytes())
            .map_err(|source| DkimKeyError::Unwritten { path: path.to_owned(), source })?;
        DkimKey::load(domain, selector, path)
    }
}

fn rsa() -> Option<Zeroizing<Vec<u8>>> {
    let kind = EvpPkeyType::Rsa(BITS, EXPONENT.to_vec());
    let key = EvpPkey::generate(&OsslContext::new_lib_ctx_checked().ok()?, kind).ok()?;
    let PkeyData::Rsa(numbers) = key.export().ok()? else { return None };
    Some(der::rsa_private([
        &numbers.n,
        &EXPONENT,
        numbers.d.as_ref()?,
        numbers.p.as_ref()?,
        numbers.q.as_ref()?,
        numbers.a.as_ref()?,
        numbers.b.as_ref()?,
        numbers.c.as_ref()?,
    ]))
}

fn ed25519() -> Option<Zeroizing<Vec<u8>>> {
    let mut seed = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(seed.as_mut_slice()).ok()?;
    Some(der::ed25519_private(&seed))
}

fn pem(key: &[u8]) -> Zeroizing<String> {
    const WIDTH: usize = 64;
    const BYTES: usize = WIDTH / 4 * 3;
    const FRAME: usize = 64;
    let lines = key.chunks(BYTES);
    let mut pem = Zeroizing::new(String::with_capacity(lines.len().saturating_mul(WIDTH + 1).saturating_add(FRAME)));
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    for line in lines {
        BASE64.encode_append(line, &mut pem);
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}

/// For its owner only, durable.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
