//! `sealpost check-config`: reads configuration, policy, certificates and keys, and says what is wrong.

use std::path::Path;

use sealpost_gateway::keyring::{Keyring, Used};

use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::{parts, tls};

pub async fn run(config: &Path) -> Result<(), Failure> {
    let configuration = Configuration::load(config)?;
    configuration.policy()?;
    configuration.hops()?;
    let dkim = configuration.dkim()?;
    for (certificate, key) in [
        (&configuration.smtp.certificate, &configuration.smtp.key),
        (&configuration.portal.certificate, &configuration.portal.key),
    ] {
        if let (Some(certificate), Some(key)) = (certificate, key) {
            tls::server_config(certificate, key).map_err(Failure::configuration)?;
        }
    }
    // Reads the users and the authorities.
    configuration.smtp.settings(configuration.smtp.client_certificates()?)?;
    if !configuration.organisation.logo.is_empty() {
        std::fs::metadata(&configuration.organisation.logo)
            .map_err(|cause| Failure::configuration(format!("{}: {cause}", configuration.organisation.logo)))?;
    }
    let keyring = configuration.keyring()?;
    let store = store(&configuration, &keyring).await?;
    println!("{}: fine", config.display());
    println!("organisation   {}", configuration.organisation.name);
    println!("certificate    {}", keyring.fingerprint_hex());
    println!("keys           generation {}, under {}", keyring.generation(), configuration.master()?);
    println!("store          {store}");
    println!("portal         {} on {}", configuration.organisation.portal, configuration.portal.listen);
    println!("smtp           {} on {}", configuration.smtp.hostname, configuration.smtp.listen);
    println!("inside         {} via {}", configuration.inside.domains.join(", "), configuration.inside.next_hop);
    println!("outside        via {}", configuration.outside.next_hop);
    for key in dkim.keys() {
        println!("dkim           {key}");
    }
    println!(
        "policy         {}",
        configuration.policy.file.as_ref().map_or_else(|| "built-in".to_owned(), |file| file.display().to_string())
    );
    Ok(())
}

/// Whether the keys fit the store, where there is one. It is neither made nor changed.
async fn store(configuration: &Configuration, keyring: &Keyring) -> Result<&'static str, Failure> {
    let used = match parts::own_store_if_there(configuration).await {
        Ok(None) => return Ok("none yet"),
        Ok(Some(store)) => Used::of(&store).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    // A store that doesn't answer, or that an earlier version made, is the start's business.
    let Ok(used) = used else {
        return Ok("not compared with the keys: it doesn't answer, or is of an earlier version");
    };
    keyring.fits(used.as_ref())?;
    Ok(if used.is_some() { "fits the keys" } else { "not used with keys yet" })
}
