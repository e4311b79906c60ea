//! Recovery: a code by mail and the recovery code lead back into an account whose passphrase was forgotten.

use sealpost_vault::db::StoreError;
use sealpost_vault::errands::Answer;
use sealpost_vault::id::{AccountId, ErrandId};

use crate::pipeline::Gateway;

impl Gateway {
    pub(super) async fn recover(
        &self,
        _account: AccountId,
        _code: ErrandId,
        _prefix: &str,
        _proof: &[u8],
    ) -> Result<Answer, StoreError> {
        Ok(Answer::Refused)
    }
}
