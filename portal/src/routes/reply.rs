//! `/api/replies/..`: a sealed reply on its way in: begun, uploaded part by part, sent, asked after.
//!
//! Each step may be repeated, because phones lose answers: beginning again, replacing a part, sending again and asking
//! again all lead to the same reply.
//!
//! What an enrolled reader's browser sealed to its own certificate too (`ownKey`) stays after the gateway took it, for reading
//! again.
//!
//! Security: opaque bytes of bounded size and number from a session that proved itself for the pickup, or is signed in as its
//! reader; once the reader is enrolled, only from the latter. Whether they are a reply, and whose, the gateway judges.

use std::time::Duration;

use axum::Json as Answered;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sealpost_vault::errands::{self, Answer, Bytes, Errand};
use sealpost_vault::id::{ErrandId, PickupId, ReplyId};
use sealpost_vault::own_replies::{self, NewOwnReply, Verdict};
use sealpost_vault::uploads::{self, MAX_PART, MAX_PARTS, MAX_REPLY, Upload};
use sealpost_vault::{access, sessions};
use serde::{Deserialize, Serialize};

use crate::Portal;
use crate::body::{Json, key_packet, read};
use crate::error::Error;
use crate::visitor::Visitor;

/// How long the gateway may take before the browser is told to ask again.
const PATIENCE: Duration = Duration::from_secs(15);
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
    /// The same session key for the writer's own certificate.
    own_key: Option<Bytes>,
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
    /// Whether the writer's account keeps it for reading again.
    kept: bool,
}

impl IntoResponse for Standing {
    fn into_response(self) -> Response {
        let status = if self.state == Stage::Waiting { StatusCode::ACCEPTED } else { StatusCode::OK };
        (status, Answered(self)).into_response()
    }
}

pub async fn begin(
    State(portal): State<Portal>,
    visitor: Visitor,
    Json(Begin { pickup, reply }): Json<Begin>,
) -> Result<StatusCode, Error> {
    let reader = visitor.must_be_reader(&portal, pickup).await?;
    let (session, now) = (reader.session, portal.clock.now());
    let letter = access::letter(&portal.vault, pickup, now).await?.ok_or(Error::NotAvailable)?;
    if letter.enrolled && reader.account.is_none() {
        return Err(Error::SignIn);
    }
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
    // Whose it is was settled when it was begun; an account's session may have shown no code for it.
    let (session, now) = (visitor.session(), portal.clock.now());
    if sessions::signed_in(&portal.vault, session, now).await?.is_none() {
        visitor.must_have_proven(portal, upload.pickup_id).await?;
    }
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
    Json(Send { key_packet: packet, parts, own_key }): Json<Send>,
) -> Result<Response, Error> {
    let (reply, upload) = own(&portal, &visitor, &reply).await?;
    let packet = key_packet(packet)?;
    let own_key = own_key.map(key_packet).transpose()?;
    let errand_id = match upload.errand_id {
        Some(errand_id) => errand_id,
        None => {
            if upload.parts != i64::from(parts) {
                return Err(Error::Incomplete);
            }
            if let Some(own_key) = own_key {
                keep(&portal, &visitor, reply, &upload, own_key).await?;
            }
            let errand_id = ErrandId::random()?;
            if !uploads::hand_over(&portal.vault, reply, errand_id).await? {
                // Sent at the same time from elsewhere: that one counts.
                return standing(&portal, reply, Stage::Waiting).await;
            }
            errand_id
        }
    };
    if errands::answer(&portal.vault, errand_id).await?.is_none() {
        let errand = Errand::Reply { pickup: upload.pickup_id, reply, key_packet: packet, parts };
        // Asked before, or interrupted before asking: either way there is one errand afterwards.
        portal.ask_once(errand_id, &errand).await?;
    }
    let stage = stage(portal.answer(errand_id, PATIENCE).await?);
    settle(&portal, reply, stage).await?;
    standing(&portal, reply, stage).await
}

/// Keeps the reply for its writer's account. What is more than an account may keep is sent and not kept.
async fn keep(portal: &Portal, visitor: &Visitor, reply: ReplyId, upload: &Upload, key: Bytes) -> Result<(), Error> {
    let now = portal.clock.now();
    let reader = visitor.must_be_reader(portal, upload.pickup_id).await?;
    let account_id = reader.account.ok_or(Error::SignIn)?;
    let letter = access::letter(&portal.vault, upload.pickup_id, now).await?.ok_or(Error::NotAvailable)?;
    let new = NewOwnReply {
        reply_id: reply,
        account_id,
        pickup_id: upload.pickup_id,
        letter_id: letter.letter_id,
        conversation_id: letter.conversation_id,
        key_packet: key.0,
        sent_at: now,
        expires_at: letter.expires_at,
    };
    own_replies::keep(&portal.vault, &new).await?;
    Ok(())
}

pub async fn state(
    State(portal): State<Portal>,
    visitor: Visitor,
    Path(reply): Path<String>,
) -> Result<Response, Error> {
    let (reply, upload) = own(&portal, &visitor, &reply).await?;
    let Some(errand_id) = upload.errand_id else { return standing(&portal, reply, Stage::Open).await };
    let stage = stage(errands::answer(&portal.vault, errand_id).await?);
    if upload.parts > 0 {
        settle(&portal, reply, stage).await?;
    }
    standing(&portal, reply, stage).await
}

async fn standing(portal: &Portal, reply: ReplyId, state: Stage) -> Result<Response, Error> {
    Ok(Standing { state, kept: own_replies::kept(&portal.vault, reply).await? }.into_response())
}

fn stage(answer: Option<Answer>) -> Stage {
    match answer {
        Some(Answer::Taken) => Stage::Taken,
        Some(_) => Stage::Refused,
        None => Stage::Waiting,
    }
}

/// The sealed parts have done their duty once the gateway has answered, unless their writer keeps them.
async fn settle(portal: &Portal, reply: ReplyId, stage: Stage) -> Result<(), Error> {
    let verdict = match stage {
        Stage::Taken => Verdict::Taken,
        Stage::Refused => Verdict::Refused,
        Stage::Open | Stage::Waiting => return Ok(()),
    };
    Ok(own_replies::settle(&portal.vault, &portal.blobs, reply, verdict).await?)
}
