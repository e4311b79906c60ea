//! `/lost`: notifications once more, for whoever lost a link. A plain form; it works without scripts.
//!
//! Security: always the same answer at the same time. Whether there is something to send, the gateway knows, and we don't
//! wait for it.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::Response;
use sealpost_texts::Texts;
use sealpost_vault::errands::Errand;
use sealpost_vault::id::ErrandId;
use serde::Deserialize;

use crate::Portal;
use crate::body::MAX_ADDRESS;
use crate::error::Error;
use crate::page::{Frame, Page, show};
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "lost.html")]
struct Lost {
    t: Texts,
    page: Page,
}

#[derive(Template)]
#[template(path = "lost-done.html")]
struct LostDone {
    t: Texts,
    page: Page,
}

#[derive(Deserialize)]
pub struct Ask {
    address: String,
}

pub async fn page(Frame { t, page }: Frame) -> Result<Response, Error> {
    show(&Lost { t, page })
}

pub async fn ask(
    State(portal): State<Portal>,
    visitor: Visitor,
    Frame { t, page }: Frame,
    form: Result<Form<Ask>, FormRejection>,
) -> Result<Response, Error> {
    visitor.admit(&portal)?;
    let Form(Ask { address }) = form.map_err(|_| Error::BadRequest)?;
    let address = address.trim().to_owned();
    if address.len() <= MAX_ADDRESS {
        let errand = Errand::Resend { address, language: t.code().to_owned() };
        portal.ask(ErrandId::random()?, &errand).await?;
    }
    show(&LostDone { t, page })
}
