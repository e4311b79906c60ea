//! What the organisation's two certificates have in common: a primary key that only certifies, one subkey that signs, one
//! that is sealed to, one User ID; and new subkeys beside the old ones.
//!
//! Old subkeys stay. What they signed goes on being verified, and what was sealed to them goes on being opened; whoever
//! uses the certificate takes the newest of each kind.
//!
//! Standards: RFC 9580.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sealpost_vault::Time;
use sequoia_openpgp::Profile;
use sequoia_openpgp::cert::{Cert, CertBuilder, CipherSuite, KeyBuilder};
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::UserID;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::{Features, KeyFlags};
use zeroize::Zeroizing;

use super::KeyringError;
use super::signer::OwnSigner;

/// Clocks of browsers and other programs are slow by so much without taking a new key for one from the future.
const BACKDATED: Time = 60;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Version 6.
    Organisation,
    /// Version 4, for GnuPG 2.2 and its like. It doesn't say that it takes SEIPD version 2, which those can't read.
    Mail,
}

pub(super) fn generate(kind: Kind, name: &str, address: &str, now: Time) -> Result<Cert, KeyringError> {
    if [name, address].iter().any(|text| text.chars().any(|c| c.is_control() || matches!(c, '<' | '>')))
        || name.trim().is_empty()
        || !address.contains('@')
    {
        return Err(KeyringError::UserId);
    }
    let builder = CertBuilder::new();
    let builder = match kind {
        Kind::Organisation => builder.set_profile(Profile::RFC9580),
        Kind::Mail => builder
            .set_profile(Profile::RFC4880)
            .and_then(|builder| builder.set_features(Features::empty().set_seipdv1())),
    };
    let (certificate, _revocation) = builder
        .map_err(refused)?
        .set_cipher_suite(CipherSuite::Cv25519)
        .set_primary_key_flags(KeyFlags::empty().set_certification())
        .add_userid(UserID::from(format!("{name} <{address}>")))
        .add_signing_subkey()
        .add_transport_encryption_subkey()
        .set_creation_time(moment(now.saturating_sub(BACKDATED)))
        .generate()
        .map_err(refused)?;
    Ok(certificate)
}

/// With new subkeys, bound by `primary`, or by the certificate's own primary where that is at hand.
pub(super) fn with_new_subkeys(certificate: &Cert, primary: Option<KeyPair>, now: Time) -> Result<Cert, KeyringError> {
    // Programs take the newest by its date, and dates have seconds.
    let newest = newest_date(certificate);
    let made = moment(now.saturating_sub(BACKDATED)).max(newest + Duration::from_secs(1));
    let policy = StandardPolicy::new();
    let mut certificate = certificate.clone();
    for flags in [KeyFlags::empty().set_signing(), KeyFlags::empty().set_transport_encryption()] {
        let packets = {
            let valid = certificate.with_policy(&policy, made).map_err(refused)?;
            let mut builder = KeyBuilder::new(flags)
                .set_cipher_suite(CipherSuite::Cv25519)
                .set_creation_time(made)
                .subkey(valid)
                .and_then(|builder| builder.set_signature_creation_time(made))
                .map_err(refused)?;
            if let Some(primary) = &primary {
                builder = builder.set_primary_key_signer(primary.clone());
            }
            builder.attach().map_err(refused)?
        };
        certificate = certificate.insert_packets(packets).map_err(refused)?.0;
    }
    Ok(certificate)
}

/// When a signature is made now, it says so; never before the newest key itself, however wrong the clock is.
pub(super) fn time_of_signing(certificate: &Cert) -> SystemTime {
    SystemTime::now().max(newest_date(certificate))
}

/// The subkey that signs, found again once a minute: judging a certificate takes as long as signing does.
#[derive(Default)]
pub(super) struct SignerAtHand(Mutex<Option<(Instant, OwnSigner)>>);

/// How long a subkey that was found is taken without another look.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl SignerAtHand {
    /// Always of the same certificate.
    pub(super) fn of(&self, certificate: &Cert) -> Option<OwnSigner> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((found, signer)) = &*known
            && found.elapsed() < LOOK_AGAIN
        {
            return Some(signer.clone());
        }
        let signer = OwnSigner::from(signer(certificate)?);
        *known = Some((Instant::now(), signer.clone()));
        Some(signer)
    }
}

/// The newest subkey that signs.
fn signer(certificate: &Cert) -> Option<KeyPair> {
    certificate
        .keys()
        .subkeys()
        .with_policy(&StandardPolicy::new(), time_of_signing(certificate))
        .supported()
        .alive()
        .revoked(false)
        .for_signing()
        .unencrypted_secret()
        .max_by_key(|key| key.key().creation_time())
        .and_then(|key| key.key().clone().into_keypair().ok())
}

/// The subkeys that may have been sealed to: the present one, and earlier ones.
pub(super) fn openers(certificate: &Cert) -> Vec<KeyPair> {
    certificate
        .keys()
        .subkeys()
        .with_policy(&StandardPolicy::new(), time_of_signing(certificate))
        .supported()
        .for_transport_encryption()
        .unencrypted_secret()
        .filter_map(|key| key.key().clone().into_keypair().ok())
        .collect()
}

pub(super) fn secret_bytes(certificate: &Cert) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    certificate.as_tsk().to_vec().map(Zeroizing::new).map_err(refused)
}

/// Without secrets, as text.
pub(super) fn armored(certificate: &Cert) -> Result<String, KeyringError> {
    let text = certificate.clone().strip_secret_key_material().armored().to_vec().map_err(refused)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

pub(super) fn parse(bytes: &[u8]) -> Option<Cert> {
    Cert::from_bytes(bytes).ok()
}

pub(super) fn refused(error: sequoia_openpgp::anyhow::Error) -> KeyringError {
    KeyringError::OpenPgp(error.into())
}

fn newest_date(certificate: &Cert) -> SystemTime {
    certificate.keys().map(|key| key.key().creation_time()).max().unwrap_or(UNIX_EPOCH)
}

fn moment(time: Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time).unwrap_or(0))
}
