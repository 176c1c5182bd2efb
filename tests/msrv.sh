#!/usr/bin/env bash
# Builds the workspace with the oldest compiler it promises (rust-version in Cargo.toml): a rustup toolchain where there
# is one, else the compiler that Debian 12 packages for browsers, unpacked and not installed. Skips, and says so, where
# neither can be had.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/debian.sh
version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
target=${CARGO_TARGET_DIR:-target}/msrv

# Without development dependencies: those are nobody's but ours. The examples are no package of anybody's either.
build() { cargo check --workspace --exclude ebbtide-examples --exclude ebbtide-example-servers --exclude ebbtide-queue --exclude ebbtide-tests --exclude ebbtide-bench --exclude ebbtide-load --exclude ebbtide-pages --exclude ebbtide-pairs --exclude ebbtide-rolling --features ebbtide-rustls/tokio,ebbtide-rustls/futures-io,ebbtide-axum/smol,ebbtide-axum/rustls,ebbtide-tonic/rustls,ebbtide-post-mortem/service,ebbtide-probe/metrics,ebbtide-tokio/tracing,ebbtide-smol/tracing,ebbtide-async-std/tracing --target-dir "$target" --locked "$@"; }

if rustc "+$version" --version >/dev/null 2>&1; then
    RUSTUP_TOOLCHAIN=$version build
    echo "msrv: builds with $(rustc "+$version" --version)"
    exit 0
fi

rustc=$(debian_rustc "$version") || {
    echo "msrv: SKIPPED, no compiler $version: neither from rustup nor from Debian's packages ($cache/rustc-$version.log says why)"
    exit 0
}
RUSTC=$rustc build
echo "msrv: builds with $("$rustc" --version)"
