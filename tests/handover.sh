#!/usr/bin/env bash
# Restarts a server again and again under load, tokio and smol in turn, and once by itself on SIGHUP; no client may notice.
# `tests/handover.sh [RESTARTS]`. Skips, and says so, without python3.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v python3 >/dev/null || {
    echo "handover: SKIPPED, there is no python3"
    exit 0
}
cargo build --locked -p ebbtide-examples --example restart -p ebbtide-example-servers --example restart_smol
# Before 253 there is no `notify-reload`.
version=$(systemd-analyze --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
if [ "${version:-0}" -ge 253 ]; then
    wrong=$(systemd-analyze verify --man=no examples/deploy/ebbtide-restart.service 2>&1 | grep -v "is not executable") || true
    if [ -n "$wrong" ]; then
        echo "$wrong" >&2
        exit 1
    fi
else
    echo "handover: the unit file is not checked, there is no systemd-analyze of 253 or later"
fi

exec python3 - "${CARGO_TARGET_DIR:-target}/debug/examples" "${1:-20}" <<'PYTHON'
import os, shutil, signal, socket, subprocess, sys, tempfile, threading, time

examples, restarts = sys.argv[1], int(sys.argv[2])
place = tempfile.mkdtemp(prefix="ebbtide-handover-")
PATIENCE = 60


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


addr, diag = free_port(), free_port()


def start(program):
    flags = ["--addr", f"127.0.0.1:{addr}", "--diag-addr", f"127.0.0.1:{diag}", "--handover", f"{place}/control"]
    log = open(f"{place}/log", "ab")
    return subprocess.Popen([f"{examples}/{program}", *flags], stdout=log, stderr=log)


def get(path, port, timeout=PATIENCE):
    """The body of the answer. Raises what a client sees."""
    with socket.create_connection(("127.0.0.1", port), timeout) as it:
        it.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := it.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"lost: {head[:40]!r}")
    return body.decode()


def until_pid(pid):
    since = time.monotonic()
    while True:
        try:
            if get("/pid", addr) == str(pid) and get("/ready", diag) == "ready":
                return
        except OSError:
            pass  # the first one is just starting
        if time.monotonic() > since + PATIENCE:
            sys.exit(f"process {pid} never answered; {place}/log says why")
        time.sleep(0.005)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


stop, pids, failures, longest, answered = threading.Event(), set(), [], [0.0], [0] * 6


def client(at):
    # Half of them are in flight whenever a restart comes.
    path = "/slow?ms=20" if at % 2 else "/pid"
    while not stop.is_set():
        begun = time.monotonic()
        try:
            get(path, addr)
            answered[at] += 1
        except OSError as error:
            failures.append(f"{path}: {error!r}")
        if at % 2 == 0:
            longest[0] = max(longest[0], time.monotonic() - begun)


current = start("restart")
until_pid(current.pid)
clients = [threading.Thread(target=client, args=(at,)) for at in range(6)]
for it in clients:
    it.start()
counts = []
for at in range(restarts):
    time.sleep(0.1)  # for some load between two
    following = start(["restart_smol", "restart"][at % 2])
    until_pid(following.pid)
    if current.wait(PATIENCE) != 0:
        failures.append(f"process {current.pid} ended with {current.returncode}")
    current = following
    counts.append(descriptors(current.pid))

# By itself, three times.
pid = current.pid
for _ in range(3):
    os.kill(pid, signal.SIGHUP)
    since = time.monotonic()
    while (now := int(get("/pid", addr))) == pid:
        if time.monotonic() > since + PATIENCE:
            sys.exit(f"process {pid} is not replaced; {place}/log says why")
    pid = now
if current.wait(PATIENCE) != 0:
    failures.append(f"process {current.pid} ended with {current.returncode}")
stop.set()
for it in clients:
    it.join()
os.kill(pid, signal.SIGTERM)
since = time.monotonic()
while os.path.exists(f"/proc/{pid}") and time.monotonic() < since + PATIENCE:
    time.sleep(0.01)

of_tokio, of_smol = counts[1::2], counts[0::2]
print(f"handover: {restarts} restarts by another process and 3 by SIGHUP, {sum(answered)} requests, "
      f"{len(failures)} refused, reset or lost; the longest took {longest[0] * 1000:.1f} ms; "
      f"descriptors of tokio {min(of_tokio[:3])} to {min(of_tokio[-3:])}, of smol {min(of_smol[:3])} to {min(of_smol[-3:])}")
for it in failures[:10]:
    print(f"handover: {it}")
if not failures:
    shutil.rmtree(place)
# Up to one for each client is a connection that was just open. A leak would be one for each restart.
if failures or any(min(it[-3:]) > min(it[:3]) + len(clients) for it in (of_tokio, of_smol)):
    sys.exit(1)
PYTHON
