//! The sandbox of the portal's process: it reaches the vault's directory and what a TLS server reads, and nothing else.
//!
//! Landlock: no way to the key directory, to the gateway's own store or to anything else on disk; no symbolic links, pipes
//! or devices in the vault, which the gateway would follow; no connection to anywhere, so that the portal can't speak SMTP
//! to the gateway's inner door, and no signals. It takes no new rights.
//!
//! Landlock holds for the thread that asks for it and for those which that one starts. So it is asked for before the
//! runtime starts its threads, and [`verify`] looks, from a thread that serves, whether it holds.
//!
//! Security: on a kernel without Landlock the portal runs all the same, and says so in the log: run it as a user of its own.
//! Connections can be kept from it since Linux 6.7, signals since 6.12.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};
use tracing::{info, warn};

use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::parts::private_directory;

/// What a process needs to resolve names and check certificates.
const SYSTEM: [&str; 6] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/usr/share/ca-certificates", "/dev/urandom"];

/// Whether the kernel confines this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    Enforced,
    Unavailable,
}

/// Confines the calling thread, and whatever it starts, for good.
pub fn confine_portal(configuration: &Configuration) -> Result<Confinement, Failure> {
    let vault = configuration.vault_directory();
    private_directory(&vault)?;
    let readable = readable(configuration)?;
    let refused = |cause| Failure::system(format!("the portal can't be confined: {cause}"));
    let confined = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|rules| rules.handle_access(AccessNet::ConnectTcp))
        .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rules(path_beneath_rules(&readable, AccessFs::from_read(ABI::V5))))
        .and_then(|rules| rules.add_rules(path_beneath_rules([&vault], in_the_vault())))
        .and_then(|rules| {
            let port = database_port(&configuration.vault_url());
            rules.add_rules(port.map(|port| Ok::<_, landlock::RulesetError>(NetPort::new(port, AccessNet::ConnectTcp))))
        })
        .and_then(|rules| rules.restrict_self())
        .map_err(refused)?;
    match confined.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => {
            info!(enforced = ?confined.ruleset, "the portal reaches the vault and nothing else");
            Ok(Confinement::Enforced)
        }
        RulesetStatus::NotEnforced => {
            warn!("this kernel has no Landlock: run the portal as a user who can't read keys and gateway store");
            Ok(Confinement::Unavailable)
        }
    }
}

/// From a thread that serves requests: are the gateway's places out of reach?
///
/// # Errors
/// A confined portal that can look into the key directory or the gateway's store isn't confined.
pub async fn verify(configuration: &Configuration) -> Result<(), Failure> {
    let places = [configuration.keys.directory.clone(), configuration.gateway_directory()];
    // A task runs on a thread of the runtime, and blocking work on one that it started.
    let look = tokio::spawn(async move {
        tokio::task::spawn_blocking(move || places.into_iter().find(|place| std::fs::read_dir(place).is_ok())).await
    });
    match look.await.map_err(Failure::system)?.map_err(Failure::system)? {
        None => Ok(()),
        Some(place) => {
            Err(Failure::system(format!("the portal is confined and reaches {} all the same", place.display())))
        }
    }
}

/// Files, directories and the bell's socket. Not links, pipes or devices.
fn in_the_vault() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | MakeSock | RemoveFile | RemoveDir
    })
}

fn readable(configuration: &Configuration) -> Result<Vec<PathBuf>, Failure> {
    let mut readable: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    // A renewed certificate replaces the file, so its directory must stay readable; so must the one that a link leads to.
    for file in [&configuration.portal.certificate, &configuration.portal.key].into_iter().flatten() {
        readable.extend(file.parent().map(PathBuf::from));
        readable.extend(real(file).parent().map(PathBuf::from));
    }
    if !configuration.organisation.logo.is_empty() {
        readable.push(PathBuf::from(&configuration.organisation.logo));
    }
    for kept in [&configuration.keys.directory, &configuration.gateway_directory()] {
        if let Some(above) = readable.iter().find(|path| real(kept).starts_with(real(path))) {
            return Err(Failure::configuration(format!(
                "portal.certificate or portal.key lies in {}, in or above {}: move it, the portal must not reach that",
                above.display(),
                kept.display()
            )));
        }
    }
    Ok(readable)
}

/// Where a path leads; the path itself where that can't be told.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The port that the vault's database listens on; `None` for a file.
fn database_port(url: &str) -> Option<u16> {
    let (_, rest) = url.split_once("://").filter(|(engine, _)| engine.starts_with("postgres"))?;
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let named = query.split('&').find_map(|pair| pair.strip_prefix("port="));
    let host = authority.split('/').next().unwrap_or_default().rsplit('@').next().unwrap_or_default();
    let port = named.or_else(|| host.rsplit_once(':').map(|(_, port)| port));
    Some(port.and_then(|port| port.parse().ok()).unwrap_or(5432))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(directory: &Path) -> Configuration {
        let text = "[organisation]\nname = \"Klinik\"\ntelephone = \"1\"\nportal = \"http://portal.localhost\"\n\
            [store]\ndirectory = \"state\"\n[keys]\ndirectory = \"keys\"\n\
            [smtp]\nlisten = \"127.0.0.1:0\"\nhostname = \"mx.klinik.example\"\n[portal]\nlisten = \"127.0.0.1:0\"\n\
            certificate = \"tls/portal.pem\"\nkey = \"tls/portal.key\"\n\
            [inside]\ndomains = [\"klinik.example\"]\nnext-hop = \"127.0.0.1:25\"\n[outside]\nnext-hop = \"127.0.0.1:25\"\n\
            [mail]\nfrom = \"a@klinik.example\"\nreply-domain = \"letters.klinik.example\"\npostmaster = \"a@klinik.example\"\n";
        std::fs::write(directory.join("sealpost.toml"), text).unwrap();
        for made in ["state/gateway", "keys", "tls"] {
            std::fs::create_dir_all(directory.join(made)).unwrap();
        }
        Configuration::load(&directory.join("sealpost.toml")).unwrap()
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    /// Runs in a thread of its own: a sandbox is for good.
    fn apart(work: impl FnOnce(&Configuration) + Send + 'static) {
        let run = move || {
            let directory = tempfile::tempdir().unwrap();
            work(&configuration(directory.path()));
        };
        std::thread::spawn(run).join().unwrap();
    }

    #[test]
    fn holds_for_threads_that_are_started_afterwards() {
        apart(|configuration| {
            if confine_portal(configuration).unwrap() == Confinement::Enforced {
                runtime().block_on(verify(configuration)).unwrap();
            }
        });
    }

    #[test]
    fn is_noticed_where_it_came_too_late() {
        apart(|configuration| {
            let runtime = runtime();
            runtime.block_on(async { tokio::spawn(async {}).await.unwrap() });
            if confine_portal(configuration).unwrap() == Confinement::Enforced {
                assert!(runtime.block_on(verify(configuration)).is_err());
            }
        });
    }

    #[test]
    fn the_vault_takes_files_and_no_links() {
        apart(|configuration| {
            let vault = configuration.vault_directory();
            if confine_portal(configuration).unwrap() == Confinement::Unavailable {
                return;
            }
            std::fs::create_dir_all(vault.join("blobs/replies")).unwrap();
            std::fs::write(vault.join("blobs/replies/0"), b"x").unwrap();
            std::fs::rename(vault.join("blobs/replies/0"), vault.join("blobs/replies/1")).unwrap();
            std::fs::remove_file(vault.join("blobs/replies/1")).unwrap();
            std::os::unix::net::UnixDatagram::bind(vault.join("portal.bell")).unwrap();
            let link = std::os::unix::fs::symlink(&configuration.keys.directory, vault.join("blobs/link"));
            assert_eq!(link.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
            assert!(std::fs::write(configuration.gateway_directory().join("x"), b"x").is_err());
        });
    }

    #[test]
    fn speaks_to_nobody() {
        // Landlock knows connections since its fourth version (Linux 6.7).
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = kernel.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
        if (numbers.next(), numbers.next()) < (Some(6), Some(7)) {
            return;
        }
        apart(|configuration| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            if confine_portal(configuration).unwrap() == Confinement::Enforced {
                let refused = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap_err();
                assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
            }
        });
    }

    #[test]
    fn certificates_must_not_lie_above_what_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        for file in ["portal.pem", "state/portal.pem", "keys/portal.pem", "tls/../state/portal.pem"] {
            let mut configuration = configuration(directory.path());
            configuration.portal.certificate = Some(directory.path().join(file));
            assert!(readable(&configuration).is_err(), "{file}");
        }
        assert!(readable(&configuration(directory.path())).is_ok());
    }

    #[test]
    fn ports_of_databases() {
        for (url, port) in [
            ("sqlite:/var/lib/sealpost/vault/vault.db", None),
            ("postgres://vault@db/sealpost", Some(5432)),
            ("postgres://vault:a:1@db:5433/sealpost?sslmode=require", Some(5433)),
            ("postgresql://[::1]/sealpost", Some(5432)),
            ("postgresql://[::1]:6000", Some(6000)),
            ("postgres:///sealpost?host=/run/postgresql&port=5434", Some(5434)),
        ] {
            assert_eq!(database_port(url), port, "{url}");
        }
    }
}
