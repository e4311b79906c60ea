//! `POST /api/proof`: a mailed code against the request it was asked with.
//!
//! Security: one answer for wrong, late, dead, unknown and other sessions' codes. A right code renews the session's id.

use axum::Json as Answered;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sealpost_vault::id::{AccountId, ErrandId, PickupId};
use sealpost_vault::sessions;
use serde::{Deserialize, Serialize};

use crate::Portal;
use crate::body::Json;
use crate::error::Error;
use crate::visitor::{Visitor, cookie};

/// Longest code that is looked at; people type spaces and dashes.
const MAX_CODE: usize = 32;

#[derive(Deserialize)]
pub struct Prove {
    request: String,
    code: String,
}

#[derive(Serialize)]
struct Proven {
    pickups: Vec<PickupId>,
    /// Where the mailbox that the code went to has an account: the salt of what the recovery code is worth.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
}

pub async fn prove(
    State(portal): State<Portal>,
    visitor: Visitor,
    Json(prove): Json<Prove>,
) -> Result<Response, Error> {
    if prove.code.len() > MAX_CODE {
        return Err(Error::BadRequest);
    }
    let request = prove.request.parse().or_else(|_| ErrandId::random())?;
    let code: String = prove.code.chars().filter(char::is_ascii_digit).collect();
    let proven = sessions::try_code(&portal.vault, visitor.session(), request, &code, portal.clock.now())
        .await?
        .ok_or(Error::WrongCode)?;
    let mut response = Answered(Proven { pickups: proven.pickups, account: proven.account }).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie(&proven.session)?);
    Ok(response)
}
