//! Draws panels, two a row. The same panels make the same text.

use std::fmt::Write as _;

use super::{
    Panel,
    fit::{Fit, ticks},
};
use crate::summary::short;

/// A panel with its margins, and the part of it that holds the points.
const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 74.0;
const BOTTOM: f64 = 56.0;
const NOTE: f64 = 18.0;
/// Black on white wherever it is shown, so that it can be read on a dark page too.
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#57606a}.title{font-size:14px;font-weight:600;fill:#1f2328}\
.slope{font-size:13px;fill:#0b57a4}.grid{stroke:#e4e7eb}.axis{stroke:#8c959f}.fit{stroke:#0b57a4;stroke-width:1.5}\
circle{fill:#2f81d6;stroke:#fff}";

/// Panels as SVG, with notes below.
pub(super) fn draw(panels: &[Panel], notes: &[String]) -> String {
    let rows = crate::outcome::number(u64::try_from(panels.len().div_ceil(2)).unwrap_or_default());
    let columns = if panels.len() > 1 { 2.0 } else { 1.0 };
    let lines = crate::outcome::number(u64::try_from(notes.len()).unwrap_or_default());
    let (width, height) = (columns * WIDTH, rows.mul_add(HEIGHT, lines.mul_add(NOTE, 20.0)));
    let mut out = String::new();
    // A string takes everything, here and below.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\">\n<title>How cost grows</title>\n<style>{STYLE}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>"
    );
    let (mut x, mut y) = (0.0, 0.0);
    for panel in panels {
        let _ = writeln!(out, "<g transform=\"translate({x} {y})\">");
        draw_panel(&mut out, panel);
        out.push_str("</g>\n");
        (x, y) = if x + WIDTH < width { (x + WIDTH, y) } else { (0.0, y + HEIGHT) };
    }
    let mut y = rows.mul_add(HEIGHT, NOTE);
    for note in notes {
        text(&mut out, "", "start", (24.0, y), note);
        y += NOTE;
    }
    out.push_str("</svg>\n");
    out
}

fn draw_panel(out: &mut String, panel: &Panel) {
    let fit = Fit::of(&panel.points);
    let highest = |of: fn(&(f64, f64)) -> f64| panel.points.iter().map(of).fold(0.0, f64::max);
    let lowest = panel.points.iter().map(|point| point.1).fold(0.0, f64::min);
    // There is no half of what is counted.
    let across = Axis::new(&ticks(0.0, highest(|point| point.0), 1.0), LEFT, WIDTH - RIGHT);
    let up = Axis::new(&ticks(lowest, highest(|point| point.1), 0.0), HEIGHT - BOTTOM, TOP);
    text(out, "title", "start", (24.0, 28.0), panel.title);
    if let Some(fit) = fit {
        text(out, "slope", "start", (24.0, 48.0), &words(&fit, panel));
    }
    for tick in &up.ticks {
        line(out, "grid", (LEFT, up.at(*tick)), (WIDTH - RIGHT, up.at(*tick)));
        text(out, "", "end", (LEFT - 8.0, up.at(*tick) + 4.0), &label(*tick));
    }
    let floor = HEIGHT - BOTTOM;
    line(out, "axis", (LEFT, floor), (WIDTH - RIGHT, floor));
    for tick in &across.ticks {
        line(out, "axis", (across.at(*tick), floor), (across.at(*tick), floor + 5.0));
        text(out, "", "middle", (across.at(*tick), floor + 19.0), &label(*tick));
    }
    text(out, "", "middle", (f64::midpoint(LEFT, WIDTH - RIGHT), floor + 40.0), panel.x);
    text(out, "", "start", (24.0, TOP - 10.0), panel.y);
    if let (Some(fit), Some(first), Some(last)) = (fit, panel.points.first(), panel.points.last()) {
        let at = |x: f64| (across.at(x), up.at(fit.at(x)));
        line(out, "fit", at(first.0), at(last.0));
    }
    for (x, y) in &panel.points {
        let _ = writeln!(out, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>", across.at(*x), up.at(*y));
    }
}

/// A tick's number.
fn label(tick: f64) -> String {
    let text = short(tick);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The slope, and how well the line fits.
fn words(fit: &Fit, panel: &Panel) -> String {
    let (unit, times) = panel.slope;
    // What is calculated is not exact to the last digit.
    let slope = (fit.slope * times * 1e9).round() / 1e9;
    let share = fit.r_squared.map_or_else(|| "–".to_owned(), |share| format!("{share:.3}"));
    format!("{} {unit}, R² {share}", short(slope))
}

/// From values to places.
struct Axis {
    ticks: Vec<f64>,
    scale: f64,
    offset: f64,
}

impl Axis {
    fn new(ticks: &[f64], from: f64, to: f64) -> Self {
        let (first, last) =
            (ticks.first().copied().unwrap_or_default(), ticks.last().copied().unwrap_or_default());
        let scale = (to - from) / (last - first).max(f64::EPSILON);
        Self { ticks: ticks.to_vec(), scale, offset: first.mul_add(-scale, from) }
    }

    fn at(&self, value: f64) -> f64 {
        self.scale.mul_add(value, self.offset)
    }
}

fn line(out: &mut String, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = writeln!(
        out,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn text(out: &mut String, class: &str, anchor: &str, (x, y): (f64, f64), text: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(out, "<text{class} x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_where_their_values_are() {
        let panel = Panel {
            title: "Cost",
            x: "things",
            y: "MB",
            slope: ("MB a thing", 1.0),
            points: vec![(0.0, 0.0), (5.0, 10.0)],
        };
        let svg = draw(&[panel], &["A note".to_owned()]);
        // The axes end at 5 and 10, which are round already.
        let (left, right, top, floor) = (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM);
        assert!(svg.contains(&format!("<circle cx=\"{left:.1}\" cy=\"{floor:.1}\"")), "{svg}");
        assert!(svg.contains(&format!("<circle cx=\"{right:.1}\" cy=\"{top:.1}\"")), "{svg}");
        let fit =
            format!("class=\"fit\" x1=\"{left:.1}\" y1=\"{floor:.1}\" x2=\"{right:.1}\" y2=\"{top:.1}\"");
        assert!(svg.contains(&fit), "{svg}");
        for text in [">Cost<", ">things<", ">MB<", ">A note<", "2 MB a thing, R² 1.000", "fill=\"#fff\""] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        let open = svg.matches("<g ").count();
        assert_eq!((open, svg.matches("</g>").count(), svg.matches("</svg>").count()), (1, 1, 1));
    }

    #[test]
    fn what_is_below_nothing_has_room_too() {
        let panel = Panel {
            title: "Cost",
            x: "things",
            y: "MB",
            slope: ("MB a thing", 1.0),
            points: vec![(1.0, -3.0), (2.0, 8.0)],
        };
        let svg = draw(&[panel], &[]);
        assert!(svg.contains(">-5</text>") && svg.contains(">10</text>"), "{svg}");
    }
}
