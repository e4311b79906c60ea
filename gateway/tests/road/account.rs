//! An enrolled reader's browser, as SEALING.md says it: a key of its own, an account file, statements that it signs.

use std::time::{Duration, UNIX_EPOCH};

use sealpost_vault::accounts::{self, AccountRow};
use sealpost_vault::derive::{ctx, sha256};
use sealpost_vault::errands::{Answer, Bytes, Errand, Registration, WrappedKey};
use sealpost_vault::id::{AccountId, PickupId};
use sealpost_vault::letters;
use sequoia_openpgp::cert::{Cert, CertBuilder, CipherSuite};
use sequoia_openpgp::crypto::{KeyPair, S2K, SessionKey};
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::packet::skesk::SKESK6;
use sequoia_openpgp::packet::{PKESK, pkesk::PKESK6};
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::{AEADAlgorithm, HashAlgorithm, KeyFlags, SignatureType, SymmetricAlgorithm};
use sequoia_openpgp::{Packet, Profile};

use crate::bench::{Road, START};
use crate::openpgp;
use crate::reader::Reader;

/// An encoding of a group element of Ristretto255: its generator (RFC 9496 4.1).
const ELEMENT: &str = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76";

pub fn element() -> Vec<u8> {
    data_encoding::HEXLOWER.decode(ELEMENT.as_bytes()).unwrap()
}

/// A key pair as a browser makes one.
pub struct Key {
    pub secret: Cert,
}

impl Key {
    pub fn new(address: &str) -> Self {
        let (secret, _) = CertBuilder::new()
            .set_profile(Profile::RFC9580)
            .unwrap()
            .set_cipher_suite(CipherSuite::Cv25519)
            .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
            .add_userid(address)
            .add_transport_encryption_subkey()
            .set_creation_time(UNIX_EPOCH + Duration::from_secs(START.unsigned_abs() - 60))
            .generate()
            .unwrap();
        Self { secret }
    }

    pub fn certificate(&self) -> Vec<u8> {
        self.secret.to_vec().unwrap()
    }

    pub fn fingerprint(&self) -> Vec<u8> {
        self.secret.fingerprint().as_bytes().to_vec()
    }

    fn signer(&self) -> KeyPair {
        self.secret.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap()
    }

    /// One detached signature packet.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = SignatureBuilder::new(SignatureType::Binary)
            .set_hash_algo(HashAlgorithm::SHA512)
            .sign_message(&mut self.signer(), message)
            .unwrap();
        Packet::from(signature).to_vec().unwrap()
    }

    /// One PKESK to the encryption subkey.
    pub fn wrap(&self, session_key: &SessionKey) -> Vec<u8> {
        let policy = StandardPolicy::new();
        let key = self.secret.keys().with_policy(&policy, None).for_transport_encryption().next().unwrap();
        Packet::from(PKESK6::for_recipient(session_key, key.key()).unwrap()).to_vec().unwrap()
    }

    pub fn unwrap(&self, packet: &[u8]) -> Option<SessionKey> {
        let Ok(Packet::PKESK(PKESK::V6(packet))) = Packet::from_bytes(packet) else { return None };
        let policy = StandardPolicy::new();
        let key = self.secret.keys().with_policy(&policy, None).for_transport_encryption().secret().next()?;
        packet.decrypt(&mut key.key().clone().into_keypair().ok()?, None)
    }

    /// One-pass signature, literal data, signature, padding: sealed, as the slip of a reply.
    pub fn seal_signed(&self, session_key: &SessionKey, bytes: &[u8]) -> Vec<u8> {
        openpgp::seal_signed(session_key, bytes, self.signer())
    }
}

/// An enrolment on its way; tests change it before it is sent.
pub struct Enrolment {
    pub pickup: PickupId,
    pub account: AccountId,
    pub certificate: Vec<u8>,
    pub file: Vec<u8>,
    pub upload: Vec<u8>,
    pub recovery: Vec<u8>,
    pub mac: Vec<u8>,
    pub keys: Vec<WrappedKey>,
}

impl Enrolment {
    /// As the browser of `reader` makes it, which has the letters `letters` open.
    pub async fn new(road: &Road, reader: &Reader, key: &Key, letters: &[&Reader]) -> Self {
        // How often an address may register isn't what is tried here.
        sqlx::query("delete from tries").execute(road.stores.own.writer()).await.unwrap();
        let purpose = Registration::Enrol(reader.pickup);
        let answer = road.ask(&Errand::Register { purpose, request: Bytes(element()) }).await;
        let Answer::Register { account, .. } = answer else { panic!("{answer:?}") };
        let wrapped =
            |letter: &&Reader| WrappedKey { pickup: letter.pickup, packet: Bytes(key.wrap(&letter.session_key())) };
        let mut enrolment = Self {
            pickup: reader.pickup,
            account,
            certificate: key.certificate(),
            file: account_file(),
            upload: [element(), vec![7; 160]].concat(),
            recovery: sha256(b"recovery proof").to_vec(),
            mac: Vec::new(),
            keys: letters.iter().map(wrapped).collect(),
        };
        enrolment.mac = enrolment.said_by(road, reader, &key.fingerprint());
        enrolment
    }

    /// The MAC over what is in it now.
    pub fn said_by(&self, road: &Road, reader: &Reader, fingerprint: &[u8]) -> Vec<u8> {
        reader.say(
            road,
            "say/enrol",
            &[
                fingerprint,
                &sha256(&self.certificate),
                &sha256(&self.file),
                &sha256(&self.upload),
                &sha256(&self.recovery),
            ],
        )
    }

    pub fn errand(&self) -> Errand {
        Errand::Enrol {
            pickup: self.pickup,
            account: self.account,
            certificate: Bytes(self.certificate.clone()),
            file: Bytes(self.file.clone()),
            upload: Bytes(self.upload.clone()),
            recovery: Bytes(self.recovery.clone()),
            mac: Bytes(self.mac.clone()),
            keys: self.keys.clone(),
        }
    }
}

/// Two ways to unlock, and something that they unlock.
pub fn account_file() -> Vec<u8> {
    let key = SessionKey::new(32).unwrap();
    let skesk = |password: &str| {
        let (cipher, aead) = (SymmetricAlgorithm::AES256, AEADAlgorithm::GCM);
        let s2k = S2K::new_iterated(HashAlgorithm::SHA256, 1024).unwrap();
        Packet::from(SKESK6::with_password(cipher, cipher, aead, s2k, &key, &password.into()).unwrap())
            .to_vec()
            .unwrap()
    };
    [skesk("passphrase"), skesk("recovery"), openpgp::seal(&key, b"{}")].concat()
}

/// A reader who has an account.
pub struct Enrolled {
    pub account: AccountId,
    pub key: Key,
    pub address: String,
}

impl Enrolled {
    /// Enrols with an open letter, wraps its key, and drops the mails about it.
    pub async fn with(road: &Road, reader: &Reader) -> Self {
        let key = Key::new(reader.released.reader.as_str());
        let enrolment = Enrolment::new(road, reader, &key, &[reader]).await;
        let account = enrolment.account;
        assert_eq!(road.ask(&enrolment.errand()).await, Answer::Enrolled { account });
        road.deliver().await;
        Self { account, key, address: reader.released.reader.as_str().to_owned() }
    }

    /// The key packet that the account has for a letter.
    pub async fn key_packet(&self, road: &Road, pickup: PickupId) -> Option<Vec<u8>> {
        accounts::account_key(&road.stores.vault, pickup, self.account).await.unwrap()
    }

    /// The slip's JSON, opened with the account's key alone.
    pub async fn opens(&self, road: &Road, pickup: PickupId) -> Option<serde_json::Value> {
        let packet = self.key_packet(road, pickup).await?;
        let session_key = self.key.unwrap(&packet)?;
        let json = openpgp::open_with(&session_key, &packet, &stored_slip(road, pickup).await)?;
        serde_json::from_slice(&json).ok()
    }

    /// The statement that the letter was opened with the account, by the key packet that the vault has.
    pub async fn receipt(&self, road: &Road, pickup: PickupId) -> Errand {
        let packet = self.key_packet(road, pickup).await.unwrap_or_default();
        self.receipt_for(road, pickup, &packet).await
    }

    /// The same, by a key packet that only the portal has shown.
    pub async fn receipt_for(&self, road: &Road, pickup: PickupId, packet: &[u8]) -> Errand {
        let row = road.pickup(pickup).await;
        let slip = sha256(&stored_slip(road, pickup).await);
        let organisation = road.keyring.fingerprint();
        let fields: [&[u8]; 6] =
            [&[], row.letter_id.bytes(), self.address.as_bytes(), organisation, &slip, &sha256(packet)];
        Errand::Receipt { pickup, signature: Bytes(self.key.sign(&ctx("say/opened", &fields).unwrap())) }
    }

    /// The statement that takes a letter into the account.
    pub async fn rewrap(&self, road: &Road, pickup: PickupId, packet: Vec<u8>) -> Errand {
        let row = road.pickup(pickup).await;
        let fields: [&[u8]; 5] = [
            pickup.bytes(),
            row.letter_id.bytes(),
            self.address.as_bytes(),
            road.keyring.fingerprint(),
            &sha256(&packet),
        ];
        let signature = Bytes(self.key.sign(&ctx("say/rewrap", &fields).unwrap()));
        Errand::Rewrap { pickup, packet: Bytes(packet), signature }
    }

    pub async fn row(&self, road: &Road) -> Option<AccountRow> {
        accounts::account(&road.stores.vault, self.account).await.unwrap()
    }
}

pub async fn stored_slip(road: &Road, pickup: PickupId) -> Vec<u8> {
    let (slip,): (Vec<u8>,) = sqlx::query_as(
        "select l.slip from letters l join pickups p on p.letter_id = l.letter_id where p.pickup_id = $1",
    )
    .bind(pickup.to_string())
    .fetch_one(road.stores.vault.reader())
    .await
    .unwrap();
    slip
}

/// Whether share and SKESK are there.
pub async fn has_link_way(road: &Road, pickup: PickupId) -> bool {
    letters::link_halves(&road.stores.vault, pickup).await.unwrap().is_some()
}
