//! A message taken apart: what the seal module seals and what mails that we write enclose.

/// A body or an enclosure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub kind: PartKind,
    /// File name of an enclosure; empty for a body.
    pub name: String,
    /// `type/subtype`; of a body `text/plain` or `text/html`, always UTF-8.
    pub media_type: String,
    pub bytes: Vec<u8>,
}

/// What a part is to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    Body,
    Enclosure,
}
