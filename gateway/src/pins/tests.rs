//! Tests of pins: the first one counts, the counter never falls, and a row that nobody vouched for is an error.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpost_vault::db::Schema;
use serde_json::Value;

use super::*;
use crate::keyring::tests::keyring;

pub(crate) const ANNA: &str = "anna.weber@home.example";
const NOW: Time = 1_760_000_100;

async fn store() -> (Db, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let store =
        Db::connect(&format!("sqlite:{}", home.path().join("own.db").display()), Schema::Gateway).await.unwrap();
    store.migrate().await.unwrap();
    (store, home)
}

fn anna() -> Identity {
    Identity::from_stored(ANNA.into())
}

fn certificate() -> ReaderCertificate {
    let vectors: Value = serde_json::from_str(include_str!("../../../tests/vectors/accounts-v1.json")).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(vectors["certificate"]["certificate"].as_str().unwrap()).unwrap();
    ReaderCertificate::check(&bytes, &anna()).unwrap()
}

/// Pins the published certificate to its address.
pub(crate) async fn pin(store: &Db, keyring: &Keyring, account: u8, before: Option<i64>) -> bool {
    let (reader, certificate) = (anna(), certificate());
    let claim = Claim {
        reader: &reader,
        fingerprint: certificate.fingerprint(),
        certificate: certificate.bytes(),
        counter: before.unwrap_or(0) + 1,
        at: NOW,
        state: State::Enrolled,
    };
    let vouch = keyring.vouch(&claim.bytes().unwrap()).unwrap();
    let account = AccountId::from_bytes([account; 16]);
    let pin = NewPin { claim, account, vouch: &vouch, pickup: PickupId::from_bytes([9; 16]) };
    let mut transaction = store.begin().await.unwrap();
    let set = enrol(&mut transaction, &pin, before).await.unwrap();
    transaction.commit().await.unwrap();
    set
}

async fn take_away(store: &Db, keyring: &Keyring, pinned: &Pinned) -> bool {
    let mut transaction = store.begin().await.unwrap();
    let done = reset(&mut transaction, keyring, pinned, NOW + 1).await.unwrap();
    transaction.commit().await.unwrap();
    done
}

#[tokio::test]
async fn the_first_pin_counts_and_the_counter_never_falls() {
    let ((store, _home), (keyring, _keys)) = (store().await, keyring());
    assert!(current(&store, &keyring, &anna()).await.unwrap().is_none());
    assert!(pin(&store, &keyring, 1, None).await);
    assert!(!pin(&store, &keyring, 2, None).await, "the second");
    assert!(!pin(&store, &keyring, 2, Some(1)).await, "it isn't reset");
    let first = current(&store, &keyring, &anna()).await.unwrap().unwrap();
    assert_eq!((first.account, first.counter), (AccountId::from_bytes([1; 16]), 1));
    assert_eq!(of_account(&store, &keyring, first.account).await.unwrap().unwrap().reader, anna());

    assert!(take_away(&store, &keyring, &first).await);
    assert!(!take_away(&store, &keyring, &first).await, "twice");
    assert!(current(&store, &keyring, &anna()).await.unwrap().is_none());
    assert!(of_account(&store, &keyring, first.account).await.unwrap().is_none());
    let found = find(&store, &keyring, &anna()).await.unwrap();
    assert!(matches!(found, Some(Pin::Reset { counter: 2 })));
    // From a time before the reset, or from one that wasn't.
    for before in [None, Some(0), Some(1), Some(3)] {
        assert!(!pin(&store, &keyring, 3, before).await, "{before:?}");
    }
    assert!(pin(&store, &keyring, 3, Some(2)).await);
    let second = current(&store, &keyring, &anna()).await.unwrap().unwrap();
    assert_eq!((second.account, second.counter), (AccountId::from_bytes([3; 16]), 3));
    assert!(!take_away(&store, &keyring, &first).await, "the one before");
    assert!(current(&store, &keyring, &anna()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_row_that_nobody_vouched_for_is_an_error_and_never_no_pin() {
    let ((store, _home), (keyring, _keys)) = (store().await, keyring());
    assert!(pin(&store, &keyring, 1, None).await);
    let (stranger, _others) = self::keyring();
    assert!(current(&store, &stranger, &anna()).await.is_err(), "another organisation's");
    for change in [
        "update pins set counter = counter + 1",
        "update pins set vouched_at = vouched_at + 1",
        "update pins set state = 'reset'",
        "update pins set state = ''",
        "update pins set fingerprint = substr(fingerprint, 2) || '0'",
        "update pins set fingerprint = ''",
        "update pins set certificate = substr(certificate, 2)",
        "update pins set vouch = substr(vouch, 2)",
        "update pins set vouch = x''",
        "update pins set reader = 'ben@home.example'",
    ] {
        let mut transaction = store.begin().await.unwrap();
        sqlx::query("create table kept as select * from pins").execute(&mut *transaction).await.unwrap();
        sqlx::query(change).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        let reader = if change.contains("ben@") { "ben@home.example" } else { ANNA };
        let found = find(&store, &keyring, &Identity::from_stored(reader.into())).await;
        assert!(matches!(found, Err(StoreError::Corrupt(_))), "{change}");
        let mut transaction = store.begin().await.unwrap();
        for back in ["delete from pins", "insert into pins select * from kept", "drop table kept"] {
            sqlx::query(back).execute(&mut *transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
        assert!(current(&store, &keyring, &anna()).await.unwrap().is_some(), "{change}");
    }
}
