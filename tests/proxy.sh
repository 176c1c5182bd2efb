#!/usr/bin/env bash
# Restarts replicas behind HAProxy, which speaks HTTP/1 or HTTP/2 to them, under load; no client may see it. Skips, and
# says so, without HAProxy and python3.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in haproxy python3; do
    command -v "$tool" >/dev/null || {
        echo "proxy: SKIPPED, there is no $tool"
        exit 0
    }
done

cargo build --locked -p ebbtide-examples -p ebbtide-example-servers --examples
exec python3 tests/net/proxy.py "${CARGO_TARGET_DIR:-target}/debug/examples" "$@"
