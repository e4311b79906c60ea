//! The configuration file: every option, its default, and what is wrong with it in words.
//!
//! `deploy/sealpost.toml` is the manual: each option stands there with its meaning and default. An unknown key is an error
//! that names the line and the nearest known key. Relative paths are relative to the configuration file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use sealpost_gateway::addresses::ReplyDomain;
use sealpost_gateway::deliver::Hops;
use sealpost_gateway::dkim::Dkim;
use sealpost_gateway::keyring::{Keyring, MasterSource};
use sealpost_gateway::notify::Letterhead;
use sealpost_gateway::policy::{Policy, PolicyError};
use sealpost_gateway::queue::Manner;
use sealpost_texts::Organisation;
use sealpost_vault::address::domain_of;
use sealpost_vault::grants::Role;
use sealpost_vault::{EmailAddress, blobs::BlobStore};

use crate::exit::Failure;

mod dkim;
mod relay;
mod smtp;

pub use dkim::DkimTable;
pub use relay::{NextHops, Relay};
pub use smtp::Smtp;

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    #[error("{path}: {cause}")]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("{path}:{line}: {message}")]
    Malformed { path: PathBuf, line: usize, message: String },
    #[error("{path}: {problem}")]
    Wrong { path: PathBuf, problem: String },
    #[error("{path}: {cause}")]
    Policy { path: PathBuf, cause: PolicyError },
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Configuration {
    pub organisation: Organisation,
    pub store: Store,
    pub keys: Keys,
    pub smtp: Smtp,
    pub portal: Portal,
    pub inside: Inside,
    pub outside: Outside,
    #[serde(default)]
    pub relay: Relay,
    pub mail: Mail,
    #[serde(default)]
    pub dkim: DkimTable,
    #[serde(default)]
    pub letters: Letters,
    #[serde(default)]
    pub policy: PolicyFile,
    #[serde(skip)]
    path: PathBuf,
}

/// Where things are kept.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Store {
    pub directory: PathBuf,
    /// PostgreSQL for the vault; empty: SQLite in the directory.
    #[serde(default)]
    pub vault_url: String,
    /// PostgreSQL for the gateway's own store; empty: SQLite in the directory.
    #[serde(default)]
    pub gateway_url: String,
    /// The vault as the portal connects to it, with a role of its own; empty: `vault_url`.
    #[serde(default)]
    pub portal_url: String,
    /// The role in `portal_url`, which gets its grants from us; empty: none is made.
    #[serde(default)]
    pub portal_role: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Keys {
    pub directory: PathBuf,
    /// Where the master key comes from; empty: a file beside the directory.
    #[serde(default)]
    pub master: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Portal {
    pub listen: SocketAddr,
    /// Proxies in front: only from these is `X-Forwarded-For` believed.
    #[serde(default)]
    pub proxies: Vec<std::net::IpAddr>,
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    #[serde(default)]
    pub key: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Inside {
    pub domains: Vec<String>,
    pub next_hop: NextHops,
    #[serde(default)]
    pub tls: Tls,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Outside {
    pub next_hop: NextHops,
    #[serde(default)]
    pub tls: Tls,
}

/// TLS towards a next hop.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    Off,
    #[default]
    Opportunistic,
    Required,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mail {
    /// Whom our own mails come from.
    pub from: EmailAddress,
    /// The domain of reply and return addresses; its mail comes to us.
    pub reply_domain: String,
    pub postmaster: EmailAddress,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Letters {
    #[serde(default = "Letters::expire_days")]
    pub expire_days: u32,
}

impl Letters {
    fn expire_days() -> u32 {
        30
    }
}

impl Default for Letters {
    fn default() -> Self {
        Self { expire_days: Self::expire_days() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicyFile {
    /// Empty: the built-in policy.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

impl Configuration {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigurationError> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| ConfigurationError::Unreadable { path: path.to_owned(), cause })?;
        let mut configuration: Self = toml::from_str(&text).map_err(|error| {
            let (line, message) = explain(&text, &error);
            ConfigurationError::Malformed { path: path.to_owned(), line, message }
        })?;
        configuration.path = path.to_owned();
        configuration.resolve_paths();
        configuration.normalise()?;
        Ok(configuration)
    }

    /// Where it was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn resolve_paths(&mut self) {
        let base = self.path.parent().map(Path::to_owned).unwrap_or_default();
        let resolve = |path: &mut PathBuf| {
            if path.is_relative() {
                *path = base.join(&*path);
            }
        };
        resolve(&mut self.store.directory);
        resolve(&mut self.keys.directory);
        if let MasterSource::File(path) = MasterSource::beside(&self.keys.directory)
            && self.keys.master.is_empty()
        {
            self.keys.master = format!("file:{}", path.display());
        }
        for path in [
            &mut self.smtp.certificate,
            &mut self.smtp.key,
            &mut self.smtp.users,
            &mut self.smtp.client_authorities,
            &mut self.portal.certificate,
            &mut self.portal.key,
            &mut self.policy.file,
        ]
        .into_iter()
        .flatten()
        {
            resolve(path);
        }
        for key in &mut self.dkim.keys {
            resolve(&mut key.file);
        }
        if !self.organisation.logo.is_empty() {
            let mut logo = PathBuf::from(&self.organisation.logo);
            resolve(&mut logo);
            self.organisation.logo = logo.to_string_lossy().into_owned();
        }
    }

    fn normalise(&mut self) -> Result<(), ConfigurationError> {
        let path = self.path.clone();
        let wrong = |problem: String| ConfigurationError::Wrong { path: path.clone(), problem };
        if let Some(problem) = self.organisation.problems().into_iter().next() {
            return Err(wrong(problem));
        }
        if self.inside.domains.is_empty() {
            return Err(wrong("inside.domains is empty: nobody could be answered".to_owned()));
        }
        for domain in &mut self.inside.domains {
            *domain = domain_of(domain).map_err(|_| wrong(format!("inside.domains: {domain:?} is no domain")))?;
        }
        let reply_domain = domain_of(&self.mail.reply_domain)
            .map_err(|_| wrong(format!("mail.reply-domain: {:?} is no domain", self.mail.reply_domain)))?;
        if self.inside.domains.contains(&reply_domain) {
            return Err(wrong(
                "mail.reply-domain is one of inside.domains; it needs a domain of its own, such as letters.klinik.example"
                    .to_owned(),
            ));
        }
        self.mail.reply_domain = reply_domain;
        domain_of(&self.smtp.hostname)
            .map_err(|_| wrong(format!("smtp.hostname: {:?} is no host name", self.smtp.hostname)))?;
        for (name, certificate, key) in
            [("smtp", &self.smtp.certificate, &self.smtp.key), ("portal", &self.portal.certificate, &self.portal.key)]
        {
            if certificate.is_some() != key.is_some() {
                return Err(wrong(format!("{name}.certificate and {name}.key go together")));
            }
        }
        self.smtp.check().map_err(wrong)?;
        self.master()?;
        if self.letters.expire_days == 0 {
            return Err(wrong("letters.expire-days is 0: nobody could read a letter".to_owned()));
        }
        let both_or_none = self.store.vault_url.is_empty() == self.store.gateway_url.is_empty();
        if !both_or_none {
            return Err(wrong("store.vault-url and store.gateway-url go together".to_owned()));
        }
        let urls = [
            ("vault-url", &self.store.vault_url),
            ("gateway-url", &self.store.gateway_url),
            ("portal-url", &self.store.portal_url),
        ];
        for (name, url) in urls {
            if !url.is_empty() && !is_postgres(url) {
                return Err(wrong(format!(
                    "store.{name} must begin with postgres://: SQLite needs none, its files lie below store.directory"
                )));
            }
        }
        if self.portal_role()?.is_some() && !is_postgres(&self.store.vault_url) {
            return Err(wrong("store.portal-role needs store.vault-url on PostgreSQL".to_owned()));
        }
        dkim::check(self).map_err(wrong)?;
        relay::check(self).map_err(wrong)
    }

    /// The ways out.
    pub fn hops(&self) -> Result<Hops, ConfigurationError> {
        relay::hops(self).map_err(|problem| ConfigurationError::Wrong { path: self.path.clone(), problem })
    }

    /// Reads the keys that sign mail for DKIM.
    pub fn dkim(&self) -> Result<Dkim, ConfigurationError> {
        dkim::load(self).map_err(|problem| ConfigurationError::Wrong { path: self.path.clone(), problem })
    }

    /// How mail is handed over.
    pub fn manner(&self) -> Manner {
        self.relay.manner()
    }

    /// Where the master key comes from.
    pub fn master(&self) -> Result<MasterSource, ConfigurationError> {
        let base = self.path.parent().unwrap_or(Path::new(""));
        MasterSource::parse(&self.keys.master, base)
            .map_err(|problem| ConfigurationError::Wrong { path: self.path.clone(), problem: problem.to_string() })
    }

    /// The keys.
    pub fn keyring(&self) -> Result<Keyring, Failure> {
        Ok(Keyring::load(&self.keys.directory, &self.master()?)?)
    }

    /// The policy: from its file, or the built-in one.
    pub fn policy(&self) -> Result<Policy, ConfigurationError> {
        let Some(path) = &self.policy.file else { return Ok(Policy::built_in()) };
        let text = std::fs::read_to_string(path)
            .map_err(|cause| ConfigurationError::Unreadable { path: path.clone(), cause })?;
        Policy::from_toml(&text).map_err(|cause| ConfigurationError::Policy { path: path.clone(), cause })
    }

    /// How our own mails present themselves.
    pub fn letterhead(&self) -> Letterhead {
        Letterhead {
            organisation: self.organisation.clone(),
            from: self.mail.from.clone(),
            hostname: self.smtp.hostname.clone(),
        }
    }

    /// The gateway's settings.
    pub fn gateway_settings(&self) -> sealpost_gateway::Settings {
        sealpost_gateway::Settings {
            hostname: self.smtp.hostname.clone(),
            inside_domains: self.inside.domains.clone(),
            reply_domain: ReplyDomain::new(self.mail.reply_domain.clone()),
            postmaster: self.mail.postmaster.clone(),
            letter_lifetime: Duration::from_secs(u64::from(self.letters.expire_days) * 86_400),
            queue_lifetime: Duration::from_secs(u64::from(self.relay.lifetime_days) * 86_400),
            heavy: std::thread::available_parallelism().map_or(2, usize::from),
            free_space_floor: self.smtp.free_space.saturating_mul(1024 * 1024),
            state_directory: self.store.directory.clone(),
        }
    }

    /// What the portal may touch: the vault's directory, with database, blobs and bells.
    pub fn vault_directory(&self) -> PathBuf {
        self.store.directory.join("vault")
    }

    /// What only the gateway may touch.
    pub fn gateway_directory(&self) -> PathBuf {
        self.store.directory.join("gateway")
    }

    /// The newest signed head of the audit, outside the database.
    pub fn audit_head(&self) -> PathBuf {
        self.gateway_directory().join("audit-head")
    }

    pub fn vault_url(&self) -> String {
        if self.store.vault_url.is_empty() {
            format!("sqlite:{}", self.vault_directory().join("vault.db").display())
        } else {
            self.store.vault_url.clone()
        }
    }

    /// The vault, as the portal's door connects to it.
    pub fn portal_url(&self) -> String {
        if self.store.portal_url.is_empty() { self.vault_url() } else { self.store.portal_url.clone() }
    }

    /// The role that gets the portal's grants.
    pub fn portal_role(&self) -> Result<Option<Role>, ConfigurationError> {
        if self.store.portal_role.is_empty() {
            return Ok(None);
        }
        Role::new(&self.store.portal_role).map(Some).map_err(|problem| ConfigurationError::Wrong {
            path: self.path.clone(),
            problem: format!("store.portal-role: {problem}"),
        })
    }

    /// With `portal-url` and no `vault-url`: the configuration of a portal that must not know how the gateway connects.
    pub fn is_portals_alone(&self) -> bool {
        self.store.vault_url.is_empty() && !self.store.portal_url.is_empty()
    }

    pub fn gateway_url(&self) -> String {
        if self.store.gateway_url.is_empty() {
            format!("sqlite:{}", self.gateway_directory().join("gateway.db").display())
        } else {
            self.store.gateway_url.clone()
        }
    }

    pub fn vault_blobs(&self) -> Result<BlobStore, sealpost_vault::StoreError> {
        BlobStore::local(&self.vault_directory().join("blobs"))
    }

    pub fn gateway_blobs(&self) -> Result<BlobStore, sealpost_vault::StoreError> {
        BlobStore::local(&self.gateway_directory().join("blobs"))
    }
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// The line of a TOML error, and its text with the nearest known key.
fn explain(text: &str, error: &toml::de::Error) -> (usize, String) {
    let start = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(start).filter(|b| *b == b'\n').count() + 1;
    let message = error.message().to_owned();
    let Some(rest) = message.strip_prefix("unknown field `") else { return (line, message) };
    let mut quoted = rest.split('`');
    let unknown = quoted.next().unwrap_or_default();
    let nearest = quoted
        .skip(1)
        .step_by(2)
        .filter(|known| !known.is_empty())
        .min_by_key(|known| strsim::damerau_levenshtein(known, unknown));
    let hint = nearest.map(|known| format!(", did you mean `{known}`?")).unwrap_or_default();
    (line, format!("unknown key `{unknown}`{hint}"))
}

#[cfg(test)]
mod tests;
