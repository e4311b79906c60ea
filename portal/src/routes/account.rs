//! `/api/account/..`: signing in and out, enrolling, and what an account holds.
//!
//! The portal carries messages: what is a right passphrase, recovery code or statement, the gateway judges. Passphrases never
//! come here; OPAQUE's messages are opaque bytes.
//!
//! Security: nothing here tells whether an address has an account: what is asked of the gateway and noted in the vault is the
//! same for both, in the same order. A step belongs to the session that began it, and whoever signs in gets a new session id.
//! Standards: RFC 9807 (OPAQUE), by the gateway and the browser.

use std::time::Duration;

use sealpost_vault::errands::{Answer, Errand};
use sealpost_vault::id::ErrandId;

use crate::Portal;
use crate::error::Error;

pub mod change;
pub mod enrol;
pub mod letters;
pub mod pages;
pub mod receipt;
pub mod recover;
pub mod register;
pub mod replies;
pub mod rewrap;
pub mod show;
pub mod sign_in;
pub mod sign_out;

/// How long the gateway may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest OPAQUE message, in bytes; the longest has 320.
const MAX_OPAQUE: usize = 1024;
/// Largest account file, in bytes.
const MAX_FILE: usize = 8 * 1024;
/// Largest statement, in bytes: a signature packet.
const MAX_SIGNATURE: usize = 1024;

/// Asks the gateway and waits for its answer. "Later" is an error here, and so is silence.
async fn asked(portal: &Portal, errand_id: ErrandId, errand: &Errand) -> Result<Answer, Error> {
    portal.ask(errand_id, errand).await?;
    match portal.answer(errand_id, PATIENCE).await? {
        Some(Answer::Later { seconds }) => Err(Error::Later(seconds)),
        Some(answer) => Ok(answer),
        None => Err(Error::Busy),
    }
}

/// An answer that doesn't belong to its errand.
fn unexpected(errand_id: ErrandId) -> Error {
    tracing::error!(%errand_id, "the gateway gave an answer of another kind");
    Error::Busy
}
