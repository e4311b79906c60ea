//! `POST /api/code`: asks the gateway to mail a code for one pickup, or for all letters or the account of a typed address.
//!
//! Security: the answer is the same for what exists and what doesn't, and comes when the gateway has answered, which takes
//! the same way for both. Quotas are the gateway's; here only floods from one address are slowed. When a code ends is told as
//! if it were new, because one that was mailed before and serves once more would tell that there is something to open.

use std::time::Duration;

use axum::Json as Answered;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use sealpost_texts::Language;
use sealpost_vault::clock::Time;
use sealpost_vault::errands::{Answer, Bytes, Errand, Scope};
use sealpost_vault::id::{ErrandId, PickupId};
use sealpost_vault::sessions::{self, CODE_LIFETIME, CodeScope};
use serde::{Deserialize, Serialize};

use crate::Portal;
use crate::body::{Json, MAX_ADDRESS};
use crate::error::Error;
use crate::page::language;
use crate::visitor::Visitor;

/// How long the gateway may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Ask {
    Pickup { pickup: String, language: Option<String> },
    Address { address: String, language: Option<String> },
    Account { account: String, language: Option<String> },
}

#[derive(Serialize)]
struct Asked {
    request: ErrandId,
    /// When a code that was mailed now would end, in seconds since 1970.
    expires: Time,
}

pub async fn ask(
    State(portal): State<Portal>,
    visitor: Visitor,
    uri: Uri,
    headers: HeaderMap,
    Json(ask): Json<Ask>,
) -> Result<Response, Error> {
    visitor.admit(&portal)?;
    let (scope, remembered, wished) = match ask {
        Ask::Pickup { pickup, language } => {
            // What is no id takes the same way as an id that nobody has.
            let pickup = pickup.parse().or_else(|_| PickupId::random())?;
            (Scope::Pickup(pickup), CodeScope::Pickup(pickup), language)
        }
        Ask::Address { address, language } => (Scope::Address(bounded(&address)?), CodeScope::Address, language),
        Ask::Account { account, language } => (Scope::Account(bounded(&account)?), CodeScope::Account, language),
    };
    let language = wished.as_deref().and_then(Language::from_tag).unwrap_or_else(|| language(&portal, &uri, &headers));
    let (session, cookie) = visitor.session_or_new(&portal).await?;
    let request = ErrandId::random()?;
    sessions::ask_code(&portal.vault, session, request, remembered, portal.clock.now()).await?;
    let errand = Errand::Code { session: Bytes(session.bytes().to_vec()), scope, language: language.code().to_owned() };
    portal.ask(request, &errand).await?;
    let Some(Answer::Code { .. }) = portal.answer(request, PATIENCE).await? else {
        sessions::drop_code(&portal.vault, request).await?;
        return Err(Error::Busy);
    };
    let expires = portal.clock.now().saturating_add(CODE_LIFETIME);
    let mut response = Answered(Asked { request, expires }).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// A typed address of a length that is looked at.
pub(super) fn bounded(address: &str) -> Result<String, Error> {
    if address.len() > MAX_ADDRESS { Err(Error::BadRequest) } else { Ok(address.trim().to_owned()) }
}
