//! Relaying: what goes on as it came, by its clearances.
//!
//! A message of which nothing else comes is queued in the transaction that its `250` waits for. It needs no worker and no
//! second look: what leaves is known when it is judged.

use std::collections::HashMap;

use tracing::info;

use sealpost_vault::EmailAddress;
use sealpost_vault::db::{Rows, StoreError};

use super::Gateway;
use crate::addresses::Own;
use crate::conversations;
use crate::message::{Facts, ParsedMessage, outgoing, trace_header};
use crate::queue::{Kind, Mail, Placed, Route, Then};
use crate::smtp::ReceivedMessage;
use crate::spool::{Decision, record_accepted};

impl Gateway {
    /// Queues a message of which all recipients get what came. When this returns `Ok`, it is ours.
    pub(super) async fn pass_on(&self, parsed: &ParsedMessage, decisions: &[Decision]) -> Result<(), StoreError> {
        let ReceivedMessage { queue_id, envelope, .. } = &parsed.received;
        let mails = self.relay(parsed, decisions).await?;
        let placed = self.queue.place_all(mails, Then::GoOn).await?;
        let placed: Vec<Placed> = placed.into_iter().map(|mail| mail.asking(envelope)).collect();
        let blobs: Vec<String> = placed.iter().map(|mail| mail.blob_key().to_owned()).collect();
        let (now, mut rows) = (self.clock.now(), Rows::new());
        // That they are relayed, and by which rule, stands in this record.
        record_accepted(&mut rows, *queue_id, envelope, decisions, now)?;
        for mail in &placed {
            self.queue.rows(&mut rows, mail)?;
        }
        if let Err(cause) = self.stores.own.write_rows(rows).await {
            self.not_queued(&blobs, &cause).await;
            return Err(cause);
        }
        self.queue.go_on(placed);
        Ok(())
    }

    /// What goes on as it came, by its clearances: one mail per route, so that recipients of one route share a transaction.
    pub(super) async fn relay(&self, parsed: &ParsedMessage, decisions: &[Decision]) -> Result<Vec<Mail>, StoreError> {
        let mut inside = Vec::new();
        let mut outside = Vec::new();
        for decision in decisions {
            if let Decision::Relay { recipient, clearance } = decision {
                info!(queue_id = %parsed.received.queue_id, rule = clearance.rule(), "relayed as it came");
                match self.route_to(recipient) {
                    Route::Inside => inside.push(recipient.clone()),
                    Route::Outside => outside.push(recipient.clone()),
                }
            }
        }
        let real = self.real_addresses(&parsed.facts).await?;
        let mut mails = Vec::new();
        for (route, recipients) in [(Route::Inside, inside), (Route::Outside, outside)] {
            if recipients.is_empty() {
                continue;
            }
            let trace = trace_header(&parsed.received, &self.settings.hostname);
            // A reply address is of use inside only; outside it would be a way into somebody's conversation.
            let rewrite = |address: &str| match route {
                Route::Inside => None,
                Route::Outside => real.get(&address.to_ascii_lowercase()).map(ToString::to_string),
            };
            mails.push(Mail {
                origin: parsed.received.queue_id,
                kind: Kind::Relayed,
                route,
                reverse_path: parsed.received.envelope.reverse_path.clone(),
                recipients,
                bytes: outgoing(&parsed.received.bytes, &trace, &rewrite),
                pickup: None,
                lifetime: self.settings.queue_lifetime,
            });
        }
        Ok(mails)
    }

    /// The readers' real addresses behind the reply addresses that a message's headers name.
    pub(crate) async fn real_addresses(&self, facts: &Facts) -> Result<HashMap<String, EmailAddress>, StoreError> {
        let mut real = HashMap::new();
        for mailbox in facts.from.iter().chain(&facts.to).chain(&facts.cc).chain(&facts.reply_to) {
            if let Some(Own::Reply(token)) = self.settings.reply_domain.recognise(&mailbox.address)
                && let Some(conversation) = conversations::by_token(&self.stores.own, token).await?
            {
                real.insert(mailbox.address.to_string().to_ascii_lowercase(), conversation.delivery);
            }
        }
        Ok(real)
    }
}
