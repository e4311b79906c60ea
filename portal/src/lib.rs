//! The portal's door: speaks HTTP to browsers; stores and hands out sealed content only.
//!
//! It has no key that opens content and no type that could hold content: what browsers upload and download are opaque
//! bytes of bounded size. What it can't do itself (mail a code, take a reply) it asks of the gateway by errands in the
//! vault, and waits for the answer there.
//!
//! Contents, in the order in which a request meets them: [`serve`] accepts connections; [`Portal::router`] leads to the
//! routes behind the limits and headers of every answer; a visitor is a browser with or without a session; pages are
//! templates beside their handlers; errors have one type; housekeeping forgets.
//!
//! Security: whatever comes in is hostile; unknown, foreign, withdrawn and expired things get the same answer.
//! Standards: RFC 9110, RFC 9112, RFC 6265 and its successor draft (`__Host-` cookies), W3C Content Security Policy 3.

mod assets;
mod body;
mod colour;
mod door;
mod error;
mod headers;
mod housekeeping;
mod logo;
mod page;
mod portal;
mod rate;
mod routes;
mod visitor;

pub use door::serve;
pub use logo::LogoError;
pub use portal::{Portal, PortalError, Settings};
