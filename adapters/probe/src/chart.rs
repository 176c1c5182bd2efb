//! The chart of a drain: how many guards were held, as an SVG.

use std::fmt;
use std::time::Duration;

use crate::history::Point;
use crate::snapshot::Seconds;

/// A curve of the guards that were held, from the beginning of the drain to its deadline.
pub(crate) struct Chart<'a> {
    points: &'a [Point],
    deadline: Option<Duration>,
}

/// The inside of the picture. It is stretched to the width of the page, so there is no text in it.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 100.0;
/// How much of time is drawn at least.
const SHORTEST: Duration = Duration::from_secs(1);

impl<'a> Chart<'a> {
    /// None without a point.
    pub(crate) fn of(points: &'a [Point], deadline: Option<Duration>) -> Option<Self> {
        (!points.is_empty()).then_some(Self { points, deadline })
    }
}

// A picture is drawn to the tenth of a pixel.
#[allow(clippy::cast_precision_loss)]
impl fmt::Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, .., last] = self.points else { return self.points.iter().try_for_each(|it| single(f, *it)) };
        let most = self.points.iter().map(|it| it.guards).max().unwrap_or(0).max(1);
        let end = last.at.max(SHORTEST).max(self.deadline.unwrap_or_default());
        let x = |at: Duration| at.as_secs_f64() / end.as_secs_f64() * WIDTH;
        let y = |guards: usize| HEIGHT - guards as f64 / most as f64 * HEIGHT;
        write!(f, "<figure><div class=\"scale\"><span>{most}</span><span>now {}</span></div>", last.guards)?;
        write!(
            f,
            "<svg viewBox=\"0 -2 {WIDTH} {}\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{} held at first, {} now, {most} at most\">",
            HEIGHT + 4.0,
            first.guards,
            last.guards
        )?;
        for line in [0.0, HEIGHT / 2.0, HEIGHT] {
            write!(f, "<path class=\"grid\" d=\"M0 {line}H{WIDTH}\" vector-effect=\"non-scaling-stroke\"></path>")?;
        }
        // What is held changes in steps.
        let steps = |f: &mut fmt::Formatter<'_>| {
            write!(f, "M{:.1} {:.1}", x(first.at), y(first.guards))?;
            self.points[1..].iter().try_for_each(|it| write!(f, "H{:.1}V{:.1}", x(it.at), y(it.guards)))
        };
        f.write_str("<path class=\"area\" d=\"")?;
        steps(f)?;
        write!(
            f,
            "V{HEIGHT}H{:.1}Z\"></path><path class=\"curve\" vector-effect=\"non-scaling-stroke\" d=\"",
            x(first.at)
        )?;
        steps(f)?;
        f.write_str("\"></path>")?;
        if let Some(deadline) = self.deadline {
            let at = x(deadline);
            write!(f, "<path class=\"limit\" d=\"M{at:.1} 0V{HEIGHT}\" vector-effect=\"non-scaling-stroke\"></path>")?;
        }
        let what = if self.deadline == Some(end) { " deadline" } else { "" };
        write!(f, "</svg><div class=\"scale\"><span>0 s</span><span>{}{what}</span></div></figure>", Seconds(end))
    }
}

fn single(f: &mut fmt::Formatter<'_>, point: Point) -> fmt::Result {
    write!(f, "<p class=\"none\">{} at the beginning</p>", point.guards)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(u64, usize)], deadline: Option<u64>) -> String {
        let points: Vec<_> =
            points.iter().map(|(at, guards)| Point { at: Duration::from_secs(*at), guards: *guards }).collect();
        Chart::of(&points, deadline.map(Duration::from_secs)).map(|it| it.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_curve_goes_in_steps_from_the_beginning_to_the_deadline() {
        let chart = chart(&[(0, 4), (5, 2), (10, 0)], Some(20));
        assert!(chart.contains("d=\"M0.0 0.0H150.0V50.0H300.0V100.0\""), "{chart}");
        assert!(chart.contains("4 held at first, 0 now, 4 at most"), "{chart}");
        assert!(chart.contains("d=\"M600.0 0V100\"") && chart.contains("20 s deadline"), "{chart}");
    }

    #[test]
    fn a_drain_that_outlasts_its_deadline_is_drawn_to_its_end() {
        let chart = chart(&[(0, 1), (40, 1)], Some(20));
        assert!(chart.contains("d=\"M300.0 0V100\"") && chart.contains("<span>40 s</span>"), "{chart}");
    }

    #[test]
    fn without_points_there_is_no_chart_and_with_one_there_is_a_number() {
        assert_eq!(chart(&[], Some(20)), "");
        assert_eq!(chart(&[(0, 3)], None), "<p class=\"none\">3 at the beginning</p>");
    }
}
