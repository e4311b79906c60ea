//! PGP/MIME: mail for people who have OpenPGP keys of their own.
