//! `/api/pickups/..`: the sealed letter, its parts, and the browser's word that it was opened.
//!
//! Security: only for a session that proved itself; unknown, withdrawn, expired and not proven are one answer. What is
//! handed out is sealed; the share without the link's secret opens nothing. Reading never spends a letter.

use axum::Json as Answered;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sealpost_vault::clock::Time;
use sealpost_vault::errands::{Bytes, Errand};
use sealpost_vault::id::{ErrandId, LetterId, PickupId};
use sealpost_vault::letters;
use sealpost_vault::sessions::{self, Milestone};
use serde::{Deserialize, Serialize};

use crate::Portal;
use crate::body::{Json, exactly};
use crate::error::Error;
use crate::visitor::Visitor;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Letter {
    pickup: PickupId,
    letter: LetterId,
    reader: String,
    /// Fingerprint of the organisation's certificate, upper-case hex.
    organisation: String,
    certificate: Bytes,
    share: Bytes,
    key_packet: Bytes,
    slip: Bytes,
    /// Stored sizes, in bytes.
    parts: Vec<i64>,
    /// Seconds since 1970.
    expires: Time,
}

#[derive(Deserialize)]
pub struct Opened {
    mac: Bytes,
}

fn id(text: &str) -> Result<PickupId, Error> {
    text.parse().map_err(|_| Error::NotAvailable)
}

pub async fn letter(
    State(portal): State<Portal>,
    visitor: Visitor,
    Path(pickup): Path<String>,
) -> Result<Response, Error> {
    let pickup = id(&pickup)?;
    let session = visitor.must_have_proven(&portal, pickup).await?;
    let now = portal.clock.now();
    let found = letters::released(&portal.vault, pickup, now).await?.ok_or(Error::NotAvailable)?;
    if sessions::reach(&portal.vault, session, pickup, Milestone::Released, now).await? {
        portal.ask(ErrandId::random()?, &Errand::Released { pickup }).await?;
    }
    Ok(Answered(Letter {
        pickup,
        letter: found.letter_id,
        reader: found.reader.as_str().to_owned(),
        organisation: found.organisation,
        certificate: Bytes(found.certificate),
        share: Bytes(found.share),
        key_packet: Bytes(found.key_packet),
        slip: Bytes(found.slip),
        parts: found.part_sizes,
        expires: found.expires_at,
    })
    .into_response())
}

pub async fn part(
    State(portal): State<Portal>,
    visitor: Visitor,
    Path((pickup, n)): Path<(String, String)>,
) -> Result<Response, Error> {
    let pickup = id(&pickup)?;
    let n: i64 = n.parse().map_err(|_| Error::NotAvailable)?;
    visitor.must_have_proven(&portal, pickup).await?;
    let packet =
        letters::part(&portal.vault, &portal.blobs, pickup, n, portal.clock.now()).await?.ok_or(Error::NotAvailable)?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], packet).into_response())
}

pub async fn opened(
    State(portal): State<Portal>,
    visitor: Visitor,
    Path(pickup): Path<String>,
    Json(Opened { mac }): Json<Opened>,
) -> Result<StatusCode, Error> {
    let pickup = id(&pickup)?;
    let session = visitor.must_have_proven(&portal, pickup).await?;
    exactly::<32>(&mac)?;
    if sessions::reach(&portal.vault, session, pickup, Milestone::Opened, portal.clock.now()).await? {
        portal.ask(ErrandId::random()?, &Errand::Opened { pickup, mac }).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
