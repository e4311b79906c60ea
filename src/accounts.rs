//! `sealpost accounts`: readers who enrolled. Their letters can't be shown, their passphrases are known to nobody.

use std::path::Path;

use clap::{Args, Subcommand};

use sealpost_gateway::accounts::{Overview, Reset};
use sealpost_vault::EmailAddress;
use sealpost_vault::clock::Clock;

use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::logging::time;
use crate::parts;

#[derive(Args)]
pub struct AccountsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List accounts by address
    #[command(after_help = "A line is: address, state (enrolled, or reset), since when, the key's fingerprint.")]
    List {
        /// At most so many lines
        #[arg(long, default_value_t = 1000, value_name = "LINES")]
        limit: u16,
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Show the account of an address
    Show {
        /// The reader's mail address
        address: EmailAddress,
    },
    /// Take an account away, so that its reader can make another one
    #[command(long_about = "Take an account away, so that its reader can make another one.\n\n\
        For a reader who lost passphrase and recovery code, or whose mailbox somebody else had. What was sealed to the \
        account's key alone can't be opened any more, by anybody. The next letters go with a link again. Reader and senders \
        are told; when the reader enrols again, the senders are told that the key is another one.")]
    Reset {
        /// The reader's mail address
        address: EmailAddress,
    },
}

impl AccountsCommand {
    pub async fn run(&self, config: &Path) -> Result<(), Failure> {
        let configuration = Configuration::load(config)?;
        let (gateway, _) = parts::gateway(&configuration, Clock::system()).await?;
        match &self.action {
            Action::List { limit, json } => {
                let found = gateway.accounts(i64::from(*limit)).await?;
                if !json && found.is_empty() {
                    println!("no accounts");
                }
                for account in found {
                    if *json {
                        println!("{}", as_json(&account));
                    } else {
                        let (state, since) = (&account.state, time(account.since));
                        println!("{}  {state:<8}  {since}  {}", account.reader, fingerprint(&account));
                    }
                }
            }
            Action::Show { address } => match gateway.account_of(&address.identity()).await? {
                Some(account) => show(&account),
                None => return Err(unknown(address)),
            },
            Action::Reset { address } => match gateway.reset_account(address).await? {
                Reset::Done => println!("{address}: reset; the reader can make another account"),
                Reset::WasDone => println!("{address}: was reset before"),
                Reset::NeverEnrolled => return Err(unknown(address)),
            },
        }
        Ok(())
    }
}

fn unknown(address: &EmailAddress) -> Failure {
    Failure::usage(format!("{address}: no account"))
}

fn fingerprint(account: &Overview) -> &str {
    if account.fingerprint.is_empty() { "no key" } else { &account.fingerprint }
}

fn show(account: &Overview) {
    println!("address      {}", account.reader);
    println!("account      {}", account.account);
    println!("state        {}, since {}", account.state, time(account.since));
    println!("key          {}", fingerprint(account));
    println!("counter      {} (enrolments and resets)", account.counter);
    if account.changed_at != 0 {
        println!("passphrase   set {}, changed {} time(s)", time(account.changed_at), account.changes);
    }
}

fn as_json(account: &Overview) -> serde_json::Value {
    serde_json::json!({
        "address": account.reader.as_str(), "account": account.account, "state": account.state, "since": account.since,
        "fingerprint": account.fingerprint, "counter": account.counter, "changes": account.changes,
        "changed": account.changed_at,
    })
}
