//! `[smtp]`: how mail comes in, who may hand it over, and every limit.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sealpost_gateway::smtp::{ClientCertificates, Encryption, Fingerprint, Settings, Users};
use serde::Deserialize;

use crate::exit::Failure;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Smtp {
    pub listen: SocketAddr,
    /// As `listen`, encrypted before the first word.
    #[serde(default)]
    pub tls_listen: Option<SocketAddr>,
    /// Takes bounces of our notifications and nothing else; may be open to everybody.
    #[serde(default)]
    pub returns_listen: Option<SocketAddr>,
    pub hostname: String,
    #[serde(default = "loopback")]
    pub networks: Vec<IpNet>,
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// Lines of `name:hash`.
    #[serde(default)]
    pub users: Option<PathBuf>,
    /// SHA-256, hexadecimal.
    #[serde(default)]
    pub client_fingerprints: Vec<String>,
    #[serde(default)]
    pub client_authorities: Option<PathBuf>,
    #[serde(default)]
    pub proxies: Vec<IpNet>,
    #[serde(default)]
    pub xclient: Vec<IpNet>,
    #[serde(default = "max_size")]
    pub max_size: usize,
    #[serde(default = "max_recipients")]
    pub max_recipients: usize,
    #[serde(default = "max_header")]
    pub max_header: usize,
    #[serde(default = "max_header_fields")]
    pub max_header_fields: usize,
    #[serde(default = "max_connections")]
    pub max_connections: usize,
    #[serde(default = "max_connections_per_client")]
    pub max_connections_per_client: usize,
    /// In MiB.
    #[serde(default = "max_memory")]
    pub max_memory: usize,
    #[serde(default = "max_errors")]
    pub max_errors: u32,
    #[serde(default = "max_idle_commands")]
    pub max_idle_commands: u32,
    #[serde(default = "max_auth_failures")]
    pub max_auth_failures: u32,
    /// In milliseconds.
    #[serde(default = "error_delay")]
    pub error_delay: u64,
    /// In seconds.
    #[serde(default = "command_timeout")]
    pub command_timeout: u64,
    /// In seconds.
    #[serde(default = "data_timeout")]
    pub data_timeout: u64,
    /// In octets per second.
    #[serde(default = "minimum_rate")]
    pub minimum_rate: u32,
    /// `GET /health` and `GET /ready` of the gateway.
    #[serde(default)]
    pub health_listen: Option<SocketAddr>,
    /// In MiB: below this much free space beside the stores nothing is accepted.
    #[serde(default = "free_space")]
    pub free_space: u64,
}

fn loopback() -> Vec<IpNet> {
    ["127.0.0.0/8", "::1/128"].iter().filter_map(|net| net.parse().ok()).collect()
}

fn max_size() -> usize {
    Settings::default().max_size
}

fn max_recipients() -> usize {
    Settings::default().max_recipients
}

fn max_header() -> usize {
    Settings::default().max_header
}

fn max_header_fields() -> usize {
    Settings::default().max_header_fields
}

fn max_connections() -> usize {
    Settings::default().max_connections
}

fn max_connections_per_client() -> usize {
    Settings::default().max_per_client
}

fn max_memory() -> usize {
    Settings::default().max_memory / MIB
}

fn max_errors() -> u32 {
    Settings::default().max_errors
}

fn max_idle_commands() -> u32 {
    Settings::default().max_idle_commands
}

fn max_auth_failures() -> u32 {
    Settings::default().max_auth_failures
}

fn error_delay() -> u64 {
    u64::try_from(Settings::default().error_delay.as_millis()).unwrap_or_default()
}

fn command_timeout() -> u64 {
    Settings::default().command_timeout.as_secs()
}

fn data_timeout() -> u64 {
    Settings::default().data_timeout.as_secs()
}

fn minimum_rate() -> u32 {
    Settings::default().minimum_rate
}

fn free_space() -> u64 {
    256
}

const MIB: usize = 1024 * 1024;

impl Smtp {
    /// What contradicts itself, in words. No file is read.
    pub(super) fn check(&self) -> Result<(), String> {
        let needs_tls = [
            ("tls-listen", self.tls_listen.is_some()),
            ("users", self.users.is_some()),
            ("client-fingerprints", !self.client_fingerprints.is_empty()),
            ("client-authorities", self.client_authorities.is_some()),
        ];
        for (option, is_set) in needs_tls {
            if is_set && self.certificate.is_none() {
                return Err(format!("smtp.{option} needs smtp.certificate and smtp.key"));
            }
        }
        let defaults = Settings::default();
        for (option, value, highest) in [
            ("max-recipients", self.max_recipients, 50_000),
            ("max-header", self.max_header, defaults.max_header),
            ("max-header-fields", self.max_header_fields, defaults.max_header_fields),
        ] {
            if value == 0 || value > highest {
                return Err(format!("smtp.{option} must be 1 to {highest}"));
            }
        }
        for (option, value) in [
            ("max-connections", self.max_connections),
            ("max-connections-per-client", self.max_connections_per_client),
            ("max-memory", self.max_memory),
        ] {
            if value == 0 {
                return Err(format!("smtp.{option} is 0: nobody could hand over mail"));
            }
        }
        if self.max_memory.saturating_mul(MIB) < self.max_size.saturating_mul(2) {
            return Err(
                "smtp.max-memory must be at least twice smtp.max-size: a message needs its part whole".to_owned()
            );
        }
        if self.command_timeout == 0 || self.data_timeout == 0 {
            return Err("smtp.command-timeout and smtp.data-timeout must be at least 1 second".to_owned());
        }
        self.fingerprints().map(|_| ())
    }

    fn fingerprints(&self) -> Result<Vec<Fingerprint>, String> {
        let wrong = |text: &str| format!("smtp.client-fingerprints: {text:?} must be SHA-256, 64 hexadecimal digits");
        self.client_fingerprints.iter().map(|text| fingerprint(text).ok_or_else(|| wrong(text))).collect()
    }

    /// Who is inside by a certificate.
    pub fn client_certificates(&self) -> Result<Option<Arc<ClientCertificates>>, Failure> {
        let fingerprints = self.fingerprints().map_err(Failure::configuration)?;
        let mut roots = RootCertStore::empty();
        if let Some(path) = &self.client_authorities {
            let failed = |cause: &dyn std::fmt::Display| Failure::configuration(format!("{}: {cause}", path.display()));
            let certificates = CertificateDer::pem_file_iter(path).map_err(|cause| failed(&cause))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|cause| failed(&cause))?;
                roots.add(certificate).map_err(|cause| failed(&cause))?;
            }
            if roots.is_empty() {
                return Err(failed(&"holds no certificate"));
            }
        }
        if fingerprints.is_empty() && roots.is_empty() {
            return Ok(None);
        }
        ClientCertificates::new(fingerprints, roots).map(Arc::new).map(Some).map_err(Failure::configuration)
    }

    fn read_users(path: &Path) -> Result<Arc<Users>, Failure> {
        let failed = |cause: &dyn std::fmt::Display| Failure::configuration(format!("{}: {cause}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|cause| failed(&cause))?;
        Users::parse(&text).map(Arc::new).map_err(|cause| failed(&cause))
    }

    /// What listeners go by: those that encrypt on request.
    pub fn settings(&self, certificates: Option<Arc<ClientCertificates>>) -> Result<Settings, Failure> {
        Ok(Settings {
            hostname: self.hostname.clone(),
            networks: self.networks.clone(),
            users: self.users.as_deref().map(Self::read_users).transpose()?,
            certificates,
            encryption: Encryption::OnRequest,
            proxies: self.proxies.clone(),
            introducers: self.xclient.clone(),
            max_size: self.max_size,
            max_recipients: self.max_recipients,
            max_header: self.max_header,
            max_header_fields: self.max_header_fields,
            max_connections: self.max_connections,
            max_per_client: self.max_connections_per_client,
            max_memory: self.max_memory.saturating_mul(MIB),
            max_errors: self.max_errors,
            max_idle_commands: self.max_idle_commands,
            max_auth_failures: self.max_auth_failures,
            error_delay: Duration::from_millis(self.error_delay),
            command_timeout: Duration::from_secs(self.command_timeout),
            data_timeout: Duration::from_secs(self.data_timeout),
            minimum_rate: self.minimum_rate,
            ..Settings::default()
        })
    }
}

/// As openssl prints it, with or without colons.
fn fingerprint(text: &str) -> Option<Fingerprint> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut fingerprint = [0; 32];
    for (at, octet) in fingerprint.iter_mut().enumerate() {
        *octet = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(fingerprint)
}
