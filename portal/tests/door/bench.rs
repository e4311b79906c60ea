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
use sealpost_vault::accounts::{self, AccountRow};
use sealpost_vault::bell::{Door, Listener, Ringer};
use sealpost_vault::db::Schema;
use sealpost_vault::errands::{self, Answer, Bytes, Errand, Registration, Scope};
use sealpost_vault::id::{AccountId, ContentId, ConversationId, ErrandId, LetterId, PickupId};
use sealpost_vault::letters::{self, NewContent, NewLetter, NewPickup, NewWay};
use sealpost_vault::{BlobStore, Clock, Db, Identity, derive, id};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt as _;

pub const NOW: i64 = 1_800_000_000;
pub const CODE: &str = "12345678";
pub const ADDRESS: &str = "patient@example.org";
/// What the stand-in takes for a right passphrase, recovery proof or signature.
pub const RIGHT: [u8; 32] = [1; 32];
pub const WRONG: [u8; 32] = [2; 32];
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
    /// So many seconds ago it mailed the codes that it gives.
    pub mailed_before: Arc<std::sync::atomic::AtomicI64>,
    /// What it answers to sign-ins and recoveries in place of looking at them.
    pub back_off: Arc<Mutex<Option<Answer>>>,
    /// What it answers to enrolments; `Enrolled` only if it is `None`.
    pub to_enrolments: Arc<Mutex<Option<Answer>>>,
    /// Kinds of errands that it leaves unanswered.
    pub deaf_to: Arc<Mutex<Vec<&'static str>>>,
    /// Accounts by address.
    pub accounts: Arc<Mutex<HashMap<String, AccountId>>>,
    sign_ins: Arc<Mutex<HashMap<ErrandId, String>>>,
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
        let (pickup, letter) = self.letter_to(ADDRESS, NOW, parts).await;
        self.gateway.pickups.lock().unwrap().push(pickup);
        (pickup, letter)
    }

    pub async fn letter_to(&self, reader: &str, created_at: i64, parts: Vec<Vec<u8>>) -> (PickupId, LetterId) {
        let fingerprint = "AB".repeat(32);
        letters::publish_certificate(&self.vault, &fingerprint, b"certificate", NOW).await.unwrap();
        let (pickup_id, letter_id) = (PickupId::random().unwrap(), LetterId::random().unwrap());
        let pickup = NewPickup {
            pickup_id,
            reader: Identity::from_stored(reader.to_owned()),
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
            created_at,
            expires_at: NOW + 30 * 86_400,
            attempt: 1,
        };
        letters::store(&self.vault, &self.blobs, content).await.unwrap();
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

    /// An account in the vault, known to the gateway.
    pub async fn account(&self, reader: &str) -> AccountId {
        let account = AccountId::random().unwrap();
        enrol(&self.vault, account, reader).await;
        self.gateway.accounts.lock().unwrap().insert(reader.to_owned(), account);
        account
    }

    /// A browser that signed in.
    pub async fn signed_in(&self, reader: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.sign_in(reader, RIGHT).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
        browser
    }

    /// Gives a letter a way by account, and takes its way by link.
    pub async fn by_account(&self, pickup: PickupId, account: AccountId) {
        assert!(accounts::put_account_key(&self.vault, pickup, account, b"account key").await.unwrap());
        accounts::end_link_way(&self.vault, pickup).await.unwrap();
    }

    /// Errands of this kind that the gateway was asked, heard or not.
    pub async fn told(&self, kind: &'static str) -> i64 {
        let statement = "select count(*) from errands where kind = $1";
        sqlx::query_as::<_, (i64,)>(statement).bind(kind).fetch_one(self.vault.reader()).await.unwrap().0
    }

    pub async fn count(&self, table: &'static str) -> i64 {
        let statement = match table {
            "sessions" => "select count(*) from sessions",
            "errands" => "select count(*) from errands",
            "upload_parts" => "select count(*) from upload_parts",
            "uploads" => "select count(*) from uploads",
            "own_replies" => "select count(*) from own_replies",
            "session_accounts" => "select count(*) from session_accounts",
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
                    if self.deaf_to.lock().unwrap().contains(&errand.kind()) {
                        continue;
                    }
                    let answer = match self.answer(&errand, asked.errand_id.bytes()) {
                        Some(Answer::Done) => Some(self.of_account(&vault, &errand, asked.errand_id).await),
                        answer => answer,
                    };
                    let Some(answer) = answer else { continue };
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
            Errand::Code { session, scope: Scope::Account(address), .. } => {
                let account = self.accounts.lock().unwrap().get(address).copied();
                let session: [u8; 32] = session.0.clone().try_into().unwrap();
                let code_hash = match account {
                    Some(_) => derive::code_hash(&session, errand_id, CODE).unwrap(),
                    None => id::random::<32>().unwrap(),
                };
                return Some(Answer::Code {
                    code_hash: Bytes(code_hash.to_vec()),
                    expires_at: self.code_ends(account.is_some()),
                    pickups: vec![],
                    account: Some(account.unwrap_or(AccountId::random().unwrap())),
                });
            }
            Errand::Reply { .. } => return self.to_replies.lock().unwrap().clone(),
            _ => return Some(Answer::Done),
        };
        let session: [u8; 32] = session.0.clone().try_into().unwrap();
        let expires_at = self.code_ends(!pickups.is_empty());
        let code_hash = if pickups.is_empty() {
            id::random::<32>().unwrap()
        } else {
            derive::code_hash(&session, &scope, CODE).unwrap()
        };
        Some(Answer::Code { code_hash: Bytes(code_hash.to_vec()), expires_at, pickups, account: None })
    }

    /// A code for what isn't there looks new.
    fn code_ends(&self, known: bool) -> i64 {
        NOW + 600 - if known { self.mailed_before.load(std::sync::atomic::Ordering::Relaxed) } else { 0 }
    }
}

impl Gateway {
    /// Accounts: whatever is `RIGHT` is right.
    async fn of_account(&self, vault: &Db, errand: &Errand, errand_id: ErrandId) -> Answer {
        let judged = |account: Option<AccountId>, bytes: &Bytes| match account {
            Some(account) if bytes.0 == RIGHT => Answer::SignedIn { account },
            _ => Answer::Refused,
        };
        if let Errand::SignIn { .. } | Errand::Recover { .. } = errand
            && let Some(answer) = self.back_off.lock().unwrap().clone()
        {
            return answer;
        }
        match errand {
            Errand::Register { purpose, .. } => {
                let account = match purpose {
                    Registration::Enrol(_) => AccountId::random().unwrap(),
                    Registration::Change(account) => *account,
                };
                Answer::Register { account, response: Bytes(vec![6; 64]), signature: Bytes(vec![6; 96]) }
            }
            Errand::Enrol { account, .. } => {
                if let Some(answer) = self.to_enrolments.lock().unwrap().clone() {
                    return answer;
                }
                enrol(vault, *account, ADDRESS).await;
                self.accounts.lock().unwrap().insert(ADDRESS.to_owned(), *account);
                Answer::Enrolled { account: *account }
            }
            Errand::SignIn { address, .. } => {
                self.sign_ins.lock().unwrap().insert(errand_id, address.clone());
                Answer::SignIn { response: Bytes(vec![8; 320]) }
            }
            Errand::SignInEnd { sign_in, finalization } => {
                let address = self.sign_ins.lock().unwrap().remove(sign_in).unwrap_or_default();
                judged(self.accounts.lock().unwrap().get(&address).copied(), finalization)
            }
            Errand::Recover { account, proof, .. } => judged(Some(*account), proof),
            Errand::Change { account, file, signature, .. } => {
                if signature.0 != RIGHT {
                    return Answer::Refused;
                }
                let changes = accounts::account(vault, *account).await.unwrap().unwrap().changes + 1;
                assert!(accounts::replace_file(vault, *account, &file.0, changes, NOW).await.unwrap());
                Answer::Done
            }
            Errand::Rewrap { signature, .. } if signature.0 != RIGHT => Answer::Refused,
            _ => Answer::Done,
        }
    }
}

async fn enrol(vault: &Db, account_id: AccountId, reader: &str) {
    letters::publish_certificate(vault, &"AB".repeat(32), b"certificate", NOW).await.unwrap();
    let account = AccountRow {
        account_id,
        reader: Identity::from_stored(reader.to_owned()),
        organisation: "AB".repeat(32),
        fingerprint: "CD".repeat(32),
        certificate: b"reader's certificate".to_vec(),
        counter: 1,
        vouched_at: NOW,
        vouch: b"vouch".to_vec(),
        file: b"account file".to_vec(),
        changes: 0,
        changed_at: NOW,
    };
    accounts::store_account(vault, &account).await.unwrap();
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
            let set = set.to_str().unwrap();
            self.cookie =
                if set.contains("Max-Age=0") { None } else { Some(set.split(';').next().unwrap().to_owned()) };
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

    /// Both steps.
    pub async fn sign_in(&mut self, address: &str, passphrase: [u8; 32]) -> Got {
        let step = self.begin_sign_in(address).await.json()["signIn"].as_str().unwrap().to_owned();
        self.finish_sign_in(&step, passphrase).await
    }

    pub async fn begin_sign_in(&mut self, address: &str) -> Got {
        let body = serde_json::json!({ "address": address, "request": base64url(&[4; 96]) });
        self.post("/api/account/sign-in", &body.to_string()).await
    }

    pub async fn finish_sign_in(&mut self, step: &str, passphrase: [u8; 32]) -> Got {
        let body = serde_json::json!({ "finalization": base64url(&passphrase) });
        self.post(&format!("/api/account/sign-in/{step}"), &body.to_string()).await
    }

    pub async fn prove(&mut self, request: &str, code: &str) -> Got {
        self.post("/api/proof", &format!("{{\"request\":\"{request}\",\"code\":\"{code}\"}}")).await
    }
}

pub fn base64url(bytes: &[u8]) -> String {
    String::from(Bytes(bytes.to_vec()))
}

/// Headers of an answer as text, for comparing.
pub fn headers(got: &Got) -> HashMap<String, String> {
    got.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}
