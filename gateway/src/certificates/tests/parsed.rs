//! What an input may be, and what is left of it.
