//! Random 128-bit names: written in lower-case Crockford base32 (26 characters), safe in URLs, file names and shells.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

/// The text is not the written form of a 128-bit id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an id")]
pub struct IdError;

/// The operating system has no random bytes: nothing may go on without them.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

/// `N` random bytes from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

pub(crate) fn alphabet() -> &'static data_encoding::Encoding {
    static ALPHABET: LazyLock<data_encoding::Encoding> = LazyLock::new(|| {
        // A static specification; it can't fail, and where it did, nothing could be written or parsed.
        let mut spec = data_encoding::Specification::new();
        spec.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
        spec.translate.from.push_str("ABCDEFGHJKMNPQRSTVWXYZoOiIlL");
        spec.translate.to.push_str("abcdefghjkmnpqrstvwxyz001111");
        spec.check_trailing_bits = true;
        spec.encoding().unwrap_or(data_encoding::BASE32HEX_NOPAD)
    });
    &ALPHABET
}

fn write(bytes: &[u8; 16]) -> String {
    alphabet().encode(bytes)
}

fn read(text: &str) -> Result<[u8; 16], IdError> {
    if text.len() != 26 {
        return Err(IdError);
    }
    let bytes = alphabet().decode(text.as_bytes()).map_err(|_| IdError)?;
    bytes.try_into().map_err(|_| IdError)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// A new random one.
            pub fn random() -> Result<Self, NoRandomness> {
                random().map(Self)
            }

            /// Its 16 bytes, as the derivations of SEALING.md take them.
            pub fn bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// From its 16 bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&write(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                read(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

id!(
    /// One sealed message's parts, shared by all its letters.
    ContentId
);
id!(
    /// One letter: a slip over the parts of a content. Readers who may see each other share it.
    LetterId
);
id!(
    /// One letter for one reader: what stands in the link's path.
    PickupId
);
id!(
    /// Letters and replies that belong together.
    ConversationId
);
id!(
    /// One reply from a browser; used once.
    ReplyId
);
id!(
    /// One reader's account: the salt of what unlocks it.
    AccountId
);
id!(
    /// One thing that the portal asks of the gateway.
    ErrandId
);
id!(
    /// One accepted message, and whatever comes of it in the gateway's queue.
    QueueId
);
id!(
    /// A secret token in an address that the gateway made: who writes there knows it.
    Token
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_form_comes_back() {
        let id = PickupId::from_bytes([0xa5; 16]);
        assert_eq!(id.to_string().len(), 26);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
    }

    #[test]
    fn foreign_texts_are_refused() {
        for text in
            ["", "abc", "zzzzzzzzzzzzzzzzzzzzzzzzzz", "0000000000000000000000000u", "../../../../etc/passwd....."]
        {
            assert_eq!(text.parse::<PickupId>(), Err(IdError), "{text}");
        }
    }

    #[test]
    fn random_ids_differ() {
        assert_ne!(LetterId::random(), LetterId::random());
    }
}
