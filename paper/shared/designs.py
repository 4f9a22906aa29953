"""The cells of the studies in full form, which a quick form has fewer of: a number's key is there in either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import experiments


def cells_of(study: str) -> list[dict[str, Any]]:
    """The levels of the factors in every cell of a study that ships."""
    from experiments.study import load_study

    path = Path(experiments.__file__).parent / "studies" / f"{study}.toml"
    return [dict(cell.levels) for cell in load_study(path).design.all()]
