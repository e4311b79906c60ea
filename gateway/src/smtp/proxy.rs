//! The header of PROXY protocol version 2, by which a load balancer says for whom it speaks.
//!
//! Only the addresses of TCP connections are taken. A header that names none is no reason to take the balancer's own address
//! for the client's, because that address may be inside: it is refused.
//!
//! Security: read only from listed peers, octet for octet, before anything else; its length is bounded before it is read.
//!
//! Standards: haproxy's proxy-protocol.txt 2.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What every header begins with: no text of any other protocol does.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
pub(super) const PREFIX: usize = 16;
/// Octets after the prefix: addresses and what balancers add. The standard's own example of much is 536.
const LONGEST: u16 = 2048;

/// Why a header isn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProxyError {
    #[error("no PROXY header of version 2")]
    NoHeader,
    #[error("the PROXY header is too long")]
    TooLong,
    #[error("the PROXY header names no TCP connection")]
    NoAddress,
}

/// For whom the peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// For itself, to see whether we live.
    Itself,
    Client(IpAddr),
}

/// How many octets follow the prefix.
pub(super) fn length(prefix: &[u8; PREFIX]) -> Result<usize, ProxyError> {
    let (signature, rest) = prefix.split_first_chunk::<12>().ok_or(ProxyError::NoHeader)?;
    let [command, _, high, low] = *rest else { return Err(ProxyError::NoHeader) };
    if *signature != SIGNATURE || command >> 4 != 2 || command & 0xf > 1 {
        return Err(ProxyError::NoHeader);
    }
    let length = u16::from_be_bytes([high, low]);
    if length > LONGEST { Err(ProxyError::TooLong) } else { Ok(usize::from(length)) }
}

/// From a whole header.
pub(super) fn speaker(prefix: &[u8; PREFIX], body: &[u8]) -> Result<Speaker, ProxyError> {
    if body.len() != length(prefix)? {
        return Err(ProxyError::NoHeader);
    }
    let [.., command, family, _, _] = *prefix;
    if command & 0xf == 0 {
        return Ok(Speaker::Itself);
    }
    let address = match family {
        // Source, destination, two ports.
        0x11 if body.len() >= 12 => body.first_chunk::<4>().map(|octets| IpAddr::V4(Ipv4Addr::from(*octets))),
        0x21 if body.len() >= 36 => body.first_chunk::<16>().map(|octets| IpAddr::V6(Ipv6Addr::from(*octets))),
        _ => None,
    };
    address.map(|address| Speaker::Client(address.to_canonical())).ok_or(ProxyError::NoAddress)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, body: &[u8]) -> Result<Speaker, ProxyError> {
        let mut prefix = [0; PREFIX];
        prefix[..12].copy_from_slice(&SIGNATURE);
        prefix[12] = command;
        prefix[13] = family;
        prefix[14..].copy_from_slice(&(body.len() as u16).to_be_bytes());
        speaker(&prefix, body)
    }

    fn client(address: &str) -> Result<Speaker, ProxyError> {
        Ok(Speaker::Client(address.parse().unwrap()))
    }

    #[test]
    fn headers() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x80, 1, 0, 25];
        let mut v6 = [0; 36];
        v6[..16].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        let mut mapped = v6;
        mapped[..16].copy_from_slice(&"::ffff:127.0.0.1".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(header(0x21, 0x11, &v4), client("192.0.2.7"));
        assert_eq!(header(0x21, 0x21, &v6), client("2001:db8::7"));
        assert_eq!(header(0x21, 0x21, &mapped), client("127.0.0.1"));
        assert_eq!(header(0x21, 0x11, &[&v4[..], &[3; 500]].concat()), client("192.0.2.7"), "what is added is skipped");
        assert_eq!(header(0x20, 0, &[]), Ok(Speaker::Itself));
        assert_eq!(header(0x20, 0x11, &v4), Ok(Speaker::Itself));
        for (command, family, body, why) in [
            (0x11, 0x11, &v4[..], ProxyError::NoHeader),
            (0x22, 0x11, &v4, ProxyError::NoHeader),
            (0x31, 0x11, &v4, ProxyError::NoHeader),
            (0x21, 0x11, &v4[..11], ProxyError::NoAddress),
            (0x21, 0x21, &v6[..35], ProxyError::NoAddress),
            (0x21, 0x21, &v4, ProxyError::NoAddress),
            (0x21, 0x00, &[], ProxyError::NoAddress),
            (0x21, 0x12, &v4, ProxyError::NoAddress),
            (0x21, 0x31, &[0; 216], ProxyError::NoAddress),
            (0x21, 0x11, &[0; 2049], ProxyError::TooLong),
        ] {
            assert_eq!(header(command, family, body), Err(why), "{command:x} {family:x} {}", body.len());
        }
        assert_eq!(length(b"PROXY TCP4 192.0"), Err(ProxyError::NoHeader));
        assert_eq!(length(b"\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c"), Err(ProxyError::NoHeader));
    }
}
