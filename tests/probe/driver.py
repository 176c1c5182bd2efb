"""A browser and the example server, as the tests of the probe drive them."""

import base64
import http.client
import json
import os
import re
import signal
import subprocess
import time

PATIENCE = 20
TOKEN = "0123456789abcdef"
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
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
]


def fail(why):
    raise SystemExit(f"probe: {why}")


def until(what, found):
    """What `found` finds, as soon as it finds something."""
    limit = time.monotonic() + PATIENCE
    while True:
        it = found()
        if it:
            return it
        if time.monotonic() > limit:
            fail(f"waited in vain for {what}")
        time.sleep(0.02)


class Driver:
    """A browser, as its driver shows it: https://www.w3.org/TR/webdriver2/"""

    def __init__(self, chromium, chromedriver, profile):
        self.process = subprocess.Popen(
            [chromedriver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        started = (re.search(r"started successfully on port (\d+)", line) for line in self.process.stdout)
        found = next(filter(None, started), None)
        self.port, self.session = int(found[1]) if found else fail("chromedriver does not start"), ""
        options = {"binary": chromium, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        always = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        self.session = "/" + self.ask("POST", "", {"capabilities": {"alwaysMatch": always}})["sessionId"]

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE * 3)
        body = None if body is None else json.dumps(body)
        connection.request(method, f"/session{self.session}{path}", body, {"content-type": "application/json"})
        answer = json.load(connection.getresponse())["value"]
        connection.close()
        if isinstance(answer, dict) and "error" in answer:
            fail(f"{answer['error']}: {answer['message']}")
        return answer

    def go(self, url):
        self.ask("POST", "/url", {"url": url})

    def run(self, script, *args):
        return self.ask("POST", "/execute/sync", {"script": script, "args": args})

    def keys(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def devtools(self, command, **params):
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def log(self, kind):
        """What the browser has logged since the last call."""
        return self.ask("POST", "/se/log", {"type": kind})

    def resize(self, width=None):
        """Makes the screen so wide; as it was without a width."""
        if width is None:
            return self.devtools("Emulation.clearDeviceMetricsOverride")
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        return self.devtools("Emulation.setDeviceMetricsOverride", **size)

    def picture(self, file, width, scheme):
        """Takes a picture of the page, down to what is held."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", features=features)
        self.resize(width)
        height = self.run("return document.getElementById('held').getBoundingClientRect().bottom + scrollY + 16")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        picture = self.devtools("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        with open(file, "wb") as out:
            out.write(base64.b64decode(picture["data"]))
        self.resize()

    def end(self):
        try:
            if self.session:
                self.ask("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait()


class Server:
    """The example server, on ports of its own. What it prints is in its log."""

    def __init__(self, program, log, lame_duck=1, last_scrape=0, before=None, token=TOKEN):
        self.log = log
        environment = {**os.environ, "PROBE_TOKEN": token}
        with open(log, "w") as out:
            self.process = subprocess.Popen(
                [program, "127.0.0.1:0", "127.0.0.1:0", str(lame_duck), str(last_scrape)],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
                preexec_fn=before,
            )
        self.port = self.found(r"api: listening on 127.0.0.1:(\d+)")
        self.diagnostics = self.found(r"diagnostics on http://127.0.0.1:(\d+)")
        until("the server", lambda: self.lines("^ready$"))

    def lines(self, pattern):
        with open(self.log) as log:
            return re.findall(pattern, log.read(), re.M)

    def found(self, pattern):
        return int(until(f"the server's line {pattern}", lambda: self.lines(pattern))[0])

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.diagnostics}{path}"

    def ask(self, path, method="GET", main=False, **headers):
        """A request on a connection of its own: its status and its body."""
        port = self.port if main else self.diagnostics
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    def act(self, path, **headers):
        return self.ask(path, "POST", **{"authorization": f"Bearer {TOKEN}", **headers})[0]

    def drain(self):
        self.process.send_signal(signal.SIGTERM)

    def kill(self):
        self.process.kill()
        self.process.wait()
