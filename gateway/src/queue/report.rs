//! Reports about mail that couldn't be delivered, takes longer or was handed to a server that reports nothing: to its
//! sender, and to the postmaster where an answer is held.
//!
//! Security: a report goes inside only, has a null sender, and is marked automatic, so that nothing answers it. Of the
//! original it repeats a few named header fields, never content, and none that tells how it was to be protected. What the
//! next hop said is one line of printable ASCII.
//! Standards: RFC 6522 (multipart/report), RFC 3464 (delivery status), RFC 3461 6 (what was asked), RFC 3834
//! (Auto-Submitted), RFC 5321 6.1, RFC 6533 3 (addresses that aren't ASCII).

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};
use sealpost_texts::{Language, Texts};
use sealpost_vault::id::QueueId;
use sealpost_vault::{EmailAddress, Time};
use time::format_description::well_known::Rfc2822;

use crate::deliver::{Failure, Speaker};
use crate::envelope::{Notify, OriginalRecipient, Xtext};

/// What of the original a report repeats, in lower case. Relayed mail was allowed to leave in clear, its subject too.
const REPEATED: [&str; 11] = [
    "date",
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "subject",
    "message-id",
    "in-reply-to",
    "references",
    "received",
];
/// Of these fields together, in bytes.
const MOST_REPEATED: usize = 32 * 1024;
/// A line longer than this (RFC 5322 2.1.1) would need an encoding.
const LONGEST_LINE: usize = 998;

/// Why no report can be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("the postmaster's address can't stand in a header: {0}")]
    Postmaster(#[from] lettre::address::AddressError),
    #[error("the report can't be composed: {0}")]
    Compose(#[from] lettre::error::Error),
    #[error("a media type isn't well-formed")]
    MediaType,
    #[error("a header name isn't well-formed")]
    HeaderName,
    #[error("a field isn't ASCII, or too long for a line")]
    SevenBit,
}

/// Writes reports in the organisation's name.
#[derive(Clone, Debug)]
pub struct Reporter {
    hostname: String,
    postmaster: EmailAddress,
    from: Mailbox,
    texts: Texts,
    organisation: String,
}

/// What a report is about.
pub(super) struct Report<'a> {
    /// At least one.
    pub(super) recipients: &'a [&'a Reported<'a>],
    /// The next hop's name.
    pub(super) hop: &'a str,
    /// The sender's own name for the mail.
    pub(super) envid: Option<&'a Xtext>,
    pub(super) arrived_at: Time,
    /// Of the report: the part before the `@`.
    pub(super) message_id: &'a str,
    pub(super) now: Time,
}

/// What became of one recipient.
pub(super) struct Reported<'a> {
    recipient: &'a EmailAddress,
    original: Option<&'a OriginalRecipient>,
    pub(super) failure: Failure,
    pub(super) fate: Fate,
}

impl<'a> Reported<'a> {
    pub(super) fn new(
        recipient: &'a EmailAddress,
        original: Option<&'a OriginalRecipient>,
        failure: Failure,
        fate: Fate,
    ) -> Self {
        Self { recipient, original, failure, fate }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Refused,
    /// It was tried until the mail's lifetime was over.
    Expired,
    /// It is tried until then.
    Delayed {
        until: Time,
    },
    /// Handed to a server that doesn't report.
    Relayed,
}

/// What a report says; each says one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Failed,
    Delayed,
    Relayed,
}

impl Fate {
    pub(super) fn action(self) -> Action {
        match self {
            Self::Refused | Self::Expired => Action::Failed,
            Self::Delayed { .. } => Action::Delayed,
            Self::Relayed => Action::Relayed,
        }
    }
}

impl Action {
    pub(super) const ALL: [Self; 3] = [Self::Failed, Self::Delayed, Self::Relayed];

    /// Whether a sender wants to hear of it. Who asked for nothing is told of failures and warned of delays.
    pub(super) fn is_asked(self, notify: Option<Notify>) -> bool {
        match self {
            Self::Failed => notify.is_none_or(|notify| notify.failure),
            Self::Delayed => notify.is_none_or(|notify| notify.delay),
            Self::Relayed => notify.is_some_and(|notify| notify.success),
        }
    }

    /// What a report about it says: its subject, its beginning, its end.
    fn texts(self) -> [&'static str; 3] {
        match self {
            Self::Failed => ["mail-report-failed-subject", "mail-report-failed-opening", "mail-report-failed-closing"],
            Self::Delayed => {
                ["mail-report-delayed-subject", "mail-report-delayed-opening", "mail-report-delayed-closing"]
            }
            Self::Relayed => {
                ["mail-report-relayed-subject", "mail-report-relayed-opening", "mail-report-relayed-closing"]
            }
        }
    }

    /// As in the field.
    fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
        }
    }
}

impl Reporter {
    /// `hostname` is ours; `postmaster` is where reports come from, and who is told when an answer is held.
    pub fn new(
        hostname: &str,
        postmaster: EmailAddress,
        organisation: &str,
        language: Language,
    ) -> Result<Self, ReportError> {
        let address = postmaster.to_string().parse()?;
        let from = Mailbox::new(Some(organisation.to_owned()), address);
        Ok(Self {
            hostname: hostname.to_owned(),
            postmaster,
            from,
            texts: Texts::new(language),
            organisation: organisation.to_owned(),
        })
    }

    pub(super) fn postmaster(&self) -> &EmailAddress {
        &self.postmaster
    }

    /// To the sender of a mail that was passed on.
    pub(super) fn to_sender(
        &self,
        report: &Report<'_>,
        action: Action,
        to: &EmailAddress,
        original: Option<&[u8]>,
    ) -> Result<Vec<u8>, ReportError> {
        let [subject, beginning, closing] = action.texts();
        let date = self.texts.date(report.arrived_at);
        let opening = [("date", date.as_str()), ("organisation", &self.organisation)];
        let mut text = format!("{}\r\n\r\n", self.texts.with(beginning, &opening));
        for told in report.recipients {
            let reply = match told.fate {
                Fate::Refused => self.texts.get("mail-report-failed-refused"),
                Fate::Expired => self.texts.get("mail-report-failed-expired"),
                Fate::Delayed { until } => {
                    self.texts.with("mail-report-delayed-until", &[("date", &self.texts.date(until))])
                }
                Fate::Relayed => self.texts.get("mail-report-relayed-reply"),
            };
            text.push_str(&format!("  {}\r\n  {reply}\r\n  {}\r\n\r\n", told.recipient, told.failure.text));
        }
        text.push_str(&self.texts.get(closing));
        text.push_str("\r\n");
        let mut parts = vec![plain(text), self.delivery_status(report, action)?];
        if let Some(fields) = original.map(repeated_fields).filter(|fields| !fields.is_empty()) {
            parts.push(seven_bit("text/rfc822-headers", fields)?);
        }
        self.compose(report, to, &self.texts.get(subject), parts)
    }

    /// To the postmaster: a reader's answer can't be delivered, and waits for him. Nothing of the answer is repeated.
    pub(super) fn held_answer(&self, report: &Report<'_>, origin: QueueId) -> Result<Vec<u8>, ReportError> {
        let mut text = format!("{}\r\n\r\n", self.texts.get("mail-report-held-opening"));
        for failed in report.recipients {
            text.push_str(&format!("  {}\r\n  {}\r\n\r\n", failed.recipient, failed.failure.text));
        }
        let origin = origin.to_string();
        text.push_str(&self.texts.with("mail-report-held-closing", &[("id", &origin)]));
        text.push_str("\r\n");
        let parts = vec![plain(text), self.delivery_status(report, Action::Delayed)?];
        self.compose(report, &self.postmaster, &self.texts.get("mail-report-held-subject"), parts)
    }

    // RFC 3464 2.2 and 2.3
    fn delivery_status(&self, report: &Report<'_>, action: Action) -> Result<SinglePart, ReportError> {
        let mut text = String::new();
        if let Some(envid) = report.envid {
            text.push_str(&format!("Original-Envelope-Id: {}\r\n", envid.text()));
        }
        text.push_str(&format!("Reporting-MTA: dns; {}\r\n", self.hostname));
        text.push_str(&format!("Arrival-Date: {}\r\n", date(report.arrived_at)));
        for Reported { recipient, original, failure, fate } in report.recipients {
            let status = match fate {
                Fate::Expired => "4.4.7",
                Fate::Refused | Fate::Delayed { .. } | Fate::Relayed => &failure.status,
            };
            text.push_str("\r\n");
            if let Some(original) = original {
                text.push_str(&format!("Original-Recipient: {}\r\n", shown_original(original)));
            }
            text.push_str(&format!("Final-Recipient: {}\r\n", shown_recipient(recipient)));
            text.push_str(&format!("Action: {}\r\nStatus: {status}\r\n", action.as_str()));
            match failure.said_by {
                Speaker::NextHop => text.push_str(&format!(
                    "Remote-MTA: dns; {}\r\nDiagnostic-Code: smtp; {}\r\n",
                    report.hop, failure.text
                )),
                Speaker::Us => text.push_str(&format!("Diagnostic-Code: X-Sealpost; {}\r\n", failure.text)),
            }
            text.push_str(&format!("Last-Attempt-Date: {}\r\n", date(report.now)));
            if let Fate::Delayed { until } = fate {
                text.push_str(&format!("Will-Retry-Until: {}\r\n", date(*until)));
            }
        }
        seven_bit("message/delivery-status", text)
    }

    fn compose(
        &self,
        report: &Report<'_>,
        to: &EmailAddress,
        subject: &str,
        parts: Vec<SinglePart>,
    ) -> Result<Vec<u8>, ReportError> {
        let boundary = format!("=_report_{}", report.message_id);
        let kind = media_type(&format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\""))?;
        let body = parts.into_iter().fold(MultiPart::builder().header(kind).build(), MultiPart::singlepart);
        let now = UNIX_EPOCH + Duration::from_secs(u64::try_from(report.now).unwrap_or(0));
        let mut message = Message::builder()
            .from(self.from.clone())
            .date(now)
            .message_id(Some(format!("<{}@{}>", report.message_id, self.hostname)))
            .subject(subject)
            // The recipient is in the queue's row; an address that the composer doesn't know to parse is still a recipient.
            .envelope(lettre::address::Envelope::new(None, vec![self.from.email.clone()])?)
            .multipart(body)?;
        for (name, value) in [("To", format!("<{to}>")), ("Auto-Submitted", "auto-replied".to_owned())] {
            let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|_| ReportError::HeaderName)?;
            message.headers_mut().insert_raw(HeaderValue::new(name, value));
        }
        Ok(message.formatted())
    }
}

/// As the sender wrote it; what isn't ASCII stays encoded.
fn shown_original(original: &OriginalRecipient) -> String {
    if original.address().is_ascii() {
        format!("{};{}", original.address_type(), original.address())
    } else {
        original.to_string()
    }
}

fn shown_recipient(recipient: &EmailAddress) -> String {
    let recipient = recipient.to_string();
    if recipient.is_ascii() {
        return format!("rfc822; {recipient}");
    }
    let encoded = recipient.chars().map(|c| match c {
        c if c.is_ascii() => c.to_string(),
        c => format!("\\x{{{:X}}}", u32::from(c)),
    });
    format!("utf-8; {}", encoded.collect::<String>())
}

fn plain(text: String) -> SinglePart {
    SinglePart::builder().header(ContentType::TEXT_PLAIN).body(text)
}

/// `text` is ASCII with lines of at most [`LONGEST_LINE`]. RFC 3464 2.1 asks for 7bit; the composer's own check, which
/// panics, would draw the line at 76 octets, and what a next hop said may be longer.
fn seven_bit(kind: &str, text: String) -> Result<SinglePart, ReportError> {
    if !text.is_ascii() || text.split("\r\n").any(|line| line.len() > LONGEST_LINE) {
        return Err(ReportError::SevenBit);
    }
    let body = Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::SevenBit);
    Ok(SinglePart::builder().header(media_type(kind)?).body(body))
}

fn media_type(text: &str) -> Result<ContentType, ReportError> {
    ContentType::parse(text).map_err(|_| ReportError::MediaType)
}

fn date(seconds: Time) -> String {
    time::OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|moment| moment.format(&Rfc2822).ok())
        .unwrap_or_default()
}

/// The header fields that a report may repeat, as ASCII with CRLF; what is neither ASCII nor white space is a `?`.
fn repeated_fields(original: &[u8]) -> String {
    let end = memchr::memmem::find(original, b"\r\n\r\n").map_or(original.len(), |at| at + 2);
    let header = String::from_utf8_lossy(original.get(..end).unwrap_or(original));
    let mut out = String::new();
    let mut repeating = false;
    for line in header.split_terminator("\r\n") {
        if !line.starts_with([' ', '\t']) {
            let name = line.split_once(':').map_or("", |(name, _)| name.trim_end());
            repeating = REPEATED.iter().any(|repeated| name.eq_ignore_ascii_case(repeated));
        }
        if !repeating || line.len() > LONGEST_LINE || out.len() + line.len() > MOST_REPEATED {
            repeating = false;
            continue;
        }
        out.extend(line.chars().map(|c| if c.is_ascii_graphic() || c == ' ' || c == '\t' { c } else { '?' }));
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use mail_parser::MimeHeaders;

    use super::*;

    const ORIGINAL: &str = "Received: from a\r\n\tby b\r\nFrom: Anna <anna@klinik.example>\r\nX-Sealpost-Protect: no\r\n\
        \x20folded secret\r\nSubject: Lunch \u{fc}\r\n at noon\r\nComments: secret\r\nTO : b@x.example\r\nSensitivity: Private\r\n\
        \r\nSubject: secret in the body\r\n";

    fn failure(text: &str, said_by: Speaker) -> Failure {
        Failure { status: "5.1.1".to_owned(), text: text.to_owned(), said_by }
    }

    fn reporter(language: Language) -> Reporter {
        let postmaster = "postmaster@klinik.example".parse().unwrap();
        Reporter::new("gw.klinik.example", postmaster, "Klinikum M\u{fc}nchen", language).unwrap()
    }

    fn report<'a>(told: &'a [&'a Reported<'a>]) -> Report<'a> {
        Report { recipients: told, hop: "mx", envid: None, arrived_at: 0, message_id: "id", now: 86_400 }
    }

    #[test]
    fn delays_and_what_was_asked() {
        let to = "a@x.example".parse().unwrap();
        let sender = "anna@klinik.example".parse().unwrap();
        let original = OriginalRecipient::parse("rfc822;b+2Bc+20+3Cd@x.example").unwrap();
        let foreign = OriginalRecipient::parse("utf-8;\\x{E4}@x.example").unwrap();
        let envid = Xtext::envid("A+2B+20Subject:+20x").unwrap();
        for language in Language::ALL {
            let late = failure("450 busy", Speaker::NextHop);
            let late = Reported::new(&to, Some(&original), late, Fate::Delayed { until: 2 * 86_400 });
            let done = Reported::new(&to, Some(&foreign), failure("250 ok", Speaker::NextHop), Fate::Relayed);
            let (late, done) = ([&late], [&done]);
            for (action, told, lines) in [
                (
                    Action::Delayed,
                    &late,
                    "Original-Recipient: rfc822;b+c <d@x.example\r\nFinal-Recipient: rfc822; a@x.example\r\n\
                     Action: delayed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx\r\nDiagnostic-Code: smtp; 450 busy\r\n\
                     Last-Attempt-Date: Fri, 02 Jan 1970 00:00:00 +0000\r\n\
                     Will-Retry-Until: Sat, 03 Jan 1970 00:00:00 +0000\r\n",
                ),
                (
                    Action::Relayed,
                    &done,
                    "Original-Recipient: utf-8;\\x{E4}@x.example\r\nFinal-Recipient: rfc822; a@x.example\r\nAction: relayed\r\n",
                ),
            ] {
                let report = Report { envid: Some(&envid), ..report(told) };
                let bytes = reporter(language).to_sender(&report, action, &sender, Some(ORIGINAL.as_bytes())).unwrap();
                let text = String::from_utf8(bytes).unwrap();
                assert!(text.contains(lines), "{lines} in {text}");
                assert!(text.contains("\r\n\r\nOriginal-Envelope-Id: A+ Subject: x\r\nReporting-MTA: "), "{text}");
                assert!(
                    text.is_ascii() && !text.contains(concat!("mail", "-report")) && !text.contains("secret"),
                    "{text}"
                );
                assert_eq!(text.matches("\r\nAuto-Submitted: auto-replied\r\n").count(), 1);
            }
        }
    }

    #[test]
    fn who_is_told_what() {
        for (asked, told) in [
            (None, [true, true, false]),
            (Some("NEVER"), [false, false, false]),
            (Some("SUCCESS"), [false, false, true]),
            (Some("FAILURE"), [true, false, false]),
            (Some("DELAY"), [false, true, false]),
            (Some("SUCCESS,FAILURE,DELAY"), [true, true, true]),
        ] {
            let notify = asked.map(|asked| Notify::parse(asked).unwrap());
            assert_eq!(Action::ALL.map(|action| action.is_asked(notify)), told, "{asked:?}");
        }
    }

    #[test]
    fn fields() {
        assert_eq!(
            repeated_fields(ORIGINAL.as_bytes()),
            "Received: from a\r\n\tby b\r\nFrom: Anna <anna@klinik.example>\r\nSubject: Lunch ?\r\n at noon\r\nTO : b@x.example\r\n"
        );
        for none in ["", "\r\n\r\n", "secret", " folded\r\n", "\r\nSubject: in the body\r\n"] {
            let fields = repeated_fields(none.as_bytes());
            assert!(fields.is_empty() || none.starts_with("\r\nSubject"), "{none:?}: {fields:?}");
        }
        let many = "To: a@x.example\r\n".repeat(10_000);
        assert!(repeated_fields(many.as_bytes()).len() <= MOST_REPEATED + 2 * 10_000);
        let long = format!("To: {}\r\n folded\r\nCc: c@x.example\r\n\r\n", "x".repeat(1000));
        assert_eq!(repeated_fields(long.as_bytes()), "Cc: c@x.example\r\n");
    }

    #[test]
    fn long_replies_and_long_fields_make_no_composer_panic() {
        let one = "a@x.example".parse().unwrap();
        let said = failure(&"550 5.1.1 unknown ".repeat(22), Speaker::NextHop);
        let told = Reported::new(&one, None, said.clone(), Fate::Refused);
        let told = [&told];
        let original = format!("Subject: {}\r\n\r\n", "x".repeat(900));
        let report = report(&told);
        let bytes = reporter(Language::En).to_sender(&report, Action::Failed, &one, Some(original.as_bytes())).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(&format!("Diagnostic-Code: smtp; {}\r\n", said.text)));
        assert!(text.contains(original.get(..900).unwrap()));
    }

    #[test]
    fn a_bounce_is_a_delivery_status_notification() {
        for language in Language::ALL {
            let (one, two) = ("a@x.example".parse().unwrap(), "\"b c\"@x.example".parse().unwrap());
            let (said, ours) = (failure("550 5.1.1 unknown", Speaker::NextHop), failure("The next hop", Speaker::Us));
            let told =
                [&Reported::new(&one, None, said, Fate::Refused), &Reported::new(&two, None, ours, Fate::Expired)];
            let report = report(&told);
            let sender = "\"an na\"@klinik.example".parse().unwrap();
            let reporter = reporter(language);
            let bytes = reporter.to_sender(&report, Action::Failed, &sender, Some(ORIGINAL.as_bytes())).unwrap();
            let text = String::from_utf8(bytes.clone()).unwrap();
            assert!(text.is_ascii() && !text.contains("secret") && !text.contains("[mail-"), "{text}");
            assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
            for line in [
                "To: <\"an na\"@klinik.example>\r\n",
                "Auto-Submitted: auto-replied\r\n",
                "Date: Fri, 02 Jan 1970 00:00:00 +0000\r\n",
                "Message-ID: <id@gw.klinik.example>\r\n",
                "Reporting-MTA: dns; gw.klinik.example\r\n",
                "Final-Recipient: rfc822; a@x.example\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx\r\nDiagnostic-Code: smtp; 550 5.1.1 unknown\r\n",
                "Final-Recipient: rfc822; \"b c\"@x.example\r\nAction: failed\r\nStatus: 4.4.7\r\nDiagnostic-Code: X-Sealpost; The next hop\r\n",
            ] {
                assert!(text.contains(line), "{line:?} in {text}");
            }
            let parsed = mail_parser::MessageParser::default().parse(&bytes).unwrap();
            let kind = parsed.content_type().unwrap();
            assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("report")));
            assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
            let kinds: Vec<String> = parsed
                .parts
                .iter()
                .skip(1)
                .filter_map(MimeHeaders::content_type)
                .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()))
                .collect();
            assert_eq!(kinds, ["text/plain", "message/delivery-status", "text/rfc822-headers"]);
        }
    }

    #[test]
    fn the_postmaster_learns_nothing_of_a_held_answer() {
        let (to, said) = ("anna@klinik.example".parse().unwrap(), failure("550 full", Speaker::NextHop));
        let told = [&Reported::new(&to, None, said, Fate::Refused)];
        let report = report(&told);
        let id = QueueId::from_bytes([7; 16]);
        let bytes = reporter(Language::En).held_answer(&report, id).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains("To: <postmaster@klinik.example>\r\n") && text.contains("Action: delayed\r\n"), "{text}");
        let parsed = mail_parser::MessageParser::default().parse(&bytes).unwrap();
        let words = parsed.body_text(0).unwrap();
        assert!(words.contains(&id.to_string()) && words.contains("anna@klinik.example"), "{words}");
        assert!(!text.contains("rfc822-headers"), "{text}");
    }
}
