"""Kills services while they drain, and compares what a scraper has counted.

    python3 kills.py SERVER [PROMTOOL]

Drains that have started, minus drains that have ended, are to be those that were killed. The text of every scrape is to be
right, as promtool says where there is one.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from driver import Server, fail, until

CLEAN, KILLED = 3, 3
# How often the scraper comes, and how long a service that has drained waits for it at most, in seconds.
SCRAPE, LAST_SCRAPE = 0.2, 5


class Scraper:
    """Comes again and again, and keeps the last it has seen of each process, as Prometheus does."""

    def __init__(self, server, promtool):
        self.server, self.promtool, self.counts, self.scrapes = server, promtool, {}, 0
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.scrape, daemon=True)
        self.thread.start()

    def scrape(self):
        while not self.is_over.wait(SCRAPE):
            try:
                status, text = self.server.ask("/metrics")
            except OSError:
                continue
            if self.promtool and self.scrapes % 5 == 0 or "ended_total{outcome=\"clean\"} 1" in text:
                self.check(text)
            self.scrapes += 1
            for name in ("started", "ended"):
                values = re.findall(rf"^ebbtide_drains_{name}_total\{{.*\}} ([0-9.]+)$", text, re.M)
                self.counts[name] = sum(float(it) for it in values)

    def check(self, text):
        if not self.promtool:
            return
        checked = subprocess.run([self.promtool, "check", "metrics"], input=text, capture_output=True, text=True)
        if checked.returncode or checked.stdout or checked.stderr:
            os._exit(print(f"probe: promtool: {checked.stdout}{checked.stderr}{text}") or 1)

    def end(self):
        self.is_over.set()
        self.thread.join()


def run(program, log, promtool, is_killed):
    server = Server(program, log, lame_duck=0, last_scrape=LAST_SCRAPE)
    scraper = Scraper(server, promtool)
    try:
        # Not waited for: it is cut by the kill, or ends by itself.
        server.ask("/mail/60" if is_killed else "/mail/1", main=True)
        server.drain()
        until("a scrape that sees the drain", lambda: scraper.counts.get("started"))
        if is_killed:
            server.kill()
        else:
            until("the end", lambda: server.process.poll() is not None)
    finally:
        server.kill()
        scraper.end()
    return scraper.counts


def main():
    program, *promtool = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("probe: told to end"))
    folder = tempfile.mkdtemp(prefix="ebbtide-probe-")
    begun = time.monotonic()
    try:
        logs = [os.path.join(folder, str(at)) for at in range(CLEAN + KILLED)]
        counts = [run(program, log, *(promtool or [None]), at < KILLED) for at, log in enumerate(logs)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    started, ended = (int(sum(it[name] for it in counts)) for name in ("started", "ended"))
    print(f"probe: {started} drains started, {ended} ended, {KILLED} killed, in {time.monotonic() - begun:.1f} s")
    if started - ended != KILLED or started != CLEAN + KILLED:
        fail("started minus ended is not killed")
    print("probe: promtool finds nothing" if promtool else "probe: SKIPPED, there is no promtool")


main()
