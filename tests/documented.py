"""The examples of CONTRIBUTING and of docs/algorithms.md, as code that runs."""

from __future__ import annotations

import importlib.util
import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ALGORITHMS = (ROOT / "docs" / "algorithms.md").read_text(encoding="utf-8")
INFERENCE = (ROOT / "docs" / "inference.md").read_text(encoding="utf-8")
HEADINGS = (
    "Recipe: a new step-size schedule",
    "Recipe: a new algorithm",
    "Recipe: a new M-step",
    "Recipe: a new sampler",
)


def example(heading: str) -> str:
    """The Python code of a section of CONTRIBUTING: its indented lines from an import on, and what is used after it."""
    section = TEXT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    first = re.search(r"^    (?:from|import) ", section, flags=re.M)
    assert first is not None, heading
    blocks = re.findall(r"(?:^    .*\n|^\n(?=\n*    ))+", section[first.start() :], flags=re.M)
    return "\n".join(textwrap.dedent(block) for block in blocks)


def imported(heading: str, folder: Path, given: dict[str, Any]) -> ModuleType:
    """The example as a module in a file of its own, which compiled code needs; written only where it has changed."""
    name = "example_" + heading.rsplit(" ", 1)[1].replace("-", "_")
    path = folder / f"{name}.py"
    code = example(heading)
    if not path.exists() or path.read_text(encoding="utf-8") != code:
        path.write_text(code, encoding="utf-8")
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    vars(module).update(given)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def fenced(text: str) -> list[tuple[str, str]]:
    """The Python blocks of a page, each with the output that is printed below it (empty where there is none)."""
    found = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", text, flags=re.M | re.S)
    return [(code, output) for code, output in found]
