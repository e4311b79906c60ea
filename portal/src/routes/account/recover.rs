//! `POST /api/account/recover`: the recovery code's proof, by a session that showed a code mailed for the account
//! or one of its letters.
//!
//! Security: which account, the vault knows from the code; the browser can't name another. A session without such a code gets
//! the answer for what isn't there, so that the page asks for one.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sealpost_vault::errands::{Answer, Bytes, Errand};
use sealpost_vault::id::ErrandId;
use sealpost_vault::sessions::{self, How};
use serde::Deserialize;

use super::{asked, unexpected};
use crate::Portal;
use crate::body::{Json, exactly};
use crate::error::Error;
use crate::visitor::{Visitor, cookie};

#[derive(Deserialize)]
pub struct Recover {
    proof: Bytes,
}

pub async fn recover(
    State(portal): State<Portal>,
    visitor: Visitor,
    Json(Recover { proof }): Json<Recover>,
) -> Result<Response, Error> {
    visitor.admit(&portal)?;
    exactly::<32>(&proof)?;
    let (session, now) = (visitor.session(), portal.clock.now());
    let (code, account) = sessions::account_proof(&portal.vault, session, now).await?.ok_or(Error::NotAvailable)?;
    let errand_id = ErrandId::random()?;
    match asked(&portal, errand_id, &Errand::Recover { account, code, prefix: visitor.prefix(), proof }).await? {
        Answer::SignedIn { account: right } if right == account => {}
        Answer::Refused => return Err(Error::WrongCode),
        _ => return Err(unexpected(errand_id)),
    }
    let renewed = sessions::sign_in(&portal.vault, session, account, How::Recovery, portal.clock.now()).await?;
    let renewed = renewed.ok_or(Error::WrongCode)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie(&renewed)?)]).into_response())
}
