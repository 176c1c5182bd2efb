#!/usr/bin/env bash
# Builds the workspace with the oldest compiler it promises (rust-version in Cargo.toml): a rustup toolchain where there
# is one, else the compiler that Debian 12 packages for browsers, unpacked and not installed. Skips, and says so, where
# neither can be had.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
target=${CARGO_TARGET_DIR:-target}/msrv

# Without development dependencies: those are nobody's but ours. The examples are no package of anybody's either.
build() { cargo check --workspace --exclude ebbtide-examples --exclude ebbtide-tests --exclude ebbtide-bench --exclude ebbtide-load --target-dir "$target" --locked "$@"; }

if rustc "+$version" --version >/dev/null 2>&1; then
    RUSTUP_TOOLCHAIN=$version build
    echo "msrv: builds with $(rustc "+$version" --version)"
    exit 0
fi

root=${XDG_CACHE_HOME:-$HOME/.cache}/ebbtide-msrv/$version
if [ ! -x "$root/usr/bin/rustc" ]; then
    rm -rf "$root"
    mkdir -p "$root"
    if ! (
        cd "$root"
        full=$(apt-cache madison rustc-web 2>/dev/null | awk -v v="$version" '$3 ~ "^" v { print $3; exit }')
        [ -n "$full" ] || { apt-get update && full=$(apt-cache madison rustc-web | awk -v v="$version" '$3 ~ "^" v { print $3; exit }'); }
        [ -n "$full" ]
        apt-get download "rustc-web=$full" "libstd-rust-web-$version=$full" "libstd-rust-web-dev=$full" libllvm19
        for package in *.deb; do dpkg -x "$package" .; done
        rm ./*.deb
    ) >"$root.log" 2>&1; then
        echo "msrv: SKIPPED, no compiler $version: neither from rustup nor from Debian's packages ($root.log says why)"
        rm -rf "$root"
        exit 0
    fi
fi
wrapper=$root/rustc
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/rustc" >"$wrapper"
chmod +x "$wrapper"
RUSTC=$wrapper build
echo "msrv: builds with $("$wrapper" --version)"
