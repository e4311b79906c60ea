//! The conditions of a rule: all that are given must hold.

use sealpost_vault::EmailAddress;

use super::pattern::Pattern;
use crate::ReversePath;
use crate::message::{Facts, Protect, Sensitivity, Tag};

/// What a rule asks for; `None` asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    pub tags: Option<Vec<Tag>>,
    pub sensitivity: Option<Vec<Sensitivity>>,
    pub protect: Option<Vec<Protect>>,
    pub from: Option<Vec<Pattern>>,
    pub to: Option<Vec<Pattern>>,
}

impl Conditions {
    /// What matched, or `None` if something did not.
    pub fn matched(&self, facts: &Facts, from: &ReversePath, to: &EmailAddress) -> Option<Vec<String>> {
        let mut matched = Vec::new();
        if let Some(tags) = &self.tags {
            let found = tags.iter().find(|tag| facts.tags.contains(tag))?;
            matched.push(shown_tag(*found));
        }
        if let Some(wanted) = &self.sensitivity {
            let found = facts.sensitivity.filter(|found| wanted.contains(found))?;
            matched.push(shown_sensitivity(found));
        }
        if let Some(wanted) = &self.protect {
            // The most protective of contradicting values, so that "no" is not heard beside "yes".
            let found = facts.protection().filter(|found| wanted.contains(found))?;
            matched.push(shown_protect(found));
        }
        if let Some(patterns) = &self.from {
            matched.push(format!("from \"{}\"", patterns.iter().find(|pattern| pattern.fits(from.address()))?));
        }
        if let Some(patterns) = &self.to {
            matched.push(format!("to \"{}\"", patterns.iter().find(|pattern| pattern.fits(Some(to)))?));
        }
        Some(matched)
    }

    pub fn names_openpgp(&self) -> bool {
        self.protect.as_ref().is_some_and(|wanted| wanted.contains(&Protect::OpenPgp))
    }

    /// Whether they hold for every message.
    pub fn are_always_met(&self) -> bool {
        let anyone =
            |patterns: &Option<Vec<Pattern>>| patterns.as_ref().is_none_or(|all| all.contains(&Pattern::Anyone));
        self.tags.is_none()
            && self.sensitivity.is_none()
            && self.protect.is_none()
            && anyone(&self.from)
            && anyone(&self.to)
    }
}

/// What in a message asks for protection.
pub(super) fn marks(facts: &Facts) -> Vec<String> {
    let sensitivity = facts.sensitivity.filter(|found| *found > Sensitivity::Personal);
    let protect = facts.protection().filter(|found| *found > Protect::No);
    let tags = facts.tags.iter().map(|tag| shown_tag(*tag));
    tags.chain(sensitivity.map(shown_sensitivity)).chain(protect.map(shown_protect)).collect()
}

fn shown_tag(tag: Tag) -> String {
    format!("subject-tag \"{tag}\"")
}

fn shown_sensitivity(sensitivity: Sensitivity) -> String {
    format!("sensitivity \"{}\"", sensitivity.written())
}

pub(super) fn shown_protect(protect: Protect) -> String {
    format!("protect \"{}\"", protect.written())
}
