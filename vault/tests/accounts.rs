//! Accounts in the vault, on SQLite: what the gateway writes comes back, what it ends is gone, pages meet without a gap.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sealpost_vault::accounts::{self, AccountRow, After};
use sealpost_vault::db::{Db, Schema};
use sealpost_vault::id::{AccountId, ContentId, ConversationId, LetterId, PickupId};
use sealpost_vault::letters::{self, NewContent, NewLetter, NewPickup, NewWay};
use sealpost_vault::{BlobStore, Identity, access};

const NOW: i64 = 5_000;

struct Vault {
    directory: tempfile::TempDir,
    db: Db,
    blobs: BlobStore,
}

fn identity(text: &str) -> Identity {
    Identity::from_stored(text.into())
}

fn row(reader: &str) -> AccountRow {
    AccountRow {
        account_id: AccountId::random().unwrap(),
        reader: identity(reader),
        organisation: "AB".into(),
        fingerprint: "CD".into(),
        certificate: b"certificate-of-the-reader".to_vec(),
        counter: 1,
        vouched_at: 900,
        vouch: b"vouch".to_vec(),
        file: b"file-of-the-first-passphrase".to_vec(),
        changes: 0,
        changed_at: 900,
    }
}

impl Vault {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("vault.db").display());
        let db = Db::connect(&url, Schema::Vault).await.unwrap();
        db.migrate().await.unwrap();
        let blobs = BlobStore::local(&directory.path().join("blobs")).unwrap();
        Self { directory, db, blobs }
    }

    async fn letter(&self, reader: &str, created_at: i64, expires_at: i64) -> PickupId {
        let pickup_id = PickupId::random().unwrap();
        let letter = NewLetter {
            letter_id: LetterId::random().unwrap(),
            conversation_id: ConversationId::random().unwrap(),
            slip: b"slip".to_vec(),
            pickups: vec![NewPickup {
                pickup_id,
                reader: identity(reader),
                organisation: "AB".into(),
                way: NewWay::Link {
                    share: *b"share-of-the-server-0123456789ab",
                    key_packet: b"skesk-of-the-link".to_vec(),
                },
            }],
        };
        let content = NewContent {
            content_id: ContentId::random().unwrap(),
            parts: vec![b"body".to_vec(), b"more".repeat(3)],
            letters: vec![letter],
            created_at,
            expires_at,
            attempt: 1,
        };
        letters::store(&self.db, &self.blobs, content).await.unwrap();
        pickup_id
    }

    fn holds(&self, needle: &[u8]) -> bool {
        std::fs::read_dir(self.directory.path()).unwrap().any(|entry| {
            let path = entry.unwrap().path();
            path.is_file() && std::fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle)
        })
    }
}

#[tokio::test]
async fn what_was_stored_comes_back_and_a_second_attempt_replaces_it() {
    let vault = Vault::new().await;
    let first = row("p@x.example");
    accounts::store_account(&vault.db, &first).await.unwrap();
    assert_eq!(accounts::account(&vault.db, first.account_id).await.unwrap(), Some(first.clone()));
    let again = AccountRow { certificate: b"another".to_vec(), ..first.clone() };
    accounts::store_account(&vault.db, &again).await.unwrap();
    assert_eq!(accounts::account(&vault.db, first.account_id).await.unwrap(), Some(again));
    // What an attempt under another id left is gone with its keys; another reader's account stays.
    let pickup = vault.letter("p@x.example", 1_000, 9_000).await;
    assert!(accounts::put_account_key(&vault.db, pickup, first.account_id, b"pkesk").await.unwrap());
    let other = row("q@x.example");
    accounts::store_account(&vault.db, &other).await.unwrap();
    let later = row("p@x.example");
    accounts::store_account(&vault.db, &later).await.unwrap();
    assert_eq!(accounts::account(&vault.db, first.account_id).await.unwrap(), None);
    assert_eq!(accounts::account(&vault.db, other.account_id).await.unwrap(), Some(other));
    let letters = accounts::letters_of(&vault.db, later.account_id, None, 30, NOW).await.unwrap();
    assert_eq!((letters.len(), letters[0].key_packet.clone()), (1, None));
}

#[tokio::test]
async fn a_replaced_file_is_destroyed_and_an_older_one_does_not_come_back() {
    let vault = Vault::new().await;
    let account = row("p@x.example");
    accounts::store_account(&vault.db, &account).await.unwrap();
    assert!(vault.holds(&account.file));
    let id = account.account_id;
    assert!(accounts::replace_file(&vault.db, id, b"file-of-the-second", 2, NOW).await.unwrap());
    assert!(!vault.holds(&account.file));
    assert!(!accounts::replace_file(&vault.db, id, b"file-of-the-late", 1, NOW).await.unwrap());
    assert!(accounts::replace_file(&vault.db, id, b"file-of-the-second", 2, NOW).await.unwrap(), "twice the same");
    let found = accounts::account(&vault.db, id).await.unwrap().unwrap();
    assert_eq!((found.file.as_slice(), found.changes, found.changed_at), (b"file-of-the-second".as_slice(), 2, NOW));
    let nobody = AccountId::random().unwrap();
    assert!(!accounts::replace_file(&vault.db, nobody, b"f", 1, NOW).await.unwrap());
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing_behind_and_its_letters_keep_their_link() {
    let vault = Vault::new().await;
    letters::publish_certificate(&vault.db, "AB", b"certificate", 1).await.unwrap();
    let account = row("p@x.example");
    let pickup = vault.letter("p@x.example", 1_000, 9_000).await;
    accounts::store_account(&vault.db, &account).await.unwrap();
    accounts::put_account_key(&vault.db, pickup, account.account_id, b"pkesk-of-the-account").await.unwrap();
    assert!(vault.holds(b"pkesk-of-the-account"));
    for _ in 0..2 {
        accounts::delete_account(&vault.db, account.account_id).await.unwrap();
        assert_eq!(accounts::account(&vault.db, account.account_id).await.unwrap(), None);
    }
    assert!(!vault.holds(b"pkesk-of-the-account"));
    assert!(!vault.holds(&account.file));
    assert!(access::letter(&vault.db, pickup, NOW).await.unwrap().is_some());
}

#[tokio::test]
async fn the_link_way_ends_and_the_account_way_stays() {
    let vault = Vault::new().await;
    let account = row("p@x.example");
    accounts::store_account(&vault.db, &account).await.unwrap();
    let pickup = vault.letter("p@x.example", 1_000, 9_000).await;
    let other = vault.letter("p@x.example", 1_001, 9_000).await;
    accounts::put_account_key(&vault.db, pickup, account.account_id, b"pkesk").await.unwrap();
    for _ in 0..2 {
        accounts::end_link_way(&vault.db, pickup).await.unwrap();
        let letters = accounts::letters_of(&vault.db, account.account_id, None, 30, NOW).await.unwrap();
        let shown: Vec<_> = letters.iter().map(|l| (l.pickup_id, l.by_link, l.key_packet.as_deref())).collect();
        assert_eq!(shown, [(other, true, None), (pickup, false, Some(b"pkesk".as_slice()))]);
        assert_eq!(letters[0].part_sizes, [4, 12]);
    }
    accounts::end_link_way(&vault.db, other).await.unwrap();
    assert!(!vault.holds(b"share-of-the-server"));
    assert!(!vault.holds(b"skesk-of-the-link"));
    // A pickup that has ended takes no key.
    letters::end_pickup(&vault.db, pickup).await.unwrap();
    assert!(!accounts::put_account_key(&vault.db, pickup, account.account_id, b"pkesk").await.unwrap());
}

#[tokio::test]
async fn pages_meet_without_gap_or_repetition() {
    let vault = Vault::new().await;
    let account = row("p@x.example");
    accounts::store_account(&vault.db, &account).await.unwrap();
    let mut mine = Vec::new();
    for n in 0..7 {
        // Several of one second: the id decides.
        mine.push(vault.letter("p@x.example", 1_000 + n / 3, 9_000).await);
    }
    vault.letter("q@x.example", 1_000, 9_000).await;
    vault.letter("p@x.example", 1_000, NOW).await;
    let all = accounts::letters_of(&vault.db, account.account_id, None, 30, NOW).await.unwrap();
    assert!(all.windows(2).all(|pair| pair[0].created_at >= pair[1].created_at));
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = accounts::letters_of(&vault.db, account.account_id, after, 2, NOW).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(After { created_at: last.created_at, pickup_id: last.pickup_id });
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let mut found: Vec<_> = paged.iter().map(|letter| letter.pickup_id).collect();
    found.sort();
    mine.sort();
    assert_eq!(found, mine);
    let nobody = AccountId::random().unwrap();
    assert!(accounts::letters_of(&vault.db, nobody, None, 30, NOW).await.unwrap().is_empty());
}
