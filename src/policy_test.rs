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
    /// Judge a message file for each recipient: treatment, rule, what matched
    Test(Test),
}

#[derive(Args)]
struct Test {
    /// A message as it would be sent (an .eml file)
    mail: PathBuf,
    /// Envelope sender
    #[arg(long)]
    from: EmailAddress,
    /// Envelope recipient; may be given several times
    #[arg(long, required = true)]
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
        let author = if configuration.inside.domains.iter().any(|domain| domain == self.from.domain()) {
            Author::Inside
        } else {
            Author::Stranger
        };
        let facts = parsed.facts.said_by(author);
        for recipient in &self.to {
            let judgement = policy.judge(&facts, &from, recipient);
            let treatment = match judgement.treatment {
                Treatment::Relay(_) => "relay",
                Treatment::Hold => "hold",
                Treatment::Reject => "refuse",
            };
            if self.json {
                let line = serde_json::json!({
                    "recipient": recipient.to_string(), "treatment": treatment, "rule": judgement.rule, "matched": judgement.matched,
                });
                println!("{line}");
            } else {
                println!("{recipient}");
                println!("  treatment  {treatment}");
                println!("  rule       {}", judgement.rule);
                for matched in &judgement.matched {
                    println!("  matched    {matched}");
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
