//! Sequoia opens the vectors as an ordinary OpenPGP program does: key packet, data packet, password.

use std::io::Read;

use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::packet::{PKESK, SKESK};
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::parse::stream::{
    DecryptionHelper, DecryptorBuilder, MessageLayer, MessageStructure, VerificationHelper,
};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::SymmetricAlgorithm;
use sequoia_openpgp::{Cert, KeyHandle, anyhow};

use crate::{Vectors, check_slip, mac};

struct Reader {
    password: String,
    certificate: Cert,
    signatures: usize,
}

impl VerificationHelper for Reader {
    fn get_certs(&mut self, _: &[KeyHandle]) -> anyhow::Result<Vec<Cert>> {
        Ok(vec![self.certificate.clone()])
    }

    fn check(&mut self, structure: MessageStructure) -> anyhow::Result<()> {
        for layer in structure {
            if let MessageLayer::SignatureGroup { results } = layer {
                for result in results {
                    result.map_err(|e| anyhow::anyhow!("{e}"))?;
                    self.signatures += 1;
                }
            }
        }
        Ok(())
    }
}

impl DecryptionHelper for Reader {
    fn decrypt(
        &mut self,
        _: &[PKESK],
        skesks: &[SKESK],
        _: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> anyhow::Result<Option<Cert>> {
        let skesk = skesks.first().ok_or_else(|| anyhow::anyhow!("no key packet"))?;
        let (algorithm, key) = skesk.decrypt(&self.password.as_str().into())?;
        anyhow::ensure!(decrypt(algorithm, &key), "does not open");
        Ok(None)
    }
}

/// The content and the number of good signatures.
fn open(vectors: &Vectors, message: &[u8], password: &str) -> anyhow::Result<(Vec<u8>, usize)> {
    let certificate = Cert::from_bytes(&vectors.base64("/organisation/certificate"))?;
    let helper = Reader { password: password.to_owned(), certificate, signatures: 0 };
    let policy = StandardPolicy::new();
    let mut reader = DecryptorBuilder::from_bytes(message)?.with_policy(&policy, None, helper)?;
    let mut content = Vec::new();
    reader.read_to_end(&mut content)?;
    Ok((content, reader.into_helper().signatures))
}

#[test]
fn sequoia_opens_the_parts_and_verifies_the_slip() {
    let vectors = Vectors::load();
    let password = vectors.text("/pickup/password");
    let (slip, signatures) = open(&vectors, &vectors.message("/slip/packet"), password).unwrap();
    assert_eq!(signatures, 1);
    check_slip(&vectors, &slip);
    for n in 0..vectors.parts() {
        let opened = open(&vectors, &vectors.message(&format!("/parts/{n}/packet")), password).unwrap();
        assert_eq!(opened, (vectors.base64(&format!("/parts/{n}/plain")), 0), "part {n}");
    }
}

#[test]
fn sequoia_finds_changed_bytes() {
    let vectors = Vectors::load();
    let password = vectors.text("/pickup/password");
    let message = vectors.message("/slip/packet");
    for place in (0..message.len()).step_by(61) {
        let mut changed = message.clone();
        changed[place] ^= 1;
        assert!(open(&vectors, &changed, password).is_err(), "byte {place}");
    }
}

#[test]
fn half_of_the_secret_opens_nothing() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use sealpost_vault::derive::ctx;

    let vectors = Vectors::load();
    let (l, s) = (vectors.hex("/pickup/linkSecret"), vectors.hex("/pickup/share"));
    let (pid, lid) = (vectors.hex("/pickup/pickupBytes"), vectors.hex("/letter/letterBytes"));
    let (a, o) = (vectors.text("/pickup/reader").as_bytes(), vectors.hex("/organisation/fingerprint"));
    let password = |pid: &[u8], l: &[u8], s: &[u8], lid: &[u8], a: &[u8], o: &[u8]| {
        let info = [ctx("open", &[lid, a, o]).unwrap(), vec![1]].concat();
        URL_SAFE_NO_PAD.encode(mac(&mac(pid, &[l, s].concat()), &info))
    };
    let opens = |password: &str| open(&vectors, &vectors.message("/slip/packet"), password).is_ok();
    assert!(opens(&password(&pid, &l, &s, &lid, a, &o)));
    for wrong in [
        password(&pid, &[0; 20], &s, &lid, a, &o),
        password(&pid, &l, &[0; 32], &lid, a, &o),
        password(&pid, &s, &l, &lid, a, &o),
        password(&lid, &l, &s, &lid, a, &o),
        password(&pid, &l, &s, &pid, a, &o),
        password(&pid, &l, &s, &lid, b"ben@home.example", &o),
        password(&pid, &l, &s, &lid, a, &[0; 32]),
        vectors.text("/pickup/voice").to_owned(),
    ] {
        assert!(!opens(&wrong));
    }
}
