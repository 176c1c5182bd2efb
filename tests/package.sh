#!/usr/bin/env bash
# Packages every crate that is published, as `cargo publish` would, and builds each from its package alone. Each must have
# its README and both licences, and nothing that leads out of the package.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}/package-check

# NAME VERSION of each; `publish = false` is an empty list of registries.
published=$(cargo metadata --locked --no-deps --format-version 1 |
    python3 -c 'import json, sys
for package in json.load(sys.stdin)["packages"]:
    if package["publish"] != []: print(package["name"], package["version"])')

chosen=()
while read -r name _; do chosen+=(-p "$name"); done <<<"$published"
# From the beginning each time: of one version cargo knows but one package, and would take the last run's, built or
# unpacked. (The directory of a registry without a host has a name without one.)
rm -rf "$target"
while read -r name version; do
    rm -rf "${CARGO_HOME:-$HOME/.cargo}/registry/src/"-*/"$name-$version"
done <<<"$published"
# Nobody looks into these builds.
export CARGO_PROFILE_DEV_DEBUG=0
# A tree with changes is packaged as it is: this is a check, not a release.
cargo package "${chosen[@]}" --locked --allow-dirty --target-dir "$target" "$@"

missing=0
while read -r name version; do
    package=$name-$version
    files=$(tar -tzf "$target/package/$package.crate")
    for file in README.md LICENSE-MIT LICENSE-APACHE; do
        grep -qx "$package/$file" <<<"$files" || { echo "$package has no $file" >&2; missing=1; }
    done
    # What `include_str!` and a link of a README mean must be in the package too.
    while read -r link; do
        grep -qx "$package/$link" <<<"$files" || { echo "$package: its README leads to $link, which is not in it" >&2; missing=1; }
    done < <(tar -xzOf "$target/package/$package.crate" "$package/README.md" | grep -oP '\]\(\K(?!https?://|#)[^) ]+' || true)
done <<<"$published"
exit "$missing"
