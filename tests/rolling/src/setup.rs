//! What is restarted, and behind what.

use std::fmt;
use std::str::FromStr;

/// A proxy, and what it speaks to the replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    Haproxy,
    HaproxyHttp2,
    HaproxyGrpc,
    Nginx,
}

/// A server.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// Where it is, from the folder of the example servers.
    pub(crate) path: &'static str,
    pub(crate) setups: &'static [Setup],
    pub(crate) by_default: bool,
}

const HTTP1: &[Setup] = &[Setup::Haproxy, Setup::Nginx];
const HTTP: &[Setup] = &[Setup::Haproxy, Setup::HaproxyHttp2, Setup::Nginx];

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject { name: "server", path: "server", setups: HTTP, by_default: true },
    Subject { name: "server_smol_hyper", path: "server_smol_hyper", setups: HTTP, by_default: true },
    Subject { name: "server_axum", path: "server_axum", setups: HTTP, by_default: false },
    Subject { name: "server_axum_smol", path: "server_axum_smol", setups: HTTP, by_default: false },
    Subject { name: "server_smol_h1", path: "server_smol_h1", setups: HTTP1, by_default: false },
    Subject { name: "server_async_std_h1", path: "server_async_std_h1", setups: HTTP1, by_default: false },
    Subject { name: "grpc", path: "../grpc", setups: &[Setup::HaproxyGrpc], by_default: true },
];

impl Setup {
    pub(crate) fn is_haproxy(self) -> bool {
        self != Self::Nginx
    }
}

const NAMES: [(Setup, &str); 4] = [
    (Setup::Haproxy, "haproxy"),
    (Setup::HaproxyHttp2, "haproxy-http2"),
    (Setup::HaproxyGrpc, "haproxy-grpc"),
    (Setup::Nginx, "nginx"),
];

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(setup, _)| setup == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Setup {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = NAMES.iter().find(|(_, it)| *it == name);
        known.map(|(setup, _)| *setup).ok_or_else(|| format!("there is no setup {name}"))
    }
}
