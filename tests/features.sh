#!/usr/bin/env bash
# Every published crate is right with each of its features alone, with none, and with all.
set -euo pipefail
cd "$(dirname "$0")/.."

# CRATE and FEATURE..., the default features among them.
crates=$(cargo metadata --locked --no-deps --format-version 1 |
    python3 -c 'import json, sys
for package in json.load(sys.stdin)["packages"]:
    if package["publish"] != [] and package["features"]: print(package["name"], *package["features"])')

check() { # CRATE OPTION...
    echo "features: $*"
    cargo clippy --quiet --locked --no-deps -p "$@" -- -D warnings
}

while read -r crate features; do
    # The core has no lock without any feature, and refuses; .ci/run wants that. So the others are with one that has.
    base=
    [ "$crate" != ebbtide ] || base=critical-section,
    [ "$crate" = ebbtide ] || check "$crate" --no-default-features
    for feature in $features; do
        check "$crate" --no-default-features --features "$base$feature"
    done
    check "$crate" --all-features
done <<<"$crates"
