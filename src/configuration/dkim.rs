//! DKIM: which keys sign for which domains, and what.

use std::path::PathBuf;

use sealpost_gateway::dkim::{Dkim, DkimKey, Passing};
use sealpost_vault::address::domain_of;
use serde::Deserialize;

use super::Configuration;

/// The organisation's keys; none: nothing is signed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DkimTable {
    pub(super) keys: Vec<Key>,
    passing: Passed,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Key {
    domain: String,
    selector: String,
    pub(super) file: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Passed {
    #[default]
    Unsigned,
    Signed,
}

/// What is wrong with it, in words. Reads no key.
pub(super) fn check(configuration: &Configuration) -> Result<(), String> {
    let authors =
        [configuration.mail.from.domain(), &configuration.mail.reply_domain, configuration.mail.postmaster.domain()];
    let authors: Vec<&str> =
        authors.into_iter().chain(configuration.inside.domains.iter().map(String::as_str)).collect();
    let mut names = Vec::new();
    for key in &configuration.dkim.keys {
        let domain = domain_of(&key.domain).map_err(|_| format!("dkim.keys: {:?} is no domain", key.domain))?;
        if !authors.iter().any(|author| is_within(author, &domain)) {
            return Err(format!(
                "dkim.keys: a key of {domain} would sign nothing; mail comes from {} and from inside.domains",
                configuration.mail.from.domain()
            ));
        }
        let name = (key.selector.to_ascii_lowercase(), domain);
        if names.contains(&name) {
            return Err(format!("dkim.keys: {} of {} stands there twice", name.0, name.1));
        }
        names.push(name);
    }
    // Notifications and codes, and readers' answers. Half of it signed isn't what somebody wants who names a key.
    for (option, author) in
        [("mail.from", configuration.mail.from.domain()), ("mail.reply-domain", &configuration.mail.reply_domain)]
    {
        if !names.is_empty() && !names.iter().any(|(_, domain)| is_within(author, domain)) {
            return Err(format!("dkim.keys: no key signs for {author}, which {option} names"));
        }
    }
    Ok(())
}

fn is_within(domain: &str, ours: &str) -> bool {
    domain.strip_suffix(ours).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Reads the keys.
pub(super) fn load(configuration: &Configuration) -> Result<Dkim, String> {
    let load =
        |key: &Key| DkimKey::load(&key.domain, &key.selector, &key.file).map_err(|error| format!("dkim.keys: {error}"));
    let keys = configuration.dkim.keys.iter().map(load).collect::<Result<_, _>>()?;
    let passing = match configuration.dkim.passing {
        Passed::Unsigned => Passing::Unsigned,
        Passed::Signed => Passing::Signed,
    };
    Ok(Dkim::new(keys, passing))
}
