//! Reports side by side.

use std::fmt;

use ebbtide_testkit::{Report, Verdict};

/// A row for each promise, a column for each server, and below them what is to be said about the cells.
#[derive(Debug)]
pub struct Table<'a>(pub &'a [Report]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.0.first() else { return Ok(()) };
        write!(f, "| promise |")?;
        self.0.iter().try_for_each(|it| write!(f, " {} |", it.server()))?;
        write!(f, "\n|---|{}", "---|".repeat(self.0.len()))?;
        let mut notes = Vec::new();
        for promise in first.outcomes().iter().map(|it| it.promise) {
            write!(f, "\n| {} |", promise.replace('_', " "))?;
            for report in self.0 {
                let (cell, note) = match report.verdict(promise) {
                    Some(Verdict::Kept) => ("yes", None),
                    Some(Verdict::Broken(how)) => ("**no**", Some(how)),
                    Some(Verdict::NotOffered(why)) => ("-", Some(why)),
                    None => ("?", None),
                };
                match note {
                    None => write!(f, " {cell} |")?,
                    Some(note) => {
                        let at = notes.iter().position(|it| it == note).unwrap_or_else(|| {
                            notes.push(note.clone());
                            notes.len() - 1
                        });
                        write!(f, " {cell} [{}] |", at + 1)?;
                    }
                }
            }
        }
        writeln!(f)?;
        notes.iter().enumerate().try_for_each(|(at, note)| write!(f, "\n[{}] {note}", at + 1))
    }
}
