//! `/mail-frame`: the empty document in whose sandbox the browser code shows a letter's HTML.

use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use crate::error::Error;
use crate::headers::FRAME_POLICY;
use crate::page::show;

#[derive(Template)]
#[template(path = "mail-frame.html")]
struct MailFrame;

pub async fn page() -> Result<Response, Error> {
    let mut response = show(&MailFrame)?;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FRAME_POLICY));
    Ok(response)
}
