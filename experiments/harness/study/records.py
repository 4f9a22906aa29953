"""What is kept of a method on a data set: its outcome, checked, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from saem.errors import SaemError, listing

from ..process import memory
from .functions import Outcome

ERROR, TIMEOUT, CRASHED = "error", "timeout", "crashed"
FAILED = (ERROR, TIMEOUT, CRASHED)
ENDED = ("ok", "boundary", "several_solutions", "not_converged", "not_identified")
LONGEST = 2000  # letters of a message that are kept
MOST_WARNINGS = 20  # different ones of a fit that are kept
LARGE_SEED = "Seed must be between"  # how NumPy's old generators refuse a seed

OF_FIT = ("loglik", "draws", "iterations")

Record = dict[str, Any]


def record_of(name: str, outcome: Outcome, estimands: Sequence[str], heard: Sequence[str], seconds: float) -> Record:
    """What is kept of a method's outcome.

    Raises
    ------
    SaemError
        When it is no outcome, has not five numbers, in order, for every estimand, or has no estimate at all.
    """
    if not isinstance(outcome, Outcome):
        raise SaemError(f"estimate must return an Outcome; got {type(outcome).__name__}")
    if not isinstance(outcome.status, str) or outcome.status not in ENDED:
        hint = " (a fit that converged is 'ok')" if str(outcome.status) == "converged" else ""
        raise SaemError(f"the status of an outcome must be one of {listing(ENDED)}; got {outcome.status!r}{hint}")
    if not isinstance(outcome.numbers, Mapping):
        raise SaemError(
            f"the numbers of an outcome must be a mapping by estimand; got {type(outcome.numbers).__name__}"
        )
    missing = [estimand for estimand in estimands if estimand not in outcome.numbers]
    if missing:
        raise SaemError(f"the method gives no estimate of {missing[0]!r}")
    numbers = [numbers_of(estimand, outcome.numbers[estimand]) for estimand in estimands]
    if not any(math.isfinite(own[0]) for own in numbers):
        got = f"{estimands[0]} = {numbers[0][0]:g}" if len(estimands) == 1 else "all are infinite or nan"
        raise SaemError(f"status {outcome.status!r}, but there is no finite estimate: {got}")
    of_fit = {what: number_of(f"{what} must be a number", getattr(outcome, what)) for what in OF_FIT}
    for what in ("draws", "iterations"):
        if of_fit[what] < 0.0:
            raise SaemError(f"{what} must not be negative; got {of_fit[what]:g}")
    return {
        "method": name,
        "status": str(outcome.status),
        "message": in_words(str(outcome.message)),
        "warnings": few(heard),
        **of_fit,
        "seconds": seconds,
        "numbers": numbers,
    }


def numbers_of(estimand: str, given: Sequence[float]) -> list[float]:
    """Estimate, SE, ends of the interval and Monte Carlo error.

    Raises
    ------
    SaemError
        When there are not five of them, or they contradict each other.
    """
    what = "estimate, SE, lower and upper end of the interval, Monte Carlo error (nan or None: it has none)"
    unordered = str | bytes | AbstractSet | Mapping
    if isinstance(given, unordered) or not isinstance(given, Iterable):
        raise SaemError(f"the outcome must have five numbers for {estimand!r}: {what}; got {type(given).__name__}")
    numbers = [number_of(f"the outcome must have five numbers for {estimand!r}", value) for value in given]
    if len(numbers) != 5:
        raise SaemError(f"the outcome must have five numbers for {estimand!r}: {what}; got {len(numbers)}")
    _, se, lower, upper, mcse = numbers
    if lower > upper:
        raise SaemError(f"the interval of {estimand!r} has its ends the wrong way round: {lower:g}, {upper:g}")
    if lower == math.inf or upper == -math.inf:
        raise SaemError(f"the interval of {estimand!r} holds no number: {lower:g}, {upper:g}")
    if math.isnan(lower) != math.isnan(upper):
        raise SaemError(
            f"the interval of {estimand!r} has one end only: {lower:g}, {upper:g}; where it has no bound, give "
            "-math.inf or math.inf"
        )
    if se < 0.0 or mcse < 0.0:
        raise SaemError(f"the errors of {estimand!r} must not be negative; got SE {se:g}, Monte Carlo error {mcse:g}")
    return numbers


def number_of(what: str, value: Any) -> float:
    """A number, or nan for None.

    Raises
    ------
    SaemError
        Beginning with `what`, when it is none, but a text, a truth value or an array.
    """
    if value is None:
        return math.nan
    try:
        if not isinstance(value, str | bytes | bool | np.bool_ | complex) and not np.ndim(value):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise SaemError(f"{what}; got one of type {type(value).__name__}")


def failure(name: str, status: str, message: str, seconds: float, limit: float | None = None) -> Record:
    """The record of a method that gave nothing, within a limit of seconds if that was why."""
    nan = float("nan")
    return {
        "method": name,
        "status": status,
        "message": message,
        "warnings": [],
        "loglik": nan,
        "draws": nan,
        "iterations": nan,
        "seconds": seconds,
        "numbers": [],
    } | ({} if limit is None else {"limit": limit})


def overdue(name: str, limit: float, part: str = "") -> Record:
    """The record of a method that did not end in time."""
    return failure(name, TIMEOUT, f"{part}it did not end within {limit:g} s", float("nan"), limit)


def few(texts: Iterable[str]) -> list[str]:
    """The different texts; of very many the first, and how many there are."""
    found = list(dict.fromkeys(texts))
    if len(found) > MOST_WARNINGS:
        return [*found[:MOST_WARNINGS], f"and {len(found) - MOST_WARNINGS} more"]
    return found


def in_words(error: BaseException | str) -> str:
    """What went wrong, in one line without control characters; what saem itself refuses needs no name of a class."""
    try:
        text = str(error)[: 10 * LONGEST]
    except Exception as broken:
        text = f"(its message cannot be read: {type(broken).__name__})"
    if isinstance(error, MemoryError) and (limit := memory.in_words()):
        text = f"{text} ({limit})".lstrip()
    text = " ".join(text.encode("utf-8", "replace").decode().split())
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    text = text if len(text) <= LONGEST else text[:LONGEST] + " …"
    if isinstance(error, ValueError) and LARGE_SEED in text:
        text += " (the seeds of a study are below 2**63: use numpy.random.default_rng(seed), or seed % 2**32)"
    return text if isinstance(error, SaemError | str) else f"{type(error).__name__}: {text}"
