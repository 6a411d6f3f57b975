#!/usr/bin/env python3
"""Takes a picture of one local page in Chromium, as wide as a given screen, in light or dark.

A headless window is never narrower than 500 px and knows no preferred colours, so this speaks the DevTools protocol
(through two pipes: no port, no package). Nothing is fetched from the network: a picture the page asks for is looked up
by its file name below --pictures. The page must fit its width; one that scrolls sideways is an error.
"""

import argparse
import base64
import contextlib
import fcntl
import json
import mimetypes
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

BROWSERS = ["chromium", "chromium-browser", "google-chrome"]
FLAGS = [
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--hide-scrollbars", "--disable-gpu",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
]
PATIENCE = 60  # seconds for the whole picture


def moved_up(descriptor):
    """The same pipe above 10: the browser wants its ends as 3 and 4, and neither may be in the other's way."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10)
    os.close(descriptor)
    return moved


class Browser:
    """One Chromium and one page in it."""

    def __init__(self, profile):
        program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
        if program is None:
            sys.exit("picture.py: chromium is missing (Debian package: chromium)")
        flags = FLAGS + [f"--user-data-dir={profile}"] + (["--no-sandbox"] if os.geteuid() == 0 else [])
        (commands, self.write), (read, answers) = os.pipe(), os.pipe()
        commands, answers = moved_up(commands), moved_up(answers)
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec 3<&{commands} 4>&{answers} "$@"', "bash", program, *flags, "about:blank"],
            pass_fds=(commands, answers), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self.answers = os.fdopen(read, "rb", buffering=0)
        self.buffer = b""
        self.number = 0
        self.session = None
        self.on_event = lambda event: None
        page = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]

    def send(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write, data):]
        return self.number

    def call(self, method, **parameters):
        number = self.send(method, **parameters)
        while True:
            message = self.next_message()
            if message.get("id") == number:
                if "error" in message:
                    sys.exit(f"picture.py: {method}: {message['error']['message']}")
                return message["result"]

    def wait_for(self, event):
        while self.next_message().get("method") != event:
            pass

    def next_message(self):
        while b"\0" not in self.buffer:
            chunk = self.answers.read(65536)
            if not chunk:
                sys.exit("picture.py: the browser has gone")
            self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(line)
        if "method" in message:
            self.on_event(message)
        return message

    def close(self):
        self.session = None
        with contextlib.suppress(BrokenPipeError):
            self.send("Browser.close")
        self.process.wait()


def answer_from(folder, browser):
    """Answers the page's requests from the folder; what is not there fails, and its alternative text shows."""

    def on_event(event):
        if event["method"] != "Fetch.requestPaused":
            return
        request = event["params"]
        url = request["request"]["url"]
        if url.startswith(("file:", "data:", "about:")):
            browser.send("Fetch.continueRequest", requestId=request["requestId"])
            return
        name = pathlib.PurePosixPath(url.split("?")[0]).name
        found = next((f for f in sorted(folder.rglob("*")) if f.is_file() and f.name == name), None) if folder else None
        if found is None:
            print(f"picture.py: left out {url}", file=sys.stderr)
            browser.send("Fetch.failRequest", requestId=request["requestId"], errorReason="AddressUnreachable")
            return
        kind = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
        browser.send(
            "Fetch.fulfillRequest", requestId=request["requestId"], responseCode=200,
            responseHeaders=[{"name": "Content-Type", "value": kind}],
            body=base64.b64encode(found.read_bytes()).decode(),
        )

    return on_event


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("picture", type=pathlib.Path)
    parser.add_argument("--width", type=int, required=True, help="CSS pixels")
    parser.add_argument("--scheme", choices=["light", "dark"], default="light")
    parser.add_argument("--scale", type=int, default=1, help="device pixels a CSS pixel")
    parser.add_argument("--tallest", type=int, default=2400, help="CSS pixels; what is below is cut off")
    parser.add_argument("--pictures", type=pathlib.Path, help="the folder that answers for the network")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        # A browser that hangs is ended; the read in the main thread then sees its end.
        timer = threading.Timer(PATIENCE, browser.process.kill)
        timer.start()
        try:
            take(browser, options)
        finally:
            timer.cancel()
            browser.close()


def take(browser, options):
    browser.on_event = answer_from(options.pictures, browser)
    phone = options.width < 600
    browser.call("Emulation.setDeviceMetricsOverride", width=options.width, height=800,
                 deviceScaleFactor=options.scale, mobile=phone)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": options.scheme}])
    browser.call("Fetch.enable", patterns=[{"urlPattern": "*"}])
    browser.call("Page.enable")
    browser.call("Page.navigate", url=options.page.resolve().as_uri())
    browser.wait_for("Page.loadEventFired")

    def ask(expression):
        return browser.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"]["value"]

    width, content, height = ask("[innerWidth, document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    dark = ask("matchMedia('(prefers-color-scheme: dark)').matches")
    if max(width, content) > options.width:
        sys.exit(f"picture.py: {options.page.name} is {max(width, content)} px wide on a screen of {options.width} px")
    if dark != (options.scheme == "dark"):
        sys.exit(f"picture.py: the browser does not show {options.scheme}")
    shot = browser.call(
        "Page.captureScreenshot", format="png", captureBeyondViewport=True,
        clip={"x": 0, "y": 0, "width": options.width, "height": min(height, options.tallest), "scale": 1},
    )
    options.picture.write_bytes(base64.b64decode(shot["data"]))
    print(f"{options.picture} ({options.width} px, {options.scheme})")


if __name__ == "__main__":
    main()
