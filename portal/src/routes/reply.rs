//! `/api/replies/..`: a sealed reply on its way in: begun, uploaded part by part, sent, asked after.
//!
//! Each step may be repeated, because phones lose answers: beginning again, replacing a part, sending again and asking
//! again all lead to the same reply.
//!
//! Security: opaque bytes of bounded size and number from a session that proved itself for the pickup; whether they are a
//! reply, and whose, the gateway judges.

use std::time::Duration;

use axum::Json as Answered;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sealpost_vault::errands::{self, Answer, Bytes, Errand};
use sealpost_vault::id::{ErrandId, PickupId, ReplyId};
use sealpost_vault::uploads::{self, MAX_PART, MAX_PARTS, MAX_REPLY, Upload};
use sealpost_vault::{StoreError, letters, sessions};
use serde::{Deserialize, Serialize};

use crate::Portal;
use crate::body::{Json, read};
use crate::error::Error;
use crate::visitor::Visitor;

/// How long the gateway may take before the browser is told to ask again.
const PATIENCE: Duration = Duration::from_secs(15);
/// Largest key packet, in bytes (one PKESKv6).
const MAX_KEY_PACKET: usize = 1024;

#[derive(Deserialize)]
pub struct Begin {
    pickup: PickupId,
    reply: ReplyId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Send {
    key_packet: Bytes,
    parts: u32,
}

/// Where a reply stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    /// Begun; not sent yet.
    Open,
    /// Sent; the gateway has not answered.
    Waiting,
    /// On its way to the sender's mailbox.
    Taken,
    /// Not believed, or its pickup has ended.
    Refused,
}

#[derive(Serialize)]
struct Standing {
    state: Stage,
}

impl IntoResponse for Stage {
    fn into_response(self) -> Response {
        let status = if self == Self::Waiting { StatusCode::ACCEPTED } else { StatusCode::OK };
        (status, Answered(Standing { state: self })).into_response()
    }
}

pub async fn begin(
    State(portal): State<Portal>,
    visitor: Visitor,
    Json(Begin { pickup, reply }): Json<Begin>,
) -> Result<StatusCode, Error> {
    let session = visitor.must_have_proven(&portal, pickup).await?;
    let now = portal.clock.now();
    letters::released(&portal.vault, pickup, now).await?.ok_or(Error::NotAvailable)?;
    if sessions::open_uploads(&portal.vault, session).await? >= sessions::OPEN_UPLOADS {
        return Err(Error::TooMany);
    }
    if uploads::begin(&portal.vault, reply, &session.hex(), pickup, now).await? {
        return Ok(StatusCode::CREATED);
    }
    match uploads::find(&portal.vault, reply, &session.hex()).await? {
        Some(begun) if begun.pickup_id == pickup && begun.errand_id.is_none() => Ok(StatusCode::CREATED),
        _ => Err(Error::Conflict),
    }
}

/// The visitor's own upload.
async fn own(portal: &Portal, visitor: &Visitor, reply: &str) -> Result<(ReplyId, Upload), Error> {
    let reply = reply.parse().map_err(|_| Error::NotAvailable)?;
    let upload = uploads::find(&portal.vault, reply, &visitor.session().hex()).await?.ok_or(Error::NotAvailable)?;
    visitor.must_have_proven(portal, upload.pickup_id).await?;
    Ok((reply, upload))
}

pub async fn part(
    State(portal): State<Portal>,
    visitor: Visitor,
    Path((reply, n)): Path<(String, String)>,
    request: Request,
) -> Result<StatusCode, Error> {
    let (reply, upload) = own(&portal, &visitor, &reply).await?;
    if upload.errand_id.is_some() {
        return Err(Error::Conflict);
    }
    let n: i64 = n.parse().map_err(|_| Error::BadRequest)?;
    let others = uploads::size_without(&portal.vault, reply, n).await?;
    if !(0..MAX_PARTS).contains(&n) || others >= MAX_REPLY {
        return Err(Error::TooLarge);
    }
    // Held while the body is in memory.
    let _permit = portal.uploads.acquire().await.map_err(|_| Error::Busy)?;
    let packet = read(request, MAX_PART).await?;
    let size = i64::try_from(packet.len()).unwrap_or(i64::MAX);
    if packet.is_empty() {
        return Err(Error::BadRequest);
    }
    if others.saturating_add(size) > MAX_REPLY {
        return Err(Error::TooLarge);
    }
    uploads::put_part(&portal.vault, &portal.blobs, reply, n, packet.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn send(
    State(portal): State<Portal>,
    visitor: Visitor,
    Path(reply): Path<String>,
    Json(Send { key_packet, parts }): Json<Send>,
) -> Result<Response, Error> {
    let (reply, upload) = own(&portal, &visitor, &reply).await?;
    if key_packet.0.is_empty() || key_packet.0.len() > MAX_KEY_PACKET {
        return Err(Error::BadRequest);
    }
    let errand_id = match upload.errand_id {
        Some(errand_id) => errand_id,
        None => {
            if upload.parts != i64::from(parts) {
                return Err(Error::Incomplete);
            }
            let errand_id = ErrandId::random()?;
            if !uploads::hand_over(&portal.vault, reply, errand_id).await? {
                // Sent at the same time from elsewhere: that one counts.
                return Ok(Stage::Waiting.into_response());
            }
            errand_id
        }
    };
    if errands::answer(&portal.vault, errand_id).await?.is_none() {
        let errand = Errand::Reply { pickup: upload.pickup_id, reply, key_packet, parts };
        // Asked before, or interrupted before asking: either way there is one errand afterwards.
        match portal.ask(errand_id, &errand).await {
            Err(StoreError::Database(error)) if error.as_database_error().is_some_and(|e| e.is_unique_violation()) => {}
            asked => asked?,
        }
    }
    let stage = stage(portal.answer(errand_id, PATIENCE).await?);
    settle(&portal, reply, stage).await?;
    Ok(stage.into_response())
}

pub async fn state(
    State(portal): State<Portal>,
    visitor: Visitor,
    Path(reply): Path<String>,
) -> Result<Response, Error> {
    let (reply, upload) = own(&portal, &visitor, &reply).await?;
    let Some(errand_id) = upload.errand_id else { return Ok(Stage::Open.into_response()) };
    let stage = stage(errands::answer(&portal.vault, errand_id).await?);
    if upload.parts > 0 {
        settle(&portal, reply, stage).await?;
    }
    Ok(stage.into_response())
}

fn stage(answer: Option<Answer>) -> Stage {
    match answer {
        Some(Answer::Taken) => Stage::Taken,
        Some(_) => Stage::Refused,
        None => Stage::Waiting,
    }
}

/// The sealed parts have done their duty once the gateway has answered.
async fn settle(portal: &Portal, reply: ReplyId, stage: Stage) -> Result<(), Error> {
    if matches!(stage, Stage::Taken | Stage::Refused) {
        uploads::empty(&portal.vault, &portal.blobs, reply).await?;
    }
    Ok(())
}
