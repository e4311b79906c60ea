//! A portal that was broken into, beside an enrolled reader: whatever it edits, the reader's browser sees it or the
//! gateway doesn't care, and the next letter is sealed to the pinned key.

use super::{PASSPHRASE, SECOND_PASSPHRASE, has_no_secret, pickup_in};
use crate::browser::Browser;
use crate::patience::until;
use crate::world::{Database, MAIL, READER, SENDER, World, address_in, contains, is_notification, link_in};

/// Somebody else inside who writes to the reader.
const BERT: &str = "bert.kranz@klinik.example";
const ATTACKER: &str = "mallory@evil.example";

impl Browser {
    /// The page that says that something was changed, and nothing else.
    async fn says_that_it_was_changed(&self, heading: &str) {
        self.step("problem").await;
        assert_eq!(self.text_of("problem-heading").await, heading);
        assert!(!self.page_text().await.contains("canary"));
    }
}

const ACCOUNT: &str = "Your account does not pass its checks";
const LETTER: &str = "This message was changed on its way";

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_portal_gets_nowhere_with_accounts() {
    let world = World::start(Database::Sqlite).await;
    // as the attacker listens: every enrolment that passes is kept
    world
        .in_vault(
            "create table loot (kind text, body text);
             create trigger listen after insert on errands when new.kind in ('enrol', 'change', 'receipt')
             begin insert into loot values (new.kind, new.body); end;",
        )
        .await;
    let first = world.write("Erster canary-subject-6161", "canary-body-6262").await;
    let phone = Browser::phone().await;
    phone.read(&world, &address_in(&first)).await;
    phone.enrol(PASSPHRASE).await;
    world.link_ended(&pickup_in(&first)).await;
    let second = world.write("Zweiter canary-subject-6363", "canary-body-6464").await;
    has_no_secret(&second);
    phone.go(&address_in(&second)).await;
    phone.step("letter").await;
    world.in_vault("create table kept_accounts as select * from accounts; create table kept_keys as select * from account_keys").await;
    let restored = "delete from accounts; insert into accounts select * from kept_accounts;
        delete from account_keys where pickup_id in (select pickup_id from kept_keys); insert into account_keys select * from kept_keys;";

    // another certificate, other fingerprint, other id of the organisation's
    for swapped in [
        "update accounts set certificate = (select certificate from organisation limit 1)",
        "update accounts set fingerprint = '0000000000000000000000000000000000000000000000000000000000000000'",
        "update accounts set file = zeroblob(length(file))",
    ] {
        world.in_vault(swapped).await;
        let desk = phone.desk().await;
        desk.account_page(&world, "/sign-in").await;
        desk.sign_in(READER, PASSPHRASE).await;
        desk.says_that_it_was_changed(ACCOUNT).await;
        desk.look_at("account-changed-desk").await;
        drop(desk);
        let next = world.write(&format!("canary {}", swapped.len()), "canary-body-6565").await;
        has_no_secret(&next);
        world.in_vault(restored).await;
    }

    // key packets swapped between two letters: neither opens
    let (one, two) = (pickup_in(&first), pickup_in(&second));
    world
        .in_vault(&format!(
            "update account_keys set packet = (select packet from kept_keys where pickup_id = '{two}') where pickup_id = '{one}';
             update account_keys set packet = (select packet from kept_keys where pickup_id = '{one}') where pickup_id = '{two}';"
        ))
        .await;
    phone.go(&address_in(&second)).await;
    phone.says_that_it_was_changed(LETTER).await;
    phone.account_page(&world, "/account").await;
    phone.step("list").await;
    phone.until("document.querySelectorAll('#conversations .bad').length === 2").await;
    assert!(!phone.text_of("conversations").await.contains("canary-subject"));
    phone.look_at("account-list-bad-phone").await;
    world.in_vault(restored).await;

    // the account's row is gone: the reader gets nowhere, the gateway doesn't fall back to links
    world.in_vault("delete from accounts").await;
    let without = world.write("canary ohne Konto", "canary-body-6666").await;
    has_no_secret(&without);
    assert_eq!(world.ways(&pickup_in(&without)).await, ("0".to_owned(), "1".to_owned()));
    world.in_vault(restored).await;

    // another reader of the pickup, another conversation of the letter: nobody else is written to
    world.in_vault(&format!("update pickups set reader = '{ATTACKER}' where pickup_id = '{two}'")).await;
    let readers = world.write("canary andere Leser", "canary-body-6767").await;
    has_no_secret(&readers);
    world.in_vault(&format!("update pickups set reader = '{READER}' where pickup_id = '{two}'")).await;
    let before = world.behind.maildir().of(READER).iter().filter(|mail| is_notification(mail)).count();
    let message = format!("From: {BERT}\r\nTo: {READER}\r\nSubject: [secure] Bert\r\n\r\ncanary-body-6969\r\n");
    world.submit(BERT, &[READER], message.as_bytes()).await;
    let berts = until("Bert's letter", MAIL, async || {
        world.behind.maildir().of(READER).into_iter().filter(is_notification).nth(before)
    })
    .await;
    let of_bert = format!(
        "(select conversation_id from letters where letter_id = (select letter_id from pickups where pickup_id = '{}'))",
        pickup_in(&berts)
    );
    world.in_vault(&format!("update letters set conversation_id = {of_bert}")).await;
    phone.go(&address_in(&second)).await;
    phone.step("letter").await;
    phone.answer("canary-answer-6060").await;
    let answer = world.inside(SENDER, |mail| mail.text().contains("canary-answer-6060")).await;
    assert!(answer.header("In-Reply-To").unwrap().contains("<letter-2@klinik.example>"));

    // after a reset, the enrolment of before is worth nothing, and neither are the rows
    world.sealpost.command(&["accounts", "reset", READER]);
    let forged =
        "insert into errands select '0000000000000000000000abcg', kind, body, 1 from loot where kind = 'enrol'";
    world.in_vault(forged).await;
    let answer = until("the gateway's answer", MAIL, async || {
        let said = world
            .vault_says("select coalesce((select body from vault.errand_answers where errand_id = '0000000000000000000000abcg'), '')")
            .await;
        (!said.is_empty()).then_some(said)
    })
    .await;
    assert!(answer.contains("refused") || answer.contains("conflict"), "{answer}");
    world.in_vault("insert into accounts select * from kept_accounts").await;
    assert!(world.sealpost.command(&["accounts", "show", READER]).contains("reset"));
    let by_link = world.write("canary nach dem Zurücksetzen", "canary-body-6868").await;
    assert!(link_in(&by_link).contains('#'));

    let outside = world.behind.maildir().all();
    assert!(outside.iter().all(|mail| mail.delivered_to() == READER), "nobody else got anything");
    let inside = world.front.maildir().all();
    let answers: Vec<_> = inside.iter().filter(|mail| mail.text().contains("canary-answer-6060")).collect();
    assert!(answers.len() == 1 && inside.iter().all(|mail| [SENDER, BERT].contains(&mail.delivered_to().as_str())));
    assert!(inside.iter().chain(&outside).all(|mail| !contains(&mail.bytes, "canary-body")));
    world.audited(&["enrolled", "account-reset", "statement-refused"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_account_file_put_back_is_no_way_in() {
    let world = World::start(Database::Sqlite).await;
    let first = world.write("Erster canary-subject-7171", "canary-body-7272").await;
    let phone = Browser::phone().await;
    phone.read(&world, &address_in(&first)).await;
    phone.enrol(PASSPHRASE).await;
    world.in_vault("create table kept_accounts as select * from accounts").await;
    phone.change_passphrase(&world, PASSPHRASE, SECOND_PASSPHRASE).await;
    world.in_vault("create table new_accounts as select * from accounts").await;
    let put_back = "delete from accounts; insert into accounts select * from kept_accounts";
    world.in_vault(put_back).await;

    // who knows the old passphrase can't sign in; who knows the new one sees that the file isn't theirs
    let desk = phone.desk().await;
    desk.account_page(&world, "/sign-in").await;
    assert!(desk.is_refused(READER, PASSPHRASE).await.contains("do not fit together"));
    desk.sign_in(READER, SECOND_PASSPHRASE).await;
    desk.says_that_it_was_changed(ACCOUNT).await;
    let next = world.write("Zweiter canary-subject-7373", "canary-body-7474").await;
    has_no_secret(&next);
    world.in_vault("delete from accounts; insert into accounts select * from new_accounts").await;
    desk.sign_in_to_list(&world, SECOND_PASSPHRASE).await;
    desk.until("document.getElementById('conversations').textContent.includes('canary-subject-7373')").await;
}

/// A registration's answer that any OPAQUE client takes: Ristretto255's generator, as evaluation and as key.
const ELEMENT_AND_KEY: &str = "4vKuCmq8TnGohKlhxQBRX1jjC2qlgt2NtqZZReCNLXbi8q4KarxOcaiEqWHFAFFfWOMLaqWC3Y22pllF4I0tdg";

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_goes_no_further_where_the_portal_answers_the_registration() {
    let world = World::start(Database::Sqlite).await;
    let lies = format!(
        "create trigger lie after insert on errand_answers when json_extract(new.body, '$.answer') = 'register'
         begin update errand_answers set body = json_set(new.body, '$.response', '{ELEMENT_AND_KEY}')
         where errand_id = new.errand_id; end"
    );
    let (lies, is_honest) = (lies.as_str(), "drop trigger lie");
    let asked =
        async |kind: &str| world.vault_says(&format!("select count(*) from vault.errands where kind = '{kind}'")).await;
    let first = world.write("canary-subject-8181", "canary-body-8282").await;
    let phone = Browser::phone().await;
    phone.read(&world, &address_in(&first)).await;

    world.in_vault(lies).await;
    phone.try_to_enrol(PASSPHRASE).await;
    phone.says_that_it_was_changed(ACCOUNT).await;
    assert_eq!((asked("register").await, asked("enrol").await), ("1".into(), "0".into()));
    world.in_vault(is_honest).await;
    phone.account_page(&world, "/sign-in").await;
    phone.go(&address_in(&first)).await;
    phone.step("letter").await;
    let recovery = phone.enrol(PASSPHRASE).await;

    world.in_vault(lies).await;
    phone.try_to_change(&world, PASSPHRASE, SECOND_PASSPHRASE).await;
    phone.says_that_it_was_changed(ACCOUNT).await;
    let desk = phone.desk().await;
    desk.forgot(&world).await;
    desk.fill("recover-code", &recovery).await;
    desk.click("recover-button").await;
    desk.step("renew").await;
    desk.fill("new-passphrase", SECOND_PASSPHRASE).await;
    desk.click("renew-button").await;
    desk.says_that_it_was_changed(ACCOUNT).await;
    assert_eq!((asked("register").await, asked("change").await), ("4".into(), "0".into()));
    world.in_vault(is_honest).await;
    desk.sign_in_to_list(&world, PASSPHRASE).await;
}
