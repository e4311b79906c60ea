//! Certificates of recipients: imported, looked up, judged usable or not, and why.
use sequoia_openpgp::Cert;
use sequoia_openpgp::packet::Key;
use sequoia_openpgp::packet::key::{PublicParts, UnspecifiedRole};
#[derive(Clone, Debug)]
pub struct UsableCert(Cert);
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    SeipdV1,
    SeipdV2,
}
impl UsableCert {
    pub fn cert(&self) -> &Cert {
        &self.0
    }
    pub fn container(&self) -> Container {
        Container::SeipdV1
    }
    pub fn encryption_keys(&self) -> Vec<&Key<PublicParts, UnspecifiedRole>> {
        vec![]
    }
}
