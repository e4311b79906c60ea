//! What a keyring holds, and its written form: the same in the sealed file and in a backup.
//!
//! One line per value, `name value` or `name epoch value`, in this order: `set`, `generation`, `root` (several), `spool`
//! (several), `organisation`, `mail`, `audit`, `audit-retired` (perhaps none, perhaps several), `opaque`, and `end`. Bytes
//! are base64url without padding. It is parsed strictly: a keyring with a line that isn't known is a newer one's.
//!
//! Security: the text is made in memory that is zeroed, and reserved at once, so that growing leaves no copies.

use std::fmt::Write;
use std::str::Lines;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpost_vault::Time;
use sealpost_vault::id::random;
use zeroize::Zeroizing;

use super::KeyringError;
use super::audit_key::AuditKey;
use super::epochs::{Epochs, Key};
use super::mail::MailKey;
use super::opaque;
use super::organisation::Organisation;

pub(super) struct Contents {
    /// Which keys these are, whatever was changed in them.
    pub(super) set: [u8; 16],
    /// Counts up with every change.
    pub(super) generation: u64,
    pub(super) root: Epochs,
    pub(super) spool: Epochs,
    pub(super) organisation: Organisation,
    pub(super) mail: MailKey,
    pub(super) audit: AuditKey,
    pub(super) opaque: Zeroizing<Vec<u8>>,
}

impl Contents {
    pub(super) fn generate(organisation: &str, address: &str, now: Time) -> Result<Self, KeyringError> {
        let certificate = Organisation::generate(organisation, address, now)?;
        Self::around(certificate, Epochs::new()?, Epochs::new()?, organisation, address, now)
    }

    /// New keys beside those that a keyring of format 1 has.
    pub(super) fn around(
        certificate: Organisation,
        root: Epochs,
        spool: Epochs,
        organisation: &str,
        address: &str,
        now: Time,
    ) -> Result<Self, KeyringError> {
        Ok(Self {
            set: random::<16>()?,
            generation: 1,
            root,
            spool,
            organisation: certificate,
            mail: MailKey::generate(organisation, address, now)?,
            audit: AuditKey::new()?,
            opaque: opaque::new_setup()?,
        })
    }

    pub(super) fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let (organisation, mail) = (self.organisation.secret_bytes()?, self.mail.secret_bytes()?);
        let epochs = self.root.all().count() + self.spool.all().count() + self.audit.retired().len();
        let room = 1024 + (organisation.len() + mail.len() + self.opaque.len()) * 4 / 3 + epochs * 128;
        let mut text = Zeroizing::new(String::with_capacity(room));
        let mut line = |name: &str, value: &[u8]| {
            let value = Zeroizing::new(URL_SAFE_NO_PAD.encode(value));
            writeln!(text, "{name} {}", value.as_str()).map_err(|_| KeyringError::Cipher)
        };
        line("set", &self.set)?;
        line("generation", &self.generation.to_be_bytes())?;
        for (name, epochs) in [("root", &self.root), ("spool", &self.spool)] {
            for (epoch, key) in epochs.all() {
                line(&format!("{name} {epoch}"), key)?;
            }
        }
        line("organisation", &organisation)?;
        line("mail", &mail)?;
        line("audit", self.audit.seed())?;
        for public in self.audit.retired() {
            line("audit-retired", public)?;
        }
        line("opaque", &self.opaque)?;
        text.push_str("end\n");
        Ok(Zeroizing::new(std::mem::take(&mut *text).into_bytes()))
    }

    /// `None`: not what `to_bytes` writes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut lines = Entries::new(std::str::from_utf8(bytes).ok()?);
        let set = lines.exactly::<16>("set")?;
        let generation = u64::from_be_bytes(lines.exactly::<8>("generation")?);
        let root = lines.epochs("root")?;
        let spool = lines.epochs("spool")?;
        let organisation = Organisation::from_secret_bytes(&lines.bytes("organisation")?)?;
        let mail = MailKey::from_secret_bytes(&lines.bytes("mail")?)?;
        let seed = Zeroizing::new(lines.exactly::<32>("audit")?);
        let mut retired = Vec::new();
        while let Some(public) = lines.exactly::<32>("audit-retired") {
            retired.push(public);
        }
        let opaque = lines.bytes("opaque")?;
        if !lines.ended() || !opaque::is_setup(&opaque) {
            return None;
        }
        let audit = AuditKey::from_stored(seed, retired).ok()?;
        Some(Self { set, generation, root, spool, organisation, mail, audit, opaque })
    }
}

struct Entries<'a> {
    next: Option<&'a str>,
    lines: Lines<'a>,
}

impl<'a> Entries<'a> {
    fn new(text: &'a str) -> Self {
        let mut lines = text.lines();
        Self { next: lines.next(), lines }
    }

    /// What stands behind the name, if this is the next line's.
    fn value(&mut self, name: &str) -> Option<&'a str> {
        let value = self.next?.strip_prefix(name)?.strip_prefix(' ')?;
        self.next = self.lines.next();
        Some(value)
    }

    fn bytes(&mut self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        decoded(self.value(name)?)
    }

    fn exactly<const N: usize>(&mut self, name: &str) -> Option<[u8; N]> {
        self.bytes(name)?.as_slice().try_into().ok()
    }

    fn epochs(&mut self, name: &str) -> Option<Epochs> {
        let mut keys: Vec<(u32, Key)> = Vec::new();
        while let Some(value) = self.value(name) {
            let (epoch, key) = value.split_once(' ')?;
            keys.push((epoch.parse().ok()?, Zeroizing::new(decoded(key)?.as_slice().try_into().ok()?)));
        }
        Epochs::from_stored(keys)
    }

    fn ended(&mut self) -> bool {
        self.next == Some("end") && self.lines.next().is_none()
    }
}

fn decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    URL_SAFE_NO_PAD.decode(text).ok().map(Zeroizing::new)
}
