//! The history of a drain: how many guards were held, from its beginning to its end.

use std::time::Duration;

/// How many guards were held so long after the beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) at: Duration,
    pub(crate) guards: usize,
}

/// The points of a drain, never more than [`MOST`]: the longer it takes, the further they are apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    points: Vec<Point>,
    apart: Duration,
}

const MOST: usize = 240;

impl History {
    /// Adds a point. The last one always stays, so the latest is shown as it is.
    pub(crate) fn add(&mut self, point: Point) {
        match &self.points[..] {
            [.., last] if point.at <= last.at => return,
            [.., before, last] if last.at < before.at + self.apart => {
                self.points.pop();
            }
            _ => {}
        }
        self.points.push(point);
        if self.points.len() > MOST {
            let mut at = 0;
            self.points.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            // Each two of them are now about so far apart.
            self.apart = point.at / u32::try_from(self.points.len()).unwrap_or(1);
        }
    }

    pub(crate) fn points(&self) -> &[Point] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(ms: u64) -> Point {
        Point { at: Duration::from_millis(ms), guards: usize::try_from(ms).unwrap() }
    }

    #[test]
    fn a_long_drain_has_few_points_from_its_beginning_to_its_end() {
        let mut history = History::default();
        for at in 0..100_000 {
            history.add(point(at * 250));
            assert!(history.points().len() <= MOST);
        }
        let points = history.points();
        assert_eq!((points[0], points[points.len() - 1]), (point(0), point(99_999 * 250)));
        assert!(points.len() > MOST / 4, "{} points", points.len());
        let farthest = Duration::from_secs(100_000 / 4 / 30);
        assert!(points.windows(2).all(|it| it[1].at < it[0].at + farthest), "they are spread");
    }

    #[test]
    fn a_moment_has_one_point() {
        let mut history = History::default();
        for at in [1, 1, 0, 2] {
            history.add(point(at));
        }
        assert_eq!(history.points(), [point(1), point(2)]);
    }
}
