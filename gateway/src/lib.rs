//! The gateway: speaks SMTP, judges, seals, delivers, notifies, answers errands; holds the organisation's keys.
//!
//! Contents, in the order of a message's journey; [`pipeline`] shows the whole road on one screen.

// what everything else speaks of
pub mod addresses;
pub mod envelope;
pub mod keyring;
pub mod rejection;

// the road in
pub mod message;
pub mod policy;
pub mod smtp;
pub mod spool;

// the road out
pub mod deliver;
pub mod departure;
pub mod dkim;
pub mod loops;
pub mod queue;

// readers with keys of their own
pub mod accounts;
pub mod certificates;
mod encrypt;
pub mod pgp_mime;
pub mod pins;

// what is remembered
pub mod audit;

// letters
pub mod conversations;
pub mod hold;
pub mod notify;
pub mod pickups;
pub mod seal;

// what comes back
pub mod answers;
pub mod codes;
pub mod errands;
pub mod expiry;
pub mod returns;

pub mod pipeline;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use envelope::{
    BodyType, Charset, Dsn, Envelope, Notify, OriginalRecipient, RecipientDsn, Return, ReversePath, Xtext,
};
pub use pipeline::{Gateway, Settings};
pub use rejection::Rejection;
