//! The pages that show programs: each program is compiled, and run unless its page says `no_run`.
//!
//! Here and not in the crates, so that nobody who builds one of those builds what another one's page needs.

#![cfg(doctest)]

#[doc = include_str!("../../../README.md")]
struct Readme;

#[doc = include_str!("../../../docs/from-go.md")]
struct FromGo;

#[doc = include_str!("../../../docs/from-tokio-util.md")]
struct FromTokioUtil;

#[doc = include_str!("../../../docs/from-hyper-util.md")]
struct FromHyperUtil;

#[doc = include_str!("../../../docs/from-axum.md")]
struct FromAxum;

#[doc = include_str!("../../../docs/from-spring-and-dotnet.md")]
struct FromSpring;

#[doc = include_str!("../../../docs/from-tokio-graceful-shutdown.md")]
struct FromTokioGracefulShutdown;

#[doc = include_str!("../../../docs/for-libraries.md")]
struct ForLibraries;

#[doc = include_str!("../../../docs/misuse.md")]
struct Misuse;

#[doc = include_str!("../../../docs/hosts.md")]
struct Hosts;

#[doc = include_str!("../../../adapters/accept/README.md")]
struct Accept;

#[doc = include_str!("../../../adapters/async-h1/README.md")]
struct AsyncH1;

#[doc = include_str!("../../../adapters/async-std/README.md")]
struct AsyncStd;

#[doc = include_str!("../../../adapters/axum/README.md")]
struct Axum;

#[doc = include_str!("../../../adapters/connection/README.md")]
struct Connection;

#[doc = include_str!("../../../adapters/goodbye/README.md")]
struct Goodbye;

#[doc = include_str!("../../../adapters/hyper/README.md")]
struct Hyper;

#[doc = include_str!("../../../adapters/rustls/README.md")]
struct Rustls;

#[doc = include_str!("../../../adapters/service/README.md")]
struct Service;

#[doc = include_str!("../../../adapters/signal/README.md")]
struct Signal;

#[doc = include_str!("../../../adapters/smol/README.md")]
struct Smol;

#[doc = include_str!("../../../adapters/socket/README.md")]
struct Socket;

#[doc = include_str!("../../../adapters/tokio/README.md")]
struct Tokio;

#[doc = include_str!("../../../adapters/tonic/README.md")]
struct Tonic;
