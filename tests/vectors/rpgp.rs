//! rPGP (crate `pgp`) opens the vectors: an implementation that shares no code with the one that sealed them.

use pgp::composed::{Deserializable, Message, SignedPublicKey};

use crate::{Vectors, check_slip};

/// Opens a message with a password; a signature, if there must be one, by a subkey of the certificate.
fn open(message: &[u8], password: &str, signer: Option<&SignedPublicKey>) -> Result<Vec<u8>, String> {
    let text = |e: pgp::errors::Error| e.to_string();
    let message = Message::from_bytes(message).map_err(text)?;
    let mut message = message.decrypt_with_password(&password.into()).map_err(text)?;
    let content = message.as_data_vec().map_err(|e| e.to_string())?;
    if let Some(signer) = signer {
        let good = signer.public_subkeys.iter().any(|subkey| message.verify(subkey).is_ok());
        // The primary only certifies.
        if !good || message.verify(signer).is_ok() {
            return Err("no good signature".to_owned());
        }
    }
    Ok(content)
}

fn certificate(vectors: &Vectors) -> SignedPublicKey {
    let certificate = SignedPublicKey::from_bytes(vectors.base64("/organisation/certificate").as_slice()).unwrap();
    certificate.verify_bindings().unwrap();
    certificate
}

#[test]
fn rpgp_opens_the_parts_and_verifies_the_slip() {
    let vectors = Vectors::load();
    let certificate = certificate(&vectors);
    let password = vectors.text("/pickup/password");
    check_slip(&vectors, &open(&vectors.message("/slip/packet"), password, Some(&certificate)).unwrap());
    for n in 0..vectors.parts() {
        let content = open(&vectors.message(&format!("/parts/{n}/packet")), password, None).unwrap();
        assert_eq!(content, vectors.base64(&format!("/parts/{n}/plain")), "part {n}");
    }
    // Parts aren't signed, and don't pass for slips.
    assert!(open(&vectors.message("/parts/0/packet"), password, Some(&certificate)).is_err());
}

#[test]
fn rpgp_opens_nothing_with_another_password_or_changed_bytes() {
    let vectors = Vectors::load();
    let certificate = certificate(&vectors);
    let password = vectors.text("/pickup/password");
    let message = vectors.message("/slip/packet");
    assert!(open(&message, "another", None).is_err());
    for place in (0..message.len()).step_by(61) {
        let mut changed = message.clone();
        changed[place] ^= 1;
        assert!(open(&changed, password, Some(&certificate)).is_err(), "byte {place}");
    }
}
