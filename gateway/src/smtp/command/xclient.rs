//! XCLIENT: a trusted proxy introduces the client that it speaks for.
//!
//! Only address and greeting are taken. A client without a known address could be anybody, so it isn't introduced; neither is a
//! name that somebody else is said to have authenticated.
//!
//! Standards: Postfix' XCLIENT_README.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::is_helo;
use crate::{Rejection, Xtext};

/// Who is introduced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::smtp) struct Introduction {
    pub address: IpAddr,
    pub helo: Option<String>,
}

impl Introduction {
    /// What we say that we understand.
    pub const ATTRIBUTES: &'static str = "NAME ADDR PORT PROTO HELO";

    /// `NAME=value ..`, values as xtext.
    pub fn parse(argument: &str) -> Result<Self, Rejection> {
        let (mut client, mut helo) = (None, None);
        for attribute in argument.split(' ') {
            let (name, value) = attribute.split_once('=').ok_or(Rejection::PARAMETERS)?;
            let value = Xtext::attribute(value).map_err(|_| Rejection::PARAMETERS)?;
            let value = value.text();
            let fits = match name.to_ascii_uppercase().as_str() {
                "ADDR" => {
                    client.is_none() && {
                        client = address(value);
                        client.is_some()
                    }
                }
                "HELO" => helo.replace(value.to_owned()).is_none() && is_helo(value),
                "PROTO" => matches!(value, "SMTP" | "ESMTP"),
                "PORT" => value == "[UNAVAILABLE]" || value.parse::<u16>().is_ok(),
                "NAME" => true,
                _ => false,
            };
            if !fits {
                return Err(Rejection::PARAMETERS);
            }
        }
        Ok(Self { address: client.ok_or(Rejection::PARAMETERS)?, helo })
    }
}

fn address(text: &str) -> Option<IpAddr> {
    match text.split_at_checked(5) {
        Some((tag, v6)) if tag.eq_ignore_ascii_case("IPV6:") => {
            v6.parse::<Ipv6Addr>().ok().map(|v6| IpAddr::V6(v6).to_canonical())
        }
        _ => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}
