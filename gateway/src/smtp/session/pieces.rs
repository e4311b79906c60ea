//! A message in counted pieces. What is refused is read all the same: its octets are in the stream, and are no commands.
//!
//! Standards: RFC 3030 2 and 4.2 (after a refused piece, those behind it are refused too, up to the last one or RSET).

use tokio::io::{AsyncRead, AsyncWrite};

use super::super::Intake;
use super::super::command::{Chunk, Place};
use super::super::reply::Reply;
use super::super::wire::{Pieces, Wire, WireError};
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
            None => self.begin().await.map(|envelope| {
                let pieces = Pieces::new(limit, self.house.memory.share());
                Incoming { envelope, pieces }
            }),
        };
        let mut incoming = match begun {
            Ok(incoming) => incoming,
            Err(rejection) => {
                let mut pieces = Pieces::new(limit, self.house.memory.share());
                pieces.reader.drop_for(rejection);
                return match self.read(wire, octets, &mut pieces).await? {
                    Some(rejection) => Ok(Step::Leave(Farewell::Refused(rejection))),
                    None => self.refuse(wire, rejection).await,
                };
            }
        };
        if let Some(rejection) = self.read(wire, octets, &mut incoming.pieces).await? {
            return Ok(Step::Leave(Farewell::Refused(rejection)));
        }
        if place == Place::Last {
            self.dialogue.reset();
            let (end, _share) = incoming.pieces.finish();
            return self.finish(wire, incoming.envelope, end).await;
        }
        let dropped = incoming.pieces.reader.dropped();
        self.incoming = Some(incoming);
        match dropped {
            Some(rejection) => self.refuse(wire, rejection).await,
            None if octets == 0 => self.idle(wire, Reply::piece(0)).await,
            None => {
                wire.say(&Reply::piece(octets));
                Ok(Step::Next)
            }
        }
    }

    async fn begin(&mut self) -> Result<Envelope, Rejection> {
        let envelope = self.dialogue.begin_pieces()?;
        self.house.intake.ready().await.inspect_err(|_| self.dialogue.reset())?;
        Ok(envelope)
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
