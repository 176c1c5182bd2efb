//! A runtime, and an HTTP engine on it.

use std::fmt;
use std::str::FromStr;

/// One that ebbtide serves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Pair {
    TokioHyper,
    TokioAxum,
    SmolHyper,
    SmolH1,
    AsyncStdH1,
}

impl Pair {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::TokioHyper, Self::TokioAxum, Self::SmolHyper, Self::SmolH1, Self::AsyncStdH1];

    /// The example that serves on it.
    pub fn example(self) -> &'static str {
        match self {
            Self::TokioHyper => "server",
            Self::TokioAxum => "server_axum",
            Self::SmolHyper => "server_smol_hyper",
            Self::SmolH1 => "server_smol_h1",
            Self::AsyncStdH1 => "server_async_std_h1",
        }
    }

    /// Whether it speaks HTTP/2 too.
    pub fn has_http2(self) -> bool {
        matches!(self, Self::TokioHyper | Self::TokioAxum | Self::SmolHyper)
    }

    fn name(self) -> &'static str {
        match self {
            Self::TokioHyper => "tokio+hyper",
            Self::TokioAxum => "tokio+axum",
            Self::SmolHyper => "smol+hyper",
            Self::SmolH1 => "smol+h1",
            Self::AsyncStdH1 => "async-std+h1",
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let pair = Self::ALL.into_iter().find(|pair| pair.name() == name);
        pair.ok_or_else(|| format!("there is no {name}; there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}
