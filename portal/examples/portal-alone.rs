//! The portal over an empty vault, with a stand-in for the gateway: for looking at pages while writing them.
//!
//! `cargo run -p sealpost-portal --example portal-alone`, then http://portal.localhost:8025/. Errands are answered as the
//! gateway answers for letters and accounts that don't exist, so every page and every refusal can be seen; letters need the gateway.

use std::net::Ipv4Addr;
use std::time::Duration;

use sealpost_portal::{Settings, serve};
use sealpost_texts::{Language, Organisation};
use sealpost_vault::db::Schema;
use sealpost_vault::errands::{self, Answer, Bytes, Errand, Scope};
use sealpost_vault::id::AccountId;
use sealpost_vault::{BlobStore, Clock, Db, id};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let vault =
        Db::connect(&format!("sqlite:{}", directory.path().join("vault.sqlite").display()), Schema::Vault).await?;
    vault.migrate().await?;
    let blobs = BlobStore::local(&directory.path().join("blobs"))?;
    let organisation = Organisation {
        name: "Klinikum Musterstadt".to_owned(),
        telephone: "+49 30 1234567".to_owned(),
        website: "https://klinikum-musterstadt.example".to_owned(),
        portal: "http://portal.localhost:8025".to_owned(),
        colour: std::env::args().nth(1).unwrap_or_else(|| "#1d5f8a".to_owned()),
        logo: std::env::args().nth(2).unwrap_or_default(),
        language: Language::En,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 8025)).await?;
    println!("http://portal.localhost:8025/");
    tokio::spawn(stand_in(vault.clone()));
    let stop = CancellationToken::new();
    let settings = Settings { organisation, proxies: Vec::new() };
    serve(listener, None, vault, blobs, directory.path(), settings, Clock::system(), stop).await?;
    Ok(())
}

async fn stand_in(vault: Db) -> Result<(), Failure> {
    loop {
        let now = Clock::system().now();
        for asked in errands::unanswered(&vault, 10).await? {
            let answer = match asked.errand {
                Some(Errand::Code { scope, .. }) => Answer::Code {
                    code_hash: Bytes(id::random::<32>()?.to_vec()),
                    expires_at: now + 600,
                    pickups: Vec::new(),
                    account: if let Scope::Account(_) = scope { Some(AccountId::random()?) } else { None },
                },
                Some(Errand::SignIn { .. }) => Answer::SignIn { response: Bytes(id::random::<320>()?.to_vec()) },
                Some(Errand::Resend { .. } | Errand::Released { .. } | Errand::SignedOut { .. }) => Answer::Done,
                _ => Answer::Refused,
            };
            errands::reply(&vault, asked.errand_id, &answer, now).await?;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
