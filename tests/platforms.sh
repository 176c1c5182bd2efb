#!/usr/bin/env bash
# Type-checks the crates for platforms that this machine is not: Windows and macOS. Skips, and says so, where neither
# the toolchain has the target nor Debian's compiler can be had, which builds `std` from its source.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/debian.sh
version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
target=${CARGO_TARGET_DIR:-target}/platforms

# Nobody runs our tests there, and the examples need a C compiler for the target.
check() { # TARGET [OPTION...]
    "${compiler[@]}" cargo check --workspace --exclude ebbtide-examples --exclude ebbtide-example-servers --exclude ebbtide-queue --exclude ebbtide-tests --exclude ebbtide-bench \
        --exclude ebbtide-load --exclude ebbtide-pages --exclude ebbtide-pairs --exclude ebbtide-rolling \
        --features ebbtide-rustls/tokio,ebbtide-rustls/futures-io,ebbtide-axum/smol,ebbtide-axum/rustls,ebbtide-tonic/rustls,ebbtide-post-mortem/service,ebbtide-probe/metrics,ebbtide-tokio/tracing,ebbtide-smol/tracing,ebbtide-async-std/tracing --target-dir "$target" --locked --target "$@"
}

for platform in x86_64-pc-windows-msvc aarch64-apple-darwin; do
    compiler=(env)
    options=()
    if [ ! -d "$(rustc --print target-libdir --target "$platform")" ]; then
        rustc=$(debian_rustc "$version" rust-web-src) || {
            echo "platforms: SKIPPED, no compiler for $platform ($cache/rustc-$version.log says why)"
            continue
        }
        compiler=(env RUSTC="$rustc" RUSTC_BOOTSTRAP=1)
        options=(-Zbuild-std=std,panic_abort)
    fi
    check "$platform" "${options[@]}"
    echo "platforms: checked for $platform"
done
