"""Measure in Chromium that no page scrolls sideways on a phone: `python docs/narrow.py FOLDER [chromium]`.

All pages are shown in frames of one page, which a server of this process gives to the browser.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WIDTH = 400  # pixels
AT_ONCE = 40  # frames
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --virtual-time-budget=20000 --dump-dom"
).split()
FRAMES = """<!doctype html><title>frames</title><body><script>
const pages = %s, found = {};
function measured(frame) {
  const page = frame.contentDocument;
  let width = page.documentElement.scrollWidth;
  const scrolls = (one) => one && one.tagName !== "ARTICLE" &&
    (/auto|scroll|hidden|clip/.test(frame.contentWindow.getComputedStyle(one).overflowX) || scrolls(one.parentElement));
  for (const one of page.querySelectorAll("article *")) {  // what is cut off does not scroll, and is not seen
    const right = one.getBoundingClientRect().right;
    if (right > width && !scrolls(one.parentElement)) width = Math.ceil(right);
  }
  found[frame.dataset.page] = width;
}
window.onload = () => setTimeout(() => {
  document.querySelectorAll("iframe").forEach(measured);
  const said = document.createElement("pre");
  said.id = "found";
  said.textContent = JSON.stringify(found);
  document.body.append(said);
}, 3000);
for (const page of pages) {
  const frame = document.createElement("iframe");
  Object.assign(frame, { src: page, width: %d, height: 900 });
  frame.style.border = 0;
  frame.dataset.page = page;
  document.body.append(frame);
}
</script>"""


class Quiet(SimpleHTTPRequestHandler):
    """A server that keeps no log, and has the page of frames beside the files of the site."""

    frames = b""

    def do_GET(self) -> None:
        if self.path != "/frames":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.frames)

    def log_message(self, format: str, *args: object) -> None:
        pass


def widths(site: Path, browser: str) -> dict[str, int]:
    """The width in pixels that each page needs on a screen of `WIDTH`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html") if "_static" not in path.parts)
    found: dict[str, int] = {}
    for k in range(0, len(pages), AT_ONCE):
        Quiet.frames = (FRAMES % (json.dumps(pages[k : k + AT_ONCE]), WIDTH)).encode()
        with tempfile.TemporaryDirectory() as profile:
            command = [browser, *OPTIONS, f"--user-data-dir={profile}", f"http://127.0.0.1:{server.server_port}/frames"]
            page = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
        said = re.search(r'<pre id="found">(.*?)</pre>', page, re.S)
        if said is None:
            sys.exit(f"{browser} measured nothing")
        found |= json.loads(unescape(said[1]))
    server.shutdown()
    return found


if __name__ == "__main__":
    browser = sys.argv[2] if len(sys.argv) > 2 else shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        sys.exit("there is no Chromium here; name the program: python docs/narrow.py FOLDER PROGRAM")
    wide = {page: width for page, width in widths(Path(sys.argv[1]), browser).items() if width > WIDTH}
    for page, width in wide.items():
        print(f"{page}: {width} pixels wide on a screen of {WIDTH}")
    sys.exit(bool(wide))
