//! `/style/organisation.css` and `/logo`: how the organisation shows itself. Cached briefly: both follow the configuration.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::Portal;
use crate::error::Error;
use crate::headers::IMAGE_POLICY;

const BRIEFLY: &str = "public, max-age=300";

pub async fn style(State(portal): State<Portal>) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, BRIEFLY)];
    (headers, portal.accent.style_sheet().to_owned()).into_response()
}

pub async fn logo(State(portal): State<Portal>) -> Result<Response, Error> {
    let logo = portal.logo.as_ref().ok_or(Error::NotFound)?;
    let headers = [
        (header::CONTENT_TYPE, logo.media_type),
        (header::CACHE_CONTROL, BRIEFLY),
        (header::CONTENT_SECURITY_POLICY, IMAGE_POLICY),
    ];
    Ok((headers, logo.content.clone()).into_response())
}
