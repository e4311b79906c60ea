//! The facts that policy and pages need, read out of the header.

use std::fmt;

use sealpost_vault::Time;
use sealpost_vault::id::QueueId;
use serde::{Deserialize, Serialize};

use super::header::{Header, Strictness};
use super::structure::Structure;
use super::subject::{self, Tag};
use super::{Mailbox, limits};
use crate::rejection::Rejection;

/// References beyond these are of no use for threading.
const MAX_REFERENCES: usize = 200;

/// What a message says about itself. Only what a header can say: the envelope decides where it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Facts {
    /// Decoded, in one line, tags still in.
    pub subject: String,
    /// Of all Subject fields, each once.
    pub tags: Vec<Tag>,
    pub from: Vec<Mailbox>,
    pub to: Vec<Mailbox>,
    pub cc: Vec<Mailbox>,
    pub reply_to: Vec<Mailbox>,
    pub date: Option<Time>,
    /// Without angle brackets.
    pub message_id: Option<String>,
    /// Oldest first; what In-Reply-To names comes last.
    pub references: Vec<String>,
    /// Of several, the most protective.
    pub sensitivity: Option<Sensitivity>,
    /// All values of `X-Sealpost-Protect`; see [`Facts::protection`].
    pub protect: Vec<Protect>,
    /// Whether a machine wrote it: Auto-Submitted, Precedence, List-*.
    pub automatic: bool,
    /// Whether the MIME structure could be walked and decoded; if not, the mail is sealed whole.
    pub readable: bool,
}

/// Whose words a message's control headers and tags are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// A member of the organisation: the envelope says so, and it came through the inner door.
    Inside,
    /// Nobody says: the envelope's sender is null, as that of automatic notices.
    Nobody,
    /// Somebody else, whose mail is passed on.
    Stranger,
}

impl Facts {
    /// As far as they count: a stranger can neither ask for protection nor ask for none; nobody can't ask for none.
    /// `Sensitivity` is no word to us, and stays.
    pub fn said_by(mut self, author: Author) -> Self {
        match author {
            Author::Inside => {}
            Author::Nobody => self.protect.retain(|value| *value != Protect::No),
            Author::Stranger => {
                self.tags.clear();
                self.protect.clear();
            }
        }
        self
    }

    /// The most protective of contradicting `X-Sealpost-Protect` values.
    pub fn protection(&self) -> Option<Protect> {
        self.protect.iter().copied().max()
    }
}

impl fmt::Debug for Facts {
    /// Without subject and names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("tags", &self.tags)
            .field("sensitivity", &self.sensitivity)
            .field("protect", &self.protect)
            .field("automatic", &self.automatic)
            .field("readable", &self.readable)
            .finish_non_exhaustive()
    }
}

/// RFC 2156 5.3.4; each is more protective than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sensitivity {
    Personal,
    Private,
    CompanyConfidential,
}

impl Sensitivity {
    pub const ALL: [Self; 3] = [Self::Personal, Self::Private, Self::CompanyConfidential];

    /// As in the header field, in lower case.
    pub fn written(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::Private => "private",
            Self::CompanyConfidential => "company-confidential",
        }
    }
}

/// A value of `X-Sealpost-Protect`; each is more protective than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protect {
    /// Asks for no protection: heard only by a rule that names it.
    No,
    /// Protect, however. Unknown values count as this.
    Yes,
    Portal,
    OpenPgp,
}

impl Protect {
    pub const ALL: [Self; 4] = [Self::No, Self::Yes, Self::Portal, Self::OpenPgp];

    /// As in the header field.
    pub fn written(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::Portal => "portal",
            Self::OpenPgp => "openpgp",
        }
    }
}

/// Reads header and structure.
pub(super) fn read(bytes: &[u8], queue_id: &QueueId) -> Result<Facts, Rejection> {
    let header = Header::read(bytes, Strictness::Message).map_err(|error| {
        tracing::info!(queue_id = %queue_id, %error, "message refused: its header can't be read");
        Rejection::UNREADABLE_HEADER
    })?;
    if header.all("Received").count() > limits::RECEIVED {
        tracing::info!(queue_id = %queue_id, "message refused: it went through too many hops");
        return Err(Rejection::LOOP);
    }
    let readable = match Structure::read(bytes).and_then(|structure| structure.check()) {
        Ok(()) => true,
        Err(error) => {
            tracing::info!(queue_id = %queue_id, %error, "MIME can't be read; the message stays whole");
            false
        }
    };
    let subjects: Vec<String> = header.all("Subject").map(|field| field.text()).collect();
    let mut tags: Vec<Tag> = subjects.iter().flat_map(|subject| subject::tags(subject)).collect();
    tags.sort_unstable();
    tags.dedup();
    Ok(Facts {
        subject: subjects.into_iter().next().unwrap_or_default(),
        tags,
        from: mailboxes(&header, "From"),
        to: mailboxes(&header, "To"),
        cc: mailboxes(&header, "Cc"),
        reply_to: mailboxes(&header, "Reply-To"),
        date: header.first("Date").and_then(|field| field.date()),
        message_id: header.first("Message-ID").and_then(|field| field.ids().into_iter().next()),
        references: references(&header),
        sensitivity: sensitivity(&header),
        protect: protect(&header, queue_id),
        automatic: is_automatic(&header),
        readable,
    })
}

fn mailboxes(header: &Header<'_>, name: &str) -> Vec<Mailbox> {
    let checked = |(name, address): (String, String)| {
        let address = address.parse().ok()?;
        Some(Mailbox { name, address })
    };
    header.all(name).flat_map(|field| field.addresses()).filter_map(checked).collect()
}

fn references(header: &Header<'_>) -> Vec<String> {
    let mut ids: Vec<String> = header.all("References").flat_map(|field| field.ids()).collect();
    ids.drain(..ids.len().saturating_sub(MAX_REFERENCES));
    for id in header.all("In-Reply-To").flat_map(|field| field.ids()).take(MAX_REFERENCES) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

fn sensitivity(header: &Header<'_>) -> Option<Sensitivity> {
    let known = |word: String| Sensitivity::ALL.into_iter().find(|sensitivity| sensitivity.written() == word);
    header.all("Sensitivity").filter_map(|field| known(field.word())).max()
}

fn protect(header: &Header<'_>, queue_id: &QueueId) -> Vec<Protect> {
    let mut values = Vec::new();
    for field in header.all("X-Sealpost-Protect") {
        for word in field.text().split([',', ';']) {
            let known = Protect::ALL.into_iter().find(|protect| protect.written().eq_ignore_ascii_case(word.trim()));
            if known.is_none() {
                tracing::warn!(queue_id = %queue_id, "X-Sealpost-Protect has an unknown value: taken as yes");
            }
            values.push(known.unwrap_or(Protect::Yes));
        }
    }
    values
}

// RFC 3834 2, RFC 2076 3.9, RFC 2919, RFC 2369.
fn is_automatic(header: &Header<'_>) -> bool {
    header.fields.iter().any(|field| match field.name.to_ascii_lowercase().as_str() {
        "auto-submitted" => field.word() != "no",
        "precedence" => matches!(field.word().as_str(), "bulk" | "junk" | "list"),
        // X-Auto-Response-Suppress asks machines not to answer; people's mail programs ask that too.
        name => name.starts_with("list-"),
    })
}
