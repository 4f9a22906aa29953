"""The code of the pages in docs/."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ALGORITHMS = (ROOT / "docs" / "algorithms.md").read_text(encoding="utf-8")
INFERENCE = (ROOT / "docs" / "inference.md").read_text(encoding="utf-8")


def fenced(text: str) -> list[tuple[str, str]]:
    """The Python blocks of a page, each with the output that is printed below it (empty where there is none)."""
    found = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", text, flags=re.M | re.S)
    return [(code, output) for code, output in found]
