//! `sealpost letters`: look after sealed letters. Contents can't be shown: nobody but their readers can open them.

use std::path::Path;

use clap::{Args, Subcommand};

use sealpost_gateway::expiry::Withdrawal;
use sealpost_gateway::pickups::{self, Pickup, Way};
use sealpost_vault::clock::Clock;
use sealpost_vault::id::{LetterId, PickupId};

use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::logging::time;
use crate::parts;

const LIST: &str = "A line is: letter's id, reader's id, state, how it is opened, when it was sealed, sender -> reader.\n\
    States: notified, undelivered (the notification came back; the sender was told), released (handed out to a browser that \
    had a code), opened (that browser proved that it could read it), withdrawn, expired.\n\
    Opened by: link, or account (sealed straight to a reader who enrolled).";

#[derive(Args)]
pub struct LettersCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List letters, newest first: one line per reader
    #[command(after_help = LIST)]
    List {
        /// At most so many lines
        #[arg(long, default_value_t = 100, value_name = "LINES")]
        limit: u16,
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Show dates and state of a letter, for all its readers or one; not its content
    Show {
        /// A letter's id, or a reader's id, as `letters list` shows them
        id: String,
    },
    /// Send the notification again, with the link or, to a reader who has an account, without; possible until the letter was
    /// opened, withdrawn or has expired
    Resend {
        /// A letter's id, or a reader's id, as `letters list` shows them
        id: String,
    },
    /// Take a letter back: it is destroyed at once
    #[command(long_about = "Take a letter back: it is destroyed at once.\n\n\
        With a letter's id for all its readers, with a reader's id for that one. Who has read it has read it; nobody can read \
        it from now on, and a notification that still waits isn't sent. Nobody is told. What backups have of it stays sealed.")]
    Withdraw {
        /// A letter's id, or a reader's id, as `letters list` shows them
        id: String,
    },
}

impl LettersCommand {
    pub async fn run(&self, config: &Path) -> Result<(), Failure> {
        let configuration = Configuration::load(config)?;
        let (gateway, _) = parts::gateway(&configuration, Clock::system()).await?;
        match &self.action {
            Action::List { limit, json } => {
                let found = pickups::list(gateway.own_store(), i64::from(*limit)).await?;
                if !json && found.is_empty() {
                    println!("no letters");
                }
                for pickup in found {
                    if *json {
                        println!("{}", as_json(&pickup));
                    } else {
                        println!(
                            "{}  {}  {:<11}  {:<7}  {}  {} -> {}",
                            pickup.letter_id,
                            pickup.pickup_id,
                            pickup.state,
                            pickup.way,
                            time(pickup.created_at),
                            pickup.sender,
                            pickup.reader
                        );
                    }
                }
            }
            Action::Show { id } => {
                for pickup in find(&gateway, id).await? {
                    show(&pickup);
                }
            }
            Action::Resend { id } => {
                for pickup in find(&gateway, id).await? {
                    if gateway.resend(&pickup).await? {
                        println!("{}: queued again for {}", pickup.pickup_id, pickup.reader);
                    } else {
                        return Err(Failure::usage(format!(
                            "{}: can't be sent again, it is {}: its link isn't kept any more. Ask the sender to write again.",
                            pickup.pickup_id, pickup.state
                        )));
                    }
                }
            }
            Action::Withdraw { id } => {
                let what = match find(&gateway, id).await?.first() {
                    Some(pickup) if pickup.letter_id.to_string() == id.to_lowercase() => {
                        Withdrawal::Letter(pickup.letter_id)
                    }
                    Some(pickup) => Withdrawal::Pickup(pickup.pickup_id),
                    None => return Err(unknown(id)),
                };
                match gateway.withdraw(what).await? {
                    0 => println!("had ended before: nothing to destroy"),
                    readers => println!("destroyed for {readers} reader(s)"),
                }
            }
        }
        Ok(())
    }
}

fn unknown(id: &str) -> Failure {
    Failure::usage(format!("{id}: no such letter"))
}

async fn find(gateway: &sealpost_gateway::Gateway, id: &str) -> Result<Vec<Pickup>, Failure> {
    let letter: LetterId = id.parse().map_err(|_| unknown(id))?;
    let found = pickups::of_letter(gateway.own_store(), letter).await?;
    if !found.is_empty() {
        return Ok(found);
    }
    let pickup = pickups::find(gateway.own_store(), PickupId::from_bytes(*letter.bytes())).await?;
    pickup.map(|pickup| vec![pickup]).ok_or_else(|| unknown(id))
}

fn show(pickup: &Pickup) {
    let when = |seconds| if seconds == 0 { "not yet".to_owned() } else { time(seconds) };
    println!("letter        {}", pickup.letter_id);
    println!("reader's id   {}", pickup.pickup_id);
    println!("conversation  {}", pickup.conversation_id);
    println!("state         {}", pickup.state);
    println!("opened by     {}", pickup.way);
    println!("from          {}", pickup.sender);
    println!("for           {}", pickup.delivery);
    println!("message       {}", pickup.origin);
    println!("sealed        {}", time(pickup.created_at));
    println!("released      {}", when(pickup.released_at));
    println!("opened        {}", when(pickup.opened_at));
    println!("answered      {}", when(pickup.answered_at));
    println!("expires       {}", time(pickup.expires_at));
    let resend = match pickup.way {
        Way::Link if pickup.kept_link.is_empty() => {
            "without the link, if the reader has an account; else no longer possible"
        }
        Way::Account if pickup.opened_at != 0 || !pickup.state.lives() => "no longer possible",
        Way::Link | Way::Account => "possible",
    };
    println!("resend        {resend}");
    println!();
}

fn as_json(pickup: &Pickup) -> serde_json::Value {
    serde_json::json!({
        "letter": pickup.letter_id, "pickup": pickup.pickup_id, "conversation": pickup.conversation_id, "state": pickup.state,
        "way": pickup.way,
        "from": pickup.sender.to_string(), "for": pickup.delivery.to_string(), "message": pickup.origin,
        "created": pickup.created_at, "released": pickup.released_at, "opened": pickup.opened_at,
        "answered": pickup.answered_at, "expires": pickup.expires_at,
    })
}
