//! One mail transaction: MAIL, RCPT for each recipient, DATA, content, and what each recipient's verdict is.
//!
//! Commands are sent together where the server allows it, in groups small enough that neither side can block the other
//! (RFC 2920 3.1). DATA waits for the verdicts on the recipients: the one round trip spares us an empty message where all
//! of them were refused.
//!
//! Security: a reply that is missing, late or out of place is never a "yes". A connection that dies between the final dot
//! and its reply leaves the mail undelivered in our books, so it is sent again: twice is better than never.
//! Standards: RFC 5321 3.3, 4.1.1.2 to 4.1.1.5, 4.2.4, 4.5.3.1.10; RFC 1870; RFC 2920; RFC 3461; RFC 6152; RFC 6531.

use std::time::Duration;

use sealpost_vault::EmailAddress;

use super::connection::{Connection, Size, State};
use super::content::{self, ContentError, Stuffing};
use super::reply::Reply;
use super::wire::{Broken, Wire};
use super::{Content, Failure, Outcome, Requests, Transmission};
use crate::envelope::{BodyType, Charset};

/// RCPT commands sent together.
const GROUP: usize = 20;
/// Content is sent in blocks of about this size, in bytes.
const BLOCK: usize = 64 * 1024;
/// How long a server that broke off the content may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl Content<'_> {
    fn check(self) -> Result<BodyType, ContentError> {
        match self {
            Self::Whole(bytes) => content::check(bytes),
            Self::Stored(stored) => stored.may_leave(),
        }
    }

    fn length(self) -> u64 {
        match self {
            Self::Whole(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Stored(stored) => stored.length(),
        }
    }
}

/// The verdicts as they come in.
struct Verdicts(Vec<Option<Outcome>>);

impl Verdicts {
    fn set(&mut self, n: usize, outcome: Outcome) {
        if let Some(verdict) = self.0.get_mut(n) {
            *verdict = Some(outcome);
        }
    }

    /// The same verdict for all who have none yet.
    fn rest(&mut self, outcome: &Outcome) {
        for verdict in self.0.iter_mut().filter(|verdict| verdict.is_none()) {
            *verdict = Some(outcome.clone());
        }
    }

    fn open(&self) -> bool {
        self.0.iter().any(Option::is_none)
    }

    fn is_open(&self, n: usize) -> bool {
        self.0.get(n).is_some_and(Option::is_none)
    }
}

/// How a transaction ended.
pub(super) struct Ended {
    /// One for each recipient, in their order.
    verdicts: Verdicts,
    /// Why there are no more of them; `None`: the dialogue went to its end.
    broken: Option<Broken>,
    reached: Reached,
}

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// Nothing of the content was sent: whoever has no verdict can be tried elsewhere at once.
    Recipients,
    /// From here on the server may have taken it, whatever we heard.
    Content,
}

impl Ended {
    /// Those who have a verdict, and what it is.
    pub(super) fn verdicts(&mut self) -> impl Iterator<Item = (usize, Outcome)> {
        self.verdicts.0.iter_mut().enumerate().filter_map(|(n, verdict)| Some((n, verdict.take()?)))
    }

    /// Why some have no verdict.
    pub(super) fn failure(&self) -> Failure {
        self.broken.as_ref().unwrap_or(&Broken::Closed).failure()
    }

    pub(super) fn reached(&self) -> Reached {
        self.reached
    }

    pub(super) fn into_outcomes(self) -> Vec<Outcome> {
        let missing = Outcome::Later(self.failure());
        self.verdicts.0.into_iter().map(|verdict| verdict.unwrap_or_else(|| missing.clone())).collect()
    }
}

pub(super) async fn run(connection: &mut Connection, mail: Transmission<'_>, requests: &Requests) -> Ended {
    let mut ended = Ended {
        verdicts: Verdicts(mail.recipients.iter().map(|_| None).collect()),
        broken: None,
        reached: Reached::Recipients,
    };
    match admission(connection, mail, requests, &mut ended.verdicts) {
        Err(failure) => ended.verdicts.rest(&Outcome::Refused(failure)),
        Ok(parameters) if ended.verdicts.open() => {
            let done = dialogue(connection, mail, requests, &parameters, &mut ended).await;
            if let Err(broken) = done {
                match &broken {
                    Broken::Unreadable(error) => {
                        tracing::error!(%error, "the content can't be read: it was broken off")
                    }
                    broken => tracing::info!(error = ?broken, "the connection ended within a transaction"),
                }
                connection.state = State::Broken;
                ended.broken = Some(broken);
            }
        }
        Ok(_) => {}
    }
    ended
}

/// Whether this server can take this mail at all, and MAIL's parameters if so. Recipients to whom it can't be written there
/// get their verdicts.
fn admission(
    connection: &Connection,
    mail: Transmission<'_>,
    requests: &Requests,
    verdicts: &mut Verdicts,
) -> Result<String, Failure> {
    let offers = &connection.offers;
    let body = mail.content.check().map_err(|error| Failure::ours("5.6.0", &error.to_string()))?;
    let mut parameters = String::new();
    if body == BodyType::EightBitMime {
        if !offers.eight_bit_mime {
            return Err(Failure::ours("5.6.3", "The message has 8-bit content, which the next hop doesn't take"));
        }
        parameters.push_str(" BODY=8BITMIME");
    }
    let size = mail.content.length();
    match offers.size {
        Size::NotOffered => {}
        Size::Limit(limit) if size > limit => {
            return Err(Failure::ours("5.3.4", "The message is larger than the next hop takes"));
        }
        Size::Offered | Size::Limit(_) => parameters.push_str(&format!(" SIZE={size}")),
    }
    parameters.push_str(internationalized(connection, mail, requests, verdicts)?);
    if offers.dsn {
        parameters.push_str(&requests.of_mail());
    }
    Ok(parameters)
}

/// RFC 6531 3.1 and 3.6: what isn't ASCII goes to servers that offer SMTPUTF8 only. 8-bit header fields of a mail that
/// wasn't declared as one of these are passed as they came, as they always were.
fn internationalized(
    connection: &Connection,
    mail: Transmission<'_>,
    requests: &Requests,
    verdicts: &mut Verdicts,
) -> Result<&'static str, Failure> {
    let is_ascii = |address: &EmailAddress| address.local().is_ascii();
    let sender = mail.reverse_path.address().is_none_or(is_ascii);
    let header = requests.charset == Charset::Utf8 && content::has_internationalized_header(mail.content.header());
    if sender && !header && mail.recipients.iter().all(is_ascii) {
        return Ok("");
    }
    if connection.offers.smtp_utf8 {
        return Ok(" SMTPUTF8");
    }
    if !sender {
        return Err(Failure::ours("5.6.7", "The sender's address isn't ASCII, which the next hop doesn't take"));
    }
    if header {
        return Err(Failure::ours("5.6.9", "The header isn't ASCII, which the next hop doesn't take"));
    }
    for (n, _) in mail.recipients.iter().enumerate().filter(|(_, recipient)| !is_ascii(recipient)) {
        let failure = Failure::ours("5.6.7", "The address isn't ASCII, which the next hop doesn't take");
        verdicts.set(n, Outcome::Refused(failure));
    }
    Ok("")
}

async fn dialogue(
    connection: &mut Connection,
    mail: Transmission<'_>,
    requests: &Requests,
    parameters: &str,
    ended: &mut Ended,
) -> Result<(), Broken> {
    let timeouts = connection.timeouts;
    let mut pending = String::new();
    let rested = connection.state == State::Rested;
    if rested {
        pending.push_str("RSET\r\n");
    }
    connection.state = State::Ready;
    if rested && !connection.offers.pipelining {
        connection.wire.send(pending.as_bytes(), timeouts.command).await?;
        pending.clear();
        expect_reset(connection).await?;
    }
    pending.push_str(&format!("MAIL FROM:<{}>{parameters}\r\n", mail.reverse_path));
    let group = if connection.offers.pipelining { GROUP } else { 1 };
    let verdicts = &mut ended.verdicts;
    let mut sender_verdict = None;
    if !connection.offers.pipelining {
        connection.wire.send(pending.as_bytes(), timeouts.command).await?;
        let reply = connection.wire.reply(timeouts.command).await?;
        if !reply.is_positive() {
            verdicts.rest(&reply.verdict());
            return reset(connection).await;
        }
        pending = String::new();
        sender_verdict = Some(reply);
    }
    let mut accepted = 0_usize;
    let open: Vec<(usize, &EmailAddress)> =
        mail.recipients.iter().enumerate().filter(|(n, _)| verdicts.is_open(*n)).collect();
    for (nth, recipients) in open.chunks(group).enumerate() {
        for (n, recipient) in recipients {
            let asked = if connection.offers.dsn { requests.of_recipient(*n) } else { String::new() };
            pending.push_str(&format!("RCPT TO:<{recipient}>{asked}\r\n"));
        }
        connection.wire.send(pending.as_bytes(), timeouts.command).await?;
        pending.clear();
        if nth == 0 && rested && connection.offers.pipelining {
            expect_reset(connection).await?;
        }
        if sender_verdict.is_none() {
            sender_verdict = Some(connection.wire.reply(timeouts.command).await?);
        }
        for (n, _) in recipients {
            let reply = connection.wire.reply(timeouts.command).await?;
            match recipient_verdict(&reply, accepted) {
                Outcome::Delivered(_) => accepted += 1,
                refusal => verdicts.set(*n, refusal),
            }
        }
        // Read in step with what was sent, but the sender's verdict is everybody's.
        if let Some(reply) = sender_verdict.as_ref().filter(|reply| !reply.is_positive()) {
            for (n, _) in &open {
                verdicts.set(*n, reply.verdict());
            }
            return reset(connection).await;
        }
    }
    if !verdicts.open() {
        return reset(connection).await;
    }
    connection.wire.send(b"DATA\r\n", timeouts.data).await?;
    let reply = connection.wire.reply(timeouts.data).await?;
    if reply.code != 354 {
        // A "yes" that isn't 354 is none: the server and we don't speak of the same thing.
        if reply.is_positive() {
            return Err(Broken::Garbage);
        }
        verdicts.rest(&reply.verdict());
        return reset(connection).await;
    }
    ended.reached = Reached::Content;
    match send_content(connection, mail.content).await {
        Ok(Sent::Whole) => {}
        Ok(Sent::Interrupted(reply)) => {
            verdicts.rest(&reply.verdict());
            connection.state = State::Broken;
            return Ok(());
        }
        Err(Broken::Lost(error)) => {
            // The server may have said why before it hung up.
            let reply = connection.wire.reply(LAST_WORDS).await.map_err(|_| Broken::Lost(error))?;
            return if reply.code >= 400 {
                verdicts.rest(&reply.verdict());
                connection.state = State::Broken;
                Ok(())
            } else {
                Err(Broken::Unasked)
            };
        }
        Err(broken) => return Err(broken),
    }
    let reply = connection.wire.reply(timeouts.end).await?;
    verdicts.rest(&reply.verdict());
    Ok(())
}

async fn expect_reset(connection: &mut Connection) -> Result<(), Broken> {
    let reply = connection.wire.reply(connection.timeouts.command).await?;
    if reply.is_positive() { Ok(()) } else { Err(Broken::NotReady(reply)) }
}

/// RFC 5321 4.5.3.1.10: `552` in answer to RCPT may mean "too many for one transaction". It is the recipient's own
/// where the server says so, or where nobody was accepted before.
fn recipient_verdict(reply: &Reply, accepted_before: usize) -> Outcome {
    let too_many = reply.code == 552 && accepted_before > 0 && matches!(reply.enhanced(), None | Some("5.5.3"));
    match reply.verdict() {
        Outcome::Refused(failure) if too_many => Outcome::Later(Failure { status: "4.5.3".to_owned(), ..failure }),
        verdict => verdict,
    }
}

/// How sending the content went.
enum Sent {
    Whole,
    /// The server said no before it had the end.
    Interrupted(Reply),
}

async fn send_content(connection: &mut Connection, content: Content<'_>) -> Result<Sent, Broken> {
    let patience = connection.timeouts.block;
    connection.wire.nothing_ahead(patience).await?;
    let mut blocks = Blocks { wire: &mut connection.wire, block: Vec::new(), stuffing: Stuffing::default(), patience };
    match content {
        Content::Whole(bytes) => {
            blocks.block.reserve_exact(BLOCK.min(bytes.len() + 16));
            blocks.send(bytes).await?;
        }
        Content::Stored(stored) => {
            let mut pieces = stored.open().await.map_err(Broken::Unreadable)?;
            let mut piece = Vec::new();
            loop {
                piece = pieces.next(piece).await.map_err(Broken::Unreadable)?;
                if piece.is_empty() {
                    break;
                }
                blocks.send(&piece).await?;
            }
        }
    }
    let end = blocks.stuffing.end();
    blocks.write(end).await?;
    let block = blocks.block;
    // The last block has the end. A server that has answered before it can't have answered it.
    if !connection.wire.is_quiet() {
        let reply = connection.wire.reply(patience).await?;
        return if reply.code >= 400 { Ok(Sent::Interrupted(reply)) } else { Err(Broken::Unasked) };
    }
    connection.wire.write(&block, patience).await?;
    Ok(Sent::Whole)
}

/// Content on its way out. A block is sent when it is known not to be the last.
struct Blocks<'a> {
    wire: &'a mut Wire,
    block: Vec<u8>,
    stuffing: Stuffing,
    patience: Duration,
}

impl Blocks<'_> {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        for piece in self.stuffing.pieces(bytes) {
            self.write(piece).await?;
        }
        Ok(())
    }

    async fn write(&mut self, piece: &[u8]) -> Result<(), Broken> {
        for chunk in piece.chunks(BLOCK) {
            if self.block.len() + chunk.len() > BLOCK {
                self.wire.write(&self.block, self.patience).await?;
                self.block.clear();
            }
            self.block.extend_from_slice(chunk);
        }
        Ok(())
    }
}

/// Ends a transaction that didn't reach its content, so that the connection can begin another one.
async fn reset(connection: &mut Connection) -> Result<(), Broken> {
    let patience = connection.timeouts.quit;
    let done = async {
        connection.wire.send(b"RSET\r\n", patience).await?;
        connection.wire.reply(patience).await
    };
    // All verdicts are in: what happens now only decides whether the connection can be used again.
    match done.await {
        Ok(reply) if reply.is_positive() => {}
        _ => connection.state = State::Broken,
    }
    Ok(())
}
