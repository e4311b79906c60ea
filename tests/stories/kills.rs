//! `kill -9` at random moments under load, with a next hop that is up or in any trouble: what was acknowledged arrives, whole;
//! nothing else does; nothing arrives twice but where the final reply was lost.
//!
//! Ten kills; `SEALPOST_KILLS` in the environment asks for more (`make test-long`: fifty). What is random is printed, and
//! `SEALPOST_SEED` repeats it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::hop::{Hop, Mood, Taken};
use crate::maildir::Mail;
use crate::opened::Vault;
use crate::patience::until;
use crate::ports;
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup};
use crate::world::{SENDER, address_in};

/// Clients at a time.
const CLIENTS: u64 = 8;
/// Deliveries that can be on their way when the process dies, on both routes together.
const ON_THEIR_WAY: usize = 40;
/// What the process that dies had been told may not be written down yet if it was told so short a time before.
const WRITTEN_DOWN: Duration = Duration::from_secs(2);

/// How far a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// The final dot wasn't sent: must not arrive.
    Interrupted,
    /// The final dot was sent and nothing came back: may arrive.
    Unanswered,
    /// `250`: must arrive.
    Acknowledged,
}

/// A generator that can be started again at the same place (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn recipient(n: u64) -> String {
    format!("person-{n}@mail.example")
}

fn is_held(n: u64) -> bool {
    n.is_multiple_of(4)
}

/// Some are large enough for a file of their own, some for one while they come in and for being read while they are sent; they have lines that begin with dots.
fn message(n: u64) -> Vec<u8> {
    let subject = if is_held(n) { "[secure] x" } else { "x" };
    let head = format!(
        "From: {SENDER}\r\nTo: {}\r\nSubject: {subject}\r\nMessage-ID: <{n}@klinik.example>\r\n\r\n",
        recipient(n)
    );
    let mut dice = Dice(n + 1);
    let lines = match n % 29 {
        5 => 3_000,
        18 => 20_000,
        _ => dice.roll(40) + 1,
    };
    let mut bytes = head.into_bytes();
    for _ in 0..lines {
        bytes.extend_from_slice(format!(".{n}.{:060x}\r\n", dice.roll(u64::MAX)).as_bytes());
    }
    bytes
}

/// The text of a message, as its reader gets it in a letter.
fn body(n: u64) -> Vec<u8> {
    let message = String::from_utf8(message(n)).unwrap();
    message.split_once("\r\n\r\n").unwrap().1.replace("\r\n", "\n").into_bytes()
}

/// Sends one message, and says how far it came, whatever happens to the server.
async fn send(port: u16, n: u64, interrupted: bool) -> Sent {
    let mut sent = Sent::Interrupted;
    let _ = attempt(port, n, interrupted, &mut sent).await;
    sent
}

async fn attempt(port: u16, n: u64, interrupted: bool, sent: &mut Sent) -> Option<()> {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.ok()?);
    expect(&mut stream, "220").await?;
    let to = recipient(n);
    for (line, code) in [
        ("EHLO client.klinik.example".to_owned(), "250"),
        (format!("MAIL FROM:<{SENDER}>"), "250"),
        (format!("RCPT TO:<{to}>"), "250"),
        ("DATA".to_owned(), "354"),
    ] {
        stream.write_all(format!("{line}\r\n").as_bytes()).await.ok()?;
        expect(&mut stream, code).await?;
    }
    let stuffed: Vec<u8> = message(n)
        .split_inclusive(|byte| *byte == b'\n')
        .flat_map(|line| if line.starts_with(b".") { [b".", line].concat() } else { line.to_vec() })
        .collect();
    if interrupted {
        stream.write_all(&stuffed[..stuffed.len() / 2]).await.ok()?;
        return None;
    }
    stream.write_all(&stuffed).await.ok()?;
    *sent = Sent::Unanswered;
    stream.write_all(b".\r\n").await.ok()?;
    expect(&mut stream, "250").await?;
    *sent = Sent::Acknowledged;
    Some(())
}

/// A reply that begins so; `None` for any other and for the connection's end.
async fn expect(stream: &mut BufReader<TcpStream>, code: &str) -> Option<()> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line.as_bytes().get(3) == Some(&b' ') {
            return line.starts_with(code).then_some(());
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_lose_invent_and_corrupt_nothing() {
    let kills = usize::try_from(number("SEALPOST_KILLS").unwrap_or(10)).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = number("SEALPOST_SEED").unwrap_or(now.as_nanos() as u64 | 1);
    println!("SEALPOST_SEED={seed}");
    let mut dice = Dice(seed);
    let scratch = Scratch::new();
    let hop = Hop::start(ports::free());
    let mut sealpost = Sealpost::start(&scratch, Setup::between(hop.port(), hop.port())).await;
    let smtp = sealpost.setup().smtp;

    let (next, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let sent = Arc::new(Mutex::new(HashMap::new()));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (next, over, sent) = (Arc::clone(&next), Arc::clone(&over), Arc::clone(&sent));
        clients.spawn(async move {
            while !over.load(Ordering::SeqCst) {
                let n = next.fetch_add(1, Ordering::SeqCst);
                let how = send(smtp, n, n % 17 == 9).await;
                sent.lock().unwrap().insert(n, how);
                // Load, not a flood: what is acknowledged must be delivered before the test ends.
                tokio::time::sleep(Duration::from_millis(20 + 5 * client)).await;
            }
        });
    }
    let (mut moods, mut deaths) = (Vec::new(), Vec::new());
    for life in 1..=kills {
        if moods.is_empty() {
            moods = Mood::ALL.to_vec();
        }
        let mood = moods.swap_remove(usize::try_from(dice.roll(moods.len() as u64)).unwrap());
        hop.is(mood);
        tokio::time::sleep(Duration::from_millis(100 + dice.roll(900))).await;
        // What waits comes again in between: the next hop's troubles meet more than first attempts.
        if dice.roll(2) == 0 {
            sealpost.command(&["queue", "retry", "--all"]);
            tokio::time::sleep(Duration::from_millis(dice.roll(300))).await;
        }
        let begin = Instant::now();
        sealpost.kill().await;
        deaths.push((begin, Instant::now()));
        hop.begin(life);
        sealpost.open().await;
    }
    over.store(true, Ordering::SeqCst);
    clients.join_all().await;
    hop.is(Mood::Up);
    let sent = Arc::try_unwrap(sent).unwrap().into_inner().unwrap();
    let acknowledged: Vec<u64> = sent.iter().filter(|(_, how)| **how == Sent::Acknowledged).map(|(n, _)| *n).collect();
    println!("{} messages sent, {} acknowledged, {kills} kills", sent.len(), acknowledged.len());
    assert!(acknowledged.len() > kills, "load");

    // Lost: nothing that was acknowledged.
    let missing = |taken: &[Taken]| {
        let found: Vec<&String> =
            taken.iter().filter(|taken| taken.answered).flat_map(|taken| &taken.recipients).collect();
        acknowledged.iter().filter(|n| !found.contains(&&recipient(**n))).count()
    };
    until("everything that was acknowledged", Duration::from_secs(120), async || {
        sealpost.command(&["queue", "retry", "--all"]);
        tokio::time::sleep(Duration::from_millis(300)).await;
        (missing(&hop.taken()) == 0).then_some(())
    })
    .await;
    sealpost.stop().await;

    let vault = Vault::of(&sealpost.state()).await;
    let mut by_recipient: HashMap<String, Vec<Taken>> = HashMap::new();
    for taken in hop.taken() {
        assert_eq!(taken.recipients.len(), 1, "{:?}", taken.recipients);
        by_recipient.entry(taken.recipients[0].clone()).or_default().push(taken);
    }
    let mut again = 0;
    for (address, deliveries) in &by_recipient {
        // Invented: nothing that wasn't sent to its end.
        let n = address.strip_prefix("person-").and_then(|rest| rest.strip_suffix("@mail.example"));
        let n: u64 = n.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("nobody sent to {address}"));
        assert!(matches!(sent.get(&n), Some(Sent::Acknowledged | Sent::Unanswered)), "{n}: {:?}", sent.get(&n));
        // Corrupted: nothing.
        for taken in deliveries {
            if is_held(n) {
                let link = address_in(&Mail { bytes: taken.bytes.clone() });
                let (reader, parts) = vault.open(&link).await;
                assert_eq!((&reader, parts.len()), (address, 1), "{n}");
                assert!(parts[0] == body(n), "{n} isn't what was sent: {}", String::from_utf8_lossy(&parts[0]));
            } else {
                assert!(taken.bytes.ends_with(&message(n)), "{n} isn't what was sent");
                let trace = taken.bytes.len() - message(n).len();
                let trace = String::from_utf8_lossy(&taken.bytes[..trace]).into_owned();
                assert!(trace.starts_with("Received: ") && trace.lines().count() < 8, "{n}: {trace}");
            }
        }
        // Twice: only where the reply was lost, by the hop or with the process that was to read it.
        let answered: Vec<&Taken> = deliveries.iter().filter(|taken| taken.answered).collect();
        let mut lives: Vec<usize> = answered.iter().map(|taken| taken.life).collect();
        lives.dedup();
        assert_eq!(lives.len(), answered.len(), "{n} came twice to the same process, which had its answer");
        for pair in answered.windows(2) {
            let told = pair[0].at;
            let died =
                deaths.iter().any(|(begin, end)| *end > told && begin.saturating_duration_since(told) < WRITTEN_DOWN);
            assert!(died && pair[0].at < pair[1].at, "{n} came again though nothing died soon after its answer");
        }
        again += answered.len() - usize::from(!answered.is_empty());
    }
    assert!(again <= kills * ON_THEIR_WAY, "{again} came again");
    println!("{again} came again because a process died before it could write down that they were delivered");
}
