//! Audit: what happened, recorded with each change of state, chained and signed.
