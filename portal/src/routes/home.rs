//! `/`: what this is, the way in with a pickup code, the way out for a lost link.

use askama::Template;
use axum::response::Response;
use sealpost_texts::Texts;

use crate::error::Error;
use crate::page::{Frame, Page, show};

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    t: Texts,
    page: Page,
}

pub async fn page(Frame { t, page }: Frame) -> Result<Response, Error> {
    show(&Home { t, page })
}
