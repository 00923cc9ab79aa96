//! Figures, each a line that the script `table` makes a row of.

use std::time::Duration;

/// What a figure is compared with.
#[derive(Clone, Copy, Debug)]
pub enum Bar {
    AtLeast(f64),
    AtMost(f64),
    /// It only tells.
    None,
}

/// What was measured: its name, the case, and one value per run.
#[derive(Debug)]
pub struct Figure {
    pub case: String,
    pub what: &'static str,
    pub runs: Vec<f64>,
    pub bar: Bar,
}

impl Figure {
    /// The middle one of its runs.
    pub fn median(&self) -> f64 {
        let mut runs = self.runs.clone();
        runs.sort_by(f64::total_cmp);
        runs.get(runs.len() / 2).copied().unwrap_or_default()
    }

    /// How far the runs lie apart, in hundredths of the median.
    fn spread(&self) -> f64 {
        let least = self.runs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.runs.iter().copied().fold(0.0, f64::max);
        (most - least) / self.median() * 100.0
    }

    /// Prints `figure`, case, name, median, spread, bar and whether it is reached, with tabs between them.
    #[expect(clippy::print_stdout, reason = "a benchmark's output")]
    pub fn print(&self) {
        let median = self.median();
        let (bar, reached) = match self.bar {
            Bar::AtLeast(bar) => (format!("≥ {}", number(bar)), if median >= bar { "yes" } else { "no" }),
            Bar::AtMost(bar) => (format!("≤ {}", number(bar)), if median <= bar { "yes" } else { "no" }),
            Bar::None => (String::new(), ""),
        };
        let spread = if self.runs.len() > 1 { format!("{:.0} %", self.spread()) } else { String::new() };
        println!("figure\t{}\t{}\t{}\t{spread}\t{bar}\t{reached}", self.case, self.what, number(median));
    }
}

/// Whether a case is to be measured: all, or those that have one of the arguments in their name. `cargo test --all-targets`
/// runs benchmarks too, without saying `--bench`, and gets none.
pub fn is_asked_for(case: &str) -> bool {
    let is_benchmark = std::env::args().any(|argument| argument == "--bench");
    let mut names = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    is_benchmark && (names.peek().is_none() || names.any(|name| case.contains(&name)))
}

/// So many of something in a second.
pub fn per_second(count: usize, took: Duration) -> f64 {
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let count = count as f64;
    count / took.as_secs_f64()
}

/// With thousands apart, or for a small one with two decimals.
fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut apart = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}
