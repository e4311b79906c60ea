//! Encrypting: a message becomes PGP/MIME mail for recipients who have usable OpenPGP keys.
//!
//! Keys are looked at twice: before the `250`, so that a sender learns at once that there is none, and again when the mail is
//! made, because a key may expire or be removed in between: unless that is still the same second. Then the sender is told, or the message is held, as was decided;
//! never does it leave in the clear. Recipients who see each other (To, Cc) share one copy; each other envelope recipient
//! (Bcc) gets one of his own, encrypted to his certificate alone.
//!
//! Security: the organisation's own certificate is no recipient: what was sent can't be opened with its keys afterwards.

use std::sync::Arc;

use tracing::{info, warn};

use sealpost_vault::db::{Rows, StoreError};
use sealpost_vault::id::QueueId;
use sealpost_vault::{EmailAddress, Time};

use crate::audit::{self, Event};
use crate::certificates::{self, Candidates, UsableCert};
use crate::envelope::ReversePath;
use crate::hold::shown;
use crate::message::{ParsedMessage, outgoing, trace_header};
use crate::notify;
use crate::pgp_mime::{self, PgpMimeError};
use crate::pipeline::Gateway;
use crate::queue::{Kind, Mail, Route};
use crate::spool::{Decision, Fallback};

/// A recipient and the certificate that is used.
pub(crate) struct Keyed {
    pub recipient: EmailAddress,
    pub certificate: UsableCert,
    pub rule: String,
}

/// Decisions after the keys were looked at again.
#[derive(Default)]
pub(crate) struct Resolved {
    pub decisions: Vec<Decision>,
    pub keyed: Vec<Keyed>,
    /// Whose key is gone, where nothing else is allowed.
    pub keyless: Vec<Keyless>,
}

pub(crate) struct Keyless {
    pub recipient: EmailAddress,
    pub rule: String,
}

impl Resolved {
    /// Into the audit, with the rows that queue the mails.
    pub(crate) fn record(&self, rows: &mut Rows, message: QueueId, now: Time) -> Result<(), StoreError> {
        for Keyed { recipient, certificate, rule } in &self.keyed {
            let fingerprint = &certificate.fingerprint_hex();
            audit::record_with(rows, Event::Encrypted { message, recipient, fingerprint, rule }, now)?;
        }
        for Keyless { recipient, rule } in &self.keyless {
            audit::record_with(rows, Event::Unsent { message, recipient, rule }, now)?;
        }
        Ok(())
    }
}

impl Gateway {
    /// The certificate for an address at this moment. One that is new is parsed and verified off the async threads.
    pub(crate) async fn certificate_for(&self, recipient: &EmailAddress) -> Result<Option<UsableCert>, StoreError> {
        let now = self.clock.now();
        let candidates = Arc::new(certificates::stored(&self.stores.own, recipient).await?);
        self.shelf.saw(&candidates, now);
        self.usable(candidates, now).await
    }

    /// The same, shortly after: what the store said in this very second isn't asked again. Whether a certificate is usable is.
    async fn certificate_still_for(&self, recipient: &EmailAddress) -> Result<Option<UsableCert>, StoreError> {
        let now = self.clock.now();
        match self.shelf.seen(&recipient.identity(), now) {
            Some(candidates) => self.usable(candidates, now).await,
            None => self.certificate_for(recipient).await,
        }
    }

    async fn usable(&self, candidates: Arc<Candidates>, now: Time) -> Result<Option<UsableCert>, StoreError> {
        if candidates.are_known(&self.shelf) {
            return candidates.usable(&self.shelf, now);
        }
        let shelf = Arc::clone(&self.shelf);
        self.heavily(move || candidates.usable(&shelf, now)).await?
    }

    /// Looks at the keys again. What is to be encrypted and can't be is held or goes back to its sender.
    pub(crate) async fn resolve(&self, queue_id: QueueId, decisions: &[Decision]) -> Result<Resolved, StoreError> {
        let mut resolved = Resolved::default();
        for decision in decisions {
            let Decision::Encrypt { recipient, rule, fallback } = decision else {
                resolved.decisions.push(decision.clone());
                continue;
            };
            match (self.certificate_still_for(recipient).await?, fallback) {
                (Some(certificate), _) => {
                    resolved.keyed.push(Keyed { recipient: recipient.clone(), certificate, rule: rule.clone() });
                }
                (None, Fallback::Hold) => {
                    warn!(%queue_id, "the key is no longer usable: held");
                    resolved.decisions.push(Decision::Hold { recipient: recipient.clone(), rule: rule.clone() });
                }
                (None, Fallback::Return) => {
                    warn!(%queue_id, "the key is no longer usable: goes back to its sender");
                    resolved.keyless.push(Keyless { recipient: recipient.clone(), rule: rule.clone() });
                }
            }
        }
        Ok(resolved)
    }

    /// One mail for those who see each other, one for each who is hidden.
    pub(crate) async fn encrypt(&self, parsed: &ParsedMessage, keyed: &[Keyed]) -> Result<Vec<Mail>, StoreError> {
        if keyed.is_empty() {
            return Ok(Vec::new());
        }
        let real = self.real_addresses(&parsed.facts).await?;
        let shown = shown(parsed, &real);
        let (visible, hidden): (Vec<&Keyed>, Vec<&Keyed>) =
            keyed.iter().partition(|keyed| shown.contains(&keyed.recipient.identity()));
        let (inside, outside): (Vec<&Keyed>, Vec<&Keyed>) =
            visible.into_iter().partition(|keyed| self.route_to(&keyed.recipient) == Route::Inside);
        let together = [inside, outside].into_iter().filter(|group| !group.is_empty());
        let mut mails = Vec::new();
        for group in together.chain(hidden.into_iter().map(|keyed| vec![keyed])) {
            let Some(route) = group.first().map(|keyed| self.route_to(&keyed.recipient)) else { continue };
            let certificates: Vec<UsableCert> = group.iter().map(|keyed| keyed.certificate.clone()).collect();
            let received = &parsed.received;
            let keyring = Arc::clone(&self.keyring);
            let trace = trace_header(received, &self.settings.hostname);
            // A reply address is of use inside only.
            let rewrite = |address: &str| match route {
                Route::Inside => None,
                Route::Outside => real.get(&address.to_ascii_lowercase()).map(ToString::to_string),
            };
            let message = outgoing(&received.bytes, "", &rewrite);
            let now = self.clock.now();
            let bytes = self
                .by_size(received.bytes.len(), move || {
                    let signer = keyring.mail().signer().ok_or(PgpMimeError::NoSigner)?;
                    pgp_mime::protect(&message, &trace, &certificates, Some(signer), now)
                })
                .await??;
            for keyed in &group {
                let fingerprint = keyed.certificate.fingerprint_hex();
                info!(queue_id = %parsed.received.queue_id, rule = keyed.rule, fingerprint, "encrypted");
            }
            mails.push(Mail {
                origin: parsed.received.queue_id,
                kind: Kind::Encrypted,
                route,
                reverse_path: parsed.received.envelope.reverse_path.clone(),
                recipients: group.iter().map(|keyed| keyed.recipient.clone()).collect(),
                bytes,
                pickup: None,
                lifetime: self.settings.queue_lifetime,
            });
        }
        Ok(mails)
    }

    /// Tells the sender, or the postmaster where the sender is nobody of ours, that a message was not sent.
    pub(crate) fn unsent(&self, parsed: &ParsedMessage, keyless: &[Keyless]) -> Result<Vec<Mail>, StoreError> {
        let postmaster = &self.settings.postmaster;
        let sender = parsed.received.envelope.reverse_path.address().filter(|sender| self.is_inside(sender));
        let sender = sender.unwrap_or(postmaster);
        let report = |Keyless { recipient, .. }: &Keyless| {
            let original = notify::Original {
                sender,
                recipient,
                sent_at: parsed.received.received_at,
                message_id: parsed.facts.message_id.as_deref(),
                references: &parsed.facts.references,
            };
            let language = self.letterhead.organisation.language;
            let message_id = self.new_message_id()?;
            let bytes = notify::unsent(&self.letterhead, &original, &message_id, language, self.clock.now())
                .map_err(|_| StoreError::Corrupt("a report that can't be written"))?;
            Ok(Mail {
                origin: parsed.received.queue_id,
                kind: Kind::Report,
                route: Route::Inside,
                reverse_path: ReversePath::Null,
                recipients: vec![sender.clone()],
                bytes,
                pickup: None,
                lifetime: self.settings.queue_lifetime,
            })
        };
        keyless.iter().map(report).collect()
    }
}

impl From<PgpMimeError> for StoreError {
    fn from(cause: PgpMimeError) -> Self {
        warn!(%cause, "a message can't be encrypted");
        Self::Corrupt("a message that can't be encrypted")
    }
}
