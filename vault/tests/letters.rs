//! A letter's life in the vault on SQLite: stored, released, and nothing of it left once destroyed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sealpost_vault::db::{Db, Schema};
use sealpost_vault::id::{ContentId, ConversationId, ErrandId, LetterId, PickupId, ReplyId};
use sealpost_vault::letters::{self, NewContent, NewLetter, NewPickup, NewWay};
use sealpost_vault::{BlobStore, EmailAddress, access, errands, uploads};

struct Vault {
    directory: tempfile::TempDir,
    db: Db,
    blobs: BlobStore,
}

async fn vault() -> Vault {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("vault.db").display());
    let db = Db::connect(&url, Schema::Vault).await.unwrap();
    db.migrate().await.unwrap();
    let blobs = BlobStore::local(&directory.path().join("blobs")).unwrap();
    Vault { directory, db, blobs }
}

const SMALL: &[u8] = b"packet-of-a-body-7c1f0a";

fn content(content_id: ContentId, readers: &[(LetterId, PickupId)]) -> NewContent {
    let large = b"packet-of-an-enclosure".repeat(10_000);
    NewContent {
        content_id,
        parts: vec![SMALL.to_vec(), large],
        letters: readers
            .iter()
            .map(|(letter_id, pickup_id)| NewLetter {
                letter_id: *letter_id,
                conversation_id: ConversationId::random().unwrap(),
                slip: b"packet-of-a-slip-93be".to_vec(),
                pickups: vec![NewPickup {
                    pickup_id: *pickup_id,
                    reader: "p@x.example".parse::<EmailAddress>().unwrap().identity(),
                    organisation: "AB".into(),
                    way: NewWay::Link {
                        share: *b"share-of-the-server-0123456789ab",
                        key_packet: b"key-packet-51aa".to_vec(),
                    },
                }],
            })
            .collect(),
        created_at: 1_000,
        expires_at: 2_000,
        attempt: 1,
    }
}

fn files(directory: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.extend(std::fs::read(&path).unwrap_or_default());
        }
    }
    all
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn a_letter_is_released_until_its_date_and_leaves_nothing_behind() {
    let vault = vault().await;
    let (content_id, letter, pickup) =
        (ContentId::random().unwrap(), LetterId::random().unwrap(), PickupId::random().unwrap());
    letters::publish_certificate(&vault.db, "AB", b"certificate", 1).await.unwrap();
    letters::store(&vault.db, &vault.blobs, content(content_id, &[(letter, pickup)])).await.unwrap();

    let released = access::letter(&vault.db, pickup, 1_999).await.unwrap().expect("lives");
    assert_eq!(released.letter_id, letter);
    assert_eq!(released.part_sizes, vec![23, 220_000]);
    assert!(access::letter(&vault.db, pickup, 2_000).await.unwrap().is_none(), "expired");
    assert_eq!(letters::part(&vault.db, &vault.blobs, pickup, 0, 1_999).await.unwrap().as_deref(), Some(SMALL));
    assert_eq!(letters::part(&vault.db, &vault.blobs, pickup, 1, 1_999).await.unwrap().unwrap().len(), 220_000);
    assert!(letters::part(&vault.db, &vault.blobs, pickup, 2, 1_999).await.unwrap().is_none());

    for needle in
        [SMALL, b"share-of-the-server", b"key-packet-51aa", b"packet-of-a-slip-93be", b"packet-of-an-enclosure"]
    {
        assert!(contains(&files(vault.directory.path()), needle), "there before: {}", String::from_utf8_lossy(needle));
    }
    letters::destroy(&vault.db, &vault.blobs, letter).await.unwrap();
    assert!(access::letter(&vault.db, pickup, 1_999).await.unwrap().is_none());
    for needle in
        [SMALL, b"share-of-the-server", b"key-packet-51aa", b"packet-of-a-slip-93be", b"packet-of-an-enclosure"]
    {
        assert!(!contains(&files(vault.directory.path()), needle), "still there: {}", String::from_utf8_lossy(needle));
    }
    letters::destroy(&vault.db, &vault.blobs, letter).await.unwrap();
}

#[tokio::test]
async fn parts_live_as_long_as_one_letter_shows_them() {
    let vault = vault().await;
    letters::publish_certificate(&vault.db, "AB", b"certificate", 1).await.unwrap();
    let content_id = ContentId::random().unwrap();
    let [a, b] = [(); 2].map(|()| (LetterId::random().unwrap(), PickupId::random().unwrap()));
    letters::store(&vault.db, &vault.blobs, content(content_id, &[a, b])).await.unwrap();
    letters::destroy(&vault.db, &vault.blobs, a.0).await.unwrap();
    assert!(letters::part(&vault.db, &vault.blobs, a.1, 1, 1_500).await.unwrap().is_none());
    assert_eq!(letters::part(&vault.db, &vault.blobs, b.1, 1, 1_500).await.unwrap().unwrap().len(), 220_000);
}

#[tokio::test]
async fn a_broken_portal_deletes_nothing_through_a_destroyed_letter() {
    let vault = vault().await;
    letters::publish_certificate(&vault.db, "AB", b"certificate", 1).await.unwrap();
    let [a, b] = [(); 2].map(|()| (LetterId::random().unwrap(), PickupId::random().unwrap()));
    let [first, second] = [(); 2].map(|()| ContentId::random().unwrap());
    letters::store(&vault.db, &vault.blobs, content(first, &[a])).await.unwrap();
    letters::store(&vault.db, &vault.blobs, content(second, &[b])).await.unwrap();
    let keys = vault.directory.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("0"), b"the gateway's root").unwrap();
    std::os::unix::fs::symlink(&keys, vault.directory.path().join("blobs/content/link")).unwrap();
    let mut others = std::fs::read_dir(vault.directory.path().join(format!("blobs/content/{second}"))).unwrap();
    let foreign = others.next().unwrap().unwrap().file_name().into_string().unwrap();
    // the row names somebody else's blob, and a link leads to the keys
    sqlx::query("update parts set blob_key = $1 where content_id = $2 and n = 1")
        .bind(format!("content/{second}/{foreign}"))
        .bind(first.to_string())
        .execute(vault.db.writer())
        .await
        .unwrap();
    sqlx::query("update parts set blob_key = 'content/link/0' where content_id = $1 and n = 0")
        .bind(first.to_string())
        .execute(vault.db.writer())
        .await
        .unwrap();
    letters::destroy(&vault.db, &vault.blobs, a.0).await.unwrap();
    assert_eq!(letters::part(&vault.db, &vault.blobs, b.1, 1, 1_500).await.unwrap().unwrap().len(), 220_000);
    assert!(keys.join("0").exists());
}

#[tokio::test]
async fn a_second_attempt_replaces_the_first() {
    let vault = vault().await;
    letters::publish_certificate(&vault.db, "AB", b"certificate", 1).await.unwrap();
    let content_id = ContentId::random().unwrap();
    let [first, second] = [(); 2].map(|()| (LetterId::random().unwrap(), PickupId::random().unwrap()));
    letters::store(&vault.db, &vault.blobs, content(content_id, &[first])).await.unwrap();
    let again = NewContent { attempt: 2, ..content(content_id, &[second]) };
    letters::store(&vault.db, &vault.blobs, again).await.unwrap();
    assert!(access::letter(&vault.db, first.1, 1_500).await.unwrap().is_none());
    assert!(access::letter(&vault.db, second.1, 1_500).await.unwrap().is_some());
    assert_eq!(letters::older_than(&vault.db, 1_001).await.unwrap(), vec![second.0]);
}

/// The files of a content's large parts, by attempt and number.
fn blobs_of(vault: &Vault, content_id: ContentId) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(vault.directory.path().join(format!("blobs/content/{content_id}"))) else {
        return Vec::new();
    };
    let name = |name: String| name.split('-').take(2).collect::<Vec<_>>().join("-");
    let mut names: Vec<String> = folder.map(|entry| name(entry.unwrap().file_name().into_string().unwrap())).collect();
    names.sort_unstable();
    names
}

/// Its claim was lost long ago, and another attempt's letters are on their way to be read.
#[tokio::test]
async fn who_comes_late_changes_nothing() {
    let vault = vault().await;
    letters::publish_certificate(&vault.db, "AB", b"certificate", 1).await.unwrap();
    let content_id = ContentId::random().unwrap();
    let announced = (LetterId::random().unwrap(), PickupId::random().unwrap());
    letters::store(&vault.db, &vault.blobs, NewContent { attempt: 3, ..content(content_id, &[announced]) })
        .await
        .unwrap();
    for attempt in [1, 2, 3] {
        let late = (LetterId::random().unwrap(), PickupId::random().unwrap());
        let mut content = NewContent { attempt, ..content(content_id, &[late]) };
        content.parts.iter_mut().for_each(|part| part.fill(b'!'));
        assert!(letters::store(&vault.db, &vault.blobs, content).await.is_err(), "{attempt}");
        assert!(access::letter(&vault.db, late.1, 1_500).await.unwrap().is_none(), "{attempt}");
        assert!(access::letter(&vault.db, announced.1, 1_500).await.unwrap().is_some(), "{attempt}");
        let large = letters::part(&vault.db, &vault.blobs, announced.1, 1, 1_500).await.unwrap().unwrap();
        assert!(large.len() == 220_000 && !large.contains(&b'!'), "its own parts, not the late one's");
        assert_eq!(blobs_of(&vault, content_id), ["3-1"], "{attempt}");
    }
}

#[tokio::test]
async fn what_earlier_attempts_left_in_files_goes_with_them() {
    let vault = vault().await;
    letters::publish_certificate(&vault.db, "AB", b"certificate", 1).await.unwrap();
    let content_id = ContentId::random().unwrap();
    let readers = || (LetterId::random().unwrap(), PickupId::random().unwrap());
    letters::store(&vault.db, &vault.blobs, content(content_id, &[readers()])).await.unwrap();
    // An earlier version's, one that never got its row, and one of somebody who is ahead.
    let folder = vault.directory.path().join(format!("blobs/content/{content_id}"));
    ["1", "2-1", "5-1"].iter().for_each(|name| std::fs::write(folder.join(name), b"sealed").unwrap());
    let last = readers();
    letters::store(&vault.db, &vault.blobs, NewContent { attempt: 4, ..content(content_id, &[last]) }).await.unwrap();
    assert_eq!(blobs_of(&vault, content_id), ["4-1", "5-1"]);
    assert_eq!(letters::part(&vault.db, &vault.blobs, last.1, 1, 1_500).await.unwrap().unwrap().len(), 220_000);
    letters::destroy(&vault.db, &vault.blobs, last.0).await.unwrap();
    assert!(blobs_of(&vault, content_id).is_empty());
}

#[tokio::test]
async fn errands_are_answered_once_and_strange_rows_do_no_harm() {
    let vault = vault().await;
    let errand = errands::Errand::Resend { address: "p@x.example".into(), language: "de".into() };
    let id = ErrandId::random().unwrap();
    errands::ask(&vault.db, id, &errand, 5).await.unwrap();
    for (strange, body) in [("not-an-id", "{}"), ("00000000000000000000000000", "{\"kind\":\"launch\"}")] {
        sqlx::query("insert into errands (errand_id, kind, body, created_at) values ($1, 'x', $2, 1)")
            .bind(strange)
            .bind(body)
            .execute(vault.db.writer())
            .await
            .unwrap();
    }
    let asked = errands::unanswered(&vault.db, 10).await.unwrap();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().any(|asked| asked.errand_id == id && asked.errand.as_ref() == Some(&errand)));
    assert!(asked.iter().any(|asked| asked.errand.is_none()));
    errands::reply(&vault.db, id, &errands::Answer::Done, 6).await.unwrap();
    errands::reply(&vault.db, id, &errands::Answer::Refused, 7).await.unwrap();
    assert_eq!(errands::answer(&vault.db, id).await.unwrap(), Some(errands::Answer::Done));
    assert_eq!(errands::unanswered(&vault.db, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn uploads_are_bounded_and_can_not_name_foreign_blobs() {
    let vault = vault().await;
    let (reply, pickup) = (ReplyId::random().unwrap(), PickupId::random().unwrap());
    assert!(uploads::begin(&vault.db, reply, "session", pickup, 1).await.unwrap());
    assert!(!uploads::begin(&vault.db, reply, "other", pickup, 1).await.unwrap());
    uploads::put_part(&vault.db, &vault.blobs, reply, 0, b"slip".to_vec()).await.unwrap();
    assert_eq!(uploads::parts(&vault.db, &vault.blobs, reply, 2).await.unwrap(), None, "a part is missing");
    uploads::put_part(&vault.db, &vault.blobs, reply, 1, vec![1; 200_000]).await.unwrap();
    let parts = uploads::parts(&vault.db, &vault.blobs, reply, 2).await.unwrap().unwrap();
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [4, 200_000]);
    assert!(uploads::find(&vault.db, reply, "other").await.unwrap().is_none());
    sqlx::query("update upload_parts set blob_key = 'content/somebody/0' where n = 1")
        .execute(vault.db.writer())
        .await
        .unwrap();
    assert_eq!(uploads::parts(&vault.db, &vault.blobs, reply, 2).await.unwrap(), None, "a foreign blob");
    uploads::delete(&vault.db, &vault.blobs, reply).await.unwrap();
    assert!(uploads::find(&vault.db, reply, "session").await.unwrap().is_none());
}
