"""The TOML file of a study, validated: every mistake is reported at once, with its path."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, model_validator

from saem.errors import nearest

from .cells import Cell, Level, cells_of

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=60)]
Whole = Annotated[int, Strict()]
MOST_CELLS = 10_000
MOST_FITS = 200_000_000  # of a study: its agenda takes a byte for each


def printable(text: str) -> str:
    """Text without control characters, which a terminal would obey; of lines and tabs too, where it is one line."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)


def check_printable(text: str) -> str:
    """The text itself, if a terminal can show it."""
    if text != printable(text):
        raise ValueError("a text must have no control characters")
    return text


def check_level(level: Level) -> Level:
    """The level itself, if it can be a part of a cell's name."""
    if isinstance(level, str) and not level.isprintable():
        raise ValueError(f"a level must be one line without control characters; got {level!r:.60}")
    return level


def equal_levels(levels: Sequence[Level]) -> tuple[Level, Level] | None:
    """Two levels that are equal, as 1, 1.0 and true are, or are printed alike; None if there are none."""
    by_value: dict[Level, Level] = {}
    by_text: dict[str, Level] = {}
    for level in levels:
        for known, key in ((by_value, level), (by_text, str(level))):
            if key in known:
                return known[key], level  # type: ignore[index]
            known[key] = level  # type: ignore[index]
    return None


Text = Annotated[str, AfterValidator(check_printable)]
ShownLevel = Annotated[Level, AfterValidator(check_level)]


class Part(BaseModel):
    """Frozen, and strict about keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Design(Part):
    """The cells: a factorial design, a list, or both.

    Parameters
    ----------
    factors : dict of str to list
        Levels by factor; all combinations are cells.
    cells : list of dict
        More cells, each with a level for every factor.
    analysis : list of str
        Factors that belong to the analysis, such as a budget: cells that differ in these alone have the same data.
    """

    factors: dict[Name, Annotated[list[ShownLevel], Field(min_length=1)]] = Field(default_factory=dict)
    cells: list[dict[Name, ShownLevel]] = Field(default_factory=list)
    analysis: list[Name] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check(self) -> Design:
        count = math.prod(map(len, self.factors.values())) * bool(self.factors) + len(self.cells)
        if count > MOST_CELLS:
            raise ValueError(f"a design must have at most {MOST_CELLS:,} cells; this one has {count:.6g}")
        for name, levels in self.factors.items():
            if (pair := equal_levels(levels)) is not None:
                raise ValueError(
                    f"factors.{name} has equal levels, {pair[0]!r} and {pair[1]!r}; each level must be there once"
                )
        names = set(self.factors) or (set(self.cells[0]) if self.cells else set())
        for k, cell in enumerate(self.cells):
            if set(cell) != names:
                raise ValueError(f"cell {k + 1} must have the factors {sorted(names)}; it has {sorted(cell)}")
        if (repeated := self.repeated()) is not None:
            raise ValueError(f"the cell {repeated!r} is there twice; each must be there once")
        shown = Counter(cell.name for cell in self.all())
        twice = next((name for name, times in shown.items() if times > 1), None)
        if twice is not None:
            raise ValueError(f"two cells are both called {twice!r}; give levels that differ when they are printed")
        unknown = [name for name in self.analysis if name not in names]
        if unknown:
            raise ValueError(f"analysis must name some of the factors {sorted(names)}; got {unknown[0]!r}")
        return self

    def repeated(self) -> str | None:
        """The name of a listed cell that is there before, in the list or among the combinations."""
        before = {tuple(levels) for levels in product(*self.factors.values())} if self.factors else set()
        order = list(self.factors or (self.cells[0] if self.cells else ()))
        for cell in self.cells:
            levels = tuple(cell[name] for name in order)
            if levels in before:  # 1, 1.0 and true are equal
                return Cell(cell).name
            before.add(levels)
        return None

    def all(self) -> list[Cell]:
        """The cells in order."""
        return list(cells_of(self.factors, self.cells))


class Estimand(Part):
    """What is estimated; its true value in a cell is what the study's function `truth` says.

    Parameters
    ----------
    what : str
        In words.
    null : float, optional
        The hypothesis whose rejection rate is of interest.
    """

    what: Text = ""
    null: Annotated[float, Field(allow_inf_nan=False)] | None = None


class Method(BaseModel):
    """A method: what the study's function `estimate` is given, beside the data.

    Parameters
    ----------
    what : str
        In words.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    what: Text = ""

    @model_validator(mode="after")
    def _check(self) -> Method:
        for key, value in self.options.items():
            try:
                json.dumps(value)
            except (TypeError, RecursionError):
                raise ValueError(
                    f"{key} must be of texts, numbers, true, false, lists and tables; got {value}"
                ) from None
        return self

    @property
    def options(self) -> dict[str, Any]:
        """All keys but `what`."""
        return dict(self.model_extra or {})


class Run(Part):
    """How much is run.

    Parameters
    ----------
    replicates : int
        Data sets of each cell.
    seed : int
        Root of all random streams.
    timeout : float
        Seconds after which a method is given up on a data set.
    minimum : int
        Replicates of a cell before its precision is looked at, if `precision` has targets.
    budget : float, optional
        Seconds for the whole run, in which all cells get the same share as far as they need it.
    memory : float, optional
        MiB that a process which runs the study's functions may have; most of what the machine has if omitted.
    patience : float, optional
        Seconds for the import of the Python file, for `truth` in a cell, and for `performance`; if omitted `timeout`,
        or 10 if that is less.
    """

    replicates: Annotated[Whole, Field(ge=1)]
    seed: Annotated[Whole, Field(ge=0)] = 0
    timeout: Annotated[float, Field(gt=0.0)] = 300.0
    minimum: Annotated[Whole, Field(ge=2)] = 500
    budget: Annotated[float, Field(gt=0.0)] | None = None
    memory: Annotated[float, Field(ge=200.0)] | None = None
    patience: Annotated[float, Field(gt=0.0)] | None = None


class Study(Part):
    """A simulation study in the frame ADEMP (Morris, White & Crowther 2019).

    Parameters
    ----------
    title, aims, data : str
        In words, for the report: the aims and the data-generating mechanisms.
    design : Design
    estimands : dict of str to Estimand
    methods : dict of str to Method
    run : Run
    reference : str, optional
        The method whose estimates are the exact maximum.
    precision : dict of str to float
        Monte Carlo standard errors by measure: a cell whose errors are below them, for all its methods and estimands,
        gets no more replicates.
    """

    title: Annotated[Text, Field(min_length=1)]
    aims: Annotated[Text, Field(min_length=1)]
    data: Annotated[Text, Field(min_length=1)]
    design: Design
    estimands: Annotated[dict[Name, Estimand], Field(min_length=1)]
    methods: Annotated[dict[Name, Method], Field(min_length=1)]
    run: Run
    reference: str | None = None
    precision: dict[str, Annotated[float, Field(gt=0.0)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Study:
        problems = [problem for name, target in self.precision.items() for problem in self.obstacles(name, target)]
        fits = len(self.design.all()) * len(self.methods) * self.run.replicates
        if fits > MOST_FITS:
            problems.append(
                f"run.replicates: cells, methods and replicates make {fits:.3g} fits, and a study must have at most "
                f"{MOST_FITS:,}; got {self.run.replicates}"
            )
        if not self.design.all():
            problems.append("design: there is no cell; name factors, or list cells")
        if self.reference is not None and self.reference not in self.methods:
            problems.append(f"reference: must be one of the methods {list(self.methods)}; got {self.reference!r}")
        if self.precision and self.run.minimum > self.run.replicates:
            problems.append(
                f"run.minimum: must be at most run.replicates = {self.run.replicates}, or precision is never looked "
                f"at; got {self.run.minimum}"
            )
        if problems:
            raise ValueError("\n".join(problems))  # one a line, each with its path
        return self

    def obstacles(self, measure: str, target: float) -> list[str]:
        """Why a target of precision can never be met; nothing if it can."""
        from ..performance import MEASURES, NEED_NULL, NEED_REFERENCE, SHARES, adjusted

        name = f"precision.{measure}"
        if measure not in MEASURES:
            return [f"{name}: there is no such measure{nearest(measure, MEASURES)}"]
        if measure in NEED_REFERENCE and self.reference is None:
            return [f"{name}: can never be met without a reference"]
        if measure in NEED_NULL and all(estimand.null is None for estimand in self.estimands.values()):
            return [f"{name}: can never be met, since no estimand has a null value"]
        least = float(adjusted(0.0, self.run.replicates).mcse)
        if measure in SHARES and target < least:
            return [
                f"{name}: can never be met with run.replicates = {self.run.replicates}, after which the error of a "
                f"share is at least {least:.2g}; got {target:g}"
            ]
        return []
