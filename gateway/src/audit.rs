//! Audit: what happened, recorded in the transaction of the change itself, then chained and signed by the gateway.
//!
//! Whoever changes state calls [`record`] in the same transaction: a change without its record doesn't happen, nor a record
//! without its change.
//!
//! Security: a record holds ids, addresses, names of rules and fixed words; no subject, no content, no secret, no code.

mod event;
mod record;

pub use event::{Event, FailureCause, How, LetterRead, Order, Proof, Recovery, Statement, Treated, Treatment, Way};
pub use record::record;
