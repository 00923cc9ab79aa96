//! What a run is made from.

use chassis::Random;

/// The number in an environment variable, or what it is without.
///
/// # Panics
/// If there is something else in it.
pub(super) fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")),
        Err(_) => default,
    }
}

/// `STROLL_CHAOS_SEED`, or a new one.
pub(super) fn seed() -> u64 {
    number("STROLL_CHAOS_SEED", u32::from_le_bytes(Random::from_os().bytes()).into())
}
