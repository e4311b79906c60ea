//! A vault in a temporary directory, the portal over it, browsers with a cookie each, and a gateway that one can steer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use sealpost_portal::{Portal, Settings};
use sealpost_texts::{Language, Organisation};
use sealpost_vault::bell::{Door, Listener, Ringer};
use sealpost_vault::db::Schema;
use sealpost_vault::errands::{self, Answer, Bytes, Errand, Scope};
use sealpost_vault::id::{ContentId, ConversationId, LetterId, PickupId};
use sealpost_vault::letters::{self, NewContent, NewLetter, NewPickup, NewWay};
use sealpost_vault::{BlobStore, Clock, Db, Identity, derive, id};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt as _;

pub const NOW: i64 = 1_800_000_000;
pub const CODE: &str = "12345678";
pub const ADDRESS: &str = "patient@example.org";
/// Larger than what lies in a row.
pub const LARGE: usize = 200_000;

pub struct Bench {
    pub directory: tempfile::TempDir,
    pub vault: Db,
    pub blobs: BlobStore,
    pub clock: Clock,
    pub router: Router,
    pub gateway: Gateway,
    _stop: DropGuard,
}

/// What the stand-in knows and has heard.
#[derive(Clone, Default)]
pub struct Gateway {
    pub pickups: Arc<Mutex<Vec<PickupId>>>,
    pub heard: Arc<Mutex<Vec<Errand>>>,
    /// What it answers to replies; nothing where `None`.
    pub to_replies: Arc<Mutex<Option<Answer>>>,
    pub silent: Arc<Mutex<bool>>,
}

pub fn organisation() -> Organisation {
    Organisation {
        name: "Praxis Müller & Söhne <Test>".to_owned(),
        telephone: "+49 30 1234567".to_owned(),
        website: String::new(),
        portal: "https://letters.example".to_owned(),
        colour: "#1d5f8a".to_owned(),
        logo: String::new(),
        language: Language::En,
    }
}

impl Bench {
    pub async fn new() -> Self {
        Self::of(organisation()).await
    }

    pub async fn of(organisation: Organisation) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("vault.sqlite").display());
        let vault = Db::connect(&url, Schema::Vault).await.unwrap();
        vault.migrate().await.unwrap();
        let blobs = BlobStore::local(&directory.path().join("blobs")).unwrap();
        let clock = Clock::fixed(NOW);
        let settings = Settings { organisation, proxies: vec!["127.0.0.1".parse().unwrap()] };
        let portal = Portal::new(vault.clone(), blobs.clone(), directory.path(), settings, clock.clone()).unwrap();
        let stop = CancellationToken::new();
        let gateway = Gateway::default();
        tokio::spawn(portal.clone().hear(Listener::bind(&vault, directory.path(), Door::Portal), stop.clone()));
        let ringer = Ringer::new(&vault, directory.path(), Door::Portal);
        tokio::spawn(stop.clone().run_until_cancelled_owned(gateway.clone().stand_in(vault.clone(), ringer)));
        let router = portal.router();
        Self { directory, vault, blobs, clock, router, gateway, _stop: stop.drop_guard() }
    }

    /// A browser that has visited nothing.
    pub fn browser(&self) -> Browser {
        Browser { router: self.router.clone(), cookie: None }
    }

    /// A letter in the vault, with a small part and a large one, known to the gateway.
    pub async fn letter(&self) -> PickupId {
        self.letter_of(vec![vec![1; 4096], vec![2; LARGE]]).await.0
    }

    pub async fn letter_of(&self, parts: Vec<Vec<u8>>) -> (PickupId, LetterId) {
        let fingerprint = "AB".repeat(32);
        letters::publish_certificate(&self.vault, &fingerprint, b"certificate", NOW).await.unwrap();
        let (pickup_id, letter_id) = (PickupId::random().unwrap(), LetterId::random().unwrap());
        let pickup = NewPickup {
            pickup_id,
            reader: Identity::from_stored(ADDRESS.to_owned()),
            organisation: fingerprint,
            way: NewWay::Link { share: [7; 32], key_packet: b"key packet".to_vec() },
        };
        let letter = NewLetter {
            letter_id,
            conversation_id: ConversationId::random().unwrap(),
            slip: b"slip".to_vec(),
            pickups: vec![pickup],
        };
        let content = NewContent {
            content_id: ContentId::random().unwrap(),
            parts,
            letters: vec![letter],
            created_at: NOW,
            expires_at: NOW + 30 * 86_400,
        };
        letters::store(&self.vault, &self.blobs, content).await.unwrap();
        self.gateway.pickups.lock().unwrap().push(pickup_id);
        (pickup_id, letter_id)
    }

    /// A browser that proved itself for this pickup.
    pub async fn proven(&self, pickup: PickupId) -> Browser {
        let mut browser = self.browser();
        let request = browser.ask_code(&format!("{{\"pickup\":\"{pickup}\"}}")).await;
        let answer = browser.prove(&request, CODE).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        browser
    }

    pub async fn count(&self, table: &'static str) -> i64 {
        let statement = match table {
            "sessions" => "select count(*) from sessions",
            "errands" => "select count(*) from errands",
            "upload_parts" => "select count(*) from upload_parts",
            _ => panic!("{table}"),
        };
        sqlx::query_as::<_, (i64,)>(statement).fetch_one(self.vault.reader()).await.unwrap().0
    }
}

impl Gateway {
    pub fn heard(&self, kind: &str) -> usize {
        self.heard.lock().unwrap().iter().filter(|errand| errand.kind() == kind).count()
    }

    async fn stand_in(self, vault: Db, ringer: Ringer) {
        loop {
            if !*self.silent.lock().unwrap() {
                for asked in errands::unanswered(&vault, 100).await.unwrap() {
                    let errand = asked.errand.unwrap();
                    let Some(answer) = self.answer(&errand, asked.errand_id.bytes()) else { continue };
                    self.heard.lock().unwrap().push(errand);
                    errands::reply(&vault, asked.errand_id, &answer, NOW).await.unwrap();
                    ringer.ring();
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn answer(&self, errand: &Errand, errand_id: &[u8; 16]) -> Option<Answer> {
        let (session, scope, pickups) = match errand {
            Errand::Code { session, scope: Scope::Pickup(pickup), .. } => {
                let known = self.pickups.lock().unwrap().contains(pickup);
                (session, *pickup.bytes(), if known { vec![*pickup] } else { vec![] })
            }
            Errand::Code { session, scope: Scope::Address(address), .. } => {
                let known = if address == ADDRESS { self.pickups.lock().unwrap().clone() } else { vec![] };
                (session, *errand_id, known)
            }
            Errand::Reply { .. } => return self.to_replies.lock().unwrap().clone(),
            _ => return Some(Answer::Done),
        };
        let session: [u8; 32] = session.0.clone().try_into().unwrap();
        let code_hash = if pickups.is_empty() {
            id::random::<32>().unwrap()
        } else {
            derive::code_hash(&session, &scope, CODE).unwrap()
        };
        Some(Answer::Code { code_hash: Bytes(code_hash.to_vec()), expires_at: NOW + 600, pickups, account: None })
    }
}

pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Got {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// All that an observer sees of it, without what is random or a clock: status, names of headers, size.
    pub fn shape(&self) -> (StatusCode, Vec<String>, usize) {
        let mut names: Vec<String> = self.headers.keys().map(ToString::to_string).collect();
        names.sort();
        (self.status, names, self.body.len())
    }

    /// Asserts status and the fixed word.
    #[track_caller]
    pub fn refused(&self, status: u16, word: &str) {
        assert_eq!((self.status.as_u16(), self.text()), (status, format!("{{\"error\":\"{word}\"}}").as_str()));
    }
}

#[derive(Clone)]
pub struct Browser {
    router: Router,
    pub cookie: Option<String>,
}

impl Browser {
    pub async fn send(&mut self, mut request: Request<Body>) -> Got {
        if let Some(cookie) = &self.cookie {
            request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        if let Some(set) = parts.headers.get(header::SET_COOKIE) {
            self.cookie = Some(set.to_str().unwrap().split(';').next().unwrap().to_owned());
        }
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Got { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&mut self, path: &str) -> Got {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&mut self, path: &str, json: &str) -> Got {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header("sec-fetch-site", "same-origin")
            .body(Body::from(json.to_owned()))
            .unwrap();
        self.send(request).await
    }

    pub async fn put(&mut self, path: &str, body: Vec<u8>) -> Got {
        self.send(Request::builder().method(Method::PUT).uri(path).body(Body::from(body)).unwrap()).await
    }

    /// The request's id.
    pub async fn ask_code(&mut self, json: &str) -> String {
        let answer = self.post("/api/code", json).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()["request"].as_str().unwrap().to_owned()
    }

    pub async fn prove(&mut self, request: &str, code: &str) -> Got {
        self.post("/api/proof", &format!("{{\"request\":\"{request}\",\"code\":\"{code}\"}}")).await
    }
}

/// Headers of an answer as text, for comparing.
pub fn headers(got: &Got) -> HashMap<String, String> {
    got.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}
