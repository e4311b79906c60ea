//! Stories: the product beside real programs (Postfix in front and behind, Chromium, PostgreSQL, Node.js), one binary.
//!
//! The modules down to [`sealpost`] are the harness: each starts one program in a directory of its own, on ports found
//! when it starts, and takes it down again whatever happens to the test. [`programs`] proves each of them alone.
//! A missing program fails a story; none is skipped. Postfix and PostgreSQL change users, so the stories run as root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that can't go on stops"
)]

mod browser;
mod certificates;
mod disk;
mod exim;
mod hop;
mod http;
mod maildir;
mod node;
mod opened;
mod patience;
mod ports;
mod postfix;
mod postgres;
mod process;
mod reader;
mod scratch;
mod sealpost;
#[path = "../../gateway/tests/road/openpgp.rs"]
#[expect(dead_code, reason = "what a reader sends is sealed by browsers here")]
mod sequoia;
mod smtp;
mod world;

mod programs;

mod accounts;
mod administration;
mod audit;
mod bells;
mod broken_portal;
mod crashes;
mod demo;
mod dkim;
mod doors;
mod durability;
mod encryption;
mod endings;
mod gateways;
mod holding;
mod hostile;
mod keys;
mod kills;
mod links;
mod loops;
mod main_job;
mod openpgp;
mod opensmtpd;
mod organisation_keys;
mod peers;
mod refusals;
mod relaying;
mod roles;
mod smarthost;
mod trouble;
