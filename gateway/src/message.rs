//! A message made ready for reading.

use sealpost_vault::{EmailAddress, Time};

pub struct Mailbox {
    pub name: String,
    pub address: EmailAddress,
}

pub struct Prepared {
    pub subject: String,
    pub from: Vec<Mailbox>,
    pub to: Vec<Mailbox>,
    pub cc: Vec<Mailbox>,
    pub date: Time,
    pub parts: Vec<Part>,
}

pub struct Part {
    pub kind: PartKind,
    pub name: String,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    Body,
    Enclosure,
}
