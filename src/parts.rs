//! Parts put together from the configuration: stores, keyring, gateway. Used by the doors and by the administrator's commands.

use std::sync::Arc;

use sealpost_gateway::Gateway;
use sealpost_gateway::departure::Departure;
use sealpost_gateway::loops::Loops;
use sealpost_gateway::pipeline::Stores;
use sealpost_gateway::queue::Queue;
use sealpost_vault::bell::{Door, Ringer};
use sealpost_vault::clock::Clock;
use sealpost_vault::db::{Db, Schema};
use sealpost_vault::grants;

use crate::configuration::Configuration;
use crate::exit::Failure;

/// Connects both stores, brings their schemas up to date, and makes the portal's grants.
pub async fn stores(configuration: &Configuration) -> Result<Stores, Failure> {
    if configuration.is_portals_alone() {
        return Err(Failure::configuration(format!(
            "{}: store.portal-url without store.vault-url is for a portal alone (`sealpost serve portal`)",
            configuration.path().display()
        )));
    }
    for directory in [configuration.vault_directory(), configuration.gateway_directory()] {
        private_directory(&directory)?;
    }
    let vault = Db::connect(&configuration.vault_url(), Schema::Vault).await?;
    let own = Db::connect(&configuration.gateway_url(), Schema::Gateway).await?;
    vault.migrate().await?;
    own.migrate().await?;
    if let Some(role) = configuration.portal_role()? {
        grants::give(&vault, &own, &role).await?;
    }
    Ok(Stores { vault, vault_blobs: configuration.vault_blobs()?, own, own_blobs: configuration.gateway_blobs()? })
}

/// Connects the gateway's own store alone, and brings its schema up to date.
pub async fn own_store(configuration: &Configuration) -> Result<Db, Failure> {
    if configuration.is_portals_alone() {
        return Err(Failure::configuration(format!(
            "{}: this machine is a portal's alone; certificates are looked after where the gateway runs",
            configuration.path().display()
        )));
    }
    private_directory(&configuration.gateway_directory())?;
    let own = Db::connect(&configuration.gateway_url(), Schema::Gateway).await?;
    own.migrate().await?;
    Ok(own)
}

/// A directory that only its owner can enter.
pub fn private_directory(path: &std::path::Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|cause| Failure::system(format!("{}: {cause}", path.display())))
}

/// The gateway's own store, not migrated; `None` where there is none yet, which isn't made.
pub async fn own_store_if_there(configuration: &Configuration) -> Result<Option<Db>, Failure> {
    let url = configuration.gateway_url();
    if let Some(file) = url.strip_prefix("sqlite:")
        && !std::path::Path::new(file).exists()
    {
        return Ok(None);
    }
    Ok(Some(Db::connect(&url, Schema::Gateway).await?))
}

/// The gateway with everything that it holds.
pub async fn gateway(configuration: &Configuration, clock: Clock) -> Result<(Gateway, Queue), Failure> {
    let keyring = Arc::new(configuration.keyring()?);
    let policy = configuration.policy()?;
    let dkim = configuration.dkim()?;
    let stores = stores(configuration).await?;
    keyring.take_up(&stores.own, clock.now()).await?;
    let loops = Loops::new(Arc::clone(&keyring), &configuration.smtp.hostname);
    let queue = Queue::new(stores.own.clone(), stores.own_blobs.clone(), Arc::clone(&keyring), clock.clone())
        .departing(Departure::new(loops, dkim));
    let ringer = Ringer::new(&stores.vault, &configuration.vault_directory(), Door::Portal);
    let gateway = Gateway::new(
        configuration.gateway_settings(),
        keyring,
        policy,
        configuration.letterhead(),
        stores,
        queue.clone(),
        ringer,
        clock,
    );
    Ok((gateway, queue))
}
