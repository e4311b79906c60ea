//! Next hops for tests: one that follows a script to the byte, and one that behaves, recipient by recipient, as told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{NextHop, TlsMode};

const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates");

/// The authority that signed the fake's certificate (for `localhost`). Its own key was thrown away; the fake's is public.
pub(crate) fn authority() -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(format!("{CERTIFICATES}/authority.pem")).unwrap()).unwrap();
    roots
}

fn acceptor() -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_file(format!("{CERTIFICATES}/hop.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(format!("{CERTIFICATES}/hop.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A port of this machine where nobody listens.
pub(crate) async fn nobody() -> NextHop {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    hop_at(listener.local_addr().unwrap())
}

fn hop_at(address: SocketAddr) -> NextHop {
    NextHop { host: address.ip().to_string(), port: address.port(), tls: TlsMode::Off }
}

trait Both: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Both for T {}

/// Follows one script per connection, in their order. What it met is told by [`Scripted::finished`].
///
/// A script's lines: `< text` sends a line; `<! text` sends it without CRLF; `> text` reads a line that begins so;
/// `content` reads to the final dot; `some content` reads 1,000 bytes; `tls`, `failing tls`, `not tls`, `hang`, `close`, `reset`,
/// `long line`, `many lines` do what they say; `rest` reads until the client hangs up; `end` waits until the client has hung up, and anything it sends then is an error.
pub(crate) struct Scripted {
    pub(crate) hop: NextHop,
    contents: Arc<Mutex<Vec<Vec<u8>>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Scripted {
    pub(crate) async fn new(scripts: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hop = hop_at(listener.local_addr().unwrap());
        let scripts: Vec<String> = scripts.iter().map(|script| (*script).to_owned()).collect();
        let contents = Arc::new(Mutex::new(Vec::new()));
        let all = contents.clone();
        let task = tokio::spawn(async move {
            for script in scripts {
                let (tcp, _) = listener.accept().await.unwrap();
                if script.trim_end().ends_with("reset") {
                    // Unread bytes and a zero linger make the close a reset.
                    #[allow(deprecated)]
                    tcp.set_linger(Some(Duration::ZERO)).unwrap();
                }
                follow(Box::new(tcp), &script, &all).await;
            }
        });
        Self { hop, contents, task }
    }

    /// The contents that came in; fails if a script wasn't followed to its end.
    pub(crate) async fn finished(self) -> Vec<Vec<u8>> {
        tokio::time::timeout(Duration::from_secs(20), self.task).await.expect("the script goes on").unwrap();
        self.contents.lock().unwrap().clone()
    }

    /// Waits until the first content has come in.
    pub(crate) async fn has_content(&self) {
        while self.contents.lock().unwrap().is_empty() {
            assert!(!self.task.is_finished(), "the script has ended without any");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn follow(stream: Box<dyn Both>, script: &str, contents: &Mutex<Vec<Vec<u8>>>) {
    let mut stream = BufReader::new(stream);
    for step in script.lines().map(str::trim).filter(|step| !step.is_empty()) {
        if let Some(text) = step.strip_prefix("< ") {
            stream.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
        } else if let Some(text) = step.strip_prefix("<! ") {
            stream.write_all(text.replace("\\r", "\r").replace("\\n", "\n").as_bytes()).await.unwrap();
        } else if let Some(text) = step.strip_prefix("> ") {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            assert!(line.starts_with(text) && line.ends_with("\r\n"), "wanted {text:?}, got {line:?}");
        } else {
            match step {
                "content" => {
                    let content = read_content(&mut stream).await;
                    contents.lock().unwrap().push(content);
                }
                "some content" => {
                    stream.read_exact(&mut [0; 1000]).await.unwrap();
                }
                "tls" => {
                    let tls = acceptor().accept(stream.into_inner()).await.unwrap();
                    stream = BufReader::new(Box::new(tls));
                }
                "failing tls" => {
                    assert!(acceptor().accept(stream.into_inner()).await.is_err());
                    return;
                }
                "not tls" => {
                    // Not before the client's hello: what comes earlier counts as injected.
                    stream.fill_buf().await.unwrap();
                    stream.write_all(b"this is no handshake at all\r\n").await.unwrap();
                }
                "rest" => {
                    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                }
                "hang" => tokio::time::sleep(Duration::from_secs(5)).await,
                "close" | "reset" => return,
                "long line" => {
                    let _ = stream.write_all(&[b'2'].repeat(10 << 20)).await;
                }
                // Each line comes in time, but the reply never ends.
                "slow lines" => {
                    while stream.write_all(b"250-more\r\n").await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(250)).await;
                    }
                }
                // Not even a line ends.
                "slow bytes" => {
                    while stream.write_all(b"2").await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(250)).await;
                    }
                }
                "many lines" => {
                    let _ = stream.write_all("250-more\r\n".repeat(1 << 20).as_bytes()).await;
                }
                "end" => {
                    let mut rest = Vec::new();
                    let _ = stream.read_to_end(&mut rest).await;
                    assert!(rest.is_empty(), "{}", rest.escape_ascii());
                }
                other => panic!("no such step: {other}"),
            }
        }
    }
}

/// Everything up to the end of data, unstuffed.
async fn read_content<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let mut line = Vec::new();
        stream.read_until(b'\n', &mut line).await.unwrap();
        assert!(line.ends_with(b"\r\n"), "{}", line.escape_ascii());
        if line == b".\r\n" {
            return content;
        }
        content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

/// A mail as the behaving hop took it.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) content: Vec<u8>,
    /// MAIL and each RCPT, as they came.
    pub(crate) commands: Vec<String>,
}

/// A hop that behaves: takes every mail, but answers RCPT as it is told.
pub(crate) struct Behaving {
    pub(crate) hop: NextHop,
    taken: Arc<Mutex<Vec<Taken>>>,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Behaving {
    /// `answer` tells the reply to a recipient's RCPT.
    pub(crate) async fn new(answer: fn(&str) -> &'static str) -> Self {
        Self::with("PIPELINING\r\n250-8BITMIME\r\n250 SIZE 50000000", answer).await
    }

    /// Offers this one extension.
    pub(crate) async fn offering(extension: &str) -> Self {
        Self::with(&format!("X-NOTHING\r\n250 {extension}"), |_| "250 2.1.5 ok").await
    }

    async fn with(offers: &str, answer: fn(&str) -> &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hop = hop_at(listener.local_addr().unwrap());
        let (taken, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (all, count) = (taken.clone(), connections.clone());
        let hello = format!("250-hop\r\n250-{offers}");
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(tcp, hello.clone(), answer, all.clone()));
            }
        });
        Self { hop, taken, connections, task }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) async fn accepting() -> Self {
        Self::new(|_| "250 2.1.5 ok").await
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// Waits until `n` mails were taken.
    pub(crate) async fn wait_for(&self, n: usize) -> Vec<Taken> {
        for _ in 0..600 {
            if self.taken().len() >= n {
                return self.taken();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} of {n} mails came", self.taken().len());
    }
}

impl Drop for Behaving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    tcp: tokio::net::TcpStream,
    hello: String,
    answer: fn(&str) -> &'static str,
    taken: Arc<Mutex<Vec<Taken>>>,
) {
    let mut stream = BufReader::new(tcp);
    let mut mail = Taken { from: String::new(), to: Vec::new(), content: Vec::new(), commands: Vec::new() };
    let mut say = "220 hop".to_owned();
    loop {
        if stream.write_all(format!("{say}\r\n").as_bytes()).await.is_err() {
            return;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let inside = |line: &str| line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        say = match line.get(..4).unwrap_or_default() {
            "EHLO" => hello.clone(),
            "MAIL" => {
                let commands = vec![line.clone()];
                mail = Taken { from: inside(&line), to: Vec::new(), content: Vec::new(), commands };
                "250 ok".to_owned()
            }
            "RCPT" => {
                let to = inside(&line);
                mail.commands.push(line.clone());
                let reply = answer(&to);
                if reply.starts_with('2') {
                    mail.to.push(to);
                }
                reply.to_owned()
            }
            "DATA" => {
                stream.write_all(b"354 go ahead\r\n").await.unwrap();
                mail.content = read_content(&mut stream).await;
                taken.lock().unwrap().push(mail.clone());
                "250 2.0.0 taken".to_owned()
            }
            "RSET" => "250 ok".to_owned(),
            "QUIT" => "221 bye".to_owned(),
            _ => "500 what?".to_owned(),
        };
    }
}
