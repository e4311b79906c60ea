//! `sealpost policy test`: what the policy would do with a message, and why.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use sealpost_gateway::certificates;
use sealpost_gateway::message::{Author, ParsedMessage};
use sealpost_gateway::pgp_mime::{Protection, already_protected};
use sealpost_gateway::policy::{Judgement, Treatment, names};
use sealpost_gateway::smtp::{Client, Door, ReceivedMessage};
use sealpost_gateway::{BodyType, Envelope, ReversePath};
use sealpost_vault::EmailAddress;
use sealpost_vault::clock::Clock;
use sealpost_vault::db::{Db, Schema};
use sealpost_vault::id::QueueId;

use crate::configuration::Configuration;
use crate::exit::Failure;

#[derive(Args)]
pub struct PolicyCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Say for each recipient whether a message is relayed, encrypted, held or refused, by which rule, and what matched
    #[command(
        after_help = "Example: sealpost policy test mail.eml --from anna.weber@klinik.example --to paula@mail.example\n\n\
        Addresses are those of the envelope, as in SMTP; From and To in the message don't count. Whether a recipient has a \
        usable OpenPGP key is looked up in the gateway's store, if there is one."
    )]
    Test(Test),
}

#[derive(Args)]
struct Test {
    /// A file with the message as it would be sent (.eml)
    #[arg(value_name = "FILE")]
    mail: PathBuf,
    /// Sender
    #[arg(long, value_name = "ADDRESS")]
    from: EmailAddress,
    /// Recipient; may be given several times
    #[arg(long, required = true, value_name = "ADDRESS")]
    to: Vec<EmailAddress>,
    /// As JSON, one line per recipient
    #[arg(long)]
    json: bool,
}

impl PolicyCommand {
    pub async fn run(&self, config: &Path) -> Result<(), Failure> {
        let Action::Test(test) = &self.action;
        test.run(&Configuration::load(config)?).await
    }
}

impl Test {
    async fn run(&self, configuration: &Configuration) -> Result<(), Failure> {
        let policy = configuration.policy()?;
        let bytes =
            std::fs::read(&self.mail).map_err(|cause| Failure::data(format!("{}: {cause}", self.mail.display())))?;
        let from = ReversePath::Address(self.from.clone());
        let received = ReceivedMessage {
            queue_id: QueueId::random().map_err(Failure::system)?,
            envelope: Envelope::plain(from.clone(), self.to.clone(), BodyType::EightBitMime),
            client: Client::new(std::net::Ipv4Addr::LOCALHOST.into(), "localhost", Door::Inside),
            received_at: Clock::system().now(),
            bytes: crlf(&bytes),
        };
        let parsed = ParsedMessage::parse(received).map_err(|refused| Failure::data(format!("refused: {refused}")))?;
        let encrypted = matches!(already_protected(&parsed.received.bytes), Some(Protection::Encrypted(_)));
        let inside = |address: &EmailAddress| configuration.inside.domains.iter().any(|own| own == address.domain());
        let facts = parsed.facts.said_by(if inside(&self.from) { Author::Inside } else { Author::Stranger });
        for recipient in &self.to {
            // As the gateway does: the policy is for those outside.
            let (outcome, rule, matched) = if inside(recipient) {
                (
                    Outcome::new("relay", "of the organisation's own domains: no rule is asked"),
                    "inside".to_owned(),
                    vec![],
                )
            } else {
                let Judgement { treatment, rule, matched } = policy.judge(&facts, &from, recipient);
                if encrypted && !matches!(treatment, Treatment::Relay(_) | Treatment::Reject) {
                    let rule = format!("{}: {rule}", names::ALREADY_ENCRYPTED);
                    (Outcome::new("relay", "the sender has encrypted it: it passes as it is"), rule, matched)
                } else {
                    let key = match treatment {
                        Treatment::OpenPgp | Treatment::Best => key(configuration, recipient).await,
                        Treatment::Relay(_) | Treatment::Hold | Treatment::Reject => Key::Unknown,
                    };
                    (outcome(&treatment, key, inside(&self.from)), rule, matched)
                }
            };
            let Outcome { treatment, note } = outcome;
            if self.json {
                let line = serde_json::json!({
                    "recipient": recipient.to_string(), "treatment": treatment, "rule": rule, "matched": matched, "note": note,
                });
                println!("{line}");
            } else {
                println!("{recipient}");
                println!("  treatment  {treatment}");
                println!("  rule       {rule}");
                for matched in &matched {
                    println!("  matched    {matched}");
                }
                if !note.is_empty() {
                    println!("  note       {note}");
                }
            }
        }
        Ok(())
    }
}

/// What would happen.
struct Outcome {
    treatment: &'static str,
    note: String,
}

impl Outcome {
    fn new(treatment: &'static str, note: impl Into<String>) -> Self {
        Self { treatment, note: note.into() }
    }
}

/// What the gateway's store says of a recipient's key.
enum Key {
    Usable(String),
    None,
    /// There is no store here, or it can't be read.
    Unknown,
}

/// As the gateway decides: what is held needs somebody inside who can be answered.
fn outcome(treatment: &Treatment, key: Key, from_inside: bool) -> Outcome {
    const NO_KEY: &str = "no usable key; `sealpost keys explain` says why";
    const UNKNOWN: &str = "depends on a usable key, and the gateway's store can't be read here";
    const NOBODY: &str = "to be held, but the sender isn't of the organisation's domains";
    match (treatment, key) {
        (Treatment::Relay(_), _) => Outcome::new("relay", ""),
        (Treatment::Reject, _) => Outcome::new("refuse", ""),
        (Treatment::OpenPgp | Treatment::Best, Key::Usable(fingerprint)) => {
            Outcome::new("openpgp", format!("encrypted to the key {fingerprint}"))
        }
        (Treatment::OpenPgp, Key::None) => Outcome::new("refuse", NO_KEY),
        (Treatment::OpenPgp, Key::Unknown) => Outcome::new("openpgp", format!("or refuse: it {UNKNOWN}")),
        (Treatment::Best, Key::None) if from_inside => Outcome::new("hold", NO_KEY),
        (Treatment::Best, Key::Unknown) if from_inside => {
            Outcome::new("best", format!("openpgp or hold: it {UNKNOWN}"))
        }
        (Treatment::Hold, _) if from_inside => Outcome::new("hold", ""),
        (Treatment::Best | Treatment::Hold, _) => Outcome::new("refuse", NOBODY),
    }
}

/// Looks into the gateway's store, and makes none.
async fn key(configuration: &Configuration, recipient: &EmailAddress) -> Key {
    let url = configuration.gateway_url();
    let url = if url.starts_with("sqlite:") && !url.contains('?') { format!("{url}?mode=rw") } else { url };
    let Ok(store) = Db::connect(&url, Schema::Gateway).await else { return Key::Unknown };
    match certificates::usable_for(&store, recipient, Clock::system().now()).await {
        Ok(Some(usable)) => Key::Usable(usable.fingerprint_hex()),
        Ok(None) => Key::None,
        Err(_) => Key::Unknown,
    }
}

/// Files often have lone line feeds; on the wire lines end with CRLF.
fn crlf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let mut before = 0;
    for byte in bytes {
        if *byte == b'\n' && before != b'\r' {
            out.push(b'\r');
        }
        out.push(*byte);
        before = *byte;
    }
    out
}
