"""Look at a built site: every link inside leads somewhere, every figure has words. `python docs/check.py FOLDER`."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse


class Page(HTMLParser):
    """The links, the places to link to, and the images without words of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = {"", "top"}
        self.mute: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.places |= {given[name] or "" for name in ("id", "name") if name in given}
        for name in ("href", "src"):
            if given.get(name):
                self.links.append(given[name] or "")
        source = given.get("src") or ""
        if tag == "img" and len((given.get("alt") or "").split()) < 3 and not source.endswith("_thumb.png"):
            self.mute.append(source)  # a thumbnail has its title beside it


def problems(site: Path) -> list[str]:
    """What is wrong, one sentence each.

    Parameters
    ----------
    site : Path
        The folder of ``index.html``.
    """
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        found += [f"{name}: the image {source} has no words (alt)" for source in page.mute]
        for link in page.links:
            target, place = urldefrag(link)
            if urlparse(target).scheme or target.startswith("//"):
                if target.endswith((".js", ".css", ".woff2")):
                    found.append(f"{name}: {link} is loaded from elsewhere")
                continue
            other = (path.parent / unquote(urlparse(target).path)).resolve() if target else path
            if not other.exists():
                found.append(f"{name}: {link} leads nowhere")
            elif other in pages and unquote(place) not in pages[other].places:
                found.append(f"{name}: {link} has no such place")
    if not pages:
        found.append(f"{site} has no pages")
    return found


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(bool(wrong))
