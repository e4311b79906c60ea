//! A message made ready for reading: bodies that can be shown, enclosures that can be saved.

use std::sync::Arc;

use sealpost_vault::Time;

use super::bodies::{self, Bodies};
use super::enclosure::{self, Names};
use super::html::{self, Image, Images};
use super::structure::Structure;
use super::{Facts, Part, PartKind, Prepared, without_tags};

/// Bodies first (cleaned HTML, if there is any, then plain text), then enclosures. A message that can't be read becomes one
/// enclosure, `message.eml`, as it would leave: `rewrite` is as in [`outgoing`](super::outgoing). `received_at` stands in
/// for a missing date.
///
/// Takes milliseconds for ordinary mail and, bounded, some seconds for hostile HTML: not for an async thread.
pub fn prepare(message: &[u8], facts: &Facts, received_at: Time, rewrite: &dyn Fn(&str) -> Option<String>) -> Prepared {
    let structure = if facts.readable { Structure::read(message).ok() } else { None };
    let parts = structure.map_or_else(|| vec![whole(message, rewrite)], |structure| parts(&structure));
    Prepared {
        subject: without_tags(&facts.subject),
        from: facts.from.clone(),
        to: facts.to.clone(),
        cc: facts.cc.clone(),
        date: facts.date.unwrap_or(received_at),
        parts,
    }
}

fn whole(message: &[u8], rewrite: &dyn Fn(&str) -> Option<String>) -> Part {
    // Control headers and tags are ours to read only: a sealed copy shows the mail as it would have left.
    let bytes = super::outgoing(message, "", rewrite);
    Part { kind: PartKind::Enclosure, name: "message.eml".to_owned(), media_type: "message/rfc822".to_owned(), bytes }
}

fn parts(structure: &Structure<'_>) -> Vec<Part> {
    let images = Arc::new(images(structure));
    let Bodies { html, text, enclosures } = bodies::choose(structure, &images);
    let body = |media_type: &str, text: String| Part {
        kind: PartKind::Body,
        name: String::new(),
        media_type: media_type.to_owned(),
        bytes: text.into_bytes(),
    };
    let mut parts: Vec<Part> = html.map(|html| body("text/html", html)).into_iter().collect();
    parts.extend(text.map(|text| body("text/plain", text)));
    let mut names = Names::default();
    for index in enclosures.into_iter().filter(|index| !images.is_used(*index)) {
        let Some(node) = structure.nodes.get(index) else { continue };
        let name = names.give(&enclosure::wanted_name(node));
        // Facts said that every part can be decoded; should one not be, its encoded form is better than nothing.
        let bytes = node.decoded().map_or_else(|_| node.content.to_vec(), |bytes| bytes.into_owned());
        parts.push(Part { kind: PartKind::Enclosure, name, media_type: enclosure::media_type(node), bytes });
    }
    parts
}

/// The images that HTML may show by their Content-ID.
fn images(structure: &Structure<'_>) -> Images {
    let mut images = Images::default();
    for (index, node) in structure.nodes.iter().enumerate().filter(|(_, node)| node.main == "image") {
        let media_type = enclosure::media_type(node).replace("image/jpg", "image/jpeg");
        if let (true, Some(id), Ok(bytes)) = (html::is_embeddable(&media_type), node.content_id(), node.decoded()) {
            images.add(id, Image { node: index, media_type, bytes: bytes.into_owned() });
        }
    }
    images
}
