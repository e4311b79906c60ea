//! One request over loopback HTTP: a story shouldn't need a client library to ask "are you there?".

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub struct Response {
    pub status: u16,
    /// Lines as they came.
    pub head: String,
    pub body: String,
}

/// None while nobody answers.
pub async fn get(port: u16, path: &str) -> Option<Response> {
    tokio::time::timeout(Duration::from_secs(5), exchange(port, "GET", path, "", "")).await.ok()?
}

/// As a browser with this cookie.
pub async fn get_with_cookie(port: u16, path: &str, cookie: &str) -> Option<Response> {
    let head = format!("Cookie: {cookie}\r\n");
    tokio::time::timeout(Duration::from_secs(30), exchange(port, "GET", path, &head, "")).await.ok()?
}

/// A POST with more lines in its head.
pub async fn post_with(port: u16, path: &str, more: &str, json: &str) -> Option<Response> {
    let head = format!("{more}Content-Type: application/json\r\nContent-Length: {}\r\n", json.len());
    tokio::time::timeout(Duration::from_secs(30), exchange(port, "POST", path, &head, json)).await.ok()?
}

/// A POST as browser code makes it; patient, because the answer may be somebody else's.
pub async fn post(port: u16, path: &str, json: &str) -> Option<Response> {
    post_with(port, path, "", json).await
}

async fn exchange(port: u16, method: &str, path: &str, head: &str, body: &str) -> Option<Response> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{head}\r\n{body}");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).await.ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    // chromedriver keeps the connection open whatever it is asked for, so the length decides.
    let (mut length, mut head) = (None, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        head.push_str(&line);
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        }
    }
    let mut body = Vec::new();
    reader.take(length.unwrap_or(u64::MAX)).read_to_end(&mut body).await.ok()?;
    Some(Response { status, head, body: String::from_utf8_lossy(&body).into_owned() })
}
