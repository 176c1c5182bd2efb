#!/usr/bin/env bash
# Drains over links that take time, which loopback does not: two network namespaces, and a relay between them that
# delays packets or lets few through. Needs Linux, root, iproute2, TUN and python3; skips, and says so, without them.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "net: SKIPPED, $*"
    exit 0
}

[ "$(uname)" = Linux ] || skip "network namespaces are Linux's"
[ "$(id -u)" = 0 ] || skip "network namespaces need root"
[ -c /dev/net/tun ] || skip "there is no /dev/net/tun"
for tool in ip python3; do
    command -v "$tool" >/dev/null || skip "there is no $tool"
done
ip netns add "ebbtide-$$" 2>/dev/null || skip "network namespaces cannot be made here"
ip netns del "ebbtide-$$"

cargo build --locked -p ebbtide-examples -p ebbtide-example-servers --examples
exec python3 tests/net/drains.py "${CARGO_TARGET_DIR:-target}/debug/examples" "$@"
