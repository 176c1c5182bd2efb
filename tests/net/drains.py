"""Drains each example server over links of several kinds, under load; nothing may be lost.

    python3 drains.py FOLDER-OF-THE-SERVERS [--drains 20] [--link "20 ms"] [--server server]
"""

import argparse
import concurrent.futures
import errno
import itertools
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time

from link import SERVER, Link

SERVERS = ["server", "server_smol_hyper", "server_smol_h1", "server_async_std_h1"]
# Round trip in seconds; bytes a second.
LINKS = {"4 ms": (0.004, None), "20 ms": (0.020, None), "60 ms": (0.060, None), "150 KB/s": (0.020, 150_000)}
CLIENTS = 32
REQUEST = b"GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
# Longer than anything takes that is right: what waits so long has failed.
PATIENCE = 15


class Server:
    def __init__(self, folder, program, namespace, *flags):
        command = ["ip", "netns", "exec", namespace, os.path.join(folder, program)]
        command += ["--addr", f"{SERVER}:0", "--diag-addr", "127.0.0.1:0", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if line.startswith("serving on http://"):
                self.address = (SERVER, int(line.rsplit(":", 1)[1]))
                return
        raise RuntimeError(f"{program} does not start")

    def drain(self):
        # `ip netns exec` has become the server.
        self.process.send_signal(signal.SIGTERM)

    def is_gone(self):
        return self.process.poll() is not None

    def exit(self):
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.stdout.close()


class Client:
    """Asks again and again, on a connection for each request, until it is refused."""

    def __init__(self, poll, address):
        self.poll, self.address = poll, address
        self.answered, self.lost, self.connection = 0, [], None
        self.connect()

    def connect(self):
        self.connection, self.said, self.is_connected = socket.socket(), b"", False
        self.connection.setblocking(False)
        self.connection.connect_ex(self.address)
        self.poll.register(self.connection, select.POLLOUT)

    def close(self):
        self.poll.unregister(self.connection)
        self.connection.close()
        self.connection = None

    def on(self):
        try:
            if not self.is_connected:
                error = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error == errno.ECONNREFUSED:
                    return self.close()
                if error:
                    raise OSError(error, os.strerror(error))
                self.is_connected = True
                self.connection.send(REQUEST)
                return self.poll.modify(self.connection, select.POLLIN)
            more = self.connection.recv(1 << 16)
            self.said += more
            if more:
                return None
        except OSError as error:
            more = error
        self.close()
        if self.said.startswith(b"HTTP/1.1 200 ") and self.said.endswith(b"\r\n\r\nhello"):
            self.answered += 1
        else:
            self.lost.append(repr(more) if more else f"an end behind {self.said!r}")
        return self.connect()


def drain_under_load(folder, program, link):
    """Returns how many were answered, and how each of the others was lost."""
    server, poll = Server(folder, program, link.servers), select.poll()
    clients = [Client(poll, server.address) for _ in range(CLIENTS)]
    begun, is_draining = time.monotonic(), False
    # At any point of the clients' rounds.
    until = begun + random.uniform(0.2, 0.3)
    while any(client.connection for client in clients) and time.monotonic() - begun < PATIENCE:
        by_fd = {client.connection.fileno(): client for client in clients if client.connection}
        for fd, _ in poll.poll(5):
            if fd in by_fd:
                by_fd[fd].on()
        if not is_draining and time.monotonic() >= until:
            server.drain()
            is_draining = True
        if server.is_gone():
            # A SYN that was dropped comes again after a second, and is refused then: nothing was sent, and nothing lost.
            for client in clients:
                if client.connection and not client.is_connected and not poll_of(client.connection):
                    client.close()
    lost = list(itertools.chain.from_iterable(client.lost for client in clients))
    lost += ["nothing in time" for client in clients if client.connection]
    for client in clients:
        if client.connection:
            client.close()
    code = server.exit()
    if code != 0:
        lost.append(f"exit {code}")
    return sum(client.answered for client in clients), lost


def poll_of(connection):
    """Whether something has become of it."""
    one = select.poll()
    one.register(connection, select.POLLOUT)
    return one.poll(0)


def drain_a_download(folder, program, link, size):
    """A client that reads all the time, as fast as the link lets it. Returns what was wrong."""
    # Without a deadline, which is shorter than this takes.
    server = Server(folder, program, link.servers, "--drain-timeout-ms", "0")
    with socket.create_connection(server.address, PATIENCE) as client:
        client.sendall(f"GET /big?bytes={size} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        read = client.recv(1 << 16)
        server.drain()
        try:
            while more := client.recv(1 << 16):
                read += more
        except OSError as error:
            return [f"a download: {error!r} after {len(read)} bytes"]
    body = len(read) - read.index(b"\r\n\r\n") - 4
    code = server.exit()
    return [] if (body, code) == (size, 0) else [f"a download: {body} of {size} bytes, exit {code}"]


def run(folder, program, name, drains):
    round_trip, rate = LINKS[name]
    answered, lost = 0, []
    with Link(f"ebbtide-{os.getpid()}", round_trip, rate) as link:
        for _ in range(drains):
            more, less = drain_under_load(folder, program, link)
            answered, lost = answered + more, lost + less
        if rate:
            # More than a send buffer holds, so that the server waits for the client all that time.
            lost += drain_a_download(folder, program, link, 6_000_000)
    return answered, lost


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--drains", type=int, default=20)
    parser.add_argument("--link", choices=LINKS, action="append")
    parser.add_argument("--server", choices=SERVERS, action="append")
    options = parser.parse_args()
    folder, failed = os.path.abspath(options.folder), False
    jobs = list(itertools.product(options.link or LINKS, options.server or SERVERS))
    # Each in a process of its own, which is in a namespace of its own; they mostly wait.
    with concurrent.futures.ProcessPoolExecutor(4, max_tasks_per_child=1) as pool:
        runs = [(job, pool.submit(run, folder, job[1], job[0], options.drains)) for job in jobs]
        for (name, program), result in runs:
            answered, lost = result.result()
            print(f"net: {name:>8} {program:20} {options.drains} drains, {answered} answered, {len(lost)} lost", flush=True)
            for how in sorted(set(lost)):
                print(f"    {lost.count(how)} x {how}")
            failed |= bool(lost)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
