//! `POST /api/account/change`: another passphrase or recovery code, stated by the account's own key.
//!
//! Whoever changes them stays signed in; all other sessions of the account end.

use axum::extract::State;
use axum::http::StatusCode;
use sealpost_vault::errands::{Answer, Bytes, Errand, MAX_BODY};
use sealpost_vault::id::ErrandId;
use sealpost_vault::sessions;
use serde::Deserialize;

use super::{MAX_FILE, MAX_OPAQUE, MAX_SIGNATURE, asked, unexpected};
use crate::Portal;
use crate::body::{Json, exactly, within};
use crate::error::Error;
use crate::visitor::Visitor;

#[derive(Deserialize)]
pub struct Change {
    upload: Bytes,
    file: Bytes,
    /// Empty where the recovery code stays.
    recovery: Bytes,
    signature: Bytes,
}

pub async fn change(
    State(portal): State<Portal>,
    visitor: Visitor,
    Json(Change { upload, file, recovery, signature }): Json<Change>,
) -> Result<StatusCode, Error> {
    visitor.admit(&portal)?;
    let signed_in = visitor.must_be_signed_in(&portal).await?;
    if !recovery.0.is_empty() {
        exactly::<32>(&recovery)?;
    }
    let errand = Errand::Change {
        account: signed_in.account,
        upload: within(upload, MAX_OPAQUE)?,
        file: within(file, MAX_FILE)?,
        recovery,
        signature: within(signature, MAX_SIGNATURE)?,
    };
    if serde_json::to_string(&errand).map_or(usize::MAX, |body| body.len()) > MAX_BODY {
        return Err(Error::TooLarge);
    }
    let errand_id = ErrandId::random()?;
    match asked(&portal, errand_id, &errand).await? {
        Answer::Done => {}
        Answer::Refused => return Err(Error::WrongCode),
        _ => return Err(unexpected(errand_id)),
    }
    sessions::keep_up(&portal.vault, &signed_in).await?;
    Ok(StatusCode::NO_CONTENT)
}
