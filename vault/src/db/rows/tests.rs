//! Batches: what shares one, what fails in one, and which rows a statement meets.

use super::*;
use crate::db::Schema;

static INSERT: Statement =
    Statement { order: 1, kind: Kind::Insert { into: "parts (n, guard, bytes)", row: "(?, ?, ?)" } };
static DELETE: Statement = Statement { order: 2, kind: Kind::Delete { from: "parts", key: "n", guard: "guard" } };
static KEEP: Statement =
    Statement { order: 1, kind: Kind::InsertNew { into: "parts (n, guard, bytes)", row: "(?, ?, ?)", unique: "n" } };
static FREE: Statement = Statement {
    order: 2,
    kind: Kind::UpdateIf { table: "parts", set: "guard = 'free'", key: "n", condition: "n > 1" },
};
static SWEEP: Statement =
    Statement { order: 3, kind: Kind::DeleteIf { from: "parts", key: "n", condition: "guard = 'free'" } };

async fn store(directory: &tempfile::TempDir) -> Db {
    let url = format!("sqlite:{}", directory.path().join("x.db").display());
    let db = Db::connect(&url, Schema::Gateway).await.unwrap();
    sqlx::query("create table parts (n integer primary key, guard text not null, bytes blob not null) strict")
        .execute(db.writer())
        .await
        .unwrap();
    db
}

fn insert(n: i64) -> Rows {
    let mut rows = Rows::new();
    rows.push(&INSERT, [n.into(), format!("guard {n}").into(), n.to_be_bytes().to_vec().into()]);
    rows
}

fn delete(n: i64, guard: &str) -> Rows {
    let mut rows = Rows::new();
    rows.push(&DELETE, [n.into(), guard.into()]);
    rows
}

async fn stored(db: &Db) -> Vec<i64> {
    let rows: Vec<(i64, String, Vec<u8>)> =
        sqlx::query_as("select n, guard, bytes from parts order by n").fetch_all(db.reader()).await.unwrap();
    rows.into_iter()
        .map(|(n, guard, bytes)| {
            assert!(guard == format!("guard {n}") || guard == "free");
            assert_eq!(bytes, n.to_be_bytes(), "its own values, not another row's");
            n
        })
        .collect()
}

/// All at once; whose rows were written.
async fn at_once(db: &Db, all: Vec<Rows>) -> Vec<bool> {
    futures::future::join_all(all.into_iter().map(|rows| db.write_rows(rows)))
        .await
        .into_iter()
        .map(|written| written.is_ok())
        .collect()
}

#[test]
fn the_text_of_statements() {
    let numbered = |statement: &Statement, rows| statement.sql(Engine::Postgres, rows);
    assert_eq!(numbered(&INSERT, 1), "insert into parts (n, guard, bytes) values ($1, $2, $3)");
    assert_eq!(numbered(&INSERT, 2), "insert into parts (n, guard, bytes) values ($1, $2, $3), ($4, $5, $6)");
    assert_eq!(INSERT.sql(Engine::Sqlite, 2), "insert into parts (n, guard, bytes) values (?, ?, ?), (?, ?, ?)");
    assert_eq!(numbered(&DELETE, 2), "delete from parts where n in ($1, $2) and n || ' ' || guard in ($3, $4)");
    assert_eq!(numbered(&SWEEP, 2), "delete from parts where n in ($1, $2) and guard = 'free'");
    let kept = "insert into parts (n, guard, bytes) values ($1, $2, $3), ($4, $5, $6) on conflict (n) do nothing";
    assert_eq!(numbered(&KEEP, 2), kept);
    assert_eq!(numbered(&FREE, 2), "update parts set guard = 'free' where n in ($1, $2) and n > 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_are_written_whatever_their_number() {
    let directory = tempfile::tempdir().unwrap();
    let db = store(&directory).await;
    let mut next = 0;
    for count in [1, 2, 3, 5, 15, 17, 63, 64, 65, 130, 700] {
        let all: Vec<Rows> = (next..next + count).map(insert).collect();
        next += count;
        assert!(at_once(&db, all).await.into_iter().all(|written| written));
        assert_eq!(stored(&db).await, (0..next).collect::<Vec<i64>>());
    }
    let (mut many, now) = (Rows::new(), next + 333);
    (next..now).for_each(|n| many.append(insert(n)));
    db.write_rows(many).await.unwrap();
    assert_eq!(stored(&db).await, (0..now).collect::<Vec<i64>>());
    let all = (0..now).map(|n| delete(n, &format!("guard {n}"))).collect();
    assert!(at_once(&db, all).await.into_iter().all(|written| written));
    assert_eq!(stored(&db).await, Vec::<i64>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_wrong_with_one_is_nobody_elses_trouble() {
    let directory = tempfile::tempdir().unwrap();
    let db = store(&directory).await;
    db.write_rows(insert(500)).await.unwrap();
    let mut half = insert(1000);
    half.append(insert(500));
    let mut all: Vec<Rows> = (0..100).map(insert).collect();
    all.insert(50, half);
    all.insert(70, delete(500, "another guard"));
    let written = at_once(&db, all).await;
    let refused: Vec<usize> = (0..102).filter(|n| !written[*n]).collect();
    assert_eq!(refused, [50, 70], "the double key, and the delete that met nothing");
    let mut wanted: Vec<i64> = (0..100).collect();
    wanted.push(500);
    assert_eq!(stored(&db).await, wanted, "nothing of what was refused is there, not even its good half");
}

#[tokio::test]
async fn a_row_goes_with_its_own_guard_only() {
    let directory = tempfile::tempdir().unwrap();
    let db = store(&directory).await;
    let mut crossed = Rows::new();
    for (n, other) in [(1, 2), (2, 1), (3, 4), (4, 3)] {
        db.write_rows(insert(n)).await.unwrap();
        crossed.append(delete(n, &format!("guard {other}")));
    }
    let met = db.write_rows(crossed).await;
    assert!(matches!(met, Err(StoreError::RowCount { found: 0, wanted: 4 })), "{met:?}");
    assert_eq!(stored(&db).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn what_does_not_meet_a_condition_stays_and_is_no_fault() {
    let directory = tempfile::tempdir().unwrap();
    let db = store(&directory).await;
    let mut rows = insert(1);
    rows.push(&INSERT, [2.into(), "free".into(), 2_i64.to_be_bytes().to_vec().into()]);
    db.write_rows(rows).await.unwrap();
    let mut swept = Rows::new();
    [1, 2, 3].into_iter().for_each(|n: i64| swept.push(&SWEEP, [n.into()]));
    db.write_rows(swept).await.unwrap();
    assert_eq!(stored(&db).await, [1]);
}

#[tokio::test]
async fn what_is_there_stays_and_what_meets_a_condition_changes() {
    let directory = tempfile::tempdir().unwrap();
    let db = store(&directory).await;
    db.write_rows(insert(1)).await.unwrap();
    let mut rows = Rows::new();
    for n in [1_i64, 2] {
        rows.push(&KEEP, [n.into(), "another".into(), n.to_be_bytes().to_vec().into()]);
        rows.push(&FREE, [n.into()]);
    }
    db.write_rows(rows).await.unwrap();
    let guards: Vec<(i64, String)> =
        sqlx::query_as("select n, guard from parts order by n").fetch_all(db.reader()).await.unwrap();
    assert_eq!(guards, [(1, "guard 1".to_owned()), (2, "free".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_stops_waiting_is_written_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let db = store(&directory).await;
    let blocked = db.begin().await.unwrap();
    for n in 0..20 {
        let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), db.write_rows(insert(n))).await;
        assert!(given_up.is_err());
    }
    drop(blocked);
    db.write_rows(insert(20)).await.unwrap();
    assert_eq!(stored(&db).await, (0..=20).collect::<Vec<i64>>());
}

static LINE: Statement = Statement {
    order: 1,
    kind: Kind::Append {
        into: "lines (page, n, word)",
        row: "(?, (select coalesce(max(n), 0) + 1 from lines where page = ?), ?)",
    },
};
static STRIKE: Statement =
    Statement { order: 2, kind: Kind::WhereAny { what: "update lines set word = ''", one: "(page = ? and n < ?)" } };

#[tokio::test]
async fn what_depends_on_what_was_there_is_written_one_after_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let db = store(&directory).await;
    sqlx::query("create table lines (page text, n integer, word text, primary key (page, n)) strict")
        .execute(db.writer())
        .await
        .unwrap();
    let mut rows = Rows::new();
    for (page, word) in [("a", "one"), ("b", "un"), ("a", "two"), ("a", "three"), ("c", "eins"), ("b", "deux")] {
        rows.push(&LINE, [page.into(), page.into(), word.into()]);
    }
    // In one go: two that would come to the same number are no fault.
    db.write_rows(rows).await.unwrap();
    let lines = async || -> Vec<(String, i64, String)> {
        sqlx::query_as("select page, n, word from lines order by page, n").fetch_all(db.reader()).await.unwrap()
    };
    let line = |(page, n, word): (&str, i64, &str)| (page.to_owned(), n, word.to_owned());
    let wanted =
        [("a", 1, "one"), ("a", 2, "two"), ("a", 3, "three"), ("b", 1, "un"), ("b", 2, "deux"), ("c", 1, "eins")];
    assert_eq!(lines().await, wanted.map(line));

    let mut struck = Rows::new();
    for (page, below) in [("a", 3), ("b", 1), ("d", 9), ("c", 2)] {
        struck.push(&STRIKE, [page.into(), below.into()]);
    }
    db.write_rows(struck).await.unwrap();
    let wanted = [("a", 1, ""), ("a", 2, ""), ("a", 3, "three"), ("b", 1, "un"), ("b", 2, "deux"), ("c", 1, "")];
    assert_eq!(lines().await, wanted.map(line), "each row by its own condition");
}
