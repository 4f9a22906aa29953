"""Changing g: in a process that has fitted before, and in a new process."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator

import saem
from benchmarks.timing import Row, run_python, timed
from experiments.studies.peptide import peptide_model, peptide_table

REPEATS = 7
TERMS = ("{a} * sigma1", "log({a} + sigma2**2)", "{a} * tanh(b21)", "exp(-{a} * sigma**2)", "{a} / (2 + mu**2)")


def new_g(rng: random.Random) -> str:
    """A constraint that has never been compiled: the g of the recipe with other terms in it."""
    term = rng.choice(TERMS).format(a=repr(rng.uniform(0.01, 0.05)))
    return f"c2 == exp(log(2)**2/2 * (sigma2**2 - sigma1**2)) * (1 + 2**b22) / (1 + 2**b21) + {term}"


def compile_and_fit(text: str) -> tuple[float, float]:
    """Seconds to change the constraint (parse, differentiate, compile), and to fit by ML then."""
    from saem.expressions.constraint import compile_constraints

    table, model = peptide_table(60, seed=1), peptide_model()
    names = tuple(saem.fit(model, table, method="ml").parameters.names)
    started = time.perf_counter()
    changed = model.replace(constraints={"g": text})
    compile_constraints(changed.constraints, names)
    compiled = time.perf_counter() - started
    saem.fit(changed, table, method="ml")
    return compiled, time.perf_counter() - started


def measure() -> Iterator[Row]:
    """Times with a new g in each repeat, and of the same g once more."""
    rng = random.Random()
    warm = [compile_and_fit(new_g(rng)) for _ in range(REPEATS)]
    yield timed("new g, warm process: compile", [a for a, _ in warm], "s", 0.3)
    yield timed("new g, warm process: compile and fit by ML", [b for _, b in warm], "s", 0.3)
    texts = [new_g(rng) for _ in range(REPEATS)]
    fresh = [json.loads(run_python(["-m", "benchmarks.change_g", text])[1]) for text in texts]
    known = [json.loads(run_python(["-m", "benchmarks.change_g", text])[1]) for text in texts]
    yield timed("new g, new process: compile", [a for a, _ in fresh], "s", 0.3)
    yield timed("new g, new process: compile and fit by ML", [b for _, b in fresh], "s", 0.3)
    yield timed("known g, new process: load", [a for a, _ in known], "s")


if __name__ == "__main__":
    print(json.dumps(compile_and_fit(sys.argv[1])))
