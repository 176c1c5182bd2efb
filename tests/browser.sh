#!/usr/bin/env bash
# A browser against a server that is restarted: Chromium's WebSockets close well, and its event streams come back at times that
# are spread. Installs Debian's packages of Chromium, if they are not there; skips, and says so, if they cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "browser: SKIPPED, $*"
    exit 0
}

browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

command -v python3 >/dev/null || skip "there is no python3"
if ! browser >/dev/null || ! command -v chromedriver >/dev/null; then
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || skip "there is no chromium with its chromedriver"
    log=$(mktemp)
    install() { DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y --no-install-recommends chromium chromium-driver; }
    { install || { apt-get update && install; }; } >"$log" 2>&1 || { tail -n 3 "$log"; skip "chromium cannot be installed"; }
    rm "$log"
fi

cargo build --locked -p ebbtide-example-servers --example browser
exec python3 tests/net/browser.py "${CARGO_TARGET_DIR:-target}/debug/examples/browser" "$(browser)" "$(command -v chromedriver)"
