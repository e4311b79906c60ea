//! What one listener allows, with defaults that suit a mail server beside us.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::message::limits;

use super::client_certificate::ClientCertificates;
use super::users::Users;

/// When a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// When the client says STARTTLS.
    OnRequest,
    /// Before the first word (RFC 8314).
    FromTheStart,
}

/// Names, networks and limits of a listener.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our name in the greeting; `<postmaster>` without a domain belongs to it.
    pub hostname: String,
    /// Who may relay at [`super::Door::Inside`].
    pub networks: Vec<IpNet>,
    /// Who may relay by AUTH, from wherever. Offered inside TLS only.
    pub users: Option<Arc<Users>>,
    /// Who may relay by a certificate, from wherever.
    pub certificates: Option<Arc<ClientCertificates>>,
    pub encryption: Encryption,
    /// Peers whose connections begin with a PROXY header.
    pub proxies: Vec<IpNet>,
    /// Peers that may introduce others by XCLIENT.
    pub introducers: Vec<IpNet>,
    /// Octets of a message, as announced by SIZE.
    pub max_size: usize,
    pub max_recipients: usize,
    /// Octets of a message's header.
    pub max_header: usize,
    pub max_header_fields: usize,
    /// Connections of this listener.
    pub max_connections: usize,
    /// Connections of one IPv4 address or one IPv6 /64.
    pub max_per_client: usize,
    /// Octets of all messages that are being received or judged at once.
    pub max_memory: usize,
    /// How long a message waits for its part of it: a client's patience ends too (RFC 5321 4.5.3.2.5: three minutes for a
    /// block).
    pub memory_wait: Duration,
    /// Refused commands in a session since its last accepted message.
    pub max_errors: u32,
    /// Commands that do nothing (NOOP, RSET, VRFY, EHLO) since the last accepted message; more count as errors.
    pub max_idle_commands: u32,
    /// How much longer each error's reply takes than the last one's.
    pub error_delay: Duration,
    /// Failed authentications in a session.
    pub max_auth_failures: u32,
    /// How much longer the answer to each of a client's failed authentications takes, over all its connections.
    pub auth_delay: Duration,
    /// How long a client is watched for talking before the greeting.
    pub greet_wait: Duration,
    /// For one command to arrive whole, for a reply to be taken.
    pub command_timeout: Duration,
    /// For the next octets of a message.
    pub data_timeout: Duration,
    /// Octets per second that a message must average after `rate_grace`.
    pub minimum_rate: u32,
    pub rate_grace: Duration,
    /// How long a message in transit may take to finish when we stop.
    pub stop_grace: Duration,
}

impl Settings {
    pub(super) fn may_relay(&self, address: IpAddr) -> bool {
        lists(&self.networks, address)
    }

    /// Whether a peer must say for whom it speaks.
    pub(super) fn is_proxy(&self, peer: IpAddr) -> bool {
        lists(&self.proxies, peer)
    }

    /// Whether a peer may introduce others.
    pub(super) fn may_introduce(&self, peer: IpAddr) -> bool {
        lists(&self.introducers, peer)
    }
}

fn lists(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            networks: vec![
                IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
                IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
            ],
            users: None,
            certificates: None,
            encryption: Encryption::OnRequest,
            proxies: Vec::new(),
            introducers: Vec::new(),
            max_size: 50 * 1024 * 1024,
            max_recipients: 1000, // RFC 5321 4.5.3.1.8 asks for at least 100
            max_header: limits::HEADER,
            max_header_fields: limits::FIELDS,
            max_connections: 500,
            max_per_client: 50,
            max_memory: 160 * 1024 * 1024,
            memory_wait: Duration::from_secs(60),
            max_errors: 20,
            max_idle_commands: 100,
            error_delay: Duration::from_millis(100),
            max_auth_failures: 3,
            auth_delay: Duration::from_secs(1),
            greet_wait: Duration::from_millis(5),
            command_timeout: Duration::from_secs(300), // RFC 5321 4.5.3.2.7
            data_timeout: Duration::from_secs(180),    // RFC 5321 4.5.3.2.5
            minimum_rate: 512,
            rate_grace: Duration::from_secs(60),
            stop_grace: Duration::from_secs(30),
        }
    }
}
