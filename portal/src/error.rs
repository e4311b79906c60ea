//! What goes wrong, as a browser is told: one word and a status. Causes go to the log.
//!
//! The browser code gets JSON; for people, the router replaces it by the page that says what to do next.
//!
//! Security: not found, not yours, withdrawn and expired are one answer. Nothing that came in is echoed.

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sealpost_vault::StoreError;
use sealpost_vault::clock::Time;
use sealpost_vault::id::NoRandomness;
use sealpost_vault::seldom;

/// One answer to whatever went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No such letter, or not for this session.
    NotAvailable,
    /// No such page.
    NotFound,
    /// Wrong code, passphrase or recovery code, or a step that isn't this session's to take.
    WrongCode,
    /// For this, one must be signed in.
    SignIn,
    /// Too many wrong tries: the gateway looks at none for so many seconds.
    Later(Time),
    /// The request is not one that our browser code makes.
    BadRequest,
    /// The request comes from another site.
    CrossSite,
    Method,
    TooLarge,
    TooMany,
    /// The reply id is taken, or the reply was sent already.
    Conflict,
    /// The reply's parts are not all there.
    Incomplete,
    /// The gateway or the vault doesn't answer.
    Busy,
}

impl Error {
    /// The word that the browser code and the texts know it by.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotAvailable => "not-available",
            Self::NotFound => "not-found",
            Self::WrongCode => "wrong-code",
            Self::SignIn => "sign-in",
            Self::Later(_) => "later",
            Self::BadRequest => "bad-request",
            Self::CrossSite => "cross-site",
            Self::Method => "method",
            Self::TooLarge => "too-large",
            Self::TooMany => "too-many",
            Self::Conflict => "conflict",
            Self::Incomplete => "incomplete",
            Self::Busy => "busy",
        }
    }

    pub fn status(self) -> StatusCode {
        match self {
            Self::NotAvailable | Self::NotFound => StatusCode::NOT_FOUND,
            Self::WrongCode | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::SignIn => StatusCode::UNAUTHORIZED,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany | Self::Later(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Conflict | Self::Incomplete => StatusCode::CONFLICT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let body = match self {
            Self::Later(seconds) => format!("{{\"error\":\"{}\",\"seconds\":{seconds}}}", self.word()),
            _ => format!("{{\"error\":\"{}\"}}", self.word()),
        };
        let mut response = (self.status(), [(header::CONTENT_TYPE, "application/json")], body).into_response();
        // For the router, which turns it into a page where a person asked.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        seldom!(error, |left_out| tracing::error!(%error, left_out, "the vault did not answer as it should"));
        Self::Busy
    }
}

impl From<NoRandomness> for Error {
    fn from(error: NoRandomness) -> Self {
        tracing::error!(%error);
        Self::Busy
    }
}

/// Whether the browser code asks, which reads JSON.
pub fn wants_json(request: &Request) -> bool {
    request.uri().path().starts_with("/api/")
}
