"""Restarts three replicas of a tonic server in turn, under calls of all four kinds; no client may see it.

    python3 restarts.py FOLDER-OF-THE-EXAMPLES [--go PROGRAM] [--rounds 2] [--lame-duck-ms 300]

A round restarts each of the three. The clients balance by health, and try nothing twice: a call that a replica loses is a
failure. At the end a client says how many calls there were, how many endless streams a drain has ended, and what failed.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time

REPLICAS, PATIENCE = 3, 15


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Replica:
    def __init__(self, program, lame_duck_ms):
        self.addr = f"127.0.0.1:{free_port()}"
        self.command = [program, "--addr", self.addr, "--lame-duck-ms", str(lame_duck_ms), "--deadline-ms", "10000"]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if "listening" not in line:
            raise RuntimeError(f"a replica says {line!r}")

    def stop(self):
        """Returns how long it took, and the exit code."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        return time.monotonic() - began, code


class Client:
    def __init__(self, name, program, replicas):
        self.name = name
        self.process = subprocess.Popen(
            [program, *(it.addr for it in replicas)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def end(self):
        said, _ = self.process.communicate(timeout=2 * PATIENCE)
        return said.strip(), self.process.returncode


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("examples")
    arguments.add_argument("--go")
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--lame-duck-ms", type=int, default=300)
    options = arguments.parse_args()

    server = os.path.join(options.examples, "server_tonic")
    replicas = [Replica(server, options.lame_duck_ms) for _ in range(REPLICAS)]
    programs = {"tonic": os.path.join(options.examples, "client_tonic")}
    if options.go:
        programs["Go"] = options.go
    clients, wrong, drains = [], [], []
    try:
        clients = [Client(name, program, replicas) for name, program in programs.items()]
        time.sleep(1)  # the clients find the replicas
        for at in range(options.rounds * REPLICAS):
            replica = replicas[at % REPLICAS]
            took, code = replica.stop()
            drains.append(took - options.lame_duck_ms / 1000)
            if code != 0:
                wrong.append(f"restart {at + 1}: a replica ended with {code}")
            replica.start()
            time.sleep(1.2)  # the clients find it again: Go's looks once a second at most
        for client in clients:
            said, code = client.end()
            print(f"grpc: {client.name}'s client: {said}")
            if code != 0:
                wrong.append(f"{client.name}'s client ended with {code}")
        for replica in replicas:
            replica.stop()
    finally:
        for it in [*clients, *replicas]:
            if it.process.poll() is None:
                it.process.kill()
                it.process.wait()
    drains.sort()
    print(
        f"grpc: {len(drains)} restarts, {options.lame_duck_ms} ms of lame duck time; behind it a drain took"
        f" {drains[len(drains) // 2] * 1000:.0f} ms (the longest {drains[-1] * 1000:.0f} ms)"
    )
    for line in wrong:
        print(f"grpc: {line}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
