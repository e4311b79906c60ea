//! One conversation: obeys commands in their order and hands complete messages to the [`Intake`].
//!
//! After STARTTLS a new session begins on the encrypted connection; nothing of the old one reaches it but the client's
//! address and how much nonsense it has talked.
//!
//! What is refused, and why a session ends, is logged with addresses and our own words. Of what a client says otherwise, only the
//! names that it signs in with are.
//!
//! Security: a client outside the listed networks gets a banner and can hold a conversation, but names no recipient, unless it
//! has shown a certificate or a password that counts. Who is introduced by a proxy is nobody yet: the proxy's own standing
//! never becomes its client's.
//!
//! Standards: RFC 5321 3 and 4, RFC 3207 4.2 (state is forgotten, nothing may be sent ahead), RFC 8314 3 (TLS from the start).

mod opening;
mod pieces;
mod sign_in;

use std::net::IpAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use sealpost_vault::Clock;
use sealpost_vault::id::QueueId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::field::display;
use tracing::{Instrument, debug, info, info_span};

use super::admission::Admitted;
use super::command::{Command, Fault, ForwardPath, Introduction, Recipient};
use super::data::DataEnd;
use super::dialogue::{Candidate, Dialogue};
use super::line::Line;
use super::memory::Memory;
use super::overflow::{Overflow, Scratch};
use super::patience::{Note, Patience, Verdict};
use super::reply::{Offers, Reply, Security};
use super::settings::Settings;
use super::wire::{Kept, Pieces, Wire, WireError};
use super::{Client, Door, Intake, ReceivedMessage};
use crate::{Envelope, Rejection, ReversePath};

pub(super) use opening::attend;

/// What all sessions of a listener share.
#[derive(Debug)]
pub(super) struct House<I> {
    pub door: Door,
    pub settings: Arc<Settings>,
    pub tls: Option<Arc<ServerConfig>>,
    pub intake: Arc<I>,
    pub clock: Clock,
    pub memory: Memory,
    pub scratch: Option<Scratch>,
    pub stop: CancellationToken,
}

/// What comes after a command.
enum Step {
    Next,
    Handshake,
    Leave(Farewell),
}

/// How a session ends.
#[derive(Debug)]
enum Farewell {
    Bye,
    Refused(Rejection),
    /// Without a word: who is there doesn't speak SMTP.
    Silent,
}

impl From<WireError> for Farewell {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Gone(_) => Self::Silent,
            WireError::Timeout => Self::Refused(Rejection::TIMEOUT),
            WireError::TooSlow => Self::Refused(Rejection::TOO_SLOW),
            WireError::Stopped => Self::Refused(Rejection::SHUTTING_DOWN),
        }
    }
}

impl Farewell {
    fn words(self) -> Option<Reply> {
        match self {
            Self::Bye => Some(Reply::BYE),
            Self::Refused(rejection) => Some(rejection.into()),
            Self::Silent => None,
        }
    }

    /// One line for each session.
    fn log(&self) {
        match self {
            Self::Bye | Self::Silent => debug!("session ends"),
            Self::Refused(rejection) => info!(%rejection, "session ends"),
        }
    }
}

/// How a conversation on one wire ended.
enum Outcome {
    Left(Farewell),
    Handshake,
}

/// Whether a client is inside for a reason of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// What its address says.
    Address,
    Certificate,
    User,
}

/// A message that comes in pieces.
struct Incoming {
    queue_id: QueueId,
    envelope: Envelope,
    pieces: Pieces,
}

struct Session<'h, I> {
    house: &'h House<I>,
    /// Who is connected, or for whom a PROXY header speaks: XCLIENT doesn't change it.
    peer: IpAddr,
    client: Client,
    seat: Admitted,
    security: Security,
    /// By XCLIENT. From then on whatever the connection shows is the proxy's.
    is_introduced: bool,
    standing: Standing,
    dialogue: Dialogue,
    incoming: Option<Incoming>,
    patience: Patience,
    failures: u32,
}

impl<'h, I: Intake> Session<'h, I> {
    fn new(house: &'h House<I>, peer: IpAddr, seat: Admitted) -> Self {
        let client = Client::new(peer, "", house.door);
        Self {
            house,
            peer,
            client,
            seat,
            security: house.tls.as_ref().map_or(Security::Unavailable, |_| Security::Offered),
            is_introduced: false,
            standing: Standing::Address,
            dialogue: Dialogue::default(),
            incoming: None,
            patience: Patience::default(),
            failures: 0,
        }
    }

    fn offers(&self) -> Offers {
        Offers {
            security: self.security,
            auth: self.security == Security::Active && self.users().is_some(),
            introduction: self.house.settings.may_introduce(self.peer),
        }
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>) -> Outcome {
        loop {
            match self.turn(wire).await {
                Ok(Step::Next) => {}
                Ok(Step::Handshake) => return Outcome::Handshake,
                Ok(Step::Leave(farewell)) => {
                    farewell.log();
                    return Outcome::Left(farewell);
                }
                Err(error) => {
                    debug!(%error, "the conversation can't go on");
                    let farewell = Farewell::from(error);
                    farewell.log();
                    return Outcome::Left(farewell);
                }
            }
        }
    }

    /// One command.
    async fn turn<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>) -> Result<Step, WireError> {
        let command = match wire.line(&self.house.settings, &self.house.stop).await? {
            Line::Command(text) => Command::parse(&text),
            Line::Refused(rejection) => Err(Fault::Refused(rejection)),
            Line::Broken(rejection) => return Ok(Step::Leave(Farewell::Refused(rejection))),
        };
        let settings = &self.house.settings;
        let outcome = match command {
            Err(Fault::Refused(rejection)) => Err(rejection),
            Err(Fault::Lost(rejection)) => return Ok(Step::Leave(Farewell::Refused(rejection))),
            Ok(Command::Hello(kind, name)) => {
                self.dialogue.greet();
                self.incoming = None;
                self.client.helo = name;
                self.client.greeting = kind;
                let hello = Reply::hello(kind, settings, self.offers());
                return self.idle(wire, hello).await;
            }
            Ok(Command::Mail(mail)) => {
                debug!(from = %mail.from, "MAIL");
                let from = mail.from.clone();
                match self.dialogue.open(mail, settings) {
                    Ok(()) => Ok(Reply::SENDER),
                    Err(rejection) => {
                        self.note(rejection, Some(&from), None);
                        return self.turn_down(wire, rejection).await;
                    }
                }
            }
            Ok(Command::Recipient(recipient)) => {
                let to = recipient.path.clone();
                let outcome = self.recipient(recipient).await;
                if let Err(rejection) = &outcome {
                    self.note(*rejection, None, Some(&to));
                }
                match outcome {
                    Err(rejection) if rejection.closes() => return self.turn_down(wire, rejection).await,
                    outcome if self.dialogue.is_flooded(settings) => {
                        let verdict = self.patience.error(settings);
                        return self.answer(wire, outcome.unwrap_or_else(Reply::from), verdict).await;
                    }
                    Err(rejection) => return self.turn_down(wire, rejection).await,
                    Ok(reply) => Ok(reply),
                }
            }
            Ok(Command::Data) => match self.dialogue.close() {
                Ok(envelope) => return self.data(wire, envelope).await,
                Err(rejection) => return self.refuse_data(wire, rejection).await,
            },
            Ok(Command::Chunk(chunk)) => return self.piece(wire, chunk).await,
            Ok(Command::Auth(mechanism, words)) => return self.sign_in(wire, mechanism, words).await,
            Ok(Command::Introduce(introduction)) => match self.introduce(introduction) {
                Err(Rejection::BUSY) => return Ok(Step::Leave(Farewell::Refused(Rejection::BUSY))),
                introduced => introduced,
            },
            Ok(Command::Reset) => {
                self.dialogue.reset();
                self.incoming = None;
                return self.idle(wire, Reply::RESET).await;
            }
            Ok(Command::Noop) => return self.idle(wire, Reply::NOOP).await,
            Ok(Command::Verify) => return self.idle(wire, Reply::VERIFY).await,
            Ok(Command::StartTls) => match self.security {
                Security::Unavailable => Err(Rejection::NOT_IMPLEMENTED),
                Security::Active => Err(Rejection::ALREADY_TLS),
                Security::Offered if wire.is_ahead() => {
                    return Ok(Step::Leave(Farewell::Refused(Rejection::INJECTION)));
                }
                Security::Offered => {
                    wire.say(&Reply::START_TLS);
                    wire.flush(settings.command_timeout).await?;
                    return Ok(Step::Handshake);
                }
            },
            Ok(Command::Quit) => return Ok(Step::Leave(Farewell::Bye)),
            Ok(Command::Http) => {
                info!("session ends: the client speaks HTTP");
                return Ok(Step::Leave(Farewell::Silent));
            }
        };
        match outcome {
            Ok(reply) => {
                wire.say(&reply);
                Ok(Step::Next)
            }
            Err(rejection) => self.refuse(wire, rejection).await,
        }
    }

    /// XCLIENT: whoever is introduced begins as anybody does who connects.
    fn introduce(&mut self, introduction: Introduction) -> Result<Reply, Rejection> {
        let settings = &self.house.settings;
        if !settings.may_introduce(self.peer) {
            return Err(Rejection::NOT_IMPLEMENTED);
        }
        self.dialogue.between()?;
        let Introduction { address, helo } = introduction;
        self.seat.belongs_to(address, settings)?;
        info!(client = %address, "introduced by XCLIENT");
        self.client.address = address;
        self.client.helo = helo.unwrap_or_default();
        self.client.signed_in = false;
        self.is_introduced = true;
        self.standing = Standing::Address;
        self.dialogue = Dialogue::default();
        Ok(Reply::greeting(settings))
    }

    async fn recipient(&mut self, recipient: Recipient) -> Result<Reply, Rejection> {
        let (from, candidate) = self.dialogue.candidate(recipient, &self.house.settings)?;
        let (address, dsn) = match candidate {
            Candidate::Repeated => return Ok(Reply::RECIPIENT),
            Candidate::New(address, dsn) => (address, dsn),
        };
        let is_inside = self.standing != Standing::Address || self.house.settings.may_relay(self.client.address);
        match self.house.door {
            Door::Inside if !is_inside => return Err(Rejection::RELAY_DENIED),
            Door::Inside | Door::Returns => {}
        }
        debug!(to = %address, "RCPT");
        self.house.intake.recipient(&self.client, from, &address).await?;
        self.dialogue.add(address, dsn);
        Ok(Reply::RECIPIENT)
    }

    async fn data<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        envelope: Envelope,
    ) -> Result<Step, WireError> {
        if let Err(rejection) = self.house.intake.ready().await {
            return self.refuse_data(wire, rejection).await;
        }
        let Ok(queue_id) = QueueId::random() else {
            return self.refuse_data(wire, Rejection::TEMPORARY).await;
        };
        wire.say(&Reply::START_DATA);
        let taken = async {
            let mut kept = self.kept(queue_id);
            let end = wire.data(&self.house.settings, &mut kept, &self.house.stop).await;
            let end = end.inspect_err(|error| info!(%error, "message broken off"))?;
            self.finish(wire, queue_id, envelope, end, kept).await
        };
        taken.instrument(info_span!("message", %queue_id)).await
    }

    fn kept(&self, queue_id: QueueId) -> Kept {
        Kept { share: self.house.memory.share(), overflow: Overflow::new(queue_id, self.house.scratch.clone()) }
    }

    /// RFC 2920 3.1: nothing may stand behind DATA before its answer. Where something does, it may be the message, whose lines
    /// would be obeyed as commands.
    async fn refuse_data<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        rejection: Rejection,
    ) -> Result<Step, WireError> {
        if wire.is_ahead() {
            info!(%rejection, "a message was sent behind a refused DATA");
            return Ok(Step::Leave(Farewell::Refused(rejection)));
        }
        self.refuse(wire, rejection).await
    }

    /// The message is there, or isn't. Within its span.
    async fn finish<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        queue_id: QueueId,
        envelope: Envelope,
        end: DataEnd,
        Kept { mut share, overflow }: Kept,
    ) -> Result<Step, WireError> {
        let rest = match end {
            DataEnd::Message(rest) => rest,
            DataEnd::Dropped(rejection) => {
                self.note(rejection, Some(&envelope.reverse_path), None);
                return self.turn_down(wire, rejection).await;
            }
            DataEnd::Broken(rejection) => {
                info!(%rejection, "message broken off");
                return Ok(Step::Leave(Farewell::Refused(rejection)));
            }
        };
        if let Err(rejection) = overflow.check_header(&rest, &self.house.settings) {
            self.note(rejection, Some(&envelope.reverse_path), None);
            return self.turn_down(wire, rejection).await;
        }
        let (octets, recipients) = (overflow.octets().saturating_add(rest.len()), envelope.recipients.len());
        let turn = self.house.intake.turn(octets).await;
        let counted = if turn.is_none() { Some(&mut share) } else { None };
        let bytes = match overflow.read_back(rest, counted).await {
            Ok(bytes) => bytes,
            Err(rejection) => {
                self.note(rejection, Some(&envelope.reverse_path), None);
                return self.turn_down(wire, rejection).await;
            }
        };
        let message = ReceivedMessage {
            queue_id,
            envelope,
            client: self.client.clone(),
            received_at: self.house.clock.now(),
            bytes,
        };
        match self.house.intake.message(message).await {
            Ok(()) => {
                info!(octets, recipients, "accepted");
                self.patience.restore();
                wire.say(&Reply::queued(&queue_id));
                Ok(Step::Next)
            }
            Err(rejection) => {
                info!(octets, recipients, %rejection, "refused");
                if rejection.closes() {
                    return Ok(Step::Leave(Farewell::Refused(rejection)));
                }
                // What the message holds is not the client's mistake: no patience is lost.
                wire.say(&rejection.into());
                Ok(Step::Next)
            }
        }
    }

    /// Answers a command that changes nothing.
    async fn idle<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        reply: Reply,
    ) -> Result<Step, WireError> {
        let verdict = self.patience.idle(&self.house.settings);
        self.answer(wire, reply, verdict).await
    }

    /// Answers a command that is refused.
    async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        rejection: Rejection,
    ) -> Result<Step, WireError> {
        self.note(rejection, None, None);
        self.turn_down(wire, rejection).await
    }

    /// Logs a refusal, with what is known of whose mail it is.
    fn note(&mut self, rejection: Rejection, from: Option<&ReversePath>, to: Option<&ForwardPath>) {
        let (from, to) = (from.or(self.dialogue.from()).map(display), to.map(display));
        match self.patience.note(&self.house.settings) {
            Note::Told => info!(%rejection, from, to, "refused"),
            Note::ToldLast => {
                info!(%rejection, from, to, "refused; what else is refused before a message is accepted isn't logged");
            }
            Note::Untold => debug!(%rejection, from, to, "refused"),
        }
    }

    /// Answers what was refused and logged.
    async fn turn_down<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        rejection: Rejection,
    ) -> Result<Step, WireError> {
        if rejection.closes() {
            return Ok(Step::Leave(Farewell::Refused(rejection)));
        }
        if rejection.is_temporary() {
            wire.say(&rejection.into());
            return Ok(Step::Next);
        }
        let verdict = self.patience.error(&self.house.settings);
        self.answer(wire, rejection.into(), verdict).await
    }

    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        reply: Reply,
        verdict: Verdict,
    ) -> Result<Step, WireError> {
        let delay = match verdict {
            Verdict::Delay(delay) => delay,
            Verdict::Enough => return Ok(Step::Leave(Farewell::Refused(Rejection::TOO_MANY_ERRORS))),
        };
        if !delay.is_zero() {
            wire.flush(self.house.settings.command_timeout).await?;
            tokio::select! {
                () = self.house.stop.cancelled() => {}
                () = sleep(delay) => {}
            }
        }
        wire.say(&reply);
        Ok(Step::Next)
    }
}
