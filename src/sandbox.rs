//! The sandbox of the portal's process: it reaches the vault's directory and what a TLS server reads, and nothing else.
//!
//! Landlock: no way to the key directory, to the gateway's own store or to anything else on disk; it takes no new rights
//! and starts no programs. The listening socket is opened before.
//! Security: on a kernel without Landlock the portal runs all the same, and says so in the log: run it as a user of its own.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    path_beneath_rules,
};
use tracing::{info, warn};

use crate::configuration::Configuration;
use crate::exit::Failure;

/// What a process needs to resolve names and check certificates.
const SYSTEM: [&str; 6] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/usr/share/ca-certificates", "/dev/urandom"];

/// Confines this process, and whatever it would start, for good.
pub fn confine_portal(configuration: &Configuration) -> Result<(), Failure> {
    let vault = configuration.vault_directory();
    let mut readable: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    // A renewed certificate replaces the file, so its directory must stay readable. Keys of the gateway lie elsewhere.
    for file in [&configuration.portal.certificate, &configuration.portal.key].into_iter().flatten() {
        readable.extend(file.parent().map(PathBuf::from));
    }
    if !configuration.organisation.logo.is_empty() {
        readable.push(PathBuf::from(&configuration.organisation.logo));
    }
    if readable.iter().any(|path| configuration.keys.directory.starts_with(path)) {
        return Err(Failure::configuration(
            "portal.certificate or portal.key lies in or above the key directory: move it, the portal must not reach keys",
        ));
    }
    let abi = ABI::V5;
    let confined = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rules(path_beneath_rules(&readable, AccessFs::from_read(abi))))
        .and_then(|rules| rules.add_rules(path_beneath_rules([&vault], AccessFs::from_all(abi))))
        .and_then(|rules| rules.restrict_self())
        .map_err(|cause| Failure::system(format!("the portal can't be confined: {cause}")))?;
    match confined.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => {
            info!(enforced = ?confined.ruleset, "the portal reaches the vault and nothing else");
        }
        RulesetStatus::NotEnforced => {
            warn!("this kernel has no Landlock: run the portal as a user who can't read keys and gateway store");
        }
    }
    Ok(())
}
