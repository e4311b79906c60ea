//! Roles on PostgreSQL: what the portal's role can do, what it can't, and what is said when roles are set up wrongly.

use sealpost_vault::Db;
use sealpost_vault::db::Schema;
use sealpost_vault::grants::{self, GrantError, PORTAL_READS, PORTAL_WRITES, Role, Separation};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::postgres::Postgres;
use crate::scratch::Scratch;
use crate::sealpost::{Sealpost, Setup, Store};

const OWNER: &str = "sealpost";
const PORTAL: &str = "sealpost_portal";

/// Both stores, migrated by their owner, and the portal's role without a grant.
struct Stores {
    postgres: Postgres,
    vault: Db,
    own: Db,
    _scratch: Scratch,
}

impl Stores {
    async fn new() -> Self {
        let scratch = Scratch::new();
        let postgres = Postgres::start(&scratch).await;
        postgres.create_roles_apart();
        let url = postgres.url(OWNER, "sealpost");
        let vault = Db::connect(&url, Schema::Vault).await.unwrap();
        let own = Db::connect(&url, Schema::Gateway).await.unwrap();
        vault.migrate().await.unwrap();
        own.migrate().await.unwrap();
        Self { postgres, vault, own, _scratch: scratch }
    }

    async fn give(&self, role: &str) -> Result<(), GrantError> {
        grants::give(&self.vault, &self.own, &Role::new(role).unwrap()).await
    }

    async fn portal(&self) -> PgConnection {
        PgConnection::connect(&self.postgres.url(PORTAL, "sealpost")).await.unwrap()
    }

    /// What the portal's door finds out about its role.
    async fn check(&self, role: &str) -> Result<Separation, GrantError> {
        let vault = Db::connect(&self.postgres.url(role, "sealpost"), Schema::Vault).await.unwrap();
        grants::check(&vault).await
    }

    fn names(&self, query: &str) -> Vec<String> {
        self.postgres.psql("sealpost", query).lines().map(str::to_owned).collect()
    }

    fn tables(&self, schema: &str) -> Vec<String> {
        let tables =
            self.names(&format!("select tablename from pg_tables where schemaname = '{schema}' order by tablename"));
        assert!(tables.len() > 3, "{tables:?}");
        tables
    }
}

async fn run(connection: &mut PgConnection, statement: &str) -> Result<(), String> {
    // A transaction, so that what is allowed leaves nothing behind.
    let mut transaction = connection.begin().await.unwrap();
    let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    done.map(drop).map_err(|error| error.to_string())
}

async fn allowed(connection: &mut PgConnection, statement: &str) {
    assert_eq!(run(connection, statement).await, Ok(()), "{statement}");
}

async fn denied(connection: &mut PgConnection, statement: &str) {
    let error = run(connection, statement).await.expect_err(statement);
    assert!(error.contains("permission denied"), "{statement}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_portals_role_reads_the_gateways_tables_and_writes_its_own() {
    let stores = Stores::new().await;
    stores.give(PORTAL).await.unwrap();
    let portal = &mut stores.portal().await;

    for table in stores.tables("gateway") {
        denied(portal, &format!("select * from gateway.{table}")).await;
        denied(portal, &format!("delete from gateway.{table}")).await;
    }
    for table in stores.tables("vault") {
        let name = format!("vault.{table}");
        let (reads, writes) = (PORTAL_READS.contains(&table.as_str()), PORTAL_WRITES.contains(&table.as_str()));
        let column = stores.names(&format!(
            "select column_name from information_schema.columns where table_schema = 'vault' and table_name = '{table}' order by ordinal_position limit 1"
        ));
        let column = &column[0];
        let select = format!("select * from {name}");
        let changes = [
            format!("insert into {name} select * from {name} where false"),
            format!("insert into {name} default values"),
            format!("update {name} set {column} = default where false"),
            format!("delete from {name} where false"),
        ];
        if reads || writes {
            allowed(portal, &select).await;
        } else {
            denied(portal, &select).await;
        }
        for change in changes {
            match run(portal, &change).await {
                Ok(()) => assert!(writes, "{change}"),
                Err(error) if writes => assert!(error.contains("not-null constraint"), "{change}: {error}"),
                Err(error) => assert!(error.contains("permission denied"), "{change}: {error}"),
            }
        }
        denied(portal, &format!("truncate {name} cascade")).await;
    }
    for table in ["letters", "pickups", "parts", "shares", "key_packets", "organisation", "errand_answers"] {
        assert!(PORTAL_READS.contains(&table), "{table} was among those tried");
    }

    for row in [
        "insert into vault.errands (errand_id, kind, body, created_at) values ('e', 'lost', '{}', 1)",
        "insert into vault.sessions (session_hash, created_at, seen_at, expires_at) values ('s', 1, 1, 2)",
        "insert into vault.uploads (reply_id, session_hash, pickup_id, errand_id, created_at) values ('r', 's', 'p', '', 1)",
    ] {
        allowed(portal, row).await;
    }
    for trick in [
        "create table vault.mine (n bigint)",
        "create schema mine",
        "alter table vault.errands disable trigger all",
        "select 1 from pg_authid",
        "copy vault.errands to '/tmp/errands'",
        "set role sealpost",
    ] {
        run(portal, trick).await.expect_err(trick);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_are_made_anew_and_whatever_else_was_given_is_taken_back() {
    let stores = Stores::new().await;
    stores.give(PORTAL).await.unwrap();
    let given = || {
        stores.names(
            "select table_schema, table_name, privilege_type from information_schema.role_table_grants
             where grantee = 'sealpost_portal' order by 1, 2, 3",
        )
    };
    let first = given();
    assert_eq!(first.len(), PORTAL_READS.len() + 4 * PORTAL_WRITES.len());
    stores.postgres.psql(
        "sealpost",
        "grant all on all tables in schema vault to sealpost_portal; grant update (reader) on vault.pickups to sealpost_portal;
         grant all on schema vault to sealpost_portal; grant usage on schema gateway to sealpost_portal;
         grant all on all tables in schema gateway to sealpost_portal; revoke select on vault.pickups from sealpost_portal",
    );
    assert_ne!(given(), first);
    // Several processes may do it at once, as doors and an administrator's commands do.
    let (a, b, c) = tokio::join!(stores.give(PORTAL), stores.give(PORTAL), stores.give(PORTAL));
    a.and(b).and(c).unwrap();
    assert_eq!(given(), first);
    let portal = &mut stores.portal().await;
    denied(portal, "update vault.pickups set reader = 'x' where false").await;
    denied(portal, "create table vault.mine (n bigint)").await;
    denied(portal, "select * from gateway.queue").await;
    assert_eq!(stores.check(PORTAL).await.unwrap(), Separation::Kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_could_do_more_is_refused() {
    let stores = Stores::new().await;
    let psql = |statement: &str| stores.postgres.psql("sealpost", statement);
    psql("create role member login in role sealpost");
    for role in [OWNER, "postgres", "member"] {
        let refused = stores.give(role).await.unwrap_err();
        assert!(matches!(&refused, GrantError::NotApart(_)), "{role}: {refused}");
    }
    assert_eq!(stores.check(OWNER).await.unwrap(), Separation::Missing, "the owner has kept its rights");
    // "public" would mean everybody.
    for role in ["nobody_here", "public"] {
        assert!(matches!(stores.give(role).await.unwrap_err(), GrantError::NoSuchRole(_)), "{role}");
    }
    for (spoil, mend, what) in [
        ("grant update on vault.pickups to public", "revoke all on vault.pickups from public", "vault.pickups"),
        (
            "grant update (reader) on vault.pickups to public",
            "revoke all on vault.pickups from public",
            "vault.pickups",
        ),
        ("grant select on vault.contents to public", "revoke all on vault.contents from public", "vault.contents"),
        ("grant usage on schema gateway to public", "revoke all on schema gateway from public", "schema gateway"),
    ] {
        psql(spoil);
        let refused = stores.give(PORTAL).await.unwrap_err();
        assert!(
            matches!(&refused, GrantError::TooMuch { .. }) && refused.to_string().contains(what),
            "{spoil}: {refused}"
        );
        psql(mend);
        stores.give(PORTAL).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_whose_role_lacks_grants_says_what_to_do() {
    let scratch = Scratch::new();
    let postgres = Postgres::start(&scratch).await;
    postgres.create_roles_apart();
    let [gateway, portal] = [OWNER, PORTAL].map(|role| postgres.url(role, "sealpost"));

    let mut setup = Setup::between(1, 1);
    setup.store = Store::PortalAlone { portal: portal.clone() };
    let alone = Sealpost::prepare(&scratch, setup.clone());
    let (code, said) = alone.failing(&["serve", "portal"]);
    assert!(said.contains("start the gateway once"), "{said}");
    assert_eq!(code, Some(69), "it may be there when the portal is started again");
    alone.command(&["init"]);
    let (code, said) = alone.failing(&["queue", "list"]);
    assert_eq!((code, said.contains("portal alone")), (Some(78), true), "{said}");

    let vault = Db::connect(&gateway, Schema::Vault).await.unwrap();
    vault.migrate().await.unwrap();
    let (code, said) = alone.failing(&["serve", "portal"]);
    assert_eq!(code, Some(69));
    assert!(said.contains("portal-role = \"sealpost_portal\"") && said.contains("may not select vault."), "{said}");

    let wrong = |role: &str| {
        let mut setup = setup.clone();
        let (vault, gateway, portal) = (gateway.clone(), gateway.clone(), portal.clone());
        setup.store = Store::Postgres { vault, gateway, portal, role: role.to_owned() };
        let sealpost = Sealpost::prepare(&scratch, setup);
        sealpost.failing(&["queue", "list"])
    };
    for (role, says) in [
        ("Robert'); drop", "store.portal-role: a role's name"),
        ("sealpost_portale", "create role sealpost_portale login"),
        (OWNER, "give the portal a role of its own"),
    ] {
        let (code, said) = wrong(role);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(says), "{said}");
    }
}
