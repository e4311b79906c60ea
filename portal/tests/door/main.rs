//! The portal's routes from outside, with a stand-in for the gateway that answers errands through the vault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

mod account;
mod bench;
mod codes;
mod connections;
mod enrolment;
mod letters;
mod pages;
mod replies;
mod sign_in;
