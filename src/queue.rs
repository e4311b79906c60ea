//! `sealpost queue`: look after mail that waits: in the spool (accepted, not sealed or queued yet) and on its way out.

use std::path::Path;

use clap::{Args, Subcommand};

use sealpost_gateway::Gateway;
use sealpost_gateway::queue::{Changed, Entry, Queue, Selection};
use sealpost_vault::clock::Clock;
use sealpost_vault::id::QueueId;

use crate::configuration::Configuration;
use crate::exit::Failure;
use crate::logging::time;
use crate::parts;

const LIST: &str = "A line is: id, kind, size, since when, sender -> recipient, state, attempts, next attempt, what the next server said.\n\
    Of spooled mail nothing is shown but that, without sender and recipient, and our own last error.\n\
    Kinds: spooled (accepted, not yet sealed or passed on), relayed, encrypted, notification, code, answer (of a reader), report.\n\
    States: active (is tried when due), held (waits for `release` or `retry`).\n\
    What was delivered is no longer here.";

#[derive(Args)]
pub struct QueueCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List what waits, oldest first
    #[command(after_help = LIST)]
    List {
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one line of the list in full, or all that came of one message
    Show {
        /// An id of the list, or the id in Sealpost's `250` reply and trace header: all that came of that message
        id: QueueId,
    },
    /// Try again now, also what is held
    Retry(Which),
    /// Keep back until `release` or `retry`
    Hold(Which),
    /// Let what is held be tried when it is due
    Release(Which),
    /// Delete for good, undelivered; nobody is told
    Delete {
        /// An id of the list, or the id in Sealpost's `250` reply and trace header: all that came of that message
        id: QueueId,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// An id of the list, or the id in Sealpost's `250` reply and trace header: all that came of that message
    id: Option<QueueId>,
    /// Everything in the queue
    #[arg(long)]
    all: bool,
}

impl Which {
    fn selection(&self) -> Selection {
        self.id.map_or(Selection::All, Selection::Id)
    }
}

impl QueueCommand {
    pub async fn run(&self, config: &Path) -> Result<(), Failure> {
        let configuration = Configuration::load(config)?;
        let (gateway, queue) = parts::gateway(&configuration, Clock::system()).await?;
        match &self.action {
            Action::List { json } => list(&gateway, &queue, *json).await,
            Action::Show { id } => show(&gateway, &queue, *id).await,
            Action::Retry(which) => {
                let meant = which.selection();
                let changed = both(gateway.spool().retry(meant).await?, queue.retry(meant).await?);
                say(&changed, "due now", which.all)
            }
            Action::Hold(which) => {
                let meant = which.selection();
                // In the order in which mail goes: what leaves the spool meanwhile is met in the queue.
                let changed = both(gateway.spool().hold(meant).await?, queue.hold(meant).await?);
                say(&changed, "held", which.all)
            }
            Action::Release(which) => {
                let meant = which.selection();
                let changed = both(gateway.spool().release(meant).await?, queue.release(meant).await?);
                say(&changed, "released", which.all)
            }
            Action::Delete { id } => {
                // As above.
                let changed = both(gateway.spool().delete(*id).await?, queue.delete(Selection::Id(*id)).await?);
                say(&changed, "deleted", false)
            }
        }
    }
}

fn both(spooled: Changed, queued: Changed) -> Changed {
    Changed { changed: spooled.changed + queued.changed, busy: spooled.busy + queued.busy }
}

fn say(changed: &Changed, what: &str, all: bool) -> Result<(), Failure> {
    if changed.changed == 0 && changed.busy == 0 && !all {
        return Err(Failure::usage("nothing in the queue has this id, or nothing is to be done"));
    }
    println!("{} {what}", changed.changed);
    if changed.busy > 0 {
        println!("{} are being delivered just now and were left alone", changed.busy);
    }
    Ok(())
}

async fn list(gateway: &Gateway, queue: &Queue, json: bool) -> Result<(), Failure> {
    let (spooled, queued) = (gateway.spool().list().await?, queue.list().await?);
    if !json && spooled.is_empty() && queued.is_empty() {
        println!("nothing waits");
    }
    for waiting in spooled {
        if json {
            println!("{}", serde_json::json!({"spooled": waiting}));
        } else {
            println!(
                "{}  spooled       {:>9}  {}  {}  attempts {}  next {}  {}",
                waiting.queue_id,
                waiting.size,
                time(waiting.received_at),
                waiting.state.as_str(),
                waiting.attempts,
                time(waiting.next_at),
                waiting.last_error
            );
        }
    }
    for entry in queued {
        if json {
            println!("{}", as_json(&entry));
        } else {
            println!(
                "{}  {:<12}  {:>9}  {}  {} -> {}  {}  attempts {}  next {}  {}",
                entry.queue_id,
                entry.kind.as_str(),
                entry.size,
                time(entry.created_at),
                sender(&entry),
                entry.recipient,
                entry.state.as_str(),
                entry.attempts,
                time(entry.next_at),
                entry.last_reply
            );
        }
    }
    Ok(())
}

fn sender(entry: &Entry) -> String {
    format!("<{}>", entry.reverse_path)
}

async fn show(gateway: &Gateway, queue: &Queue, id: QueueId) -> Result<(), Failure> {
    let entries = queue.show(id).await?;
    let spooled: Vec<_> = gateway.spool().list().await?.into_iter().filter(|waiting| waiting.queue_id == id).collect();
    if entries.is_empty() && spooled.is_empty() {
        return Err(Failure::usage(format!(
            "{id}: nothing in the queue has this id; what was delivered is no longer here"
        )));
    }
    for waiting in spooled {
        println!("message      {}", waiting.queue_id);
        println!("kind         spooled: accepted, not sealed or queued yet");
        println!("state        {}", waiting.state.as_str());
        println!("received     {}", time(waiting.received_at));
        println!("attempts     {}", waiting.attempts);
        println!("next         {}", time(waiting.next_at));
        println!("last error   {}", waiting.last_error);
        println!();
    }
    for entry in entries {
        println!("row          {}", entry.queue_id);
        println!("message      {}", entry.origin);
        println!("kind         {}", entry.kind.as_str());
        println!("route        {}", entry.route.as_str());
        println!("from         {}", sender(&entry));
        println!("for          {}", entry.recipient);
        println!("state        {}", entry.state.as_str());
        println!("size         {} bytes, encrypted", entry.size);
        println!("queued       {}", time(entry.created_at));
        println!("attempts     {}", entry.attempts);
        println!("next         {}", time(entry.next_at));
        println!("given up     {}", time(entry.expires_at));
        println!("last reply   {}", entry.last_reply);
        println!();
    }
    Ok(())
}

fn as_json(entry: &Entry) -> serde_json::Value {
    serde_json::json!({
        "id": entry.queue_id, "message": entry.origin, "kind": entry.kind.as_str(), "route": entry.route.as_str(),
        "from": entry.reverse_path, "for": entry.recipient.to_string(), "pickup": entry.pickup, "state": entry.state.as_str(),
        "attempts": entry.attempts, "next": entry.next_at, "queued": entry.created_at, "until": entry.expires_at,
        "last-reply": entry.last_reply, "size": entry.size,
    })
}
