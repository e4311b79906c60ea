//! A tree of HTML, read in small steps and given up when it grows too large.
//!
//! The HTML standard lets input multiply: each paragraph reopens every unclosed formatting element before it. Reading
//! piece by piece and counting between the pieces bounds nodes, depth and time, whatever the input.
//! Standards: HTML, 13.2 (parsing), as html5ever implements it.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::{Attribute, ExpandedName, QualName, local_name, ns, parse_fragment};

use super::TooHeavy;

const MAX_NODES: usize = 200_000;
const MAX_DEPTH: usize = 500;
/// One step: what can grow between two looks.
const STEP: usize = 64;

/// What a node is.
pub(super) enum Kind {
    /// The document, comments, template contents.
    Other,
    Text(String),
    Element {
        name: QualName,
        attributes: Vec<(String, String)>,
    },
}

pub(super) struct Node {
    pub kind: Kind,
    pub children: Vec<usize>,
    parent: Option<usize>,
}

/// Nodes by index; the first is the document.
pub(super) struct Tree {
    pub nodes: Vec<Node>,
}

impl Tree {
    /// Reads a fragment as the inside of a `body`, within a time.
    pub fn read(html: &str, allowance: Duration) -> Result<Self, TooHeavy> {
        let started = Instant::now();
        let context = QualName::new(None, ns!(html), local_name!("body"));
        let mut parser = parse_fragment(Sink::new(), Default::default(), context, Vec::new(), false);
        let mut rest = html;
        while !rest.is_empty() {
            let (step, after) = rest.split_at_checked(rest.floor_char_boundary(STEP)).unwrap_or((rest, ""));
            parser.process(StrTendril::from(step));
            let sink = &parser.tokenizer.sink.sink;
            if sink.is_too_heavy() || started.elapsed() > allowance {
                return Err(TooHeavy);
            }
            rest = after;
        }
        if parser.tokenizer.sink.sink.is_too_heavy() {
            return Err(TooHeavy);
        }
        Ok(parser.finish())
    }

    /// An element's local name in lower case; empty for others.
    pub fn name(&self, node: usize) -> &str {
        match self.nodes.get(node).map(|node| &node.kind) {
            Some(Kind::Element { name, .. }) => &name.local,
            _ => "",
        }
    }

    /// An element's attribute.
    pub fn attribute(&self, node: usize, name: &str) -> Option<&str> {
        match self.nodes.get(node).map(|node| &node.kind) {
            Some(Kind::Element { attributes, .. }) => {
                attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
            }
            _ => None,
        }
    }
}

/// A node, as html5ever holds it.
#[derive(Clone)]
struct Handle {
    node: usize,
    name: Option<Rc<QualName>>,
}

struct Sink {
    nodes: RefCell<Vec<Node>>,
    depths: RefCell<Vec<usize>>,
    deepest: Cell<usize>,
    /// What an element's name is where there is none; never asked for by a sound parser.
    nameless: QualName,
}

impl Sink {
    fn new() -> Self {
        let sink = Self {
            nodes: RefCell::default(),
            depths: RefCell::default(),
            deepest: Cell::new(0),
            nameless: QualName::new(None, ns!(), local_name!("")),
        };
        sink.add(Kind::Other);
        sink
    }

    fn is_too_heavy(&self) -> bool {
        self.nodes.borrow().len() > MAX_NODES || self.deepest.get() > MAX_DEPTH
    }

    fn add(&self, kind: Kind) -> usize {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node { kind, children: Vec::new(), parent: None });
        self.depths.borrow_mut().push(0);
        nodes.len().saturating_sub(1)
    }

    fn handle(&self, kind: Kind) -> Handle {
        Handle { node: self.add(kind), name: None }
    }

    fn detach(&self, child: usize) {
        let mut nodes = self.nodes.borrow_mut();
        let parent = nodes.get_mut(child).and_then(|node| node.parent.take());
        if let Some(parent) = parent.and_then(|parent| nodes.get_mut(parent)) {
            // What is moved was mostly added last.
            if let Some(at) = parent.children.iter().rposition(|node| *node == child) {
                parent.children.remove(at);
            }
        }
    }

    fn insert(&self, parent: usize, before: Option<usize>, child: NodeOrText<Handle>) {
        let child = match child {
            NodeOrText::AppendNode(handle) => {
                self.detach(handle.node);
                handle.node
            }
            NodeOrText::AppendText(text) => {
                if self.joined(parent, before, &text) {
                    return;
                }
                self.add(Kind::Text(text.to_string()))
            }
        };
        let mut nodes = self.nodes.borrow_mut();
        if let Some(node) = nodes.get_mut(child) {
            node.parent = Some(parent);
        }
        if let Some(parent) = nodes.get_mut(parent) {
            let at = before.and_then(|before| parent.children.iter().rposition(|node| *node == before));
            parent.children.insert(at.unwrap_or(parent.children.len()), child);
        }
        let mut depths = self.depths.borrow_mut();
        let depth = depths.get(parent).copied().unwrap_or(0).saturating_add(1);
        self.deepest.set(self.deepest.get().max(depth));
        if let Some(own) = depths.get_mut(child) {
            *own = depth;
        }
    }

    /// Text goes on in the text node before it.
    fn joined(&self, parent: usize, before: Option<usize>, text: &str) -> bool {
        let mut nodes = self.nodes.borrow_mut();
        if before.is_some() {
            return false;
        }
        let last = nodes.get(parent).and_then(|parent| parent.children.last().copied());
        match last.and_then(|last| nodes.get_mut(last)).map(|node| &mut node.kind) {
            Some(Kind::Text(existing)) => {
                existing.push_str(text);
                true
            }
            _ => false,
        }
    }
}

impl TreeSink for Sink {
    type Handle = Handle;
    type Output = Tree;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Tree {
        Tree { nodes: self.nodes.into_inner() }
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Handle {
        Handle { node: 0, name: None }
    }

    fn elem_name<'a>(&'a self, target: &'a Handle) -> ExpandedName<'a> {
        target.name.as_deref().unwrap_or(&self.nameless).expanded()
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _: ElementFlags) -> Handle {
        let attributes = attributes.into_iter().map(|a| (a.name.local.to_string(), a.value.to_string())).collect();
        let node = self.add(Kind::Element { name: name.clone(), attributes });
        Handle { node, name: Some(Rc::new(name)) }
    }

    fn create_comment(&self, _: StrTendril) -> Handle {
        self.handle(Kind::Other)
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Handle {
        self.handle(Kind::Other)
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        self.insert(parent.node, None, child);
    }

    fn append_based_on_parent_node(&self, element: &Handle, previous: &Handle, child: NodeOrText<Handle>) {
        let parent = self.nodes.borrow().get(element.node).and_then(|node| node.parent);
        match parent {
            Some(parent) => self.insert(parent, Some(element.node), child),
            None => self.insert(previous.node, None, child),
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    fn get_template_contents(&self, target: &Handle) -> Handle {
        target.clone()
    }

    fn same_node(&self, x: &Handle, y: &Handle) -> bool {
        x.node == y.node
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Handle, child: NodeOrText<Handle>) {
        let parent = self.nodes.borrow().get(sibling.node).and_then(|node| node.parent);
        if let Some(parent) = parent {
            self.insert(parent, Some(sibling.node), child);
        }
    }

    fn add_attrs_if_missing(&self, _: &Handle, _: Vec<Attribute>) {}

    fn remove_from_parent(&self, target: &Handle) {
        self.detach(target.node);
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        let moved = self.nodes.borrow_mut().get_mut(node.node).map(|node| std::mem::take(&mut node.children));
        for child in moved.unwrap_or_default() {
            if let Some(child) = self.nodes.borrow_mut().get_mut(child) {
                child.parent = None;
            }
            self.insert(new_parent.node, None, NodeOrText::AppendNode(Handle { node: child, name: None }));
        }
    }
}
