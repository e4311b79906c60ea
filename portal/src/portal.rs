//! What all routes share: the stores, the settings, the way to ask the gateway.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use sealpost_texts::Organisation;
use sealpost_vault::bell::{Door, Listener, Ringer};
use sealpost_vault::errands::{self, Answer, Errand};
use sealpost_vault::id::ErrandId;
use sealpost_vault::{BlobStore, Clock, Db, StoreError};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::colour::{self, Accent};
use crate::logo::{Logo, LogoError};
use crate::rate::Rates;

/// Uploads that are held in memory at once, each up to [`sealpost_vault::uploads::MAX_PART`].
const UPLOADS_AT_ONCE: usize = 8;
/// What one address may ask of us in a burst, and each minute: codes, lost links.
const ASKS_PER_MINUTE: u32 = 60;

/// How the portal shows itself, and whom it believes.
#[derive(Clone, Debug)]
pub struct Settings {
    pub organisation: Organisation,
    /// Proxies in front of us: only from these is `X-Forwarded-For` believed, and only its last entry.
    pub proxies: Vec<IpAddr>,
}

/// Why the door can't open.
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    #[error("organisation.colour must be written #rrggbb")]
    Colour,
    #[error(transparent)]
    Logo(#[from] LogoError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The portal, ready to answer. Cheap to clone.
#[derive(Clone)]
pub struct Portal(Arc<Inner>);

/// Public in a private module: other crates see the portal, not what it holds.
pub struct Inner {
    pub(crate) vault: Db,
    pub(crate) blobs: BlobStore,
    pub(crate) clock: Clock,
    pub(crate) organisation: Organisation,
    pub(crate) proxies: Vec<IpAddr>,
    pub(crate) accent: Accent,
    pub(crate) logo: Option<Logo>,
    pub(crate) rates: Rates,
    pub(crate) uploads: Semaphore,
    pub(crate) strict_transport: Option<HeaderValue>,
    ringer: Ringer,
    rung: Notify,
}

impl std::ops::Deref for Portal {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Portal {
    /// Reads the logo and checks the colour; the vault must be migrated.
    pub fn new(
        vault: Db,
        blobs: BlobStore,
        bell_directory: &Path,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self, PortalError> {
        let Settings { organisation, proxies } = settings;
        let accent = colour::accent(&organisation.colour).ok_or(PortalError::Colour)?;
        let logo = Logo::read(&organisation.logo)?;
        // A year; sub-domains and preload lists are the administrator's to decide.
        let strict_transport =
            organisation.portal.starts_with("https://").then(|| HeaderValue::from_static("max-age=31536000"));
        let ringer = Ringer::new(&vault, bell_directory, Door::Gateway);
        Ok(Self(Arc::new(Inner {
            vault,
            blobs,
            clock,
            organisation,
            proxies,
            accent,
            logo,
            rates: Rates::new(ASKS_PER_MINUTE),
            uploads: Semaphore::new(UPLOADS_AT_ONCE),
            strict_transport,
            ringer,
            rung: Notify::new(),
        })))
    }

    /// Asks the gateway and rings its bell; doesn't wait.
    pub(crate) async fn ask(&self, errand_id: ErrandId, errand: &Errand) -> Result<(), StoreError> {
        errands::ask(&self.vault, errand_id, errand, self.clock.now()).await?;
        self.ringer.ring();
        Ok(())
    }

    /// The same where it may have been asked already: there is one errand afterwards.
    pub(crate) async fn ask_once(&self, errand_id: ErrandId, errand: &Errand) -> Result<(), StoreError> {
        match self.ask(errand_id, errand).await {
            Err(StoreError::Database(error)) if error.as_database_error().is_some_and(|e| e.is_unique_violation()) => {
                Ok(())
            }
            asked => asked,
        }
    }

    /// The gateway's answer; `None` after `patience`.
    pub(crate) async fn answer(&self, errand_id: ErrandId, patience: Duration) -> Result<Option<Answer>, StoreError> {
        errands::wait(&self.vault, &self.rung, errand_id, patience).await
    }

    /// Hears the portal's bell until `stop`: whoever waits for an answer looks again. [`crate::serve`] does this; whoever
    /// uses [`Portal::router`] alone may.
    pub async fn hear(self, listener: Listener, stop: CancellationToken) {
        while stop.run_until_cancelled(listener.wait()).await.is_some() {
            self.rung.notify_waiters();
        }
    }
}
