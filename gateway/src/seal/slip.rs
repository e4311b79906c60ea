//! The slip's JSON: what a letter is, for whom, and which stored packets belong to it.
//!
//! Its bytes are signed as they are and never written again from what was parsed.

use data_encoding::HEXLOWER;
use sealpost_vault::Time;
use sealpost_vault::derive::sha256;
use sealpost_vault::id::{ConversationId, LetterId};
use serde::{Deserialize, Serialize};

use crate::message::{Mailbox, PartKind};

pub(super) const IS_SLIP: &str = "sealpost/v1/slip";

#[derive(Serialize)]
pub(super) struct Slip<'a> {
    pub(super) is: &'static str,
    pub(super) letter: LetterId,
    pub(super) conversation: ConversationId,
    #[serde(rename = "for")]
    pub(super) readers: Vec<&'a str>,
    pub(super) from: Vec<Person<'a>>,
    pub(super) to: Vec<Person<'a>>,
    pub(super) cc: Vec<Person<'a>>,
    pub(super) date: Time,
    pub(super) subject: &'a str,
    pub(super) expires: Time,
    pub(super) archive: &'a str,
    pub(super) organisation: String,
    pub(super) parts: &'a [Entry],
}

#[derive(Serialize)]
pub(super) struct Person<'a> {
    name: &'a str,
    address: String,
}

/// One part: in a slip made here, and in a reply's.
#[derive(Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) n: u32,
    pub(super) kind: Kind,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) media_type: String,
    /// Of the plain bytes.
    pub(super) size: u64,
    /// Of the stored packet, lower-case hexadecimal.
    pub(super) sha256: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Body,
    Enclosure,
}

impl From<PartKind> for Kind {
    fn from(kind: PartKind) -> Self {
        match kind {
            PartKind::Body => Self::Body,
            PartKind::Enclosure => Self::Enclosure,
        }
    }
}

/// As slips carry it.
pub(super) fn hash_of(packet: &[u8]) -> String {
    HEXLOWER.encode(&sha256(packet))
}

pub(super) fn people(mailboxes: &[Mailbox]) -> Vec<Person<'_>> {
    mailboxes.iter().map(|mailbox| Person { name: &mailbox.name, address: mailbox.address.to_string() }).collect()
}
