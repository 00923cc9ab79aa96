//! A summary as Markdown.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Spread, Summary};
use crate::outcome::FIGURES;

/// What operators calculate with, in words.
const SIZING: [(&str, &str); 7] = [
    ("sessions_per_gib", "sessions per GiB, all watched processes"),
    ("sessions_per_gib_of_gateway", "sessions per GiB, gateways alone"),
    ("sessions_per_core", "silent sessions per core"),
    ("messages_per_core", "messages per second and core"),
    ("redis_commands_per_10000_chats", "Redis: commands per 10,000 chats, find to end"),
    ("redis_requests_per_10000_chats", "Redis: requests of clients per 10,000 chats, find to end"),
    ("redis_mb_per_10000_chats", "Redis: MB per 10,000 chats at a time"),
];

/// A summary for people.
#[must_use]
pub fn markdown(summary: &Summary) -> String {
    let mut out = String::new();
    // A string takes everything, here and below.
    let _ = writeln!(out, "### `{}`\n", summary.settings.join(" "));
    let machine = &summary.machine;
    let _ = writeln!(
        out,
        "{} on {} cores, {}, Linux {}.\n",
        if summary.runs == 1 { "1 run".to_owned() } else { format!("{} runs", summary.runs) },
        machine.cores,
        machine.cpu,
        machine.kernel
    );
    if !summary.valid {
        out.push_str("**NOT VALID:** something else used the CPU.\n\n");
    }
    for problem in &summary.problems {
        let _ = writeln!(out, "- {problem}");
    }
    if !summary.problems.is_empty() {
        out.push('\n');
    }
    write_values(&mut out, summary);
    write_processes(&mut out, summary);
    write_sizing(&mut out, summary);
    out
}

fn write_values(out: &mut String, summary: &Summary) {
    let has_ratios = !summary.ratios.is_empty();
    out.push_str("| | median | lowest–highest |");
    out.push_str(if has_ratios { " to the bare server |\n|---|--:|--:|--:|\n" } else { "\n|---|--:|--:|\n" });
    // Figures in their order, then the others.
    let is_figure = |name: &str| FIGURES.iter().any(|(figure, _)| *figure == name);
    let figures = FIGURES.iter().map(|(name, _)| *name).filter(|name| summary.values.contains_key(*name));
    let others = summary.values.keys().map(String::as_str).filter(|name| !is_figure(name));
    for name in figures.chain(others) {
        let spread = &summary.values[name];
        let _ = write!(out, "| {name} | {} | {} |", median(spread, summary.runs), range(spread));
        if has_ratios {
            let ratio = summary.ratios.get(name);
            let ratio = ratio.map_or_else(
                || "–".to_owned(),
                |ratio| format!("{} ({})", short(ratio.median), range(ratio)),
            );
            let _ = write!(out, " {ratio} |");
        }
        out.push('\n');
    }
}

fn write_processes(out: &mut String, summary: &Summary) {
    if summary.processes.is_empty() {
        return;
    }
    out.push_str(
        "\n| process | RSS before, kB | steady, kB | after, kB | kB a session | CPU, % of a core | µs a session and second |\n\
         |---|--:|--:|--:|--:|--:|--:|\n",
    );
    for (name, costs) in &summary.processes {
        let cell = |cost: &str| both(costs, cost);
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {} | {} | {} | {} |",
            cell("rss_before_kb"),
            cell("rss_steady_kb"),
            cell("rss_after_kb"),
            cell("kb_per_session"),
            cell("cpu_percent"),
            cell("cpu_us_per_session_second")
        );
    }
}

fn write_sizing(out: &mut String, summary: &Summary) {
    if summary.sizing.is_empty() {
        return;
    }
    out.push_str("\n| sizing | median | lowest–highest |\n|---|--:|--:|\n");
    for (name, words) in SIZING {
        if let Some(spread) = summary.sizing.get(name) {
            let _ = writeln!(out, "| {words} | {} | {} |", median(spread, summary.runs), range(spread));
        }
    }
}

fn both(costs: &BTreeMap<&'static str, Spread>, cost: &str) -> String {
    let both = |spread: &Spread| format!("{} ({})", short(spread.median), range(spread));
    costs.get(cost).map_or_else(|| "–".to_owned(), both)
}

/// The median, and of how many runs if not of all.
fn median(spread: &Spread, runs: usize) -> String {
    let median = short(spread.median);
    if spread.runs == runs { median } else { format!("{median} (only {} of {runs} runs)", spread.runs) }
}

fn range(spread: &Spread) -> String {
    // A dash beside a minus can't be read.
    let between = if spread.lowest < 0.0 { " to " } else { "–" };
    format!("{}{between}{}", short(spread.lowest), short(spread.highest))
}

/// Three digits that count, and whole numbers whole, with a comma at thousands.
pub(crate) fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.abs().to_string();
    }
    if value.fract() == 0.0 || value.abs() >= 100.0 {
        return with_commas(value);
    }
    let mut places = 2_usize;
    let mut rest = value.abs();
    while rest < 1.0 && places < 12 {
        (rest, places) = (rest * 10.0, places + 1);
    }
    if rest >= 10.0 {
        places -= 1;
    }
    format!("{value:.places$}")
}

fn with_commas(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::from(if value < 0.0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::runs;

    #[test]
    fn three_digits_count() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (6_000.0, "6,000"),
            (1_234_567.8, "1,234,568"),
            (-1_500.0, "-1,500"),
            (123.4, "123"),
            (12.345, "12.3"),
            (1.234_5, "1.23"),
            (0.123_45, "0.123"),
            (-0.000_012_3, "-0.0000123"),
            (3.0, "3"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn the_tables_have_all_values_and_what_went_wrong() {
        let summary = Summary::of(&runs(), false).expect("the same scenario");
        let text = markdown(&summary);
        for part in [
            "### `pairs`",
            "| messages_per_second | 1 | 1–1 | 1 (1–1) |\n",
            "| message_p99_ms | 20.0 | 10.0–30.0 |",
            "| gateway | 1,000 (1,000–1,000) | 1,000 (1,000–1,000) | 1,020 (1,010–1,030) | 8 (8–8) | 0 (0–0) | 0 (0–0) |",
            "| sessions per GiB, all watched processes | 65,536 | 65,536–65,536 |",
            "- 30.json: 3 connections ended with 1012",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("NOT VALID"));
        let columns = |line: &str| line.matches('|').count();
        let lines: Vec<_> = text.lines().collect();
        for (line, next) in lines.iter().zip(&lines[1..]) {
            assert!(
                !(line.starts_with('|') && next.starts_with('|')) || columns(line) == columns(next),
                "{line}\n{next}"
            );
        }
    }

    #[test]
    fn a_spread_from_below_nothing_can_be_read() {
        let spread = Spread::of(vec![-0.000_02, 0.5]).expect("values");
        assert_eq!(range(&spread), "-0.0000200 to 0.500");
        assert_eq!(range(&Spread { lowest: 0.0, ..spread }), "0–0.500");
    }

    #[test]
    fn it_says_what_is_not_of_all_runs_and_not_valid() {
        let mut reports = runs();
        reports[0].1.valid = false;
        reports[0].1.outcome.iter_mut().for_each(|outcome| {
            outcome.figures.remove("kb_per_session");
        });
        let text = markdown(&Summary::of(&reports, true).expect("the same scenario"));
        assert!(text.contains("**NOT VALID:**") && text.contains("16 (only 2 of 3 runs)"), "{text}");
    }
}
