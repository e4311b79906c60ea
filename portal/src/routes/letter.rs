//! `/api/pickups/..`: the sealed letter, its parts, and the browser's word that it was opened.
//!
//! Security: only for a session that proved itself, or is signed in as the letter's reader; unknown, withdrawn, expired and
//! not proven are one answer. Who is signed in gets the account's key packet where there is one, and no share beside it. What
//! is handed out is sealed; the share without the link's secret opens nothing. Reading never spends a letter.

use axum::Json as Answered;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sealpost_vault::clock::Time;
use sealpost_vault::errands::{Bytes, Errand};
use sealpost_vault::id::{ConversationId, ErrandId, LetterId, PickupId};
use sealpost_vault::sessions::Milestone;
use sealpost_vault::{access, letters};
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
    conversation: ConversationId,
    reader: String,
    /// By which way the key packet opens it.
    way: Way,
    /// Whether its reader has an account: answers need it then.
    enrolled: bool,
    /// Fingerprint of the organisation's certificate, upper-case hex.
    organisation: String,
    certificate: Bytes,
    /// Empty where the way is the account's.
    share: Bytes,
    key_packet: Bytes,
    slip: Bytes,
    /// Stored sizes, in bytes.
    parts: Vec<i64>,
    /// Seconds since 1970.
    expires: Time,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    Link,
    Account,
}

#[derive(Deserialize)]
pub struct Opened {
    mac: Bytes,
}

pub(super) fn id(text: &str) -> Result<PickupId, Error> {
    text.parse().map_err(|_| Error::NotAvailable)
}

pub async fn letter(
    State(portal): State<Portal>,
    visitor: Visitor,
    Path(pickup): Path<String>,
) -> Result<Response, Error> {
    let pickup = id(&pickup)?;
    let reader = visitor.must_be_reader(&portal, pickup).await?;
    let found = access::letter(&portal.vault, pickup, portal.clock.now()).await?.ok_or(Error::NotAvailable)?;
    let by_account = found.by_account.filter(|key| Some(key.account_id) == reader.account);
    let (way, share, key_packet) = match (by_account, found.by_link) {
        (Some(key), _) => (Way::Account, Vec::new(), key.key_packet),
        (None, Some(key)) => (Way::Link, key.share, key.key_packet),
        (None, None) => return Err(Error::NotAvailable),
    };
    if reader.reach(&portal, pickup, Milestone::Released).await? {
        portal.ask(ErrandId::random()?, &Errand::Released { pickup }).await?;
    }
    Ok(Answered(Letter {
        pickup,
        letter: found.letter_id,
        conversation: found.conversation_id,
        reader: found.reader.as_str().to_owned(),
        way,
        enrolled: found.enrolled,
        organisation: found.organisation,
        certificate: Bytes(found.certificate),
        share: Bytes(share),
        key_packet: Bytes(key_packet),
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
    visitor.must_be_reader(&portal, pickup).await?;
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
    let reader = visitor.must_be_reader(&portal, pickup).await?;
    exactly::<32>(&mac)?;
    if reader.reach(&portal, pickup, Milestone::Opened).await? {
        portal.ask(ErrandId::random()?, &Errand::Opened { pickup, mac }).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
