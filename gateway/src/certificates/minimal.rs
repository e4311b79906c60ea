//! The minimal certificate: keys, User IDs, and what their owner signed; only what verifies, within bounds.
//!
//! Certificates are stored in this form. Signatures by others and pictures are nobody's business here; what doesn't verify
//! proves nothing. A key revocation by another key is kept where the owner named that key for it: it can't be verified
//! here, but it must not be overlooked.
//!
//! Standards: RFC 9580 5.2.3.23 (revocation keys: deprecated, still met), 10.1 (order of packets).

use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::serialize::Marshal;
use sequoia_openpgp::{Cert, KeyHandle, Packet};

use super::parse::Unfit;
use super::policy::Anything;

const MOST_USER_IDS: usize = 64;
const MOST_SUBKEYS: usize = 64;
/// Of the owner, in one certificate.
const MOST_SIGNATURES: usize = 512;
const LONGEST_CERTIFICATE: usize = 256 << 10;
/// By keys that may revoke in the owner's place.
pub(super) const MOST_FOREIGN_REVOCATIONS: usize = 8;

/// How much of everything a certificate has.
#[derive(Default)]
pub(super) struct Size {
    pub user_ids: usize,
    pub subkeys: usize,
    pub signatures: usize,
    pub bytes: usize,
}

impl Size {
    pub fn check(&self) -> Result<(), Unfit> {
        let bounds = [
            (self.user_ids, MOST_USER_IDS, Unfit::UserIds),
            (self.subkeys, MOST_SUBKEYS, Unfit::Subkeys),
            (self.signatures, MOST_SIGNATURES, Unfit::Signatures),
            (self.bytes, LONGEST_CERTIFICATE, Unfit::TooLong),
        ];
        bounds.into_iter().find(|(found, most, _)| found > most).map_or(Ok(()), |(.., unfit)| Err(unfit))
    }
}

/// Makes a certificate minimal.
pub(super) fn minimal(cert: &Cert) -> Result<Cert, Unfit> {
    let mut made = Made::default();
    let primary = cert.primary_key();
    made.put(Packet::from(primary.key().clone()))?;
    made.sign(primary.self_revocations().chain(primary.self_signatures()))?;
    made.sign(foreign_revocations(cert))?;
    for found in cert.userids() {
        let mut signatures = found.self_revocations().chain(found.self_signatures()).peekable();
        if signatures.peek().is_some() {
            made.size.user_ids += 1;
            made.put(Packet::from(found.userid().clone()))?;
            made.sign(signatures)?;
        }
    }
    for key in cert.keys().subkeys() {
        let mut signatures = key.self_revocations().chain(key.self_signatures()).peekable();
        if signatures.peek().is_some() {
            made.size.subkeys += 1;
            made.put(Packet::from(key.key().clone()))?;
            made.sign(signatures)?;
        }
    }
    made.size.bytes = made.bytes.len();
    made.size.check()?;
    Cert::from_bytes(&made.bytes).map_err(|_| Unfit::Unreadable)
}

/// Every revocation that counts or may count, with what it revokes.
pub(super) fn revocations(cert: &Cert) -> Vec<(Vec<u8>, &Signature)> {
    let primary = cert.primary_key();
    let of_primary = primary.self_revocations().chain(foreign_revocations(cert)).map(|found| (Vec::new(), found));
    let of_user_ids = cert.userids().flat_map(|found| {
        let name = found.userid().value().to_vec();
        found.self_revocations().map(move |revocation| (name.clone(), revocation))
    });
    let of_subkeys = cert.keys().subkeys().flat_map(|key| {
        let name = key.key().fingerprint().as_bytes().to_vec();
        key.self_revocations().map(move |revocation| (name.clone(), revocation))
    });
    of_primary.chain(of_user_ids).chain(of_subkeys).collect()
}

/// By keys that the owner named.
fn foreign_revocations(cert: &Cert) -> impl Iterator<Item = &Signature> {
    let designated: Vec<KeyHandle> =
        cert.revocation_keys(&Anything).map(|key| key.revoker().1.clone().into()).collect();
    let by_designated = move |signature: &&Signature| {
        let issuers = signature.get_issuers();
        issuers.iter().any(|issuer| designated.iter().any(|key| key.aliases(issuer)))
    };
    cert.primary_key().other_revocations().filter(by_designated).take(MOST_FOREIGN_REVOCATIONS)
}

#[derive(Default)]
struct Made {
    bytes: Vec<u8>,
    size: Size,
}

impl Made {
    fn put(&mut self, packet: Packet) -> Result<(), Unfit> {
        packet.serialize(&mut self.bytes).map_err(|_| Unfit::Unreadable)
    }

    fn sign<'a>(&mut self, signatures: impl Iterator<Item = &'a Signature>) -> Result<(), Unfit> {
        for signature in signatures {
            self.size.signatures += 1;
            self.put(Packet::from(signature.clone()))?;
        }
        Ok(())
    }
}
