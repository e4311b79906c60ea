//! What is sealed of a spooled message: envelope, judgement and bytes.

use std::io::Read;

use serde::{Deserialize, Serialize};

use sealpost_vault::clock::Time;
use sealpost_vault::db::StoreError;
use sealpost_vault::id::QueueId;

use super::{Decision, Judged};
use crate::envelope::Envelope;
use crate::smtp::{Client, ReceivedMessage};

#[derive(Serialize)]
struct FrameRef<'a> {
    envelope: &'a Envelope,
    client: &'a Client,
    received_at: Time,
    decisions: &'a [Decision],
}

#[derive(Deserialize)]
struct Frame {
    envelope: Envelope,
    client: Client,
    received_at: Time,
    decisions: Vec<Decision>,
}

/// What comes before the message's bytes: length of the frame as 32 bits big-endian, the frame as JSON.
pub(super) fn head(judged: &Judged) -> Result<Vec<u8>, StoreError> {
    let Judged { received, decisions } = judged;
    let json = serde_json::to_vec(&FrameRef {
        envelope: &received.envelope,
        client: &received.client,
        received_at: received.received_at,
        decisions,
    })?;
    let length = u32::try_from(json.len()).map_err(|_| StoreError::Corrupt("an envelope too large to spool"))?;
    let mut head = Vec::with_capacity(4 + json.len());
    head.extend_from_slice(&length.to_be_bytes());
    head.extend_from_slice(&json);
    Ok(head)
}

pub(super) fn encode(mut head: Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    // Room for the tag, so that sealing needn't move it.
    head.reserve_exact(bytes.len() + 64);
    head.extend_from_slice(bytes);
    head
}

/// What [`head`] made, and the bytes behind it, of `length` octets together.
pub(super) fn read(queue_id: QueueId, from: &mut impl Read, length: u64) -> Result<Judged, StoreError> {
    let mut frame_length = [0; 4];
    from.read_exact(&mut frame_length)?;
    let frame_length = u64::from(u32::from_be_bytes(frame_length));
    let cut = || StoreError::Corrupt("a spooled message that ends early");
    let left = length.checked_sub(4 + frame_length).ok_or_else(cut)?;
    let octets = |length| usize::try_from(length).map_err(|_| cut());
    let mut frame = vec![0; octets(frame_length)?];
    from.read_exact(&mut frame)?;
    let frame: Frame = serde_json::from_slice(&frame)?;
    // Exactly so much: it is held for long, next to others.
    let mut bytes = Vec::with_capacity(octets(left)?);
    from.read_to_end(&mut bytes)?;
    Ok(frame.with(queue_id, bytes))
}

pub(super) fn decode(queue_id: QueueId, spooled: Vec<u8>) -> Result<Judged, StoreError> {
    let cut = StoreError::Corrupt("a spooled message that ends early");
    let Some((length, rest)) = spooled.split_first_chunk::<4>() else { return Err(cut) };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let Some((frame, bytes)) = rest.split_at_checked(length) else { return Err(cut) };
    let frame: Frame = serde_json::from_slice(frame)?;
    Ok(frame.with(queue_id, bytes.to_vec()))
}

impl Frame {
    fn with(self, queue_id: QueueId, bytes: Vec<u8>) -> Judged {
        let received = ReceivedMessage {
            queue_id,
            envelope: self.envelope,
            client: self.client,
            received_at: self.received_at,
            bytes,
        };
        Judged { received, decisions: self.decisions }
    }
}
