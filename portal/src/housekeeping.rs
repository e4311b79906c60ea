//! Housekeeping: forgets what the portal wrote into the vault and nobody needs any more.

use std::time::Duration;

use sealpost_vault::clock::Time;
use sealpost_vault::{StoreError, errands, own_replies, sessions, uploads};
use tokio_util::sync::CancellationToken;

use crate::Portal;

/// How often.
const EVERY: Duration = Duration::from_secs(3600);
/// How long errands and uploads stay, in seconds; replies that the gateway has not answered stay longer.
const KEEP: Time = 24 * 3600;

/// Sweeps at the start and once an hour until `stop`.
pub async fn run(portal: Portal, stop: CancellationToken) {
    loop {
        if let Err(error) = sweep(&portal).await {
            tracing::warn!(%error, "housekeeping failed; the next round tries again");
        }
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

async fn sweep(portal: &Portal) -> Result<(), StoreError> {
    let now = portal.clock.now();
    let before = now.saturating_sub(KEEP);
    own_replies::catch_up(&portal.vault, &portal.blobs).await?;
    for reply in own_replies::ended(&portal.vault, before, now).await? {
        uploads::delete(&portal.vault, &portal.blobs, reply).await?;
    }
    for reply in uploads::older_than(&portal.vault, before).await? {
        uploads::delete(&portal.vault, &portal.blobs, reply).await?;
    }
    let errands = errands::forget(&portal.vault, before).await?;
    let sessions = sessions::forget(&portal.vault, now).await?;
    tracing::debug!(errands, sessions, "swept");
    Ok(())
}

#[cfg(test)]
mod tests {
    use sealpost_texts::{Language, Organisation};
    use sealpost_vault::db::Schema;
    use sealpost_vault::errands::{Answer, Bytes, Errand};
    use sealpost_vault::id::{ErrandId, PickupId, ReplyId};
    use sealpost_vault::{BlobStore, Clock, Db};

    use super::*;
    use crate::Settings;

    #[tokio::test]
    async fn what_is_older_than_a_day_goes_and_the_rest_stays() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("vault.sqlite").display());
        let vault = Db::connect(&url, Schema::Vault).await.unwrap();
        vault.migrate().await.unwrap();
        let blobs = BlobStore::local(&directory.path().join("blobs")).unwrap();
        let organisation = Organisation {
            name: "a".to_owned(),
            telephone: "b".to_owned(),
            website: String::new(),
            portal: "http://portal.localhost".to_owned(),
            colour: "#000000".to_owned(),
            logo: String::new(),
            language: Language::En,
        };
        let clock = Clock::fixed(KEEP);
        let settings = Settings { organisation, proxies: Vec::new() };
        let portal = Portal::new(vault.clone(), blobs.clone(), directory.path(), settings, clock.clone()).unwrap();
        let pickup = PickupId::random().unwrap();
        let [old, young] = [ReplyId::random().unwrap(), ReplyId::random().unwrap()];
        for (reply, at) in [(old, 0), (young, KEEP)] {
            errands::ask(&vault, ErrandId::random().unwrap(), &Errand::Released { pickup }, at).await.unwrap();
            uploads::begin(&vault, reply, "session", pickup, at).await.unwrap();
            uploads::put_part(&vault, &blobs, reply, 0, vec![1; 200_000]).await.unwrap();
        }
        sessions::begin(&vault, KEEP).await.unwrap();
        let left = async || {
            let errands = errands::unanswered(&vault, 10).await.unwrap().len();
            let [old, young] = [old, young].map(|reply| uploads::find(&vault, reply, "session"));
            let blobs = std::fs::read_dir(directory.path().join("blobs/replies")).unwrap().count();
            (errands, old.await.unwrap().is_some(), young.await.unwrap().is_some(), blobs)
        };
        sweep(&portal).await.unwrap();
        assert_eq!(left().await, (2, true, true, 2));
        // A reply that was sent waits for the gateway.
        let sent = ErrandId::random().unwrap();
        let errand = Errand::Reply { pickup, reply: old, key_packet: Bytes(vec![]), parts: 1 };
        errands::ask(&vault, sent, &errand, 0).await.unwrap();
        uploads::hand_over(&vault, old, sent).await.unwrap();
        clock.set(KEEP + 1);
        sweep(&portal).await.unwrap();
        assert_eq!(left().await, (2, true, true, 2));
        errands::reply(&vault, sent, &Answer::Taken, KEEP).await.unwrap();
        sweep(&portal).await.unwrap();
        assert_eq!(left().await, (1, false, true, 1));
        assert_eq!(sessions::forget(&vault, KEEP + sessions::IDLE).await.unwrap(), 1, "the living session had stayed");
    }
}
