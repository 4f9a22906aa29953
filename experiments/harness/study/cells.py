"""The cells of a design: one combination of the factors' levels each, known by its content and not by its place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

Level = str | int | float | bool


@dataclass(frozen=True)
class Cell:
    """A combination of levels.

    Attributes
    ----------
    levels : mapping of str to str, int, float or bool
        By factor.
    """

    levels: Mapping[str, Level]

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", MappingProxyType(dict(self.levels)))

    @property
    def name(self) -> str:
        """`replicates=6, ratio=2`: the levels in words, in the order of the design."""
        return ", ".join(f"{factor}={level}" for factor, level in self.levels.items()) or "the only cell"

    @property
    def key(self) -> str:
        """16 hexadecimal digits that depend on the levels alone: not on their order, nor on the other cells."""
        content = json.dumps(dict(sorted(self.levels.items())), separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def without(self, factors: Collection[str]) -> Cell:
        """The cell without some of its factors."""
        return Cell({factor: level for factor, level in self.levels.items() if factor not in factors})

    def __getitem__(self, factor: str) -> Level:
        return self.levels[factor]

    def __hash__(self) -> int:
        return hash(self.key)

    def __reduce__(self) -> tuple[object, ...]:
        return Cell, (dict(self.levels),)


def cells_of(factors: Mapping[str, Sequence[Level]], listed: Sequence[Mapping[str, Level]]) -> Iterator[Cell]:
    """All combinations of the factors' levels, then the cells that are listed; each once."""
    seen: set[str] = set()
    combinations = product(*factors.values()) if factors else iter(())
    for levels in [*(dict(zip(factors, combination, strict=True)) for combination in combinations), *listed]:
        cell = Cell(levels)
        if cell.key not in seen:
            seen.add(cell.key)
            yield cell
