//! The sandbox of the portal's process: it reaches the vault's directory and what a TLS server reads, and nothing else.
//!
//! Landlock confines the thread that asks for it and the threads that this one starts later. So it comes first, before
//! there is a second thread, and [`Confined`] is the proof that the portal's door wants to see.
//! Security: no way to the key directory, to the gateway's own store or to anything else on disk; it starts no programs,
//! also none that it wrote itself; it leaves no links, pipes or devices in the vault for the gateway to find; it connects to
//! nobody but its database (not to the gateway's inner SMTP door, which believes this host) and signals nobody. On a kernel
//! without Landlock the portal runs all the same, and says so in the log: run it as a user of its own. Connections can be
//! kept from it since Linux 6.7, signals since 6.12.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use tracing::{info, warn};

use crate::configuration::Configuration;
use crate::exit::Failure;

/// What a process needs to resolve names and check certificates.
const SYSTEM: [&str; 6] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/usr/share/ca-certificates", "/dev/urandom"];

/// This process is confined, all of it, for good.
#[derive(Debug)]
pub struct Confined(());

/// What a confined process reaches.
struct Reach {
    readable: Vec<PathBuf>,
    /// Of its database; `None` for a file.
    port: Option<u16>,
    writable: PathBuf,
}

/// Confines this process, and whatever it would start, for good. Must be called while it has one thread.
pub fn confine_portal(configuration: &Configuration) -> Result<Confined, Failure> {
    let reach = Reach::of_portal(configuration)?;
    // Without /proc nobody can tell, and main calls this before it starts a thread.
    if std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > 1) {
        return Err(Failure::system("the portal can't be confined: it has more than one thread already"));
    }
    match reach.confine().map_err(|cause| Failure::system(format!("the portal can't be confined: {cause}")))? {
        enforced @ (RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => {
            info!(?enforced, "the portal reaches the vault and nothing else");
        }
        RulesetStatus::NotEnforced => {
            warn!("this kernel has no Landlock: run the portal as a user who can't read keys and gateway store");
        }
    }
    Ok(Confined(()))
}

impl Reach {
    fn of_portal(configuration: &Configuration) -> Result<Self, Failure> {
        let mut readable: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        // A renewed certificate replaces the file, so its directory must stay readable; and the one that a link leads to,
        // because programs that renew certificates keep links to the newest.
        for file in [&configuration.portal.certificate, &configuration.portal.key].into_iter().flatten() {
            readable.extend(file.parent().map(real));
            readable.extend(real(file).parent().map(Path::to_owned));
        }
        if !configuration.organisation.logo.is_empty() {
            readable.push(real(Path::new(&configuration.organisation.logo)));
        }
        let master = configuration.master()?.file();
        let directories = [
            ("key directory", Some(configuration.keys.directory.clone())),
            ("master key", master),
            ("gateway's store", Some(configuration.gateway_directory())),
        ];
        for (what, secret) in directories {
            let Some(secret) = &secret else { continue };
            if let Some(open) = readable.iter().find(|path| real(secret).starts_with(path)) {
                return Err(Failure::configuration(format!(
                    "portal.certificate, portal.key or organisation.logo opens {} to the portal, and the {what} lies in it: \
                     move it, the portal must not reach it",
                    open.display()
                )));
            }
        }
        let port = database_port(&configuration.portal_url());
        Ok(Self { readable, port, writable: configuration.vault_directory() })
    }

    /// Confines the calling thread and those that it starts from now on.
    fn confine(&self) -> Result<RulesetStatus, RulesetError> {
        let abi = ABI::V5;
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let all = AccessFs::from_all(abi);
        // Whoever can write a program must not run it; and nothing that leads elsewhere or makes a reader wait.
        let never = AccessFs::Execute
            | AccessFs::MakeSym
            | AccessFs::MakeFifo
            | AccessFs::MakeChar
            | AccessFs::MakeBlock
            | AccessFs::IoctlDev;
        let confined = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)
            .and_then(|rules| rules.handle_access(AccessNet::ConnectTcp))
            .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
            .and_then(Ruleset::create)
            .and_then(|rules| rules.add_rules(path_beneath_rules(&self.readable, read)))
            .and_then(|rules| rules.add_rules(path_beneath_rules([&self.writable], all & !never)))
            .and_then(|rules| {
                let to_database =
                    self.port.map(|port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::ConnectTcp)));
                rules.add_rules(to_database)
            })
            .and_then(|rules| rules.restrict_self())?;
        Ok(confined.ruleset)
    }
}

/// The port that a database listens on; `None` for a file.
fn database_port(url: &str) -> Option<u16> {
    let (_, rest) = url.split_once("://").filter(|(engine, _)| engine.starts_with("postgres"))?;
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let named = query.split('&').find_map(|pair| pair.strip_prefix("port="));
    let host = authority.split('/').next().unwrap_or_default().rsplit('@').next().unwrap_or_default();
    let port = named.or_else(|| host.rsplit_once(':').map(|(_, port)| port));
    Some(port.and_then(|port| port.parse().ok()).unwrap_or(5432))
}

/// Without links; as it stands if it isn't there.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::process::Command;

    use super::*;

    /// Where the confined process finds what it is to try; set for it only.
    const HERE: &str = "SEALPOST_TEST_CONFINED";

    /// A set-up as `init` and the gateway leave it.
    fn set_up(directory: &Path) -> Configuration {
        for made in ["keys", "state/vault", "state/gateway", "tls", "renewed"] {
            fs::create_dir_all(directory.join(made)).unwrap();
        }
        for file in
            ["keys/root", "state/gateway/gateway.db", "state/vault/vault.db", "renewed/certificate.pem", "elsewhere"]
        {
            fs::write(directory.join(file), "x").unwrap();
        }
        fs::write(directory.join("logo.png"), "x").unwrap();
        let link = directory.join("tls/certificate.pem");
        if !link.is_symlink() {
            std::os::unix::fs::symlink(directory.join("renewed/certificate.pem"), link).unwrap();
        }
        configured(directory, "tls/certificate.pem")
    }

    fn configured(directory: &Path, certificate: &str) -> Configuration {
        let file = directory.join("sealpost.toml");
        let text = format!(
            r#"
            organisation = {{ name = "K", telephone = "1", website = "https://k.example", portal = "https://k.example", language = "en", logo = "logo.png" }}
            store = {{ directory = "state" }}
            keys = {{ directory = "keys" }}
            smtp = {{ listen = "127.0.0.1:1", hostname = "k.example" }}
            portal = {{ listen = "127.0.0.1:2", certificate = "{certificate}", key = "{certificate}" }}
            inside = {{ domains = ["k.example"], next-hop = "127.0.0.1:3" }}
            outside = {{ next-hop = "127.0.0.1:4" }}
            mail = {{ from = "l@k.example", reply-domain = "r.k.example", postmaster = "p@k.example" }}
            "#
        );
        fs::write(&file, text).unwrap();
        Configuration::load(&file).unwrap()
    }

    /// Runs itself once more in a process of its own, because a confinement doesn't end.
    #[test]
    fn a_confined_process_reaches_the_vault_and_nothing_else() {
        if let Ok(here) = std::env::var(HERE) {
            return confine_and_try(Path::new(&here));
        }
        let directory = tempfile::tempdir().unwrap();
        set_up(directory.path());
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sandbox::tests::a_confined_process_reaches_the_vault_and_nothing_else", "--nocapture"])
            .env(HERE, directory.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("everything tried") && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn confine_and_try(here: &Path) {
        let connections = knows_connections();
        let reach = Reach::of_portal(&set_up(here)).unwrap();
        // Opened before, to tell a kernel's refusal from a file that isn't there.
        for file in ["keys/root", "state/gateway/gateway.db", "elsewhere"] {
            File::open(here.join(file)).unwrap();
        }
        assert!(Command::new("/bin/true").status().unwrap().success());
        assert_ne!(reach.confine().unwrap(), RulesetStatus::NotEnforced);
        // On the thread that asked, and on one that it starts, as the runtime does.
        tries(here, connections);
        std::thread::scope(|scope| scope.spawn(|| tries(here, connections)).join().unwrap());
        println!("everything tried");
    }

    fn tries(here: &Path, connections: bool) {
        let denied = |what: &str, outcome: std::io::Result<()>| {
            let error = outcome.expect_err(what);
            // Landlock's word for a file that may not change its place is that of another device.
            let refused = matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::CrossesDevices);
            assert!(refused, "{what}: {error}");
        };
        let vault = here.join("state/vault");
        for file in ["keys/root", "state/gateway/gateway.db", "elsewhere", "state/vault/../../keys/root"] {
            denied(file, File::open(here.join(file)).map(drop));
            denied(file, File::options().write(true).open(here.join(file)).map(drop));
        }
        for file in
            ["/etc/shadow", "/etc/passwd", "/proc/self/environ", "/proc/1/environ", "/proc/self/root/etc/passwd"]
        {
            denied(file, File::open(file).map(drop));
        }
        denied("the list of keys", fs::read_dir(here.join("keys")).map(drop));
        denied("a new file beside the stores", fs::write(here.join("state/new"), "x"));
        denied("a new file among certificates", fs::write(here.join("tls/new"), "x"));
        denied("another logo", fs::write(here.join("logo.png"), "x"));
        denied("a deleted key", fs::remove_file(here.join("keys/root")));
        denied("a program", Command::new("/bin/true").status().map(drop));
        // what it wrote itself doesn't run, and a link doesn't help
        let own = vault.join("program");
        fs::write(&own, "#!/bin/true\n").unwrap();
        fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        denied("a program of its own", Command::new(&own).status().map(drop));
        denied("a link", std::os::unix::fs::symlink(here.join("keys/root"), vault.join("link")));
        let pipe = rustix::fs::mkfifoat(rustix::fs::CWD, vault.join("pipe"), rustix::fs::Mode::RWXU);
        denied("a pipe", pipe.map_err(Into::into));
        denied("a key as a second name", fs::hard_link(here.join("keys/root"), vault.join("key")));
        denied("a key moved", fs::rename(here.join("keys/root"), vault.join("key")));
        fs::remove_file(own).unwrap();
        // Landlock knows connections since Linux 6.7.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        if connections {
            denied("a connection", std::net::TcpStream::connect(listener.local_addr().unwrap()).map(drop));
        }

        // what it needs
        fs::write(vault.join("vault.db"), "y").unwrap();
        fs::create_dir_all(vault.join("blobs/deep")).unwrap();
        fs::write(vault.join("blobs/deep/a"), "y").unwrap();
        fs::rename(vault.join("blobs/deep/a"), vault.join("blobs/b")).unwrap();
        std::os::unix::net::UnixDatagram::bind(vault.join("bell")).unwrap();
        fs::remove_file(vault.join("bell")).unwrap();
        fs::read(here.join("tls/certificate.pem")).unwrap();
        fs::read(here.join("logo.png")).unwrap();
        fs::read("/etc/hosts").unwrap();
    }

    fn knows_connections() -> bool {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
        (numbers.next(), numbers.next()) >= (Some(6), Some(7))
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

    #[test]
    fn a_process_with_threads_is_not_taken_for_confined() {
        let directory = tempfile::tempdir().unwrap();
        let configuration = set_up(directory.path());
        let (held, holds) = std::sync::mpsc::channel::<()>();
        let second = std::thread::spawn(move || holds.recv());
        assert!(confine_portal(&configuration).is_err());
        drop(held);
        assert!(second.join().unwrap().is_err());
    }

    #[test]
    fn what_would_open_keys_or_gateway_to_the_portal_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        set_up(directory.path());
        std::os::unix::fs::symlink(directory.path().join("keys/root"), directory.path().join("tls/linked.pem"))
            .unwrap();
        for (certificate, fine) in [
            ("tls/certificate.pem", true),
            ("keys/root", false),
            ("certificate.pem", false),
            ("state/certificate.pem", false),
            ("state/gateway/certificate.pem", false),
            ("tls/linked.pem", false),
            ("tls/../keys/root", false),
        ] {
            let configuration = configured(directory.path(), certificate);
            assert_eq!(Reach::of_portal(&configuration).is_ok(), fine, "{certificate}");
        }
        // The master key beside the certificate that the portal reads.
        let file = directory.path().join("sealpost.toml");
        configured(directory.path(), "tls/certificate.pem");
        for (master, fine) in [("elsewhere/master", true), ("tls/master", false), ("renewed/master", false)] {
            let text = fs::read_to_string(&file).unwrap();
            let with = format!("keys = {{ directory = \"keys\", master = \"file:{master}\" }}");
            let changed = directory.path().join("with-master.toml");
            fs::write(&changed, text.replace("keys = { directory = \"keys\" }", &with)).unwrap();
            let reach = Reach::of_portal(&Configuration::load(&changed).unwrap());
            assert_eq!(reach.is_ok(), fine, "{master}");
        }
    }
}
