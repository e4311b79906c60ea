//! Another passphrase, and the way back of who forgot it.

use sealpost_vault::accounts;
use sealpost_vault::derive::{code_hash, sha256};
use sealpost_vault::errands::{Answer, Bytes, Errand, Registration, Scope};
use sealpost_vault::id::{AccountId, ErrandId};

use crate::bench::Road;
use crate::passphrase::{Account, PASSPHRASE, SigningIn, file, register, sign_in, straight_letter};

const NEW: &str = "eleven brown otters swim";

fn code_for(session: u8, address: &str) -> Errand {
    let scope = Scope::Account(address.into());
    Errand::Code { session: Bytes(vec![session; 32]), scope, language: "de".into() }
}

fn by(session: u8, scope: Scope) -> Errand {
    Errand::Code { session: Bytes(vec![session; 32]), scope, language: "en".into() }
}

async fn file_in_vault(road: &Road, account: AccountId) -> (Vec<u8>, i64) {
    let row = accounts::account(&road.stores.vault, account).await.unwrap().unwrap();
    (row.file, row.changes)
}

pub async fn another_passphrase_takes_the_place_of_the_first(road: Road) {
    let mut anna = Account::of(&road, "anna@home.example").await;
    let (account, upload) = register(&road, Registration::Change(anna.account), NEW).await;
    assert_eq!(account, anna.account);
    let new = file();
    let errand = anna.change(&road, &upload, &new, None);
    // Signed for this and nothing else.
    let Errand::Change { signature, .. } = &errand else { panic!() };
    let (_, other_upload) = register(&road, Registration::Change(anna.account), "a thief's passphrase").await;
    for changed in [
        Errand::Change {
            account,
            upload: Bytes(other_upload),
            file: Bytes(new.clone()),
            recovery: Bytes(vec![]),
            signature: signature.clone(),
        },
        Errand::Change {
            account,
            upload: Bytes(upload.clone()),
            file: Bytes(file()),
            recovery: Bytes(vec![]),
            signature: signature.clone(),
        },
        Errand::Change {
            account,
            upload: Bytes(upload.clone()),
            file: Bytes(new.clone()),
            recovery: Bytes(vec![9; 32]),
            signature: signature.clone(),
        },
        Errand::Change {
            account,
            upload: Bytes(upload.clone()),
            file: Bytes(new.clone()),
            recovery: Bytes(vec![]),
            signature: Bytes(vec![]),
        },
        Errand::Change {
            account: AccountId::random().unwrap(),
            upload: Bytes(upload.clone()),
            file: Bytes(new.clone()),
            recovery: Bytes(vec![]),
            signature: signature.clone(),
        },
    ] {
        assert_eq!(road.ask(&changed).await, Answer::Refused);
    }
    let stranger = Account {
        certificate: crate::passphrase::certificate(&anna.address),
        ..Account::of(&road, "ben@home.example").await
    };
    let forged =
        Account { address: anna.address.clone(), account: anna.account, ..stranger }.change(&road, &upload, &new, None);
    assert_eq!(road.ask(&forged).await, Answer::Refused);
    assert_eq!(file_in_vault(&road, account).await, (anna.file.clone(), 0));
    assert!(anna.signs_in(&road, PASSPHRASE).await);

    let errand_id = ErrandId::random().unwrap();
    assert_eq!(road.ask_as(errand_id, &errand).await, Answer::Done);
    assert_eq!(file_in_vault(&road, account).await, (new.clone(), 1));
    assert!(!anna.signs_in(&road, PASSPHRASE).await);
    assert!(anna.signs_in(&road, NEW).await);
    // The reader is told, once, whatever is asked again.
    let mails = road.deliver().await;
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!(mail.recipients, ["anna@home.example"]);
    assert_eq!(road.ask_again_after_a_crash(errand_id).await, Answer::Done);
    assert_eq!(road.ask(&errand).await, Answer::Done, "to no effect");
    assert!(road.queued().await.is_empty());
    assert_eq!(file_in_vault(&road, account).await, (new, 1));

    // Changed once more: the old statement is history.
    anna.changes = 1;
    let (_, third) = register(&road, Registration::Change(anna.account), "third passphrase here").await;
    assert_eq!(road.ask(&anna.change(&road, &third, &file(), None)).await, Answer::Done);
    assert_eq!(road.ask(&errand).await, Answer::Refused);
    assert!(!anna.signs_in(&road, NEW).await);
    // The recovery code stayed.
    assert!(recovers(&road, &anna, &anna.recovery_proof).await);
}

/// A code, then the proof.
async fn recovers(road: &Road, anna: &Account, proof: &[u8]) -> bool {
    let code = ErrandId::random().unwrap();
    road.ask_as(code, &code_for(1, &anna.address)).await;
    let answer = road.ask(&recover(anna, code, proof)).await;
    assert!(matches!(answer, Answer::SignedIn { .. } | Answer::Refused), "{answer:?}");
    answer == Answer::SignedIn { account: anna.account }
}

fn recover(anna: &Account, code: ErrandId, proof: &[u8]) -> Errand {
    Errand::Recover { account: anna.account, code, prefix: "p".into(), proof: Bytes(proof.to_vec()) }
}

pub async fn a_sign_in_that_began_before_the_change_ends_nowhere(road: Road) {
    let anna = Account::of(&road, "anna@home.example").await;
    let browser = crate::passphrase::SigningIn::new(&anna.address, PASSPHRASE);
    let begun = ErrandId::random().unwrap();
    let Answer::SignIn { response } = road.ask_as(begun, &browser.errand("p", None)).await else { panic!() };
    let (_, upload) = register(&road, Registration::Change(anna.account), NEW).await;
    assert_eq!(road.ask(&anna.change(&road, &upload, &file(), None)).await, Answer::Done);
    let finalization = Bytes(browser.finalization(&response.0).unwrap());
    assert_eq!(road.ask(&Errand::SignInEnd { sign_in: begun, finalization }).await, Answer::Refused);
}

/// The gateway died after its own store had the new record and file, and before the vault had the file.
async fn died_between_the_stores(road: &Road, anna: &Account, new: &[u8]) {
    let vault = sqlx::query("update accounts set file = $1, changes = 0 where account_id = $2")
        .bind(anna.file.as_slice())
        .bind(anna.account.to_string())
        .execute(road.stores.vault.writer())
        .await
        .unwrap();
    let own = sqlx::query("update passphrase_changes set file = $1 where account_id = $2")
        .bind(new)
        .bind(anna.account.to_string())
        .execute(road.stores.own.writer())
        .await
        .unwrap();
    assert_eq!((vault.rows_affected(), own.rows_affected()), (1, 1));
    assert_eq!(file_in_vault(road, anna.account).await, (anna.file.clone(), 0));
}

pub async fn who_died_between_the_stores_locks_nobody_out(road: Road) {
    let anna = Account::of(&road, "anna@home.example").await;
    let (_, upload) = register(&road, Registration::Change(anna.account), NEW).await;
    let (new, proof) = (file(), [5; 32]);
    let errand = ErrandId::random().unwrap();
    assert_eq!(road.ask_as(errand, &anna.change(&road, &upload, &new, Some(&proof))).await, Answer::Done);

    // Whatever comes first brings the file: the errand, worked again; a sign-in; a recovery; the job.
    died_between_the_stores(&road, &anna, &new).await;
    assert_eq!(road.ask_again_after_a_crash(errand).await, Answer::Done);
    assert_eq!(file_in_vault(&road, anna.account).await, (new.clone(), 1));

    died_between_the_stores(&road, &anna, &new).await;
    assert!(!anna.signs_in(&road, PASSPHRASE).await);
    assert_eq!(file_in_vault(&road, anna.account).await.1, 0, "who isn't signed in needs no file");
    assert!(anna.signs_in(&road, NEW).await);
    assert_eq!(file_in_vault(&road, anna.account).await, (new.clone(), 1));

    died_between_the_stores(&road, &anna, &new).await;
    assert!(!recovers(&road, &anna, &anna.recovery_proof).await, "the old recovery code");
    assert!(recovers(&road, &anna, &proof).await);
    assert_eq!(file_in_vault(&road, anna.account).await, (new.clone(), 1));

    died_between_the_stores(&road, &anna, &new).await;
    road.gateway.tidy().await;
    assert_eq!(file_in_vault(&road, anna.account).await, (new, 1));
}

pub async fn a_recovery_code_needs_a_mailed_one(road: Road) {
    let anna = Account::of(&road, "anna@home.example").await;
    let ben = Account::of(&road, "ben@home.example").await;
    let proof = anna.recovery_proof;
    let (code, bens) = (ErrandId::random().unwrap(), ErrandId::random().unwrap());
    road.ask_as(code, &code_for(1, "anna@home.example")).await;
    road.ask_as(bens, &code_for(2, "ben@home.example")).await;
    for (errand, why) in [
        (recover(&anna, ErrandId::random().unwrap(), &proof), "no code"),
        (recover(&anna, bens, &proof), "another mailbox's code"),
        (recover(&anna, code, &ben.recovery_proof), "another account's recovery code"),
        (recover(&ben, bens, &proof), "another account's recovery code"),
        (recover(&anna, code, &sha256(&proof)), "the hash that is stored"),
        (recover(&anna, code, &proof[..31]), "cut"),
        (recover(&anna, code, &[]), "empty"),
        (
            Errand::Recover {
                account: AccountId::random().unwrap(),
                code,
                prefix: "p".into(),
                proof: Bytes(proof.to_vec()),
            },
            "no account",
        ),
    ] {
        assert_eq!(road.ask(&errand).await, Answer::Refused, "{why}");
    }
    assert_eq!(road.ask(&recover(&anna, code, &proof)).await, Answer::SignedIn { account: anna.account });
    // That were five tries with this code; ten are looked at, many at once.
    let answers = road.ask_all(&(0..20).map(|_| recover(&anna, code, &[1; 32])).collect::<Vec<_>>()).await;
    let refused = answers.iter().filter(|answer| **answer == Answer::Refused).count();
    let later = answers.iter().filter(|answer| matches!(answer, Answer::Later { seconds: 1.. })).count();
    assert_eq!((refused, later), (5, 15), "{answers:?}");
    assert!(matches!(road.ask(&recover(&anna, code, &proof)).await, Answer::Later { .. }));
    // Another code is another ten; and after half an hour a code is worth nothing.
    let fresh = ErrandId::random().unwrap();
    road.ask_as(fresh, &code_for(3, "anna@home.example")).await;
    road.pass(1_799);
    assert_eq!(road.ask(&recover(&anna, fresh, &proof)).await, Answer::SignedIn { account: anna.account });
    road.pass(1);
    assert_eq!(road.ask(&recover(&anna, fresh, &proof)).await, Answer::Refused);
}

pub async fn a_stranger_spends_everything_and_the_readers_letter_leads_back(road: Road) {
    let anna = Account::of(&road, "anna@home.example").await;
    let letter = straight_letter(&road, &anna.address).await;
    road.deliver().await;
    // A day of a stranger who knows the address: all codes for the account, those that a typed address has for the letter,
    // and in the last hour all tries at the passphrase, from everywhere.
    for n in 0..30 {
        road.ask(&code_for(n, &anna.address)).await;
        road.ask(&by(n, Scope::Address(anna.address.clone()))).await;
        road.pass(600);
    }
    let mut sent = std::collections::BTreeMap::new();
    for mail in road.deliver().await {
        *sent.entry(mail.text().contains("Konto")).or_insert(0) += 1;
    }
    assert_eq!(sent, [(true, 10), (false, 4)].into());
    for n in 0..60 {
        let browser = SigningIn::new(&anna.address, "a wrong passphrase");
        road.ask(&browser.errand(&format!("10.{n}.0.0/24"), None)).await;
    }
    assert!(matches!(
        sign_in(&road, &anna.address, PASSPHRASE, "p", None).await,
        Some(Answer::Later { seconds: 600.. })
    ));
    assert!(!recovers(&road, &anna, &anna.recovery_proof).await);
    assert!(road.queued().await.is_empty(), "no more codes for the account");

    // The reader, by the link of the letter: a code of the letter's own, then the recovery code.
    let code = ErrandId::random().unwrap();
    let Answer::Code { code_hash: hash, pickups, account, .. } =
        road.ask_as(code, &by(100, Scope::Pickup(letter))).await
    else {
        panic!()
    };
    assert_eq!((pickups, account), (vec![letter], None));
    let mails = road.deliver().await;
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!(mail.recipients, ["anna@home.example"]);
    assert_eq!(hash.0, code_hash(&[100; 32], letter.bytes(), &mail.code()).unwrap());
    // Nor do the tries from everywhere, or from here, stand in the way of who knows the passphrase.
    let signed_in = Answer::SignedIn { account: anna.account };
    assert_eq!(sign_in(&road, &anna.address, PASSPHRASE, "p", Some(code)).await, Some(signed_in.clone()));
    assert_eq!(road.ask(&recover(&anna, code, &[1; 32])).await, Answer::Refused);
    assert_eq!(road.ask(&recover(&anna, code, &anna.recovery_proof)).await, signed_in);
    let (_, upload) = register(&road, Registration::Change(anna.account), NEW).await;
    let (new, proof) = (file(), [5; 32]);
    assert_eq!(road.ask(&anna.change(&road, &upload, &new, Some(&proof))).await, Answer::Done);
    assert_eq!(sign_in(&road, &anna.address, NEW, "p", Some(code)).await, Some(signed_in));
}

pub async fn a_letters_code_that_serves_another_session_speaks_for_it_too(road: Road) {
    let anna = Account::of(&road, "anna@home.example").await;
    let ben = Account::of(&road, "ben@home.example").await;
    let letter = straight_letter(&road, &anna.address).await;
    road.deliver().await;
    let ask = async |n: u8| {
        let errand = ErrandId::random().unwrap();
        match road.ask_as(errand, &by(n, Scope::Pickup(letter))).await {
            Answer::Code { code_hash, .. } => (errand, code_hash.0),
            other => panic!("{other:?}"),
        }
    };
    for n in 0..3 {
        ask(n).await;
        road.pass(1);
    }
    let digits = road.deliver().await.into_iter().map(|mail| mail.code()).collect::<Vec<_>>();
    assert_eq!(digits.len(), 3);
    // The quarter of an hour's mails are spent: the newest code serves five more, and counts once for all of them.
    let mut shared = Vec::new();
    for n in 10..15 {
        let (errand, hash) = ask(n).await;
        assert!(digits.iter().any(|digits| hash == code_hash(&[n; 32], letter.bytes(), digits).unwrap()));
        assert_eq!(road.ask(&recover(&anna, errand, &[1; 32])).await, Answer::Refused);
        assert_eq!(
            road.ask(&recover(&anna, errand, &anna.recovery_proof)).await,
            Answer::SignedIn { account: anna.account }
        );
        assert_eq!(road.ask(&recover(&ben, errand, &ben.recovery_proof)).await, Answer::Refused, "another mailbox's");
        shared.push(errand);
    }
    for errand in shared {
        let answer = road.ask(&recover(&anna, errand, &anna.recovery_proof)).await;
        assert!(matches!(answer, Answer::Later { .. }), "ten tries for one mail: {answer:?}");
    }
    let (errand, hash) = ask(20).await;
    assert!(digits.iter().all(|digits| hash != code_hash(&[20; 32], letter.bytes(), digits).unwrap()));
    assert_eq!(road.ask(&recover(&anna, errand, &anna.recovery_proof)).await, Answer::Refused);
    assert!(road.queued().await.is_empty());
    // Asked again after a crash: the same answer. Sharing has used up no mail of the day.
    road.pass(900);
    for n in 0..7 {
        ask(30 + n).await;
        road.pass(900);
    }
    assert_eq!(road.deliver().await.len(), 7);
}

pub async fn a_shared_code_is_the_same_after_a_crash(road: Road) {
    let anna = Account::of(&road, "anna@home.example").await;
    let letter = straight_letter(&road, &anna.address).await;
    road.deliver().await;
    for n in 0..3 {
        road.ask(&by(n, Scope::Pickup(letter))).await;
    }
    let errand = ErrandId::random().unwrap();
    let first = road.ask_as(errand, &by(9, Scope::Pickup(letter))).await;
    assert_eq!(road.ask_again_after_a_crash(errand).await, first);
    assert_eq!(
        road.ask(&recover(&anna, errand, &anna.recovery_proof)).await,
        Answer::SignedIn { account: anna.account }
    );
}

pub async fn codes_for_accounts_go_to_enrolled_mailboxes_only(road: Road) {
    let anna = Account::of(&road, "Anna@home.example").await;
    let with_letter_only = road.letter_to("ben@home.example").await;
    let told = async |session: u8, address: &str| {
        let errand = ErrandId::random().unwrap();
        match road.ask_as(errand, &code_for(session, address)).await {
            Answer::Code { code_hash, expires_at, pickups, account: Some(account) } => {
                assert_eq!((code_hash.0.len(), pickups.len()), (32, 0));
                (errand, code_hash.0, expires_at, account)
            }
            other => panic!("{other:?}"),
        }
    };
    // Of an address with letters and no account, of none at all, of what is no address: nothing is mailed.
    for address in [with_letter_only.address.as_str(), "nobody@home.example", "no address"] {
        let (_, _, expires_at, account) = told(1, address).await;
        assert_eq!(expires_at, road.now() + 600);
        assert_ne!(account, anna.account);
    }
    assert!(road.queued().await.is_empty());
    // Three mails in a quarter of an hour, bound to session and errand; then the newest serves five more sessions.
    let mut digits = String::new();
    for n in 0..3 {
        let (errand, hash, _, account) = told(n, " ANNA@home.example").await;
        let mails = road.deliver().await;
        let [mail] = mails.as_slice() else { panic!("{mails:?}") };
        assert_eq!(mail.recipients, ["Anna@home.example"]);
        assert!(mail.text().contains("Konto"), "in the language that was asked for, about an account");
        digits = mail.code();
        assert_eq!(hash, code_hash(&[n; 32], errand.bytes(), &digits).unwrap());
        assert_ne!(hash, code_hash(&[n + 1; 32], errand.bytes(), &digits).unwrap());
        assert_eq!(account, anna.account);
        road.pass(1);
    }
    let mut shared = None;
    for n in 10..15 {
        let (errand, hash, ..) = told(n, &anna.address).await;
        assert_eq!(hash, code_hash(&[n; 32], errand.bytes(), &digits).unwrap());
        shared = Some(errand);
    }
    let (errand, hash, _, account) = told(20, &anna.address).await;
    assert_ne!(hash, code_hash(&[20; 32], errand.bytes(), &digits).unwrap());
    assert_ne!(account, anna.account, "made up");
    assert!(road.queued().await.is_empty());
    // A shared code speaks as the mailed one.
    let answer = road.ask(&recover(&anna, shared.unwrap(), &anna.recovery_proof)).await;
    assert_eq!(answer, Answer::SignedIn { account: anna.account });
    // Asked again after a crash: the same code.
    road.pass(900);
    let errand = ErrandId::random().unwrap();
    let first = road.ask_as(errand, &code_for(30, &anna.address)).await;
    assert_eq!(road.deliver().await.len(), 1);
    assert_eq!(road.ask_again_after_a_crash(errand).await, first);
    assert!(road.queued().await.is_empty());
    // Ten a day.
    for n in 0..12 {
        road.pass(900);
        road.ask(&code_for(40 + n, &anna.address)).await;
    }
    assert_eq!(road.deliver().await.len(), 6);
}

pub async fn a_reset_account_is_nobodys_and_its_address_can_enrol_anew(road: Road) {
    use sealpost_gateway::accounts::Reset;
    let anna = Account::of(&road, "anna@home.example").await;
    Account::of(&road, "ben@home.example").await;
    let address = "Anna@home.example".parse().unwrap();
    let code = ErrandId::random().unwrap();
    road.ask_as(code, &code_for(1, &anna.address)).await;
    road.deliver().await;
    let nobody = "nobody@home.example".parse().unwrap();
    assert_eq!(road.gateway.reset_account(&nobody).await.unwrap(), Reset::NeverEnrolled);
    assert_eq!(road.gateway.reset_account(&address).await.unwrap(), Reset::Done);
    assert_eq!(road.gateway.reset_account(&address).await.unwrap(), Reset::WasDone);
    // Reader and sender are told, once.
    let mut told: Vec<_> = road.deliver().await.into_iter().flat_map(|mail| mail.recipients).collect();
    told.sort();
    assert_eq!(told, ["anna@home.example", crate::bench::SENDER]);
    assert_eq!(road.recorded("account-reset").await.len(), 1);
    // Nothing of it signs in, recovers, changes or gets codes.
    assert!(accounts::account(&road.stores.vault, anna.account).await.unwrap().is_none());
    assert!(!anna.signs_in(&road, PASSPHRASE).await);
    assert_eq!(road.ask(&recover(&anna, code, &anna.recovery_proof)).await, Answer::Refused);
    let request = crate::passphrase::registration_request();
    let errand = Errand::Register { purpose: Registration::Change(anna.account), request };
    assert_eq!(road.ask(&errand).await, Answer::Refused);
    road.ask(&code_for(2, &anna.address)).await;
    assert!(road.queued().await.is_empty());
    let reader = "anna@home.example".parse::<sealpost_vault::EmailAddress>().unwrap().identity();
    let shown = road.gateway.account_of(&reader).await.unwrap().unwrap();
    assert_eq!((shown.state.as_str(), shown.counter, shown.fingerprint.as_str()), ("reset", 2, ""));
    // The vault's rows came back from a backup, or were left by a crash: asked again, they go.
    let left = accounts::AccountRow {
        account_id: anna.account,
        reader,
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
    accounts::store_account(&road.stores.vault, &left).await.unwrap();
    assert_eq!(road.gateway.reset_account(&address).await.unwrap(), Reset::WasDone);
    assert!(accounts::account(&road.stores.vault, anna.account).await.unwrap().is_none());
    // The next letter has a link, and leads to another account.
    let again = Account::of(&road, "anna@home.example").await;
    assert_ne!(again.account, anna.account);
    assert!(again.signs_in(&road, PASSPHRASE).await);
    let listed = road.gateway.accounts(10).await.unwrap();
    let shown: Vec<_> = listed.iter().map(|a| (a.reader.as_str(), a.state.as_str(), a.counter)).collect();
    assert_eq!(shown, [("anna@home.example", "enrolled", 3), ("ben@home.example", "enrolled", 1)]);
}
