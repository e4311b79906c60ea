//! Passphrases: OPAQUE registrations, and another passphrase for an account.
//!
//! A change replaces two things that belong together: the OPAQUE record in the own store, and in the vault the account file,
//! which the new passphrase opens. The own store is the truth: it takes the record and the file in one transaction, then the
//! file is copied to the vault, and forgotten here. Whoever died in between copies it later: the errand when it is worked
//! again, the job, and every sign-in before its answer. So nobody is signed in who gets a file that the passphrase doesn't
//! open. A statement counts for one number of changes, and the newest one again, to no effect.
//!
//! Security: a change is believed for the pinned certificate's signature, never for a session. Registrations are counted:
//! they evaluate the function that sign-ins evaluate, and a portal that was broken into must not guess with it. Their
//! answers are signed: of one that the portal made, with a key of its own, it could guess the passphrase from what the
//! browser sends next.

use sealpost_vault::Identity;
use sealpost_vault::accounts;
use sealpost_vault::clock::Time;
use sealpost_vault::db::StoreError;
use sealpost_vault::derive::{ctx, sha256};
use sealpost_vault::errands::{Answer, Bytes, Registration};
use sealpost_vault::id::AccountId;
use tracing::{info, warn};

use super::credentials::{self, Credentials, New};
use super::opaque::{Record, RegistrationRequest, Server};
use super::tries::{self, Bucket, Verdict};
use crate::audit::{self, Event, Recovery, Statement};
use crate::pipeline::Gateway;
use crate::{notify, pickups, pins, seal};

/// How long a browser may take from a registration to its enrolment, in seconds.
pub(crate) const REGISTRATION_LIFETIME: Time = 3_600;
const RECOVERY_HASH: usize = 32;

impl Gateway {
    pub(super) async fn register(&self, purpose: Registration, request: &[u8]) -> Result<Answer, StoreError> {
        let now = self.clock.now();
        let Ok(parsed) = RegistrationRequest::parse(request) else { return Ok(Answer::Refused) };
        let (account, reader, pickup) = match purpose {
            Registration::Enrol(pickup_id) => {
                let found = pickups::find(&self.stores.own, pickup_id).await?;
                let Some(pickup) = found.filter(|pickup| pickup.state.lives() && pickup.expires_at > now) else {
                    return Ok(Answer::Refused);
                };
                if pins::current(&self.stores.own, &self.keyring, &pickup.reader).await?.is_some() {
                    return Ok(Answer::Conflict);
                }
                (AccountId::random()?, pickup.reader, Some(pickup_id))
            }
            Registration::Change(account) => {
                match credentials::of_account(&self.stores.own, &self.keyring, account).await? {
                    Some(known) => (account, known.reader, None),
                    None => return Ok(Answer::Refused),
                }
            }
        };
        let bucket = Bucket::registrations(&self.keyring, &reader)?;
        if let Verdict::Later(seconds) = tries::count(&self.stores.own, &[&bucket], now).await? {
            return Ok(Answer::Later { seconds });
        }
        let server = Server::new(self.keyring.opaque_setup()).map_err(|_| StoreError::Corrupt("OPAQUE's set-up"))?;
        let Ok(response) = server.register(&reader, parsed) else { return Ok(Answer::Refused) };
        let signature = self.registered(account, &reader, request, &response)?;
        if let Some(pickup) = pickup {
            sqlx::query("insert into registrations (account_id, reader, pickup_id, begun_at) values ($1, $2, $3, $4)")
                .bind(account.to_string())
                .bind(reader.as_str())
                .bind(pickup.to_string())
                .bind(now)
                .execute(self.stores.own.writer())
                .await?;
        }
        Ok(Answer::Register { account, response: Bytes(response), signature: Bytes(signature) })
    }

    /// The organisation's signature by which a browser knows the gateway's answer to its request: SEALING.md, `registered`.
    fn registered(
        &self,
        account: AccountId,
        reader: &Identity,
        request: &[u8],
        response: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let said = ctx(
            "registered",
            &[
                account.bytes(),
                reader.as_str().as_bytes(),
                self.keyring.fingerprint(),
                &sha256(request),
                &sha256(response),
            ],
        )?;
        self.keyring.vouch(&said).map_err(|_| StoreError::Corrupt("an organisation's key that doesn't sign"))
    }

    pub(super) async fn change_passphrase(
        &self,
        account: AccountId,
        upload: &[u8],
        file: &[u8],
        recovery: &[u8],
        signature: &[u8],
    ) -> Result<Answer, StoreError> {
        let well_formed = Record::parse(upload).is_ok()
            && seal::account_file(file).is_ok()
            && (recovery.is_empty() || recovery.len() == RECOVERY_HASH);
        if !well_formed {
            return self.change_refused(account, "not well-formed").await;
        }
        let Some(known) = credentials::of_account(&self.stores.own, &self.keyring, account).await? else {
            return Ok(Answer::Refused);
        };
        let Some(pinned) = pins::current(&self.stores.own, &self.keyring, &known.reader).await? else {
            return Ok(Answer::Refused);
        };
        let said = |changes: i64| {
            ctx(
                "say/change",
                &[
                    account.bytes(),
                    known.reader.as_str().as_bytes(),
                    self.keyring.fingerprint(),
                    &sha256(file),
                    &sha256(upload),
                    &sha256(recovery),
                    &changes.to_be_bytes(),
                ],
            )
        };
        let statement = said(known.changes)?;
        if pinned.account != account || !pinned.verify(&statement, signature) {
            let before = said(known.changes.saturating_sub(1))?;
            if self.newest_change(account).await?.is_some_and(|newest| newest == sha256(&before)) {
                self.publish_file(account).await?;
                return Ok(Answer::Done);
            }
            return self.change_refused(account, "not signed by the account's certificate for its present state").await;
        }
        let new = New { account, reader: &known.reader, upload, recovery_hash: recovery };
        if !self.replace_credentials(&known, &new, file, &statement).await? {
            return Ok(Answer::Refused);
        }
        self.publish_file(account).await?;
        self.stores.own.forget_deleted().await?;
        Ok(Answer::Done)
    }

    /// Record, file and mail in one transaction. False where another change came first.
    async fn replace_credentials(
        &self,
        known: &Credentials,
        new: &New<'_>,
        file: &[u8],
        statement: &[u8],
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mail = self.passphrase_mail(&known.reader, now).await?;
        let mail = self.queue.place(mail).await?;
        let changes = known.changes.saturating_add(1);
        let mut transaction = self.stores.own.begin().await?;
        if !credentials::replace(&mut transaction, &self.keyring, new, known.changes, now).await? {
            return Ok(false);
        }
        sqlx::query(
            "insert into passphrase_changes (account_id, changes, statement, file) values ($1, $2, $3, $4)
             on conflict (account_id) do update set changes = excluded.changes, statement = excluded.statement,
             file = excluded.file",
        )
        .bind(new.account.to_string())
        .bind(changes)
        .bind(sha256(statement).as_slice())
        .bind(file)
        .execute(&mut *transaction)
        .await?;
        let recovery = if new.recovery_hash.is_empty() { Recovery::Kept } else { Recovery::Renewed };
        let event = Event::PassphraseChanged { reader: &known.reader, account: new.account, changes, recovery };
        audit::record(&mut transaction, event, now).await?;
        self.queue.insert(&mut transaction, mail).await?;
        transaction.commit().await?;
        info!(account = %new.account, changes, "passphrase changed");
        self.queue.wake();
        Ok(true)
    }

    async fn change_refused(&self, account: AccountId, why: &'static str) -> Result<Answer, StoreError> {
        self.not_believed(Statement::Change, None, Some(account), why).await?;
        Ok(Answer::Refused)
    }

    /// Hash of the statement that the account was changed by last.
    async fn newest_change(&self, account: AccountId) -> Result<Option<Vec<u8>>, StoreError> {
        let row: Option<(Vec<u8>,)> = sqlx::query_as("select statement from passphrase_changes where account_id = $1")
            .bind(account.to_string())
            .fetch_optional(self.stores.own.reader())
            .await?;
        Ok(row.map(|(statement,)| statement))
    }

    /// Copies an account file that waits here to the vault.
    pub(crate) async fn publish_file(&self, account: AccountId) -> Result<(), StoreError> {
        let row: Option<(i64, Vec<u8>)> =
            sqlx::query_as("select changes, file from passphrase_changes where account_id = $1 and length(file) > 0")
                .bind(account.to_string())
                .fetch_optional(self.stores.own.reader())
                .await?;
        let Some((changes, file)) = row else { return Ok(()) };
        if !accounts::replace_file(&self.stores.vault, account, &file, changes, self.clock.now()).await? {
            // The file stays here: without it nobody opens the account again.
            warn!(%account, "the vault has no such account, or a later one: its file stays in the gateway's own store");
            return Ok(());
        }
        let nothing: &[u8] = &[];
        sqlx::query("update passphrase_changes set file = $1 where account_id = $2 and changes = $3")
            .bind(nothing)
            .bind(account.to_string())
            .bind(changes)
            .execute(self.stores.own.writer())
            .await?;
        Ok(())
    }

    /// Copies every account file that waits.
    pub(crate) async fn publish_files(&self) -> Result<(), StoreError> {
        let waiting: Vec<(String,)> =
            sqlx::query_as("select account_id from passphrase_changes where length(file) > 0")
                .fetch_all(self.stores.own.reader())
                .await?;
        for (account,) in waiting {
            self.publish_file(account.parse()?).await?;
        }
        Ok(())
    }

    async fn passphrase_mail(&self, reader: &Identity, now: Time) -> Result<crate::queue::Mail, StoreError> {
        let mailbox = self.mailbox_of(reader).await?;
        let bytes = notify::passphrase_changed(
            &self.letterhead,
            &mailbox.delivery,
            mailbox.language,
            &self.new_message_id()?,
            now,
        )
        .map_err(|_| StoreError::Corrupt("a mail about a passphrase that can't be written"))?;
        Ok(self.mail_to(&mailbox, crate::queue::Kind::Report, bytes, self.settings.queue_lifetime))
    }
}
