//! Style, scripts and OpenPGP.js inside the executable, under one version: the hash of them all.
//!
//! One version for all of them, because scripts import each other by relative names. Whoever asks for another version (a
//! page that was open during an update) gets nothing rather than a mixture.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::error::Error;
use crate::headers::WORKER_POLICY;

/// A worker has the policy of its own script, not that of the page.
const WORKER: &str = "opaque-worker.js";

pub struct Asset {
    pub name: &'static str,
    media_type: &'static str,
    pub integrity: &'static str,
    content: &'static [u8],
    /// The same by gzip.
    compressed: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// GET `/assets/{version}/{name}`.
pub async fn asset(Path((version, name)): Path<(String, String)>, headers: HeaderMap) -> Result<Response, Error> {
    let asset = find(&name).filter(|_| version == VERSION).ok_or(Error::NotFound)?;
    let mut response = if takes_gzip(&headers) && asset.compressed.len() < asset.content.len() {
        ([(header::CONTENT_ENCODING, "gzip")], asset.compressed).into_response()
    } else {
        asset.content.into_response()
    };
    if name == WORKER {
        let policy = HeaderValue::from_static(WORKER_POLICY);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "accept-encoding"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// RFC 9110 12.5.3, as far as browsers use it: named, and not with a weight of nothing.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
        name.trim().eq_ignore_ascii_case("gzip") && weight.parse::<f32>().is_ok_and(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_gzip() {
        for (accepted, expect) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.8", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("br", false),
            ("*", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            assert_eq!(takes_gzip(&headers), expect, "{accepted}");
        }
    }

    #[test]
    fn names_are_not_paths() {
        for name in ["", "../build.mjs", "/etc/passwd", "openpgp.min.js/", "PORTAL.CSS"] {
            assert!(find(name).is_none(), "{name}");
        }
        assert!(find("openpgp.min.js").is_some_and(|asset| asset.compressed.len() < asset.content.len() / 2));
    }
}
