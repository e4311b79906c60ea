//! Statements of enrolled readers: signatures by the pinned certificate.
//!
//! A receipt says more than "opened": the browser opened the letter with the account's key from this very key packet. Only if
//! that packet is the one that lies in the vault does the receipt count, and the link's way end. Garbage instead of a key packet
//! brings no receipt, and the letter still opens with its link.
//!
//! Security: an errand is input from outside. A portal that keeps a key packet to itself, or puts garbage in its place, and shows
//! the right one to the browser alone, gets a receipt for that one, which ends nothing.

use tracing::{info, warn};

use sealpost_vault::accounts;
use sealpost_vault::db::StoreError;
use sealpost_vault::derive::{ctx, sha256};
use sealpost_vault::errands::Answer;
use sealpost_vault::id::{AccountId, PickupId};

use super::tries;
use crate::audit::{self, Event, Proof, Statement};
use crate::pickups::{self, Pickup, State, Way};
use crate::pins::{self, Pinned};
use crate::pipeline::Gateway;

impl Gateway {
    /// A letter that was opened by link is taken into its reader's account.
    pub(super) async fn rewrap(
        &self,
        pickup_id: PickupId,
        packet: &[u8],
        signature: &[u8],
    ) -> Result<Answer, StoreError> {
        let refused = |account, why| async move {
            self.not_believed(Statement::Rewrap, Some(pickup_id), account, why).await?;
            Ok(Answer::Refused)
        };
        let Some((pickup, pinned)) = self.of_enrolled(pickup_id).await? else {
            return refused(None, "no letter of an enrolled reader").await;
        };
        let account = Some(pinned.account);
        if !pickup.state.lives() || pickup.expires_at <= self.clock.now() {
            return refused(account, "the pickup has ended").await;
        }
        let statement = ctx(
            "say/rewrap",
            &[
                pickup.pickup_id.bytes(),
                pickup.letter_id.bytes(),
                pickup.reader.as_str().as_bytes(),
                self.keyring.fingerprint(),
                &sha256(packet),
            ],
        )?;
        if !pinned.verify(&statement, signature) {
            return refused(account, "not signed by the pinned certificate").await;
        }
        if !pinned.certificate.is_named_in(packet) {
            return refused(account, "a key packet to another certificate").await;
        }
        // The account opens it already, and nothing else does: there is nothing to gain, and the letter to lose.
        if pickup.way == Way::Account {
            return Ok(Answer::Done);
        }
        if !accounts::put_account_key(&self.stores.vault, pickup_id, pinned.account, packet).await? {
            return refused(account, "the vault has no such pickup").await;
        }
        let mut transaction = self.stores.own.begin().await?;
        let event = Event::Rewrapped { pickup: pickup_id, reader: &pickup.reader, account: pinned.account };
        audit::record(&mut transaction, event, self.clock.now()).await?;
        transaction.commit().await?;
        info!(pickup = %pickup_id, "taken into its reader's account");
        Ok(Answer::Done)
    }

    /// The browser opened a letter with the account's key.
    pub(super) async fn receipt(&self, pickup_id: PickupId, signature: &[u8]) -> Result<Answer, StoreError> {
        let Some((pickup, pinned)) = self.of_enrolled(pickup_id).await? else {
            self.not_believed(Statement::Opened, Some(pickup_id), None, "no letter of an enrolled reader").await?;
            return Ok(Answer::Done);
        };
        if !pickup.state.lives() || (pickup.state == State::Opened && pickup.way == Way::Account) {
            return Ok(Answer::Done);
        }
        if !self.is_opened_by_account(&pickup, &pinned, signature).await? {
            let why = "not signed by the pinned certificate, or not about the key packet that the vault has";
            self.not_believed(Statement::Opened, Some(pickup_id), Some(pinned.account), why).await?;
            return Ok(Answer::Done);
        }
        let ends = pickup.way == Way::Link;
        if ends {
            // The vault first: what a crash leaves is a letter whose own row still says link, and which says so again.
            accounts::end_link_way(&self.stores.vault, pickup_id).await?;
        }
        let now = self.clock.now();
        let mut transaction = self.stores.own.begin().await?;
        if pickups::mark_opened(&mut transaction, pickup_id, now).await? {
            let event = Event::Opened {
                pickup: pickup_id,
                letter: pickup.letter_id,
                reader: &pickup.reader,
                proof: Proof::Signature,
            };
            audit::record(&mut transaction, event, now).await?;
        }
        if ends && pickups::end_link_way(&mut transaction, pickup_id).await? {
            let event = Event::LinkEnded { pickup: pickup_id, reader: &pickup.reader };
            audit::record(&mut transaction, event, now).await?;
        }
        transaction.commit().await?;
        info!(pickup = %pickup_id, ends, "opened with its reader's account");
        self.stores.own.forget_deleted().await?;
        Ok(Answer::Done)
    }

    /// Whether the pinned certificate says that it opened the letter, with the key packet that the vault has.
    async fn is_opened_by_account(
        &self,
        pickup: &Pickup,
        pinned: &Pinned,
        signature: &[u8],
    ) -> Result<bool, StoreError> {
        let packet = accounts::account_key(&self.stores.vault, pickup.pickup_id, pinned.account).await?;
        let Some(packet) = packet.filter(|packet| pinned.certificate.is_named_in(packet)) else { return Ok(false) };
        let nobody: &[u8] = &[];
        let statement = ctx(
            "say/opened",
            &[
                nobody,
                pickup.letter_id.bytes(),
                pickup.reader.as_str().as_bytes(),
                self.keyring.fingerprint(),
                &pickup.slip_hash,
                &sha256(&packet),
            ],
        )?;
        Ok(pinned.verify(&statement, signature))
    }

    async fn of_enrolled(&self, pickup_id: PickupId) -> Result<Option<(Pickup, Pinned)>, StoreError> {
        let Some(pickup) = pickups::find(&self.stores.own, pickup_id).await? else { return Ok(None) };
        let pinned = pins::current(&self.stores.own, &self.keyring, &pickup.reader).await?;
        Ok(pinned.map(|pinned| (pickup, pinned)))
    }

    /// What somebody said in a reader's name is dropped, and on record: once in an hour for the same words.
    pub(crate) async fn not_believed(
        &self,
        statement: Statement,
        pickup: Option<PickupId>,
        account: Option<AccountId>,
        why: &'static str,
    ) -> Result<(), StoreError> {
        warn!(?statement, ?pickup, ?account, why, "a statement is not believed");
        let now = self.clock.now();
        let (of_pickup, of_account) = (pickup.map(|id| *id.bytes()), account.map(|id| *id.bytes()));
        let of: [&[u8]; 4] = [
            &[statement as u8],
            why.as_bytes(),
            of_pickup.as_ref().map_or(&[], |bytes| bytes.as_slice()),
            of_account.as_ref().map_or(&[], |bytes| bytes.as_slice()),
        ];
        if tries::goes_on_record(&self.stores.own, &self.keyring, &of, now).await? {
            let event = Event::StatementRefused { statement, pickup, account, why };
            audit::record_alone(&self.stores.own, event, now).await?;
        }
        Ok(())
    }
}
