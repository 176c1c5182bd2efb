#!/usr/bin/env bash
# The published crates build with the oldest versions of what they depend on that their manifests allow.
#
# Of what they name themselves, that is: what is further down takes its newest, since old manifests down there are wrong.
# Skips, and says so, without a registry.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}/minimal")
tree=$target/tree

# A tree of what is published, since what is for our tests alone needs no old versions.
rm -rf "$tree"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard -- Cargo.toml core adapters testkit tests/toy |
    xargs -0 cp --parents --no-dereference --target-directory="$tree"
cp LICENSE-* "$tree"
cd "$tree"
sed -i -E '/^    "(examples(\/[a-z]+)?|tests(\/(bench|load|pages|pairs|rolling))?)",$/d' Cargo.toml
for manifest in core/Cargo.toml adapters/*/Cargo.toml testkit/Cargo.toml tests/toy/Cargo.toml; do
    python3 - "$manifest" <<'P'
import re, sys
manifest = open(sys.argv[1]).read()
# Development dependencies decide nothing for whoever depends on the crate.
open(sys.argv[1], "w").write(re.sub(r"^\[(target\..*\.)?dev-dependencies\]\n(?:(?!\[).*\n)*", "", manifest, flags=re.M))
P
done

export RUSTC_BOOTSTRAP=1
if ! cargo -Z direct-minimal-versions generate-lockfile 2>"$target/log"; then
    cat "$target/log" >&2
    grep -qE 'failed to (download|fetch|query|update)|could not resolve|network' "$target/log" || exit 1
    skipped=1
elif ! cargo fetch --locked 2>"$target/log"; then
    cat "$target/log" >&2
    skipped=1
fi
if [ "${skipped-}" ]; then
    echo "minimal: SKIPPED, old versions cannot be had from here"
    exit 0
fi
cargo check --workspace --all-features --locked --target-dir "$target"
