//! The bounds that our figures have to keep, and the table of everybody's.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::figure::{Figure, MANY, SIZES};

/// Everybody's figures, in the order of the columns; we are the first.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) figures: BTreeMap<Figure, f64>,
}

/// What our figure may be at most.
enum Bound {
    Absolute(f64),
    Of { times: f64, whose: &'static str, which: Figure },
}

pub(crate) const OURS: &str = "ebbtide";
pub(crate) const LIMIT: &str = "Arc";
pub(crate) const NEAREST: &str = "swansong";

/// How much a figure per item may differ between any two of the [`SIZES`] and still be called flat. A million items do
/// not fit the caches that a thousand fit, and memory alone makes a factor of two; whatever walks or searches what
/// others left makes one of a hundred.
const FLAT: f64 = 3.0;

fn bounds() -> Vec<(Figure, Bound)> {
    let of = |times, whose, which| Bound::Of { times, whose, which };
    let alone = Figure::Guard { threads: 1 };
    let subscribe = |threads| Figure::Subscribe { threads };
    vec![
        (alone, of(1.4, LIMIT, alone)),
        (Figure::Guard { threads: 2 }, of(1.15, OURS, alone)),
        (Figure::SharedGuard { threads: 2 }, of(1.15, OURS, Figure::SharedGuard { threads: 1 })),
        (Figure::Repoll, Bound::Absolute(1.5)),
        (Figure::Repoll, of(0.6, NEAREST, Figure::Repoll)),
        (subscribe(1), of(0.8, NEAREST, subscribe(1))),
        (subscribe(2), of(0.8, NEAREST, subscribe(2))),
        (Figure::Wake { waiting: MANY }, of(1.0, NEAREST, Figure::Wake { waiting: MANY })),
        (Figure::Heap { waiting: MANY }, Bound::Absolute(80.0)),
        (Figure::Release { held: MANY }, of(0.6, NEAREST, Figure::Release { held: MANY })),
    ]
}

/// Everybody's figures, in nanoseconds where they are not bytes.
pub(crate) fn figures(columns: &[Column]) -> String {
    let mut rows = vec![vec!["figure".to_owned()]];
    rows[0].extend(columns.iter().map(|it| it.name.to_owned()));
    for figure in columns[0].figures.keys() {
        let mut row = vec![figure.to_string()];
        row.extend(columns.iter().map(|it| it.figures.get(figure).map_or(String::new(), |value| number(*value))));
        rows.push(row);
    }
    markdown(&rows)
}

/// Each bound with our figure, and whether all are kept.
pub(crate) fn verdicts(columns: &[Column], wakes: usize) -> (String, bool) {
    let value = |whose: &str, which| {
        columns.iter().find(|it| it.name == whose).and_then(|it| it.figures.get(&which)).copied().unwrap_or(f64::NAN)
    };
    let mut rows = vec![["figure", OURS, "must reach", "is", ""].map(str::to_owned).to_vec()];
    let mut kept = true;
    let mut row = |what: String, ours: f64, bound: String, is: String, passes: bool| {
        kept &= passes;
        rows.push(vec![what, number(ours), bound, is, if passes { "pass" } else { "FAIL" }.to_owned()]);
    };
    for (figure, bound) in bounds() {
        let ours = value(OURS, figure);
        match bound {
            // Absent on a machine with one core.
            _ if ours.is_nan() => row(figure.to_string(), ours, String::new(), "not measured".into(), true),
            Bound::Absolute(most) => {
                row(figure.to_string(), ours, format!("<= {most}"), number(ours), ours <= most);
            }
            Bound::Of { times, whose, which } => {
                let ratio = ours / value(whose, which);
                let whose = if whose == OURS { "on 1 thread" } else { whose };
                row(figure.to_string(), ours, format!("<= {times} x {whose}"), format!("{ratio:.2} x"), ratio <= times);
            }
        }
    }
    row("wakes of `Drained` by the last guard".into(), as_number(wakes), "1".into(), wakes.to_string(), wakes == 1);
    let spread = |whose, per_item: fn(u32) -> Figure| {
        let values = SIZES.map(|size| value(whose, per_item(size)));
        let most = values.into_iter().fold(0.0, f64::max);
        (most, most / values.into_iter().fold(f64::INFINITY, f64::min))
    };
    for per_item in [
        |held| Figure::GuardAmong { held },
        |waiting| Figure::RepollAmong { waiting },
        |waiting| Figure::SubscribeAmong { waiting },
        |waiting| Figure::Wake { waiting },
        |waiting| Figure::Heap { waiting },
        |held| Figure::Release { held },
    ] {
        let ((most, ours), (_, nearest)) = (spread(OURS, per_item), spread(NEAREST, per_item));
        let what = format!("{} to {}, the most: {}", SIZES[0], SIZES[SIZES.len() - 1], per_item(MANY));
        let is = format!("{ours:.2} x ({NEAREST}: {nearest:.2} x)");
        row(what, most, format!("<= {FLAT} x the least"), is, ours <= FLAT);
    }
    (markdown(&rows), kept)
}

fn as_number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

fn number(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn markdown(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            let _ = if column == 0 { write!(out, "| {cell:width$} ") } else { write!(out, "| {cell:>width$} ") };
        }
        out.push_str("|\n");
        if index == 0 {
            for column in 0..row.len() {
                let line = "-".repeat(width(column));
                let _ = if column == 0 { write!(out, "| {line} ") } else { write!(out, "| {}: ", &line[1..]) };
            }
            out.push_str("|\n");
        }
    }
    out
}
