//! Checking a chain: what is wrong with it, which record, and how.
//!
//! Pure: records and heads come one by one, from the store or from an export, in whatever state somebody left them. Memory
//! is bounded: of records that don't fit, so many are remembered and compared, to tell edited ones from moved ones.

use std::fmt;

use sealpost_vault::clock::Time;
use sealpost_vault::derive::sha256;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::chain::{BEGINNING, Hash, Head, link};

/// Faults that are said one by one; further ones are counted.
const MOST_FAULTS: usize = 50;
/// Records that don't fit and are compared with each other.
const MOST_SUSPECTS: usize = 40;
/// By how much records may have been renumbered and be recognised.
const MOST_SHIFT: i64 = 32;

/// Whose heads count.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// The audit keys' public halves, retired ones too.
    pub keys: Vec<[u8; 32]>,
    /// The organisation's fingerprint; `None` where it isn't known.
    pub organisation: Option<Hash>,
}

/// Where a head comes from that the chain is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The file that the gateway keeps outside the database.
    HeadFile,
    /// Whoever verifies brought it along.
    Given,
}

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Records between two that are there, or before the first.
    Missing { first: i64, last: i64 },
    /// The text isn't what was chained.
    Edited { n: i64 },
    /// The right place and hash, with the text of another record.
    TextOf { n: i64, of: i64 },
    /// Another record, as a whole.
    Moved { n: i64, was: i64 },
    /// Right, but for their numbers: `first` was `was`.
    Renumbered { first: i64, last: i64, was: i64 },
    /// The record before, once more.
    Repeated { n: i64 },
    /// Stands behind later ones.
    OutOfOrder { n: i64 },
    /// No signed head holds these.
    Unsigned { first: i64, last: i64 },
    /// A head that no known key signed so.
    HeadSignature { n: i64, key: Key },
    /// A head of another organisation.
    HeadOrganisation { n: i64 },
    /// The head is right, and what it signed isn't what is there. The last head before it that fits is `since`.
    HeadDiffers { n: i64, since: i64 },
    /// The head says that there were records up to `n`; there are up to `last`.
    CutOff { n: i64, last: i64 },
    /// A line of an export that is neither a record nor a head.
    Unreadable { line: u64 },
    /// There is no head file, or it isn't readable as one.
    HeadFile { there: bool },
    /// The chain doesn't hold what a head from elsewhere says.
    Contradicts { source: Source, n: i64, last: i64 },
    /// A head from elsewhere that no known key signed so.
    SourceSignature { source: Source, n: i64 },
    /// Records that the sequencer passed over.
    Stuck { count: i64, since: Time },
}

/// Which key a bad signature names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Known,
    Unknown,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = |first: i64, last: i64| {
            if first == last { format!("record {first}") } else { format!("records {first} to {last}") }
        };
        match self {
            Self::Missing { first, last } => write!(f, "missing: {}", records(*first, *last)),
            Self::Edited { n } => write!(
                f,
                "edited: record {n} is not what was chained (or record {} and its hash were both changed)",
                n.saturating_sub(1)
            ),
            Self::TextOf { n, of } => write!(f, "swapped: record {n} has the text of record {of}"),
            Self::Moved { n, was } => write!(f, "reordered: what stands as record {n} was chained as record {was}"),
            Self::Renumbered { first, last, was } => {
                let (what, by) = if was > first { ("taken out", was - first) } else { ("put in", first - was) };
                write!(f, "renumbered: {} by {by}: {by} were {what} before", records(*first, *last))
            }
            Self::Repeated { n } => write!(f, "repeated: record {n} is the one before it once more"),
            Self::OutOfOrder { n } => write!(f, "reordered or repeated: record {n} stands behind later ones"),
            Self::Unsigned { first, last } => write!(
                f,
                "extra: no signed head holds {} (put in, or their head was taken out or cut off)",
                records(*first, *last)
            ),
            Self::HeadSignature { n, key: Key::Known } => {
                write!(f, "signature: the head of record {n} is not signed so")
            }
            Self::HeadSignature { n, key: Key::Unknown } => {
                write!(f, "signature: the head of record {n} is signed by a key that is not known here")
            }
            Self::HeadOrganisation { n } => write!(f, "signature: the head of record {n} is another organisation's"),
            Self::HeadDiffers { n, since } => write!(
                f,
                "changed: what was signed as record {n} is another one: something in records {} to {n} was edited, put in \
                 or reordered, and the hashes after it made anew",
                since.saturating_add(1)
            ),
            Self::CutOff { n, last } => {
                write!(
                    f,
                    "cut off: {} missing, a signed head says they were there",
                    records(last.saturating_add(1), *n)
                )
            }
            Self::Unreadable { line } => write!(f, "unreadable: line {line} is neither a record nor a head"),
            Self::HeadFile { there: false } => write!(f, "the head file is missing"),
            Self::HeadFile { there: true } => write!(f, "the head file is damaged"),
            Self::Contradicts { source, n, last } if n > last => {
                write!(f, "cut off: {} says that there were records up to {n}; there are up to {last}", source.words())
            }
            Self::Contradicts { source, n, .. } => {
                write!(f, "changed: record {n} or one before it is not what {} says", source.words())
            }
            Self::SourceSignature { source, n } => {
                write!(f, "signature: {} (record {n}) is not signed by a known key", source.words())
            }
            Self::Stuck { count, since } => {
                let since = OffsetDateTime::from_unix_timestamp(*since).ok().and_then(|at| at.format(&Rfc3339).ok());
                let since = since.unwrap_or_default();
                write!(f, "not chained: {count} records have been waiting since {since}, and later ones were chained")
            }
        }
    }
}

impl Source {
    fn words(self) -> &'static str {
        match self {
            Self::HeadFile => "the head file",
            Self::Given => "the given head",
        }
    }
}

/// What a check comes to.
#[derive(Debug, Default)]
pub struct Findings {
    /// The first and last record there are; 0 where there is none.
    pub first: i64,
    pub last: i64,
    /// The last head that holds.
    pub head: Option<Head>,
    pub faults: Vec<Fault>,
    /// Faults beyond those.
    pub further: u64,
    /// Records that aren't chained yet, and since when the oldest waits.
    pub waiting: Option<(i64, Time)>,
}

impl Findings {
    pub fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn add(&mut self, fault: Fault) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault);
        } else {
            self.further = self.further.saturating_add(1);
        }
    }
}

/// A record that doesn't follow from the one before it.
struct Suspect {
    n: i64,
    previous: Hash,
    hash: Hash,
    body: Hash,
}

impl Suspect {
    fn was(&self, n: i64, previous: &Hash, body: &Hash) -> bool {
        link(n, previous, body).is_ok_and(|hash| hash == self.hash)
    }
}

/// Goes along a chain.
pub struct Checker<'a> {
    trusted: &'a Trusted,
    next: i64,
    /// The hash of the record before; `None` where it isn't known.
    previous: Option<Hash>,
    suspects: Vec<Suspect>,
    /// Records renumbered by the same number, so far.
    run: Option<(i64, i64, i64)>,
    awaited: Vec<(Source, Head)>,
    good_head: i64,
    findings: Findings,
}

impl<'a> Checker<'a> {
    /// For records from `first` on; `previous` is the hash before it.
    pub fn new(trusted: &'a Trusted, first: i64, previous: Hash) -> Self {
        Self {
            trusted,
            next: first,
            previous: Some(previous),
            suspects: Vec::new(),
            run: None,
            awaited: Vec::new(),
            good_head: first.saturating_sub(1),
            findings: Findings::default(),
        }
    }

    /// From the very first record on.
    pub fn from_the_beginning(trusted: &'a Trusted) -> Self {
        Self::new(trusted, 1, BEGINNING)
    }

    /// Holds the chain against a head from elsewhere. Before any record.
    pub fn hold_against(&mut self, source: Source, head: Head) {
        if !self.is_trusted(&head) {
            self.findings.add(Fault::SourceSignature { source, n: head.n });
        }
        if head.n < self.next.saturating_sub(1) {
            return;
        }
        if head.n == self.next.saturating_sub(1) {
            if self.previous != Some(head.hash) {
                self.findings.add(Fault::Contradicts { source, n: head.n, last: head.n });
            }
            return;
        }
        self.awaited.push((source, head));
    }

    /// The next record; `None` for a hash that has another length than hashes have.
    pub fn record(&mut self, n: i64, hash: Option<Hash>, body: &str) {
        if n < self.next {
            self.findings.add(Fault::OutOfOrder { n });
            return;
        }
        if self.findings.first == 0 {
            self.findings.first = n;
        }
        if n > self.next {
            self.findings.add(Fault::Missing { first: self.next, last: n.saturating_sub(1) });
            self.previous = None;
        }
        let body = sha256(body.as_bytes());
        match (hash, self.previous) {
            (Some(hash), Some(previous)) => self.compare(Suspect { n, previous, hash, body }),
            (Some(_), None) => {}
            (None, _) => self.findings.add(Fault::Edited { n }),
        }
        self.previous = hash;
        self.next = n.saturating_add(1);
        self.findings.last = n;
        for index in (0..self.awaited.len()).rev() {
            if self.awaited.get(index).is_some_and(|(_, head)| head.n <= n) {
                let (source, head) = self.awaited.swap_remove(index);
                if head.n < n || self.previous != Some(head.hash) {
                    self.findings.add(Fault::Contradicts { source, n: head.n, last: n });
                }
            }
        }
    }

    fn compare(&mut self, record: Suspect) {
        let Suspect { n, previous, body, .. } = &record;
        if record.was(*n, previous, body) {
            self.end_run();
        } else if let Some(shift) = self.shift_of(&record) {
            match &mut self.run {
                Some((_, last, same)) if *same == shift => *last = *n,
                _ => {
                    self.end_run();
                    self.run = Some((*n, *n, shift));
                }
            }
        } else {
            self.end_run();
            if self.suspects.len() < MOST_SUSPECTS {
                self.suspects.push(record);
            } else {
                self.findings.further = self.findings.further.saturating_add(1);
            }
        }
    }

    /// By how much its number is less than what it was chained as.
    fn shift_of(&self, record: &Suspect) -> Option<i64> {
        let fits = |shift: &i64| record.was(record.n.saturating_add(*shift), &record.previous, &record.body);
        if let Some((_, _, shift)) = &self.run
            && fits(shift)
        {
            return Some(*shift);
        }
        // Looking for another one is dear; where everything is wrong it would take for ever.
        if self.suspects.len() >= MOST_SUSPECTS {
            return None;
        }
        (-MOST_SHIFT..=MOST_SHIFT).filter(|shift| *shift != 0).find(fits)
    }

    fn end_run(&mut self) {
        if let Some((first, last, shift)) = self.run.take() {
            self.findings.add(Fault::Renumbered { first, last, was: first.saturating_add(shift) });
        }
    }

    fn is_trusted(&self, head: &Head) -> bool {
        head.is_signed_by(&self.trusted.keys)
            && self.trusted.organisation.is_none_or(|known| known == head.organisation)
    }

    /// A head, after the record that it is of, or after the last one.
    pub fn head(&mut self, head: Head) {
        let (n, last) = (head.n, self.next.saturating_sub(1));
        if self.trusted.organisation.is_some_and(|known| known != head.organisation) {
            return self.findings.add(Fault::HeadOrganisation { n });
        }
        if !head.is_signed_by(&self.trusted.keys) {
            let key = if self.trusted.keys.contains(&head.signer) { Key::Known } else { Key::Unknown };
            return self.findings.add(Fault::HeadSignature { n, key });
        }
        if n > last {
            return self.findings.add(Fault::CutOff { n, last });
        }
        // The head of a record that is missing says no more than that.
        if n == last && self.findings.last == n {
            match self.previous {
                Some(hash) if hash != head.hash => {
                    self.findings.add(Fault::HeadDiffers { n, since: self.good_head });
                }
                _ => {
                    self.findings.head = Some(head);
                }
            }
            // Said or not: what comes up to here is held by a signature.
            self.good_head = n;
        }
    }

    /// A head whose hash, key or signature has a length that none has.
    pub fn damaged_head(&mut self, n: i64) {
        self.findings.add(Fault::HeadSignature { n, key: Key::Unknown });
    }

    /// A line of an export that can't be read.
    pub fn unreadable(&mut self, line: u64) {
        self.findings.add(Fault::Unreadable { line });
    }

    /// After the last record and head.
    pub fn finish(mut self) -> Findings {
        self.end_run();
        self.judge_suspects();
        let last = self.next.saturating_sub(1);
        if self.good_head < last {
            self.findings.add(Fault::Unsigned { first: self.good_head.saturating_add(1), last });
        }
        for (source, head) in std::mem::take(&mut self.awaited) {
            self.findings.add(Fault::Contradicts { source, n: head.n, last });
        }
        self.findings
    }

    /// Tells what was done to records that don't follow from the one before them, by comparing them with each other.
    fn judge_suspects(&mut self) {
        let suspects = std::mem::take(&mut self.suspects);
        let mut hashes: Vec<Hash> = suspects.iter().flat_map(|suspect| [suspect.previous, suspect.hash]).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let mut neighbours = Vec::new();
        for suspect in &suspects {
            let n = suspect.n;
            let others = || suspects.iter().filter(|other| other.n != n);
            if suspect.hash == suspect.previous {
                self.findings.add(Fault::Repeated { n });
            } else if hashes.iter().any(|before| suspect.was(n, before, &suspect.body)) {
                neighbours.push(n);
            } else if let Some(other) = others().find(|other| suspect.was(n, &suspect.previous, &other.body)) {
                self.findings.add(Fault::TextOf { n, of: other.n });
            } else if let Some(other) =
                others().find(|other| hashes.iter().any(|before| suspect.was(other.n, before, &suspect.body)))
            {
                self.findings.add(Fault::Moved { n, was: other.n });
            } else {
                self.findings.add(Fault::Edited { n });
            }
        }
        // Right by themselves, and only behind the wrong record: worth saying where nothing else was found.
        if self.findings.faults.is_empty() {
            for n in neighbours {
                self.findings.add(Fault::Edited { n });
            }
        }
    }
}
