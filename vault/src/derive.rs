//! Labels and inputs that both sides hash: `ctx(label, f1, f2, ..)` of SEALING.md, and the hash of a mailed code.
//!
//! Security: nothing here opens content; the derivations that do live in the gateway and in the browser.
//! Standards: RFC 6234 (SHA-256).

use ring::digest::{SHA256, digest};

/// Version and namespace of every label.
pub const NAMESPACE: &str = "sealpost/v1/";

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    out
}

/// A field doesn't fit its 16-bit length.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a field of a derivation's context is longer than 65,535 bytes")]
pub struct FieldTooLong;

/// `sealpost/v1/<label>`, one zero byte, then each field with its length as 16 bits big-endian.
pub fn ctx(label: &str, fields: &[&[u8]]) -> Result<Vec<u8>, FieldTooLong> {
    let mut out =
        Vec::with_capacity(NAMESPACE.len() + label.len() + 1 + fields.iter().map(|f| f.len() + 2).sum::<usize>());
    out.extend_from_slice(NAMESPACE.as_bytes());
    out.extend_from_slice(label.as_bytes());
    out.push(0);
    for field in fields {
        let length = u16::try_from(field.len()).map_err(|_| FieldTooLong)?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(field);
    }
    Ok(out)
}

/// What is stored of a code that was mailed: worthless in another session or for another scope.
///
/// `session` is the SHA-256 under which the session is stored, `scope` the pickup's id (or, where the reader typed an
/// address, the errand's), `code` the eight ASCII digits.
pub fn code_hash(session: &[u8; 32], scope: &[u8; 16], code: &str) -> Result<[u8; 32], FieldTooLong> {
    Ok(sha256(&ctx("code", &[session, scope, code.as_bytes()])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_is_injective_over_field_borders() {
        assert_ne!(ctx("open", &[b"ab", b"c"]), ctx("open", &[b"a", b"bc"]));
        assert_eq!(ctx("x", &[b"ab"]), Ok(b"sealpost/v1/x\0\0\x02ab".to_vec()));
    }

    #[test]
    fn too_long_a_field_is_refused() {
        assert_eq!(ctx("x", &[&vec![0; 65_536]]), Err(FieldTooLong));
    }
}
