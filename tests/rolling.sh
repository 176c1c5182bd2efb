#!/usr/bin/env bash
# Restarts three replicas in turn behind HAProxy and behind nginx, under load of mixed clients: no request may fail, and no proxy
# may have to try one again. Then two controls, which must be noticed: replicas that are killed, and no lame duck time.
#
#     bash tests/rolling.sh                                    # in a few minutes
#     bash tests/rolling.sh --rounds 20 --server all           # for the record
#     bash tests/rolling.sh --rounds 20 --faster 4 --server server --setup haproxy
#
# The proxies run with the files of examples/deploy. They are Debian's: if they are not there, they are unpacked into a cache, not
# installed. Skips, and says so, without them.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/debian.sh
. tests/rolling/proxies.sh

[ "$(uname)" = Linux ] || {
    echo "rolling: SKIPPED, its replicas have addresses of their own in 127.0.0.0/8, which only Linux has"
    exit 0
}

haproxy=() nginx=()
if provide_haproxy; then
    haproxy=(--setup haproxy --setup haproxy-http2 --setup haproxy-grpc)
else
    echo "rolling: HAProxy SKIPPED, it is not there and cannot be had"
fi
if provide_nginx; then
    nginx=(--setup nginx)
else
    echo "rolling: nginx SKIPPED, it is not there and cannot be had"
fi
setups=("${haproxy[@]}" "${nginx[@]}")
[ ${#setups[@]} -gt 0 ] || exit 0

cargo build --locked -p ebbtide-examples -p ebbtide-example-servers --examples
cargo build --locked -p ebbtide-rolling
built=${CARGO_TARGET_DIR:-target}/debug
rolling() { timeout --kill-after 10 "$1" "$built/ebbtide-rolling" "$built/examples" "${@:2}"; }

# What is asked for by name comes in place of all that there is.
case " $* " in *" --setup "*) asked=() ;; *) asked=("${setups[@]}") ;; esac
# Every wait is bounded, so this is for what nobody thought of.
if [ $# = 0 ]; then longest=20m; else longest=4h; fi
rolling $longest "${asked[@]}" "$@"

echo "== controls, which must be noticed"
control=(--server server --rounds 1 --faster 4 --control)
rolling 5m "${control[@]}" "${setups[@]}" --kill
[ ${#haproxy[@]} = 0 ] || rolling 5m "${control[@]}" --setup haproxy --setup haproxy-http2 --lame-duck-ms 0
