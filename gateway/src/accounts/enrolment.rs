//! Enrolment: a reader's certificate is checked and bound to the address.

use sealpost_vault::db::StoreError;
use sealpost_vault::errands::{Answer, Errand};

use crate::pipeline::Gateway;

impl Gateway {
    pub(super) async fn enrol(&self, _errand: Errand) -> Result<Answer, StoreError> {
        Ok(Answer::Refused)
    }
}
