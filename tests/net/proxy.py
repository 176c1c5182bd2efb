"""Restarts the replicas behind HAProxy in turn, under load; no client may see it.

    python3 proxy.py FOLDER-OF-THE-SERVERS [--restarts 6]

HAProxy asks each replica every 50 ms whether it is ready, and each drain begins with 400 ms in which it is not. Nothing is
tried again: no redispatch, no retry, so what a replica loses a client sees.
"""

import argparse
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

# The replicas' engines, and what HAProxy can speak to them.
SERVERS = {
    "server": ["h1", "h2"],
    "server_smol_hyper": ["h1", "h2"],
    "server_smol_h1": ["h1"],
    "server_async_std_h1": ["h1"],
}
REPLICAS, CLIENTS = 2, 8
READY_DELAY_MS, CHECK_MS = 400, 50
PATIENCE = 15

CONFIG = """
global
    stats socket {folder}/stats mode 600

defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 15s
    timeout server 15s

frontend clients
    bind 127.0.0.1:{port}
    default_backend replicas

backend replicas
    balance roundrobin
    http-reuse always
    option httpchk GET /ready
    http-check expect status 200
    default-server inter {check} fall 1 rise 1 check-proto h1 {proto}
{replicas}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def until(what, holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.01)


def status(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


class Replica:
    def __init__(self, program):
        self.program, self.port, self.diagnostics = program, free_port(), free_port()
        self.start()

    def start(self):
        flags = ["--addr", f"127.0.0.1:{self.port}", "--diag-addr", f"127.0.0.1:{self.diagnostics}"]
        flags += ["--ready-delay-ms", str(READY_DELAY_MS)]
        self.process = subprocess.Popen([self.program, *flags], stdout=subprocess.DEVNULL)
        until("a replica that is ready", lambda: status(self.diagnostics, "/ready") == 200)

    def restart(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        self.start()
        return code


def is_up(folder, at):
    """Whether HAProxy sends requests to this replica."""
    with socket.socket(socket.AF_UNIX) as stats:
        stats.connect(os.path.join(folder, "stats"))
        stats.sendall(b"show stat\n")
        answer = b"".join(iter(lambda: stats.recv(1 << 16), b"")).decode()
    return any(line.startswith(f"replicas,r{at},") and ",UP," in line for line in answer.splitlines())


class Load:
    """Clients that ask again and again, every second one on a connection that it keeps."""

    def __init__(self, port):
        self.port, self.answered, self.failed, self.is_over = port, [0] * CLIENTS, [], False
        self.threads = [threading.Thread(target=self.client, args=(at,)) for at in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def client(self, at):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        while not self.is_over:
            is_upload = self.answered[at] % 4 == 3
            try:
                if is_upload:
                    connection.request("POST", "/upload", body=b"x" * 10_000)
                else:
                    connection.request("GET", "/hello" if self.answered[at] % 4 else "/slow?ms=20")
                response = connection.getresponse()
                body = response.read()
                if response.status != 200 or not body:
                    raise OSError(f"status {response.status}")
                self.answered[at] += 1
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
            if at % 2:
                connection.close()
        connection.close()

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()
        return sum(self.answered), self.failed


def run(program, protocol, restarts):
    """Returns how many were answered, and how the others failed."""
    replicas, proxy, port = [], None, free_port()
    with tempfile.TemporaryDirectory() as folder:
        try:
            replicas += [Replica(program) for _ in range(REPLICAS)]
            lines = [f"    server r{at} 127.0.0.1:{it.port} check port {it.diagnostics}" for at, it in enumerate(replicas)]
            proto = "proto h2" if protocol == "h2" else ""
            config = os.path.join(folder, "haproxy.cfg")
            with open(config, "w") as file:
                file.write(CONFIG.format(folder=folder, port=port, check=f"{CHECK_MS}ms", proto=proto, replicas="\n".join(lines)))
            with open(os.path.join(folder, "log"), "w") as log:
                proxy = subprocess.Popen(["haproxy", "-db", "-f", config], stdout=log, stderr=log)
            until("HAProxy", lambda: status(port, "/hello") == 200)
            load, codes = Load(port), []
            try:
                for at in range(restarts):
                    # Never two at a time.
                    until("replicas that are up", lambda: all(is_up(folder, at) for at in range(REPLICAS)))
                    codes.append(replicas[at % REPLICAS].restart())
                    # HAProxy has seen it go: what it says from now on is of the new one.
                    until("a replica that is up", lambda at=at: is_up(folder, at % REPLICAS))
            finally:
                answered, failed = load.end()
            return answered, failed + [f"exit {code}" for code in codes if code != 0]
        finally:
            for process in [proxy, *(it.process for it in replicas)]:
                if process:
                    process.kill()
                    process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--restarts", type=int, default=6)
    parser.add_argument("--server", choices=SERVERS, action="append")
    options = parser.parse_args()
    is_failed = False
    for program in options.server or SERVERS:
        for protocol in SERVERS[program]:
            answered, failed = run(os.path.join(options.folder, program), protocol, options.restarts)
            print(f"proxy: {protocol} {program:20} {options.restarts} restarts, {answered} answered, {len(failed)} failed", flush=True)
            for how in sorted(set(failed)):
                print(f"    {failed.count(how)} x {how}")
            is_failed |= bool(failed) or answered == 0
    return 1 if is_failed else 0


if __name__ == "__main__":
    sys.exit(main())
