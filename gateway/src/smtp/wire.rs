//! Reads lines and messages from one connection and writes replies to it, each within a time limit.
//!
//! Replies gather until the client must be waited for, then go out in one write: that is what pipelining is for.
//!
//! Security: holds one read's worth of the client's octets at most, and replies to no more than those.
//!
//! Standards: RFC 2920 3.2, RFC 5321 4.5.3.2.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::chunk::ChunkReader;
use super::data::{DataEnd, DataReader};
use super::line::{Line, LineReader};
use super::memory::{Share, Spent};
use super::overflow::{Gathers, Overflow};
use super::reply::Reply;
use super::settings::Settings;
use crate::Rejection;

const READ: usize = 32 * 1024;
/// What a client may still send after our last word, so that it reads the word before the connection is reset.
const LINGER_OCTETS: usize = 16 * 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(5);

/// Why a conversation can't go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("the connection ended: {0}")]
    Gone(#[from] io::Error),
    #[error("nothing came in time")]
    Timeout,
    #[error("the message came too slowly")]
    TooSlow,
    #[error("we are stopping")]
    Stopped,
}

/// One connection, in clear or through TLS.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    input: Vec<u8>,
    /// How much of the input was taken.
    taken: usize,
    lines: LineReader,
    output: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, input: Vec::with_capacity(READ), taken: 0, lines: LineReader::default(), output: Vec::new() }
    }

    /// Gives the stream up for something else. Whatever the client sent ahead is forgotten: see [`Wire::is_ahead`].
    pub fn into_stream(self) -> S {
        self.stream
    }

    /// Whether the client has sent more than was asked for.
    pub fn is_ahead(&self) -> bool {
        self.taken < self.input.len()
    }

    /// Whether the client talks within `wait`, unasked.
    pub async fn is_early(&mut self, wait: Duration) -> Result<bool, WireError> {
        match timeout(wait, self.read()).await {
            Err(_) => Ok(false),
            Ok(read) => read.map(|()| true),
        }
    }

    /// Adds a reply to what goes out next.
    pub fn say(&mut self, reply: &Reply) {
        reply.write(&mut self.output);
    }

    /// Sends the replies that have gathered.
    pub async fn flush(&mut self, patience: Duration) -> Result<(), WireError> {
        if self.output.is_empty() {
            return Ok(());
        }
        let sent = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        timeout(patience, sent).await.map_err(|_| WireError::Timeout)??;
        self.output.clear();
        Ok(())
    }

    /// The answer to a question in an exchange of AUTH; may be longer than commands are.
    pub async fn answer(&mut self, settings: &Settings, stop: &CancellationToken) -> Result<Line, WireError> {
        self.lines.expect_answer();
        self.line(settings, stop).await
    }

    /// The next command line, whole within the command timeout.
    pub async fn line(&mut self, settings: &Settings, stop: &CancellationToken) -> Result<Line, WireError> {
        let deadline = Instant::now() + settings.command_timeout;
        loop {
            let unread = self.input.get(self.taken..).unwrap_or_default();
            let (line, rest) = self.lines.feed(unread);
            self.taken = self.input.len() - rest.len();
            if let Some(line) = line {
                return Ok(line);
            }
            self.flush(settings.command_timeout).await?;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(WireError::Stopped),
                read = timeout_at(deadline, self.read()) => read.map_err(|_| WireError::Timeout)??,
            }
        }
    }

    /// A message, up to its end, but for what is in `kept`; its memory is there, too.
    pub async fn data(
        &mut self,
        settings: &Settings,
        kept: &mut Kept,
        stop: &CancellationToken,
    ) -> Result<DataEnd, WireError> {
        self.flush(settings.command_timeout).await?;
        let mut reader = DataReader::new(settings.max_size);
        let mut pace = Pace::new();
        let stopped = async {
            stop.cancelled().await;
            sleep(settings.stop_grace).await;
        };
        tokio::pin!(stopped);
        loop {
            let unread = self.input.get(self.taken..).unwrap_or_default();
            let (end, rest) = reader.feed(unread);
            pace.received(unread.len());
            self.taken = self.input.len() - rest.len();
            let last = match &end {
                Some(DataEnd::Message(message)) => Some(message.capacity()),
                _ => None,
            };
            // What isn't read meanwhile waits at the client, and doesn't count as slow.
            let waits = Instant::now();
            let covered = tokio::select! {
                biased;
                covered = kept.make_room(&mut reader, last, settings) => covered,
                () = &mut stopped => return Err(WireError::Stopped),
            };
            pace.waited(waits.elapsed());
            if covered.is_err() {
                reader.drop_for(Rejection::STORAGE_FULL);
                if let Some(DataEnd::Message(_)) = end {
                    return Ok(DataEnd::Dropped(Rejection::STORAGE_FULL));
                }
            }
            if let Some(end) = end {
                return Ok(end);
            }
            let (deadline, why) = pace.deadline(settings);
            tokio::select! {
                biased;
                read = timeout_at(deadline, self.read()) => read.map_err(|_| why)??,
                () = &mut stopped => return Err(WireError::Stopped),
            }
        }
    }

    /// `octets` of a message that comes in pieces, into `pieces`. Where there is nobody to read, or the
    /// message is lost already, they are read all the same. `Some` is a reason to close.
    pub async fn piece(
        &mut self,
        octets: u64,
        pieces: &mut Pieces,
        settings: &Settings,
        stop: &CancellationToken,
    ) -> Result<Option<Rejection>, WireError> {
        let mut left = octets;
        let stopped = async {
            stop.cancelled().await;
            sleep(settings.stop_grace).await;
        };
        tokio::pin!(stopped);
        loop {
            let unread = self.input.get(self.taken..).unwrap_or_default();
            let count = usize::try_from(left).map_or(unread.len(), |left| left.min(unread.len()));
            let piece = unread.get(..count).unwrap_or_default();
            if let Err(rejection) = pieces.reader.feed(piece) {
                return Ok(Some(rejection));
            }
            self.taken += count;
            left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
            pieces.pace.received(count);
            let waits = Instant::now();
            let covered = tokio::select! {
                biased;
                covered = pieces.kept.make_room(&mut pieces.reader, None, settings) => covered,
                () = &mut stopped => return Err(WireError::Stopped),
            };
            pieces.pace.waited(waits.elapsed());
            if covered.is_err() {
                pieces.reader.drop_for(Rejection::STORAGE_FULL);
            }
            if left == 0 {
                // Small pieces come with their commands: nobody would ever have to wait for one.
                return if pieces.pace.is_slow(settings) { Err(WireError::TooSlow) } else { Ok(None) };
            }
            self.flush(settings.command_timeout).await?;
            let (deadline, why) = pieces.pace.deadline(settings);
            tokio::select! {
                biased;
                read = timeout_at(deadline, self.read()) => read.map_err(|_| why)??,
                () = &mut stopped => return Err(WireError::Stopped),
            }
        }
    }

    /// Says a last word and closes, in bounded time, whatever the client does.
    pub async fn leave(mut self, last: Option<Reply>, stop: &CancellationToken) {
        if let Some(reply) = last {
            self.say(&reply);
        }
        let goodbye = async {
            self.flush(LINGER_TIME).await?;
            self.stream.shutdown().await?;
            let mut left = LINGER_OCTETS;
            while left > 0 {
                self.input.clear();
                left = left.saturating_sub(self.stream.read_buf(&mut self.input).await?.max(1));
                if self.input.is_empty() {
                    break;
                }
            }
            Ok::<(), WireError>(())
        };
        tokio::select! {
            _ = timeout(LINGER_TIME, goodbye) => {}
            // A stopping server still gets its last word out, but waits for nobody.
            () = async { stop.cancelled().await; sleep(Duration::from_millis(500)).await } => {}
        }
    }

    /// Reads once, after everything before was taken.
    async fn read(&mut self) -> Result<(), WireError> {
        self.input.clear();
        self.taken = 0;
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }
}

/// What a message takes beside its reader: memory that is counted, and what of it lies elsewhere.
#[derive(Debug)]
pub(super) struct Kept {
    pub share: Share,
    pub overflow: Overflow,
}

impl Kept {
    /// After something was read; `last` is what the end of the message takes, when it is there.
    async fn make_room(
        &mut self,
        reader: &mut impl Gathers,
        last: Option<usize>,
        settings: &Settings,
    ) -> Result<(), Spent> {
        if last.is_none() {
            self.overflow.relieve(reader, settings).await;
        }
        let held = last.unwrap_or_else(|| reader.gathered().capacity());
        if self.overflow.octets() > 0 {
            self.share.shrink(held);
        }
        self.share.cover(held).await
    }
}

/// A message that comes in pieces.
#[derive(Debug)]
pub(super) struct Pieces {
    pub reader: ChunkReader,
    kept: Kept,
    pace: Pace,
}

impl Pieces {
    pub fn new(limit: usize, kept: Kept) -> Self {
        Self { reader: ChunkReader::new(limit), kept, pace: Pace::new() }
    }

    /// How it ended, and what is beside.
    pub fn finish(self) -> (DataEnd, Kept) {
        (self.reader.finish(), self.kept)
    }
}

/// How fast a message comes in.
#[derive(Debug)]
struct Pace {
    started: Instant,
    octets: u64,
}

impl Pace {
    fn new() -> Self {
        Self { started: Instant::now(), octets: 0 }
    }

    fn received(&mut self, octets: usize) {
        self.octets = self.octets.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
    }

    /// For us, not for the client.
    fn waited(&mut self, time: Duration) {
        self.started += time;
    }

    /// Until when the next octets must have come, and what it is if they haven't.
    fn deadline(&self, settings: &Settings) -> (Instant, WireError) {
        let silent = Instant::now() + settings.data_timeout;
        let slow = self.too_slow_from(settings);
        if slow < silent { (slow, WireError::TooSlow) } else { (silent, WireError::Timeout) }
    }

    fn is_slow(&self, settings: &Settings) -> bool {
        self.too_slow_from(settings) < Instant::now()
    }

    fn too_slow_from(&self, settings: &Settings) -> Instant {
        let earned = Duration::from_secs(self.octets / u64::from(settings.minimum_rate.max(1)));
        self.started + settings.rate_grace + earned
    }
}
