//! HTML mail, cleaned before it is sealed: what is left can't load, run, navigate by itself or leave its frame.
//!
//! ammonia does the cleaning; this file is its allow-list, and what mail needs besides: `cid:` images become `data:` URIs,
//! remote images give way to their alternative text. Before ammonia builds its tree, ours is built in small steps and
//! measured: a few kilobytes of unclosed formatting can ask for gigabytes of nodes.
//!
//! Security: the browser's frame has a policy of its own; neither relies on the other. `link` is dropped because
//! dns-prefetch and preconnect leak through every content security policy.
//! Standards: RFC 2392 (cid:), RFC 2397 (data:).

mod style;
mod text;
mod tree;

#[cfg(test)]
mod hostile;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ammonia::{Builder, Url, UrlRelative};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use tree::Tree;

/// HTML of one letter beyond this is not shown but enclosed.
const MAX_HTML: usize = 8 * 1024 * 1024;
/// Time to measure the HTML of one letter: cleaning takes about as much again. Ordinary mail takes milliseconds, but a tag with
/// a hundred thousand attributes would take minutes, whatever its size.
const MAX_TIME: Duration = Duration::from_secs(5);
/// Octets of one embedded image, and of all of a letter.
const MAX_IMAGE: usize = 2 * 1024 * 1024;
const MAX_IMAGES: usize = 8 * 1024 * 1024;

const IMAGE_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

const TAGS: &[&str] = &[
    "a",
    "abbr",
    "acronym",
    "address",
    "article",
    "aside",
    "b",
    "bdi",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "main",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "time",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
];

/// Elements that go with all that is in them.
const GONE: &[&str] = &[
    "script", "style", "title", "textarea", "template", "xmp", "noembed", "noframes", "noscript", "iframe", "svg",
    "math", "object", "applet", "audio", "video", "canvas", "select", "button", "frameset", "head",
];

const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("a", &["href"]),
    ("img", &["src", "alt", "width", "height", "border", "align", "hspace", "vspace"]),
    ("table", &["border", "cellpadding", "cellspacing", "width", "height", "align", "bgcolor", "bordercolor", "role"]),
    ("tr", &["align", "valign", "bgcolor", "height"]),
    ("td", &["align", "valign", "bgcolor", "width", "height", "colspan", "rowspan", "nowrap"]),
    ("th", &["align", "valign", "bgcolor", "width", "height", "colspan", "rowspan", "nowrap", "scope"]),
    ("tbody", &["align", "valign"]),
    ("thead", &["align", "valign"]),
    ("tfoot", &["align", "valign"]),
    ("col", &["align", "valign", "width", "span"]),
    ("colgroup", &["align", "valign", "width", "span"]),
    ("font", &["color", "face", "size"]),
    ("p", &["align"]),
    ("div", &["align"]),
    ("h1", &["align"]),
    ("h2", &["align"]),
    ("h3", &["align"]),
    ("h4", &["align"]),
    ("hr", &["align", "color", "noshade", "size", "width"]),
    ("ol", &["start", "type"]),
    ("ul", &["type"]),
    ("li", &["type", "value"]),
];

/// An image of the message, by Content-ID.
pub(super) struct Image {
    /// Its place among the message's parts.
    pub node: usize,
    /// One of [`IMAGE_TYPES`].
    pub media_type: String,
    pub bytes: Vec<u8>,
}

/// Whether an image of this type may be embedded.
pub(super) fn is_embeddable(media_type: &str) -> bool {
    IMAGE_TYPES.contains(&media_type)
}

/// What the HTML of one letter may ask for, and what it has used up: images, octets, time.
#[derive(Default)]
pub(super) struct Images {
    by_content_id: HashMap<String, Image>,
    ledger: Mutex<Ledger>,
}

/// What one letter has used up.
#[derive(Default)]
struct Ledger {
    used: HashSet<usize>,
    octets: usize,
    html: usize,
    time: Duration,
}

impl Images {
    /// Later ones with the same Content-ID are not reachable.
    pub fn add(&mut self, content_id: String, image: Image) {
        self.by_content_id.entry(content_id).or_insert(image);
    }

    /// Whether the image that this part holds was embedded.
    pub fn is_used(&self, node: usize) -> bool {
        self.ledger.lock().is_ok_and(|ledger| ledger.used.contains(&node))
    }

    fn embed(&self, content_id: &str) -> Option<String> {
        let image = self.by_content_id.get(content_id)?;
        if !is_embeddable(&image.media_type) || !self.has_room(image.bytes.len()) {
            return None;
        }
        self.ledger.lock().ok()?.used.insert(image.node);
        Some(format!("data:{};base64,{}", image.media_type, BASE64_STANDARD.encode(&image.bytes)))
    }

    /// The time left for another piece of HTML; none after one that was too heavy.
    fn allowance(&self, octets: usize) -> Result<Duration, TooHeavy> {
        let mut ledger = self.ledger.lock().map_err(|_| TooHeavy)?;
        ledger.html = ledger.html.saturating_add(octets);
        let left = MAX_TIME.saturating_sub(ledger.time);
        if ledger.html > MAX_HTML || left.is_zero() { Err(TooHeavy) } else { Ok(left) }
    }

    fn spend(&self, time: Duration) {
        if let Ok(mut ledger) = self.ledger.lock() {
            ledger.time = ledger.time.saturating_add(time);
        }
    }

    /// Counts an image in, if there is room for it. Each use counts.
    fn has_room(&self, octets: usize) -> bool {
        let Ok(mut ledger) = self.ledger.lock() else { return false };
        let total = ledger.octets.saturating_add(octets);
        let fits = octets <= MAX_IMAGE && total <= MAX_IMAGES;
        if fits {
            ledger.octets = total;
        }
        fits
    }
}

/// The HTML is too large or too convoluted to be shown.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
#[error("the HTML is too large or too convoluted to be shown")]
pub(super) struct TooHeavy;

/// A fragment that is safe to put into a page.
pub(super) fn clean(html: &str, images: &Arc<Images>) -> Result<String, TooHeavy> {
    let allowance = images.allowance(html.len())?;
    let started = Instant::now();
    let measured = Tree::read(html, allowance);
    images.spend(if measured.is_ok() { started.elapsed() } else { MAX_TIME });
    measured?;
    let images = Arc::clone(images);
    let mut builder = Builder::empty();
    builder
        .tags(TAGS.iter().copied().collect())
        .clean_content_tags(GONE.iter().copied().collect())
        .tag_attributes(ATTRIBUTES.iter().map(|(tag, names)| (*tag, names.iter().copied().collect())).collect())
        .generic_attributes(HashSet::from(["dir", "lang", "style", "title"]))
        .set_tag_attribute_value("a", "target", "_blank")
        .link_rel(Some("noopener noreferrer nofollow"))
        .url_schemes(HashSet::from(["http", "https", "mailto", "cid", "data"]))
        .url_relative(UrlRelative::Deny)
        .strip_comments(true)
        .attribute_filter(move |tag, name, value| match (tag, name) {
            ("a", "href") => link(value).map(Cow::Owned),
            ("img", "src") => image(value, &images),
            (_, "style") => style::filtered(value).map(Cow::Owned),
            _ => Some(Cow::Borrowed(value)),
        });
    Ok(without_empty_images(&builder.clean(html).to_string()))
}

/// A cleaned fragment as plain text.
pub(super) fn to_text(cleaned: &str) -> Result<String, TooHeavy> {
    Ok(text::rendered(&Tree::read(cleaned, MAX_TIME)?))
}

/// Plain text as HTML that looks the same.
pub(super) fn from_text(text: &str) -> String {
    format!("<div style=\"white-space:pre-wrap\">{}</div>", ammonia_text(text))
}

fn ammonia_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Absolute links only, as the URL standard reads them.
fn link(value: &str) -> Option<String> {
    let url = Url::parse(value).ok()?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Some(url.to_string()),
        "mailto" => Some(url.to_string()),
        _ => None,
    }
}

fn image<'v>(value: &'v str, images: &Images) -> Option<Cow<'v, str>> {
    let value = value.trim();
    let scheme = |name: &str| value.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    if scheme("cid:") {
        let given = value.get(4..)?;
        let decoded = percent_decoded(given);
        return images.embed(given).or_else(|| images.embed(&decoded)).map(Cow::Owned);
    }
    if !scheme("data:") {
        return None;
    }
    let (kind, data) = value.get(5..)?.split_once(',')?;
    let media_type = kind.to_ascii_lowercase().strip_suffix(";base64")?.to_owned();
    let well_formed =
        data.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'\r' | b'\n' | b' '));
    let octets = data.len().div_ceil(4).saturating_mul(3);
    let kept = is_embeddable(&media_type) && well_formed && images.has_room(octets);
    kept.then(|| format!("data:{media_type};base64,{data}")).map(Cow::Owned)
}

/// RFC 2392: a Content-ID in a URL may be percent-encoded.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Replaces images without a source by their alternative text. The input is a serializer's: text has no `<`, and attribute
/// values stand in double quotes.
fn without_empty_images(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, image)) = rest.split_once("<img") {
        out.push_str(before);
        let Some(end) = tag_end(image) else { return out };
        let (tag, after) = image.split_at_checked(end).unwrap_or((image, ""));
        if tag.contains(" src=\"data:") {
            out.push_str("<img");
            out.push_str(tag);
        } else if let Some((_, value)) = tag.split_once(" alt=\"") {
            let alt = value.split_once('"').map_or("", |(alt, _)| alt);
            out.push_str(&alt.replace('<', "&lt;").replace('>', "&gt;"));
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Behind the `>` that ends a tag.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quoted = false;
    tag.bytes()
        .position(|b| {
            quoted ^= b == b'"';
            b == b'>' && !quoted
        })
        .map(|at| at.saturating_add(1))
}
