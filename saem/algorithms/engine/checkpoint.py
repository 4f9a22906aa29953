"""A fit can go on from here, bit for bit as if it had not ended.

A budget, a callback or a target may end a fit anywhere. It goes on from the last end of a block of iterations that it
would have reached without them too: what was done beyond is done again. Between the schedule and the refinement, where
zero variances and other maxima are looked for, that is the end of the schedule.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np

from saem.algorithms.engine.chain import Chain, Run, Snapshot, no_correction
from saem.algorithms.engine.continuation import REFINEMENT, SCHEDULE, Checkpoint
from saem.algorithms.engine.loop import State
from saem.algorithms.engine.passes import Engine
from saem.algorithms.engine.spending import Counts
from saem.estep.samplers import kernel_state, put_back

MEMORY = "memory_"
COUNTS = tuple(each.name for each in fields(Counts))
STATE = ("x", "statistics", "average", "drawn")  # the fields of a `State`, as they are called in a file
LOOK = ("number", "done", "iterations", "drawn", "seconds", "acceptance")  # the numbers of a snapshot


class Keeper:
    """Keeps the last state of an engine from which it can go on.

    Parameters
    ----------
    engine : Engine
        Calls it at the ends of blocks.

    Attributes
    ----------
    stage : str
        "schedule" or "refinement".
    fresh : int
        Passes of the refinement that were begun anew.
    note : str
        What happened, for the user.
    last : callable
        Makes the checkpoint of the last state that was kept.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.stage, self.fresh, self.note = SCHEDULE, 0, ""
        self.is_off = False  # what follows is not what a fit without the budget would do: to go on is to begin anew
        self.last: Callable[[], Checkpoint] = Checkpoint
        engine.keep = self.keep

    def keep(self, chain: Chain, drawn: float | None = None) -> None:
        """Keep the state of a chain, and that of the engine with ``drawn`` draws, unless a budget cut it short."""
        if self.engine.spent.stopped or self.is_off:
            return
        engine, iteration = self.engine, self.engine.iteration
        generator = iteration.rng.bit_generator.state
        arrays = {name: value.copy() for name, value in zip(STATE, chain.state, strict=True)}
        arrays |= {f"{MEMORY}{name}": value.copy() for name, value in chain.memory.items()}
        kernel = kernel_state(iteration.drawing)
        assert not arrays.keys() & kernel.keys(), "a kernel's array has the name of one of the chain's"
        arrays |= {name: value.copy() for name, value in kernel.items()}
        arrays |= {"stream": np.array(generator["state"]["state"]), "pinned": chain.pinned.copy()}
        arrays |= {"moves": iteration.moves.copy()}
        numbers: dict[str, float] = asdict(engine.counts)
        numbers |= {"drawn": engine.spent.drawn if drawn is None else drawn, "iterations": engine.spent.iterations}
        numbers |= {"fresh": self.fresh}
        numbers |= {name: getattr(chain, name) for name in ("done", "skipped", "number", "until")}
        numbers |= {"has_half": int(generator["has_uint32"]), "half": int(generator["uinteger"])}
        numbers |= {"seconds": engine.spent.seconds}
        texts = {"stage": self.stage, "note": self.note}
        before, n_paths, n_draws, n_looks = chain.before, len(chain.paths), len(chain.draws), len(engine.history)

        def checkpoint() -> Checkpoint:
            """The long way, which only grows, is put together when it is asked for."""
            earlier = [] if before is None else [before.path[:-1]]
            own_from, burn_in = (0, 0) if before is None else (len(before.path) - 1, before.burn_in)
            looks = engine.history[:n_looks]
            way = {
                "path": np.vstack([*earlier, *chain.paths[:n_paths]]),
                "draws": np.concatenate([np.zeros(0), *chain.draws[:n_draws]]),
                "looks": np.array([[getattr(look, name) for name in LOOK] for look in looks]).reshape(-1, len(LOOK)),
                "look_estimates": np.array([look.x for look in looks]).reshape(-1, len(chain.pinned)),
            }
            rules = {f"{MEMORY}{name}": value for name, value in iteration.rules().items()}
            return Checkpoint(arrays | rules | way, numbers | {"own_from": own_from, "burn_in": burn_in}, texts)

        self.last = checkpoint

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep nothing of the passes in between, whose end decides about what is done next."""
        self.engine.keep = None
        try:
            yield
        finally:
            self.engine.keep = self.keep

    def refining(self, note: str) -> None:
        """The schedule and what belongs to it are done."""
        self.stage, self.note = REFINEMENT, note

    def restore(self, checkpoint: Checkpoint) -> Chain:
        """Put the engine, made as the first time, into the state of the checkpoint; the chain to go on with."""
        self.stage, self.note = checkpoint.texts["stage"], checkpoint.texts["note"]
        self.fresh = int(checkpoint.numbers["fresh"])
        chain = restore(self.engine, checkpoint)
        self.keep(chain)
        return chain


def restore(engine: Engine, checkpoint: Checkpoint) -> Chain:
    """Put an engine into the state of a checkpoint, see `Keeper.restore`."""
    arrays, numbers, iteration = checkpoint.arrays, checkpoint.numbers, engine.iteration
    generator: Any = iteration.rng.bit_generator.state
    generator["state"]["state"] = arrays["stream"].astype(np.uint64)
    generator["has_uint32"], generator["uinteger"] = int(numbers["has_half"]), int(numbers["half"])
    iteration.rng.bit_generator.state = generator
    put_back(iteration.drawing, {name: arrays[name] for name in kernel_state(iteration.drawing)})
    for _ in range(int(numbers.get("slowed", 0))):
        engine.slow_down()
    for _ in range(int(numbers.get("thickened", 0))):
        engine.thicken()
    for name in COUNTS:
        setattr(engine.counts, name, int(numbers.get(name, 0)))
    engine.spent.iterations, engine.spent.drawn = int(numbers["iterations"]), float(numbers["drawn"])
    iteration.moves = arrays["moves"].copy()
    engine.spent.began = time.perf_counter() - numbers["seconds"]
    engine.history = [
        Snapshot(int(row[0]), int(row[1]), int(row[2]), float(row[3]), float(row[4]), float(row[5]), x.copy())
        for row, x in zip(arrays["looks"], arrays["look_estimates"], strict=True)
    ]
    path, own_from = arrays["path"], int(numbers["own_from"])
    chain = Chain(
        state=State(*(arrays[name].copy() for name in STATE)),
        pinned=arrays["pinned"].copy(),
        done=int(numbers["done"]),
        paths=[path[own_from:]],
        skipped=int(numbers["skipped"]),
        draws=[arrays["draws"]],
        memory={name[len(MEMORY) :]: value.copy() for name, value in arrays.items() if name.startswith(MEMORY)},
        number=int(numbers["number"]),
        until=int(numbers["until"]),
    )
    engine.extend(chain.done)
    iteration.take_up_rules(chain)
    if own_from:
        # of the run before, what comes after needs its path and its burn-in
        chain.before = replace(blank(chain), path=path[: own_from + 1], burn_in=int(numbers["burn_in"]))
    return chain


def blank(chain: Chain) -> Run:
    """A run of which nothing is known."""
    nothing = np.zeros(0)
    correction = no_correction(len(chain.pinned))
    return Run(chain.state.x, chain.pinned, nothing, 0, 0, 0, np.nan, nothing, nothing, chain, correction)


def combined(checkpoints: list[Checkpoint]) -> Checkpoint:
    """The checkpoints of several chains as one."""
    parts = [(f"{i}/", each) for i, each in enumerate(checkpoints)]
    return Checkpoint(
        {f"{i}{name}": value for i, each in parts for name, value in each.arrays.items()},
        {f"{i}{name}": value for i, each in parts for name, value in each.numbers.items()},
        {f"{i}{name}": value for i, each in parts for name, value in each.texts.items()},
    )


def separated(checkpoint: Checkpoint, count: int) -> list[Checkpoint]:
    """The checkpoints of so many chains."""

    def part(values: dict[str, Any], i: int) -> dict[str, Any]:
        return {name.partition("/")[2]: value for name, value in values.items() if name.startswith(f"{i}/")}

    return [
        Checkpoint(part(checkpoint.arrays, i), part(checkpoint.numbers, i), part(checkpoint.texts, i))
        for i in range(count)
    ]
