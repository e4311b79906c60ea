//! A message in counted pieces. What is refused is read all the same: its octets are in the stream, and are no commands.
//!
//! Standards: RFC 3030 2 and 4.2 (after a refused piece, those behind it are refused too, up to the last one or RSET).

use sealpost_vault::id::QueueId;
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::{Instrument, info, info_span};

use super::super::Intake;
use super::super::command::{Chunk, Place};
use super::super::overflow::Overflow;
use super::super::reply::Reply;
use super::super::wire::{Kept, Pieces, Wire, WireError};
use super::{Farewell, Incoming, Session, Step};
use crate::{Envelope, Rejection};

impl<I: Intake> Session<'_, I> {
    /// BDAT.
    pub(super) async fn piece<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        Chunk { octets, place }: Chunk,
    ) -> Result<Step, WireError> {
        let limit = self.house.settings.max_size;
        let begun = match self.incoming.take() {
            Some(incoming) => Ok(incoming),
            None => self.begin().await.map(|(queue_id, envelope)| {
                let pieces = Pieces::new(limit, self.kept(queue_id));
                Incoming { queue_id, envelope, pieces }
            }),
        };
        match begun {
            Ok(incoming) => {
                let span = info_span!("message", queue_id = %incoming.queue_id);
                self.piece_of(incoming, wire, octets, place).instrument(span).await
            }
            Err(rejection) => {
                let nothing = Kept { share: self.house.memory.share(), overflow: Overflow::none() };
                let mut pieces = Pieces::new(limit, nothing);
                pieces.reader.drop_for(rejection);
                match self.read(wire, octets, &mut pieces).await? {
                    Some(rejection) => Ok(Step::Leave(Farewell::Refused(rejection))),
                    None => self.refuse(wire, rejection).await,
                }
            }
        }
    }

    /// Within the message's span.
    async fn piece_of<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        mut incoming: Incoming,
        wire: &mut Wire<S>,
        octets: u64,
        place: Place,
    ) -> Result<Step, WireError> {
        let read = self.read(wire, octets, &mut incoming.pieces).await;
        if let Some(rejection) = read.inspect_err(|error| info!(%error, "message broken off"))? {
            info!(%rejection, "message broken off");
            return Ok(Step::Leave(Farewell::Refused(rejection)));
        }
        if place == Place::Last {
            self.dialogue.reset();
            let (end, kept) = incoming.pieces.finish();
            return self.finish(wire, incoming.queue_id, incoming.envelope, end, kept).await;
        }
        let dropped = incoming.pieces.reader.dropped();
        if let Some(rejection) = dropped {
            self.note(rejection, Some(&incoming.envelope.reverse_path), None);
        }
        self.incoming = Some(incoming);
        match dropped {
            Some(rejection) => self.turn_down(wire, rejection).await,
            None if octets == 0 => self.idle(wire, Reply::piece(0)).await,
            None => {
                wire.say(&Reply::piece(octets));
                Ok(Step::Next)
            }
        }
    }

    async fn begin(&mut self) -> Result<(QueueId, Envelope), Rejection> {
        let envelope = self.dialogue.begin_pieces()?;
        self.house.intake.ready().await.inspect_err(|_| self.dialogue.reset())?;
        let queue_id = QueueId::random().map_err(|_| Rejection::TEMPORARY).inspect_err(|_| self.dialogue.reset())?;
        Ok((queue_id, envelope))
    }

    /// `Some` is a reason to close.
    async fn read<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        wire: &mut Wire<S>,
        octets: u64,
        pieces: &mut Pieces,
    ) -> Result<Option<Rejection>, WireError> {
        pieces.reader.announce(octets);
        if pieces.reader.is_endless() {
            return Ok(Some(Rejection::TOO_LARGE));
        }
        wire.piece(octets, pieces, &self.house.settings, &self.house.stop).await
    }
}
