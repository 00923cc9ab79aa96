//! What `tests/instructions` counts the instructions of.
//!
//! A case is a test in a module `instructions` of the crate whose hot path it walks. As any test it fails if the work does not
//! come to what it should; and under Callgrind the work is counted, without what was made ready for it.

use std::hint::black_box;

/// How often a case does its work.
pub const TIMES: u64 = 1_000;

/// Prepares [`TIMES`] inputs, of which each knows its number from 1 on, and then does the work with each.
pub fn times<I, O>(prepare: impl FnMut(u64) -> I, mut work: impl FnMut(I) -> O) {
    let inputs: Vec<I> = (1..=TIMES).map(prepare).collect();
    let mut inputs = inputs.into_iter();
    counted(&mut || {
        for input in inputs.by_ref() {
            black_box(work(black_box(input)));
        }
    });
}

/// Callgrind counts from when this begins until it ends, and knows it by its name.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    // So that it ends after the work, and not with a jump into it.
    black_box(());
}
