//! Pauses as a picture: an SVG with two charts, one over time and one over pairs.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    time::Duration,
};

use super::{Mark, Pair};
use crate::percentile::percentile;

/// Of the whole picture, and of the margin at its left for the scale.
const WIDTH: f64 = 1_200.0;
const LEFT: f64 = 60.0;
/// Where the charts begin and how high they are: over time, over pairs. Above the first one there is room for the faults' names.
const OVER_TIME: (f64, f64) = (190.0, 300.0);
const OVER_PAIRS: (f64, f64) = (570.0, 180.0);
const HEIGHT: f64 = 790.0;
/// What the values of one second make, and in which colour: the longest pause, the 99th percentile, the median.
const CURVES: [(&str, usize, &str); 3] =
    [("max", 1_000, "#c0392b"), ("p99", 990, "#e67e22"), ("p50", 500, "#2471a3")];

/// Draws the pauses of pairs between these faults.
#[must_use]
pub fn chart(pairs: &[Pair], marks: &[Mark], title: &str) -> String {
    let mut svg = Svg::default();
    svg.text((LEFT, 24.0), 16, "start", title);
    over_time(&mut svg, pairs, marks);
    over_pairs(&mut svg, pairs);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}</svg>\n",
        svg.0
    )
}

/// For each second, what was said in it.
fn over_time(svg: &mut Svg, pairs: &[Pair], marks: &[Mark]) {
    let mut seconds = BTreeMap::<u64, Vec<Duration>>::new();
    for delivery in pairs.iter().flat_map(|pair| &pair.deliveries) {
        seconds.entry(delivery.said.as_secs()).or_default().push(delivery.pause());
    }
    seconds.values_mut().for_each(|pauses| pauses.sort_unstable());
    let end = seconds.last_key_value().map_or(1, |(second, _)| second + 1);
    let longest = seconds.values().filter_map(|pauses| pauses.last()).max().copied().unwrap_or_default();
    let plot = Plot {
        top: OVER_TIME.0,
        height: OVER_TIME.1,
        right: number(end),
        highest: longest.as_secs_f64().max(0.1),
    };
    for mark in marks {
        let x = plot.x(mark.at.as_secs_f64());
        svg.line((x, plot.top), (x, plot.top + plot.height), "#999");
        svg.turned_text((x + 3.0, plot.top - 4.0), &mark.what);
    }
    for (name, rank, colour) in CURVES {
        let points = seconds.iter().map(|(second, pauses)| {
            let pause = percentile(pauses, rank).as_secs_f64();
            (plot.x(number(*second)), plot.y(pause))
        });
        svg.curve(points, colour, name);
    }
    plot.axes(svg, "seconds from the beginning: when it was said, and how long it took to be shown (s)");
    for ((name, _, colour), x) in CURVES.iter().zip([0.0, 60.0, 120.0]) {
        svg.coloured_text((WIDTH - 220.0 + x, 24.0), name, colour);
    }
}

/// The longest pause of each pair, the longest first.
fn over_pairs(svg: &mut Svg, pairs: &[Pair]) {
    let longest = |pair: &Pair| pair.deliveries.iter().map(super::Delivery::pause).max();
    let mut pauses: Vec<_> = pairs.iter().filter_map(longest).collect();
    pauses.sort_unstable();
    pauses.reverse();
    let highest = pauses.first().map_or(0.1, Duration::as_secs_f64).max(0.1);
    let right = number(pauses.len().max(1) as u64);
    let plot = Plot { top: OVER_PAIRS.0, height: OVER_PAIRS.1, right, highest };
    let points =
        pauses.iter().zip(0..).map(|(pause, nth)| (plot.x(number(nth)), plot.y(pause.as_secs_f64())));
    svg.curve(points, CURVES[0].2, "longest");
    plot.axes(svg, "pairs, by the longest pause of each (s)");
}

/// Where values lie in a chart.
struct Plot {
    top: f64,
    height: f64,
    right: f64,
    highest: f64,
}

impl Plot {
    fn x(&self, value: f64) -> f64 {
        (WIDTH - LEFT - 20.0).mul_add(value / self.right, LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        self.height.mul_add(1.0 - value / self.highest, self.top)
    }

    /// Scales with about five steps up and ten to the right.
    fn axes(&self, svg: &mut Svg, what: &str) {
        let bottom = self.top + self.height;
        svg.line((LEFT, bottom), (self.x(self.right), bottom), "black");
        svg.line((LEFT, self.top), (LEFT, bottom), "black");
        for value in steps(self.highest, 5.0) {
            svg.text((LEFT - 6.0, self.y(value) + 4.0), 11, "end", &format!("{value}"));
        }
        for value in steps(self.right, 10.0) {
            svg.text((self.x(value), bottom + 16.0), 11, "middle", &format!("{value}"));
        }
        svg.text((LEFT, bottom + 34.0), 12, "start", what);
    }
}

/// Round values from 0 on up to a highest one, about so many.
fn steps(highest: f64, count: f64) -> impl Iterator<Item = f64> {
    let rough = highest / count;
    let magnitude = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|nice| nice * magnitude).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(highest);
    let rounded = move |nth: u32| (f64::from(nth) * step * 1e6).round() / 1e6;
    (0..).map(rounded).take_while(move |value| *value <= highest)
}

#[expect(clippy::cast_precision_loss, reason = "a chart is less precise")]
fn number(value: u64) -> f64 {
    value as f64
}

/// Elements. Writing into a text does not fail.
#[derive(Default)]
struct Svg(String);

impl Svg {
    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) {
        let _ = writeln!(
            self.0,
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" stroke-width="0.8"/>"#
        );
    }

    fn curve(&mut self, points: impl Iterator<Item = (f64, f64)>, colour: &str, name: &str) {
        let points = points.fold(String::new(), |mut points, (x, y)| {
            let _ = write!(points, "{x:.1},{y:.1} ");
            points
        });
        let _ = writeln!(
            self.0,
            r#"<polyline fill="none" stroke="{colour}" stroke-width="1.4" points="{points}"><title>{name}</title></polyline>"#
        );
    }

    fn text(&mut self, (x, y): (f64, f64), size: u32, anchor: &str, text: &str) {
        let text = Escaped(text);
        let _ = writeln!(
            self.0,
            r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}" text-anchor="{anchor}">{text}</text>"#
        );
    }

    fn coloured_text(&mut self, (x, y): (f64, f64), text: &str, colour: &str) {
        let text = Escaped(text);
        let _ =
            writeln!(self.0, r#"<text x="{x:.1}" y="{y:.1}" font-size="13" fill="{colour}">{text}</text>"#);
    }

    /// Upwards.
    fn turned_text(&mut self, (x, y): (f64, f64), text: &str) {
        let text = Escaped(text);
        let _ = writeln!(
            self.0,
            r##"<text transform="translate({x:.1} {y:.1}) rotate(-55)" font-size="10" fill="#555">{text}</text>"##
        );
    }
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Delivery, *};

    #[test]
    fn scales_have_round_steps() {
        let of = |highest, count| steps(highest, count).collect::<Vec<_>>();
        assert_eq!(of(4.3, 5.0), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(of(0.1, 5.0), [0.0, 0.02, 0.04, 0.06, 0.08, 0.1]);
        assert_eq!(of(75.0, 10.0), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0]);
    }

    #[test]
    fn a_chart_has_the_faults_the_curves_and_no_number_that_is_none() {
        let seconds = Duration::from_secs;
        let deliveries = (0..9).map(|at| Delivery { said: seconds(at), shown: seconds(at + 2) }).collect();
        let pairs = [Pair { id: "a".into(), time: [seconds(0), seconds(9)], deliveries }];
        let marks = [Mark { at: seconds(4), what: "kill <relay>".into() }];
        for (pairs, marks) in [(pairs.as_slice(), marks.as_slice()), (&[], &[])] {
            let svg = chart(pairs, marks, "pauses & faults");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert_eq!(svg.matches("<polyline").count(), 4);
            assert_eq!(svg.contains("kill &lt;relay&gt;"), !marks.is_empty());
        }
    }
}
