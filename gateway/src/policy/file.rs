//! The policy file: TOML, checked as a whole before anything starts. Errors name the line, the key and the nearest known key.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::condition::Conditions;
use super::pattern::Pattern;
use super::{Action, Policy, Rule, names};
use crate::message::{Protect, Sensitivity, Tag};

const ROOT: &[&str] = &["rule", "default"];
const RULE: &[&str] = &["name", "when", "then"];
const DEFAULT: &[&str] = &["then"];
const WHEN: &[&str] = &["subject-tag", "sensitivity", "protect", "from", "to"];
const ACTIONS: &[(&str, Action)] = &[
    ("relay", Action::Relay),
    ("openpgp", Action::OpenPgp),
    ("best", Action::Best),
    ("hold", Action::Hold),
    ("refuse", Action::Refuse),
];

/// What is wrong with a policy file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyError {
    #[error("line {line}: not TOML: {problem}")]
    Syntax { line: usize, problem: String },
    #[error("line {line}: unknown key `{key}`{}", hint(nearest))]
    UnknownKey { line: usize, key: String, nearest: Option<&'static str> },
    #[error("line {line}: `{key}` must be {expected}")]
    Type { line: usize, key: &'static str, expected: &'static str },
    #[error("line {line}: `{key}` can't be \"{value}\"{}", hint(nearest))]
    Value { line: usize, key: &'static str, value: String, nearest: Option<&'static str> },
    #[error("line {line}: \"{value}\" in `{key}` is no pattern: write user@x.example, @x.example, *.x.example or *")]
    Pattern { line: usize, key: &'static str, value: String },
    #[error("line {line}: `{key}` is empty and could never match: leave it out or name something")]
    Empty { line: usize, key: &'static str },
    #[error("line {line}: `{key}` is missing")]
    Missing { line: usize, key: &'static str },
    #[error("line {line}: a second rule named \"{name}\"; the first is in line {first}")]
    Duplicate { line: usize, name: String, first: usize },
    #[error("line {line}: the name \"{name}\" is taken: judgements without a rule carry it")]
    Reserved { line: usize, name: String },
    #[error("line {line}: rule \"{name}\" is never reached: rule \"{before}\" in line {first} matches every message")]
    Unreachable { line: usize, name: String, before: String, first: usize },
    #[error("line {line}: rule \"{name}\" would relay what asks for OpenPGP: that never leaves in the clear")]
    NeverPlain { line: usize, name: String },
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map(|nearest| format!(", did you mean `{nearest}`?")).unwrap_or_default()
}

/// A table of the file, and where in the text it stands.
struct Reader<'t> {
    text: &'t str,
}

type Table<'i> = DeTable<'i>;
type Value<'i> = Spanned<DeValue<'i>>;

/// Reads and checks the whole file.
pub(super) fn read(text: &str) -> Result<Policy, PolicyError> {
    let reader = Reader { text };
    let root = DeTable::parse(text).map_err(|error| PolicyError::Syntax {
        line: error.span().map_or(1, |span| reader.line(&span)),
        problem: error.message().to_owned(),
    })?;
    let end = text.lines().count().max(1);
    let root = root.get_ref();
    reader.known_keys(root, ROOT)?;
    let mut rules: Vec<(Rule, usize)> = Vec::new();
    for entry in get(root, "rule")
        .map(|value| reader.array(value, "rule", "written as [[rule]]"))
        .transpose()?
        .into_iter()
        .flatten()
    {
        let line = reader.line(&entry.span());
        let rule = reader.rule(reader.table(entry, "rule", "written as [[rule]]")?, line)?;
        check_order(&rules, &rule, line)?;
        rules.push((rule, line));
    }
    let default = get(root, "default").ok_or(PolicyError::Missing { line: end, key: "[default]" })?;
    let table = reader.table(default, "default", "a table: [default]")?;
    reader.known_keys(table, DEFAULT)?;
    let default = reader.action(table, reader.line(&default.span()))?;
    Ok(Policy { rules: rules.into_iter().map(|(rule, _)| rule).collect(), default })
}

fn check_order(rules: &[(Rule, usize)], rule: &Rule, line: usize) -> Result<(), PolicyError> {
    let name = || rule.name.clone();
    let taken = [names::DEFAULT, names::MARKED, names::NO_OPENPGP, names::ALREADY_ENCRYPTED, names::INSIDE];
    if taken.contains(&rule.name.as_str()) {
        return Err(PolicyError::Reserved { line, name: name() });
    }
    if let Some((_, first)) = rules.iter().find(|(other, _)| other.name == rule.name) {
        return Err(PolicyError::Duplicate { line, name: name(), first: *first });
    }
    // A rule for OpenPGP is reached all the same: rules that don't name it are passed over.
    if let Some((before, first)) = rules.iter().find(|(other, _)| other.when.are_always_met())
        && !rule.when.names_openpgp()
    {
        return Err(PolicyError::Unreachable { line, name: name(), before: before.name.clone(), first: *first });
    }
    if rule.then == Action::Relay && rule.when.names_openpgp() {
        return Err(PolicyError::NeverPlain { line, name: name() });
    }
    Ok(())
}

fn get<'a, 'i>(table: &'a Table<'i>, key: &str) -> Option<&'a Value<'i>> {
    table.iter().find(|(found, _)| found.get_ref() == key).map(|(_, value)| value)
}

/// The known word that a mistyped one is closest to, if it is close.
fn nearest(word: &str, known: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let word = word.to_lowercase();
    let close = known.into_iter().map(|known| (strsim::damerau_levenshtein(&word, known), known));
    close.min().filter(|(distance, known)| *distance <= (known.len() / 2).max(1)).map(|(_, known)| known)
}

impl Reader<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        memchr::memchr_iter(b'\n', before).count().saturating_add(1)
    }

    fn known_keys(&self, table: &Table<'_>, known: &[&'static str]) -> Result<(), PolicyError> {
        let unknown = table.iter().map(|(key, _)| key).find(|key| !known.contains(&key.get_ref().as_ref()));
        unknown.map_or(Ok(()), |key| {
            let nearest = nearest(key.get_ref(), known.iter().copied());
            Err(PolicyError::UnknownKey { line: self.line(&key.span()), key: key.get_ref().to_string(), nearest })
        })
    }

    fn table<'a, 'i>(
        &self,
        value: &'a Value<'i>,
        key: &'static str,
        expected: &'static str,
    ) -> Result<&'a Table<'i>, PolicyError> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(PolicyError::Type { line: self.line(&value.span()), key, expected }),
        }
    }

    fn array<'a, 'i>(
        &self,
        value: &'a Value<'i>,
        key: &'static str,
        expected: &'static str,
    ) -> Result<&'a DeArray<'i>, PolicyError> {
        match value.get_ref() {
            DeValue::Array(array) => Ok(array),
            _ => Err(PolicyError::Type { line: self.line(&value.span()), key, expected }),
        }
    }

    fn text<'a>(
        &self,
        value: &'a Value<'_>,
        key: &'static str,
        expected: &'static str,
    ) -> Result<&'a str, PolicyError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(PolicyError::Type { line: self.line(&value.span()), key, expected }),
        }
    }

    fn rule(&self, table: &Table<'_>, line: usize) -> Result<Rule, PolicyError> {
        self.known_keys(table, RULE)?;
        let name = get(table, "name").ok_or(PolicyError::Missing { line, key: "name" })?;
        let text = self.text(name, "name", "a text")?.trim();
        if text.is_empty() {
            return Err(PolicyError::Empty { line: self.line(&name.span()), key: "name" });
        }
        let when = match get(table, "when") {
            Some(value) => self.conditions(self.table(value, "when", "a table, such as { subject-tag = true }")?)?,
            None => Conditions::default(),
        };
        Ok(Rule { name: text.to_owned(), when, then: self.action(table, line)? })
    }

    fn action(&self, table: &Table<'_>, line: usize) -> Result<Action, PolicyError> {
        let value = get(table, "then").ok_or(PolicyError::Missing { line, key: "then" })?;
        let text = self.text(value, "then", "\"relay\", \"openpgp\", \"best\", \"hold\" or \"refuse\"")?;
        self.one_of(value, "then", text, ACTIONS)
    }

    fn conditions(&self, table: &Table<'_>) -> Result<Conditions, PolicyError> {
        self.known_keys(table, WHEN)?;
        let tags = Tag::ALL.map(|tag| (tag.written().trim_matches(['[', ']']), tag));
        let sensitivities = Sensitivity::ALL.map(|sensitivity| (sensitivity.written(), sensitivity));
        let protects = Protect::ALL.map(|protect| (protect.written(), protect));
        Ok(Conditions {
            tags: match get(table, "subject-tag") {
                Some(value) if matches!(value.get_ref(), DeValue::Boolean(true)) => Some(Tag::ALL.to_vec()),
                Some(value) => Some(self.words(value, "subject-tag", "true or a list of tags", &tags)?),
                None => None,
            },
            sensitivity: get(table, "sensitivity")
                .map(|value| self.words(value, "sensitivity", "a list of Sensitivity values", &sensitivities))
                .transpose()?,
            protect: get(table, "protect")
                .map(|value| self.words(value, "protect", "a list of X-Sealpost-Protect values", &protects))
                .transpose()?,
            from: get(table, "from").map(|value| self.patterns(value, "from")).transpose()?,
            to: get(table, "to").map(|value| self.patterns(value, "to")).transpose()?,
        })
    }

    fn words<T: Copy>(
        &self,
        value: &Value<'_>,
        key: &'static str,
        expected: &'static str,
        known: &[(&'static str, T)],
    ) -> Result<Vec<T>, PolicyError> {
        let list = self.list(value, key, expected)?;
        list.iter()
            .map(|entry| {
                let text = self.text(entry, key, expected)?;
                self.one_of(entry, key, text, known)
            })
            .collect()
    }

    fn patterns(&self, value: &Value<'_>, key: &'static str) -> Result<Vec<Pattern>, PolicyError> {
        let expected = "a list of address patterns";
        let list = self.list(value, key, expected)?;
        list.iter()
            .map(|entry| {
                let text = self.text(entry, key, expected)?;
                let line = self.line(&entry.span());
                text.trim().parse().map_err(|_| PolicyError::Pattern { line, key, value: text.to_owned() })
            })
            .collect()
    }

    fn list<'a, 'i>(
        &self,
        value: &'a Value<'i>,
        key: &'static str,
        expected: &'static str,
    ) -> Result<&'a DeArray<'i>, PolicyError> {
        let list = self.array(value, key, expected)?;
        if list.is_empty() { Err(PolicyError::Empty { line: self.line(&value.span()), key }) } else { Ok(list) }
    }

    /// A known word, in any case; brackets around a tag are allowed.
    fn one_of<T: Copy>(
        &self,
        at: &Value<'_>,
        key: &'static str,
        text: &str,
        known: &[(&'static str, T)],
    ) -> Result<T, PolicyError> {
        let word = text.trim().trim_matches(['[', ']']);
        let found = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, value)| *value);
        found.ok_or_else(|| PolicyError::Value {
            line: self.line(&at.span()),
            key,
            value: text.to_owned(),
            nearest: nearest(word, known.iter().map(|(name, _)| *name)),
        })
    }
}
