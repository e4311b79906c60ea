//! Passphrases: OPAQUE registrations, first and later ones.

use sealpost_vault::db::StoreError;
use sealpost_vault::errands::{Answer, Registration};
use sealpost_vault::id::AccountId;

use crate::pipeline::Gateway;

impl Gateway {
    pub(super) async fn register(&self, _purpose: Registration, _request: &[u8]) -> Result<Answer, StoreError> {
        Ok(Answer::Refused)
    }

    pub(super) async fn change_passphrase(
        &self,
        _account: AccountId,
        _upload: &[u8],
        _file: &[u8],
        _recovery: &[u8],
        _signature: &[u8],
    ) -> Result<Answer, StoreError> {
        Ok(Answer::Refused)
    }
}
