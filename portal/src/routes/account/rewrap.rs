//! `POST /api/pickups/{pickup}/rewrap`: takes a letter that was opened by link into its reader's account.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use sealpost_vault::errands::{Answer, Bytes, Errand};
use sealpost_vault::id::ErrandId;
use serde::Deserialize;

use super::{MAX_SIGNATURE, asked};
use crate::Portal;
use crate::body::{Json, key_packet, within};
use crate::error::Error;
use crate::routes::letter::id;
use crate::visitor::Visitor;

#[derive(Deserialize)]
pub struct Rewrap {
    packet: Bytes,
    signature: Bytes,
}

pub async fn rewrap(
    State(portal): State<Portal>,
    visitor: Visitor,
    Path(pickup): Path<String>,
    Json(Rewrap { packet, signature }): Json<Rewrap>,
) -> Result<StatusCode, Error> {
    visitor.admit(&portal)?;
    let pickup = id(&pickup)?;
    let reader = visitor.must_be_reader(&portal, pickup).await?;
    reader.account.ok_or(Error::SignIn)?;
    let (packet, signature) = (key_packet(packet)?, within(signature, MAX_SIGNATURE)?);
    match asked(&portal, ErrandId::random()?, &Errand::Rewrap { pickup, packet, signature }).await? {
        Answer::Refused | Answer::Conflict => Err(Error::Conflict),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
