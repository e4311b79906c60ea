//! How an organisation shows itself in mails and on pages: from the configuration, the same for both doors.

use serde::Deserialize;

use crate::Language;

/// Name, telephone, look.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organisation {
    /// As people know it: `Klinikum Musterstadt`.
    pub name: String,
    /// Where a reader can ask whether a notification is genuine.
    pub telephone: String,
    /// Its public web site, named in notifications as a second way to check.
    #[serde(default)]
    pub website: String,
    /// Where readers open letters: scheme, host and port without a path, such as `https://letters.klinik.example`.
    pub portal: String,
    /// Accent colour of pages and mails, `#rrggbb`.
    #[serde(default = "Organisation::default_colour")]
    pub colour: String,
    /// Path of a PNG or SVG shown above each page. Empty: the name alone.
    #[serde(default)]
    pub logo: String,
    /// The language of mails to readers whose own language isn't known.
    #[serde(default)]
    pub language: Language,
}

impl Organisation {
    fn default_colour() -> String {
        "#1d5f8a".to_owned()
    }

    /// What is wrong with it, in words for the administrator.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.name.trim().is_empty() {
            problems.push("organisation.name is empty".to_owned());
        }
        if self.telephone.trim().is_empty() {
            problems.push(
                "organisation.telephone is empty: readers need a number to ask whether a mail is genuine".to_owned(),
            );
        }
        let scheme_fits = self.portal.starts_with("https://") || self.portal.starts_with("http://");
        if !scheme_fits || self.portal.ends_with('/') || self.portal.contains(['#', '?', ' ']) {
            problems.push(
                "organisation.portal must be scheme, host and port only, such as https://letters.klinik.example"
                    .to_owned(),
            );
        }
        let digits = self.colour.strip_prefix('#').unwrap_or_default();
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            problems.push("organisation.colour must be written #rrggbb".to_owned());
        }
        problems
    }
}
