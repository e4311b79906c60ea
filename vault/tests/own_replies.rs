//! Replies that their writers may read again: bounded per account, the first key counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sealpost_vault::db::{Db, Schema};
use sealpost_vault::id::{AccountId, ConversationId, LetterId, PickupId, ReplyId};
use sealpost_vault::own_replies::{self, After, MOST, MOST_BYTES, NewOwnReply, Verdict};
use sealpost_vault::{BlobStore, uploads};

struct Vault {
    _directory: tempfile::TempDir,
    db: Db,
    blobs: BlobStore,
}

async fn vault() -> Vault {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("vault.db").display());
    let db = Db::connect(&url, Schema::Vault).await.unwrap();
    db.migrate().await.unwrap();
    let blobs = BlobStore::local(&directory.path().join("blobs")).unwrap();
    Vault { _directory: directory, db, blobs }
}

/// An upload of one packet, to be kept.
async fn new(vault: &Vault, account_id: AccountId, sent_at: i64) -> NewOwnReply {
    let (reply_id, pickup_id) = (ReplyId::random().unwrap(), PickupId::random().unwrap());
    assert!(uploads::begin(&vault.db, reply_id, "session", pickup_id, sent_at).await.unwrap());
    uploads::put_part(&vault.db, &vault.blobs, reply_id, 0, vec![1; 4096]).await.unwrap();
    NewOwnReply {
        reply_id,
        account_id,
        pickup_id,
        letter_id: LetterId::random().unwrap(),
        conversation_id: ConversationId::random().unwrap(),
        key_packet: b"first key".to_vec(),
        sent_at,
        expires_at: 1_000,
    }
}

async fn listed(vault: &Vault, account: AccountId, after: Option<After>, limit: i64) -> Vec<own_replies::OwnReply> {
    own_replies::list(&vault.db, &vault.blobs, account, after, limit, 500).await.unwrap()
}

#[tokio::test]
async fn the_first_key_counts_and_pages_follow_each_other() {
    let vault = vault().await;
    let account = AccountId::random().unwrap();
    let mut expected = Vec::new();
    for n in 0..5 {
        let mut kept = new(&vault, account, n / 2).await;
        assert!(own_replies::keep(&vault.db, &kept).await.unwrap());
        kept.key_packet = b"second key".to_vec();
        assert!(own_replies::keep(&vault.db, &kept).await.unwrap());
        expected.push((-kept.sent_at, kept.reply_id));
    }
    expected.sort();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = listed(&vault, account, after, 2).await;
        let Some(last) = page.last() else { break };
        after = Some(After { sent_at: last.sent_at, reply_id: last.reply_id });
        assert!(page.iter().all(|own| own.key_packet == b"first key" && own.part_sizes == [4096] && !own.taken));
        found.extend(page.iter().map(|own| (-own.sent_at, own.reply_id)));
    }
    assert_eq!(found, expected);
    assert!(listed(&vault, AccountId::random().unwrap(), None, 9).await.is_empty());
}

#[tokio::test]
async fn an_account_keeps_so_many_and_so_much() {
    let vault = vault().await;
    let [many, much] = [(); 2].map(|()| AccountId::random().unwrap());
    let first = new(&vault, many, 1).await;
    assert!(own_replies::keep(&vault.db, &first).await.unwrap());
    for statement in [
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < $1)
         insert into uploads select 'r' || i, 'session', 'p', 'e', 1 from n",
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < $1)
         insert into own_replies select 'r' || i, $2, 'p', 'l', 'c', x'', 'taken', 1, 1000 from n",
    ] {
        let fill = sqlx::query(statement).bind(MOST - 1).bind(many.to_string());
        fill.execute(vault.db.writer()).await.unwrap();
    }
    assert!(!own_replies::keep(&vault.db, &new(&vault, many, 2).await).await.unwrap());
    assert!(own_replies::keep(&vault.db, &first).await.unwrap(), "what is kept stays kept");
    let other = new(&vault, much, 2).await;
    assert!(own_replies::keep(&vault.db, &other).await.unwrap(), "others have their own bounds");
    let large = |size: i64| {
        sqlx::query("update upload_parts set size = $1 where reply_id = $2").bind(size).bind(other.reply_id.to_string())
    };
    large(MOST_BYTES - 4095).execute(vault.db.writer()).await.unwrap();
    assert!(!own_replies::keep(&vault.db, &new(&vault, much, 3).await).await.unwrap());
    large(MOST_BYTES - 4096).execute(vault.db.writer()).await.unwrap();
    assert!(own_replies::keep(&vault.db, &new(&vault, much, 3).await).await.unwrap());
}

#[tokio::test]
async fn what_was_taken_stays_and_what_was_refused_goes() {
    let vault = vault().await;
    let account = AccountId::random().unwrap();
    let [taken, refused] = [new(&vault, account, 1).await, new(&vault, account, 2).await];
    let not_kept = new(&vault, account, 3).await;
    for kept in [&taken, &refused] {
        assert!(own_replies::keep(&vault.db, kept).await.unwrap());
    }
    for (reply, verdict) in [
        (taken.reply_id, Verdict::Taken),
        (taken.reply_id, Verdict::Taken),
        (refused.reply_id, Verdict::Refused),
        (not_kept.reply_id, Verdict::Taken),
    ] {
        own_replies::settle(&vault.db, &vault.blobs, reply, verdict).await.unwrap();
    }
    let left = listed(&vault, account, None, 9).await;
    assert_eq!(left.iter().map(|own| (own.reply_id, own.taken)).collect::<Vec<_>>(), [(taken.reply_id, true)]);
    for (reply, parts) in [(taken.reply_id, 1), (refused.reply_id, 0), (not_kept.reply_id, 0)] {
        assert_eq!(uploads::find(&vault.db, reply, "session").await.unwrap().unwrap().parts, parts);
    }
}

#[tokio::test]
async fn a_foreign_account_and_a_foreign_blob_get_nothing() {
    let vault = vault().await;
    let account = AccountId::random().unwrap();
    let kept = new(&vault, account, 1).await;
    assert!(own_replies::keep(&vault.db, &kept).await.unwrap());
    let part = async |account, n, now| {
        own_replies::part(&vault.db, &vault.blobs, account, kept.reply_id, n, now).await.unwrap()
    };
    assert_eq!(part(account, 0, 999).await.unwrap().len(), 4096);
    for (account, n, now) in [(AccountId::random().unwrap(), 0, 999), (account, 1, 999), (account, 0, 1_000)] {
        assert_eq!(part(account, n, now).await, None);
    }
}
