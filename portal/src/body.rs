//! Bodies of requests: JSON of bounded size, and sealed packets.
//!
//! Security: nothing is read beyond its limit, and a wrong body is refused with a fixed word, not with the parser's own.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use sealpost_vault::errands::Bytes;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Largest JSON body, in bytes.
pub const MAX_JSON: usize = 16 * 1024;

/// Longest typed address that is looked at, in bytes (RFC 5321 4.5.3.1: 64 and 255, and the @).
pub const MAX_ADDRESS: usize = 320;

/// Largest key packet, in bytes.
const MAX_KEY_PACKET: usize = 1024;

/// A JSON body that our browser code wrote.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        // Not a type that a form of another site could send without the browser asking us first.
        let is_json =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
                value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
            });
        if !is_json {
            return Err(Error::BadRequest);
        }
        let bytes = read(request, MAX_JSON).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|_| Error::BadRequest)
    }
}

/// A whole body of at most `most` bytes.
pub async fn read(request: Request, most: usize) -> Result<axum::body::Bytes, Error> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(Error::TooLarge);
    }
    to_bytes(request.into_body(), most).await.map_err(|error| {
        let too_large =
            std::error::Error::source(&error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if too_large { Error::TooLarge } else { Error::BadRequest }
    })
}

/// A key packet of a size that may be one: a PKESKv6 has at most 1 KiB.
pub fn key_packet(bytes: Bytes) -> Result<Bytes, Error> {
    within(bytes, MAX_KEY_PACKET)
}

/// At least one byte, and at most `most`.
pub fn within(bytes: Bytes, most: usize) -> Result<Bytes, Error> {
    if (1..=most).contains(&bytes.0.len()) { Ok(bytes) } else { Err(Error::BadRequest) }
}

/// Exactly `N` bytes that travelled as base64url.
pub fn exactly<const N: usize>(bytes: &Bytes) -> Result<[u8; N], Error> {
    bytes.0.as_slice().try_into().map_err(|_| Error::BadRequest)
}
