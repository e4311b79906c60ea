//! The keyring's tests.
