//! What the fuzzer calls: the parsers of what strangers send, and what has to hold of whatever they let through.

pub use crate::classic::fuzz as classic;
