"""Has a browser look at the page of a probe while the service drains.

    python3 page.py SERVER CHROMIUM CHROMEDRIVER [PICTURES]

What changes is to be seen live, with the right counts; the page is to say nothing on the console and ask nobody else; and
without JavaScript it is to be right, too. With a folder for PICTURES it takes some.
"""

import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time

from driver import Driver, Server, fail, until

PHASE = "return document.querySelector('.phase').textContent"
COUNT = "return +document.querySelector(`[data-state=${arguments[0]}]`).firstChild.textContent"
# In whatever way it gets to the page: rendered, or set by a script.
SEEN = """
window.seen = [];
const look = () => {
    const phase = document.querySelector(".phase").textContent;
    if (seen.at(-1) !== phase) seen.push(phase);
};
look();
new MutationObserver(look).observe(document.querySelector("main"), {childList: true, subtree: true});
"""
ENTER, TAB = "\ue007", "\ue004"


def is_seen(driver, what, script, *args, is_it=bool):
    until(what, lambda: is_it(driver.run(script, *args)))
    print(f"probe: seen live: {what}")


def work(server):
    """Three requests, the oldest of which ends first, and two mails."""
    for at, path in enumerate(["/8", "/10", "/12"]):
        threading.Thread(target=ask_in_vain, args=(server, path), daemon=True).start()
        active = lambda: json.loads(server.ask("/drain")[1])["connections"]["active"]
        until("a request in flight", lambda: active() == at + 1)
    for path in ["/mail/8", "/mail/6"]:
        server.ask(path, main=True)


def ask_in_vain(server, path):
    try:
        server.ask(path, main=True)
    except OSError:
        pass  # The test has ended before it.


def source(driver):
    return driver.ask("GET", "/source")


def without_script(driver, server):
    """The page of a browser that runs no script, and that it reloads by itself."""
    driver.ask("POST", "/window", {"handle": driver.ask("POST", "/window/new", {"type": "tab"})["handle"]})
    driver.devtools("Emulation.setScriptExecutionDisabled", value=True)
    driver.go(server.url())
    page = source(driver)
    if ">Draining</p>" not in page or "reloads every 2 s" not in page:
        fail(f"without a script it is not draining: {page}")

    def has_counts():
        connections = json.loads(server.ask("/drain")[1])["connections"]
        return f'data-state="active">{connections["active"]} <' in source(driver)

    until("the right counts without a script", has_counts)
    if 'hidden=""' not in page:
        fail("without a script there is a button that does nothing")
    time_on_page = r'class="left"><b>([\d.]+ s)'
    before = re.search(time_on_page, page)
    until("a page that reloads itself", lambda: re.search(time_on_page, source(driver))[1] != before[1])
    print("probe: right without JavaScript, and reloads itself")
    driver.devtools("Emulation.setScriptExecutionDisabled", value=False)
    driver.ask("DELETE", "/window")
    driver.ask("POST", "/window", {"handle": driver.ask("GET", "/window/handles")[0]})


def keyboard(driver):
    """Every button can be reached and pressed without a pointer."""
    buttons = driver.run("return document.querySelectorAll('button:not([hidden])').length")
    if buttons < 6:
        fail(f"{buttons} commands to copy")
    driver.run("document.activeElement.blur()")
    for _ in range(buttons):
        driver.keys(TAB)
        if driver.run("return document.activeElement.tagName") != "BUTTON":
            fail("the tabulator does not lead from button to button")
    driver.keys(ENTER)
    said = "return document.activeElement.textContent"
    until("a command that was copied", lambda: driver.run(said) in ("Copied", "Selected"))
    chosen = driver.run("return getSelection().toString()")
    if not re.match(r"curl http://127\.0\.0\.1:\d+/metrics$", chosen):
        fail(f"the command that was copied: {chosen}")
    print(f"probe: {buttons} commands by keyboard, the last one: {chosen}")


def judge_console(driver, after_the_end=False):
    for entry in driver.log("browser"):
        # A browser that comes back to a server which has gone says so; that is no error of the page.
        if not (after_the_end and "net::ERR" in entry["message"]):
            fail(f"on the console: {entry['message']}")


def judge_requests(driver, server):
    """Who is asked by the documents of the server. The browser's own pages ask the browser."""
    asked = set()
    for entry in driver.log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            if message["params"]["documentURL"].startswith(server.url()):
                asked.add(message["params"]["request"]["url"])
    if asked - {server.url("/"), server.url("/drain")} or server.url("/drain") not in asked:
        fail(f"the page asks elsewhere: {asked}")
    print(f"probe: the page has asked for {sorted(asked)} only")


def look(driver, server, pictures):
    driver.go(server.url())
    driver.run(SEEN)
    is_seen(driver, "a stream", "return document.getElementById('link').className", is_it=lambda it: it == "live")
    keyboard(driver)
    work(server)
    is_seen(driver, "three requests", COUNT, "active", is_it=lambda it: it == 3)
    held = driver.run("return [...document.querySelectorAll('#held tbody tr')].map(it => it.innerText)")
    if len(held) < 4 or "GET /8" not in held[0]:
        fail(f"the oldest is not the first: {held}")
    server.act("/ready/off")
    is_seen(driver, "the switch is off", PHASE, is_it=lambda it: it == "Not ready")
    server.act("/ready/on")
    is_seen(driver, "the switch is on", PHASE, is_it=lambda it: it == "Ready")
    if pictures:
        # For a curve with more steps.
        for path in ["/4", "/4", "/5", "/6", "/6", "/7"]:
            threading.Thread(target=ask_in_vain, args=(server, path), daemon=True).start()
    server.act("/drain")
    is_seen(driver, "the lame duck time", PHASE, is_it=lambda it: it == "Lame duck")
    is_seen(driver, "the drain", PHASE, is_it=lambda it: it == "Draining")
    without_script(driver, server)
    if pictures:
        is_seen(driver, "fewer requests", COUNT, "active", is_it=lambda it: it == 2)
        for name, width, scheme in [("light", 960, "light"), ("dark", 960, "dark"), ("phone", 390, "dark")]:
            driver.picture(f"{pictures}/{name}.png", width, scheme)
    for width in (390, 320):
        driver.resize(width)
        if driver.run("return document.documentElement.scrollWidth > innerWidth"):
            fail(f"the page is wider than a screen of {width}")
    driver.resize()

    def agrees():
        counts = json.loads(server.ask("/drain")[1])["connections"]
        return all(driver.run(COUNT, it) == counts[it] for it in ("active", "idle"))

    until("a page that says what the status says", agrees)
    judge_console(driver)
    judge_requests(driver, server)
    is_seen(driver, "the next stage", "return document.querySelector('.stages .on b').textContent", is_it=lambda it: it == "mailer")
    until("the end", lambda: server.process.poll() is not None)
    is_seen(driver, "the end", PHASE, is_it=lambda it: it == "Drained")
    seen = driver.run("return seen")
    if seen[:1] + seen[-3:] != ["Ready", "Lame duck", "Draining", "Drained"]:
        fail(f"seen: {seen}")
    is_seen(driver, "that the server has gone", "return document.getElementById('link').textContent", is_it=lambda it: "lost" in it)
    judge_console(driver, after_the_end=True)
    if server.process.returncode != 0:
        fail(f"the server ended with {server.process.returncode}")


def main():
    program, chromium, chromedriver, *pictures = sys.argv[1:]
    folder = tempfile.mkdtemp(prefix="ebbtide-probe-")
    # So that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("probe: told to end"))
    begun = time.monotonic()
    driver, server = None, Server(program, os.path.join(folder, "log"))
    try:
        driver = Driver(chromium, chromedriver, os.path.join(folder, "profile"))
        look(driver, server, pictures[0] if pictures else None)
        print(f"probe: the page is kept, in {time.monotonic() - begun:.1f} s")
    finally:
        server.kill()
        if driver:
            driver.end()
        shutil.rmtree(folder, ignore_errors=True)


main()
