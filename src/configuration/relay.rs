//! How mail leaves: the hosts of each way, and how long and how often they are tried.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use sealpost_gateway::deliver::{Choice, Destination, Hops, Limits, NextHop, Timeouts, TlsMode};
use sealpost_gateway::queue::Manner;
use sealpost_vault::address::domain_of;
use serde::Deserialize;

use super::{Configuration, Tls};

/// `host:port`, or several of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum NextHops {
    One(String),
    Several(Vec<String>),
}

/// What is the same for all ways out, and the ways of single domains.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Relay {
    domain: Vec<Domain>,
    order: Order,
    pub lifetime_days: u32,
    /// In hours; 0: never.
    warn_after: u32,
    connections: usize,
    mails_per_connection: u32,
    // In seconds, all that follow.
    idle: u64,
    down: u64,
    connect_timeout: u64,
    greeting_timeout: u64,
    command_timeout: u64,
    handshake_timeout: u64,
    data_timeout: u64,
    block_timeout: u64,
    end_timeout: u64,
    whole_timeout: u64,
}

/// Domains whose mail goes another way.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Domain {
    domains: Vec<String>,
    next_hop: NextHops,
    #[serde(default)]
    tls: Tls,
    #[serde(default)]
    order: Order,
}

/// Which of several hosts comes first.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    #[default]
    AsListed,
    Spread,
}

impl Default for Relay {
    fn default() -> Self {
        let (timeouts, limits) = (Timeouts::default(), Limits::default());
        Self {
            domain: Vec::new(),
            order: Order::AsListed,
            lifetime_days: 5,
            warn_after: 4,
            connections: limits.connections,
            mails_per_connection: limits.mails,
            idle: limits.idle.as_secs(),
            down: limits.down.as_secs(),
            connect_timeout: timeouts.connect.as_secs(),
            greeting_timeout: timeouts.greeting.as_secs(),
            command_timeout: timeouts.command.as_secs(),
            handshake_timeout: timeouts.handshake.as_secs(),
            data_timeout: timeouts.data.as_secs(),
            block_timeout: timeouts.block.as_secs(),
            end_timeout: timeouts.end.as_secs(),
            whole_timeout: timeouts.whole.as_secs(),
        }
    }
}

impl Relay {
    pub(super) fn manner(&self) -> Manner {
        let seconds = Duration::from_secs;
        Manner {
            timeouts: Timeouts {
                connect: seconds(self.connect_timeout),
                greeting: seconds(self.greeting_timeout),
                command: seconds(self.command_timeout),
                handshake: seconds(self.handshake_timeout),
                data: seconds(self.data_timeout),
                block: seconds(self.block_timeout),
                end: seconds(self.end_timeout),
                whole: seconds(self.whole_timeout),
                ..Timeouts::default()
            },
            limits: Limits {
                connections: self.connections,
                mails: self.mails_per_connection,
                idle: seconds(self.idle),
                down: seconds(self.down),
                ..Limits::default()
            },
            warn_after: (self.warn_after > 0).then(|| seconds(u64::from(self.warn_after) * 3_600)),
        }
    }
}

impl NextHops {
    fn written(&self) -> &[String] {
        match self {
            Self::One(hop) => std::slice::from_ref(hop),
            Self::Several(hops) => hops,
        }
    }
}

impl fmt::Display for NextHops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written().join(", "))
    }
}

/// What is wrong with it, in words.
pub(super) fn check(configuration: &Configuration) -> Result<(), String> {
    let relay = &configuration.relay;
    if relay.lifetime_days == 0 {
        return Err("relay.lifetime-days is 0: what can't be delivered at once would come back at once".to_owned());
    }
    for (name, value) in [
        ("connections", u64::try_from(relay.connections).unwrap_or(u64::MAX)),
        ("mails-per-connection", u64::from(relay.mails_per_connection)),
        ("connect-timeout", relay.connect_timeout),
        ("greeting-timeout", relay.greeting_timeout),
        ("command-timeout", relay.command_timeout),
        ("handshake-timeout", relay.handshake_timeout),
        ("data-timeout", relay.data_timeout),
        ("block-timeout", relay.block_timeout),
        ("end-timeout", relay.end_timeout),
        ("whole-timeout", relay.whole_timeout),
    ] {
        if value == 0 {
            return Err(format!("relay.{name} is 0: nothing could be delivered"));
        }
    }
    hops(configuration).map(|_| ())
}

pub(super) fn hops(configuration: &Configuration) -> Result<Hops, String> {
    let (inside, outside, relay) = (&configuration.inside, &configuration.outside, &configuration.relay);
    let mut domains = HashMap::new();
    for way in &relay.domain {
        let to = destination("relay.domain.next-hop", &way.next_hop, way.tls, way.order)?;
        for domain in &way.domains {
            let name = domain_of(domain).map_err(|_| format!("relay.domain: {domain:?} is no domain"))?;
            if domains.insert(name, to.clone()).is_some() {
                return Err(format!("relay.domain: {domain:?} stands there twice"));
            }
        }
    }
    Ok(Hops {
        inside: destination("inside.next-hop", &inside.next_hop, inside.tls, relay.order)?,
        outside: destination("outside.next-hop", &outside.next_hop, outside.tls, relay.order)?,
        domains,
        hostname: configuration.smtp.hostname.clone(),
    })
}

fn destination(name: &str, hops: &NextHops, tls: Tls, order: Order) -> Result<Destination, String> {
    let hops: Vec<NextHop> = hops.written().iter().map(|text| next_hop(name, text, tls)).collect::<Result<_, _>>()?;
    if hops.is_empty() {
        return Err(format!("{name} is empty: its mail could go nowhere"));
    }
    let choice = match order {
        Order::AsListed => Choice::InOrder,
        Order::Spread => Choice::Spread,
    };
    Ok(Destination { hops, choice })
}

fn next_hop(name: &str, text: &str, tls: Tls) -> Result<NextHop, String> {
    let (host, port) = text
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)))
        .filter(|(host, _)| !host.is_empty())
        .ok_or_else(|| format!("{name}: {text:?} must be written host:port"))?;
    let tls = match tls {
        Tls::Off => TlsMode::Off,
        Tls::Opportunistic => TlsMode::Opportunistic,
        Tls::Required => TlsMode::Required,
    };
    Ok(NextHop { host: host.trim_matches(['[', ']']).to_owned(), port, tls })
}
