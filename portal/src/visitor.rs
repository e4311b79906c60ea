//! Who asks: the client's address, and the session of its browser if there is one.
//!
//! Security: the cookie has the `__Host-` prefix (this host, HTTPS or loopback, no sibling domain can set it), is out of
//! scripts' reach and stays home on requests that other sites make. It lives as long as a session may: phones end
//! browsers without asking, and a reader who fetched the code must find the session again.
//! Standards: RFC 6265.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use sealpost_vault::access;
use sealpost_vault::id::{AccountId, PickupId};
use sealpost_vault::sessions::{self, LONGEST, Milestone, SessionHash, SessionId, SignedIn};

use crate::Portal;
use crate::error::Error;

const COOKIE: &str = "__Host-sealpost";

/// Where a connection comes from; the accept loop puts it beside each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A browser that asks something.
pub struct Visitor {
    pub address: IpAddr,
    /// Of its cookie, if it has one; whether that session lives is the vault's to say.
    session: Option<SessionHash>,
}

impl Visitor {
    /// The session's name; for a browser without cookie nobody's, so that it costs the same work.
    pub fn session(&self) -> SessionHash {
        self.session.unwrap_or_else(SessionHash::nobody)
    }

    /// Refuses clients that ask too often.
    pub fn admit(&self, portal: &Portal) -> Result<(), Error> {
        if portal.rates.admit(self.address, Instant::now()) { Ok(()) } else { Err(Error::TooMany) }
    }

    /// Its living session, or a new one with the cookie to set.
    pub async fn session_or_new(&self, portal: &Portal) -> Result<(SessionHash, Option<HeaderValue>), Error> {
        let now = portal.clock.now();
        let session = self.session();
        if sessions::is_alive(&portal.vault, session, now).await? {
            return Ok((session, None));
        }
        let begun = sessions::begin(&portal.vault, now).await?;
        Ok((begun.hash(), Some(cookie(&begun)?)))
    }

    /// The network that it asks from, for the gateway's back-off: /24 of IPv4, /48 of IPv6.
    pub fn prefix(&self) -> String {
        match self.address.to_canonical() {
            IpAddr::V4(address) => format!("{}/24", Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8))),
            IpAddr::V6(address) => format!("{}/48", Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80))),
        }
    }

    /// Goes on only for a session that is signed in.
    pub async fn must_be_signed_in(&self, portal: &Portal) -> Result<SignedIn, Error> {
        sessions::signed_in(&portal.vault, self.session(), portal.clock.now()).await?.ok_or(Error::SignIn)
    }

    /// Goes on only for a session whose account owns the pickup, or that proved itself for it while its link opens it.
    pub async fn must_be_reader(&self, portal: &Portal, pickup: PickupId) -> Result<Reader, Error> {
        let (session, now) = (self.session(), portal.clock.now());
        if let Some(signed_in) = sessions::signed_in(&portal.vault, session, now).await?
            && access::owns(&portal.vault, signed_in.account, pickup, now).await?
        {
            return Ok(Reader { session, account: Some(signed_in.account) });
        }
        if !sessions::has_proven(&portal.vault, session, pickup, now).await? {
            return Err(Error::NotAvailable);
        }
        if access::by_account_alone(&portal.vault, pickup).await? {
            return Err(Error::SignIn);
        }
        Ok(Reader { session, account: None })
    }

    /// Goes on only for a session that proved itself for this pickup by a code.
    pub async fn must_have_proven(&self, portal: &Portal, pickup: PickupId) -> Result<SessionHash, Error> {
        let session = self.session();
        if sessions::has_proven(&portal.vault, session, pickup, portal.clock.now()).await? {
            Ok(session)
        } else {
            Err(Error::NotAvailable)
        }
    }
}

/// A session that may read a pickup's letter.
pub struct Reader {
    pub session: SessionHash,
    /// Where its account owns the pickup; else a code was shown for it.
    pub account: Option<AccountId>,
}

impl Reader {
    /// True for the session's first time: tell the gateway then.
    pub async fn reach(&self, portal: &Portal, pickup: PickupId, milestone: Milestone) -> Result<bool, Error> {
        let now = portal.clock.now();
        Ok(match self.account {
            Some(_) => sessions::reach_as_owner(&portal.vault, self.session, pickup, milestone, now).await?,
            None => sessions::reach(&portal.vault, self.session, pickup, milestone, now).await?,
        })
    }
}

/// The header that takes a browser's session away.
pub fn no_cookie() -> HeaderValue {
    HeaderValue::from_static("__Host-sealpost=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax")
}

/// The header that gives a browser its session.
pub fn cookie(session: &SessionId) -> Result<HeaderValue, Error> {
    let written = session.written();
    let text = format!("{COOKIE}={}; Path=/; Max-Age={LONGEST}; Secure; HttpOnly; SameSite=Lax", written.as_str());
    let mut value = HeaderValue::from_str(&text).map_err(|_| Error::Busy)?;
    value.set_sensitive(true);
    Ok(value)
}

impl FromRequestParts<Portal> for Visitor {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        Ok(Self { address: client(&portal.proxies, peer, &parts.headers), session: session(&parts.headers) })
    }
}

fn client(proxies: &[IpAddr], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let peer = peer.to_canonical();
    if !proxies.contains(&peer) {
        return peer;
    }
    // The last entry of the last line is the one that our own proxy wrote; all before it is the client's to invent.
    let last = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    last.and_then(|list| list.rsplit(',').next()).and_then(|entry| entry.trim().parse().ok()).unwrap_or(peer)
}

fn session(headers: &HeaderMap) -> Option<SessionHash> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = pairs
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value);
    SessionId::parse(values.next()?).map(|session| session.hash())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_addresses_count_from_our_proxy_only() {
        let proxy: IpAddr = "127.0.0.1".parse().unwrap();
        let stranger: IpAddr = "203.0.113.9".parse().unwrap();
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
            }
            headers
        };
        for (peer, values, expect) in [
            (stranger, &["198.51.100.1"][..], stranger),
            (proxy, &[], proxy),
            (proxy, &["198.51.100.1"], "198.51.100.1".parse().unwrap()),
            (proxy, &["10.0.0.1, 198.51.100.1"], "198.51.100.1".parse().unwrap()),
            (proxy, &["10.0.0.1", "2001:db8::1"], "2001:db8::1".parse().unwrap()),
            (proxy, &["unknown"], proxy),
        ] {
            assert_eq!(client(&[proxy], peer, &headers(values)), expect, "{peer} {values:?}");
        }
    }

    #[test]
    fn the_network_that_tries_are_counted_for() {
        for (address, expect) in [
            ("192.0.2.129", "192.0.2.0/24"),
            ("::ffff:192.0.2.129", "192.0.2.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
            ("::1", "::/48"),
        ] {
            let visitor = Visitor { address: address.parse().unwrap(), session: None };
            assert_eq!(visitor.prefix(), expect, "{address}");
        }
    }

    #[test]
    fn the_cookie_that_goes_has_the_name_and_place_of_the_one_that_came() {
        let given = cookie(&SessionId::random().unwrap()).unwrap();
        let (given, taken) = (given.to_str().unwrap().to_owned(), no_cookie().to_str().unwrap().to_owned());
        let (name, attributes) = given.split_once('=').unwrap();
        let attributes = attributes.split_once(';').unwrap().1.replace(&format!("Max-Age={LONGEST}"), "Max-Age=0");
        assert_eq!(taken, format!("{name}=;{attributes}"));
    }

    #[test]
    fn the_cookie_among_others() {
        let id = SessionId::random().unwrap();
        let mut headers = HeaderMap::new();
        let line = format!("a=b; {COOKIE}={}; x=y", id.written().as_str());
        headers.append(header::COOKIE, HeaderValue::from_str(&line).unwrap());
        assert_eq!(session(&headers), Some(id.hash()));
        headers.insert(header::COOKIE, HeaderValue::from_static("sealpost=AAAA; __Host-sealpost=x"));
        assert_eq!(session(&headers), None);
    }
}
