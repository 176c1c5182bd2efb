//! What a whole service waits for.

use ebbtide::{Held, State};
use ebbtide_service::{PartStatus, StageStatus, Status};

use crate::holder::Holder;

/// What is held by the stage that is to end now, and by those before it, which a forced close may have left behind. Later
/// stages have their parts, too, but nobody waits for those yet.
pub(crate) fn holders(status: &Status) -> Vec<Holder> {
    let stages = status.stages();
    let ended = stages.iter().take_while(|it| it.state() == State::Closed).count();
    stages.iter().take(ended + 1).flat_map(StageStatus::parts).flat_map(of_part).collect()
}

/// What a part holds; the part itself if that is nothing else.
fn of_part(part: &PartStatus) -> Vec<Holder> {
    let inner = part.held().iter().filter(|it| it.label() != part.label());
    let named = |it: &Held| {
        let Holder { what, .. } = Holder::from(it);
        Holder { guards: it.guards(), ..Holder::new(format_args!("{}: {what}", part.label())) }
    };
    let mut holders: Vec<_> = inner.map(named).collect();
    if holders.is_empty() && part.guards() > 0 {
        holders.push(Holder::new(part.label()));
    }
    holders
}
