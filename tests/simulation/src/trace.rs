//! What happened, in one line each: hashed, so that two runs can be compared, and printed where somebody wants to read it.

use std::{
    cell::RefCell,
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

thread_local! {
    static TRACE: RefCell<Trace> = RefCell::new(Trace { hasher: DefaultHasher::new(), lines: 0, print: false });
}

struct Trace {
    /// With fixed keys, unlike that of a map.
    hasher: DefaultHasher,
    lines: u64,
    print: bool,
}

/// How long the simulation has run. To be asked inside of it.
pub fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

/// From now on every line is printed too.
pub fn print() {
    TRACE.with_borrow_mut(|trace| trace.print = true);
}

/// Something happens to somebody, inside of the simulation.
pub fn event(who: &dyn fmt::Display, what: fmt::Arguments<'_>) {
    event_at(now(), who, what);
}

/// Something happens to somebody at this time.
pub fn event_at(at: Duration, who: &dyn fmt::Display, what: fmt::Arguments<'_>) {
    TRACE.with_borrow_mut(|trace| {
        let line = format!("{:>9.3} {who}: {what}", at.as_secs_f64());
        line.hash(&mut trace.hasher);
        trace.lines += 1;
        if trace.print {
            println!("{line}");
        }
    });
}

/// How many lines there were, and what all of them come to.
pub fn digest() -> (u64, u64) {
    TRACE.with_borrow(|trace| (trace.lines, trace.hasher.finish()))
}
