//! What lies in a spooled message's AEAD: envelope, judgement and bytes.

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

/// Length of the frame as 32 bits big-endian, the frame as JSON, the message's bytes.
pub(super) fn encode(judged: &Judged) -> Result<Vec<u8>, StoreError> {
    let Judged { received, decisions } = judged;
    let json = serde_json::to_vec(&FrameRef {
        envelope: &received.envelope,
        client: &received.client,
        received_at: received.received_at,
        decisions,
    })?;
    let length = u32::try_from(json.len()).map_err(|_| StoreError::Corrupt("an envelope too large to spool"))?;
    // Room for the tag, so that sealing needn't move it.
    let mut out = Vec::with_capacity(4 + json.len() + received.bytes.len() + 64);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&json);
    out.extend_from_slice(&received.bytes);
    Ok(out)
}

pub(super) fn decode(queue_id: QueueId, spooled: Vec<u8>) -> Result<Judged, StoreError> {
    let cut = StoreError::Corrupt("a spooled message that ends early");
    let Some((length, rest)) = spooled.split_first_chunk::<4>() else { return Err(cut) };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let Some((frame, bytes)) = rest.split_at_checked(length) else { return Err(cut) };
    let frame: Frame = serde_json::from_slice(frame)?;
    let received = ReceivedMessage {
        queue_id,
        envelope: frame.envelope,
        client: frame.client,
        received_at: frame.received_at,
        bytes: bytes.to_vec(),
    };
    Ok(Judged { received, decisions: frame.decisions })
}
