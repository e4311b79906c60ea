//! `GET /api/account`: what the browser unlocks, and what it checks it by.

use axum::Json as Answered;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use sealpost_vault::accounts;
use sealpost_vault::clock::Time;
use sealpost_vault::errands::Bytes;
use sealpost_vault::id::AccountId;
use sealpost_vault::letters::certificate;
use serde::Serialize;

use crate::Portal;
use crate::error::Error;
use crate::visitor::Visitor;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    account: AccountId,
    reader: String,
    /// Fingerprint of the organisation's certificate, upper-case hex.
    organisation: String,
    organisation_certificate: Bytes,
    /// The reader's.
    certificate: Bytes,
    fingerprint: String,
    counter: i64,
    vouched_at: Time,
    vouch: Bytes,
    file: Bytes,
    changes: i64,
    how: &'static str,
}

pub async fn account(State(portal): State<Portal>, visitor: Visitor) -> Result<Response, Error> {
    let signed_in = visitor.must_be_signed_in(&portal).await?;
    let found = accounts::account(&portal.vault, signed_in.account).await?.ok_or(Error::SignIn)?;
    let certificate = certificate(&portal.vault, &found.organisation).await?.ok_or(Error::Busy)?;
    Ok(Answered(Account {
        account: found.account_id,
        reader: found.reader.as_str().to_owned(),
        organisation: found.organisation,
        organisation_certificate: Bytes(certificate),
        certificate: Bytes(found.certificate),
        fingerprint: found.fingerprint,
        counter: found.counter,
        vouched_at: found.vouched_at,
        vouch: Bytes(found.vouch),
        file: Bytes(found.file),
        changes: found.changes,
        how: signed_in.how.word(),
    })
    .into_response())
}
