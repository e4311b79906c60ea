//! What is sent, by `smtp-source`, and what is counted, by `smtp-sink`.

use std::fmt;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::BenchError;
use crate::process::{Process, run};
use crate::scratch::Scratch;

/// How long nothing may arrive before a run is given up.
const STALLED: Duration = Duration::from_secs(120);

/// Who is measured.
pub trait Worker {
    fn port(&self) -> u16;
    fn process(&self) -> &Process;
}

/// One run's messages.
pub struct Load {
    pub domain: &'static str,
    /// Of a message's body.
    pub octets: u64,
    pub sessions: u64,
    pub messages: u64,
    /// A connection for each message.
    pub reconnect: bool,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Messages a second, from the first connection to the last message at the sink.
    pub rate: f64,
    /// Seconds of processor time for one message.
    pub processor: f64,
    /// Messages a second that the source got rid of.
    pub accepted: f64,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.processor * 1e6;
        write!(f, "{:.0}/s (accepted {:.0}/s), {micros:.0} us", self.rate, self.accepted)
    }
}

impl Load {
    pub fn run(&self, worker: &mut impl Worker, sink: &Sink) -> Result<Taken, BenchError> {
        worker.process().rest();
        let before = worker.process().processor();
        let counted = sink.counted();
        let begin = Instant::now();
        let mut source = Command::new("smtp-source");
        source.args(["-f", "anna@klinik.example", "-t", &format!("reader@{}", self.domain)]);
        source.args(["-s", &self.sessions.to_string(), "-m", &self.messages.to_string()]);
        source.args(["-l", &self.octets.to_string(), "-M", "client.klinik.example"]);
        if !self.reconnect {
            source.arg("-d");
        }
        run({
            source.arg(format!("127.0.0.1:{}", worker.port()));
            source
        })?;
        let sent = begin.elapsed();
        let arrived = sink.wait_for(counted + self.messages)?;
        let taken = arrived.duration_since(begin).as_secs_f64();
        worker.process().rest();
        let found = sink.counted() - counted;
        if found != self.messages {
            return Err(BenchError::Lost { sent: self.messages, counted: found });
        }
        #[expect(clippy::cast_precision_loss, reason = "numbers of messages are small")]
        let messages = self.messages as f64;
        Ok(Taken {
            rate: messages / taken,
            processor: (worker.process().processor() - before) / messages,
            accepted: messages / sent.as_secs_f64(),
        })
    }
}

/// `smtp-sink`, whose running counter is read.
pub struct Sink {
    child: Child,
    port: u16,
    count: Arc<AtomicU64>,
    last: Arc<Mutex<Instant>>,
}

impl Sink {
    pub fn start(_scratch: &Scratch, port: u16) -> Result<Self, BenchError> {
        let failed = |cause| BenchError::Io("smtp-sink".to_owned(), cause);
        let mut command = Command::new("smtp-sink");
        command.args(["-u", "nobody", "-c", "-m", "2000", &format!("127.0.0.1:{port}"), "2000"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let count = Arc::new(AtomicU64::new(0));
        let last = Arc::new(Mutex::new(Instant::now()));
        if let Some(mut output) = child.stdout.take() {
            let (count, last) = (Arc::clone(&count), Arc::clone(&last));
            std::thread::spawn(move || {
                let mut buffer = vec![0; 64 * 1024];
                let mut line = Vec::new();
                while let Ok(length @ 1..) = output.read(&mut buffer) {
                    let now = Instant::now();
                    for byte in buffer.iter().take(length) {
                        if *byte != b'\r' {
                            line.push(*byte);
                            continue;
                        }
                        // "sess=1     quit=1     mesg=1"
                        let text = String::from_utf8_lossy(&line).into_owned();
                        let number = text.rsplit_once("mesg=").map(|(_, number)| number.trim().to_owned());
                        if let Some(number) = number.and_then(|number| number.parse().ok())
                            && count.swap(number, Ordering::SeqCst) != number
                        {
                            *last.lock().unwrap_or_else(PoisonError::into_inner) = now;
                        }
                        line.clear();
                    }
                }
            });
        }
        Ok(Self { child, port, count, last })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn counted(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// When the message with this number arrived.
    pub fn wait_for(&self, number: u64) -> Result<Instant, BenchError> {
        let last = || *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = Instant::now();
        loop {
            if self.counted() >= number {
                return Ok(last());
            }
            if begin.elapsed() > STALLED && last().elapsed() > STALLED {
                return Err(BenchError::Lost { sent: number, counted: self.counted() });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
