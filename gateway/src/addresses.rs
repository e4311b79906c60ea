//! Addresses that the gateway makes: `reply-<token>` leads to a conversation, `return-<token>` takes a notification's bounces.
//!
//! Both lie in the reply domain, whose mail the organisation's server hands to us. A token is 128 random bits, looked up in
//! the gateway's own store; the address tells nothing about the reader.

use sealpost_vault::EmailAddress;
use sealpost_vault::address::AddressError;
use sealpost_vault::id::Token;

/// Which of our own addresses a mail goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// An answer from inside to a reader.
    Reply(Token),
    /// What comes back for a notification.
    Return(Token),
    /// In the reply domain, but none that we made.
    Unknown,
}

/// Makes and recognises addresses of the reply domain.
#[derive(Clone, Debug)]
pub struct ReplyDomain(String);

const REPLY: &str = "reply-";
const RETURN: &str = "return-";

impl ReplyDomain {
    /// `domain` as a lower-case A-label host name.
    pub fn new(domain: String) -> Self {
        Self(domain)
    }

    /// The address that answers to a conversation's reader go to.
    pub fn reply_address(&self, token: Token) -> Result<EmailAddress, AddressError> {
        format!("{REPLY}{token}@{}", self.0).parse()
    }

    /// The reverse path of a notification.
    pub fn return_address(&self, token: Token) -> Result<EmailAddress, AddressError> {
        format!("{RETURN}{token}@{}", self.0).parse()
    }

    /// `None` where the address lies in another domain.
    pub fn recognise(&self, address: &EmailAddress) -> Option<Own> {
        if address.domain() != self.0 {
            return None;
        }
        // Mail programs may change the case of a local part; tokens are compared without it.
        let local = address.local().to_ascii_lowercase();
        let token = |prefix| local.strip_prefix(prefix).and_then(|token| token.parse::<Token>().ok());
        Some(match (token(REPLY), token(RETURN)) {
            (Some(token), _) => Own::Reply(token),
            (_, Some(token)) => Own::Return(token),
            _ => Own::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_recognised() {
        let domain = ReplyDomain::new("reply.klinik.example".into());
        let token = Token::from_bytes([7; 16]);
        let recognise = |text: &str| domain.recognise(&text.parse().unwrap());
        assert_eq!(domain.recognise(&domain.reply_address(token).unwrap()), Some(Own::Reply(token)));
        assert_eq!(domain.recognise(&domain.return_address(token).unwrap()), Some(Own::Return(token)));
        assert_eq!(
            recognise(&format!("REPLY-{}@Reply.Klinik.Example", token.to_string().to_uppercase())),
            Some(Own::Reply(token))
        );
        assert_eq!(recognise("anna@reply.klinik.example"), Some(Own::Unknown));
        assert_eq!(recognise("reply-short@reply.klinik.example"), Some(Own::Unknown));
        assert_eq!(recognise(&format!("reply-{token}@klinik.example")), None);
    }
}
