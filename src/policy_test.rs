//! `sealpost policy test`: what the policy would do with a message, and why.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use sealpost_gateway::message::{Author, ParsedMessage};
use sealpost_gateway::policy::Treatment;
use sealpost_gateway::smtp::{Client, Door, ReceivedMessage};
use sealpost_gateway::{BodyType, Envelope, ReversePath};
use sealpost_vault::EmailAddress;
use sealpost_vault::clock::Clock;
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
    /// Say for each recipient whether a message is held, relayed or refused, by which rule, and what matched
    #[command(
        after_help = "Example: sealpost policy test mail.eml --from anna.weber@klinik.example --to paula@mail.example\n\n\
        Addresses are those of the envelope, as in SMTP; From and To in the message don't count."
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
    pub fn run(&self, config: &Path) -> Result<(), Failure> {
        let Action::Test(test) = &self.action;
        test.run(&Configuration::load(config)?)
    }
}

impl Test {
    fn run(&self, configuration: &Configuration) -> Result<(), Failure> {
        let policy = configuration.policy()?;
        let bytes =
            std::fs::read(&self.mail).map_err(|cause| Failure::data(format!("{}: {cause}", self.mail.display())))?;
        let from = ReversePath::Address(self.from.clone());
        let received = ReceivedMessage {
            queue_id: QueueId::random().map_err(Failure::system)?,
            envelope: Envelope {
                reverse_path: from.clone(),
                recipients: self.to.clone(),
                body: BodyType::EightBitMime,
            },
            client: Client {
                address: std::net::Ipv4Addr::LOCALHOST.into(),
                helo: "localhost".to_owned(),
                tls: false,
                door: Door::Inside,
            },
            received_at: Clock::system().now(),
            bytes: crlf(&bytes),
        };
        let parsed = ParsedMessage::parse(received).map_err(|refused| Failure::data(format!("refused: {refused}")))?;
        let inside = |address: &EmailAddress| configuration.inside.domains.iter().any(|own| own == address.domain());
        let facts = parsed.facts.said_by(if inside(&self.from) { Author::Inside } else { Author::Stranger });
        for recipient in &self.to {
            let judgement = policy.judge(&facts, &from, recipient);
            // As the gateway does: the policy is for those outside, and what is held needs somebody inside who can be answered.
            let (treatment, rule, matched, note) = if inside(recipient) {
                ("relay", "inside".to_owned(), Vec::new(), "of the organisation's own domains: no rule is asked")
            } else {
                let (treatment, note) = match judgement.treatment {
                    Treatment::Relay(_) => ("relay", ""),
                    Treatment::Hold if inside(&self.from) => ("hold", ""),
                    Treatment::Hold => ("refuse", "to be held, but the sender isn't of the organisation's domains"),
                    Treatment::Reject => ("refuse", ""),
                };
                (treatment, judgement.rule.to_string(), judgement.matched, note)
            };
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
