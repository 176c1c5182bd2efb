//! A picture of lines, readable on a light and on a dark page.

use std::fmt;

/// Points at equal distances across, on a logarithmic scale upwards.
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) across: &'static str,
    pub(crate) up: &'static str,
    /// Each a name and its points; all have the same places across, or no point. The first is drawn strongest. A
    /// line's colour is that of its place here, so that a name has one colour in all pictures.
    pub(crate) lines: Vec<Line>,
}

pub(crate) type Line = (&'static str, Vec<(String, f64)>);

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 340.0;
/// The least distance of two names at the right.
const LINE: f64 = 17.0;
/// Told apart on white and on black, also by those who see red and green as one (after Okabe and Ito).
const COLOURS: [&str; 8] = ["#0090d0", "#888888", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#b0a000", "#7f6fd0"];

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-size:16px;font-weight:600}\
    .grid{stroke:#8884;stroke-width:1}.page{fill:#fff}path{fill:none;stroke-width:1.6}\
    @media(prefers-color-scheme:dark){text{fill:#d5dae0}.page{fill:#0d1117}}";

impl Plot {
    /// The decades that hold all points.
    fn decades(&self) -> (f64, f64) {
        let all = || self.lines.iter().flat_map(|(_, points)| points.iter().map(|(_, value)| value.log10()));
        (all().fold(f64::INFINITY, f64::min).floor(), all().fold(f64::NEG_INFINITY, f64::max).ceil())
    }

    fn drawn(&self) -> impl DoubleEndedIterator<Item = (&Line, &'static str)> {
        self.lines.iter().zip(COLOURS).filter(|((_, points), _)| !points.is_empty())
    }

    fn y(&self, value: f64) -> f64 {
        let (low, high) = self.decades();
        BOTTOM - (value.log10() - low) / (high - low) * (BOTTOM - TOP)
    }

    fn grid(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.decades();
        let decades = std::iter::successors(Some(low), |it| Some(it + 1.0)).take_while(|it| *it <= high);
        for value in decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|it| it * 10_f64.powf(decade))) {
            let y = self.y(value);
            if y < TOP - 0.5 {
                continue;
            }
            writeln!(f, r#"<path class="grid" d="M{LEFT} {y:.1}H{RIGHT}"/>"#)?;
            writeln!(f, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{value}</text>"#, LEFT - 8.0, y + 4.0)?;
        }
        Ok(())
    }

    /// Names stand where their lines end, moved apart where they would overlap.
    fn names(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |points: &[(String, f64)]| points.last().map_or(BOTTOM, |(_, value)| self.y(*value));
        let mut ends: Vec<_> = self.drawn().map(|((name, points), colour)| (end(points), *name, colour)).collect();
        ends.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut free = BOTTOM + LINE;
        for (y, name, colour) in ends {
            let at = y.min(free - LINE);
            free = at;
            let (from, to) = (RIGHT + 4.0, RIGHT + 22.0);
            writeln!(f, r#"<path stroke="{colour}" stroke-opacity=".6" d="M{from} {y:.1}L{to} {at:.1}"/>"#)?;
            let weight = if name == self.lines[0].0 { "700" } else { "400" };
            writeln!(
                f,
                r#"<text x="{:.1}" y="{:.1}" font-weight="{weight}" style="fill:{colour};font-weight:{weight}">{name}</text>"#,
                to + 4.0,
                at + 4.0
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">"#)?;
        writeln!(f, "<title>{}: {} by {}</title>", self.title, self.up, self.across)?;
        writeln!(f, "<style>{STYLE}</style>")?;
        writeln!(f, r#"<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>"#)?;
        writeln!(f, r#"<text class="title" x="{LEFT}" y="26">{}, {}</text>"#, self.title, self.up)?;
        self.grid(f)?;
        let places = self.lines.first().map_or(0, |(_, points)| points.len());
        let steps = u32::try_from(places.saturating_sub(1).max(1)).map_or(1.0, f64::from);
        let xs = std::iter::successors(Some(LEFT), |x| Some(x + (RIGHT - LEFT) / steps));
        let middle = f64::midpoint(LEFT, RIGHT);
        writeln!(f, r#"<text x="{middle}" y="385" text-anchor="middle">{}</text>"#, self.across)?;
        for (x, (place, _)) in xs.clone().zip(&self.lines[0].1) {
            writeln!(f, r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{place}</text>"#, BOTTOM + 20.0)?;
        }
        // The first last, so that it lies on top.
        for ((name, points), colour) in self.drawn().rev() {
            let width = if *name == self.lines[0].0 { "3" } else { "1.6" };
            write!(f, r#"<path stroke="{colour}" style="stroke-width:{width}" d=""#)?;
            for (index, (x, (_, value))) in xs.clone().zip(points).enumerate() {
                write!(f, "{}{x:.1} {:.1}", if index == 0 { 'M' } else { 'L' }, self.y(*value))?;
            }
            writeln!(f, r#""/>"#)?;
        }
        self.names(f)?;
        f.write_str("</svg>\n")
    }
}
