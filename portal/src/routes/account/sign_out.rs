//! `POST /api/account/sign-out`: ends the session, here and in the browser.
//!
//! Signing out twice, or without a session, is fine. What was sent stays sent; a reply that was begun and not sent goes.

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sealpost_vault::errands::Errand;
use sealpost_vault::id::ErrandId;
use sealpost_vault::{sessions, uploads};

use crate::Portal;
use crate::error::Error;
use crate::visitor::{Visitor, no_cookie};

/// Not "cookies": those of the organisation's other sites on the same domain would go too.
const CLEAR: (HeaderName, HeaderValue) =
    (HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"cache\", \"storage\""));

pub async fn sign_out(State(portal): State<Portal>, visitor: Visitor) -> Result<Response, Error> {
    let session = visitor.session();
    let unsent = uploads::unsent(&portal.vault, &session.hex()).await?;
    let account = sessions::sign_out(&portal.vault, session).await?;
    for reply in unsent {
        uploads::delete(&portal.vault, &portal.blobs, reply).await?;
    }
    if let Some(account) = account {
        portal.ask(ErrandId::random()?, &Errand::SignedOut { account }).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, no_cookie()), CLEAR]).into_response())
}
