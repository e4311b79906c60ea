//! Style, scripts and OpenPGP.js inside the executable, under one version: the hash of them all.
//!
//! One version for all of them, because scripts import each other by relative names. Whoever asks for another version (a
//! page that was open during an update) gets nothing rather than a mixture.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::Portal;
use crate::error::Error;

pub struct Asset {
    pub name: &'static str,
    media_type: &'static str,
    pub integrity: &'static str,
    content: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// GET `/assets/{version}/{name}`.
pub async fn asset(State(_): State<Portal>, Path((version, name)): Path<(String, String)>) -> Result<Response, Error> {
    let asset = find(&name).filter(|_| version == VERSION).ok_or(Error::NotFound)?;
    let headers =
        [(header::CONTENT_TYPE, asset.media_type), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, asset.content).into_response())
}
