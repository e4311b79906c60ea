//! SMTP in: what a finished mail transaction hands to the rest of the road.

use std::net::IpAddr;

use sealpost_vault::Time;
use sealpost_vault::id::QueueId;

use crate::Envelope;

/// Which listener a client came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// For the internal mail server.
    Inside,
    /// Takes only bounces to our return addresses.
    Returns,
}

/// Who is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub address: IpAddr,
    pub helo: String,
    pub tls: bool,
    pub door: Door,
}

/// A message as it came: CRLF lines, dots unstuffed, no trace header yet.
pub struct ReceivedMessage {
    pub queue_id: QueueId,
    pub envelope: Envelope,
    pub client: Client,
    pub received_at: Time,
    pub bytes: Vec<u8>,
}
