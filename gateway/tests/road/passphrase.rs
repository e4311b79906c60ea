//! An enrolled reader: a browser's half of OPAQUE, a certificate, an account file, and what is signed.
//!
//! The suite and the server's identifier are written out once more, so that the gateway agrees with SEALING.md and not only
//! with itself. Stretching is cheap here: the server never does it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use opaque_ke::argon2::{Argon2, Params};
use opaque_ke::rand::{CryptoRng, Error, RngCore};
use opaque_ke::{
    CipherSuite, ClientLogin, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters,
    CredentialRequest, CredentialResponse, Identifiers, RegistrationRequest, RegistrationResponse, Ristretto255,
    ServerLogin, ServerLoginParameters, ServerRegistration, ServerSetup, TripleDh,
};
use ring::rand::SecureRandom;
use sealpost_vault::derive::{ctx, sha256};
use sealpost_vault::errands::{Answer, Bytes, Errand, Registration};
use sealpost_vault::id::{AccountId, ErrandId, PickupId, random};
use sequoia_openpgp::cert::CertBuilder;
use sequoia_openpgp::crypto::{S2K, SessionKey};
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::packet::skesk::SKESK6;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::{AEADAlgorithm, HashAlgorithm, KeyFlags, SignatureType, SymmetricAlgorithm};
use sequoia_openpgp::{Cert, Packet, Profile};

use crate::bench::{Road, SENDER, START, marked};
use crate::openpgp;
use crate::reader::Reader;

pub const PASSPHRASE: &str = "seven grey herons stand";

struct Suite;

impl CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, sha2::Sha512>;
    type Ksf = Argon2<'static>;
}

struct Random;

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        u32::from_be_bytes(random().unwrap())
    }
    fn next_u64(&mut self) -> u64 {
        u64::from_be_bytes(random().unwrap())
    }
    fn fill_bytes(&mut self, target: &mut [u8]) {
        ring::rand::SystemRandom::new().fill(target).unwrap();
    }
    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(target);
        Ok(())
    }
}

impl CryptoRng for Random {}

fn identifiers() -> Identifiers<'static> {
    Identifiers { client: None, server: Some(b"sealpost/v1/opaque") }
}

fn quick() -> Argon2<'static> {
    Argon2::new(Default::default(), Default::default(), Params::new(8, 1, 1, None).unwrap())
}

/// A browser that signs in, between the steps.
pub struct SigningIn {
    pub address: String,
    passphrase: String,
    login: ClientLogin<Suite>,
    request: Vec<u8>,
}

impl SigningIn {
    pub fn new(address: &str, passphrase: &str) -> Self {
        let started = ClientLogin::<Suite>::start(&mut Random, passphrase.as_bytes()).unwrap();
        let request = started.message.serialize().to_vec();
        Self { address: address.into(), passphrase: passphrase.into(), login: started.state, request }
    }

    pub fn errand(&self, prefix: &str, code: Option<ErrandId>) -> Errand {
        let (address, request) = (self.address.clone(), Bytes(self.request.clone()));
        Errand::SignIn { address, prefix: prefix.into(), code, request }
    }

    /// What the browser sends in the second step; nothing where it sees that the passphrase is wrong.
    pub fn finalization(self, response: &[u8]) -> Option<Vec<u8>> {
        let (ksf, response) = (quick(), CredentialResponse::deserialize(response).unwrap());
        let parameters = ClientLoginFinishParameters::new(None, identifiers(), Some(&ksf));
        let finished = self.login.finish(&mut Random, self.passphrase.as_bytes(), response, parameters).ok()?;
        Some(finished.message.serialize().to_vec())
    }
}

/// Both steps: what the gateway answers in the end, or where it stopped. `None`: the browser saw that it is wrong.
pub async fn sign_in(
    road: &Road,
    address: &str,
    passphrase: &str,
    prefix: &str,
    code: Option<ErrandId>,
) -> Option<Answer> {
    let browser = SigningIn::new(address, passphrase);
    let errand = ErrandId::random().unwrap();
    match road.ask_as(errand, &browser.errand(prefix, code)).await {
        Answer::SignIn { response } => {
            let finalization = browser.finalization(&response.0)?;
            Some(road.ask(&Errand::SignInEnd { sign_in: errand, finalization: Bytes(finalization) }).await)
        }
        other => Some(other),
    }
}

/// A browser that registers a passphrase, between the steps.
pub struct Registering {
    passphrase: String,
    state: ClientRegistration<Suite>,
    pub request: Vec<u8>,
}

/// What a browser was answered.
pub struct Registered {
    pub account: AccountId,
    pub response: Vec<u8>,
    pub signature: Vec<u8>,
}

impl Registering {
    pub fn new(passphrase: &str) -> Self {
        let started = ClientRegistration::<Suite>::start(&mut Random, passphrase.as_bytes()).unwrap();
        let request = started.message.serialize().to_vec();
        Self { passphrase: passphrase.into(), state: started.state, request }
    }

    pub async fn asks(&self, road: &Road, purpose: Registration) -> Registered {
        let request = Bytes(self.request.clone());
        match road.ask(&Errand::Register { purpose, request }).await {
            Answer::Register { account, response: Bytes(response), signature: Bytes(signature) } => {
                Registered { account, response, signature }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Whether it is the gateway's answer to this request: the organisation's signature says so.
    pub fn believes(&self, road: &Road, address: &str, answer: &Registered) -> bool {
        let said = ctx(
            "registered",
            &[
                answer.account.bytes(),
                address.as_bytes(),
                road.keyring.fingerprint(),
                &sha256(&self.request),
                &sha256(&answer.response),
            ],
        );
        let Ok(Packet::Signature(signature)) = Packet::from_bytes(&answer.signature) else { return false };
        let (said, organisation) = (said.unwrap(), Cert::from_bytes(&road.keyring.certificate()).unwrap());
        organisation.keys().subkeys().any(|key| signature.verify_message(key.key(), &said).is_ok())
    }

    /// The record to upload.
    pub fn record(&self, response: &[u8]) -> Vec<u8> {
        let (ksf, response) = (quick(), RegistrationResponse::deserialize(response).unwrap());
        let parameters = ClientRegistrationFinishParameters::new(identifiers(), Some(&ksf));
        let state = self.state.clone();
        let finished = state.finish(&mut Random, self.passphrase.as_bytes(), response, parameters).unwrap();
        finished.message.serialize().to_vec()
    }
}

/// An OPAQUE registration: the account's id and the record to upload.
pub async fn register(road: &Road, purpose: Registration, passphrase: &str) -> (AccountId, Vec<u8>) {
    let browser = Registering::new(passphrase);
    let answer = browser.asks(road, purpose).await;
    (answer.account, browser.record(&answer.response))
}

pub fn registration_request() -> Bytes {
    Bytes(Registering::new(PASSPHRASE).request)
}

/// A portal that was broken into, with a key of its own to evaluate passphrases with.
pub struct BrokenPortal(ServerSetup<Suite>);

impl BrokenPortal {
    pub fn new() -> Self {
        Self(ServerSetup::new(&mut Random))
    }

    pub fn evaluates(&self, browser: &Registering, address: &str) -> Vec<u8> {
        let request = RegistrationRequest::deserialize(&browser.request).unwrap();
        let started = ServerRegistration::start(&self.0, request, address.as_bytes()).unwrap();
        started.message.serialize().to_vec()
    }

    /// Whether this is the passphrase of the record, found out without asking anybody.
    pub fn guesses(&self, record: &[u8], address: &str, passphrase: &str) -> bool {
        let browser = SigningIn::new(address, passphrase);
        let record = ServerRegistration::deserialize(record).unwrap();
        let request = CredentialRequest::deserialize(&browser.request).unwrap();
        let parameters = ServerLoginParameters { context: None, identifiers: identifiers() };
        let begun =
            ServerLogin::start(&mut Random, &self.0, Some(record), request, address.as_bytes(), parameters).unwrap();
        browser.finalization(&begun.message.serialize()).is_some()
    }
}

/// A reader with an account.
pub struct Account {
    pub address: String,
    pub account: AccountId,
    pub certificate: Cert,
    pub recovery_proof: [u8; 32],
    /// As uploaded last.
    pub file: Vec<u8>,
    pub changes: i64,
}

/// A letter for an enrolled reader: its notification carries no secret.
pub async fn straight_letter(road: &Road, address: &str) -> PickupId {
    road.send(SENDER, &[address], &marked(address)).await;
    let mails = road.deliver().await;
    let [notification] = mails.as_slice() else { panic!("not one mail: {mails:?}") };
    notification.pickup.unwrap()
}

/// An account file: two ways to unlock, and something sealed.
pub fn file() -> Vec<u8> {
    let key = SessionKey::new(32).unwrap();
    let mut file = Vec::new();
    for _ in 0..2 {
        let s2k = S2K::new_iterated(HashAlgorithm::SHA256, 1024).unwrap();
        let (cipher, aead) = (SymmetricAlgorithm::AES256, AEADAlgorithm::GCM);
        let password = URL_SAFE_NO_PAD.encode(random::<32>().unwrap());
        let packet = SKESK6::with_password(cipher, cipher, aead, s2k, &key, &password.as_str().into()).unwrap();
        file.extend(Packet::from(packet).to_vec().unwrap());
    }
    file.extend(openpgp::seal(&key, b"the secret key of an account"));
    file
}

pub fn certificate(address: &str) -> Cert {
    let (certificate, _revocation) = CertBuilder::new()
        .set_profile(Profile::RFC9580)
        .unwrap()
        .set_cipher_suite(sequoia_openpgp::cert::CipherSuite::Cv25519)
        .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
        .add_userid(address)
        .add_transport_encryption_subkey()
        .set_creation_time(std::time::UNIX_EPOCH + std::time::Duration::from_secs(START.unsigned_abs()))
        .generate()
        .unwrap();
    certificate
}

impl Account {
    /// Opens a letter, enrols, and lets the mails about it leave.
    pub async fn of(road: &Road, address: &str) -> Self {
        let reader = road.letter_to(address).await;
        Self::enrol(road, &reader).await
    }

    pub async fn enrol(road: &Road, reader: &Reader) -> Self {
        let address = reader.released.reader.as_str().to_owned();
        let certificate = certificate(&address);
        let public = certificate.clone().strip_secret_key_material().to_vec().unwrap();
        let (account, upload) = register(road, Registration::Enrol(reader.pickup), PASSPHRASE).await;
        let recovery_proof = random::<32>().unwrap();
        let (file, recovery) = (file(), sha256(&recovery_proof));
        let fingerprint = certificate.fingerprint();
        let said: [&[u8]; 5] =
            [fingerprint.as_bytes(), &sha256(&public), &sha256(&file), &sha256(&upload), &sha256(&recovery)];
        let mac = reader.say(road, "say/enrol", &said);
        let answer = road
            .ask(&Errand::Enrol {
                pickup: reader.pickup,
                account,
                certificate: Bytes(public),
                file: Bytes(file.clone()),
                upload: Bytes(upload),
                recovery: Bytes(recovery.to_vec()),
                mac: Bytes(mac),
                keys: Vec::new(),
            })
            .await;
        assert_eq!(answer, Answer::Enrolled { account });
        road.deliver().await;
        Self { address, account, certificate, recovery_proof, file, changes: 0 }
    }

    /// One signature packet over a statement.
    pub fn say(&self, message: &[u8]) -> Vec<u8> {
        let key = self.certificate.primary_key().key().clone().parts_into_secret().unwrap();
        let mut signer = key.into_keypair().unwrap();
        let signature = SignatureBuilder::new(SignatureType::Binary)
            .set_hash_algo(HashAlgorithm::SHA512)
            .sign_message(&mut signer, message)
            .unwrap();
        Packet::from(signature).to_vec().unwrap()
    }

    /// The errand of a change; `recovery_proof` where there is a new recovery code.
    pub fn change(&self, road: &Road, upload: &[u8], file: &[u8], recovery_proof: Option<&[u8; 32]>) -> Errand {
        let recovery = recovery_proof.map(|proof| sha256(proof).to_vec()).unwrap_or_default();
        let statement = ctx(
            "say/change",
            &[
                self.account.bytes(),
                self.address.as_bytes(),
                road.keyring.fingerprint(),
                &sha256(file),
                &sha256(upload),
                &sha256(&recovery),
                &self.changes.to_be_bytes(),
            ],
        );
        Errand::Change {
            account: self.account,
            upload: Bytes(upload.to_vec()),
            file: Bytes(file.to_vec()),
            recovery: Bytes(recovery),
            signature: Bytes(self.say(&statement.unwrap())),
        }
    }

    pub async fn signs_in(&self, road: &Road, passphrase: &str) -> bool {
        match sign_in(road, &self.address, passphrase, "198.51.100.0/24", None).await {
            Some(Answer::SignedIn { account }) => account == self.account,
            None => false,
            Some(other) => panic!("{other:?}"),
        }
    }
}
