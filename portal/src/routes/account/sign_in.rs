//! `POST /api/account/sign-in` and `/api/account/sign-in/{step}`: OPAQUE's two steps, carried to the gateway and back.
//!
//! Security: an address without an account takes the same way and gets an answer of the same size. Wrong passphrase, another
//! session's step, an old one and one that was used are one answer. A session that showed a mailed code names it, so that
//! no stranger's tries keep its reader out.

use axum::Json as Answered;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sealpost_vault::errands::{Answer, Bytes, Errand};
use sealpost_vault::id::ErrandId;
use sealpost_vault::sessions::{self, How, Step};
use serde::{Deserialize, Serialize};

use super::{MAX_OPAQUE, asked, unexpected};
use crate::Portal;
use crate::body::{Json, within};
use crate::error::Error;
use crate::routes::code::bounded;
use crate::visitor::{Visitor, cookie};

#[derive(Deserialize)]
pub struct Begin {
    address: String,
    request: Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    sign_in: ErrandId,
    response: Bytes,
}

#[derive(Deserialize)]
pub struct Finish {
    finalization: Bytes,
}

pub async fn begin(
    State(portal): State<Portal>,
    visitor: Visitor,
    Json(Begin { address, request }): Json<Begin>,
) -> Result<Response, Error> {
    visitor.admit(&portal)?;
    let address = bounded(&address)?;
    let request = within(request, MAX_OPAQUE)?;
    let code = sessions::shown_code(&portal.vault, visitor.session(), portal.clock.now()).await?;
    let sign_in = ErrandId::random()?;
    let response =
        match asked(&portal, sign_in, &Errand::SignIn { address, prefix: visitor.prefix(), code, request }).await? {
            Answer::SignIn { response } => response,
            Answer::Refused => return Err(Error::BadRequest),
            _ => return Err(unexpected(sign_in)),
        };
    let (session, cookie) = visitor.session_or_new(&portal).await?;
    sessions::begin_step(&portal.vault, session, sign_in, Step::SignIn, portal.clock.now()).await?;
    let mut answer = Answered(Begun { sign_in, response }).into_response();
    if let Some(cookie) = cookie {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(answer)
}

pub async fn finish(
    State(portal): State<Portal>,
    visitor: Visitor,
    Path(step): Path<String>,
    Json(Finish { finalization }): Json<Finish>,
) -> Result<Response, Error> {
    visitor.admit(&portal)?;
    let finalization = within(finalization, MAX_OPAQUE)?;
    let session = visitor.session();
    let step = step.parse().or_else(|_| ErrandId::random())?;
    if !sessions::take_sign_in(&portal.vault, session, step, portal.clock.now()).await? {
        return Err(Error::WrongCode);
    }
    let errand_id = ErrandId::random()?;
    let account = match asked(&portal, errand_id, &Errand::SignInEnd { sign_in: step, finalization }).await? {
        Answer::SignedIn { account } => account,
        Answer::Refused => return Err(Error::WrongCode),
        _ => return Err(unexpected(errand_id)),
    };
    let renewed = sessions::sign_in(&portal.vault, session, account, How::Passphrase, portal.clock.now()).await?;
    let renewed = renewed.ok_or(Error::WrongCode)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie(&renewed)?)]).into_response())
}
