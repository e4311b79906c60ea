//! 128-bit names: written in lower-case Crockford base32 (26 characters), safe in URLs, file names and shells.
//!
//! What is a secret, a salt or made by somebody else is random as a whole. Ids of what the gateway stores begin with the
//! time, as a UUIDv7 does (RFC 9562, 5.7): rows that are written together lie together in every index, so that a commit
//! writes a page of it for many rows and not one for each. Nobody reads that time, and no order depends on it.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

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

/// 48 bits of time in milliseconds since 1970, then 80 random ones.
fn ordered() -> Result<[u8; 16], NoRandomness> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let [_, _, time @ ..] = u64::try_from(since.as_millis()).unwrap_or_default().to_be_bytes();
    let mut bytes = random()?;
    for (byte, of_time) in bytes.iter_mut().zip(time) {
        *byte = of_time;
    }
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
    ($(#[$doc:meta])* $name:ident, $bytes:ident, $new:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            #[doc = $new]
            pub fn random() -> Result<Self, NoRandomness> {
                $bytes().map(Self)
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
    ContentId, ordered, "A new one: the time, then 80 random bits."
);
id!(
    /// One letter: a slip over the parts of a content. Readers who may see each other share it.
    LetterId, ordered, "A new one: the time, then 80 random bits."
);
id!(
    /// One letter for one reader: what stands in the link's path.
    PickupId, ordered, "A new one: the time, then 80 random bits."
);
id!(
    /// Letters and replies that belong together.
    ConversationId, ordered, "A new one: the time, then 80 random bits."
);
id!(
    /// One reply from a browser; used once.
    ReplyId, random, "A new one, random as a whole."
);
id!(
    /// One reader's account: the salt of what unlocks it.
    AccountId, random, "A new one, random as a whole."
);
id!(
    /// One thing that the portal asks of the gateway.
    ErrandId, random, "A new one, random as a whole."
);
id!(
    /// One accepted message, and whatever comes of it in the gateway's queue.
    QueueId, ordered, "A new one: the time, then 80 random bits."
);
id!(
    /// A secret token in an address that the gateway made: who writes there knows it.
    Token, random, "A new one, random as a whole."
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
    fn new_ids_differ() {
        assert_ne!(LetterId::random(), LetterId::random());
        assert_ne!(Token::random(), Token::random());
    }

    #[test]
    fn stored_ids_begin_with_the_time_and_end_at_random() {
        let [one, two] = [(); 2].map(|()| PickupId::random().unwrap());
        let time = |id: &PickupId| id.bytes()[..6].iter().fold(0, |time, byte| time << 8 | u64::from(*byte));
        let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        assert!(time(&one) <= time(&two) && time(&two) <= now && now - time(&one) < 60_000, "{one} {two} {now}");
        assert_ne!(one.bytes()[6..], two.bytes()[6..]);
        assert_ne!(Token::random().unwrap().bytes()[..6], Token::random().unwrap().bytes()[..6]);
    }
}
