#!/usr/bin/env bash
# Proves that the tests of the core can fail: plants one bug at a time, in a copy of the tree, and wants it caught.
#
# The bugs are patches: those in mutants/loom must be caught by core/tests/loom.rs, those in mutants/plain by the
# other tests of the core. Names given as arguments choose among them. A patch that does not apply, a mutant that
# does not compile and a mutant that survives are failures alike.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
# Kept from run to run: only the core is built anew for a mutant.
target=${CARGO_TARGET_DIR:-$root/target}/mutants

git -C "$root" ls-files -z --cached --others --exclude-standard |
    (cd "$root" && xargs -0 cp --parents --no-dereference --target-directory="$copy")
cd "$copy"

# Builds a suite, or runs what was built: a mutant may hang, which is as good as a failure.
build() {
    case $1 in
        loom) RUSTFLAGS="--cfg loom" cargo test --release --target-dir "$target/loom" -p ebbtide --test loom --no-run ;;
        plain) cargo test --target-dir "$target/plain" -p ebbtide --tests --no-run ;;
    esac
}

# One thread, so that the last name in the log is that of the test which hung or aborted.
run() {
    case $1 in
        loom) RUSTFLAGS="--cfg loom" timeout 90 \
            cargo test --release --target-dir "$target/loom" -p ebbtide --test loom -- --test-threads=1 ;;
        plain) timeout 30 \
            cargo test --target-dir "$target/plain" --no-fail-fast -p ebbtide --tests -- --test-threads=1 ;;
    esac
}

survivors=0
for suite in loom plain; do
    { build "$suite" && run "$suite"; } >log 2>&1 || { cat log; echo "$suite fails without a mutant"; exit 1; }
    for mutant in "$root"/tests/mutants/"$suite"/*.patch; do
        name=$(basename "$mutant" .patch)
        [[ $# -eq 0 || " $* " == *" $name "* ]] || continue
        patch --quiet --strip=1 --no-backup-if-mismatch <"$mutant" || { echo "$name: does not apply"; exit 1; }
        build "$suite" >log 2>&1 || { cat log; echo "$name: does not compile"; exit 1; }
        if run "$suite" >log 2>&1; then
            echo "$suite: $name: SURVIVED"
            survivors=$((survivors + 1))
        else
            catchers=$(awk '/^test [a-z_:]+ \.\.\. / && !/ ok$/ { print $2 }' log | paste -sd' ')
            [[ $catchers ]] || { cat log; echo "$name: a failure, but of no test"; exit 1; }
            echo "$suite: $name: caught by $catchers"
        fi
        patch --quiet --strip=1 --reverse --no-backup-if-mismatch <"$mutant"
    done
done
exit $((survivors > 0))
