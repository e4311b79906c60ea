//! The door as a listener: HTTP and HTTPS, heads that are too large, a stop that finishes what was begun.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use sealpost_portal::{Settings, serve};
use sealpost_vault::db::{Db, Schema};
use sealpost_vault::errands::{self, Answer, Bytes};
use sealpost_vault::{BlobStore, Clock};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::bench::organisation;

struct Running {
    _directory: tempfile::TempDir,
    vault: Db,
    address: SocketAddr,
    stop: CancellationToken,
    door: JoinHandle<()>,
}

async fn running(tls: Option<Arc<rustls::ServerConfig>>) -> Running {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("vault.sqlite").display());
    let vault = Db::connect(&url, Schema::Vault).await.unwrap();
    vault.migrate().await.unwrap();
    let blobs = BlobStore::local(&directory.path().join("blobs")).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let (bell, stopped, db) = (directory.path().to_owned(), stop.clone(), vault.clone());
    let settings = Settings { organisation: organisation(), proxies: Vec::new() };
    let door = tokio::spawn(async move {
        serve(listener, tls, db, blobs, &bell, settings, Clock::system(), stopped).await.unwrap();
    });
    Running { _directory: directory, vault, address, stop, door }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes at once may reset what it didn't read.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: portal.localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn plain_http() {
    let running = running(None).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let answer = ask(stream, HEALTH).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
    running.stop.cancel();
    running.door.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err(), "the door is closed");
}

#[tokio::test]
async fn https() {
    let made = rcgen::generate_simple_self_signed(vec!["portal.localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let running = running(Some(Arc::new(server))).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(client));
    let name = ServerName::try_from("portal.localhost").unwrap();
    let stream = TcpStream::connect(running.address).await.unwrap();
    let answer = ask(connector.connect(name, stream).await.unwrap(), HEALTH).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    // Whoever speaks plain HTTP to it gets nothing, and harms nobody.
    let answer = ask(TcpStream::connect(running.address).await.unwrap(), HEALTH).await;
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    running.stop.cancel();
    running.door.await.unwrap();
}

#[tokio::test]
async fn heads_are_bounded() {
    let running = running(None).await;
    let request = |fields: String| format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    for fields in ["X: y\r\n".repeat(100), format!("X: {}\r\n", "y".repeat(20_000))] {
        let answer = ask(TcpStream::connect(running.address).await.unwrap(), &request(fields)).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let answer = ask(TcpStream::connect(running.address).await.unwrap(), &request("X: y\r\n".repeat(20))).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_stop_finishes_what_was_begun() {
    let running = running(None).await;
    let body = "{\"pickup\":\"x\"}";
    let request = format!(
        "POST /api/code HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let stream = TcpStream::connect(running.address).await.unwrap();
    let asking = tokio::spawn(async move { ask(stream, &request).await });
    let errand_id = loop {
        if let Some(asked) = errands::unanswered(&running.vault, 1).await.unwrap().first() {
            break asked.errand_id;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    running.stop.cancel();
    let answer =
        Answer::Code { code_hash: Bytes(vec![0; 32]), expires_at: 4_000_000_000, pickups: Vec::new(), account: None };
    errands::reply(&running.vault, errand_id, &answer, 0).await.unwrap();
    let answer = asking.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(&errand_id.to_string()), "{answer}");
    running.door.await.unwrap();
}
