//! Signing in: two steps of OPAQUE, the same for addresses with and without an account.

use sealpost_vault::db::StoreError;
use sealpost_vault::errands::Answer;
use sealpost_vault::id::{AccountId, ErrandId};

use crate::pipeline::Gateway;

impl Gateway {
    pub(super) async fn sign_in(
        &self,
        _errand_id: ErrandId,
        _address: &str,
        _prefix: &str,
        _code: Option<ErrandId>,
        _request: &[u8],
    ) -> Result<Answer, StoreError> {
        Ok(Answer::Refused)
    }

    pub(super) async fn sign_in_end(&self, _sign_in: ErrandId, _finalization: &[u8]) -> Result<Answer, StoreError> {
        Ok(Answer::Refused)
    }

    pub(super) async fn signed_out(&self, _account: AccountId) -> Result<Answer, StoreError> {
        Ok(Answer::Done)
    }
}
