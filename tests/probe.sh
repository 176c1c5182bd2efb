#!/usr/bin/env bash
# The probe of a service, from outside: its page in Chromium, its metrics under promtool, its counters when services are killed,
# and its port under attack. Installs Debian's packages of Chromium and Prometheus, if they are not there; what cannot be had is
# skipped, and said to be. `--pictures` takes those of the docs anew.
set -euo pipefail
cd "$(dirname "$0")/.."

browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

install() { # PACKAGE...
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
    local log
    log=$(mktemp)
    fetch() { DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y --no-install-recommends "$@"; }
    { fetch "$@" || { apt-get update && fetch "$@"; }; } >"$log" 2>&1 || { tail -n 3 "$log"; return 1; }
    rm "$log"
}

command -v python3 >/dev/null || { echo "probe: SKIPPED, there is no python3"; exit 0; }
cargo build --locked -p ebbtide-example-servers --example probe
program=${CARGO_TARGET_DIR:-target}/debug/examples/probe

command -v promtool >/dev/null || install prometheus || echo "probe: SKIPPED, promtool cannot be installed"
python3 tests/probe/kills.py "$program" $(command -v promtool || true)
python3 tests/probe/attack.py "$program"

if ! browser >/dev/null || ! command -v chromedriver >/dev/null; then
    install chromium chromium-driver || { echo "probe: SKIPPED, chromium cannot be installed"; exit 0; }
fi
pictures=()
if [ "${1-}" = --pictures ]; then
    command -v pngquant >/dev/null && command -v optipng >/dev/null || install pngquant optipng
    pictures=(docs/probe)
fi
python3 tests/probe/page.py "$program" "$(browser)" "$(command -v chromedriver)" "${pictures[@]}"
if [ ${#pictures[@]} != 0 ]; then
    pngquant --force --ext .png --strip 64 docs/probe/*.png
    optipng -quiet docs/probe/*.png
fi
