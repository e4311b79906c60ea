//! 128-bit names: written in lower-case Crockford base32 (26 characters), safe in URLs, file names and shells.
//!
//! Most are random as a whole. Those of messages, contents, letters and pickups begin with the time at which the message came, as a
//! UUIDv7 does (RFC 9562, 5.7): rows that are written together lie together in their indexes, so that a commit writes a page
//! for many rows and not one for each. Nobody reads that time, and no order depends on it.
//!
//! Security: all ids of one message have its time, so that nobody learns by comparing them how long something took that was
//! done in between, for readers who don't see each other. The rest, 80 random bits, can't be guessed.

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

/// Octets of time at the beginning of an id that has it: milliseconds since 1970.
const TIME: usize = 6;

/// The time, then random bytes.
fn timed() -> Result<[u8; 16], NoRandomness> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = u64::try_from(since.as_millis()).unwrap_or_default().to_be_bytes();
    let mut bytes = random()?;
    for (byte, of_time) in bytes.iter_mut().zip(time.into_iter().skip(8 - TIME)) {
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
    ($(#[$doc:meta])* $name:ident) => {
        id!($(#[$doc])* $name, random, "A new one, random as a whole.");
    };
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
    QueueId, timed, "A new one: the time, then 80 random bits."
);
id!(
    /// A secret token in an address that the gateway made: who writes there knows it.
    Token
);

impl QueueId {
    /// New bytes with the same time.
    fn beside(&self) -> Result<[u8; 16], NoRandomness> {
        let mut bytes = random()?;
        for (byte, of_time) in bytes.iter_mut().zip(self.0).take(TIME) {
            *byte = of_time;
        }
        Ok(bytes)
    }
}

impl LetterId {
    /// A new one for a letter of this message.
    pub fn of_message(message: QueueId) -> Result<Self, NoRandomness> {
        message.beside().map(Self)
    }
}

impl PickupId {
    /// A new one for a reader of this message.
    pub fn of_message(message: QueueId) -> Result<Self, NoRandomness> {
        message.beside().map(Self)
    }
}

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
    fn ids_of_a_message_have_its_time_and_differ_otherwise() {
        let [one, two] = [(); 2].map(|()| QueueId::random().unwrap());
        let time = |id: &[u8; 16]| id[..TIME].iter().fold(0, |time, byte| time << 8 | u64::from(*byte));
        let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        assert!(time(one.bytes()) <= time(two.bytes()) && time(two.bytes()) <= now, "{one} {two} {now}");
        assert!(now - time(one.bytes()) < 60_000, "{one} {now}");
        std::thread::sleep(std::time::Duration::from_millis(2));
        let (letter, pickup) = (LetterId::of_message(one).unwrap(), PickupId::of_message(one).unwrap());
        assert_eq!(letter.bytes()[..TIME], one.bytes()[..TIME]);
        assert_eq!(pickup.bytes()[..TIME], one.bytes()[..TIME]);
        assert!(letter.bytes()[TIME..] != pickup.bytes()[TIME..] && letter.bytes()[TIME..] != one.bytes()[TIME..]);
        assert_ne!(Token::random().unwrap().bytes()[..TIME], Token::random().unwrap().bytes()[..TIME]);
    }
}
