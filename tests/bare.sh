#!/usr/bin/env bash
# Lives the core's whole life (tests/bare/life) where there is no `std`: on the host, as WebAssembly, and on two
# emulated microcontrollers, interrupted at every instruction. The host must do. The others are skipped, and say so,
# where a compiler, Node or the emulator cannot be had. Nothing is installed: what Debian packages is unpacked into a
# cache.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/debian.sh

manifest=tests/bare/Cargo.toml
version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/bare

level() { printf '\nbare: %s\n' "$1"; }
skip() { echo "bare: SKIPPED: $1"; }

# Chooses the compiler for a target: the toolchain where it has the target, else the oldest compiler that we promise,
# as Debian packages it, with `core` and `alloc` built from their source.
choose_compiler() { # TARGET
    local rustc lld
    compiler=(env)
    options=(--target "$1" --target-dir "$target")
    [ ! -d "$(rustc --print target-libdir --target "$1")" ] || return 0
    rustc=$(debian_rustc "$version" rust-web-src) && unpack "${rustc%/*}" lld-19 || return
    lld=${rustc%/*}/usr/lib/llvm-19/bin
    case $1 in wasm32-*) lld+=/wasm-ld ;; *) lld+=/ld.lld ;; esac
    compiler=(env RUSTC="$rustc" RUSTC_BOOTSTRAP=1 "CARGO_TARGET_$(tr a-z- A-Z_ <<<"$1")_LINKER=$lld")
    options=(--target "$1" --target-dir "$target/debian" -Zbuild-std=core,alloc)
}

build() { # PACKAGE [OPTION...]
    "${compiler[@]}" cargo build --manifest-path "$manifest" --release --locked "${options[@]}" -p "$@"
}

# Chooses the emulator: the installed one, else Debian's, with what it needs and this machine has not.
choose_emulator() {
    local root=$cache/qemu packages
    emulator=(qemu-system-arm)
    ! command -v qemu-system-arm >/dev/null || return 0
    if [ ! -e "$root/.unpacked/qemu-system-arm" ]; then
        packages=$(packages_of_the_emulator || { apt-get update >/dev/null 2>&1; packages_of_the_emulator; })
        # Words: each is the name of a package.
        unpack "$root" ${packages:-qemu-system-arm} || return
    fi
    emulator=(env LD_LIBRARY_PATH="$(libraries "$root")" "$root/usr/bin/qemu-system-arm")
    "${emulator[@]}" --version >/dev/null 2>>"$root.log"
}

packages_of_the_emulator() {
    apt-get --simulate install --no-install-recommends qemu-system-arm 2>/dev/null |
        awk '$1 == "Inst" { print $2; found = 1 } END { exit !found }'
}

on_a_microcontroller() { # TARGET MACHINE [OPTION...]
    local triple=$1 machine=$2
    shift 2
    choose_compiler "$triple" || { skip "no compiler for $triple ($cache/rustc-$version.log says why)"; return 0; }
    build ebbtide-bare-cortex-m "$@"
    choose_emulator || { skip "built, not run: no qemu-system-arm ($cache/qemu.log says why)"; return 0; }
    # By its count of instructions the emulator is the same in every run, and each of them (2^7 ns) takes longer than
    # a cycle of the timer: so no instruction is passed over when the interrupt comes a cycle later.
    timeout 120 "${emulator[@]}" -machine "$machine" -icount shift=7 -nographic -monitor none -serial null \
        -semihosting-config enable=on,target=native \
        -kernel "${options[3]}/$triple/release/ebbtide-bare-cortex-m"
}

level "formatting and clippy"
cargo fmt --manifest-path "$manifest" --all --check
cargo clippy --manifest-path "$manifest" --target-dir "$target" --release --locked \
    -p ebbtide-bare-host -p ebbtide-bare-life -- -D warnings

level "the host, with no standard library linked"
compiler=(env)
options=(--target-dir "$target")
build ebbtide-bare-host
"$target/release/ebbtide-bare-host"

level "WebAssembly"
if ! command -v node >/dev/null; then
    skip "no Node"
elif ! choose_compiler wasm32-unknown-unknown; then
    skip "no compiler for wasm32-unknown-unknown ($cache/rustc-$version.log says why)"
else
    build ebbtide-bare-wasm
    node tests/bare/wasm/run.mjs "${options[3]}/wasm32-unknown-unknown/release/ebbtide_bare_wasm.wasm"
fi

level "Cortex-M3"
on_a_microcontroller thumbv7m-none-eabi lm3s6965evb

level "Cortex-M0, which has no compare-and-swap"
on_a_microcontroller thumbv6m-none-eabi microbit --features portable-atomic
