//! `/p/..`: the page that a link leads to.
//!
//! Security: the same page for whatever follows, which the handler doesn't even look at: mail scanners append to links and
//! turn `#` into `%23`, so the tail can be a link's secret. The browser takes the pickup's id out of its address bar.

use askama::Template;
use axum::response::Response;
use sealpost_texts::Texts;

use crate::error::Error;
use crate::page::{Frame, Page, show};

#[derive(Template)]
#[template(path = "pickup.html")]
struct Pickup {
    t: Texts,
    page: Page,
}

pub async fn page(Frame { t, page }: Frame) -> Result<Response, Error> {
    show(&Pickup { t, page })
}
