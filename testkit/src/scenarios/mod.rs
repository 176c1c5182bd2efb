//! The promises, by what they are about.

mod clients;
mod force;
mod guards;
mod handshakes;
mod heads;
mod http2;
mod idle;
mod lame_duck;
mod late;
mod listener;
mod load;
mod owners;
mod requests;
mod unread;
mod upgrades;

use crate::promise::Promise;
use crate::sockets::Sockets;
use crate::world::World;

/// Those that hold in every world.
pub(crate) fn all<W: World>() -> Vec<Promise<W>> {
    let mut all = Vec::new();
    all.extend(requests::promises());
    all.extend(unread::promises());
    all.extend(clients::promises());
    all.extend(idle::promises());
    all.extend(heads::promises());
    all.extend(late::promises());
    all.extend(handshakes::promises());
    all.extend(lame_duck::promises());
    all.extend(listener::promises());
    all.extend(upgrades::promises());
    all.extend(guards::promises());
    all.extend(force::promises());
    all.extend(http2::promises());
    all
}

/// Those, and the ones that need many clients at the same instant.
pub(crate) fn over_sockets() -> Vec<Promise<Sockets>> {
    let mut all = all();
    all.extend(load::promises());
    all.extend(owners::promises());
    all
}
