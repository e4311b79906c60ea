//! A next hop that can be in any trouble, and remembers every message that it took and whether it said so.
//!
//! Standards: RFC 5321.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the hop does with whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Up,
    /// Nobody listens.
    Down,
    /// 450 to each RCPT.
    NotThisRecipient,
    /// 450 to the final dot.
    NotThisMessage,
    /// Takes the message and says nothing any more.
    Hanging,
    /// Closes in the middle of the content.
    DropsContent,
    /// Takes the message and closes before the reply.
    DropsReply,
}

impl Mood {
    pub const ALL: [Self; 7] = [
        Self::Up,
        Self::Down,
        Self::NotThisRecipient,
        Self::NotThisMessage,
        Self::Hanging,
        Self::DropsContent,
        Self::DropsReply,
    ];
}

/// A message that the hop took responsibility for.
#[derive(Clone, Debug)]
pub struct Taken {
    pub recipients: Vec<String>,
    /// Dot-stuffing undone.
    pub bytes: Vec<u8>,
    /// Whether the `250` was sent. If not, it must come again.
    pub answered: bool,
    /// What [`Hop::begin`] was last told.
    pub life: usize,
    /// When it was taken, before the reply.
    pub at: Instant,
}

pub struct Hop {
    port: u16,
    mood: watch::Sender<Mood>,
    life: watch::Sender<usize>,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Hop {
    pub fn start(port: u16) -> Self {
        let hop = Self { port, mood: watch::Sender::new(Mood::Up), life: watch::Sender::new(0), taken: Arc::default() };
        tokio::spawn(listen(port, hop.mood.subscribe(), hop.life.subscribe(), Arc::clone(&hop.taken)));
        hop
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on; connections in which it hangs are closed.
    pub fn is(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// The sender was started for the `life`th time.
    pub fn begin(&self, life: usize) {
        self.life.send_replace(life);
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

async fn listen(
    port: u16,
    mut mood: watch::Receiver<Mood>,
    life: watch::Receiver<usize>,
    taken: Arc<Mutex<Vec<Taken>>>,
) {
    let each = mood.clone();
    while mood.wait_for(|mood| *mood != Mood::Down).await.is_ok() {
        let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { break };
                    let (mood, life, taken) = (each.clone(), life.clone(), Arc::clone(&taken));
                    tokio::spawn(async move { drop(converse(stream, mood, life, &taken).await) });
                }
                gone = mood.wait_for(|mood| *mood == Mood::Down) => {
                    if gone.is_err() {
                        return;
                    }
                    break;
                }
            }
        }
    }
}

async fn converse(
    stream: TcpStream,
    mut mood: watch::Receiver<Mood>,
    life: watch::Receiver<usize>,
    taken: &Mutex<Vec<Taken>>,
) -> std::io::Result<()> {
    let life = *life.borrow();
    let mut stream = BufReader::new(stream);
    let mut recipients = Vec::new();
    stream.write_all(b"220 hop.example\r\n").await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let now = *mood.borrow();
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let reply: &[u8] = match verb.as_str() {
            "EHLO" => b"250-hop.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE\r\n",
            "RCPT" if now == Mood::NotThisRecipient => b"450 4.2.1 Not now\r\n",
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1).unwrap_or_default();
                recipients.push(address.to_owned());
                b"250 2.1.5 Ok\r\n"
            }
            "MAIL" | "RSET" => {
                recipients.clear();
                b"250 2.0.0 Ok\r\n"
            }
            "DATA" if recipients.is_empty() => b"554 5.5.1 No recipients\r\n",
            "DATA" => {
                stream.write_all(b"354 Go on\r\n").await?;
                if now == Mood::DropsContent {
                    stream.read_line(&mut line).await?;
                    return Ok(());
                }
                let Some(bytes) = content(&mut stream).await? else { return Ok(()) };
                let take = |answered| {
                    let recipients = recipients.clone();
                    taken.lock().unwrap().push(Taken { recipients, bytes, answered, life, at: Instant::now() });
                };
                match now {
                    Mood::NotThisMessage => b"450 4.2.0 Not now\r\n",
                    Mood::Hanging => {
                        let _ = mood.wait_for(|mood| *mood != Mood::Hanging).await;
                        return Ok(());
                    }
                    Mood::DropsReply => {
                        take(false);
                        return Ok(());
                    }
                    _ => {
                        // Before the reply: who reads it may act at once.
                        take(true);
                        b"250 2.0.0 Taken\r\n"
                    }
                }
            }
            "QUIT" => {
                stream.write_all(b"221 2.0.0 Bye\r\n").await?;
                return Ok(());
            }
            _ => b"500 5.5.2 What?\r\n",
        };
        stream.write_all(reply).await?;
    }
}

/// Up to the final dot; `None` where the connection ended before.
async fn content(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    loop {
        let start = bytes.len();
        if stream.read_until(b'\n', &mut bytes).await? == 0 {
            return Ok(None);
        }
        match &bytes[start..] {
            b".\r\n" => {
                bytes.truncate(start);
                return Ok(Some(bytes));
            }
            [b'.', ..] => drop(bytes.remove(start)),
            _ => {}
        }
    }
}
