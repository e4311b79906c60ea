//! What ARCHITECTURE.md promises about the source itself: who may depend on whom, twin migrations, no unescaped output.
//!
//! Each check is a function over text or over cargo's own data, and is shown to find what it is there to find.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that can't go on stops"
)]

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

// ---- who may depend on whom

fn metadata() -> Metadata {
    // What only other platforms need isn't there after a build: it is fetched once.
    let options = ["--locked".to_owned()];
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).other_options(options).exec().unwrap()
}

/// Names of everything that ends up in a package's code, itself included: normal dependencies, on every platform.
fn tree(metadata: &Metadata, package: &str) -> BTreeSet<String> {
    let names: HashMap<&PackageId, &str> =
        metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
    let nodes: HashMap<&PackageId, _> =
        metadata.resolve.as_ref().unwrap().nodes.iter().map(|node| (&node.id, node)).collect();
    let start = metadata.workspace_members.iter().find(|id| names[id] == package);
    let mut waiting = vec![start.unwrap_or_else(|| panic!("{package} isn't in the workspace"))];
    let mut seen: BTreeSet<&PackageId> = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        let normal = nodes[id]
            .deps
            .iter()
            .filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
        waiting.extend(normal.map(|dependency| &dependency.pkg));
    }
    seen.into_iter().map(|id| names[id].to_owned()).collect()
}

#[track_caller]
fn assert_without(tree: &BTreeSet<String>, forbidden: &[&str]) {
    let found: Vec<&&str> = forbidden.iter().filter(|name| tree.contains(**name)).collect();
    assert!(found.is_empty(), "depends on {found:?}");
}

#[test]
fn dependency_trees_are_transitive() {
    let gateway = tree(&metadata(), "sealpost-gateway");
    assert!(gateway.contains("sequoia-openpgp"), "the check would not notice");
    assert!(gateway.contains("libsqlite3-sys"), "the check would not look through sqlx");
    assert!(!gateway.contains("tempfile"), "a dev-dependency isn't in the code");
}

#[test]
fn gateway_and_portal_do_not_know_each_other() {
    let metadata = metadata();
    assert_without(&tree(&metadata, "sealpost-gateway"), &["sealpost-portal", "sealpost"]);
    assert_without(&tree(&metadata, "sealpost-portal"), &["sealpost-gateway", "sealpost"]);
}

#[test]
fn vault_and_texts_know_neither_side() {
    let metadata = metadata();
    for package in ["sealpost-vault", "sealpost-texts"] {
        assert_without(&tree(&metadata, package), &["sealpost-gateway", "sealpost-portal", "sealpost"]);
    }
}

/// The portal can't hold content, and neither can what it shares with the gateway.
#[test]
fn portal_has_no_openpgp_and_no_opaque() {
    let metadata = metadata();
    let openers = ["sequoia-openpgp", "pgp", "opaque-ke", "openssl", "mail-parser", "mail-builder", "lettre"];
    for package in ["sealpost-portal", "sealpost-vault", "sealpost-texts"] {
        assert_without(&tree(&metadata, package), &openers);
    }
}

// ---- files

/// All files below these directories with one of these endings, as paths from the root.
fn files(directories: &[&str], endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = directories.iter().map(|directory| root().join(directory)).collect();
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["node_modules", "dist", "target"].contains(&name.as_str()) {
                    waiting.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

const CRATES: [&str; 5] = ["src", "vault", "gateway", "portal", "texts"];

fn sources() -> Vec<PathBuf> {
    let found = files(&CRATES, &[".rs"]);
    assert!(found.len() > 20, "the sources aren't where they are looked for");
    found
}

#[track_caller]
fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let silent = sources().into_iter().filter(|path| !read(path).starts_with("//! "));
    assert_none(&silent.map(|path| format!("{} doesn't begin with //!", path.display())).collect::<Vec<_>>());
}

#[test]
fn no_file_is_longer_than_600_lines() {
    let is_test = |path: &Path| path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
    let lengths = sources().into_iter().filter(|path| !is_test(path)).map(|path| (read(&path).lines().count(), path));
    let long = lengths.filter(|(lines, _)| *lines > 600);
    assert_none(&long.map(|(lines, path)| format!("{} has {lines} lines", path.display())).collect::<Vec<_>>());
}

#[test]
fn modules_are_nouns_of_the_field() {
    let vague = ["util", "utils", "helper", "helpers", "common", "misc", "manager"];
    let named = sources().into_iter().filter(|path| {
        path.components().any(|part| vague.contains(&part.as_os_str().to_string_lossy().trim_end_matches(".rs")))
    });
    assert_none(&named.map(|path| path.display().to_string()).collect::<Vec<_>>());
}

// ---- twin migrations

/// A line of a SQLite migration in PostgreSQL's words; comments stay as they are.
fn as_postgres(line: &str) -> String {
    let (sql, comment) = line.split_at(line.find("--").unwrap_or(line.len()));
    let sql = if sql == ") strict;" { ");" } else { sql };
    // A number that the database gives.
    let sql =
        &sql.replace("position integer primary key", "position bigint generated by default as identity primary key");
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut words = String::new();
    for piece in sql.split_inclusive(|character| !is_word(character)) {
        let (word, after) = piece.split_at(piece.find(|character| !is_word(character)).unwrap_or(piece.len()));
        words.push_str(match word {
            "integer" => "bigint",
            "blob" => "bytea",
            other => other,
        });
        words.push_str(after);
    }
    words + comment
}

#[test]
fn migrations_are_twins() {
    let below = |engine: &str| -> Vec<PathBuf> {
        let directory = format!("migrations/{engine}");
        files(&[&directory], &[""]).iter().map(|path| path.strip_prefix(&directory).unwrap().to_owned()).collect()
    };
    let names = below("sqlite");
    assert!(names.len() >= 2);
    assert_eq!(names, below("postgres"));
    for name in names {
        let sqlite = read(&Path::new("migrations/sqlite").join(&name));
        let postgres = read(&Path::new("migrations/postgres").join(&name));
        let twins = sqlite.lines().map(as_postgres).zip(postgres.lines()).enumerate();
        for (n, (mapped, twin)) in twins {
            assert_eq!(mapped, twin, "{}, line {}", name.display(), n + 1);
        }
        assert_eq!(sqlite.lines().count(), postgres.lines().count(), "{}", name.display());
        let tables = |text: &str, word: &str| text.matches(word).count();
        let strict = tables(&sqlite, ") strict;");
        assert_eq!(tables(&sqlite, "create table"), strict, "{}: every SQLite table is strict", name.display());
    }
}

#[test]
fn as_postgres_maps_whole_words_outside_comments() {
    for (sqlite, postgres) in [
        ("    blob_key text,", "    blob_key text,"),
        ("    n integer not null, b blob", "    n bigint not null, b bytea"),
        ("    n integer, -- in the blob store", "    n bigint, -- in the blob store"),
        (") strict;", ");"),
    ] {
        assert_eq!(as_postgres(sqlite), postgres);
    }
}

// ---- templates

/// Templates that may print something without escaping it, each with a reason. None needs to.
const UNESCAPED: [&str; 0] = [];

/// Ways to print a value as it is in an askama template or in the attribute that names one.
fn unescaped(text: &str) -> bool {
    let packed: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    ["|safe", "{%filtersafe", "autoescapefalse", "escape=\"none\"", "|escape(\"none\")", "|e(\"none\")"]
        .iter()
        .any(|way| packed.contains(way))
}

#[test]
fn no_template_prints_unescaped() {
    let templates = files(&["templates"], &[".html", ".txt", ".xml", ".subject"]);
    assert!(templates.len() > 10, "the templates aren't where they are looked for");
    // In Rust, `|x| safe(x)` is a closure; there, only the attribute that names a template can switch escaping off.
    let sources = sources().into_iter().filter(|path| read(path).replace(' ', "").contains("escape=\"none\""));
    let open = templates.into_iter().filter(|path| unescaped(&read(path))).chain(sources);
    let open = open.filter(|path| !UNESCAPED.contains(&path.to_string_lossy().as_ref()));
    assert_none(&open.map(|path| path.display().to_string()).collect::<Vec<_>>());
}

#[test]
fn unescaped_finds_every_spelling() {
    for text in ["{{ body | safe }}", "{{ body|safe }}", "{% filter safe %}", "#[template(escape = \"none\")]"] {
        assert!(unescaped(text), "{text}");
    }
    assert!(!unescaped("{{ body }} is safe | sound"));
}

// ---- comments that name a standard

/// Mentions of a standard in comments that a reader couldn't search for: `RFC 5321 4.1.1.4` is how we write them.
fn malformed_standards(source: &str) -> Vec<String> {
    let comments = source.lines().filter_map(|line| line.split_once("//").map(|(_, comment)| comment));
    comments.filter(|comment| !well_formed(comment)).map(str::to_owned).collect()
}

fn well_formed(comment: &str) -> bool {
    comment.match_indices("RFC").all(|(at, _)| {
        let rest = &comment[at + 3..];
        if rest.starts_with('s') {
            return true; // the plural, in prose
        }
        let Some(rest) = rest.strip_prefix(' ') else { return false };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        (3..=5).contains(&digits) && !rest[digits..].starts_with(|next: char| next.is_alphanumeric())
    })
}

#[test]
fn standards_are_named_so_that_they_can_be_found() {
    let found = sources().into_iter().flat_map(|path| {
        malformed_standards(&read(&path)).into_iter().map(move |comment| format!("{}: {comment}", path.display()))
    });
    assert_none(&found.collect::<Vec<_>>());
}

#[test]
fn malformed_standards_are_found() {
    for bad in [
        "// RFC5321",
        "//! see RFC-5321",
        "let a = 1; // RFC 53",
        "// RFC 532100",
        "// RFC section 4",
        "// RFC 5321bis",
    ] {
        assert_eq!(malformed_standards(bad).len(), 1, "{bad}");
    }
    for good in ["// RFC 5321 4.1.1.4", "//! Standards: RFC 5321, RFC 822.", "// the RFCs", "let RFC5321 = 1;"] {
        assert!(malformed_standards(good).is_empty(), "{good}");
    }
}

// ---- documents: what they name is there

/// Names of tests: functions with a test attribute, and titles of the browser code's tests.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in files(&["src", "vault", "gateway", "portal", "texts", "tests"], &[".rs"]) {
        let source = read(&path);
        let mut is_test = false;
        for line in source.lines().map(str::trim) {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let function = line.trim_start_matches("pub ").trim_start_matches("async ");
            if let Some((name, _)) = function.strip_prefix("fn ").and_then(|rest| rest.split_once('(')) {
                if is_test {
                    names.insert(name.to_owned());
                }
                is_test = false;
            }
        }
    }
    // Scenarios of the road: each runs on both databases because `road.rs` lists it.
    let list = read(Path::new("gateway/tests/road.rs"));
    for path in files(&["gateway/tests/road"], &[".rs"]) {
        let source = read(&path);
        let scenarios =
            source.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split_once("(road: Road)"));
        names.extend(
            scenarios
                .map(|(name, _)| name.to_owned())
                .filter(|name| list.lines().any(|line| line.trim().trim_end_matches([',', ';']) == name)),
        );
    }
    // The same on a bench: listed in the file that they stand in.
    for path in ["gateway/src/audit/tests.rs", "gateway/src/queue/tests.rs", "gateway/tests/certificates.rs"] {
        let source = read(Path::new(path));
        let scenarios = source.lines().filter_map(|line| line.strip_prefix("async fn ")?.split_once('('));
        names.extend(
            scenarios
                .map(|(name, _)| name.to_owned())
                .filter(|name| source.lines().any(|line| line.trim().trim_end_matches(',') == name)),
        );
    }
    for path in files(&["portal/web/test"], &[".mjs"]) {
        let source = read(&path);
        let titles = source.lines().filter_map(|line| line.strip_prefix("test('")?.split_once("',"));
        names.extend(titles.map(|(title, _)| title.to_owned()));
    }
    names
}

/// What a document names as `test:name`, in backticks.
fn named_tests(document: &str) -> Vec<&str> {
    document.split("`test:").skip(1).filter_map(|rest| rest.split_once('`')).map(|(name, _)| name).collect()
}

/// Rows of a document's tables whose last cell names neither a test nor says that there is none.
fn unheld_rows(document: &str) -> Vec<&str> {
    // A table's first row is its heading: dashes follow it.
    let below = document.lines().skip(1).chain([""]);
    let rows = document.lines().zip(below).filter(|(row, below)| row.starts_with("| ") && !below.starts_with("|--"));
    let rows = rows.map(|(row, _)| row);
    let last = |row: &str| row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default().to_lowercase();
    rows.filter(|row| !last(row).contains("`test:") && !last(row).contains("no test")).collect()
}

fn documents() -> Vec<PathBuf> {
    let top = fs::read_dir(root()).unwrap().map(|entry| PathBuf::from(entry.unwrap().file_name()));
    let top = top.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut found: Vec<PathBuf> = top.chain(files(&["deploy", "docs"], &[".md"])).collect();
    found.sort();
    assert!(found.contains(&PathBuf::from("THREAT-MODEL.md")) && found.len() > 5, "{found:?}");
    found
}

#[test]
fn documents_name_tests_that_exist() {
    let tests = tests();
    assert!(tests.len() > 100, "the tests aren't where they are looked for");
    let missing = documents().into_iter().flat_map(|path| {
        let document = read(&path);
        let missing = named_tests(&document).into_iter().filter(|name| !tests.contains(*name));
        missing.map(|name| format!("{}: no test is named {name}", path.display())).collect::<Vec<_>>()
    });
    assert_none(&missing.collect::<Vec<_>>());
}

#[test]
fn the_threat_model_names_a_test_in_each_row() {
    let document = read(Path::new("THREAT-MODEL.md"));
    assert!(named_tests(&document).len() > 30);
    assert_none(&unheld_rows(&document).into_iter().map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn checks_of_documents_find_what_is_missing() {
    let tests = tests();
    for (name, expect) in [
        ("documents_name_tests_that_exist", true),
        ("kill_nine_loses_nothing", true),
        ("a wrong half opens nothing", true),
        ("named_tests", false),
        ("unwritten", false),
    ] {
        assert_eq!(tests.contains(name), expect, "{name}");
    }
    assert_eq!(named_tests("`test:a`, test:b, `test:c d`."), ["a", "c d"]);
    let table =
        "| who | gets | not |\n|---|---|---|\n| a | `test:x` | all |\n| b | x | y: `test:x` |\n| c | x | No test |\n";
    assert_eq!(unheld_rows(table), ["| a | `test:x` | all |"]);
    assert_eq!(links("[a](b.md) ![c](d/e.png#f) [g](https://h.example) [i](#j)"), ["b.md", "d/e.png"]);
}

/// Where a document's links lead, as far as that is in this tree.
fn links(document: &str) -> Vec<&str> {
    let targets = document.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let targets = targets.map(|target| target.split_once('#').map_or(target, |(path, _)| path));
    targets.filter(|target| !target.is_empty() && !target.contains(':')).collect()
}

#[test]
fn documents_link_to_what_is_there() {
    let dead = documents().into_iter().flat_map(|path| {
        let document = read(&path);
        let directory = root().join(&path).parent().unwrap().to_owned();
        let dead = links(&document).into_iter().filter(|target| !directory.join(target).exists());
        dead.map(|target| format!("{}: {target} isn't there", path.display())).collect::<Vec<_>>()
    });
    assert_none(&dead.collect::<Vec<_>>());
}

/// Code and status, and text, of every refusal, as the table in `gateway/src/rejection.rs` has them.
fn refusals(source: &str) -> Vec<(String, String)> {
    let rows = source.lines().filter_map(|line| line.trim().strip_suffix(';')?.split_once(" = "));
    let fields = rows.map(|(_, fields)| fields.splitn(3, ' ').map(|field| field.trim_matches('"')));
    fields
        .filter_map(|mut fields| Some((fields.next()?, fields.next()?, fields.next()?)))
        .filter(|(code, _, _)| code.parse::<u16>().is_ok())
        .map(|(code, status, text)| (format!("{code} {status}"), text.to_owned()))
        .collect()
}

/// An administrator looks a refusal up by what the log of the server in front shows.
#[test]
fn the_administrators_table_has_every_refusal() {
    let (source, manual) = (read(Path::new("gateway/src/rejection.rs")), read(Path::new("deploy/ADMIN.md")));
    let refusals = refusals(&source);
    assert!(refusals.len() > 25, "{refusals:?}");
    let missing = refusals.iter().filter(|(code, text)| !manual.contains(&format!("\n| {code} | {text} | ")));
    assert_none(&missing.map(|(code, text)| format!("| {code} | {text} |")).collect::<Vec<_>>());
}
