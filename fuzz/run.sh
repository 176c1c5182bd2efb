#!/usr/bin/env bash
# Fuzzes one target for so many seconds, from its seeds: fuzz/run.sh async_h1 600
#
# What cargo-fuzz does, without it and without nightly: the instrumentation is stable, and there is no unsafe code here
# for a sanitizer to look at. What is found is left in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")"
target=$1 seconds=${2:-60}
case $target in
    preface | environment) seeds=seeds/$target ;;
    *) seeds=seeds/http ;;
esac
export RUSTFLAGS="--cfg fuzzing -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4
    -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table -C codegen-units=1"
host=$(rustc -vV | sed -n 's/^host: //p')
# With a target of its own, so that build scripts are not instrumented.
cargo build --release --target "$host" --bin "$target"
mkdir -p "corpus/$target" "artifacts/$target"
"${CARGO_TARGET_DIR:-target}/$host/release/$target" -max_total_time="$seconds" -max_len=2000 -dict=http.dict \
    -artifact_prefix="artifacts/$target/" "${@:3}" "corpus/$target" "$seeds"
