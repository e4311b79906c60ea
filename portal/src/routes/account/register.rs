//! `POST /api/account/register`: an OPAQUE registration, for a first passphrase (with a pickup) or another one (signed in).

use axum::Json as Answered;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use sealpost_vault::access;
use sealpost_vault::errands::{Answer, Bytes, Errand, Registration};
use sealpost_vault::id::{AccountId, ErrandId, PickupId};
use sealpost_vault::sessions::{self, Step};
use serde::{Deserialize, Serialize};

use super::{MAX_OPAQUE, asked, unexpected};
use crate::Portal;
use crate::body::{Json, within};
use crate::error::Error;
use crate::visitor::Visitor;

#[derive(Deserialize)]
pub struct Register {
    request: Bytes,
    pickup: Option<PickupId>,
}

#[derive(Serialize)]
struct Registered {
    account: AccountId,
    response: Bytes,
    signature: Bytes,
}

pub async fn register(
    State(portal): State<Portal>,
    visitor: Visitor,
    Json(Register { request, pickup }): Json<Register>,
) -> Result<Response, Error> {
    visitor.admit(&portal)?;
    let request = within(request, MAX_OPAQUE)?;
    let purpose = match pickup {
        Some(pickup) => {
            visitor.must_have_proven(&portal, pickup).await?;
            if access::enrolled(&portal.vault, pickup).await? {
                return Err(Error::Conflict);
            }
            Registration::Enrol(pickup)
        }
        None => Registration::Change(visitor.must_be_signed_in(&portal).await?.account),
    };
    let errand_id = ErrandId::random()?;
    let errand = Errand::Register { purpose, request };
    let (account, response, signature) = match asked(&portal, errand_id, &errand).await? {
        Answer::Register { account, response, signature } => (account, response, signature),
        Answer::Conflict => return Err(Error::Conflict),
        Answer::Refused => return Err(Error::BadRequest),
        _ => return Err(unexpected(errand_id)),
    };
    if let Some(pickup) = pickup {
        let step = Step::Register(account, pickup);
        sessions::begin_step(&portal.vault, visitor.session(), errand_id, step, portal.clock.now()).await?;
    }
    Ok(Answered(Registered { account, response, signature }).into_response())
}
