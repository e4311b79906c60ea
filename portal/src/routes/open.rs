//! `/open`: the way in with a typed address and pickup code, where there is no link that works.

use askama::Template;
use axum::response::Response;
use sealpost_texts::Texts;

use crate::error::Error;
use crate::page::{Frame, Page, show};

#[derive(Template)]
#[template(path = "open.html")]
struct Open {
    t: Texts,
    page: Page,
}

pub async fn page(Frame { t, page }: Frame) -> Result<Response, Error> {
    show(&Open { t, page })
}
