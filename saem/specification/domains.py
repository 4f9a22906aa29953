"""The domains of parameters: bounds, ends that a maximum can be at, transforms to all numbers, and words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError

Floats = NDArray[np.float64]
LARGEST_LOG = 300.0  # of a positive parameter that is computed from its logarithm


@dataclass(frozen=True)
class Domain:
    """Where a parameter may lie.

    Attributes
    ----------
    name : str
        As files have it.
    words : str
        "a standard deviation".
    short : str
        For columns of tables.
    low, high : float
        Bounds, or infinite.
    has_ends : bool
        Whether a maximum of a likelihood can be at a bound: a standard deviation may be zero, a correlation one; a
        positive typical value may not.
    """

    name: str
    words: str
    short: str
    low: float = -math.inf
    high: float = math.inf
    has_ends: bool = False

    def admits(self, value: float) -> bool:
        """Whether it has a value, ends included where a maximum can be there."""
        return self.low <= value <= self.high if self.has_ends else self.low < value < self.high

    @property
    def range_in_words(self) -> str:
        """What a value must satisfy."""
        if self.low == -math.inf and self.high == math.inf:
            return "be a finite number"
        if self.high == math.inf:
            return f"be {self.low:g} or larger" if self.has_ends else f"be larger than {self.low:g}"
        brackets = "[]" if self.has_ends else "()"
        return f"lie in {brackets[0]}{self.low:g}, {self.high:g}{brackets[1]}"


REAL = Domain("real", "a mean", "mean")
POSITIVE = Domain("positive", "a positive number", "positive", 0.0)
SCALE = Domain("scale", "a residual standard deviation", "residual SD", 0.0)  # zero is no value that it may have
SD = Domain("sd", "a standard deviation", "SD", 0.0, has_ends=True)
CORRELATION = Domain("corr", "a correlation", "correlation", -1.0, 1.0, has_ends=True)
NAMED = {domain.name: domain for domain in (REAL, POSITIVE, SCALE, SD, CORRELATION)}
NAMED["mean"] = REAL  # as once in files
_INTERVAL = re.compile(r"interval\(([^,()]+),([^,()]+)\)")


def interval(low: float, high: float) -> Domain:
    """Numbers between two others, at which a maximum cannot be.

    Raises
    ------
    ModelError
        Unless both are finite, and in order.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ModelError(f"interval(low, high) needs two finite numbers, low < high; got interval({low:g}, {high:g})")
    return Domain(f"interval({low!r}, {high!r})", f"a number between {low:g} and {high:g}", "bounded", low, high)


def domain_named(name: str) -> Domain:
    """A domain by its name, as ``Domain.name`` has it.

    Raises
    ------
    ModelError
        When there is none.
    """
    if name in NAMED:
        return NAMED[name]
    found = _INTERVAL.fullmatch(name)
    try:
        if found is not None:
            return interval(float(found[1]), float(found[2]))
    except ValueError as error:
        if isinstance(error, ModelError):
            raise
    raise ModelError(
        f"there is no domain {name!r:.40}; the domains are real, positive, scale, sd, corr and interval(low, high)"
    )


class Domains(Sequence[Domain]):
    """The domains of n parameters, and what follows for all of them at once.

    Parameters
    ----------
    each : sequence of Domain
    """

    def __init__(self, each: Sequence[Domain]) -> None:
        self.each = tuple(each)
        self.low = np.array([domain.low for domain in self.each])
        self.high = np.array([domain.high for domain in self.each])

    def __getitem__(self, i: int) -> Domain:  # type: ignore[override]  # slices are not needed
        return self.each[i]

    def __len__(self) -> int:
        return len(self.each)

    def __iter__(self) -> Iterator[Domain]:
        return iter(self.each)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Domains) and self.each == other.each

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Sequence[Domain]) -> Domains:
        return Domains((*self.each, *other))

    def take(self, index: Sequence[int] | NDArray[np.intp]) -> Domains:
        """Those of some parameters."""
        return Domains([self.each[int(i)] for i in index])

    @cached_property
    def is_real(self) -> NDArray[np.bool_]:
        """Which (n,) have no bounds."""
        return np.asarray(np.isneginf(self.low) & np.isposinf(self.high))

    @cached_property
    def is_positive(self) -> NDArray[np.bool_]:
        """Which (n,) are bounded below alone."""
        return np.asarray(np.isfinite(self.low) & np.isposinf(self.high))

    @cached_property
    def is_between(self) -> NDArray[np.bool_]:
        """Which (n,) have two bounds."""
        return np.asarray(np.isfinite(self.low) & np.isfinite(self.high))

    @cached_property
    def is_correlation(self) -> NDArray[np.bool_]:
        """Which (n,) have two bounds at which a maximum may be."""
        return np.asarray(self.is_between & np.array([domain.has_ends for domain in self.each], dtype=bool))

    @cached_property
    def can_vanish(self) -> NDArray[np.bool_]:
        """Which (n,) may be zero at a maximum, their lower bound: standard deviations."""
        return np.asarray(self.is_positive & np.array([domain.has_ends for domain in self.each], dtype=bool))

    def room(self, x: Floats) -> Floats:
        """Distance (.., n) from the nearest bound; infinite without bounds."""
        return np.asarray(np.minimum(x - self.low, self.high - x))

    def at_end(self, x: Floats) -> NDArray[np.bool_]:
        """Which (n,) are at a bound."""
        return np.asarray(self.room(x) == 0.0)

    def moved(self, x: Floats, sizes: Floats, steps: Floats) -> Floats:
        """Points (.., n) that ``steps`` (.., n) of about one lead to: by sizes, by factors, or on Fisher's scale."""
        with np.errstate(over="ignore", invalid="ignore"):
            by_factor = self.low + (x - self.low) * np.exp(steps)
            inside = self.from_free(self.to_free(x) + steps)
        return self._by_kind(x + sizes * steps, by_factor, inside)

    def to_free(self, x: Floats) -> Floats:
        """Coordinates (.., n) without bounds: the logarithm of a positive number, ``atanh`` of a correlation."""
        with np.errstate(divide="ignore", invalid="ignore"):
            middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
            return self._by_kind(x, np.log(x - self.low), np.arctanh((x - middle) / half))

    def from_free(self, free: Floats) -> Floats:
        """Parameters (.., n) from coordinates without bounds."""
        with np.errstate(invalid="ignore", over="ignore"):
            middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
            above = self.low + np.exp(np.minimum(free, LARGEST_LOG))
            return self._by_kind(free, above, middle + half * np.tanh(free))

    def slopes(self, x: Floats) -> Floats:
        """Derivatives (.., n) of the parameters by those coordinates."""
        with np.errstate(invalid="ignore"):
            middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
            bent = half * (1.0 - ((x - middle) / half) ** 2)
            return self._by_kind(np.ones_like(x), x - self.low, bent)

    def _by_kind(self, real: Floats, positive: Floats, between: Floats) -> Floats:
        """Values (.., n) for parameters with no bound, one, and two; `numpy.select` takes ten times as long."""
        return np.asarray(np.where(self.is_real, real, np.where(self.is_positive, positive, between)))
