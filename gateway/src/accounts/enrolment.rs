//! Enrolment: a reader's certificate is checked, bound to the address by a letter's voice key, and vouched for.
//!
//! The MAC covers everything that the portal carries and could exchange: certificate, account file, OPAQUE record, recovery
//! hash. Only the key packets are outside it: what is wrong with one, the browser finds when it opens the letter with the
//! account, and until it says that it did, the link's way stays (`statements`). Where the gateway can wrap a letter itself, the
//! browser's key packet isn't used.
//! The first enrolment of an address counts. The pin's row is written first in a transaction that is committed last: whoever
//! comes second waits for it or finds it. In between the vault is written, idempotently; what a crash leaves there has no
//! pin, means nothing and is swept.
//!
//! Security: an errand is input from outside, and so is what the vault says of share and key packet. After the pin no voice
//! of this reader counts any more, so an enrolment can't be played again, not even after the account was reset.

use std::sync::Arc;

use tracing::{info, warn};

use sealpost_vault::accounts::{self, AccountRow};
use sealpost_vault::clock::Time;
use sealpost_vault::db::StoreError;
use sealpost_vault::derive::{FieldTooLong, ctx, sha256};
use sealpost_vault::errands::{Answer, Errand, WrappedKey};
use sealpost_vault::id::{AccountId, PickupId, QueueId};
use sealpost_vault::{EmailAddress, letters};

use sealpost_texts::Language;

use super::credentials;
use super::opaque::Record;
use super::passphrase::REGISTRATION_LIFETIME;
use crate::audit::{self, Event, Statement};
use crate::envelope::ReversePath;
use crate::notify::{self, News};
use crate::pickups::{self, Pickup, Way};
use crate::pins::{self, Claim, NewPin, Pin, State};
use crate::pipeline::Gateway;
use crate::queue::{Kind, Mail, Then};
use crate::seal::{self, LinkSecret, ReaderCertificate, Stored};

/// How far a browser's clock may be ahead, in seconds.
const AHEAD: Time = 300;
const RECOVERY_HASH: usize = 32;
/// Letters that a browser wraps at once.
const MOST_KEYS: usize = 16;

/// What a browser sends.
struct Request {
    pickup: PickupId,
    account: AccountId,
    certificate: Vec<u8>,
    file: Vec<u8>,
    upload: Vec<u8>,
    recovery: Vec<u8>,
    mac: Vec<u8>,
    keys: Vec<WrappedKey>,
}

/// What the request comes to.
enum Judged {
    New(Box<Candidate>),
    /// Asked again after the answer was lost.
    Done,
    Conflict(Box<Pickup>),
    Refused(&'static str),
}

/// An enrolment that nothing speaks against.
struct Candidate {
    pickup: Pickup,
    certificate: ReaderCertificate,
    /// The pin's counter until now, where the address was reset.
    before: Option<i64>,
    /// The browser's key packets, for this reader's letters.
    keys: Vec<(PickupId, Vec<u8>)>,
}

impl Gateway {
    pub(super) async fn enrol(&self, errand: Errand) -> Result<Answer, StoreError> {
        let Errand::Enrol { pickup, account, certificate, file, upload, recovery, mac, keys } = errand else {
            return Ok(Answer::Refused);
        };
        let request = Request {
            pickup,
            account,
            certificate: certificate.0,
            file: file.0,
            upload: upload.0,
            recovery: recovery.0,
            mac: mac.0,
            keys,
        };
        let judged = match self.judge(&request).await? {
            // Another enrolment that was committed meanwhile took the voice or the registration: then that is the reason.
            Judged::Refused(_) => self.judge(&request).await?,
            judged => judged,
        };
        match judged {
            Judged::New(candidate) => self.bind(&request, *candidate).await,
            Judged::Done => Ok(Answer::Enrolled { account }),
            Judged::Conflict(pickup) => self.conflict(&pickup, account).await,
            Judged::Refused(why) => {
                self.not_believed(Statement::Enrolment, Some(pickup), Some(account), why).await?;
                Ok(Answer::Refused)
            }
        }
    }

    async fn judge(&self, request: &Request) -> Result<Judged, StoreError> {
        let now = self.clock.now();
        let Some(pickup) = pickups::find(&self.stores.own, request.pickup).await? else {
            return Ok(Judged::Refused("no such pickup"));
        };
        let before = match pins::find(&self.stores.own, &self.keyring, &pickup.reader).await? {
            Some(Pin::Enrolled(pinned)) => {
                let same = pinned.account == request.account && pinned.certificate.bytes() == request.certificate;
                return Ok(if same { Judged::Done } else { Judged::Conflict(Box::new(pickup)) });
            }
            Some(Pin::Reset { counter }) => Some(counter),
            None => None,
        };
        if !pickup.state.lives() || pickup.expires_at <= now {
            return Ok(Judged::Refused("the pickup has ended"));
        }
        if !self.is_registered(request, &pickup, now).await? {
            return Ok(Judged::Refused("no registration of this account for this pickup"));
        }
        let Some(voice) = self.voice(&pickup).await? else {
            return Ok(Judged::Refused("the pickup has no voice"));
        };
        let certificate = match ReaderCertificate::check(&request.certificate, &pickup.reader) {
            Ok(certificate) if certificate.made_at() <= now.saturating_add(AHEAD) => certificate,
            Ok(_) => return Ok(Judged::Refused("the certificate was made in the future")),
            Err(cause) => {
                warn!(pickup = %request.pickup, %cause, "the certificate of an enrolment");
                return Ok(Judged::Refused("the certificate"));
            }
        };
        let statement = statement(request, &pickup, self.keyring.fingerprint(), &certificate)?;
        if voice.verify(&statement, &request.mac).is_err() {
            return Ok(Judged::Refused("not stated with the reader's voice"));
        }
        if seal::account_file(&request.file).is_err()
            || Record::parse(&request.upload).is_err()
            || request.recovery.len() != RECOVERY_HASH
        {
            return Ok(Judged::Refused("account file, OPAQUE record or recovery hash"));
        }
        if request.keys.len() > MOST_KEYS {
            return Ok(Judged::Refused("too many key packets"));
        }
        let mut keys: Vec<(PickupId, Vec<u8>)> = Vec::with_capacity(request.keys.len());
        for WrappedKey { pickup: of, packet } in &request.keys {
            let Some(found) = pickups::find(&self.stores.own, *of).await?.filter(|of| of.reader == pickup.reader)
            else {
                return Ok(Judged::Refused("a key packet for somebody else's letter"));
            };
            if !certificate.is_named_in(&packet.0) {
                return Ok(Judged::Refused("a key packet to another certificate"));
            }
            if keys.iter().any(|(known, _)| known == of) {
                return Ok(Judged::Refused("two key packets for one letter"));
            }
            // One that ended meanwhile needs none.
            if found.state.lives() && found.expires_at > now {
                keys.push((*of, packet.0.clone()));
            }
        }
        Ok(Judged::New(Box::new(Candidate { pickup, certificate, before, keys })))
    }

    async fn is_registered(&self, request: &Request, pickup: &Pickup, now: Time) -> Result<bool, StoreError> {
        let (found,): (i64,) = sqlx::query_as(
            "select count(*) from registrations
             where account_id = $1 and reader = $2 and pickup_id = $3 and begun_at > $4",
        )
        .bind(request.account.to_string())
        .bind(pickup.reader.as_str())
        .bind(pickup.pickup_id.to_string())
        .bind(now.saturating_sub(REGISTRATION_LIFETIME))
        .fetch_one(self.stores.own.reader())
        .await?;
        Ok(found == 1)
    }

    async fn bind(&self, request: &Request, candidate: Candidate) -> Result<Answer, StoreError> {
        let now = self.clock.now();
        let Candidate { pickup, certificate, before, keys: wrapped } = candidate;
        // Our own come first: the browser's passed the portal, and no MAC covers them.
        let mut keys = self.wrap_pending(&pickup, &certificate, now).await?;
        keys.extend(
            wrapped.into_iter().filter(|(of, _)| !keys.iter().any(|(known, _)| known == of)).collect::<Vec<_>>(),
        );
        let counter = before.unwrap_or(0).saturating_add(1);
        let fingerprint = data_encoding::HEXUPPER.encode(certificate.fingerprint());
        let claim = Claim {
            reader: &pickup.reader,
            fingerprint: certificate.fingerprint(),
            certificate: certificate.bytes(),
            counter,
            at: now,
            state: State::Enrolled,
        };
        let vouch = self
            .keyring
            .vouch(&claim.bytes()?)
            .map_err(|_| StoreError::Corrupt("an organisation's key that doesn't sign"))?;
        let pin = NewPin { claim, account: request.account, vouch: &vouch, pickup: pickup.pickup_id };
        let account = AccountRow {
            account_id: request.account,
            reader: pickup.reader.clone(),
            organisation: self.keyring.fingerprint_hex(),
            fingerprint: fingerprint.clone(),
            certificate: certificate.bytes().to_vec(),
            counter,
            vouched_at: now,
            vouch: vouch.clone(),
            file: request.file.clone(),
            changes: 0,
            changed_at: now,
        };
        let credentials = credentials::New {
            account: request.account,
            reader: &pickup.reader,
            upload: &request.upload,
            recovery_hash: &request.recovery,
        };
        let mails = self.news(&pickup, &fingerprint, before, now).await?;
        let mails = self.queue.place_all(mails, Then::Wait).await?;
        let blobs: Vec<String> = mails.iter().map(|mail| mail.blob_key().to_owned()).collect();

        let mut transaction = self.stores.own.begin().await?;
        if !pins::enrol(&mut transaction, &pin, before).await? {
            transaction.rollback().await?;
            self.queue.forget_unqueued(&blobs).await;
            return self.conflict(&pickup, request.account).await;
        }
        sqlx::query("delete from registrations where account_id = $1")
            .bind(request.account.to_string())
            .execute(&mut *transaction)
            .await?;
        credentials::insert(&mut transaction, &self.keyring, &credentials, now).await?;
        pickups::silence(&mut transaction, &pickup.reader).await?;
        let event = Event::Enrolled {
            reader: &pickup.reader,
            account: request.account,
            pickup: pickup.pickup_id,
            fingerprint: &fingerprint,
            counter,
        };
        audit::record(&mut transaction, event, now).await?;
        for (of, _) in &keys {
            let event = Event::Rewrapped { pickup: *of, reader: &pickup.reader, account: request.account };
            audit::record(&mut transaction, event, now).await?;
        }
        for mail in mails {
            self.queue.insert(&mut transaction, mail).await?;
        }
        // Before the pin is there for others: an account in the vault that has no pin is nobody's.
        accounts::store_account(&self.stores.vault, &account).await?;
        for (of, packet) in &keys {
            accounts::put_account_key(&self.stores.vault, *of, request.account, packet).await?;
        }
        transaction.commit().await?;
        info!(pickup = %pickup.pickup_id, account = %request.account, counter, letters = keys.len(), "enrolled");
        self.queue.wake();
        self.stores.own.forget_deleted().await?;
        Ok(Answer::Enrolled { account: request.account })
    }

    /// The reader's letters whose link is still kept. One that doesn't open stays with its link.
    async fn wrap_pending(
        &self,
        enrolled: &Pickup,
        certificate: &ReaderCertificate,
        now: Time,
    ) -> Result<Vec<(PickupId, Vec<u8>)>, StoreError> {
        let mut pending: Vec<(Pickup, LinkSecret, Vec<u8>, Vec<u8>)> = Vec::new();
        for pickup in pickups::living_of(&self.stores.own, &enrolled.reader, now).await? {
            if pickup.way != Way::Link {
                continue;
            }
            let Some(link) = self.kept_link(&pickup)? else { continue };
            match letters::link_halves(&self.stores.vault, pickup.pickup_id).await? {
                Some((share, key_packet)) => pending.push((pickup, link, share, key_packet)),
                None => {
                    warn!(pickup = %pickup.pickup_id, "the vault lacks share or key packet: the letter stays with its link")
                }
            }
        }
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        let (keyring, certificate) = (Arc::clone(&self.keyring), certificate.clone());
        self.heavily(move || {
            let mut keys = Vec::new();
            for (pickup, link, share, key_packet) in &pending {
                let stored = Stored {
                    pickup: pickup.pickup_id,
                    letter: pickup.letter_id,
                    reader: &pickup.reader,
                    link,
                    share,
                    key_packet,
                };
                match seal::rewrap(&keyring, &stored, &certificate) {
                    Ok(packet) => keys.push((pickup.pickup_id, packet)),
                    Err(cause) => {
                        warn!(pickup = %pickup.pickup_id, %cause, "could not be wrapped anew: the letter stays with its link");
                    }
                }
            }
            keys
        })
        .await
    }

    async fn conflict(&self, pickup: &Pickup, account: AccountId) -> Result<Answer, StoreError> {
        warn!(pickup = %pickup.pickup_id, %account, "an enrolment of an address that is enrolled: refused");
        let mut transaction = self.stores.own.begin().await?;
        let event = Event::EnrolmentConflict { reader: &pickup.reader, account, pickup: pickup.pickup_id };
        audit::record(&mut transaction, event, self.clock.now()).await?;
        transaction.commit().await?;
        Ok(Answer::Conflict)
    }

    // --- mails ---

    /// To the reader, and to those who wrote the letters that the reader can still read.
    async fn news(
        &self,
        pickup: &Pickup,
        fingerprint: &str,
        before: Option<i64>,
        now: Time,
    ) -> Result<Vec<Mail>, StoreError> {
        let mut mails = vec![self.account_mail(News::Made, &pickup.delivery, pickup, fingerprint, pickup.language)?];
        let news = if before.is_some() { News::Changed } else { News::Enrolled };
        for sender in pickups::senders_to(&self.stores.own, &pickup.reader, now).await? {
            let language = self.letterhead.organisation.language;
            mails.push(self.account_mail(news, &sender, pickup, fingerprint, language)?);
        }
        Ok(mails)
    }

    /// A mail about a reader's key; `pickup` is any of the reader's.
    pub(crate) fn account_mail(
        &self,
        news: News,
        to: &EmailAddress,
        pickup: &Pickup,
        fingerprint: &str,
        language: Language,
    ) -> Result<Mail, StoreError> {
        let now = self.clock.now();
        let facts = notify::Account {
            news,
            to,
            reader: &pickup.reader,
            fingerprint,
            contact: &self.settings.postmaster,
            at: now,
            language,
            message_id: &self.new_message_id()?,
        };
        let bytes = notify::account(&self.letterhead, &facts, now)
            .map_err(|_| StoreError::Corrupt("a mail about a key that can't be written"))?;
        Ok(Mail {
            origin: QueueId::random()?,
            kind: Kind::Report,
            route: self.route_to(to),
            reverse_path: ReversePath::Null,
            recipients: vec![to.clone()],
            bytes,
            pickup: None,
            lifetime: self.settings.queue_lifetime,
        })
    }
}

/// What the voice key's MAC covers: SEALING.md, `enrol`.
fn statement(
    request: &Request,
    pickup: &Pickup,
    organisation: &[u8; 32],
    certificate: &ReaderCertificate,
) -> Result<Vec<u8>, FieldTooLong> {
    ctx(
        "say/enrol",
        &[
            pickup.pickup_id.bytes(),
            pickup.letter_id.bytes(),
            pickup.reader.as_str().as_bytes(),
            organisation,
            certificate.fingerprint(),
            &sha256(certificate.bytes()),
            &sha256(&request.file),
            &sha256(&request.upload),
            &sha256(&request.recovery),
        ],
    )
}
