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

cargo build --quiet --release -p ebbtide-bench --bin instructions --bin requests
programs=${CARGO_TARGET_DIR:-target}/release

# program, what, how often
total() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$programs/$1" "$2" "$3" 2>&1 |
        sed -n 's/.*Collected : *//p'
}

# program, what, how often: one more time each. Rounded: what differs besides is the start of the program, some hundred
# instructions.
each() {
    few=$(total "$1" "$2" "$(($3 / 10))")
    many=$(total "$1" "$2" "$(($3 + $3 / 10))")
    echo $(((many - few + $3 / 2) / $3))
}

failed=0
# what, counted, pinned, allowance
check() {
    if [ "$2" -gt $(($3 + $4)) ]; then
        echo "instructions: $1: $2, FAILED: at most $3 + $4"
        failed=1
    else
        echo "instructions: $1: $2 (pinned: $3, allowance: $4)"
    fi
}

check guard "$(each instructions guard 100000)" 41 4
check repoll "$(each instructions repoll 100000)" 14 4
check subscribe "$(each instructions subscribe 100000)" 174 4
# What a request costs more than with hyper alone as hyper comes, whose own count is some 7,000 and changes with its
# versions. Less: hyper alone looks for its client's departure during each request, also one that is answered at once.
check request "$(($(each requests ebbtide 5000) - $(each requests bare 5000)))" -240 40
exit $failed
