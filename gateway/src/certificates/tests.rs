//! Tests of what is decided about a certificate, and of what an input may be.

mod checked;
mod parsed;
mod samples;
