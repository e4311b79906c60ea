//! A connection to a next hop, from the TCP handshake to QUIT.
//!
//! Security: what the server offered before TLS is forgotten when TLS stands. Required TLS fails where anything about it
//! fails; opportunistic TLS falls back to clear where it isn't offered, is refused, or the handshake fails, but not where
//! somebody spoke in between.
//! Standards: RFC 5321 3.1, 3.2, 4.1.1.1; RFC 3207.

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::reply::Reply;
use super::transaction::Ended;
use super::wire::{Broken, Stream, Wire};
use super::{
    Failure, Handover, MOST_RECIPIENTS, NextHop, Outcome, Requests, Taken, Timeouts, TlsMode, Transmission, Trust,
};

/// Opens connections and hands mails over. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    hostname: String,
    trust: Trust,
    pub(super) timeouts: Timeouts,
}

impl Client {
    /// `hostname` is ours.
    pub fn new(hostname: &str, trust: Trust, timeouts: Timeouts) -> Self {
        Self { hostname: hostname.to_owned(), trust, timeouts }
    }

    /// Connects and hands one mail over. Never fails as such: what went wrong is each recipient's outcome.
    pub async fn deliver(&self, hop: &NextHop, mail: Transmission<'_>) -> Handover {
        let handover = async {
            match self.connect(hop).await {
                Ok(mut connection) => {
                    let outcomes = connection.transact(mail).await;
                    Handover { outcomes, connection: connection.if_usable() }
                }
                Err(broken) => {
                    tracing::info!(hop = %hop.host, port = hop.port, error = ?broken, "no connection");
                    all_later(mail, &broken.failure())
                }
            }
        };
        match timeout(self.timeouts.whole, handover).await {
            Ok(handover) => handover,
            // Whatever had been accepted just then is sent twice; a mail that is lost would be worse.
            Err(_) => all_later(mail, &Broken::TooSlow.failure()),
        }
    }

    /// A connection that is ready for mail.
    pub(super) async fn connect(&self, hop: &NextHop) -> Result<Connection, Broken> {
        match self.connect_with(hop, hop.tls).await {
            Err(Broken::Tls(error)) if hop.tls == TlsMode::Opportunistic => {
                tracing::warn!(hop = %hop.host, port = hop.port, %error, "TLS failed, trying in clear");
                self.connect_with(hop, TlsMode::Off).await
            }
            result => result,
        }
    }

    async fn connect_with(&self, hop: &NextHop, mode: TlsMode) -> Result<Connection, Broken> {
        let tcp = timeout(self.timeouts.connect, TcpStream::connect((hop.host.as_str(), hop.port)))
            .await
            .map_err(|_| Broken::TooSlow)?
            .map_err(Broken::Unreachable)?;
        // Commands are short and each waits for its reply.
        let _ = tcp.set_nodelay(true);
        let mut wire = Wire::new(Stream::Clear(tcp));
        let greeting = wire.reply(self.timeouts.greeting).await?;
        if !greeting.is_positive() {
            return Err(Broken::NotReady(greeting));
        }
        let mut offers = self.hello(&mut wire).await?;
        if mode == TlsMode::Required && !offers.starttls {
            return Err(Broken::TlsMissing);
        }
        if mode != TlsMode::Off && offers.starttls {
            wire.send(b"STARTTLS\r\n", self.timeouts.command).await?;
            let reply = wire.reply(self.timeouts.command).await?;
            if reply.code == 220 {
                wire = self.start_tls(wire, hop, mode).await?;
                offers = self.hello(&mut wire).await?;
            } else if mode == TlsMode::Required {
                return Err(Broken::TlsMissing);
            }
        }
        Ok(Connection { wire, offers, timeouts: self.timeouts, state: State::Ready })
    }

    async fn start_tls(&self, wire: Wire, hop: &NextHop, mode: TlsMode) -> Result<Wire, Broken> {
        let tcp = wire.into_tcp()?;
        let name = ServerName::try_from(hop.host.clone()).map_err(|_| Broken::Name)?;
        let config = match mode {
            TlsMode::Required => &self.trust.verified,
            TlsMode::Opportunistic | TlsMode::Off => &self.trust.anybody,
        };
        let handshake = TlsConnector::from(config.clone()).connect(name, tcp);
        let tls = timeout(self.timeouts.handshake, handshake)
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(Broken::Tls)?;
        Ok(Wire::new(Stream::Tls(Box::new(tls))))
    }

    /// EHLO, or HELO where the server doesn't know it.
    async fn hello(&self, wire: &mut Wire) -> Result<Offers, Broken> {
        wire.send(format!("EHLO {}\r\n", self.hostname).as_bytes(), self.timeouts.command).await?;
        let reply = wire.reply(self.timeouts.command).await?;
        if reply.is_positive() {
            return Ok(Offers::parse(&reply));
        }
        if !reply.is_permanent() {
            return Err(Broken::NotReady(reply));
        }
        wire.send(format!("HELO {}\r\n", self.hostname).as_bytes(), self.timeouts.command).await?;
        let reply = wire.reply(self.timeouts.command).await?;
        if reply.is_positive() { Ok(Offers::default()) } else { Err(Broken::NotReady(reply)) }
    }
}

fn all_later(mail: Transmission<'_>, failure: &Failure) -> Handover {
    let outcomes = mail.recipients.iter().map(|_| Outcome::Later(failure.clone())).collect();
    Handover { outcomes, connection: None }
}

/// What the server offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offers {
    pub(super) starttls: bool,
    pub(super) pipelining: bool,
    pub(super) eight_bit_mime: bool,
    pub(super) smtp_utf8: bool,
    pub(super) dsn: bool,
    pub(super) size: Size,
}

/// The SIZE extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Size {
    #[default]
    NotOffered,
    /// Offered, without a limit that we could know.
    Offered,
    /// No mail larger than this, in bytes.
    Limit(u64),
}

impl Offers {
    fn parse(reply: &Reply) -> Self {
        let mut offers = Self::default();
        // The first line is the server's name.
        for line in reply.lines.iter().skip(1) {
            let line = String::from_utf8_lossy(line).to_ascii_uppercase();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("STARTTLS") => offers.starttls = true,
                Some("PIPELINING") => offers.pipelining = true,
                Some("8BITMIME") => offers.eight_bit_mime = true,
                Some("SMTPUTF8") => offers.smtp_utf8 = true,
                Some("DSN") => offers.dsn = true,
                Some("SIZE") => {
                    // RFC 1870 4: no number, or zero, is no limit.
                    offers.size = match words.next().and_then(|limit| limit.parse().ok()) {
                        None | Some(0) => Size::Offered,
                        Some(limit) => Size::Limit(limit),
                    }
                }
                _ => {}
            }
        }
        offers
    }
}

/// Whether another transaction may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// Was kept for some time: what comes next begins with RSET.
    Rested,
    Broken,
}

/// A connection that is ready for mail.
#[derive(Debug)]
pub struct Connection {
    pub(super) wire: Wire,
    pub(super) offers: Offers,
    pub(super) timeouts: Timeouts,
    pub(super) state: State,
}

impl Connection {
    /// Hands one mail over; one outcome for each recipient.
    pub async fn transact(&mut self, mail: Transmission<'_>) -> Vec<Outcome> {
        self.run(mail, &Requests::default()).await.into_outcomes()
    }

    pub(super) async fn run(&mut self, mail: Transmission<'_>, requests: &Requests) -> Ended {
        debug_assert!(mail.recipients.len() <= MOST_RECIPIENTS);
        super::transaction::run(self, mail, requests).await
    }

    /// Whether the next hop hears what its mails' senders asked for.
    pub(super) fn takes_requests(&self) -> Taken {
        if self.offers.dsn { Taken::Over } else { Taken::Not }
    }

    /// This connection, unless its dialogue went wrong.
    pub(super) fn if_usable(self) -> Option<Self> {
        (self.state == State::Ready).then_some(self)
    }

    /// A connection that was kept, unless the server has hung up or said something meanwhile.
    pub(super) fn if_still_quiet(mut self) -> Option<Self> {
        self.state = State::Rested;
        self.wire.is_quiet().then_some(self)
    }

    /// Whether TLS protects it.
    pub fn is_encrypted(&self) -> bool {
        !self.wire.is_clear()
    }

    /// Says goodbye; whether the server answers changes nothing.
    pub async fn quit(mut self) {
        if self.wire.send(b"QUIT\r\n", self.timeouts.quit).await.is_ok() {
            let _ = self.wire.reply(self.timeouts.quit).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers() {
        let parse = |lines: &[&str]| {
            let lines = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
            Offers::parse(&Reply { code: 250, lines })
        };
        assert_eq!(parse(&["STARTTLS"]), Offers::default(), "the first line is a name");
        assert_eq!(
            parse(&["hop", "starttls", "Pipelining", "8bitmime", "SIZE 1000", "X-OTHER SIZE 1"]),
            Offers {
                starttls: true,
                pipelining: true,
                eight_bit_mime: true,
                size: Size::Limit(1000),
                ..Offers::default()
            }
        );
        let both = Offers { smtp_utf8: true, dsn: true, ..Offers::default() };
        assert_eq!(parse(&["hop", "SMTPUTF8", "dsn"]), both);
        for unlimited in ["SIZE", "SIZE 0", "SIZE x", "SIZE 99999999999999999999999"] {
            assert_eq!(parse(&["hop", unlimited]).size, Size::Offered, "{unlimited}");
        }
    }
}
