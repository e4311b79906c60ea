//! `POST /api/pickups/{pickup}/receipt`: the word of an enrolled reader's browser that the account's key opened the letter.
//!
//! It ends the letter's way by link, so it is signed; the gateway judges it, and the browser needn't wait for that.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use sealpost_vault::errands::{Bytes, Errand};
use sealpost_vault::id::ErrandId;
use sealpost_vault::sessions;
use serde::Deserialize;

use super::MAX_SIGNATURE;
use crate::Portal;
use crate::body::{Json, within};
use crate::error::Error;
use crate::routes::letter::id;
use crate::visitor::Visitor;

#[derive(Deserialize)]
pub struct Receipt {
    signature: Bytes,
}

pub async fn receipt(
    State(portal): State<Portal>,
    visitor: Visitor,
    Path(pickup): Path<String>,
    Json(Receipt { signature }): Json<Receipt>,
) -> Result<StatusCode, Error> {
    let pickup = id(&pickup)?;
    let reader = visitor.must_be_reader(&portal, pickup).await?;
    reader.account.ok_or(Error::SignIn)?;
    let signature = within(signature, MAX_SIGNATURE)?;
    let errand_id = ErrandId::random()?;
    if sessions::first_receipt(&portal.vault, reader.session, pickup, errand_id, portal.clock.now()).await? {
        portal.ask(errand_id, &Errand::Receipt { pickup, signature }).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
