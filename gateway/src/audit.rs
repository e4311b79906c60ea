//! Audit: what happened, recorded in the transaction of the change itself, then chained and signed by the gateway.
//!
//! Whoever changes state calls [`record`] in the same transaction: a change without its record doesn't happen, nor a record
//! without its change. The [`Sequencer`] gives each record its place in a chain of hashes and signs the chain's end; whoever
//! [`verify`]s finds what was cut off, edited, put in or reordered since.
//!
//! Nothing is deleted yet. The hashes hold a body's hash, not the body: a job that deletes old bodies would keep their
//! hashes in their place, and everything could still be checked.
//!
//! Security: a record holds ids, addresses, names of rules and fixed words; no subject, no content, no secret, no code.
//! SEALING.md (audit) says what is found and what isn't.

mod chain;
mod check;
mod event;
mod export;
mod record;
mod sequencer;
mod verify;

#[cfg(test)]
mod tests;

pub use chain::{Hash, Head, Signer, hex, unhex};
pub use check::{Fault, Findings, Trusted};
pub use event::{Event, FailureCause, How, LetterRead, Order, Proof, Recovery, Statement, Treated, Treatment, Way};
pub use export::{Start, export, verify_export};
pub(crate) use record::record_with;
pub use record::{record, record_alone};
pub use sequencer::{Chained, Sequencer, newest_head, read_head_file};
pub use verify::verify;
