//! A reply from a browser: opened only as far as it fits the pickup that it claims to answer.
//!
//! The order matters. Shapes first, then the one key packet, then the reply's slip; its MAC or signature before its JSON is
//! parsed; every name in it compared with what the gateway's own store says; each part's hash before the part is opened.
//!
//! Security: uploads are a stranger's bytes. A MAC shows that whoever wrote this held link and share of this very pickup;
//! who owns the mailbox now holds them too. A signature shows that it was the enrolled reader. Which of the two it must be,
//! the caller says and never the upload.

use data_encoding::HEXLOWER_PERMISSIVE;
use sealpost_vault::Identity;
use sealpost_vault::derive::{FieldTooLong, ctx, sha256};
use sealpost_vault::id::{ConversationId, LetterId, PickupId, ReplyId};
use sequoia_openpgp::Packet;
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::packet::PKESK;
use sequoia_openpgp::parse::Parse;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::certificate::ReaderCertificate;
use super::content::{open_content, open_signed_content};
use super::shape::{ShapeError, data_packet, key_packet_to_certificate};
use super::slip::{Entry, Kind};
use super::voice::{Voice, WrongVoice};
use crate::keyring::Keyring;
use crate::message::{Part, PartKind};

const IS_REPLY: &str = "sealpost/v1/reply";
const MAC: usize = 32;
/// Slip, body and enclosures.
const MOST_PARTS: usize = 102;
/// Stored: many times what a hundred entries take.
const LONGEST_SLIP: usize = 256 * 1024;
/// Plain: a very long letter typed by hand.
const LONGEST_TEXT: usize = 4 * 1024 * 1024;
const LONGEST_SUBJECT: usize = 4 * 1024;

/// A reply's content, as its writer meant it. Names and media types are a stranger's: to be cleaned before use.
pub struct OpenedReply {
    pub subject: String,
    pub text: String,
    pub enclosures: Vec<Part>,
}

/// What the gateway's own store says about the pickup that the reply is uploaded for.
pub struct ReplyContext<'a> {
    pub vouching: Vouching<'a>,
    pub pickup: PickupId,
    pub letter: LetterId,
    pub conversation: ConversationId,
    pub reader: &'a Identity,
    pub reply: ReplyId,
}

/// What makes a reply its reader's.
#[derive(Clone, Copy)]
pub enum Vouching<'a> {
    /// The MAC of the pickup's voice key, in front of the slip's JSON.
    Voice(&'a Voice),
    /// A signature of the pinned certificate over the slip's JSON.
    Pinned(&'a ReaderCertificate),
}

/// Why a reply isn't taken.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    #[error("the reply's key packet: {0}")]
    KeyPacket(#[source] ShapeError),
    #[error("part {part} of the reply: {shape}")]
    Shape { part: usize, shape: ShapeError },
    #[error("a reply is a slip, a body and at most a hundred enclosures")]
    Count,
    #[error("the reply's slip, subject or text is too long")]
    TooLong,
    #[error("the reply is not sealed to the organisation's certificate")]
    NotForUs,
    #[error("part {0} of the reply does not open: changed, or sealed under another key")]
    Tampered(usize),
    #[error("the reply's statement: {0}")]
    Voice(#[from] WrongVoice),
    #[error("the reply's slip is not signed by the reader's certificate")]
    Signature,
    #[error("the reply's slip is not well-formed")]
    Malformed,
    #[error("the reply names another {0:?}")]
    Mismatch(Field),
    #[error("part {0} of the reply is not the one that its slip names")]
    Part(usize),
    #[error("the reply's text is not UTF-8")]
    NotText,
    #[error(transparent)]
    FieldTooLong(#[from] FieldTooLong),
}

/// A member of the reply's slip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Is,
    Reply,
    Letter,
    Conversation,
    From,
    Organisation,
}

#[derive(Deserialize)]
struct Kinded {
    is: String,
}

#[derive(Deserialize)]
struct ReplySlip {
    reply: ReplyId,
    letter: LetterId,
    conversation: ConversationId,
    from: String,
    organisation: String,
    #[serde(default)]
    subject: String,
    parts: Vec<Entry>,
}

/// Opens a reply: `parts` are its slip, its body and its enclosures, as uploaded.
pub fn open_reply(
    keyring: &Keyring,
    context: &ReplyContext,
    key_packet: &[u8],
    parts: &[Vec<u8>],
) -> Result<OpenedReply, ReplyError> {
    key_packet_to_certificate(key_packet).map_err(ReplyError::KeyPacket)?;
    if parts.len() > MOST_PARTS {
        return Err(ReplyError::Count);
    }
    for (part, bytes) in parts.iter().enumerate() {
        data_packet(bytes).map_err(|shape| ReplyError::Shape { part, shape })?;
    }
    let [slip, body, enclosures @ ..] = parts else { return Err(ReplyError::Count) };
    if slip.len() > LONGEST_SLIP {
        return Err(ReplyError::TooLong);
    }
    let session_key = session_key(keyring, key_packet)?;
    let open =
        |n: usize, packet: &[u8]| open_content(&session_key, key_packet, packet).map_err(|_| ReplyError::Tampered(n));
    let json = match context.vouching {
        Vouching::Voice(voice) => voiced(keyring, context, voice, open(0, slip)?)?,
        Vouching::Pinned(certificate) => {
            let (json, signature) =
                open_signed_content(&session_key, key_packet, slip).map_err(|_| ReplyError::Tampered(0))?;
            if !certificate.made(&signature, &json) {
                return Err(ReplyError::Signature);
            }
            json
        }
    };
    let slip = read_slip(keyring, context, &json)?;

    let [first, others @ ..] = slip.parts.as_slice() else { return Err(ReplyError::Malformed) };
    if others.len() != enclosures.len() {
        return Err(ReplyError::Count);
    }
    // All hashes before the first part is opened.
    check_entry(first, 1, Kind::Body, body)?;
    for ((n, entry), packet) in (2..).zip(others).zip(enclosures) {
        check_entry(entry, n, Kind::Enclosure, packet)?;
    }
    let sized = |n: usize, entry: &Entry, packet: &[u8]| {
        let mut bytes = open(n, packet)?;
        if bytes.len() as u64 == entry.size { Ok(std::mem::take(&mut *bytes)) } else { Err(ReplyError::Part(n)) }
    };
    let text = sized(1, first, body)?;
    if text.len() > LONGEST_TEXT {
        return Err(ReplyError::TooLong);
    }
    let text = String::from_utf8(text).map_err(|_| ReplyError::NotText)?;
    let mut opened = Vec::with_capacity(enclosures.len());
    for ((n, entry), packet) in (2..).zip(others).zip(enclosures) {
        opened.push(Part {
            kind: PartKind::Enclosure,
            name: entry.name.clone(),
            media_type: entry.media_type.clone(),
            bytes: sized(n, entry, packet)?,
        });
    }
    Ok(OpenedReply { subject: slip.subject, text, enclosures: opened })
}

fn session_key(keyring: &Keyring, key_packet: &[u8]) -> Result<SessionKey, ReplyError> {
    let Ok(Packet::PKESK(PKESK::V6(packet))) = Packet::from_bytes(key_packet) else { return Err(ReplyError::NotForUs) };
    keyring
        .organisation()
        .openers()
        .iter_mut()
        .filter(|key| packet.recipient() == Some(&key.public().fingerprint()))
        .find_map(|key| packet.decrypt(key, None))
        .filter(|key| key.len() == 32)
        .ok_or(ReplyError::NotForUs)
}

/// The JSON behind a MAC that is right.
fn voiced(
    keyring: &Keyring,
    context: &ReplyContext,
    voice: &Voice,
    mut literal: Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, ReplyError> {
    let (mac, json) = literal.split_at_checked(MAC).ok_or(ReplyError::Malformed)?;
    let fields: [&[u8]; 6] = [
        context.pickup.bytes(),
        context.letter.bytes(),
        context.reader.as_str().as_bytes(),
        keyring.fingerprint(),
        context.reply.bytes(),
        &sha256(json),
    ];
    voice.verify(&ctx("say/reply", &fields)?, mac)?;
    literal.drain(..MAC);
    Ok(literal)
}

fn read_slip(keyring: &Keyring, context: &ReplyContext, json: &[u8]) -> Result<ReplySlip, ReplyError> {
    let kinded: Kinded = serde_json::from_slice(json).map_err(|_| ReplyError::Malformed)?;
    if kinded.is != IS_REPLY {
        return Err(ReplyError::Mismatch(Field::Is));
    }
    let slip: ReplySlip = serde_json::from_slice(json).map_err(|_| ReplyError::Malformed)?;
    let fits = |field, fits: bool| if fits { Ok(()) } else { Err(ReplyError::Mismatch(field)) };
    fits(Field::Reply, slip.reply == context.reply)?;
    fits(Field::Letter, slip.letter == context.letter)?;
    fits(Field::Conversation, slip.conversation == context.conversation)?;
    fits(Field::From, slip.from == context.reader.as_str())?;
    fits(Field::Organisation, slip.organisation == keyring.fingerprint_hex())?;
    if slip.subject.len() > LONGEST_SUBJECT { Err(ReplyError::TooLong) } else { Ok(slip) }
}

fn check_entry(entry: &Entry, n: u32, kind: Kind, packet: &[u8]) -> Result<(), ReplyError> {
    let place = n as usize;
    let hash = HEXLOWER_PERMISSIVE.decode(entry.sha256.as_bytes()).map_err(|_| ReplyError::Malformed)?;
    let text = kind == Kind::Enclosure || entry.media_type == "text/plain";
    if entry.n == n && entry.kind == kind && text && hash == sha256(packet) {
        Ok(())
    } else {
        Err(ReplyError::Part(place))
    }
}

#[cfg(test)]
mod tests;
