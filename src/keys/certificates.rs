//! `sealpost keys import|list|show|remove|explain`: OpenPGP certificates of recipients.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;

use sealpost_gateway::certificates::{
    self, Check, Explained, Explanation, Fault, Filter, ImportError, Imported, LONGEST_INPUT, Listed, News, Outcome,
    Removed, Scope, Source, Stored, Taken,
};
use sealpost_vault::clock::{Clock, Time};
use sealpost_vault::{Db, EmailAddress};

use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::logging::time;
use crate::parts;

#[derive(Subcommand)]
pub enum Action {
    /// Import OpenPGP certificates of recipients
    #[command(long_about = "Import OpenPGP certificates (public keys) of recipients.\n\n\
        Armored or binary, one or many in a file. Mail to every address that a certificate names may then be encrypted to it, \
        while it is usable. Whoever imports it vouches for it: compare the fingerprint with its owner, over another way than \
        the one that it came by.\n\n\
        What is known already is merged; a revocation that was imported once stays. Signatures by others and pictures are \
        left out. Secret keys are refused.")]
    Import {
        /// The file; standard input where it is left out or `-`
        file: Option<PathBuf>,
        /// Use the certificates for this address only
        #[arg(long)]
        address: Option<EmailAddress>,
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// List certificates: fingerprint, state, date of expiry, addresses that it was imported for
    List {
        /// Only those for this address, or for this domain
        #[arg(value_name = "ADDRESS|DOMAIN")]
        of: Option<String>,
        /// At most so many lines
        #[arg(long, default_value_t = 1000, value_name = "LINES")]
        limit: u32,
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Show everything about a certificate
    Show {
        /// A whole fingerprint, or an address
        #[arg(value_name = "FINGERPRINT|ADDRESS")]
        of: String,
        /// The certificate itself, as text
        #[arg(long)]
        armor: bool,
    },
    /// Remove a certificate, or take it from one address
    #[command(long_about = "Remove a certificate, or take it from one address.\n\n\
        Without --address all that is known of it is forgotten, its revocation too: an older copy, imported later, would \
        count again. A revoked certificate does no harm; leave it.")]
    Remove {
        /// The whole fingerprint
        fingerprint: String,
        /// Keep it for its other addresses
        #[arg(long)]
        address: Option<EmailAddress>,
    },
    /// Say whether mail to an address can be encrypted, to which certificate, and why or why not
    Explain {
        address: EmailAddress,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

impl Action {
    pub async fn run(&self, config: &Path) -> Result<(), Failure> {
        let configuration = Configuration::load(config)?;
        let store = parts::own_store(&configuration).await?;
        let now = Clock::system().now();
        match self {
            Self::Import { file, address, json } => import(&store, file.as_deref(), address.as_ref(), *json, now).await,
            Self::List { of, limit, json } => list(&store, of.as_deref(), i64::from(*limit), *json, now).await,
            Self::Show { of, armor } => show(&store, of, *armor, now).await,
            Self::Remove { fingerprint, address } => remove(&store, fingerprint, address.as_ref(), now).await,
            Self::Explain { address, json } => explain(&store, address, *json, now).await,
        }
    }
}

async fn import(
    store: &Db,
    file: Option<&Path>,
    address: Option<&EmailAddress>,
    json: bool,
    now: Time,
) -> Result<(), Failure> {
    let input = read(file)?;
    let scope = address.map_or(Scope::AllNamed, Scope::Only);
    let imported = certificates::import(store, &input, Source::Import, scope, now).await.map_err(refused)?;
    for one in &imported {
        if json {
            println!("{}", imported_as_json(one));
        } else {
            say(one);
        }
    }
    let refused = imported.iter().filter(|one| one.result.is_err()).count();
    match refused {
        0 => Ok(()),
        _ => Err(Failure::data(format!("{refused} of {} certificates were not imported", imported.len()))),
    }
}

/// A little more than is taken, and no more.
fn read(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let most = LONGEST_INPUT as u64 + 1;
    let mut input = Vec::new();
    match file.filter(|file| *file != Path::new("-")) {
        Some(file) => {
            let unreadable = |cause: io::Error| Failure::data(format!("{}: {cause}", file.display()));
            File::open(file).and_then(|opened| opened.take(most).read_to_end(&mut input)).map_err(unreadable)?;
        }
        None => {
            io::stdin().lock().take(most).read_to_end(&mut input).map_err(Failure::system)?;
        }
    }
    Ok(input)
}

fn refused(error: ImportError) -> Failure {
    match error {
        ImportError::Store(cause) => cause.into(),
        other => Failure::data(format!("nothing was imported: {other}")),
    }
}

fn say(one: &Imported) {
    let named = if one.fingerprint.is_empty() { "a certificate" } else { &one.fingerprint };
    match &one.result {
        Err(unfit) => println!("{named}  refused (number {}): {unfit}", one.place),
        Ok(taken) => {
            println!("{named}  {}", news(taken.news));
            for (address, fault) in &taken.addresses {
                match fault {
                    None => println!("    {address}: usable"),
                    Some(fault) => println!("    {address}: not usable: {fault}"),
                }
            }
        }
    }
}

fn news(news: News) -> &'static str {
    match news {
        News::New => "imported",
        News::Merged => "merged with what was known of it",
        News::Known => "known already, with all that is in it",
    }
}

fn imported_as_json(one: &Imported) -> serde_json::Value {
    let addresses = |taken: &Taken| -> Vec<serde_json::Value> {
        let as_json = |fault: &Option<Fault>| fault.as_ref().map(ToString::to_string);
        taken
            .addresses
            .iter()
            .map(|(address, fault)| {
                serde_json::json!({"address": address, "usable": fault.is_none(), "reason": as_json(fault)})
            })
            .collect()
    };
    match &one.result {
        Err(unfit) => serde_json::json!({
            "number": one.place, "fingerprint": one.fingerprint, "outcome": "refused", "reason": unfit.to_string(),
        }),
        Ok(taken) => serde_json::json!({
            "number": one.place, "fingerprint": one.fingerprint, "addresses": addresses(taken),
            "outcome": match taken.news { News::New => "imported", News::Merged => "merged", News::Known => "known" },
        }),
    }
}

async fn list(store: &Db, of: Option<&str>, limit: i64, json: bool, now: Time) -> Result<(), Failure> {
    let filter = match of {
        None => Filter::Everything,
        Some(text) if text.contains('@') => Filter::Address(address(text)?),
        Some(text) => {
            let domain = sealpost_vault::address::domain_of(text);
            Filter::Domain(domain.map_err(|cause| Failure::usage(format!("{text}: {cause}")))?)
        }
    };
    let found = certificates::list(store, &filter, limit, now).await?;
    if found.is_empty() && !json {
        println!("no certificates");
    }
    for listed in found {
        if json {
            println!("{}", serde_json::json!(listed));
        } else {
            println!("{}  {:<8}  {:<20}  {}", listed.fingerprint, listed.state, expiry(&listed), addresses(&listed));
        }
    }
    Ok(())
}

fn address(text: &str) -> Result<EmailAddress, Failure> {
    text.parse().map_err(|cause| Failure::usage(format!("{text}: {cause}")))
}

fn expiry(listed: &Listed) -> String {
    if listed.expires_at == 0 { "never expires".to_owned() } else { time(listed.expires_at) }
}

fn addresses(listed: &Listed) -> String {
    listed.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

async fn show(store: &Db, of: &str, armor: bool, now: Time) -> Result<(), Failure> {
    let fingerprints = if of.contains('@') {
        let filter = Filter::Address(address(of)?);
        let listed = certificates::list(store, &filter, i64::MAX, now).await?;
        listed.into_iter().map(|listed| listed.fingerprint).collect()
    } else {
        vec![fingerprint(of)?]
    };
    let mut found = Vec::new();
    for fingerprint in &fingerprints {
        found.extend(certificates::find(store, fingerprint, now).await?);
    }
    if found.is_empty() {
        return Err(unknown(of));
    }
    for stored in &found {
        if armor {
            io::stdout().write_all(&stored.armored()?).map_err(Failure::system)?;
        } else {
            show_one(stored);
        }
    }
    Ok(())
}

fn show_one(stored: &Stored) {
    println!("fingerprint  {}", stored.listed.fingerprint);
    println!("state        {}", stored.listed.state);
    println!("made         {}", time(stored.made_at));
    println!("expires      {}", expiry(&stored.listed));
    println!("imported     {} ({})", time(stored.listed.imported_at), stored.listed.source);
    for user_id in &stored.user_ids {
        println!("User ID      {user_id}");
    }
    for (address, checks) in &stored.addresses {
        println!("\n{address}");
        checks.iter().for_each(say_check);
    }
    println!();
}

fn say_check(check: &Check) {
    let words = check.requirement.words();
    match &check.result {
        Ok(fact) => println!("    yes  {words:<20}  {fact}"),
        Err(fault) => println!("    NO   {words:<20}  {fault}"),
    }
}

async fn remove(store: &Db, of: &str, address: Option<&EmailAddress>, now: Time) -> Result<(), Failure> {
    let fingerprint = fingerprint(of)?;
    match (certificates::remove(store, &fingerprint, address, now).await?, address) {
        (Removed::Certificate, _) => println!("{fingerprint}: removed"),
        (Removed::Address, Some(address)) => println!("{fingerprint}: no longer used for {address}"),
        (Removed::Address, None) => println!("{fingerprint}: no longer used"),
        (Removed::Nothing, Some(address)) => {
            return Err(Failure::usage(format!("{fingerprint}: no such certificate, or not imported for {address}")));
        }
        (Removed::Nothing, None) => return Err(unknown(of)),
    }
    Ok(())
}

async fn explain(store: &Db, address: &EmailAddress, json: bool, now: Time) -> Result<(), Failure> {
    let explanation = certificates::explain(store, address, now).await?;
    if json {
        println!("{}", explanation_as_json(&explanation));
        return Ok(());
    }
    if explanation.certificates.is_empty() {
        println!("{}: no certificate names this address", explanation.address);
        let neighbours = certificates::list(store, &Filter::Domain(address.domain().to_owned()), 5, now).await?;
        for listed in neighbours {
            println!("    of the same domain: {}  {}", listed.fingerprint, addresses(&listed));
        }
    }
    for explained in &explanation.certificates {
        println!("{}  made {}  {}", explained.fingerprint, time(explained.made_at), outcome(explained));
        explained.checks.iter().for_each(say_check);
        println!();
    }
    let [openpgp, best] = treatments(&explanation);
    println!("a rule that says `openpgp`: {openpgp}");
    println!("a rule that says `best`:    {best}");
    Ok(())
}

fn outcome(explained: &Explained) -> &'static str {
    match explained.outcome {
        Outcome::Used => "is used for this address",
        Outcome::Outdone => "is usable, but another one that is usable was made later",
        Outcome::Unusable => "is not usable for this address",
    }
}

/// What `openpgp` and `best` come to.
fn treatments(explanation: &Explanation) -> [String; 2] {
    match explanation.used() {
        Some(used) => [(); 2].map(|()| format!("encrypted to {}", used.fingerprint)),
        None => ["refused: there is no usable certificate".to_owned(), "a sealed letter in the portal".to_owned()],
    }
}

fn explanation_as_json(explanation: &Explanation) -> serde_json::Value {
    let [openpgp, best] = match explanation.used() {
        Some(_) => ["encrypt", "encrypt"],
        None => ["refuse", "hold"],
    };
    serde_json::json!({
        "address": explanation.address, "certificates": explanation.certificates,
        "used": explanation.used().map(|used| &used.fingerprint), "openpgp": openpgp, "best": best,
    })
}

/// A whole fingerprint, however it was grouped.
fn fingerprint(text: &str) -> Result<String, Failure> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
    let digits = digits.strip_prefix("0x").unwrap_or(&digits).to_ascii_uppercase();
    let is_whole = matches!(digits.len(), 40 | 64) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_whole {
        Ok(digits)
    } else {
        Err(Failure::usage(format!(
            "{text}: give the whole fingerprint, 40 or 64 hexadecimal digits; `keys list` shows it"
        )))
    }
}

fn unknown(of: &str) -> Failure {
    Failure::usage(format!("{of}: no such certificate"))
}
