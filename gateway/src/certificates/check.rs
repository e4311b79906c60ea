//! The check: whether mail to an address may be encrypted to a certificate now, and if not, why.
//!
//! One function decides and explains, so that what `keys explain` says is what the road does. Everything is judged at one
//! moment, which the caller names; signatures are verified, whatever the store says, though for the same bytes not each time anew.
//!
//! Security: [`UsableCert`] is made here and nowhere else. A revocation counts whatever hash it was made with: doubt is on
//! the side of the owner who wants the key out of use.
//! Standards: RFC 9580 5.2 (signatures), 5.2.3.29 (key flags), 5.2.3.31 (reasons for revocation), 5.2.3.32 (features),
//! 10.1 (which signatures bind what).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealpost_vault::{Identity, Time};
use sequoia_openpgp::cert::amalgamation::key::ErasedKeyAmalgamation;
use sequoia_openpgp::cert::amalgamation::{ValidAmalgamation, ValidateAmalgamation};
use sequoia_openpgp::cert::{Cert, Preferences};
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::packet::key::{PublicParts, UnspecifiedRole};
use sequoia_openpgp::packet::{Key, Signature};
use sequoia_openpgp::policy::{HashAlgoSecurity, Policy, StandardPolicy};
use sequoia_openpgp::serialize::stream::Recipient;
use sequoia_openpgp::types::{Features, RevocationStatus};
use sequoia_openpgp::{Fingerprint, KeyHandle};

use super::policy::{Acceptance, Anything};
use super::reason::{Check, Fact, Fault, KeyFault, Requirement, Weakness};
use super::user_id;

/// Clocks of people's machines differ from ours: what is dated this much ahead counts already. Seconds.
const SKEW: Time = 15 * 60;

/// Mail is encrypted to no more subkeys of one certificate than this, the newest.
const MOST_KEYS: usize = 4;

/// A certificate that mail to one address may be encrypted to. Made only by the check.
#[derive(Clone, Debug)]
pub struct UsableCert {
    cert: Arc<Cert>,
    address: Identity,
    keys: Vec<Fingerprint>,
    features: Features,
}

/// What the certificate's owner announced that their programs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// RFC 4880 5.13: with a modification detection code; everybody reads it.
    SeipdV1,
    /// RFC 9580 5.13.2: with AEAD.
    SeipdV2,
}

impl UsableCert {
    /// For tests of what is done with one: the check, without a store.
    #[cfg(test)]
    pub(crate) fn judged(cert: &Cert, address: &sealpost_vault::EmailAddress, now: Time) -> Option<Self> {
        examine(&Arc::new(cert.clone()), &address.identity(), Admission::Admitted, now, &Trials::default()).usable
    }

    pub fn cert(&self) -> &Cert {
        &self.cert
    }

    /// Of the primary key.
    pub fn fingerprint(&self) -> Fingerprint {
        self.cert.fingerprint()
    }

    /// Of the primary key, upper-case hexadecimal: 40 or 64 characters.
    pub fn fingerprint_hex(&self) -> String {
        self.cert.fingerprint().to_hex()
    }

    /// The address that it was found usable for.
    pub fn address(&self) -> &Identity {
        &self.address
    }

    pub fn features(&self) -> &Features {
        &self.features
    }

    pub fn container(&self) -> Container {
        if self.features.supports_seipdv2() { Container::SeipdV2 } else { Container::SeipdV1 }
    }

    /// The keys to encrypt to, newest first; at least one.
    pub fn encryption_keys(&self) -> Vec<&Key<PublicParts, UnspecifiedRole>> {
        self.keys
            .iter()
            .filter_map(|wanted| self.cert.keys().find(|key| key.key().fingerprint() == *wanted))
            .map(|key| key.key())
            .collect()
    }

    /// The same as Sequoia's encryptor takes them: named by fingerprint where SEIPDv2 was announced, by key ID otherwise.
    pub fn recipients(&self) -> Vec<Recipient<'_>> {
        let handle = |key: &Key<PublicParts, UnspecifiedRole>| -> KeyHandle {
            match self.container() {
                Container::SeipdV2 => key.fingerprint().into(),
                Container::SeipdV1 => key.keyid().into(),
            }
        };
        self.encryption_keys().into_iter().map(|key| Recipient::new(self.features.clone(), handle(key), key)).collect()
    }
}

/// Whether the store lets a certificate be used for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Admitted,
    /// Known to name the address, but imported for others only, or removed for this one.
    KnownOnly,
}

impl Admission {
    pub fn stored(self) -> i64 {
        match self {
            Self::Admitted => 1,
            Self::KnownOnly => 0,
        }
    }

    pub fn from_stored(admitted: i64) -> Self {
        if admitted == 1 { Self::Admitted } else { Self::KnownOnly }
    }
}

/// What came out for one certificate and one address.
pub(super) struct Examination {
    pub checks: Vec<Check>,
    /// Where every check passed.
    pub usable: Option<UsableCert>,
}

impl Examination {
    /// The first thing that is wrong, if something is.
    pub fn fault(self) -> Option<Fault> {
        self.checks.into_iter().find_map(|check| check.result.err())
    }
}

/// Examines a certificate for an address at a moment.
pub(super) fn examine(
    cert: &Arc<Cert>,
    address: &Identity,
    admission: Admission,
    now: Time,
    trials: &Trials,
) -> Examination {
    let moment = Moment::of(cert, now);
    let keys = moment.encryption_keys(cert, trials);
    let checks = vec![
        Check { requirement: Requirement::SelfSigned, result: moment.self_signed(cert) },
        Check { requirement: Requirement::Alive, result: moment.alive(cert) },
        Check { requirement: Requirement::NotRevoked, result: moment.not_revoked(cert) },
        Check { requirement: Requirement::Bound, result: moment.bound(cert, address) },
        Check {
            requirement: Requirement::Admitted,
            result: match admission {
                Admission::Admitted => Ok(Fact::Admitted),
                Admission::KnownOnly => Err(Fault::NotAdmitted),
            },
        },
        Check {
            requirement: Requirement::Encrypts,
            result: keys
                .as_ref()
                .map(|found| Fact::Keys(found.iter().map(Fingerprint::to_hex).collect()))
                .map_err(Clone::clone),
        },
    ];
    let passed = checks.iter().all(|check| check.result.is_ok());
    let usable = match keys {
        Ok(keys) if passed && !keys.is_empty() => {
            Some(UsableCert { features: moment.features(cert), cert: Arc::clone(cert), address: address.clone(), keys })
        }
        _ => None,
    };
    Examination { checks, usable }
}

/// Addresses that User IDs name, with a self-signature that verifies, however old its algorithms; revoked ones too.
pub(super) fn named(cert: &Cert) -> Vec<Identity> {
    let mut named: Vec<_> = cert
        .userids()
        .filter(|found| found.self_signatures().next().is_some())
        .filter_map(|found| user_id::address(found.userid().value()))
        .collect();
    named.sort();
    named.dedup();
    named
}

/// When a certificate expires, as far as its signatures can be read; 0: never.
pub(super) fn expires_at(cert: &Cert, now: Time) -> Time {
    match Moment::of(cert, now).alive(cert) {
        Ok(Fact::ExpiresAt(until)) | Err(Fault::Expired(until)) => until,
        _ => 0,
    }
}

/// A moment, and the rules that hold at it.
struct Moment {
    now: Time,
    at: SystemTime,
    policy: Acceptance<'static>,
}

impl Moment {
    /// What is dated up to [`SKEW`] ahead of `now` is judged as if it were that late already.
    fn of(cert: &Cert, now: Time) -> Self {
        let ahead = |made: SystemTime| (now..=now.saturating_add(SKEW)).contains(&seconds(made)).then_some(made);
        let signatures =
            cert.primary_key().self_signatures().chain(cert.userids().flat_map(|found| found.self_signatures()));
        let subkeys = cert.keys().subkeys().flat_map(|key| key.self_signatures());
        let dates = signatures.chain(subkeys).filter_map(|signature| signature.signature_creation_time());
        let dates = dates.chain(cert.keys().map(|key| key.key().creation_time()));
        let at = dates.filter_map(ahead).max().unwrap_or_else(|| system_time(now));
        Self { now, at, policy: Acceptance::at(at) }
    }

    fn self_signed(&self, cert: &Cert) -> Result<Fact, Fault> {
        let primary = cert.primary_key();
        if primary.clone().with_policy(&self.policy, self.at).is_ok() {
            return Ok(Fact::SelfSigned);
        }
        let made = seconds(primary.key().creation_time());
        if made > self.now.saturating_add(SKEW) {
            return Err(Fault::NotYet(made));
        }
        if let Ok(valid) = primary.clone().with_policy(&Anything, self.at) {
            return Err(Fault::Weak(
                self.weakness(valid.binding_signature(), primary.key().parts_as_public().role_as_unspecified()),
            ));
        }
        // Nothing counts at this moment. Perhaps something did, or will.
        let dates = |signature: &Signature| signature.signature_creation_time().map(seconds);
        let signatures = primary.self_signatures().chain(cert.userids().flat_map(|found| found.self_signatures()));
        match signatures.filter_map(dates).min() {
            None => Err(Fault::NoSelfSignature),
            Some(first) if first > self.now => Err(Fault::NotYet(first)),
            Some(_) => Err(Fault::SelfSignatureExpired),
        }
    }

    fn alive(&self, cert: &Cert) -> Result<Fact, Fault> {
        // Of what the policy refuses the dates are still worth knowing.
        let valid = cert.primary_key().with_policy(&self.policy, self.at);
        let valid = match valid {
            Ok(valid) => valid,
            Err(_) => cert.primary_key().with_policy(&Anything, self.at).map_err(|_| Fault::NotKnown)?,
        };
        let until = valid.key_expiration_time().map(seconds);
        match until {
            Some(until) if until <= self.now => Err(Fault::Expired(until)),
            _ if valid.alive().is_err() => Err(Fault::NotYet(seconds(valid.key().creation_time()))),
            Some(until) => Ok(Fact::ExpiresAt(until)),
            None => Ok(Fact::NeverExpires),
        }
    }

    fn not_revoked(&self, cert: &Cert) -> Result<Fact, Fault> {
        let designated: Vec<KeyHandle> = cert.revocation_keys(&Anything).map(|key| key.revoker().1.into()).collect();
        for status in [cert.revocation_status(&self.policy, self.at), cert.revocation_status(&Anything, self.at)] {
            match status {
                RevocationStatus::Revoked(signatures) => return Err(Fault::revoked(&signatures)),
                RevocationStatus::CouldBe(signatures) => {
                    let named = |signature: &&&Signature| {
                        signature.get_issuers().iter().any(|issuer| designated.iter().any(|key| key.aliases(issuer)))
                    };
                    if signatures.iter().any(|signature| named(&signature)) {
                        return Err(Fault::PerhapsRevoked);
                    }
                }
                RevocationStatus::NotAsFarAsWeKnow => {}
            }
        }
        Ok(Fact::NotRevoked)
    }

    /// One good User ID is enough; of several bad ones the first fault is told.
    fn bound(&self, cert: &Cert, address: &Identity) -> Result<Fact, Fault> {
        let mut fault = Fault::NoSuchUserId;
        for found in cert.userids() {
            if user_id::address(found.userid().value()).as_ref() != Some(address) {
                continue;
            }
            let shown = user_id::shown(found.userid().value());
            let revoked = [found.revocation_status(&self.policy, self.at), found.revocation_status(&Anything, self.at)];
            let revoked = revoked.into_iter().find_map(|status| match status {
                RevocationStatus::Revoked(signatures) => Some(Fault::revoked(&signatures)),
                _ => None,
            });
            let is_bound = found.binding_signature(&self.policy, self.at).is_ok();
            let here = match revoked {
                Some(why) => Fault::UserId { user_id: shown, why: Box::new(why) },
                None if is_bound => return Ok(Fact::UserId(shown)),
                None => {
                    let why = match found.binding_signature(&Anything, self.at) {
                        Ok(weak) => Fault::Weak(Weakness::Hash(weak.hash_algo().to_string())),
                        Err(_) => self.unbound(found.self_signatures().next()),
                    };
                    Fault::UserId { user_id: shown, why: Box::new(why) }
                }
            };
            if matches!(fault, Fault::NoSuchUserId) {
                fault = here;
            }
        }
        Err(fault)
    }

    /// Why nothing binds a component at this moment, given any of its self-signatures that verifies.
    fn unbound(&self, any: Option<&Signature>) -> Fault {
        match any.map(|signature| signature.signature_creation_time().map_or(0, seconds)) {
            None => Fault::NoSelfSignature,
            Some(made) if made > self.now => Fault::NotYet(made),
            Some(_) => Fault::SelfSignatureExpired,
        }
    }

    /// Newest first.
    fn encryption_keys(&self, cert: &Cert, trials: &Trials) -> Result<Vec<Fingerprint>, Fault> {
        let mut good = Vec::new();
        let mut bad = Vec::new();
        for key in cert.keys() {
            match self.encryption_key(&key, trials) {
                None => {}
                Some(Ok(())) => good.push((seconds(key.key().creation_time()), key.key().fingerprint())),
                Some(Err(fault)) => bad.push(KeyFault { key: key.key().fingerprint().to_hex(), fault }),
            }
        }
        if good.is_empty() {
            return Err(if bad.is_empty() { Fault::NoEncryptionKey } else { Fault::Keys(bad) });
        }
        good.sort_by(|left, right| right.cmp(left));
        good.truncate(MOST_KEYS);
        Ok(good.into_iter().map(|(_, fingerprint)| fingerprint).collect())
    }

    /// `None`: not a key for encrypting mail.
    fn encryption_key(
        &self,
        key: &ErasedKeyAmalgamation<'_, PublicParts>,
        trials: &Trials,
    ) -> Option<Result<(), Fault>> {
        let valid = match key.clone().with_policy(&self.policy, self.at) {
            Ok(valid) => valid,
            Err(_) => {
                let made = seconds(key.key().creation_time());
                return match key.clone().with_policy(&Anything, self.at) {
                    Ok(weak) if weak.for_transport_encryption() => {
                        Some(Err(Fault::Weak(self.weakness(weak.binding_signature(), key.key()))))
                    }
                    Ok(_) => None,
                    Err(_) if !key.key().pk_algo().for_encryption() => None,
                    Err(_) if made > self.now => Some(Err(Fault::NotYet(made))),
                    Err(_) => Some(Err(self.unbound(key.self_signatures().next()))),
                };
            }
        };
        if !valid.for_transport_encryption() {
            return None;
        }
        if !key.key().pk_algo().is_supported() {
            return Some(Err(Fault::Unsupported(key.key().pk_algo().to_string())));
        }
        let heeding_all = key.clone().with_policy(&Anything, self.at).ok();
        let statuses = [Some(valid.revocation_status()), heeding_all.as_ref().map(|valid| valid.revocation_status())];
        for status in statuses.into_iter().flatten() {
            if let RevocationStatus::Revoked(signatures) = status {
                return Some(Err(Fault::revoked(&signatures)));
            }
        }
        match valid.key_expiration_time().map(seconds) {
            Some(until) if until <= self.now => Some(Err(Fault::Expired(until))),
            // Of the subkey alone: what is wrong with the certificate is told where it belongs.
            _ if valid.binding_signature().key_alive(key.key(), self.at).is_err() => {
                Some(Err(Fault::NotYet(seconds(key.key().creation_time()))))
            }
            _ if !trials.is_encrypted_to(key.key()) => Some(Err(Fault::Unfit)),
            _ => Some(Ok(())),
        }
    }

    fn weakness(&self, binding: &Signature, key: &Key<PublicParts, UnspecifiedRole>) -> Weakness {
        if StandardPolicy::at(self.at).signature(binding, HashAlgoSecurity::SecondPreImageResistance).is_err() {
            return Weakness::Hash(binding.hash_algo().to_string());
        }
        Weakness::Algorithm { name: key.pk_algo().to_string(), bits: key.mpis().bits().unwrap_or(0) }
    }

    fn features(&self, cert: &Cert) -> Features {
        cert.with_policy(&self.policy, self.at).ok().and_then(|valid| valid.features()).unwrap_or_else(Features::empty)
    }
}

/// What trials with keys came to: a key's numbers never change, and a trial takes as long as encrypting does.
#[derive(Debug, Default)]
pub(super) struct Trials(Mutex<HashMap<Fingerprint, bool>>);

/// All are forgotten when there are more.
const MOST_TRIALS: usize = 4096;

impl Trials {
    /// Whether the key does what it says, tried with a session key of zeros. Its owner's signature holds for numbers that no
    /// key has too (a point that isn't on the curve, or of low order), and one such key would keep a message for all.
    fn is_encrypted_to(&self, key: &Key<PublicParts, UnspecifiedRole>) -> bool {
        let fingerprint = key.fingerprint();
        if let Some(known) = self.lock().get(&fingerprint) {
            return *known;
        }
        let done = key.encrypt(&SessionKey::from(vec![0; 32])).is_ok();
        let mut trials = self.lock();
        if trials.len() >= MOST_TRIALS {
            trials.clear();
        }
        trials.insert(fingerprint, done);
        done
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Fingerprint, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn seconds(moment: SystemTime) -> Time {
    moment.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

fn system_time(seconds: Time) -> SystemTime {
    // OpenPGP's own clock ends in 2106.
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(u64::from(u32::MAX)))
}
