//! Grants on PostgreSQL: the portal's role reads what the gateway writes, writes tables of its own, and reaches nothing else.
//!
//! On SQLite, files and the portal's sandbox separate the doors; on PostgreSQL the database does, if the portal has a role of
//! its own. The process that migrates the stores makes the grants anew each time, in one transaction: whatever else the
//! role had been given is taken back first, so that what holds is what stands here. Then it looks at what the role can
//! really do, because rights also come by ownership, by membership and from PUBLIC, and refuses a role that can do more.
//!
//! Security: the role's name stands in statements, where it can't be bound. [`Role`] admits plain identifiers only.

use std::fmt;

use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::db::{Db, Engine, StoreError};

/// Tables that the gateway writes and the portal reads.
pub const PORTAL_READS: [&str; 9] = [
    "account_keys",
    "accounts",
    "errand_answers",
    "key_packets",
    "letters",
    "organisation",
    "parts",
    "pickups",
    "shares",
];
/// Tables that the gateway writes and the portal needn't see.
pub const GATEWAY_ONLY: [&str; 1] = ["contents"];
/// Tables that the portal writes.
pub const PORTAL_WRITES: [&str; 10] = [
    "account_proofs",
    "account_requests",
    "code_requests",
    "errands",
    "own_replies",
    "proofs",
    "session_accounts",
    "sessions",
    "upload_parts",
    "uploads",
];

/// Keeps two processes from changing the same grants at once.
const LOCK: i64 = 0x7365_616c_6772_616e;

/// Why the doors' roles can't be told apart as they should be.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    #[error(
        "there is no role \"{0}\" in PostgreSQL: make it with `create role {0} login password '...'`, or leave \
         store.portal-role empty"
    )]
    NoSuchRole(Role),
    #[error(
        "the role \"{0}\" is the gateway's own, a member of it, or a superuser, so nothing would be out of the portal's \
         reach: give the portal a role of its own"
    )]
    NotApart(Role),
    #[error(
        "the role \"{role}\" can reach {what}, by a grant to PUBLIC or to a role that it is a member of: revoke that; \
         the portal must not"
    )]
    TooMuch { role: Role, what: String },
    #[error(
        "the role \"{role}\" may not {right} vault.{table}: set portal-role = \"{role}\" under [store] in the \
         configuration that the gateway runs with, and start the gateway once; it makes the grants"
    )]
    TooLittle { role: String, right: &'static str, table: &'static str },
    #[error("the vault has no table {0}: start the gateway once; it brings the vault up to date")]
    NotMigrated(&'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for GrantError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The text is no role's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role's name has 1 to 63 of a-z, 0-9 and _, and begins with no digit")]
pub struct NoRole;

/// A role's name: a plain identifier, which means the same with quotes and without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role(String);

impl Role {
    pub fn new(name: &str) -> Result<Self, NoRole> {
        let plain = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        // Longer names would be cut by the server, and mean another role.
        let fits = (1..=63).contains(&name.len()) && !name.starts_with(|c: char| c.is_ascii_digit());
        if plain && fits { Ok(Self(name.to_owned())) } else { Err(NoRole) }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the portal's own role keeps out of its reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separation {
    /// The gateway's tables can't be written: by grants, or by other means where the vault is SQLite.
    Kept,
    /// The role could write what the gateway writes.
    Missing,
}

/// Gives `role` what the portal needs in the vault, and takes everything else, also in the gateway's own store. Both stores
/// must be migrated. Does nothing where they are SQLite.
pub async fn give(vault: &Db, own: &Db, role: &Role) -> Result<(), GrantError> {
    if vault.engine() == Engine::Postgres {
        give_vault(vault, role).await?;
    }
    if own.engine() == Engine::Postgres {
        withhold_own(own, role).await?;
    }
    Ok(())
}

async fn give_vault(vault: &Db, role: &Role) -> Result<(), GrantError> {
    let mut transaction = locked(vault).await?;
    if !exists(&mut transaction, role).await? {
        return Err(GrantError::NoSuchRole(role.clone()));
    }
    // Before anything is revoked: the gateway's own role would lose its own tables.
    let (within,): (bool,) = sqlx::query_as("select pg_has_role(cast($1 as name), current_user, 'member')")
        .bind(&role.0)
        .fetch_one(&mut *transaction)
        .await?;
    if within {
        return Err(GrantError::NotApart(role.clone()));
    }
    revoke(&mut transaction, role, "vault").await?;
    let qualified =
        |tables: &[&str]| tables.iter().map(|table| format!("vault.{table}")).collect::<Vec<_>>().join(", ");
    let grants = format!(
        "grant usage on schema vault to \"{role}\"; grant select on {reads} to \"{role}\";
         grant select, insert, update, delete on {writes} to \"{role}\";",
        reads = qualified(&PORTAL_READS),
        writes = qualified(&PORTAL_WRITES),
    );
    sqlx::raw_sql(AssertSqlSafe(grants)).execute(&mut *transaction).await?;
    if let Some(table) = beyond(&mut transaction, role).await? {
        return Err(GrantError::TooMuch { role: role.clone(), what: format!("the table vault.{table}") });
    }
    transaction.commit().await?;
    Ok(())
}

/// A store of its own may lie on a server where the portal has no role at all.
async fn withhold_own(own: &Db, role: &Role) -> Result<(), GrantError> {
    let mut transaction = locked(own).await?;
    if !exists(&mut transaction, role).await? {
        return Ok(());
    }
    revoke(&mut transaction, role, "gateway").await?;
    let (reaches,): (bool,) =
        sqlx::query_as("select has_schema_privilege(cast($1 as name), 'gateway', 'usage, create')")
            .bind(&role.0)
            .fetch_one(&mut *transaction)
            .await?;
    if reaches {
        return Err(GrantError::TooMuch { role: role.clone(), what: "the schema gateway".to_owned() });
    }
    transaction.commit().await?;
    Ok(())
}

async fn locked(db: &Db) -> Result<Transaction<'static, Any>, GrantError> {
    let mut transaction = db.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    Ok(transaction)
}

async fn exists(transaction: &mut Transaction<'static, Any>, role: &Role) -> Result<bool, GrantError> {
    let (found,): (bool,) = sqlx::query_as("select exists (select 1 from pg_roles where rolname = cast($1 as name))")
        .bind(&role.0)
        .fetch_one(&mut **transaction)
        .await?;
    Ok(found)
}

async fn revoke(transaction: &mut Transaction<'static, Any>, role: &Role, schema: &str) -> Result<(), GrantError> {
    let revokes = format!(
        "revoke all on all tables in schema {schema} from \"{role}\"; revoke all on all sequences in schema {schema} from \"{role}\";
         revoke all on all routines in schema {schema} from \"{role}\"; revoke all on schema {schema} from \"{role}\";"
    );
    sqlx::raw_sql(AssertSqlSafe(revokes)).execute(&mut **transaction).await?;
    Ok(())
}

/// A table of the vault with which `role` can do more than it was given.
async fn beyond(transaction: &mut Transaction<'static, Any>, role: &Role) -> Result<Option<String>, GrantError> {
    let rows: Vec<(String, bool, bool)> = sqlx::query_as(
        "select cast(c.relname as text), has_any_column_privilege(cast($1 as name), c.oid, 'select'),
         has_table_privilege(cast($1 as name), c.oid, 'delete, truncate, trigger')
         or has_any_column_privilege(cast($1 as name), c.oid, 'insert, update, references')
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'vault' and c.relkind in ('r', 'p', 'v', 'm', 'f') order by c.relname",
    )
    .bind(&role.0)
    .fetch_all(&mut **transaction)
    .await?;
    Ok(rows.into_iter().find_map(|(table, reads, writes)| {
        let name = table.as_str();
        let may_write = PORTAL_WRITES.contains(&name);
        let may_read = may_write || PORTAL_READS.contains(&name);
        ((reads && !may_read) || (writes && !may_write)).then_some(table)
    }))
}

/// Whether the role that `vault` is connected with can do what the portal needs, and whether it can do no more.
pub async fn check(vault: &Db) -> Result<Separation, GrantError> {
    if vault.engine() == Engine::Sqlite {
        return Ok(Separation::Kept);
    }
    for table in PORTAL_READS {
        demand(vault, "select", table).await?;
    }
    for table in PORTAL_WRITES {
        for right in ["select", "insert", "update", "delete"] {
            demand(vault, right, table).await?;
        }
    }
    for table in PORTAL_READS.iter().chain(&GATEWAY_ONLY) {
        for right in ["insert", "update", "delete"] {
            if may(vault, right, table).await? == Some(true) {
                return Ok(Separation::Missing);
            }
        }
    }
    Ok(Separation::Kept)
}

async fn demand(vault: &Db, right: &'static str, table: &'static str) -> Result<(), GrantError> {
    match may(vault, right, table).await? {
        Some(true) => Ok(()),
        Some(false) => {
            let (role,) = sqlx::query_as("select cast(current_user as text)").fetch_one(vault.reader()).await?;
            Err(GrantError::TooLittle { role, right, table })
        }
        None => Err(GrantError::NotMigrated(table)),
    }
}

/// `None` where there is no such table.
async fn may(vault: &Db, right: &str, table: &str) -> Result<Option<bool>, GrantError> {
    let row: Option<(bool,)> = sqlx::query_as(
        "select has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, $2)
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'vault' and c.relname = cast($1 as name)",
    )
    .bind(table)
    .bind(right)
    .fetch_optional(vault.reader())
    .await?;
    Ok(row.map(|(may,)| may))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The tables of the vault's migrations, by their writer.
    fn written_by(writer: &str) -> BTreeSet<String> {
        let mut tables = BTreeSet::new();
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/postgres/vault");
        for entry in std::fs::read_dir(directory).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let mut noted = None;
            for line in text.lines() {
                if let Some(note) = line.strip_prefix("-- writer: ") {
                    noted = note.split('.').next();
                } else if let Some(table) = line.strip_prefix("create table ") {
                    let table = table.trim_end_matches([' ', '(']);
                    assert!(noted.is_some(), "{table} names no writer");
                    if noted.take() == Some(writer) {
                        assert!(tables.insert(table.to_owned()), "{table} twice");
                    }
                }
            }
        }
        tables
    }

    fn set(tables: impl IntoIterator<Item = &'static str>) -> BTreeSet<String> {
        tables.into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn the_lists_are_the_migrations_notes() {
        assert_eq!(set(PORTAL_WRITES), written_by("portal"));
        assert_eq!(set(PORTAL_READS.into_iter().chain(GATEWAY_ONLY)), written_by("gateway"));
    }

    #[test]
    fn only_plain_identifiers_are_roles() {
        for name in ["sealpost_portal", "_", "a1", &"a".repeat(63)] {
            assert_eq!(Role::new(name).unwrap().to_string(), name);
        }
        for name in ["", "1a", "A", "a-b", "a b", "a\"b", "a;drop", "ä", "a\0", &"a".repeat(64)] {
            assert_eq!(Role::new(name), Err(NoRole), "{name:?}");
        }
    }
}
