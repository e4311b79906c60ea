//! Policy: what protects a message for one recipient, decided by rules that an administrator writes.
//!
//! Rules are tried in order; the first whose conditions all hold decides. Around them stand three things that no rule can
//! undo by accident, because "must be protected" never becomes "plain":
//! `X-Sealpost-Protect: openpgp` is refused unless a rule names it, and such a rule can't relay; `X-Sealpost-Protect: no` is
//! heard only by a rule that names it; and a message that asks for protection but meets no rule is protected as well as can
//! be, whatever the default.
//!
//! Whether a recipient has a usable key isn't known here: [`Treatment::OpenPgp`] and [`Treatment::Best`] are what is wanted,
//! and the road finds out what can be done.
//!
//! Security: what leaves as it came leaves with a [`Clearance`], and only this module makes one. Addresses come from the
//! envelope.

mod condition;
mod file;
mod pattern;

use sealpost_vault::EmailAddress;
use serde::{Deserialize, Serialize};

use crate::ReversePath;
use crate::message::{Facts, Protect, Sensitivity, Tag};
use crate::pgp_mime::Encrypted;

use condition::Conditions;
pub use file::PolicyError;

/// The rules, checked.
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    default: Action,
}

#[derive(Clone, Debug)]
struct Rule {
    name: String,
    when: Conditions,
    then: Action,
}

/// What a rule says to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Relay,
    OpenPgp,
    Best,
    Hold,
    Refuse,
}

/// What policy decided for one recipient, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    pub treatment: Treatment,
    /// The rule's name; see [`names`] for those that are always there.
    pub rule: String,
    /// What matched, such as `subject-tag "[secure]"`; empty for the default.
    pub matched: Vec<String>,
}

/// What protects the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Treatment {
    /// Passed on as it is.
    Relay(Clearance),
    /// Encrypted to the recipient's OpenPGP key. Without a usable one, refused.
    OpenPgp,
    /// Encrypted to the recipient's OpenPGP key. Without a usable one, sealed for the portal.
    Best,
    /// Sealed for the portal.
    Hold,
    /// Refused at the door.
    Reject,
}

/// The right of one message to leave as it came: in the clear, or as its sender encrypted it. It is made here and nowhere else; the spool only brings it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clearance {
    rule: String,
}

impl Clearance {
    /// For recipients in the organisation's own domains: the message doesn't leave the organisation.
    pub(crate) fn inside() -> Self {
        Self { rule: names::INSIDE.to_owned() }
    }

    /// For a message that must be protected and needs nothing of us: the proof is that its body was recognised as
    /// encrypted. `rule` is the rule that asked for protection.
    pub(crate) fn already_encrypted(rule: &str, _proof: Encrypted) -> Self {
        Self { rule: format!("{}: {rule}", names::ALREADY_ENCRYPTED) }
    }

    /// The rule that gave it.
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

/// Names of judgements that no written rule made.
pub mod names {
    pub const DEFAULT: &str = "default";
    /// The recipient is in one of the organisation's own domains.
    pub const INSIDE: &str = "inside";
    /// The sender encrypted the message himself; the rule that asked for protection follows.
    pub const ALREADY_ENCRYPTED: &str = "already-encrypted";
    /// OpenPGP was asked for, and no rule names it.
    pub const NO_OPENPGP: &str = "no-openpgp";
    /// Protection was asked for, and no rule said how.
    pub const MARKED: &str = "marked";
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// The first thing wrong with it, with its line.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        file::read(text)
    }

    /// The policy of a gateway without a policy file: what asks for protection gets the one it asks for, or the best there
    /// is; everything else passes.
    pub fn built_in() -> Self {
        let rule = |name: &str, when: Conditions, then: Action| Rule { name: name.to_owned(), when, then };
        let asks = |how: Protect| Conditions { protect: Some(vec![how]), ..Conditions::default() };
        let tags = Conditions { tags: Some(Tag::ALL.to_vec()), ..Conditions::default() };
        let secret = vec![Sensitivity::Private, Sensitivity::CompanyConfidential];
        let sensitive = Conditions { sensitivity: Some(secret), ..Conditions::default() };
        let rules = vec![
            rule("openpgp", asks(Protect::OpenPgp), Action::OpenPgp),
            rule("portal", asks(Protect::Portal), Action::Hold),
            rule("subject-tag", tags, Action::Best),
            rule("sensitivity", sensitive, Action::Best),
            rule("protect", asks(Protect::Yes), Action::Best),
        ];
        Self { rules, default: Action::Relay }
    }

    /// Decides for one recipient of a message.
    pub fn judge(&self, facts: &Facts, from: &ReversePath, to: &EmailAddress) -> Judgement {
        let wants_openpgp = facts.protection() == Some(Protect::OpenPgp);
        for rule in &self.rules {
            if wants_openpgp && !rule.when.names_openpgp() {
                continue;
            }
            if let Some(matched) = rule.when.matched(facts, from, to) {
                return judgement(rule.then, &rule.name, matched);
            }
        }
        if wants_openpgp {
            return judgement(Action::Refuse, names::NO_OPENPGP, vec![condition::shown_protect(Protect::OpenPgp)]);
        }
        let marks = condition::marks(facts);
        if self.default == Action::Relay && !marks.is_empty() {
            let portal = facts.protection() == Some(Protect::Portal);
            return judgement(if portal { Action::Hold } else { Action::Best }, names::MARKED, marks);
        }
        judgement(self.default, names::DEFAULT, Vec::new())
    }
}

fn judgement(action: Action, rule: &str, matched: Vec<String>) -> Judgement {
    let treatment = match action {
        Action::Relay => Treatment::Relay(Clearance { rule: rule.to_owned() }),
        Action::OpenPgp => Treatment::OpenPgp,
        Action::Best => Treatment::Best,
        Action::Hold => Treatment::Hold,
        Action::Refuse => Treatment::Reject,
    };
    Judgement { treatment, rule: rule.to_owned(), matched }
}

#[cfg(test)]
mod tests;
