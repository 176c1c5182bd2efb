//! The rows of what is held, and their sums.

use std::collections::HashMap;

use ebbtide::State;
use ebbtide_connection::ConnectionInfo;

use crate::observer::Inside;
use crate::record::{CONNECTION, UNLABELLED};
use crate::snapshot::{Kind, Row, Seconds};
use crate::text::clipped;
use crate::view::PartSeen;

/// What is held, row by row, and how much that is.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) list: Vec<Row>,
    /// Which row is that of the connection with this name.
    connections: HashMap<String, usize>,
    pub(crate) guards: usize,
    pub(crate) labels: HashMap<String, usize>,
}

/// How long a text is at most, in bytes.
const LONGEST: usize = 200;
/// How many requests of a connection are named. One of HTTP/2 may have hundreds.
const REQUESTS: usize = 4;

impl Rows {
    /// The rows of these connections, whoever holds them.
    pub(crate) fn of(connections: &[ConnectionInfo]) -> Self {
        let list: Vec<_> = connections.iter().map(row_of).collect();
        let connections = list.iter().enumerate().map(|(at, it)| (it.what.clone(), at)).collect();
        Self { list, connections, ..Self::default() }
    }

    /// Adds what a part holds, and returns how much that is, the part itself not counted.
    pub(crate) fn add(&mut self, part: &PartSeen, inside: Option<&Inside>) -> usize {
        let name = part.name.as_ref().map(|it| clipped(it, LONGEST));
        let (mut is_there_itself, mut labelled, before) = (false, 0, self.guards);
        for held in &part.held {
            labelled += held.guards();
            for held in inside.map_or_else(|| vec![held.clone()], |inside| inside(held.clone())) {
                let what = clipped(held.label(), LONGEST);
                if Some(&what) == name.as_ref() {
                    is_there_itself = true;
                } else if let Some(row) = self.connection(&what) {
                    row.part.clone_from(&name);
                    // One, however many guards it has.
                    self.count(CONNECTION, 1);
                } else {
                    self.count(&what, held.guards());
                    self.list.push(row(Kind::Label, name.as_ref(), what, held.guards()));
                }
            }
        }
        let others = part.guards.saturating_sub(labelled);
        if others > 0 {
            self.count(UNLABELLED, others);
            let what = if others == 1 { "a guard without a label" } else { "guards without a label" };
            self.list.push(row(Kind::Unlabelled, name.as_ref(), what.to_owned(), others));
        }
        let held = self.guards - before;
        if let Some(name) = name.filter(|_| is_there_itself && part.state == State::Draining && held == 0) {
            self.count(&name, 1);
            self.list.push(row(Kind::Part, Some(&name), name.clone(), 1));
        }
        held
    }

    /// The connection that has this label. As a label it calls itself by its name, a colon, and what it is doing.
    fn connection(&mut self, label: &str) -> Option<&mut Row> {
        let name = label.split_once(": ").map_or(label, |it| it.0);
        self.connections.get(name).map(|at| &mut self.list[*at])
    }

    fn count(&mut self, label: &str, guards: usize) {
        self.guards += guards;
        *self.labels.entry(label.to_owned()).or_default() += guards;
    }
}

fn row_of(it: &ConnectionInfo) -> Row {
    let request =
        |it: &ebbtide_connection::RequestInfo| clipped(format_args!("{} {}", it.method(), it.path()), LONGEST);
    let mut requests: Vec<_> = it.requests().iter().take(REQUESTS).map(request).collect();
    if it.requests().len() > REQUESTS {
        requests.push(format!("{} more", it.requests().len() - REQUESTS));
    }
    let name = it.name().map_or_else(|| format!("connection {}", it.id()), |name| clipped(name, LONGEST));
    let (state, seconds) = (Some(it.state().to_string()), Seconds(it.age()));
    Row { state, requests, seconds, ..row(Kind::Connection, None, name, 1) }
}

fn row(kind: Kind, part: Option<&String>, what: String, guards: usize) -> Row {
    let (state, requests, seconds) = (None, Vec::new(), Seconds::default());
    Row { kind, what, part: part.cloned(), state, requests, guards, seconds }
}
