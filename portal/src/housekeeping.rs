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
    // While the answers are there.
    own_replies::catch_up(&portal.vault, &portal.blobs).await?;
    for reply in uploads::older_than(&portal.vault, before).await? {
        uploads::delete(&portal.vault, &portal.blobs, reply).await?;
    }
    let errands = errands::forget(&portal.vault, before).await?;
    for reply in own_replies::ended(&portal.vault, before, now).await? {
        uploads::delete(&portal.vault, &portal.blobs, reply).await?;
    }
    let sessions = sessions::forget(&portal.vault, now).await?;
    tracing::debug!(errands, sessions, "swept");
    Ok(())
}

#[cfg(test)]
mod tests {
    use sealpost_texts::{Language, Organisation};
    use sealpost_vault::accounts::{self, AccountRow};
    use sealpost_vault::db::Schema;
    use sealpost_vault::errands::{Answer, Bytes, Errand};
    use sealpost_vault::id::{AccountId, ConversationId, ErrandId, LetterId, PickupId, ReplyId};
    use sealpost_vault::own_replies::NewOwnReply;
    use sealpost_vault::{BlobStore, Clock, Db, Identity};

    use super::*;
    use crate::Settings;

    struct Bench {
        directory: tempfile::TempDir,
        vault: Db,
        blobs: BlobStore,
        clock: Clock,
        portal: Portal,
    }

    async fn bench() -> Bench {
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
        Bench { directory, vault, blobs, clock, portal }
    }

    #[tokio::test]
    async fn what_is_older_than_a_day_goes_and_the_rest_stays() {
        let Bench { directory, vault, blobs, clock, portal } = bench().await;
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
    #[tokio::test]
    async fn what_a_writer_may_read_again_stays_until_its_letters_date_or_its_accounts_end() {
        let Bench { directory, vault, blobs, clock, portal } = bench().await;
        let account = AccountRow {
            account_id: AccountId::random().unwrap(),
            reader: Identity::from_stored("a@b.example".to_owned()),
            organisation: String::new(),
            fingerprint: String::new(),
            certificate: vec![],
            counter: 1,
            vouched_at: 0,
            vouch: vec![],
            file: vec![],
            changes: 0,
            changed_at: 0,
        };
        accounts::store_account(&vault, &account).await.unwrap();
        let [taken, refused, unheard, of_another] = [(); 4].map(|()| ReplyId::random().unwrap());
        for reply in [taken, refused, unheard, of_another] {
            let pickup_id = PickupId::random().unwrap();
            uploads::begin(&vault, reply, "session", pickup_id, 0).await.unwrap();
            uploads::put_part(&vault, &blobs, reply, 0, vec![1; 200_000]).await.unwrap();
            let new = NewOwnReply {
                reply_id: reply,
                account_id: if reply == of_another { AccountId::random().unwrap() } else { account.account_id },
                pickup_id,
                letter_id: LetterId::random().unwrap(),
                conversation_id: ConversationId::random().unwrap(),
                key_packet: vec![2; 100],
                sent_at: 0,
                expires_at: 100 * KEEP,
            };
            assert!(own_replies::keep(&vault, &new).await.unwrap());
            let errand_id = ErrandId::random().unwrap();
            let errand = Errand::Reply { pickup: pickup_id, reply, key_packet: Bytes(vec![]), parts: 1 };
            errands::ask(&vault, errand_id, &errand, 0).await.unwrap();
            uploads::hand_over(&vault, reply, errand_id).await.unwrap();
            // The writer's browser is gone: nobody but housekeeping hears of it.
            let answer = match reply {
                _ if reply == taken => Answer::Taken,
                _ if reply == refused => Answer::Refused,
                _ => continue,
            };
            errands::reply(&vault, errand_id, &answer, 0).await.unwrap();
        }
        let left = async |now| {
            let listed = own_replies::list(&vault, &blobs, account.account_id, None, 10, now).await.unwrap();
            let mut listed: Vec<_> = listed.iter().map(|own| (own.reply_id, own.taken, own.slip.len())).collect();
            listed.sort();
            listed
        };
        let sorted = |mut list: Vec<(ReplyId, bool, usize)>| {
            list.sort();
            list
        };
        clock.set(KEEP + 1);
        sweep(&portal).await.unwrap();
        assert_eq!(left(KEEP).await, sorted(vec![(taken, true, 200_000), (unheard, false, 200_000)]));
        // An errand that the gateway didn't answer is given up in the end.
        clock.set(errands::UNHEARD + KEEP + 1);
        sweep(&portal).await.unwrap();
        assert_eq!(left(KEEP).await, [(taken, true, 200_000)]);
        clock.set(100 * KEEP - 1);
        sweep(&portal).await.unwrap();
        assert_eq!(left(KEEP).await.len(), 1);
        let on_disk = || std::fs::read_dir(directory.path().join("blobs/replies")).unwrap().count();
        assert_eq!(on_disk(), 1);
        accounts::delete_account(&vault, account.account_id).await.unwrap();
        sweep(&portal).await.unwrap();
        assert_eq!((left(KEEP).await.len(), on_disk()), (0, 0));
    }
}
