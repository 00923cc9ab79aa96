//! Straight lines through points, and round numbers for axes.

/// The line of least squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fit {
    pub slope: f64,
    pub intercept: f64,
    /// How much of the differences the line explains (the coefficient of determination); nothing if there are none.
    pub r_squared: Option<f64>,
}

impl Fit {
    /// Through points, of which at least two must not be above each other.
    pub fn of(points: &[(f64, f64)]) -> Option<Self> {
        let count = crate::outcome::number(u64::try_from(points.len()).ok()?);
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let sum = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|point| of(point.0, point.1)).sum::<f64>();
        let width = sum(&|px, _| (px - x).powi(2));
        if points.is_empty() || width <= 0.0 {
            return None;
        }
        let slope = sum(&|px, py| (px - x) * (py - y)) / width;
        let intercept = slope.mul_add(-x, y);
        let all = sum(&|_, py| (py - y).powi(2));
        let rest = sum(&|px, py| (py - slope.mul_add(px, intercept)).powi(2));
        Some(Self { slope, intercept, r_squared: (all > 0.0).then(|| 1.0 - rest / all) })
    }

    /// The line's height at a place.
    pub fn at(&self, x: f64) -> f64 {
        self.slope.mul_add(x, self.intercept)
    }
}

/// Round numbers from `lowest` (at most 0) up to at least `highest`, about five steps: 1, 2 or 5 times a power of ten,
/// and at least `smallest`.
pub(super) fn ticks(lowest: f64, highest: f64, smallest: f64) -> Vec<f64> {
    let (lowest, highest) = (lowest.min(0.0), highest.max(0.0));
    let span = if highest > lowest { highest - lowest } else { 1.0 };
    let power = 10_f64.powf((span / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    let step = step.into_iter().find(|step| span / step <= 5.0 + 1e-9).unwrap_or(span).max(smallest);
    let first = (lowest / step + 1e-9).floor();
    let last = ((lowest + span).max(highest) / step - 1e-9).ceil();
    let mut ticks = Vec::new();
    let mut tick = first;
    while tick <= last {
        ticks.push(tick * step);
        tick += 1.0;
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_about(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-9
    }

    #[test]
    fn a_line_is_found_exactly() {
        let fit = Fit::of(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)]).expect("a line");
        assert!(is_about(fit.slope, 2.0) && is_about(fit.intercept, 3.0) && is_about(fit.at(10.0), 23.0));
        assert!(fit.r_squared.is_some_and(|r_squared| is_about(r_squared, 1.0)));
    }

    #[test]
    fn what_is_off_the_line_lowers_its_share() {
        // By hand: squares about the mean of 2 add up to 4, of which 0.8 remain about the line.
        let fit = Fit::of(&[(0.0, 1.0), (1.0, 1.0), (2.0, 3.0), (3.0, 3.0)]).expect("a line");
        assert!(is_about(fit.slope, 0.8) && is_about(fit.intercept, 0.8), "{fit:?}");
        assert!(fit.r_squared.is_some_and(|r_squared| is_about(r_squared, 0.8)), "{fit:?}");
    }

    #[test]
    fn no_line_goes_through_one_place_and_a_level_one_explains_nothing() {
        assert_eq!(Fit::of(&[]), None);
        assert_eq!(Fit::of(&[(1.0, 5.0), (1.0, 6.0)]), None);
        let level = Fit { slope: 0.0, intercept: 5.0, r_squared: None };
        assert_eq!(Fit::of(&[(1.0, 5.0), (2.0, 5.0)]), Some(level));
    }

    #[test]
    fn ticks_are_round_and_hold_everything() {
        assert_eq!(ticks(0.0, 2.0, 1.0), [0.0, 1.0, 2.0]);
        for (lowest, highest, expected) in [
            (0.0, 15_000.0, vec![0.0, 5_000.0, 10_000.0, 15_000.0]),
            (0.0, 3.0, vec![0.0, 1.0, 2.0, 3.0]),
            (0.0, 0.09, vec![0.0, 0.02, 0.04, 0.06, 0.08, 0.1]),
            (-3.0, 95.0, vec![-20.0, 0.0, 20.0, 40.0, 60.0, 80.0, 100.0]),
            (0.0, 0.0, vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ] {
            let ticks = ticks(lowest, highest, 0.0);
            assert!(ticks.len() == expected.len(), "{ticks:?} for {expected:?}");
            assert!(
                ticks.iter().zip(&expected).all(|(tick, expected)| is_about(*tick, *expected)),
                "{ticks:?}"
            );
        }
    }
}
