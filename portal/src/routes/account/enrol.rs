//! `POST /api/account/enrol` and `GET /api/account/enrolment/{errand}`: a certificate for the pickup's reader.
//!
//! Each may be repeated, because phones lose answers: there is one errand per registered account.
//!
//! Security: opaque bytes of bounded size from a session that proved itself for the pickup and registered the account for it;
//! keys only for pickups that it proved itself for. Whether any of it counts, the gateway judges. Once it does, the session is
//! signed in under a new id; not again, once passphrase or recovery code were changed.

use std::time::Duration;

use axum::Json as Answered;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sealpost_vault::errands::{self, Answer, Bytes, Errand, MAX_BODY, WrappedKey};
use sealpost_vault::id::{AccountId, ErrandId, PickupId};
use sealpost_vault::sessions::{self, How};
use serde::{Deserialize, Serialize};

use super::{MAX_FILE, MAX_OPAQUE, unexpected};
use crate::Portal;
use crate::body::{Json, exactly, key_packet, within};
use crate::error::Error;
use crate::visitor::{Visitor, cookie};

/// How long the gateway may take before the page says that the account is being confirmed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest certificate, in bytes.
const MAX_CERTIFICATE: usize = 4 * 1024;
/// Most letters that are wrapped anew at enrolment; more are taken in one by one.
const MOST_KEYS: usize = 16;

#[derive(Deserialize)]
pub struct Enrol {
    pickup: PickupId,
    account: AccountId,
    certificate: Bytes,
    file: Bytes,
    upload: Bytes,
    recovery: Bytes,
    mac: Bytes,
    keys: Vec<WrappedKey>,
}

/// Where an enrolment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    Enrolled,
    /// The gateway has not answered.
    Waiting,
    /// Not believed.
    Refused,
    /// The reader has an account.
    Conflict,
}

#[derive(Serialize)]
struct Standing {
    state: Stage,
    errand: ErrandId,
}

pub async fn enrol(
    State(portal): State<Portal>,
    visitor: Visitor,
    Json(enrol): Json<Enrol>,
) -> Result<Response, Error> {
    visitor.admit(&portal)?;
    let (session, now) = (visitor.must_have_proven(&portal, enrol.pickup).await?, portal.clock.now());
    let (account, errand) = checked(enrol)?;
    let Errand::Enrol { pickup, keys, .. } = &errand else { return Err(Error::BadRequest) };
    for key in keys {
        visitor.must_have_proven(&portal, key.pickup).await?;
    }
    if !sessions::registered(&portal.vault, session, account, *pickup, now).await? {
        return Err(Error::NotAvailable);
    }
    let errand_id = sessions::enrolment_of(&portal.vault, session, account, ErrandId::random()?, now).await?;
    if errands::answer(&portal.vault, errand_id).await?.is_none() {
        portal.ask_once(errand_id, &errand).await?;
    }
    let answer = portal.answer(errand_id, PATIENCE).await?;
    standing(&portal, &visitor, errand_id, answer).await
}

/// The errand, of what has the sizes that it may have.
fn checked(enrol: Enrol) -> Result<(AccountId, Errand), Error> {
    let Enrol { pickup, account, certificate, file, upload, recovery, mac, keys } = enrol;
    exactly::<32>(&recovery)?;
    exactly::<32>(&mac)?;
    if keys.len() > MOST_KEYS {
        return Err(Error::TooLarge);
    }
    let keys = keys
        .into_iter()
        .map(|key| Ok(WrappedKey { pickup: key.pickup, packet: key_packet(key.packet)? }))
        .collect::<Result<_, Error>>()?;
    let errand = Errand::Enrol {
        pickup,
        account,
        certificate: within(certificate, MAX_CERTIFICATE)?,
        file: within(file, MAX_FILE)?,
        upload: within(upload, MAX_OPAQUE)?,
        recovery,
        mac,
        keys,
    };
    // The gateway wouldn't look at a larger one.
    match serde_json::to_string(&errand) {
        Ok(body) if body.len() <= MAX_BODY => Ok((account, errand)),
        _ => Err(Error::TooLarge),
    }
}

pub async fn state(
    State(portal): State<Portal>,
    visitor: Visitor,
    Path(errand): Path<String>,
) -> Result<Response, Error> {
    let errand_id = errand.parse().map_err(|_| Error::NotAvailable)?;
    if !sessions::enrolment(&portal.vault, visitor.session(), errand_id, portal.clock.now()).await? {
        return Err(Error::NotAvailable);
    }
    let answer = errands::answer(&portal.vault, errand_id).await?;
    standing(&portal, &visitor, errand_id, answer).await
}

async fn standing(
    portal: &Portal,
    visitor: &Visitor,
    errand: ErrandId,
    answer: Option<Answer>,
) -> Result<Response, Error> {
    let (session, now) = (visitor.session(), portal.clock.now());
    let answered = |state| Answered(Standing { state, errand }).into_response();
    let account = match answer {
        None => return Ok((StatusCode::ACCEPTED, answered(Stage::Waiting)).into_response()),
        Some(Answer::Refused) => return Ok(answered(Stage::Refused)),
        Some(Answer::Conflict) => return Ok(answered(Stage::Conflict)),
        Some(Answer::Enrolled { account }) => account,
        Some(_) => return Err(unexpected(errand)),
    };
    let mut response = answered(Stage::Enrolled);
    let signed_in = sessions::signed_in(&portal.vault, session, now).await?;
    if signed_in.is_none_or(|signed_in| signed_in.account != account) {
        let renewed = sessions::sign_in(&portal.vault, session, account, How::Enrolment, now).await?;
        // The account is gone, or was changed since: who made it must sign in like everybody.
        let renewed = renewed.ok_or(Error::SignIn)?;
        response.headers_mut().insert(header::SET_COOKIE, cookie(&renewed)?);
    }
    Ok(response)
}
