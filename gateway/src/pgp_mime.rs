//! PGP/MIME: mail for people who have OpenPGP keys of their own.
//!
//! [`protect`] makes of a mail as it would be relayed one that only its recipients open: the whole content and the header
//! fields go inside, signed and then encrypted; body and attachments byte for byte. Outside stays what delivery and
//! threading need. [`already_protected`] recognises what the sender protected himself, by its content.
//!
//! There is no I/O here: certificates come judged ([`UsableCert`]), the signing key comes from the keyring.
//!
//! Security: who sees each other shares a copy; a hidden recipient gets one of his own, so that no key id tells of him.
//! That is the caller's part; here every certificate given becomes a key packet, and no other does. No Bcc field is ever
//! copied. Signatures are SHA-256; the literal is binary, so that no program changes line endings.
//! Standards: RFC 3156 (PGP/MIME), RFC 9580 (OpenPGP), RFC 9788 (header protection), RFC 5652 and RFC 5083 (recognising S/MIME).

mod armor;
mod cms;
mod container;
mod fields;
mod key_packet;
mod openpgp;
mod recognise;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpost_vault::Time;
use sealpost_vault::id::{NoRandomness, random};

use crate::certificates::UsableCert;
use crate::keyring::OwnSigner;
use openpgp::Target;

pub use recognise::{Encrypted, Protection, already_protected};

/// Why a mail could not be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum PgpMimeError {
    /// Encrypting to nobody would lose the mail.
    #[error("there is no recipient to encrypt to")]
    NoRecipients,
    #[error("the organisation's mail certificate has no key that signs at this moment")]
    NoSigner,
    #[error("the header section can't be read")]
    Header,
    #[error("the OpenPGP library refused")]
    OpenPgp(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// The mail for the holders of `recipients`' keys. `message` is the raw mail as it would be relayed: tags and control
/// headers are out; `trace` is the header field that goes in front. All recipients learn of each other.
///
/// Takes as long as encrypting does, and about two and a half times the message's size in memory: not for an async thread.
///
/// # Errors
/// No recipient, or a header that isn't one; never for the content's sake.
pub(crate) fn protect(
    message: &[u8],
    trace: &str,
    recipients: &[UsableCert],
    signer: Option<OwnSigner>,
    now: Time,
) -> Result<Vec<u8>, PgpMimeError> {
    let targets: Vec<Target<'_>> = recipients.iter().map(Target::from).collect();
    wrap(message, trace, &targets, signer, now)
}

fn wrap(
    message: &[u8],
    trace: &str,
    targets: &[Target<'_>],
    signer: Option<OwnSigner>,
    now: Time,
) -> Result<Vec<u8>, PgpMimeError> {
    let mail = fields::Mail::read(message, &boundary()?)?;
    let boundary = boundary()?;
    // Base64 with line endings takes 66 octets for 48, and there is a tag for each chunk.
    let room = message.len().saturating_mul(7).div_ceil(5);
    let mut out = Vec::with_capacity(room.saturating_add(mail.outside.len()).saturating_add(8192));
    out.extend_from_slice(trace.as_bytes());
    out.extend_from_slice(&mail.outside);
    // RFC 3156 4
    let frame = format!(
        "MIME-Version: 1.0\r\n\
         Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\";\r\n\tboundary=\"{boundary}\"\r\n\
         \r\n\
         --{boundary}\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n\
         --{boundary}\r\nContent-Type: application/octet-stream; name=\"encrypted.asc\"\r\n\
         Content-Disposition: inline; filename=\"encrypted.asc\"\r\n\r\n"
    );
    out.extend_from_slice(frame.as_bytes());
    openpgp::encrypt(&mut out, &[&mail.inside, mail.body, &mail.end], targets, signer, now)?;
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    Ok(out)
}

/// 144 random bits: no content can hold it.
fn boundary() -> Result<String, NoRandomness> {
    Ok(format!("=_{}", URL_SAFE_NO_PAD.encode(random::<18>()?)))
}
