//! Accounts of readers who come back: enrolment, signing in, another passphrase, recovery, what enrolled readers state.
//!
//! Security: errands are input from outside. What counts is in the gateway's own store: pins, OPAQUE records, tries. A wrong
//! passphrase, a wrong recovery code and an address without an account get the same answers after the same work.
//! Standards: RFC 9807 (OPAQUE).

mod administration;
pub(crate) mod credentials;
mod enrolment;
pub mod opaque;
mod passphrase;
mod recovery;
mod sign_in;
mod statements;
mod tries;

pub use administration::{Overview, Reset};

use std::time::Duration;

use sealpost_texts::Language;
use sealpost_vault::db::StoreError;
use sealpost_vault::errands::{Answer, Errand};
use sealpost_vault::id::{ErrandId, QueueId};
use sealpost_vault::{EmailAddress, Identity};

use crate::codes::CODE_TAKES;
use crate::envelope::ReversePath;
use crate::pickups;
use crate::pipeline::Gateway;
use crate::queue::{Kind, Mail};

/// How long the answer to a try takes at least: well above what an account's takes, so that nobody learns by the clock
/// whether there is one.
pub const ACCOUNT_TAKES: Duration = CODE_TAKES;

/// Where a reader gets mail.
pub(crate) struct Mailbox {
    pub(crate) delivery: EmailAddress,
    pub(crate) language: Language,
    /// The message that it is known from.
    pub(crate) origin: QueueId,
}

/// The answer to an account's errand that can't be done.
pub(crate) fn nothing_done(errand: &Errand) -> Answer {
    match errand {
        Errand::Receipt { .. } | Errand::SignedOut { .. } => Answer::Done,
        _ => Answer::Refused,
    }
}

impl Gateway {
    /// Errands about accounts.
    pub(crate) async fn account_errand(&self, errand_id: ErrandId, errand: Errand) -> Result<Answer, StoreError> {
        let takes = match &errand {
            Errand::SignIn { .. } | Errand::SignInEnd { .. } | Errand::Recover { .. } => ACCOUNT_TAKES,
            _ => Duration::ZERO,
        };
        let (answer, ()) = tokio::join!(self.at_once(errand_id, errand), tokio::time::sleep(takes));
        answer
    }

    async fn at_once(&self, errand_id: ErrandId, errand: Errand) -> Result<Answer, StoreError> {
        match errand {
            Errand::Register { purpose, request } => self.register(purpose, &request.0).await,
            Errand::Enrol { .. } => self.enrol(errand).await,
            Errand::SignIn { address, prefix, code, request } => {
                self.sign_in(errand_id, &address, &prefix, code, &request.0).await
            }
            Errand::SignInEnd { sign_in, finalization } => self.sign_in_end(sign_in, &finalization.0).await,
            Errand::SignedOut { account } => self.signed_out(account).await,
            Errand::Recover { account, code, prefix, proof } => self.recover(account, code, &prefix, &proof.0).await,
            Errand::Change { account, upload, file, recovery, signature } => {
                self.change_passphrase(account, &upload.0, &file.0, &recovery.0, &signature.0).await
            }
            Errand::Rewrap { pickup, packet, signature } => self.rewrap(pickup, &packet.0, &signature.0).await,
            Errand::Receipt { pickup, signature } => self.receipt(pickup, &signature.0).await,
            other => Ok(nothing_done(&other)),
        }
    }

    /// Where mail to an enrolled reader goes: the address that the organisation's own mail went to last.
    pub(crate) async fn mailbox_of(&self, reader: &Identity) -> Result<Mailbox, StoreError> {
        if let Some(pickup) = pickups::newest_of(&self.stores.own, reader).await? {
            return Ok(Mailbox { delivery: pickup.delivery, language: pickup.language, origin: pickup.origin });
        }
        let delivery = reader.as_str().parse().map_err(|_| StoreError::Corrupt("an enrolled reader's address"))?;
        Ok(Mailbox { delivery, language: self.letterhead.organisation.language, origin: QueueId::random()? })
    }

    /// A mail of our own to a reader.
    pub(crate) fn mail_to(&self, mailbox: &Mailbox, kind: Kind, bytes: Vec<u8>, lifetime: Duration) -> Mail {
        Mail {
            origin: mailbox.origin,
            kind,
            route: self.route_to(&mailbox.delivery),
            reverse_path: ReversePath::Null,
            recipients: vec![mailbox.delivery.clone()],
            bytes,
            pickup: None,
            lifetime,
        }
    }
}
