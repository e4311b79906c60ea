//! The gateway: speaks SMTP, judges, seals, delivers, notifies, answers errands; holds the organisation's keys.
//!
//! Contents, in the order of a message's journey; [`pipeline`] shows the whole road on one screen.

pub mod envelope;
pub mod keyring;
pub mod rejection;

pub mod answers;
pub mod deliver;
pub mod errands;
pub mod hold;
pub mod message;
pub mod notify;
pub mod pipeline;
pub mod policy;
pub mod queue;
pub mod seal;
pub mod smtp;
pub mod spool;

pub use envelope::{BodyType, Envelope, ReversePath};
pub use rejection::Rejection;
