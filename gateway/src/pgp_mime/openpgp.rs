//! The OpenPGP message: signed, then encrypted to every recipient, in armor.
//!
//! Profile: version 3 key packets and SEIPDv1, which GnuPG 2.2 and RNP read, unless every recipient's certificate says that it
//! takes SEIPDv2. (GnuPG 2.4's own AEAD packet is no standard, and isn't written.) Compression stays off: it would tell
//! about content by size, and some programs unpack without bounds.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealpost_vault::Time;
use sequoia_openpgp::cert::{Cert, Preferences, ValidCert};
use sequoia_openpgp::crypto::{SessionKey, Signer as _};
use sequoia_openpgp::packet::Key;
use sequoia_openpgp::packet::key::{PublicParts, UnspecifiedRole};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::Serialize;
use sequoia_openpgp::serialize::stream::{Encryptor, LiteralWriter, Message, Recipient, Signer};
use sequoia_openpgp::types::{AEADAlgorithm, DataFormat, Features, HashAlgorithm, SymmetricAlgorithm};
use sequoia_openpgp::{KeyHandle, Packet};

use super::PgpMimeError;
use super::armor::Armor;
use super::container::SeipdV1;
use super::key_packet::key_packet;
use crate::certificates::{Container, UsableCert};
use crate::keyring::OwnSigner;

/// How the content is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    SeipdV1(SymmetricAlgorithm),
    SeipdV2(SymmetricAlgorithm, AEADAlgorithm),
}

/// One certificate, and the keys of it that are encrypted to.
pub(super) struct Target<'a> {
    pub cert: &'a Cert,
    pub keys: Vec<&'a Key<PublicParts, UnspecifiedRole>>,
    pub container: Container,
}

impl<'a> From<&'a UsableCert> for Target<'a> {
    fn from(usable: &'a UsableCert) -> Self {
        Self { cert: usable.cert(), keys: usable.encryption_keys(), container: usable.container() }
    }
}

/// Appends the armored message over the pieces, in their order.
pub(super) fn encrypt(
    out: &mut Vec<u8>,
    pieces: &[&[u8]],
    targets: &[Target<'_>],
    signer: Option<OwnSigner>,
    now: Time,
) -> Result<(), PgpMimeError> {
    let now = UNIX_EPOCH + Duration::from_secs(u64::try_from(now).unwrap_or_default());
    // Two addresses may share a certificate.
    let mut distinct: Vec<&Target<'_>> = Vec::new();
    for target in targets {
        if !distinct.iter().any(|known| known.cert.fingerprint() == target.cert.fingerprint()) {
            distinct.push(target);
        }
    }
    if distinct.is_empty() || distinct.iter().any(|target| target.keys.is_empty()) {
        return Err(PgpMimeError::NoRecipients);
    }
    let profile = profile(&distinct, now);
    write(out, pieces, &distinct, profile, signer, now).map_err(|e| PgpMimeError::OpenPgp(e.into()))
}

fn recipient(key: &Key<PublicParts, UnspecifiedRole>) -> Recipient<'_> {
    Recipient::new(Features::empty().set_seipdv2(), KeyHandle::from(key.fingerprint()), key)
}

fn write(
    out: &mut Vec<u8>,
    pieces: &[&[u8]],
    targets: &[&Target<'_>],
    profile: Profile,
    signer: Option<OwnSigner>,
    now: SystemTime,
) -> sequoia_openpgp::Result<()> {
    let mut armor = Armor::new(out);
    let keys = targets.iter().flat_map(|target| &target.keys);
    match profile {
        Profile::SeipdV1(cipher) => {
            let session_key = SessionKey::new(cipher.key_size()?)?;
            for key in keys {
                Packet::from(key_packet(key, cipher, &session_key)?).serialize(&mut armor)?;
            }
            let mut container = SeipdV1::new(&mut armor, cipher, &session_key)?;
            write_content(Message::new(&mut container), pieces, targets, signer, now)?;
            container.finish()?;
        }
        Profile::SeipdV2(cipher, mode) => {
            let recipients = keys.map(|key| recipient(key));
            let message = Encryptor::for_recipients(Message::new(&mut armor), recipients);
            let message = message.symmetric_algo(cipher).aead_algo(mode).build()?;
            write_content(message, pieces, targets, signer, now)?;
        }
    }
    Ok(armor.finish()?)
}

/// The pieces as one document, signed where there is a signer.
fn write_content<'a>(
    mut message: Message<'a>,
    pieces: &[&[u8]],
    targets: &[&Target<'_>],
    signer: Option<OwnSigner>,
    now: SystemTime,
) -> sequoia_openpgp::Result<()> {
    if let Some(signer) = signer {
        let made = now.max(signer.public().creation_time());
        let mut signature = Signer::new(message, signer)?.hash_algo(HashAlgorithm::SHA256)?.creation_time(made);
        // RFC 9580 5.2.3.36: nobody can pass the signed content on as if it had been written to somebody else.
        for target in targets {
            signature = signature.add_intended_recipient(target.cert);
        }
        message = signature.build()?;
    }
    let mut literal = LiteralWriter::new(message).format(DataFormat::Binary).build()?;
    for piece in pieces {
        io::Write::write_all(&mut literal, piece)?;
    }
    literal.finalize()
}

impl Target<'_> {
    /// What the owner prefers, most wanted first; `None` where nothing is said.
    fn preferences<T: Clone>(
        &self,
        now: SystemTime,
        list: impl Fn(&ValidCert<'_>) -> Option<Vec<T>>,
    ) -> Option<Vec<T>> {
        self.cert.with_policy(&StandardPolicy::new(), now).ok().and_then(|cert| list(&cert))
    }
}

/// What all certificates accept.
pub(super) fn profile(targets: &[&Target<'_>], now: SystemTime) -> Profile {
    if targets.iter().all(|target| target.container == Container::SeipdV2) {
        let lists: Vec<Vec<_>> = targets
            .iter()
            .map(|target| target.preferences(now, |c| c.preferred_aead_ciphersuites().map(<[_]>::to_vec)))
            .map(Option::unwrap_or_default)
            .collect();
        // GCM before OCB: whoever names it opens it much faster in a browser.
        let wanted = [
            (SymmetricAlgorithm::AES256, AEADAlgorithm::GCM),
            (SymmetricAlgorithm::AES256, AEADAlgorithm::OCB),
            (SymmetricAlgorithm::AES128, AEADAlgorithm::GCM),
        ];
        let accepted = wanted.into_iter().find(|pair| lists.iter().all(|list| list.contains(pair)));
        // RFC 9580 5.2.3.15: AES-128 with OCB is always accepted.
        let (cipher, mode) = accepted.unwrap_or((SymmetricAlgorithm::AES128, AEADAlgorithm::OCB));
        return Profile::SeipdV2(cipher, mode);
    }
    // Who states no preference reads AES-256 all the same: there is no program without it.
    let lists: Vec<Vec<_>> = targets
        .iter()
        .filter_map(|target| target.preferences(now, |c| c.preferred_symmetric_algorithms().map(<[_]>::to_vec)))
        .collect();
    let wanted = [SymmetricAlgorithm::AES256, SymmetricAlgorithm::AES192];
    let accepted = wanted.into_iter().find(|cipher| lists.iter().all(|list| list.contains(cipher)));
    Profile::SeipdV1(accepted.unwrap_or(SymmetricAlgorithm::AES128))
}
