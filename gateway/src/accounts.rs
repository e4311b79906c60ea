//! Accounts of readers who come back: enrolment, signing in, another passphrase, recovery, what enrolled readers state.
//!
//! Security: errands are input from outside. What counts is in the gateway's own store: pins, OPAQUE records, tries. A wrong
//! passphrase, a wrong recovery code and an address without an account get the same answers after the same work.
//! Standards: RFC 9807 (OPAQUE).

mod enrolment;
mod passphrase;
mod recovery;
mod sign_in;
mod statements;

use sealpost_vault::db::StoreError;
use sealpost_vault::errands::{Answer, Errand};
use sealpost_vault::id::ErrandId;

use crate::pipeline::Gateway;

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
}
