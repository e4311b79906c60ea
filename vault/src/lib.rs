//! The vault: where gateway and portal meet.
//!
//! Both processes read and write one database and one blob store here and never call each other. Everything in it is
//! sealed content, opaque bytes of bounded size, or metadata; no type of this crate can open content.
//! Every table has one writer, named in its migration and in the module that writes it.
//!
//! Contents, in the order of a letter's life:
//! [`EmailAddress`] and the [`id`]s name things; [`Db`] and [`BlobStore`] keep them; [`letters`] are what the gateway
//! puts here; [`sessions`] are browsers that proved themselves; [`errands`] are what the portal asks of the gateway;
//! [`accounts`] are readers who come back, [`access`] says what a session may read; [`uploads`] are sealed replies on their
//! way in, [`own_replies`] those that their writers may read again; the [`bell`] wakes whoever should look; [`grants`] hold
//! each side to its own tables on PostgreSQL; what both say [`seldom`] fills no log.
//!
//! Security: whatever the gateway reads here is input from outside. A broken portal can write any row.

pub mod access;
pub mod accounts;
pub mod address;
pub mod bell;
pub mod blobs;
pub mod clock;
pub mod db;
pub mod derive;
pub mod errands;
pub mod grants;
pub mod id;
pub mod letters;
pub mod own_replies;
pub mod seldom;
pub mod sessions;
pub mod uploads;

pub use address::{AddressError, EmailAddress, Identity};
pub use blobs::BlobStore;
pub use clock::{Clock, Time};
pub use db::{Db, Engine, StoreError};
