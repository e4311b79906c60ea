//! Which parts of a message are its bodies, chosen as a mail program chooses what to show.
//!
//! Of alternatives the last that is HTML and the last that is plain text are taken, since the best comes last; inline texts after each
//! other are read one after the other; of related parts the root is shown. Everything else is enclosed.
//! Standards: RFC 2046 5.1.4 (alternative), RFC 2387 (related), RFC 2183 (disposition).

use std::sync::Arc;

use super::enclosure;
use super::html::{self, Images};
use super::structure::{Node, Structure};

/// What part of the message a node becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Text,
    Html,
    Multipart,
    Enclosure,
}

/// A passage of the letter, in one form or both.
#[derive(Default)]
struct Passage {
    text: Option<String>,
    html: Option<String>,
}

/// The bodies, and which leaves are enclosures.
pub(super) struct Bodies {
    pub html: Option<String>,
    pub text: Option<String>,
    /// Indices of nodes, in order.
    pub enclosures: Vec<usize>,
}

/// Chooses among all parts. HTML comes out cleaned.
pub(super) fn choose(structure: &Structure<'_>, images: &Arc<Images>) -> Bodies {
    let mut roles = roles(structure);
    let mut values: Vec<Vec<Passage>> = Vec::new();
    values.resize_with(structure.nodes.len(), Vec::new);
    // Parts stand before their children in the list: backwards, children are known before their parents.
    for (index, node) in structure.nodes.iter().enumerate().rev() {
        let role = roles.get(index).copied().unwrap_or(Role::Enclosure);
        let value = match role {
            Role::Enclosure => continue,
            Role::Text => match node.text() {
                Ok(text) if text.trim().is_empty() => Vec::new(),
                Ok(text) => vec![Passage { text: Some(text), html: None }],
                Err(_) => Vec::new(),
            },
            Role::Html => match node.text().ok().map(|source| html::clean(&source, images)) {
                Some(Ok(cleaned)) if cleaned.trim().is_empty() => Vec::new(),
                Some(Ok(cleaned)) => vec![Passage { text: None, html: Some(cleaned) }],
                _ => {
                    if let Some(role) = roles.get_mut(index) {
                        *role = Role::Enclosure;
                    }
                    Vec::new()
                }
            },
            Role::Multipart => {
                let taken = |child: &usize| values.get_mut(*child).map(std::mem::take).unwrap_or_default();
                let children: Vec<Vec<Passage>> = node.children.iter().map(taken).collect();
                if node.sub == "alternative" { alternative(children) } else { children.into_iter().flatten().collect() }
            }
        };
        if let Some(slot) = values.get_mut(index) {
            *slot = value;
        }
    }
    let passages = values.into_iter().next().unwrap_or_default();
    let enclosures = roles.iter().enumerate().filter(|(_, role)| **role == Role::Enclosure).map(|(index, _)| index);
    let html = passages.iter().any(|passage| passage.html.is_some()).then(|| as_html(&passages));
    let text = (!passages.is_empty()).then(|| as_text(&passages));
    Bodies { html, text, enclosures: enclosures.collect() }
}

fn alternative(children: Vec<Vec<Passage>>) -> Vec<Passage> {
    let has_html = |child: &&Vec<Passage>| child.iter().any(|passage| passage.html.is_some());
    let rich = children.iter().rev().find(has_html);
    let plain = children.iter().rev().find(|child| !child.is_empty() && !has_html(child));
    let html = rich.map(|child| as_html(child));
    // Without a plain alternative the text is made of the rich one.
    let text = plain.or(rich).map(|child| as_text(child));
    if html.is_none() && text.is_none() { Vec::new() } else { vec![Passage { text, html }] }
}

fn as_html(passages: &[Passage]) -> String {
    let one = |passage: &Passage| match passage {
        Passage { html: Some(html), .. } => html.clone(),
        Passage { text, .. } => html::from_text(text.as_deref().unwrap_or_default()),
    };
    passages.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn as_text(passages: &[Passage]) -> String {
    let one = |passage: &Passage| match passage {
        Passage { text: Some(text), .. } => text.clone(),
        Passage { html, .. } => html.as_deref().and_then(|html| html::to_text(html).ok()).unwrap_or_default(),
    };
    passages.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn roles(structure: &Structure<'_>) -> Vec<Role> {
    let mut roles: Vec<Role> = Vec::with_capacity(structure.nodes.len());
    // Whether a node lies in something that is enclosed as a whole.
    let mut set_apart: Vec<bool> = Vec::with_capacity(structure.nodes.len());
    for (index, node) in structure.nodes.iter().enumerate() {
        let parent = node.parent.and_then(|parent| structure.nodes.get(parent).map(|found| (parent, found)));
        let inherited = node.parent.and_then(|parent| set_apart.get(parent).copied()).unwrap_or(false);
        let apart = inherited
            || node.disposition.as_ref().is_some_and(|disposition| disposition.is_attachment())
            || parent.is_some_and(|(_, parent)| {
                parent.sub == "encrypted" || parent.sub == "related" && related_root(structure, parent) != Some(index)
            });
        // A named text is a file, unless it is all there is.
        let named = parent.is_some() && enclosure::given_name(node).is_some();
        roles.push(match (node.main.as_str(), node.sub.as_str()) {
            ("multipart", _) => Role::Multipart,
            ("text", "plain") if !apart && !named => Role::Text,
            ("text", "html") if !apart && !named => Role::Html,
            _ => Role::Enclosure,
        });
        set_apart.push(apart);
    }
    roles
}

/// The part of a multipart/related that is shown: the one named by `start`, else the first that can be a body.
fn related_root(structure: &Structure<'_>, related: &Node<'_>) -> Option<usize> {
    let start = related.content_type.as_ref().and_then(|content_type| content_type.attribute("start"));
    let start = start.map(|start| start.trim_matches(['<', '>', ' ']));
    let is_start = |child: &&usize| {
        let id = structure.nodes.get(**child).and_then(|node| node.content_id());
        id.is_some() && id.as_deref() == start
    };
    let is_body = |child: &&usize| {
        structure.nodes.get(**child).is_some_and(|node| matches!(node.main.as_str(), "text" | "multipart"))
    };
    let children = &related.children;
    children.iter().find(is_start).or_else(|| children.iter().find(is_body)).or_else(|| children.first()).copied()
}
