#!/usr/bin/env bash
# Proves that tests can fail: plants one bug at a time, in a copy of the tree, and wants it caught.
#
# The bugs are patches: those in mutants/loom must be caught by core/tests/loom.rs, those in mutants/plain by the
# other tests of the core, those in mutants/connection by the tests of adapters/connection, those in mutants/h1 by those of
# adapters/async-h1, those in mutants/hyper by adapters/hyper's of leaving and those inside its src, those in
# mutants/service by those of adapters/service, those in mutants/signal by those of adapters/signal, those in
# mutants/examples by those inside examples/src. Names given as arguments choose among them.
# A patch that does not apply, a mutant that does not compile and a mutant that survives are failures alike.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# Kept from run to run, so that only the core is built anew for a mutant.
target=${CARGO_TARGET_DIR:-$root/target}/mutants
# Most of the time is the compiler's: so no symbols, and no more optimization than loom's executions pay for.
export CARGO_INCREMENTAL=1 CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_RELEASE_OPT_LEVEL=1

suite() {
    case $1 in
        loom) RUSTFLAGS="--cfg loom" cargo --config 'profile.release.package."*".opt-level=3' \
            test --release --target-dir "$target/loom" -p ebbtide --test loom "${@:2}" ;;
        plain) cargo test --target-dir "$target/plain" -p ebbtide --tests "${@:2}" ;;
        connection) cargo test --target-dir "$target/connection" -p ebbtide-connection --tests "${@:2}" ;;
        h1) cargo test --target-dir "$target/h1" -p ebbtide-async-h1 --tests "${@:2}" ;;
        hyper) cargo test --target-dir "$target/hyper" -p ebbtide-hyper --lib --test leaving "${@:2}" ;;
        service) cargo test --target-dir "$target/service" -p ebbtide-service --tests "${@:2}" ;;
        signal) cargo test --target-dir "$target/signal" -p ebbtide-signal --tests "${@:2}" ;;
        examples) cargo test --target-dir "$target/examples" -p ebbtide-examples --lib "${@:2}" ;;
    esac
}

# Says which test failed first: also by an abort, or by not being over within so many seconds.
#
# One thread, so that no other test is under way; what comes after the first failure is not run.
failure() {
    export -f suite
    export target
    timeout "$2" bash -c 'suite "$1" --quiet -- --test-threads=1 --format=pretty' - "$1" 2>/dev/null |
        awk '/^test .* \.\.\. / && !/ ok$/ { print $2; exit }'
}

prove() {
    local suite=$1 tree=$target/$1/tree log=$target/$1/log limit survivors=0 mutant name caught_by
    # With the time of now, so that nothing which an interrupted run has built of a mutant passes for this tree.
    rm -rf "$tree"
    mkdir -p "$tree"
    git -C "$root" ls-files -z --cached --others --exclude-standard |
        (cd "$root" && xargs -0 cp --parents --no-dereference --target-directory="$tree")
    cd "$tree"

    suite "$suite" --no-run >"$log" 2>&1 || { cat "$log"; exit 1; }
    SECONDS=0
    suite "$suite" -- --test-threads=1 >"$log" 2>&1 || { cat "$log"; echo "$suite fails without a mutant"; exit 1; }
    limit=$((5 + 4 * SECONDS))

    for mutant in "$root"/tests/mutants/"$suite"/*.patch; do
        name=$(basename "$mutant" .patch)
        [[ ! $chosen || $chosen == *" $name "* ]] || continue
        patch --quiet --strip=1 --no-backup-if-mismatch <"$mutant" || { echo "$name: does not apply"; exit 1; }
        suite "$suite" --no-run >"$log" 2>&1 || { cat "$log"; echo "$name: does not compile"; exit 1; }
        if caught_by=$(failure "$suite" "$limit"); then
            echo "$suite: $name: SURVIVED"
            survivors=$((survivors + 1))
        else
            [[ $caught_by ]] || { echo "$name: a failure, but of no test"; exit 1; }
            echo "$suite: $name: caught by $caught_by"
        fi
        patch --quiet --strip=1 --reverse --no-backup-if-mismatch <"$mutant"
    done
    exit $((survivors > 0))
}

chosen=${*:+" $* "}
# Side by side: each waits for the compiler most of the time.
provers=()
for suite in loom plain connection h1 hyper service signal examples; do
    (prove "$suite") &
    provers+=($!)
done
failures=0
for prover in "${provers[@]}"; do
    wait "$prover" || failures=1
done
exit "$failures"
