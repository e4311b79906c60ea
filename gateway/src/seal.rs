//! Sealing, version 1: letters on their way to readers, and what comes back from them.
//!
//! SEALING.md is the specification; the names here are its names. [`seal`] makes the parts of one message, each sealed
//! once, and a slip per letter; [`SealedMessage::pickup`] lets one reader open them with a link and a share,
//! [`SealedMessage::account_key`] another with a certificate of his own, whose checked form is [`ReaderCertificate`];
//! [`open_reply`] and [`verify_opened`] judge what claims to come from a reader.
//!
//! Security: whatever is opened here was uploaded by strangers through a portal that may be broken. Shapes are checked
//! before the OpenPGP library sees the bytes, hashes before anything is decrypted, the voice before JSON is parsed.
//! Errors carry no content.
//! Standards: RFC 9580 (OpenPGP), RFC 5869 (HKDF), RFC 2104 (HMAC).

mod certificate;
mod content;
mod letter;
mod link;
mod pickup;
mod receipt;
mod reply;
pub(crate) mod shape;
mod slip;
mod voice;

pub use certificate::{CertificateError, ReaderCertificate};
pub use letter::{SealError, SealedMessage, SlipPlan, seal};
pub use link::{LinkSecret, LinkSecretError};
pub use pickup::{PickupSecrets, RewrapError, Stored, rewrap};
pub use receipt::{ReceiptError, verify_opened};
pub use reply::{Field, OpenedReply, ReplyContext, ReplyError, Vouching, open_reply};
pub use shape::{
    ShapeError, account_file, data_packet, key_packet_by_password, key_packet_to_certificate, reader_certificate,
    signature,
};
pub use voice::{Voice, WrongVoice};
