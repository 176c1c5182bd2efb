"""Has a browser look at a server that drains and is started anew.

    python3 browser.py SERVER CHROMIUM CHROMEDRIVER

Its WebSockets are to close cleanly, each with its code. Its event streams are to come back, each at the time that it was told:
evenly over the span of `examples/browser.rs`, and not in one instant, as they would untold.
"""

import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# What the streams are told, in ms: `RETRY` of the example.
FROM, TO = 1000, 4000
# A browser has six connections to a host and no more, so there are a few hosts, each a frame of the page.
HOSTS, STREAMS = 8, 5
# How far from a ruler's marks the times may be, as a part of the span: the statistic of Kolmogorov and Smirnov. Of so many
# random times one set in a hundred is further. Those of browsers that were told nothing, 3 s each, are at 0.67.
FARTHEST = 0.25
# How much later than told a stream may be open again.
LATE = 1000
PATIENCE = 20
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP *.example.test 127.0.0.1",
]

FRAMES = """
for (let host = 0; host < arguments[1]; host++) {
    const frame = document.createElement("iframe");
    frame.src = `http://h${host}.example.test:${arguments[0]}/`;
    document.body.append(frame);
}
"""
# In each of them, beside what its page has: a stream's first end, and its return.
CONNECT = """
events.close();
window.streams = [];
for (let at = 0; at < arguments[0]; at++) {
    const stream = {opened: null, ended: null, returned: null};
    const source = new EventSource("/events");
    source.onopen = () => {
        if (stream.ended !== null) stream.returned ??= performance.now(); else stream.opened ??= performance.now();
    };
    source.onerror = () => stream.ended ??= performance.now();
    streams.push(stream);
}
window.sockets = {};
for (const path of ["/echo", "/ticks"]) {
    const socket = new WebSocket(`ws://${location.host}${path}`);
    const seen = sockets[path] = {opened: false, closed: null};
    socket.onopen = () => { seen.opened = true; socket.send("hello"); };
    socket.onclose = ({code, reason, wasClean}) => seen.closed = [code, reason, wasClean];
}
"""


class Driver:
    """A browser, as its driver shows it: https://www.w3.org/TR/webdriver2/"""

    def __init__(self, chromedriver):
        self.process = subprocess.Popen(
            [chromedriver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.port, self.session = None, ""

    def begin(self, chromium, profile):
        started = (re.search(r"started successfully on port (\d+)", line) for line in self.process.stdout)
        found = next(filter(None, started), None)
        if found is None:
            raise SystemExit("browser: chromedriver does not start")
        self.port = int(found[1])
        options = {"binary": chromium, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        always = {"browserName": "chrome", "goog:chromeOptions": options}
        self.session = "/" + self.ask("POST", "", {"capabilities": {"alwaysMatch": always}})["sessionId"]

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE * 3)
        body = None if body is None else json.dumps(body)
        connection.request(method, f"/session{self.session}{path}", body, {"content-type": "application/json"})
        answer = json.load(connection.getresponse())["value"]
        connection.close()
        if isinstance(answer, dict) and "error" in answer:
            raise SystemExit(f"browser: {answer['error']}: {answer['message']}")
        return answer

    def go(self, url):
        self.ask("POST", "/url", {"url": url})

    def run(self, script, *args):
        return self.ask("POST", "/execute/sync", {"script": script, "args": args})

    def in_frames(self, script, *args):
        answers = []
        for frame in range(HOSTS):
            self.ask("POST", "/frame", {"id": frame})
            answers.append(self.run(script, *args))
            self.ask("POST", "/frame/parent", {})
        return answers

    def until(self, what, script):
        """Waits until a script is true in every frame."""
        limit = time.monotonic() + PATIENCE
        while not all(self.in_frames(f"return {script};")):
            if time.monotonic() > limit:
                raise SystemExit(f"browser: waited in vain for {what}: {self.in_frames('return [streams, sockets];')}")
            time.sleep(0.05)

    def end(self):
        try:
            if self.session:
                self.ask("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait()


class Server:
    def __init__(self, program, port=0):
        self.process = subprocess.Popen([program, f"127.0.0.1:{port}"], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(r":(\d+)$", line.strip())
        if found is None:
            raise SystemExit(f"browser: the server does not start: {line}")
        self.port = int(found[1])

    def drain(self):
        """Drains it, and returns how long that took, in ms."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        if code != 0:
            raise SystemExit(f"browser: the server ended with {code}")
        return (time.monotonic() - begun) * 1000

    def end(self):
        self.process.kill()
        self.process.wait()


def look(driver, program):
    """One restart. Returns when the streams came back, in ms, or nothing if the server did not come back before them."""
    server = Server(program)
    try:
        driver.go(f"http://h.example.test:{server.port}/")
        driver.run(FRAMES, server.port, HOSTS)
        driver.until("the frames", "document.readyState === 'complete' && typeof events === 'object'")
        driver.in_frames(CONNECT, STREAMS)
        driver.until("the streams", "streams.every(it => it.opened) && Object.values(sockets).every(it => it.opened)")
        took = server.drain()
        restarting = time.monotonic()
        server.end()
        server = Server(program, server.port)
        # With the time that the drain may have gone on behind the end of the first stream.
        away = took + (time.monotonic() - restarting) * 1000
        driver.until("the streams again", "streams.every(it => it.returned)")
        print(f"browser: drained in {took:.0f} ms, away for {away:.0f} ms at most")
        for sockets in driver.in_frames("return sockets;"):
            for path, code in [("/echo", 1012), ("/ticks", 1001)]:
                if sockets[path]["closed"] != [code, "draining", True]:
                    raise SystemExit(f"browser: {path} is to close cleanly with {code}: {sockets[path]}")
        times = [it["returned"] - it["ended"] for streams in driver.in_frames("return streams;") for it in streams]
        return sorted(times) if away < FROM else None
    finally:
        server.end()


def judge(times):
    count, span = len(times), TO - FROM
    print(f"browser: {count} streams came back after " + ", ".join(f"{it:.0f}" for it in times) + " ms")
    # A browser's clock and the timer that it waits by may be of two minds about a millisecond or so.
    if times[0] < FROM - 5 or times[-1] > TO + LATE:
        raise SystemExit(f"browser: a stream came back before {FROM} ms or long behind {TO} ms")
    places = [(it - FROM) / span for it in times]
    distance = max(max((at + 1) / count - place, place - at / count) for at, place in enumerate(places))
    print(f"browser: {distance:.3f} from an even spread")
    if distance > FARTHEST:
        raise SystemExit(f"browser: the streams came back unevenly; {FARTHEST} is the most")


def main():
    program, chromium, chromedriver = sys.argv[1:]
    profile = tempfile.mkdtemp(prefix="ebbtide-browser-")
    begun = time.monotonic()
    driver = Driver(chromedriver)
    # So that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("browser: told to end"))
    try:
        driver.begin(chromium, profile)
        # A machine that is busy may take longer for a restart than the first stream is told to wait: that is no answer.
        for _ in range(3):
            times = look(driver, program)
            if times is not None:
                judge(times)
                print(f"browser: kept, in {time.monotonic() - begun:.1f} s")
                return
        raise SystemExit("browser: the server took too long to come back")
    finally:
        driver.end()
        shutil.rmtree(profile, ignore_errors=True)


main()
