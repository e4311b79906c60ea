//! Next hops: which hosts take the mail of a route or of a domain, in which order, and what their connections must be.
//!
//! Later ways to find hosts (the recipient's own MX records, MTA-STS, DANE) end in a [`Destination`] too.

use std::collections::HashMap;

use crate::queue::Route;

/// One host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NextHop {
    pub host: String,
    pub port: u16,
    pub tls: TlsMode,
}

/// What a next hop's connection must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// In clear, even where STARTTLS is offered.
    Off,
    /// TLS where it is offered and works, to whoever answers; else in clear. Keeps out who only listens.
    Opportunistic,
    /// TLS with a certificate that is valid for the host's name, or not at all.
    Required,
}

/// Hosts that can stand in for one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// At least one.
    pub hops: Vec<NextHop>,
    pub choice: Choice,
}

/// Where a mail's tries begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// With the first; the others are for when it can't be reached.
    #[default]
    InOrder,
    /// Anywhere, evenly: the hosts share the load. One that stands there twice gets twice as much.
    Spread,
}

impl Destination {
    /// The hosts in the order in which they are to be tried, each once; `random` is any number, evenly distributed.
    pub(super) fn order(&self, random: u32) -> Vec<&NextHop> {
        let start = match self.choice {
            Choice::InOrder => 0,
            Choice::Spread => usize::try_from(random).unwrap_or(0) % self.hops.len().max(1),
        };
        let mut order: Vec<&NextHop> = Vec::new();
        for hop in self.hops.iter().cycle().skip(start).take(self.hops.len()) {
            if !order.contains(&hop) {
                order.push(hop);
            }
        }
        order
    }
}

impl From<NextHop> for Destination {
    fn from(hop: NextHop) -> Self {
        Self { hops: vec![hop], choice: Choice::InOrder }
    }
}

/// Where all mail goes, and the name by which we introduce ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hops {
    pub inside: Destination,
    pub outside: Destination,
    /// Domains (as in [`sealpost_vault::EmailAddress::domain`]) whose mail goes another way than their route's.
    pub domains: HashMap<String, Destination>,
    /// Ours, in EHLO.
    pub hostname: String,
}

impl Hops {
    /// Where a recipient's mail goes.
    pub fn of(&self, route: Route, domain: &str) -> &Destination {
        self.domains.get(domain).unwrap_or(match route {
            Route::Inside => &self.inside,
            Route::Outside => &self.outside,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(host: &str) -> NextHop {
        NextHop { host: host.to_owned(), port: 25, tls: TlsMode::Off }
    }

    fn order(choice: Choice, random: u32, hosts: &[&str]) -> String {
        let destination = Destination { hops: hosts.iter().map(|host| hop(host)).collect(), choice };
        destination.order(random).iter().map(|hop| hop.host.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn orders() {
        for (choice, random, hosts, expected) in [
            (Choice::InOrder, 1, &["a", "b", "c"][..], "a b c"),
            (Choice::Spread, 0, &["a", "b", "c"], "a b c"),
            (Choice::Spread, 1, &["a", "b", "c"], "b c a"),
            (Choice::Spread, 5, &["a", "b", "c"], "c a b"),
            (Choice::Spread, 1, &["a", "a", "b"], "a b"),
            (Choice::Spread, 2, &["a", "a", "b"], "b a"),
            (Choice::Spread, u32::MAX, &["a"], "a"),
            (Choice::Spread, 7, &[], ""),
        ] {
            assert_eq!(order(choice, random, hosts), expected, "{choice:?} {random} {hosts:?}");
        }
    }

    #[test]
    fn a_domains_own_way_comes_before_its_routes() {
        let hops = Hops {
            inside: hop("in").into(),
            outside: hop("out").into(),
            domains: HashMap::from([("partner.example".to_owned(), hop("partner").into())]),
            hostname: "gw".to_owned(),
        };
        for (route, domain, host) in [
            (Route::Outside, "partner.example", "partner"),
            (Route::Inside, "partner.example", "partner"),
            (Route::Outside, "x.partner.example", "out"),
            (Route::Inside, "klinik.example", "in"),
        ] {
            assert_eq!(hops.of(route, domain).hops[0].host, host, "{domain}");
        }
    }
}
