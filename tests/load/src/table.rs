//! What is printed.

use std::fmt;
use std::time::Duration;

/// Rows under their names.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Without rows as yet.
    pub(crate) fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        Self { title: title.into(), rows: vec![columns.iter().map(ToString::to_string).collect()] }
    }

    /// One row more.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(String::len).max();
        writeln!(f, "\n{}\n", self.title)?;
        for (at, row) in self.rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                let width = width(column).unwrap_or_default();
                if column == 0 { write!(f, "| {cell:<width$} |")? } else { write!(f, " {cell:>width$} |")? }
            }
            writeln!(f)?;
            if at == 0 {
                let rules = (0..row.len()).map(|column| "-".repeat(width(column).unwrap_or_default()));
                writeln!(f, "|-{}-|", rules.collect::<Vec<_>>().join("-|-"))?;
            }
        }
        Ok(())
    }
}

/// Times, in the order of their length.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// One more.
    pub(crate) fn add(&mut self, time: Duration) {
        let at = self.0.partition_point(|it| *it <= time);
        self.0.insert(at, time);
    }

    /// The one in the middle.
    pub(crate) fn median(&self) -> Duration {
        self.at(50)
    }

    /// The one that nine of ten are not longer than.
    pub(crate) fn ninetieth(&self) -> Duration {
        self.at(90)
    }

    /// The longest.
    pub(crate) fn worst(&self) -> Duration {
        self.at(100)
    }

    fn at(&self, percent: usize) -> Duration {
        let at = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(at).copied().unwrap_or_default()
    }
}

/// Milliseconds, for a cell.
pub(crate) fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
