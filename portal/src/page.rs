//! What every page shows: texts in the reader's language, the organisation, scripts with their integrity hashes.
//!
//! Security: texts and names are escaped by the templates; the browser's texts are JSON whose `<`, `>` and `&` are
//! escaped, so that they can't end their script element.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use sealpost_texts::{Language, Texts};

use crate::Portal;
use crate::assets;
use crate::error::Error;

/// The frame of a page.
pub struct Page {
    /// Its name.
    pub organisation: String,
    pub telephone: String,
    /// Empty where none is configured.
    pub website: String,
    /// Whether `/logo` has one.
    pub logo: bool,
    pub languages: Vec<LanguageLink>,
    /// The browser's texts: JSON for `<script type="application/json" id="texts">`.
    pub texts: ScriptJson,
}

/// A link to the same page in another language: `?lang=code`.
pub struct LanguageLink {
    pub code: &'static str,
    pub name: &'static str,
    pub current: bool,
}

impl Page {
    pub fn new(portal: &Portal, language: Language) -> Self {
        Self {
            organisation: portal.organisation.name.clone(),
            telephone: portal.organisation.telephone.clone(),
            website: portal.organisation.website.clone(),
            logo: portal.logo.is_some(),
            languages: Language::ALL
                .into_iter()
                .map(|each| LanguageLink {
                    code: each.code(),
                    name: match each {
                        Language::En => "English",
                        Language::De => "Deutsch",
                    },
                    current: each == language,
                })
                .collect(),
            texts: ScriptJson::new(&Texts::new(language).browser()),
        }
    }

    /// Address of a file of the browser code.
    pub fn href(&self, name: &str) -> String {
        format!("/assets/{}/{name}", assets::VERSION)
    }

    /// Its integrity hash; a file that doesn't exist gets one that fits nothing.
    pub fn integrity(&self, name: &str) -> &'static str {
        assets::find(name).map_or("sha384-none", |asset| asset.integrity)
    }
}

/// JSON that may stand inside a script element.
pub struct ScriptJson(String);

impl ScriptJson {
    fn new(value: &impl serde::Serialize) -> Self {
        let json = serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned());
        Self(json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
    }
}

impl fmt::Display for ScriptJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for ScriptJson {}

/// The language of an answer: `?lang=` of the page, what the browser prefers, the organisation's.
pub fn language(portal: &Portal, uri: &Uri, headers: &HeaderMap) -> Language {
    let asked = uri.query().into_iter().flat_map(|query| query.split('&')).find_map(|pair| pair.strip_prefix("lang="));
    let accepted = || headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    asked
        .and_then(Language::from_tag)
        .or_else(|| accepted().and_then(Language::accepted))
        .unwrap_or(portal.organisation.language)
}

/// Texts and page for a handler.
pub struct Frame {
    pub t: Texts,
    pub page: Page,
}

impl Frame {
    pub fn new(portal: &Portal, language: Language) -> Self {
        Self { t: Texts::new(language), page: Page::new(portal, language) }
    }
}

impl FromRequestParts<Portal> for Frame {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Self::Rejection> {
        Ok(Self::new(portal, language(portal, &parts.uri, &parts.headers)))
    }
}

/// A filled template as an answer.
pub fn show(template: &impl Template) -> Result<Response, Error> {
    match template.render() {
        Ok(html) => Ok(Html(html).into_response()),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            Err(Error::Busy)
        }
    }
}

/// The page for whatever went wrong: what happened, and what to do next.
#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    pub t: Texts,
    pub page: Page,
    /// Key of the heading's text: `page-error-<word>-heading`.
    pub heading: String,
    /// Key of the text that says what to do next.
    pub advice: String,
}

impl ErrorPage {
    pub fn new(frame: Frame, error: Error) -> Self {
        let word = match error {
            Error::NotFound | Error::NotAvailable | Error::Method | Error::WrongCode => "not-found",
            Error::BadRequest | Error::CrossSite | Error::Conflict | Error::Incomplete | Error::SignIn => "bad-request",
            Error::TooLarge => "too-large",
            Error::TooMany | Error::Later(_) => "too-many",
            Error::Busy => "busy",
        };
        Self {
            t: frame.t,
            page: frame.page,
            heading: format!("page-error-{word}-heading"),
            advice: format!("page-error-{word}-advice"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cant_end_their_script_element() {
        let json = ScriptJson::new(&["</script><script>alert(1)//", "a & b", "<!--"]).to_string();
        assert!(!json.contains(['<', '>', '&']), "{json}");
        let back: Vec<String> = serde_json::from_str(&json).unwrap();
        assert_eq!(back.first().unwrap(), "</script><script>alert(1)//");
    }
}
