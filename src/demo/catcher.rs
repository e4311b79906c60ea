//! The demo's mail catcher: takes every mail and shows it on a page. It stands for the mailboxes of everybody in the demo.
//!
//! It speaks SMTP by the gateway's own session, keeps the last [`MOST`] mails in memory, and lives in the demo only.
//! Security: loopback only; a mail's HTML is shown in a sandboxed frame that loads nothing; another site's page can't have
//! a letter written.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use mail_parser::{Message, MessageParser, MimeHeaders};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use sealpost_gateway::smtp::{self, Client, Door, Intake, ReceivedMessage};
use sealpost_gateway::{Rejection, ReversePath};
use sealpost_vault::EmailAddress;
use sealpost_vault::clock::Clock;

use super::{quoted, samples};
use crate::exit::Failure;
use crate::logging::time;

/// Mails kept.
const MOST: usize = 200;

struct Caught {
    number: u64,
    at: i64,
    recipients: String,
    bytes: Vec<u8>,
}

/// Where the catcher listens, and what it needs for its pages.
pub struct Settings {
    pub catcher: SocketAddr,
    pub page: SocketAddr,
    /// The gateway's port, for another letter.
    pub gateway: SocketAddr,
    /// Where encrypted mails are put for GnuPG.
    pub encrypted: PathBuf,
    /// The home directory of a GnuPG that opens them.
    pub gnupg: Option<PathBuf>,
}

struct Mailbox {
    mails: Mutex<(u64, VecDeque<Caught>)>,
    settings: Settings,
}

impl Mailbox {
    fn with<T>(&self, look: impl FnOnce(&mut (u64, VecDeque<Caught>)) -> T) -> T {
        look(&mut self.mails.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn bytes(&self, number: u64) -> Option<Vec<u8>> {
        self.with(|(_, mails)| mails.iter().find(|mail| mail.number == number).map(|mail| mail.bytes.clone()))
    }
}

impl Intake for Mailbox {
    async fn recipient(&self, _: &Client, _: &ReversePath, _: &EmailAddress) -> Result<(), Rejection> {
        Ok(())
    }

    async fn ready(&self) -> Result<(), Rejection> {
        Ok(())
    }

    async fn message(&self, message: ReceivedMessage) -> Result<(), Rejection> {
        let recipients: Vec<String> = message.envelope.recipients.iter().map(ToString::to_string).collect();
        self.with(|(count, mails)| {
            *count += 1;
            mails.push_front(Caught {
                number: *count,
                at: message.received_at,
                recipients: recipients.join(", "),
                bytes: message.bytes,
            });
            mails.truncate(MOST);
        });
        Ok(())
    }
}

/// Opens both listeners; the future ends when both have ended.
pub async fn start(settings: Settings, stop: CancellationToken) -> Result<impl Future<Output = ()>, Failure> {
    let bind = async |address: SocketAddr| {
        TcpListener::bind(address)
            .await
            .map_err(|cause| Failure::unavailable(format!("can't listen on {address}: {cause}")))
    };
    let (listener, page) = (bind(settings.catcher).await?, bind(settings.page).await?);
    let mailbox = Arc::new(Mailbox { mails: Mutex::default(), settings });
    let routes = Router::new()
        .route("/", get(list))
        .route("/another-letter", post(another_letter))
        .route("/mail/{number}", get(show))
        .route("/mail/{number}/html", get(html))
        .route("/mail/{number}/source", get(source))
        .route("/mail/{number}/attachment/{n}", get(attachment))
        .route(
            "/style.css",
            get(async || ([(header::CONTENT_TYPE, "text/css")], include_str!("../../templates/demo/style.css"))),
        )
        .with_state(Arc::clone(&mailbox));
    let settings =
        Arc::new(smtp::Settings { hostname: "catcher.demo.example".to_owned(), ..smtp::Settings::default() });
    let tasks = TaskTracker::new();
    tasks.spawn(smtp::serve(listener, Door::Inside, settings, None, mailbox, Clock::system(), stop.clone()));
    tasks.spawn(async move {
        let _ = axum::serve(page, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
    });
    tasks.close();
    Ok(async move { tasks.wait().await })
}

#[derive(Template)]
#[template(path = "demo/list.html")]
struct ListPage {
    lines: Vec<Line>,
}

struct Line {
    number: u64,
    at: String,
    from: String,
    to: String,
    subject: String,
}

fn from_of(message: &Message<'_>) -> String {
    message
        .from()
        .and_then(|from| from.first())
        .map(|from| match (from.name(), from.address()) {
            (Some(name), Some(address)) => format!("{name} <{address}>"),
            (_, address) => address.unwrap_or_default().to_owned(),
        })
        .unwrap_or_default()
}

async fn list(State(mailbox): State<Arc<Mailbox>>) -> Response {
    let lines = mailbox.with(|(_, mails)| {
        mails
            .iter()
            .map(|mail| {
                let parsed = MessageParser::default().parse(&mail.bytes);
                Line {
                    number: mail.number,
                    at: time(mail.at),
                    from: parsed.as_ref().map(from_of).unwrap_or_default(),
                    to: mail.recipients.clone(),
                    subject: parsed.as_ref().and_then(|message| message.subject()).unwrap_or_default().to_owned(),
                }
            })
            .collect()
    });
    page(&ListPage { lines })
}

async fn another_letter(State(mailbox): State<Arc<Mailbox>>, headers: HeaderMap) -> Response {
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return StatusCode::FORBIDDEN.into_response();
    }
    match samples::send_another(mailbox.settings.gateway).await {
        Ok(()) => Redirect::to("/").into_response(),
        Err(_) => (StatusCode::BAD_GATEWAY, "the gateway didn't take the letter\n").into_response(),
    }
}

#[derive(Template)]
#[template(path = "demo/mail.html")]
struct MailPage {
    number: u64,
    from: String,
    to: String,
    subject: String,
    has_html: bool,
    /// Text, and where a piece of it is a link, its address.
    pieces: Vec<Piece>,
    attachments: Vec<String>,
    encrypted: Encrypted,
}

enum Encrypted {
    No,
    /// This command line opens it.
    OpensWith(String),
    NobodyOpens,
}

struct Piece {
    text: String,
    link: String,
}

async fn show(State(mailbox): State<Arc<Mailbox>>, Path(number): Path<u64>) -> Response {
    let Some(bytes) = mailbox.bytes(number) else { return missing() };
    let to = mailbox.with(|(_, mails)| {
        mails.iter().find(|mail| mail.number == number).map(|mail| mail.recipients.clone()).unwrap_or_default()
    });
    let Some(message) = MessageParser::default().parse(&bytes) else { return missing() };
    let encrypted = encrypted(&mailbox.settings, number, &message);
    let text = match encrypted {
        Encrypted::No => message.body_text(0).unwrap_or_default(),
        Encrypted::OpensWith(_) | Encrypted::NobodyOpens => String::from_utf8_lossy(&bytes),
    };
    page(&MailPage {
        number,
        from: from_of(&message),
        to,
        subject: message.subject().unwrap_or_default().to_owned(),
        has_html: message.html_part(0).is_some_and(mail_parser::MessagePart::is_text_html),
        pieces: pieces(&text),
        attachments: message
            .attachments()
            .map(|part| part.attachment_name().unwrap_or("attachment").to_owned())
            .collect(),
        encrypted,
    })
}

/// Puts an encrypted mail where the command line that is shown with it finds it.
fn encrypted(settings: &Settings, number: u64, message: &Message<'_>) -> Encrypted {
    let kind = message.root_part().content_type();
    if !kind.is_some_and(|kind| kind.ctype() == "multipart" && kind.subtype() == Some("encrypted")) {
        return Encrypted::No;
    }
    let file = settings.encrypted.join(format!("{number}.eml"));
    let written =
        std::fs::create_dir_all(&settings.encrypted).and_then(|()| std::fs::write(&file, message.raw_message()));
    match (&settings.gnupg, written) {
        (Some(home), Ok(())) => {
            Encrypted::OpensWith(format!("gpg --homedir {} --decrypt {}", quoted(home), quoted(&file)))
        }
        _ => Encrypted::NobodyOpens,
    }
}

/// Cuts a text at its links.
fn pieces(text: &str) -> Vec<Piece> {
    text.split_inclusive(char::is_whitespace)
        .map(|word| {
            let link = word.trim();
            let is_link = link.starts_with("http://") || link.starts_with("https://");
            Piece { text: word.to_owned(), link: if is_link { link.to_owned() } else { String::new() } }
        })
        .collect()
}

async fn html(State(mailbox): State<Arc<Mailbox>>, Path(number): Path<u64>) -> Response {
    let Some(bytes) = mailbox.bytes(number) else { return missing() };
    let Some(message) = MessageParser::default().parse(&bytes) else { return missing() };
    let Some(body) = message.body_html(0) else { return missing() };
    (
        [(
            header::CONTENT_SECURITY_POLICY,
            "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        )],
        Html(format!("<!doctype html><base target=\"_blank\">{body}")),
    )
        .into_response()
}

async fn source(State(mailbox): State<Arc<Mailbox>>, Path(number): Path<u64>) -> Response {
    match mailbox.bytes(number) {
        Some(bytes) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], bytes).into_response(),
        None => missing(),
    }
}

async fn attachment(State(mailbox): State<Arc<Mailbox>>, Path((number, n)): Path<(u64, usize)>) -> Response {
    let Some(bytes) = mailbox.bytes(number) else { return missing() };
    let Some(message) = MessageParser::default().parse(&bytes) else { return missing() };
    let Some(part) = message.attachment(u32::try_from(n).unwrap_or(u32::MAX)) else { return missing() };
    (
        [(header::CONTENT_TYPE, "application/octet-stream"), (header::CONTENT_DISPOSITION, "attachment")],
        part.contents().to_vec(),
    )
        .into_response()
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "no such mail\n").into_response()
}

fn page(template: &impl Template) -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'";
    match template.render() {
        Ok(text) => ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(text)).into_response(),
        Err(cause) => {
            tracing::error!(%cause, "a page of the demo can't be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
