//! `GET /api/account/replies` and `/api/account/replies/{reply}/parts/{n}`: what the reader wrote, for reading again.

use axum::Json as Answered;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sealpost_vault::clock::Time;
use sealpost_vault::errands::Bytes;
use sealpost_vault::id::{ConversationId, LetterId, PickupId, ReplyId};
use sealpost_vault::own_replies::{self, After};
use serde::Serialize;

use super::letters::{PAGE, Wanted, fitting};
use crate::Portal;
use crate::error::Error;
use crate::visitor::Visitor;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    reply: ReplyId,
    pickup: PickupId,
    letter: LetterId,
    conversation: ConversationId,
    key_packet: Bytes,
    slip: Bytes,
    /// Stored sizes of the packets, in bytes, by `n`: the slip first, as they were uploaded.
    parts: Vec<i64>,
    /// `waiting` or `taken`.
    state: &'static str,
    sent: Time,
    expires: Time,
}

#[derive(Serialize)]
struct Page {
    replies: Vec<Reply>,
    /// Where the next page begins; none where this is the last.
    next: Option<String>,
}

pub async fn replies(
    State(portal): State<Portal>,
    visitor: Visitor,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Error> {
    let signed_in = visitor.must_be_signed_in(&portal).await?;
    let Query(wanted) = wanted.map_err(|_| Error::BadRequest)?;
    let after = wanted.cursor()?.map(|(sent_at, reply_id)| After { sent_at, reply_id });
    let now = portal.clock.now();
    let most = PAGE.saturating_add(1);
    let mut found = own_replies::list(&portal.vault, &portal.blobs, signed_in.account, after, most, now).await?;
    let fitting = fitting(found.iter().map(|reply| reply.slip.as_slice()));
    let more = found.len() > fitting;
    found.truncate(fitting);
    let next = found.last().filter(|_| more).map(|last| format!("{}.{}", last.sent_at, last.reply_id));
    let replies = found
        .into_iter()
        .map(|reply| Reply {
            reply: reply.reply_id,
            pickup: reply.pickup_id,
            letter: reply.letter_id,
            conversation: reply.conversation_id,
            key_packet: Bytes(reply.key_packet),
            slip: Bytes(reply.slip),
            parts: reply.part_sizes,
            state: if reply.taken { "taken" } else { "waiting" },
            sent: reply.sent_at,
            expires: reply.expires_at,
        })
        .collect();
    Ok(Answered(Page { replies, next }).into_response())
}

pub async fn part(
    State(portal): State<Portal>,
    visitor: Visitor,
    Path((reply, n)): Path<(String, String)>,
) -> Result<Response, Error> {
    let signed_in = visitor.must_be_signed_in(&portal).await?;
    let reply = reply.parse().map_err(|_| Error::NotAvailable)?;
    let n: i64 = n.parse().map_err(|_| Error::NotAvailable)?;
    let now = portal.clock.now();
    let packet = own_replies::part(&portal.vault, &portal.blobs, signed_in.account, reply, n, now).await?;
    let packet = packet.ok_or(Error::NotAvailable)?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], packet).into_response())
}
