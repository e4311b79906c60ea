//! `deploy/sealpost.toml` is the manual, so it has to be true: it is read here by the program itself.

use std::collections::BTreeSet;
use std::fs;

use super::*;

mod stores;

const MANUAL: &str = include_str!("../../deploy/sealpost.toml");

/// What a line of the manual sets, and how it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    /// `key = value`
    Set,
    /// `#key = value`
    Default,
    /// `#~ key = value`
    Example,
}

fn setting(line: &str) -> Option<(Mark, &str)> {
    let (mark, rest) = match line.strip_prefix("#~ ") {
        Some(rest) => (Mark::Example, rest),
        None => match line.strip_prefix('#') {
            Some(rest) => (Mark::Default, rest),
            None => (Mark::Set, line),
        },
    };
    let (key, _) = rest.split_once(" = ")?;
    key.bytes().all(|b| b.is_ascii_lowercase() || b == b'-').then_some((mark, rest))
}

/// The manual with the marks of these lines taken away.
fn manual_with(marks: &[Mark]) -> String {
    let lines = MANUAL.lines().map(|line| match setting(line) {
        Some((mark, rest)) if marks.contains(&mark) => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// As [`Configuration::load`] reads it, in words.
fn loaded(text: &str) -> Result<String, String> {
    let path = Path::new("/nonexistent/sealpost.toml");
    let mut configuration: Configuration = toml::from_str(text).map_err(|error| {
        let (line, message) = explain(text, &error);
        format!("{line}: {message}")
    })?;
    configuration.path = path.to_owned();
    configuration.resolve_paths();
    configuration.normalise().map_err(|error| error.to_string())?;
    Ok(format!("{configuration:#?}"))
}

#[test]
fn the_manual_can_be_used_as_it_is() {
    loaded(MANUAL).unwrap();
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("sealpost.toml");
    fs::write(&path, MANUAL).unwrap();
    Configuration::load(&path).unwrap();
}

#[test]
fn the_manuals_defaults_are_the_programs() {
    assert!(MANUAL.lines().filter_map(setting).filter(|(mark, _)| *mark == Mark::Default).count() > 10);
    assert_eq!(loaded(&manual_with(&[Mark::Default])), loaded(MANUAL));
    let other = manual_with(&[Mark::Default]).replace("expire-days = 30", "expire-days = 31");
    assert_ne!(loaded(&other), loaded(MANUAL), "the check would not notice");
}

#[test]
fn the_manuals_examples_can_be_used() {
    loaded(&manual_with(&[Mark::Default, Mark::Example])).unwrap();
}

/// What may stand where `text` has the unknown key `nothing`: the parser's own list.
fn known_keys(text: &str) -> BTreeSet<String> {
    let error = toml::from_str::<Configuration>(text).unwrap_err();
    let (found, known) = error.message().split_once(", expected ").unwrap();
    assert_eq!(found, "unknown field `nothing`");
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_manual_names_every_option() {
    let tables: BTreeSet<String> =
        MANUAL.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']')).map(str::to_owned).collect();
    assert_eq!(known_keys(&format!("nothing = 1\n{MANUAL}")), tables);
    for table in tables {
        let header = format!("[{table}]\n");
        let (_, body) = MANUAL.split_once(&header).unwrap();
        let body = body.split_once("\n[").map_or(body, |(body, _)| body);
        let named: Vec<String> =
            body.lines().filter_map(setting).map(|(_, rest)| rest.split_once(" = ").unwrap().0.to_owned()).collect();
        let once: BTreeSet<String> = named.iter().cloned().collect();
        assert_eq!(once.len(), named.len(), "[{table}] names an option twice");
        assert_eq!(known_keys(&MANUAL.replacen(&header, &format!("{header}nothing = 1\n"), 1)), once, "[{table}]");
    }
}

/// Text before an option is its meaning; an option without one says nothing to a reader.
#[test]
fn the_manual_explains_every_option() {
    let mut explained = false;
    for line in MANUAL.lines() {
        if let Some((_, rest)) = setting(line) {
            assert!(explained, "nothing explains: {rest}");
        } else {
            explained = line.starts_with("# ");
        }
    }
}

#[test]
fn wrong_configurations_are_named() {
    for (right, wrong, said) in [
        (
            "next-hop = \"127.0.0.1:10026\"",
            "next-hop = \"127.0.0.1\"",
            "inside.next-hop: \"127.0.0.1\" must be written host:port",
        ),
        ("domains = [\"klinik.example\"]", "domains = []", "inside.domains is empty"),
        ("reply-domain = \"reply.klinik.example\"", "reply-domain = \"Klinik.Example\"", "a domain of its own"),
        ("#master = \"file:", "master = \"file", "keys.master: \"file/etc/sealpost/keys.master\" is none of"),
        ("#expire-days = 30", "expire-days = 0", "expire-days is 0"),
        ("#~ certificate", "certificate", "certificate and smtp.key go together"),
        ("telephone = \"+49 30 5550100\"", "telephone = \"\"", "organisation.telephone is empty"),
        ("portal = \"https://post.klinik.example\"", "portal = \"post.klinik.example\"", "organisation.portal must be"),
        ("#~ users", "users", "smtp.users needs smtp.certificate"),
        ("#~ tls-listen", "tls-listen", "smtp.tls-listen needs smtp.certificate"),
        ("#client-fingerprints = []", "client-fingerprints = [\"ab\"]", "smtp.client-fingerprints needs"),
        ("#max-header = 262144", "max-header = 262145", "smtp.max-header must be 1 to 262144"),
        ("#max-recipients = 1000", "max-recipients = 0", "smtp.max-recipients must be 1 to"),
        ("#max-connections = 500", "max-connections = 0", "smtp.max-connections is 0"),
        ("#~ keys = [{ domain = \"klinik", "keys = [{ domain = \"klinic", "a key of klinic.example would sign nothing"),
        ("#~ keys = [{ domain = \"klinik.example", "keys = [{ domain = \"..", "dkim.keys: \"..\" is no domain"),
        (
            "#~ keys = [{ domain = \"klinik.example",
            "keys = [{ domain = \"reply.klinik.example",
            "dkim.keys: no key signs for klinik.example, which mail.from names",
        ),
        ("#passing = \"unsigned\"", "passing = \"sign\"", "unknown variant `sign`"),
        (
            "#passing = \"unsigned\"",
            "keys = [{ domain = \"example\", selector = \"a\", file = \"x\" }, { domain = \"Example\", selector = \"A\", file = \"y\" }]",
            "dkim.keys: a of example stands there twice",
        ),
        ("#max-size", "max-sise", "unknown key `max-sise`, did you mean `max-size`?"),
    ] {
        assert!(MANUAL.contains(right), "{right}");
        let error = loaded(&MANUAL.replacen(right, wrong, 1)).unwrap_err();
        assert!(error.contains(said), "{wrong}: {error}");
    }
}
