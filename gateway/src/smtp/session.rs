//! One conversation: obeys commands in their order and hands complete messages to the [`Intake`].
//!
//! After STARTTLS a new session begins on the encrypted connection; nothing of the old one reaches it but the client's
//! address and how much nonsense it has talked.
//!
//! Security: a client outside the listed networks gets a banner and can hold a conversation, but names no recipient.
//!
//! Standards: RFC 5321 3 and 4, RFC 3207 4.2 (state is forgotten, nothing may be sent ahead).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use sealpost_vault::Clock;
use sealpost_vault::id::QueueId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span};

use super::command::{Command, ForwardPath};
use super::data::DataEnd;
use super::dialogue::{Candidate, Dialogue};
use super::line::Line;
use super::memory::Memory;
use super::patience::{Patience, Verdict};
use super::reply::{Reply, Security};
use super::settings::Settings;
use super::wire::{Wire, WireError};
use super::{Client, Door, Intake, ReceivedMessage};
use crate::{Envelope, Rejection};

/// A handshake is two round trips; who needs longer is holding a place.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// What all sessions of a listener share.
#[derive(Debug)]
pub(super) struct House<I> {
    pub door: Door,
    pub settings: Arc<Settings>,
    pub tls: Option<Arc<ServerConfig>>,
    pub intake: Arc<I>,
    pub clock: Clock,
    pub memory: Memory,
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
}

/// Talks with one client until it leaves.
pub(super) async fn attend<I: Intake>(house: &House<I>, stream: TcpStream, address: IpAddr) {
    // RFC 5321 4.3.1: a client waits for the greeting. Who doesn't, isn't a mail server.
    let early = timeout(house.settings.greet_wait, stream.peek(&mut [0])).await;
    let mut wire = Wire::new(stream);
    match early {
        Ok(Ok(0) | Err(_)) => return,
        Ok(Ok(_)) => return wire.leave(Some(Rejection::EARLY_TALKER.into()), &house.stop).await,
        Err(_) => wire.say(&Reply::greeting(&house.settings)),
    }
    let mut session =
        Session::new(house, address, house.tls.as_ref().map_or(Security::Unavailable, |_| Security::Offered));
    let farewell = match (session.converse(&mut wire).await, &house.tls) {
        (Outcome::Left(farewell), _) => farewell,
        (Outcome::Handshake, None) => Farewell::Silent,
        (Outcome::Handshake, Some(config)) => {
            let handshake = TlsAcceptor::from(Arc::clone(config)).accept(wire.into_stream());
            let secured = tokio::select! {
                () = house.stop.cancelled() => return,
                secured = timeout(house.settings.command_timeout.min(HANDSHAKE), handshake) => secured,
            };
            let mut wire = match secured {
                Ok(Ok(stream)) => Wire::new(stream),
                Ok(Err(error)) => return debug!(%error, "TLS handshake failed"),
                Err(_) => return debug!("TLS handshake timed out"),
            };
            let mut session = Session { patience: session.patience, ..Session::new(house, address, Security::Active) };
            return match session.converse(&mut wire).await {
                Outcome::Left(farewell) => wire.leave(farewell.words(), &house.stop).await,
                Outcome::Handshake => {}
            };
        }
    };
    wire.leave(farewell.words(), &house.stop).await;
}

/// How a conversation on one wire ended.
enum Outcome {
    Left(Farewell),
    Handshake,
}

struct Session<'h, I> {
    house: &'h House<I>,
    client: Client,
    security: Security,
    dialogue: Dialogue,
    patience: Patience,
}

impl<'h, I: Intake> Session<'h, I> {
    fn new(house: &'h House<I>, address: IpAddr, security: Security) -> Self {
        let client = Client { address, helo: String::new(), tls: security == Security::Active, door: house.door };
        Self { house, client, security, dialogue: Dialogue::default(), patience: Patience::default() }
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>) -> Outcome {
        loop {
            match self.turn(wire).await {
                Ok(Step::Next) => {}
                Ok(Step::Handshake) => return Outcome::Handshake,
                Ok(Step::Leave(farewell)) => {
                    debug!(?farewell, "session ends");
                    return Outcome::Left(farewell);
                }
                Err(error) => {
                    debug!(%error, "session ends");
                    return Outcome::Left(error.into());
                }
            }
        }
    }

    /// One command.
    async fn turn<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>) -> Result<Step, WireError> {
        let command = match wire.line(&self.house.settings, &self.house.stop).await? {
            Line::Command(text) => Command::parse(&text),
            Line::Refused(rejection) => Err(rejection),
            Line::Broken(rejection) => return Ok(Step::Leave(Farewell::Refused(rejection))),
        };
        let settings = &self.house.settings;
        let outcome = match command {
            Err(rejection) => Err(rejection),
            Ok(Command::Hello(kind, name)) => {
                self.dialogue.greet();
                self.client.helo = name;
                return self.idle(wire, Reply::hello(kind, settings, self.security)).await;
            }
            Ok(Command::Mail(mail)) => {
                debug!(from = %mail.from, "MAIL");
                self.dialogue.open(mail, settings).map(|()| Reply::SENDER)
            }
            Ok(Command::Recipient(path)) => self.recipient(path).await,
            Ok(Command::Data) => match self.dialogue.close() {
                Ok(envelope) => return self.data(wire, envelope).await,
                Err(rejection) => Err(rejection),
            },
            Ok(Command::Reset) => {
                self.dialogue.reset();
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
            Ok(Command::Http) => return Ok(Step::Leave(Farewell::Silent)),
        };
        match outcome {
            Ok(reply) => {
                wire.say(&reply);
                Ok(Step::Next)
            }
            Err(rejection) => self.refuse(wire, rejection).await,
        }
    }

    async fn recipient(&mut self, path: ForwardPath) -> Result<Reply, Rejection> {
        let (from, candidate) = self.dialogue.candidate(path, &self.house.settings)?;
        let address = match candidate {
            Candidate::Repeated => return Ok(Reply::RECIPIENT),
            Candidate::New(address) => address,
        };
        match self.house.door {
            Door::Inside if !self.house.settings.may_relay(self.client.address) => return Err(Rejection::RELAY_DENIED),
            Door::Inside | Door::Returns => {}
        }
        debug!(to = %address, "RCPT");
        self.house.intake.recipient(&self.client, from, &address).await?;
        self.dialogue.add(address);
        Ok(Reply::RECIPIENT)
    }

    async fn data<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        envelope: Envelope,
    ) -> Result<Step, WireError> {
        if let Err(rejection) = self.house.intake.ready().await {
            return self.refuse(wire, rejection).await;
        }
        wire.say(&Reply::START_DATA);
        let mut share = self.house.memory.share();
        let bytes = match wire.data(&self.house.settings, &mut share, &self.house.stop).await? {
            DataEnd::Message(bytes) => bytes,
            DataEnd::Dropped(rejection) => return self.refuse(wire, rejection).await,
            DataEnd::Broken(rejection) => {
                info!(%rejection, "message broken off");
                return Ok(Step::Leave(Farewell::Refused(rejection)));
            }
        };
        let Ok(queue_id) = QueueId::random() else {
            return self.refuse(wire, Rejection::TEMPORARY).await;
        };
        let span = info_span!("message", %queue_id);
        let (octets, recipients) = (bytes.len(), envelope.recipients.len());
        let message = ReceivedMessage {
            queue_id,
            envelope,
            client: self.client.clone(),
            received_at: self.house.clock.now(),
            bytes,
        };
        let taken = async {
            let taken = self.house.intake.message(message).await;
            match &taken {
                Ok(()) => info!(octets, recipients, "accepted"),
                Err(rejection) => info!(octets, recipients, %rejection, "refused"),
            }
            taken
        };
        match taken.instrument(span).await {
            Ok(()) => {
                self.patience.restore();
                wire.say(&Reply::queued(&queue_id));
                Ok(Step::Next)
            }
            // What the message holds is not the client's mistake: no patience is lost.
            Err(rejection) if rejection.closes() => Ok(Step::Leave(Farewell::Refused(rejection))),
            Err(rejection) => {
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
        debug!(%rejection, "refused");
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
