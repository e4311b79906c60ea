//! `sealpost check-config`: reads configuration, policy, certificates and keys, and says what is wrong.

use std::path::Path;

use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::tls;

pub fn run(config: &Path) -> Result<(), Failure> {
    let configuration = Configuration::load(config)?;
    configuration.policy()?;
    configuration.hops()?;
    for (certificate, key) in [
        (&configuration.smtp.certificate, &configuration.smtp.key),
        (&configuration.portal.certificate, &configuration.portal.key),
    ] {
        if let (Some(certificate), Some(key)) = (certificate, key) {
            tls::server_config(certificate, key).map_err(Failure::configuration)?;
        }
    }
    if !configuration.organisation.logo.is_empty() {
        std::fs::metadata(&configuration.organisation.logo)
            .map_err(|cause| Failure::configuration(format!("{}: {cause}", configuration.organisation.logo)))?;
    }
    let keyring = configuration.keyring()?;
    println!("{}: fine", config.display());
    println!("organisation   {}", configuration.organisation.name);
    println!("certificate    {}", keyring.fingerprint_hex());
    println!("portal         {} on {}", configuration.organisation.portal, configuration.portal.listen);
    println!("smtp           {} on {}", configuration.smtp.hostname, configuration.smtp.listen);
    println!("inside         {} via {}", configuration.inside.domains.join(", "), configuration.inside.next_hop);
    println!("outside        via {}", configuration.outside.next_hop);
    println!(
        "policy         {}",
        configuration.policy.file.as_ref().map_or_else(|| "built-in".to_owned(), |file| file.display().to_string())
    );
    Ok(())
}
