"""Whether a fit that was loaded can go on: its method and its state, which a file may hold in any form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from saem.algorithms.accuracy.noise import NOISE
from saem.algorithms.accuracy.precision import TOP
from saem.algorithms.course.base import MonteCarloAlgorithm
from saem.algorithms.engine.checkpoint import COUNTS, LOOK, MEMORY, STATE, separated
from saem.algorithms.engine.continuation import REFINEMENT, SCHEDULE, START, Checkpoint
from saem.algorithms.engine.correction import COMOMENT, COUNT, MEAN
from saem.algorithms.engine.handover import as_then
from saem.algorithms.engine.iteration import RULES
from saem.algorithms.engine.passes import Engine
from saem.algorithms.independent_chains import IndependentChains
from saem.errors import StorageError
from saem.estep.samplers import kernel_state
from saem.families.problem import Problem

LARGEST = 10_000_000  # of iterations, draws in one of them, chains
UNBOUNDED = ("max_iterations", "max_draws", "max_seconds")  # what they bound is no array
WORDS = 4  # of the state of a random stream
MOST_OFTEN, LOOPED = 100, ("slowed", "thickened")  # of what is done so often when a fit goes on
NUMBERS = "iterations drawn fresh done skipped number until half own_from burn_in seconds".split()

Form = tuple[str, tuple[int | None, ...]]  # type of the values, such as "f8", and shape


def check_settings(settings: Any, name: str = "method") -> None:
    """Refuse settings of a method that would fill the memory.

    Raises
    ------
    StorageError
        Naming the setting.
    """
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            check_settings(value, str(key))
    elif isinstance(settings, int) and abs(settings) > LARGEST and name not in UNBOUNDED:
        raise StorageError(f"the saved method has {name} = {settings!s:.20}, and the largest is {LARGEST:,}")


def check_checkpoint(algorithm: Any, problem: Problem, checkpoint: Checkpoint) -> None:
    """Refuse a state whose arrays and numbers are not such as the method has for this problem.

    Raises
    ------
    StorageError
        Naming what differs.
    """
    parts = [checkpoint]
    if isinstance(algorithm, IndependentChains):
        parts, algorithm = separated(checkpoint, algorithm.chains), algorithm.method
    if not isinstance(algorithm, MonteCarloAlgorithm):  # one from outside, which knows itself what it needs
        return
    for part in parts:
        stage = part.texts.get("stage")
        if stage not in (START, SCHEDULE, REFINEMENT):
            raise StorageError("the state of the saved fit does not say at which stage it stopped")
        if stage == START:
            continue
        engine = as_then(algorithm.engine(problem, 0, None), part)
        forms, needed = forms_of(engine, problem)
        mistakes = [*_mistakes_in_arrays(part, forms, needed), *_mistakes_in_numbers(part, engine.once)]
        if mistakes:
            raise StorageError(f"the state of the saved fit is not one of its method: {mistakes[0]}")


def forms_of(engine: Engine, problem: Problem) -> tuple[dict[str, Form], set[str]]:
    """The arrays of a state by name, and those that must be there."""
    n, start = len(problem.parameters), engine.iteration.begin(problem.starts.first)
    memory = {MEMORY + name: value for name, value in start.memory.items()}
    kernel = kernel_state(engine.iteration.drawing)
    like = {**dict(zip(STATE, start.state, strict=True)), **memory, **kernel, "pinned": start.pinned}
    forms: dict[str, Form] = {name: (value.dtype.str[1:], value.shape) for name, value in like.items()}
    forms |= {"stream": ("u8", (WORDS,)), "moves": ("f8", (2,)), "path": ("f8", (None, n)), "draws": ("f8", (None,))}
    forms |= {"looks": ("f8", (None, len(LOOK))), "look_estimates": ("f8", (None, n))}
    later: dict[str, Form] = {COUNT: ("f8", (1,)), MEAN: ("f8", (n,)), COMOMENT: ("f8", (n, n)), "draws": ("i8", (1,))}
    later |= {NOISE: ("f8", (2 * n + 1, n)), TOP: ("f8", (n,)), RULES: ("f8", (2, n))}
    return {MEMORY + name: form for name, form in later.items()} | forms, set(forms)


def _mistakes_in_arrays(part: Checkpoint, forms: Mapping[str, Form], needed: set[str]) -> Iterator[str]:
    yield from (f"{name!r} is missing" for name in sorted(needed - part.arrays.keys()))
    yield from (f"{name!r} is unknown" for name in part.arrays if name not in forms)
    for name, array in part.arrays.items():
        kind, shape = forms.get(name, (array.dtype.str[1:], array.shape))
        fits = len(shape) == array.ndim and all(a in (None, b) for a, b in zip(shape, array.shape, strict=True))
        if array.dtype.str[1:] != kind or not fits:
            yield f"{name!r} has the type {array.dtype} and the shape {array.shape}"
    if len(part.arrays.get("looks", ())) != len(part.arrays.get("look_estimates", ())):
        yield "'looks' and 'look_estimates' differ in length"
    if len(part.arrays.get("path", ())) == 0:
        yield "'path' is empty"
    if not np.isfinite(part.arrays.get("draws", 0.0)).all():
        yield "'draws' are not finite"


def _mistakes_in_numbers(part: Checkpoint, once: int) -> Iterator[str]:
    """What is wrong with the counts, for a schedule of ``once`` iterations."""
    numbers = part.numbers
    for name in NUMBERS:
        if not (name in numbers and math.isfinite(numbers[name]) and 0.0 <= numbers[name] <= 2.0**53):
            yield f"{name!r} must be a count; got {numbers.get(name)!r}"
            return
    rows = len(part.arrays.get("path", ())) - 1 - numbers["own_from"]
    if not 0.0 <= numbers["done"] - numbers["skipped"] <= rows or numbers["skipped"] > once:
        yield f"{numbers['done']:g} iterations are not those of its path"
    if not numbers["done"] <= numbers["until"] <= 2.0 * max(once, numbers["done"]) + 1000.0:
        yield f"'until' is {numbers['until']:g}"
    if numbers.get("has_half") not in (0.0, 1.0) or numbers["half"] >= 2.0**32:
        yield "its random stream has no such state"
    for name in COUNTS:
        if not 0.0 <= numbers.get(name, 0.0) <= (MOST_OFTEN if name in LOOPED else LARGEST):
            yield f"{name!r} is {numbers[name]:g}"
