//! Every sentence that a person reads in a mail or on a page: one Fluent file per language in `locales/`.
//!
//! Keys begin with the place they stand in: `mail-` (mails that we write), `page-` (pages of the portal), `js-` (what the
//! browser code says; handed to it as JSON by [`Texts::browser`]). A test holds that all languages have the same keys and
//! the same variables.
//!
//! Security: texts are plain; templates escape what is put into them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::LazyLock;

use fluent_templates::{LanguageIdentifier, Loader, fluent_bundle::FluentValue};
use serde::{Deserialize, Serialize};

mod organisation;

pub use organisation::Organisation;

mod loader {
    fluent_templates::static_loader! {
        pub static LOCALES = {
            locales: "./locales",
            fallback_language: "en",
            customise: |bundle| bundle.set_use_isolating(false),
        };
    }
}

/// A language that we have texts in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    #[default]
    En,
    De,
}

impl Language {
    pub const ALL: [Self; 2] = [Self::En, Self::De];

    /// Its code, as in `<html lang>`.
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }

    /// From a language tag such as `de-AT`; `None` where we have no such language.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| primary.eq_ignore_ascii_case(language.code()))
    }

    /// The first language of an Accept-Language header that we have (RFC 9110 12.5.4; browsers list by preference).
    pub fn accepted(header: &str) -> Option<Self> {
        header.split(',').filter_map(|item| item.split(';').next()).find_map(Self::from_tag)
    }

    fn source(self) -> &'static str {
        match self {
            Self::En => include_str!("../locales/en/texts.ftl"),
            Self::De => include_str!("../locales/de/texts.ftl"),
        }
    }
}

/// What each text names; the same in all languages.
static VARIABLES: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| keys(Language::En.source()).collect());

/// The texts of one language, as templates take them.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    language: Language,
    identifier: LanguageIdentifier,
}

impl Texts {
    pub fn new(language: Language) -> Self {
        Self { language, identifier: language.code().parse().unwrap_or_default() }
    }

    pub fn language(&self) -> Language {
        self.language
    }

    /// The code for `<html lang>`.
    pub fn code(&self) -> &'static str {
        self.language.code()
    }

    /// A text without variables. A key that doesn't exist shows as itself, and the test of all keys fails.
    pub fn get(&self, key: &str) -> String {
        loader::LOCALES.try_lookup(&self.identifier, key).unwrap_or_else(|| format!("[{key}]"))
    }

    /// A text with variables: name and value in turn. There may be more than it names.
    pub fn with(&self, key: &str, variables: &[(&'static str, &str)]) -> String {
        let Some(named) = VARIABLES.get(key).filter(|named| !named.is_empty()) else { return self.get(key) };
        let arguments: HashMap<Cow<'static, str>, FluentValue<'_>> = variables
            .iter()
            .filter(|(name, _)| named.contains(name))
            .map(|(name, value)| (Cow::Borrowed(*name), FluentValue::from(*value)))
            .collect();
        loader::LOCALES.try_lookup_with_args(&self.identifier, key, &arguments).unwrap_or_else(|| format!("[{key}]"))
    }

    /// The browser's texts: every key that begins with `js-`, with variables as `{name}`.
    pub fn browser(&self) -> BTreeMap<String, String> {
        keys(self.language.source())
            .filter(|(key, _)| key.starts_with("js-"))
            .map(|(key, variables)| {
                let placeholders: Vec<String> = variables.iter().map(|name| format!("{{{name}}}")).collect();
                let arguments: HashMap<Cow<'static, str>, FluentValue<'_>> = variables
                    .iter()
                    .zip(&placeholders)
                    .map(|(name, placeholder)| {
                        (Cow::Owned((*name).to_owned()), FluentValue::from(placeholder.as_str()))
                    })
                    .collect();
                let text = loader::LOCALES.try_lookup_with_args(&self.identifier, key, &arguments).unwrap_or_default();
                (key.to_owned(), text)
            })
            .collect()
    }

    /// A date as people write it, such as `24 December 2026`; UTC.
    pub fn date(&self, seconds: i64) -> String {
        let Ok(moment) = time::OffsetDateTime::from_unix_timestamp(seconds) else { return String::new() };
        let month = self.get(&format!("date-month-{}", u8::from(moment.month())));
        self.with(
            "date-format",
            &[("day", &moment.day().to_string()), ("month", &month), ("year", &moment.year().to_string())],
        )
    }
}

/// Keys of a Fluent file, each with the variables that its pattern names.
fn keys(source: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    let mut entries: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in source.lines() {
        let starts_entry = line.starts_with(|c: char| c.is_ascii_alphabetic());
        if starts_entry && let Some((key, _)) = line.split_once('=') {
            entries.push((key.trim(), Vec::new()));
        }
        if let Some((_, variables)) = entries.last_mut() {
            for piece in line.split("{ $").skip(1) {
                let name = piece.split([' ', '}']).next().unwrap_or_default();
                if !variables.contains(&name) {
                    variables.push(name);
                }
            }
        }
    }
    entries.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_languages_have_the_same_keys_and_variables() {
        let of = |language: Language| -> BTreeMap<&str, Vec<&str>> {
            keys(language.source())
                .map(|(key, mut variables)| {
                    variables.sort_unstable();
                    (key, variables)
                })
                .collect()
        };
        let english = of(Language::En);
        assert!(!english.is_empty());
        for language in Language::ALL {
            assert_eq!(of(language), english, "{language:?}");
        }
    }

    #[test]
    fn variables_are_named_in_one_way_and_by_the_text_itself() {
        for language in Language::ALL {
            let source = language.source();
            assert_eq!(source.matches('$').count(), source.matches("{ $").count(), "{language:?}");
            let refers = |piece: &str| piece.trim_start().starts_with(|c: char| c == '-' || c.is_ascii_alphabetic());
            let lines = source.lines().filter(|line| !line.starts_with('#'));
            for line in lines {
                assert!(!line.split('{').skip(1).any(refers), "{line}");
            }
        }
    }

    #[test]
    fn every_text_can_be_written() {
        for language in Language::ALL {
            let texts = Texts::new(language);
            for (key, variables) in keys(language.source()) {
                let arguments: Vec<(&'static str, &str)> = variables.iter().map(|name| (*name, "v")).collect();
                let text = texts.with(key, &arguments);
                assert!(!text.is_empty() && !text.starts_with('['), "{language:?} {key}: {text}");
                assert!(!text.contains("{ $") && !text.contains("{$"), "{language:?} {key}: {text}");
            }
        }
    }

    #[test]
    fn language_negotiation() {
        assert_eq!(Language::accepted("fr-CH, de-AT;q=0.9, en;q=0.8"), Some(Language::De));
        assert_eq!(Language::accepted("fr"), None);
    }
}
