//! Statements of enrolled readers: signatures by the pinned certificate.

use sealpost_vault::db::StoreError;
use sealpost_vault::errands::Answer;
use sealpost_vault::id::PickupId;

use crate::pipeline::Gateway;

impl Gateway {
    pub(super) async fn rewrap(
        &self,
        _pickup: PickupId,
        _packet: &[u8],
        _signature: &[u8],
    ) -> Result<Answer, StoreError> {
        Ok(Answer::Refused)
    }

    pub(super) async fn receipt(&self, _pickup: PickupId, _signature: &[u8]) -> Result<Answer, StoreError> {
        Ok(Answer::Done)
    }
}
