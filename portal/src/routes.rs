//! The routes, and what stands before all of them: limits, cross-site refusal, headers, the page for whatever went wrong.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::error::{Error, wants_json};
use crate::page::{ErrorPage, Frame, language, show};
use crate::{Portal, assets, headers};

mod account;
mod code;
mod health;
mod home;
mod letter;
mod look;
mod lost;
mod mail_frame;
mod open;
mod pickup;
mod proof;
mod reply;

/// For everything but uploads; longer than the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// For an upload: a slow line needs its time.
const UPLOAD_PATIENCE: Duration = Duration::from_secs(120);

impl Portal {
    /// All routes.
    pub fn router(&self) -> Router {
        let cross_site = |_: ProtectionError| Error::CrossSite.into_response();
        let patient = || middleware::from_fn(|request: Request, next: Next| within(PATIENCE, request, next));
        // Only looked at, whoever sent the browser here. They stay outside the cross-site check, which writes the path to
        // the log at its finest level: a link's path can carry its secret (`%23`).
        let seen = Router::new()
            .route("/", get(home::page))
            .route("/open", get(open::page))
            .route("/p/", get(pickup::page))
            .route("/p/{*pickup}", get(pickup::page))
            .route("/mail-frame", get(mail_frame::page))
            .route("/sign-in", get(account::pages::sign_in))
            .route("/account", get(account::pages::account))
            .route("/account/forgotten", get(account::pages::forgotten))
            .route("/assets/{version}/{*name}", get(assets::asset))
            .route("/style/organisation.css", get(look::style))
            .route("/logo", get(look::logo))
            .route("/health", get(health::health))
            .route("/ready", get(health::ready))
            .route("/api/pickups/{pickup}", get(letter::letter))
            .route("/api/pickups/{pickup}/parts/{n}", get(letter::part))
            .route("/api/replies/{reply}", get(reply::state))
            .route("/api/account", get(account::show::account))
            .route("/api/account/enrolment/{errand}", get(account::enrol::state))
            .route("/api/account/letters", get(account::letters::letters))
            .route("/api/account/replies", get(account::replies::replies))
            .route("/api/account/replies/{reply}/parts/{n}", get(account::replies::part))
            .route_layer(patient());
        let asked = Router::new()
            .route("/lost", get(lost::page).post(lost::ask))
            .route("/api/code", post(code::ask))
            .route("/api/proof", post(proof::prove))
            .route("/api/pickups/{pickup}/opened", post(letter::opened))
            .route("/api/replies", post(reply::begin))
            .route("/api/replies/{reply}/send", post(reply::send))
            .route("/api/account/register", post(account::register::register))
            .route("/api/account/enrol", post(account::enrol::enrol))
            .route("/api/account/sign-in", post(account::sign_in::begin))
            .route("/api/account/sign-in/{step}", post(account::sign_in::finish))
            .route("/api/account/recover", post(account::recover::recover))
            .route("/api/account/change", post(account::change::change))
            .route("/api/account/sign-out", post(account::sign_out::sign_out))
            .route("/api/pickups/{pickup}/receipt", post(account::receipt::receipt))
            .route("/api/pickups/{pickup}/rewrap", post(account::rewrap::rewrap))
            .route_layer(patient())
            .route_layer(CsrfLayer::new().with_rejection_response(cross_site));
        let uploaded = Router::new()
            .route("/api/replies/{reply}/parts/{n}", put(reply::part))
            .route_layer(middleware::from_fn(|request: Request, next: Next| within(UPLOAD_PATIENCE, request, next)))
            .route_layer(CsrfLayer::new().with_rejection_response(cross_site));
        seen.merge(asked)
            .merge(uploaded)
            .fallback(|| async { Error::NotFound })
            .method_not_allowed_fallback(|| async { Error::Method })
            // Handlers read bodies by our own bounded readers; this holds for whatever an extractor might read.
            .layer(DefaultBodyLimit::max(crate::body::MAX_JSON))
            .layer(CatchPanicLayer::custom(|_: Box<dyn Any + Send>| Error::Busy.into_response()))
            .layer(middleware::from_fn_with_state(self.clone(), for_people))
            .layer(middleware::from_fn_with_state(self.clone(), headers::always))
            .layer(middleware::from_fn(headers::log))
            .with_state(self.clone())
    }
}

async fn within(patience: Duration, request: Request, next: Next) -> Response {
    tokio::time::timeout(patience, next.run(request)).await.unwrap_or_else(|_| Error::Busy.into_response())
}

/// Turns an error into the page that says what to do next, unless the browser code asked.
async fn for_people(State(portal): State<Portal>, request: Request, next: Next) -> Response {
    let json = wants_json(&request);
    let language = language(&portal, request.uri(), request.headers());
    let response = next.run(request).await;
    match response.extensions().get::<Error>().copied() {
        Some(error) if !json => match show(&ErrorPage::new(Frame::new(&portal, language), error)) {
            Ok(page) => (error.status(), page).into_response(),
            Err(error) => error.into_response(),
        },
        _ => response,
    }
}
