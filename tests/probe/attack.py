"""Attacks the diagnostics port of a service, and asks for its actions without a right to them.

    python3 attack.py SERVER

Ten thousand slow clients of the diagnostics port are to take no descriptors from the service, and not to delay its drain.
Nor are pages that nobody reads. Whoever has no right to an action is to be refused, and logged.
"""

import os
import resource
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time

from driver import PATIENCE, TOKEN, Server, fail, until

CLIENTS = 10_000
# Of the server: too few for them all, and enough for what the diagnostics port may take and for the service.
DESCRIPTORS = 256
# How many streams of events a probe has at most.
STREAMS = 16
# How much longer than without them a drain may take, in seconds: the machine is busy with the clients, too.
LATER = 1.0


class Crowd:
    """Clients that connect, send half a request or nothing, and come back when they are thrown out."""

    def __init__(self, port, count):
        self.port, self.selector, self.begun = port, selectors.DefaultSelector(), 0
        self.connected = 0
        for at in range(count):
            self.connect(at)
            if at % 500 == 0:
                self.go_on(0)

    def connect(self, at):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", self.port))
        self.begun += 1
        self.selector.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE, at)

    def go_on(self, seconds):
        """Handles what happens meanwhile."""
        limit = time.monotonic() + seconds
        while True:
            for key, events in self.selector.select(max(0, min(0.05, limit - time.monotonic()))):
                self.handle(key.fileobj, key.data, events)
            if time.monotonic() >= limit:
                return

    def handle(self, client, at, events):
        try:
            if events & selectors.EVENT_WRITE:
                error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, os.strerror(error))
                self.connected += 1
                # Every other one says nothing at all.
                if at % 2:
                    client.send(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nx: ")
                self.selector.modify(client, selectors.EVENT_READ, at)
            elif not client.recv(4096):
                raise OSError("closed")
        except BlockingIOError:
            pass
        except OSError:
            self.selector.unregister(client)
            client.close()
            if self.begun < 2 * CLIENTS:
                self.connect(at)

    def open(self):
        return len(self.selector.get_map())

    def end(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))


def drain(server, crowd=None):
    """Drains it by a signal, and returns how long that took: as it says itself, and until it had gone."""
    begun, gone = time.monotonic(), []
    # On a thread: this one has ten thousand clients that are just refused.
    waiting = threading.Thread(target=lambda: gone.append((server.process.wait(), time.monotonic() - begun)))
    waiting.start()
    server.drain()
    while waiting.is_alive():
        crowd.go_on(0.01) if crowd else time.sleep(0.01)
        if time.monotonic() - begun > 20:
            fail("the drain hangs")
    code, took = gone[0]
    said = server.lines(r"^drained in ([\d.]+) s \(SIGTERM\)$")
    if code != 0 or not said:
        fail(f"the server ended with {code}")
    return float(said[0]), took


def flood(program, folder):
    server = Server(program, os.path.join(folder, "calm"), lame_duck=0, before=few_descriptors)
    try:
        calm = drain(server)
    finally:
        server.kill()
    server = Server(program, os.path.join(folder, "flooded"), lame_duck=0, before=few_descriptors)
    crowd = Crowd(server.diagnostics, CLIENTS)
    try:
        crowd.go_on(3)
        descriptors = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        answered, worst = 0, 0
        for _ in range(50):
            begun = time.monotonic()
            answered += server.ask("/0", main=True)[0] == 200
            worst = max(worst, time.monotonic() - begun)
            crowd.go_on(0)
        print(f"probe: {crowd.open()} clients, {crowd.connected} connected so far, {descriptors} descriptors of the server")
        if crowd.open() < CLIENTS * 0.9:
            fail("the clients have gone")
        if answered != 50 or descriptors > DESCRIPTORS // 2:
            fail(f"{answered} of 50 answers at the main port, with {descriptors} descriptors")
        print(f"probe: 50 of 50 answers at the main port meanwhile, the slowest after {worst * 1000:.0f} ms")
        flooded = drain(server, crowd)
    finally:
        server.kill()
        crowd.end()
    for who, (said, took) in {"without them": calm, "with them": flooded}.items():
        print(f"probe: {who} drained in {said:.3f} s, and gone after {took:.3f} s")
    if flooded[0] > calm[0] + LATER or flooded[1] > calm[1] + LATER:
        fail("the clients of the diagnostics port delay the drain")


def look_away(program, folder):
    """Pages that somebody has opened and that read nothing."""
    server = Server(program, os.path.join(folder, "unread"), lame_duck=0)
    streams = []
    try:
        for status in [b"200"] * STREAMS + [b"503"]:
            stream = socket.socket()
            stream.settimeout(PATIENCE)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            stream.connect(("127.0.0.1", server.diagnostics))
            stream.send(b"GET /drain HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n")
            streams.append(stream)
            answer = stream.recv(12)
            if not answer.endswith(status):
                fail(f"stream {len(streams)} is answered by {answer}")
        # So that the streams go on through a drain.
        server.ask("/mail/1", main=True)
        said, took = drain(server)
        print(f"probe: {STREAMS} pages that nobody reads, one more refused; drained in {said:.3f} s, gone after {took:.3f} s")
        if took > 1 + 2 * LATER:
            fail("pages that nobody reads delay the drain")
    finally:
        server.kill()
        for it in streams:
            it.close()


def refuse(program, folder):
    server = Server(program, os.path.join(folder, "refused"), lame_duck=0)
    try:
        right = {"authorization": f"Bearer {TOKEN}"}
        for what, status, headers in [
            ("it has no token", 401, {}),
            ("its token is wrong", 401, {"authorization": f"Bearer {TOKEN[:-1]}0"}),
            ("a page of another site has sent it", 403, {**right, "origin": "https://evil.example"}),
            ("a page of another site has sent it", 403, {**right, "sec_fetch_site": "cross-site"}),
            ("its Host is neither an address nor localhost", 403, {**right, "host": "evil.example"}),
            ("it does not come from this machine", 403, {**right, "x_forwarded_for": "10.0.0.7"}),
            ("it has a body", 413, {**right, "content_length": "1"}),
        ]:
            for path in ["/drain", "/ready/off"]:
                before = len(server.lines(what))
                if server.ask(path, "POST", **headers)[0] != status:
                    fail(f"{path} with {headers} is not answered by {status}")
                until(f"a line that says: {what}", lambda: len(server.lines(what)) == before + 1)
        if server.ask("/ready") != (200, "ready\n"):
            fail("a refused action had an effect")
        if server.act("/drain") != 202:
            fail("the right token does not start the drain")
        until("the end", lambda: server.process.poll() is not None)
        print("probe: 14 attempts without a right were refused and logged, and the one with it drained")
    finally:
        server.kill()


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < CLIENTS + 100:
        print(f"probe: SKIPPED, ten thousand clients: this machine allows {hard} descriptors")
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("probe: told to end"))
    folder = tempfile.mkdtemp(prefix="ebbtide-probe-")
    try:
        refuse(sys.argv[1], folder)
        look_away(sys.argv[1], folder)
        if hard >= CLIENTS + 100:
            flood(sys.argv[1], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()
