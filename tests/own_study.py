"""A small study whose Python file a test writes, for tests of what the harness makes of odd functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w
from typer.testing import CliRunner

from experiments.harness.commands import app
from experiments.harness.store import Store

PYTHON = """
import math, os, random, sys, time, warnings
import numpy as np
from experiments.harness.study.functions import Outcome
{head}

def truth(cell):
    {truth}

def generate(cell, seed):
    {generate}

def estimate(data, cell, options, seed):
    value = float(np.mean(data))
    found = Outcome({{"centre": (value, 0.5, value - 1.0, value + 1.0, math.nan)}})
    {estimate}
    return found
{tail}
"""


def written(
    folder: Path,
    estimate: str = "pass",
    *,
    generate: str = "return np.random.default_rng(seed).normal(size=cell['size'])",
    truth: str = "return {'centre': 0.0}",
    head: str = "",
    tail: str = "",
    **changes: Any,
) -> Path:
    """The files of a study with the methods `plain`, and `odd` with the option ``odd``."""
    content = {
        "title": "Odd functions",
        "aims": "Whether they are noticed.",
        "data": "Normals.",
        "design": {"factors": {"size": [4, 6], "kind": ["b", "a"]}},
        "estimands": {"centre": {"what": "mean"}},
        "methods": {"plain": {}, "odd": {"odd": True}},
        "run": {"replicates": 4, "timeout": 60.0},
    } | changes
    path = folder / "own.toml"
    path.write_text(tomli_w.dumps(content), encoding="utf-8")
    bodies = {"estimate": estimate, "generate": generate, "truth": truth}
    bodies = {name: body.replace("\n", "\n    ") for name, body in bodies.items()}
    path.with_suffix(".py").write_text(PYTHON.format(**bodies, head=head, tail=tail), encoding="utf-8")
    return path


def command(*arguments: object, code: int = 0) -> str:
    """What a command says, in one line."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def records(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The records of a store, by method."""
    found: dict[str, list[dict[str, Any]]] = {}
    with Store(folder) as store:
        for _, _, record in store.records():
            found.setdefault(record["method"], []).append(record)
    return found
