#!/usr/bin/env bash
# The public items of every published crate are those that tests/api/CRATE.txt lists, and name the crates of others that its
# first line lists and no more. So no item goes, changes or comes unseen; a line less or another one is a break, for users of
# what is released. `--write` takes the items as they are: the diff is for the review and for the changelog.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}/api

if [ "$(uname -s)" != Linux ]; then
    echo "api: SKIPPED, the lists are Linux's"
    exit 0
fi

published=$(cargo metadata --locked --no-deps --format-version 1 |
    python3 -c 'import json, sys
for package in json.load(sys.stdin)["packages"]:
    if package["publish"] != []: print(package["name"])')

changed=0
for crate in $published; do
    # rustdoc's JSON is no stable option yet, so the stable compiler has to be told that we know.
    RUSTC_BOOTSTRAP=1 cargo rustdoc --quiet -p "$crate" --lib --all-features --locked --target-dir "$target" -- \
        -Z unstable-options --output-format json
    items=$(python3 tests/api.py "$target/doc/${crate//-/_}.json")
    if [ "${1-}" = --write ]; then
        echo "$items" >"tests/api/$crate.txt"
    elif ! diff -u --label "tests/api/$crate.txt" --label "$crate" "tests/api/$crate.txt" - <<<"$items"; then
        changed=1
    fi
done
if [ "$changed" != 0 ]; then
    echo "api: public items have changed; if they should, bash tests/api.sh --write" >&2
fi
exit "$changed"
