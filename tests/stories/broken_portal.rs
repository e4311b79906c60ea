//! A portal that was broken into edits and inserts rows in the vault at will, and gets nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::patience::until;
use crate::world::{Database, MAIL, READER, SENDER, World, is_code, is_notification, link_in};

const ATTACKER: &str = "mallory@evil.example";

impl World {
    /// Runs statements in the vault, as whoever has its file can.
    pub async fn in_vault(&self, statements: &str) {
        let path = self.sealpost.state().join("vault/vault.db");
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(&path).busy_timeout(std::time::Duration::from_secs(20));
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
        sqlx::Connection::close(connection).await.unwrap();
    }

    /// Asks an errand and waits for the gateway's answer.
    async fn errand(&self, id: &str, kind: &str, body: &str) -> String {
        self.in_vault(&format!(
            "insert into errands (errand_id, kind, body, created_at) values ('{id}', '{kind}', '{}', 1)",
            body.replace('\'', "''")
        ))
        .await;
        let path = self.sealpost.state().join("vault/vault.db");
        until("the gateway's answer", MAIL, async || {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).read_only(true);
            let mut connection = sqlx::ConnectOptions::connect(&options).await.ok()?;
            let row: Option<(String,)> = sqlx::query_as("select body from errand_answers where errand_id = $1")
                .bind(id)
                .fetch_optional(&mut connection)
                .await
                .ok()?;
            row.map(|(body,)| body)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_portal_gets_nowhere() {
    let world = World::start(Database::Sqlite).await;
    let message = format!("From: {SENDER}\r\nTo: {READER}\r\nSubject: [secure] x\r\n\r\ncanary-content\r\n");
    world.submit(SENDER, &[READER], message.as_bytes()).await;
    let notification = world.outside(READER, is_notification).await;
    let link = link_in(&notification);
    let pickup = link[link.find("/p/").unwrap() + 3..link.find('#').unwrap()].to_owned();

    // redirect: the vault says that the letter is for somebody else
    world.in_vault(&format!("update pickups set reader = '{ATTACKER}', expires_at = 99999999999")).await;
    let session = URL_SAFE_NO_PAD.encode([7; 32]);
    let code = format!(r#"{{"kind":"code","session":"{session}","scope":{{"pickup":"{pickup}"}},"language":"en"}}"#);
    world.errand("00000000000000000000000004", "code", &code).await;
    world.outside(READER, is_code).await;
    let resend = format!(r#"{{"kind":"resend","address":"{ATTACKER}","language":"en"}}"#);
    world.errand("00000000000000000000000008", "resend", &resend).await;

    // send: a pickup, letter and conversation that the gateway never made
    world
        .in_vault(&format!(
            "insert into letters select '00000000000000000000000abc', content_id, conversation_id, slip, created_at, 99999999999 from letters limit 1;
             insert into pickups select '0000000000000000000000abcg', '00000000000000000000000abc', '{ATTACKER}', organisation, 99999999999 from pickups limit 1;"
        ))
        .await;
    let code = format!(
        r#"{{"kind":"code","session":"{session}","scope":{{"pickup":"0000000000000000000000abcg"}},"language":"en"}}"#
    );
    world.errand("0000000000000000000000000c", "code", &code).await;

    // believe: a receipt and a reply without the reader's voice
    let nothing = URL_SAFE_NO_PAD.encode([0; 32]);
    let opened = format!(r#"{{"kind":"opened","pickup":"{pickup}","mac":"{nothing}"}}"#);
    world.errand("0000000000000000000000000g", "opened", &opened).await;
    world
        .in_vault(&format!(
            "insert into sessions values ('s', 1, 1, 99999999999);
             insert into uploads (reply_id, session_hash, pickup_id, errand_id, created_at) values ('0000000000000000000000abcc', 's', '{pickup}', '', 1);
             insert into upload_parts select '0000000000000000000000abcc', 0, length(slip), '', slip from letters limit 1;
             insert into upload_parts select '0000000000000000000000abcc', 1, size, blob_key, packet from parts limit 1;"
        ))
        .await;
    let reply = format!(
        r#"{{"kind":"reply","pickup":"{pickup}","reply":"0000000000000000000000abcc","key_packet":"{nothing}","parts":2}}"#
    );
    let answer = world.errand("0000000000000000000000000m", "reply", &reply).await;
    assert!(answer.contains("refused"), "{answer}");

    // a certificate of its own for the organisation: the gateway seals to its own, and says so again at its next start
    world.in_vault("update organisation set certificate = x'00'").await;
    // strange rows
    world.in_vault("insert into errands values ('x', 'x', '{', 1), ('0000000000000000000000000r', 'enrol', '{\"kind\":\"enrol\"}', 1)").await;
    let second = format!("From: {SENDER}\r\nTo: b@mail.example\r\nSubject: [secure] y\r\n\r\ncanary-content\r\n");
    world.submit(SENDER, &["b@mail.example"], second.as_bytes()).await;
    world.outside("b@mail.example", is_notification).await;

    // what came of it: two notifications and one code, to those whom the gateway knows; nothing to anybody else
    let all = world.behind.maildir().all();
    let mut recipients: Vec<String> = all.iter().map(crate::maildir::Mail::delivered_to).collect();
    recipients.sort();
    assert_eq!(recipients, ["b@mail.example", READER, READER], "nobody else got anything");
    assert!(world.front.maildir().all().is_empty(), "and nobody inside was told anything");
    let listed = world.sealpost.command(&["letters", "list"]);
    assert!(!listed.contains("opened") && !listed.contains(ATTACKER), "{listed}");
}
