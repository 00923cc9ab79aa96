//! What a classic client may send: a query string, a null byte, and a body.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stroll_gateway::fuzzing::classic(data));
