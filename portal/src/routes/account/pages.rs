//! The account's pages: `/sign-in`, `/account`, `/account/forgotten`. The same for everybody: what they show comes by the API.

use askama::Template;
use axum::response::Response;
use sealpost_texts::Texts;

use crate::error::Error;
use crate::page::{Frame, Page, show};

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignIn {
    t: Texts,
    page: Page,
}

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    t: Texts,
    page: Page,
}

#[derive(Template)]
#[template(path = "forgotten.html")]
struct Forgotten {
    t: Texts,
    page: Page,
}

pub async fn sign_in(Frame { t, page }: Frame) -> Result<Response, Error> {
    show(&SignIn { t, page })
}

pub async fn account(Frame { t, page }: Frame) -> Result<Response, Error> {
    show(&Account { t, page })
}

pub async fn forgotten(Frame { t, page }: Frame) -> Result<Response, Error> {
    show(&Forgotten { t, page })
}
