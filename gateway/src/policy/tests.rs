//! What policies decide, and what is wrong with bad ones: tables and files.

use std::fs;
use std::path::Path;

use sealpost_vault::id::QueueId;

use super::*;
use crate::message::ParsedMessage;
use crate::smtp::{Client, Door, ReceivedMessage};
use crate::{BodyType, Envelope};

fn facts(header: &str) -> Facts {
    let client = Client::new([127, 0, 0, 1].into(), "x", Door::Inside);
    let recipients = vec!["b@y.example".parse().unwrap()];
    let envelope = Envelope::plain(ReversePath::Null, recipients, BodyType::SevenBit);
    let bytes = format!("{}\r\n\r\nbody\r\n", header.replace('\n', "\r\n")).into_bytes();
    let queue_id = QueueId::from_bytes([1; 16]);
    ParsedMessage::parse(ReceivedMessage { queue_id, envelope, client, received_at: 0, bytes }).unwrap().facts
}

/// Treatment, rule and what matched, on one line.
fn judged(policy: &Policy, header: &str, from: &str, to: &str) -> String {
    let from = if from.is_empty() { ReversePath::Null } else { ReversePath::Address(from.parse().unwrap()) };
    let judgement = policy.judge(&facts(header), &from, &to.parse().unwrap());
    let treatment = match &judgement.treatment {
        Treatment::Relay(clearance) => {
            assert_eq!(clearance.rule(), judgement.rule);
            "relay"
        }
        Treatment::OpenPgp => "openpgp",
        Treatment::Best => "best",
        Treatment::Hold => "hold",
        Treatment::Reject => "refuse",
    };
    [treatment.to_owned(), judgement.rule, judgement.matched.join("; ")]
        .join(" | ")
        .trim_end_matches([' ', '|'])
        .to_owned()
}

#[test]
fn built_in_policy() {
    let policy = Policy::built_in();
    for (header, expected) in [
        ("Subject: lunch", "relay | default"),
        ("X: no subject", "relay | default"),
        ("Subject: [Secure] Lab", "best | subject-tag | subject-tag \"[secure]\""),
        ("Subject: Re: Lab =?utf-8?Q?[CONFIDENTIAL]?=", "best | subject-tag | subject-tag \"[confidential]\""),
        ("Subject: one\nSubject: [encrypt] two", "best | subject-tag | subject-tag \"[encrypt]\""),
        ("Sensitivity: Company-Confidential", "best | sensitivity | sensitivity \"company-confidential\""),
        ("SENSITIVITY : private (really)", "best | sensitivity | sensitivity \"private\""),
        ("Sensitivity: Normal", "relay | default"),
        ("Sensitivity: Personal", "relay | default"),
        ("Sensitivity: Personal\nSensitivity: Private", "best | sensitivity | sensitivity \"private\""),
        ("X-Sealpost-Protect: yes", "best | protect | protect \"yes\""),
        ("x-sealpost-PROTECT:\n PORTAL", "hold | portal | protect \"portal\""),
        ("X-Sealpost-Protect: ja bitte", "best | protect | protect \"yes\""),
        ("X-Sealpost-Protect:", "best | protect | protect \"yes\""),
        ("X-Sealpost-Protect: openpgp", "openpgp | openpgp | protect \"openpgp\""),
        ("X-Sealpost-Protect: yes\nX-Sealpost-Protect: openpgp", "openpgp | openpgp | protect \"openpgp\""),
        ("X-Sealpost-Protect: openpgp\nSubject: [secure]", "openpgp | openpgp | protect \"openpgp\""),
        ("X-Sealpost-Protect: portal\nSubject: [secure]", "hold | portal | protect \"portal\""),
        ("X-Sealpost-Protect: no", "relay | default"),
        ("X-Sealpost-Protect: no\nSubject: [secure] x", "best | subject-tag | subject-tag \"[secure]\""),
        ("X-Sealpost-Protect: no, yes", "best | protect | protect \"yes\""),
        ("X-Sealpost-Protect: no\nX-Sealpost-Protect: yes", "best | protect | protect \"yes\""),
    ] {
        assert_eq!(judged(&policy, header, "a@x.example", "b@y.example"), expected, "{header}");
    }
}

#[test]
fn written_policy() {
    let policy = Policy::from_toml(
        r#"
        [[rule]]
        name = "sender knows better"
        when = { protect = ["no"], from = ["@trusted.example"] }
        then = "relay"
        [[rule]]
        name = "no tags to rivals"
        when = { subject-tag = ["[Secure]", "encrypt"], to = ["*.rival.example", "boss@rival.example"] }
        then = "refuse"
        [[rule]]
        name = "notices"
        when = { from = ["<>"] }
        then = "relay"
        [[rule]]
        name = "patients"
        when.to = ["@patients.example"]
        then = "hold"
        [default]
        then = "relay"
        "#,
    )
    .unwrap();
    for (header, from, to, expected) in [
        ("Subject: x", "a@x.example", "b@y.example", "relay | default"),
        // The policy has no rule for it, and the message asks for protection: not in the clear.
        ("Subject: [secure]", "a@x.example", "b@y.example", "best | marked | subject-tag \"[secure]\""),
        (
            "X-Sealpost-Protect: no",
            "a@trusted.example",
            "b@patients.example",
            "relay | sender knows better | protect \"no\"; from \"@trusted.example\"",
        ),
        (
            "X-Sealpost-Protect: no\nX-Sealpost-Protect: portal",
            "a@trusted.example",
            "b@patients.example",
            "hold | patients | to \"@patients.example\"",
        ),
        ("X-Sealpost-Protect: portal", "a@x.example", "b@y.example", "hold | marked | protect \"portal\""),
        ("X-Sealpost-Protect: no", "a@x.example", "b@patients.example", "hold | patients | to \"@patients.example\""),
        (
            "Subject: [secure]",
            "a@x.example",
            "b@a.rival.example",
            "refuse | no tags to rivals | subject-tag \"[secure]\"; to \"*.rival.example\"",
        ),
        (
            "Subject: [encrypt]",
            "a@x.example",
            "BOSS@rival.example",
            "refuse | no tags to rivals | subject-tag \"[encrypt]\"; to \"boss@rival.example\"",
        ),
        (
            "Subject: [confidential]",
            "a@x.example",
            "b@a.rival.example",
            "best | marked | subject-tag \"[confidential]\"",
        ),
        ("Subject: x", "", "b@patients.example", "relay | notices | from \"<>\""),
        ("X-Sealpost-Protect: openpgp", "", "b@patients.example", "refuse | no-openpgp | protect \"openpgp\""),
        // Header addresses decide nothing.
        ("From: a@trusted.example\nTo: b@patients.example", "a@x.example", "b@y.example", "relay | default"),
    ] {
        assert_eq!(judged(&policy, header, from, to), expected, "{header} {from} {to}");
    }
}

#[test]
fn openpgp_may_be_held_by_a_rule_that_names_it() {
    let text = r#"
        [[rule]]
        name = "everything"
        then = "hold"
        [[rule]]
        name = "openpgp to the portal"
        when = { protect = ["openpgp"], to = ["@y.example"] }
        then = "hold"
        [default]
        then = "hold"
    "#;
    let policy = Policy::from_toml(text).unwrap();
    let judged = |to: &str| judged(&policy, "X-Sealpost-Protect: openpgp", "a@x.example", to);
    assert_eq!(judged("b@y.example"), "hold | openpgp to the portal | protect \"openpgp\"; to \"@y.example\"");
    assert_eq!(judged("b@z.example"), "refuse | no-openpgp | protect \"openpgp\"");
}

#[test]
fn no_wish_and_no_mark_ever_comes_to_relay_by_itself() {
    // Every pair of marks, against policies whose rules do everything but name the marks.
    let marks = [
        "Subject: [secure] x",
        "Sensitivity: Private",
        "X-Sealpost-Protect: yes",
        "X-Sealpost-Protect: portal",
        "X-Sealpost-Protect: openpgp",
        "X-Sealpost-Protect: no",
        "X: y",
    ];
    for then in ["relay", "openpgp", "best", "hold", "refuse"] {
        let text = format!(
            "[[rule]]\nname = \"a\"\nwhen = {{ to = [\"@other.example\"] }}\nthen = \"{then}\"\n[default]\nthen = \"{then}\"\n"
        );
        let policy = Policy::from_toml(&text).unwrap();
        for (one, two) in marks.iter().flat_map(|one| marks.iter().map(move |two| (one, two))) {
            let judged = judged(&policy, &format!("{one}\n{two}"), "a@x.example", "b@y.example");
            let asks = [one, two].iter().any(|mark| !["X-Sealpost-Protect: no", "X: y"].contains(*mark));
            assert!(!(asks && judged.starts_with("relay")), "{one}, {two}: {judged}");
            if [one, two].iter().any(|mark| mark.ends_with("openpgp")) {
                assert!(judged.starts_with("refuse | no-openpgp"), "{one}, {two}: {judged}");
            }
        }
    }
}

#[test]
fn the_example_is_the_built_in_policy() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/policy.toml")).unwrap();
    let example = Policy::from_toml(&text).unwrap();
    let built_in = Policy::built_in();
    assert_eq!(example.default, built_in.default);
    let shown = |policy: &Policy| -> Vec<_> {
        policy.rules.iter().map(|rule| (rule.name.clone(), rule.when.clone(), rule.then)).collect()
    };
    assert_eq!(shown(&example), shown(&built_in));
    // What is commented out is meant to work, too.
    let all: Vec<&str> = text.lines().map(|line| line.strip_prefix("#~ ").unwrap_or(line)).collect();
    assert!(all.iter().filter(|line| line.starts_with("[[rule]]")).count() > example.rules.len());
    if let Err(error) = Policy::from_toml(&all.join("\n")) {
        panic!("{error}");
    }
}

/// Each `NN-name.toml` in tests/policies has its error in `NN-name.expect`.
#[test]
fn bad_policies() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/policies");
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let expected = fs::read_to_string(path.with_extension("expect")).unwrap();
        let error = Policy::from_toml(&fs::read_to_string(&path).unwrap()).err();
        let error = error.unwrap_or_else(|| panic!("{}: was taken", path.display()));
        assert_eq!(error.to_string(), expected.trim_end(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 18, "{count} files");
}
