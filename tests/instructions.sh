#!/bin/sh
# Counts the instructions of the hot path, which repeat exactly where times do not, and fails when there are more
# than were pinned here. A better count is pinned in the commit that made it.
#
# The count belongs to the compiler: a few instructions of allowance let it change its mind.
set -eu
cd "$(dirname "$0")/.."

if ! command -v valgrind >/dev/null; then
    echo "instructions: SKIPPED, valgrind is not installed (Debian: apt-get install valgrind)"
    exit 0
fi
if [ "$(uname -m)" != x86_64 ]; then
    echo "instructions: SKIPPED, the counts are pinned for x86_64 and this is $(uname -m)"
    exit 0
fi

cargo build --quiet --release -p ebbtide-bench --bin instructions
program=${CARGO_TARGET_DIR:-target}/release/instructions

total() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : *//p'
}

failed=0
# what, pinned
check() {
    few=$(total "$1" 10000)
    many=$(total "$1" 110000)
    # Rounded: what differs besides is the start of the program, some hundred instructions.
    each=$(((many - few + 50000) / 100000))
    if [ "$each" -gt $(($2 + allowance)) ]; then
        echo "instructions: $1: $each, FAILED: at most $2 + $allowance"
        failed=1
    else
        echo "instructions: $1: $each (pinned: $2, allowance: $allowance)"
    fi
}

allowance=4
check guard 47
check repoll 15
check subscribe 180
exit $failed
