//! `/health`: the process answers. `/ready`: so does the vault.

use axum::extract::State;

use crate::Portal;
use crate::error::Error;

pub async fn health() -> &'static str {
    "ok\n"
}

pub async fn ready(State(portal): State<Portal>) -> Result<&'static str, Error> {
    portal.vault.ping().await?;
    Ok("ready\n")
}
