"""Where the results of an examination come from: data, settings, code and commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saem import recipes

from ...harness.provenance import git
from ...harness.study.identity import reach_of
from ...studies import examine
from ...studies.links import RECIPES

SETTINGS = ("data", "draws", "seed")


def origin_of(data: Path, draws: int, seed: int) -> dict[str, Any]:
    """The hash of the data, the settings, the hash of the code, and the commit where there is one."""
    content = hashlib.sha256(data.read_bytes()).hexdigest()
    found: dict[str, Any] = {"data": content, "draws": draws, "seed": seed, "code": code_hash()}
    commit = git(Path(__file__).parent).get("commit")
    return found | ({"commit": commit} if commit else {})


def code_hash() -> str:
    """16 hexadecimal digits of what the function `examine` reaches in this project, and of the recipes of the links."""
    texts = "".join(recipes.text(name) for name in RECIPES.values())
    return hashlib.sha256((reach_of(Path(examine.__file__), "examine").digest + texts).encode()).hexdigest()[:16]


def configuration_hash(origin: Mapping[str, Any], code: str | None = None) -> str:
    """16 hexadecimal digits of data, settings and code; of the code as it is now, where none is given."""
    settings = json.dumps({name: origin[name] for name in SETTINGS}, sort_keys=True)
    return hashlib.sha256((settings + (code or code_hash())).encode()).hexdigest()[:16]
