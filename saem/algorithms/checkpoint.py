"""What it takes to go on with a fit that was saved, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from saem.algorithms.chain import Chain, Run
from saem.algorithms.engine import Engine
from saem.algorithms.loop import State

Array = np.ndarray
KERNEL = ("latent", "acceptance")
MEMORY = "memory_"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Plain arrays, numbers and a text, as they can be written to a file.

    Attributes
    ----------
    arrays : dict of ndarray
        The state of the chain, of its random stream and of a Markov kernel.
    counts : dict of int
        What was done, drawn and begun anew.
    note : str
        What had happened until then, for the user.
    """

    arrays: dict[str, Array]
    counts: dict[str, int]
    note: str = ""


def take(engine: Engine, run: Run, fresh: int, note: str) -> Checkpoint:
    """The checkpoint of a run that is at the end of its chain."""
    chain, generator = run.chain, engine.rng.bit_generator.state
    arrays = {name: value.copy() for name, value in chain.state._asdict().items()}
    arrays |= {f"{MEMORY}{name}": value.copy() for name, value in chain.memory.items()}
    arrays |= {name: getattr(engine.drawing, name).copy() for name in KERNEL if hasattr(engine.drawing, name)}
    arrays |= {"stream": np.asarray(generator["state"]["state"]).copy(), "pinned": run.pinned.copy()}
    arrays |= {"draws": run.drawn, "path": run.path, "drawn_in_all": np.array([engine.drawn])}
    counts = {
        "done": chain.done,
        "skipped": chain.skipped,
        "own_from": 0 if run.before is None else len(run.before.path) - 1,
        "burn_in": run.burn_in,
        "iterations": engine.iterations,
        "fresh": fresh,
        "has_half": int(generator["has_uint32"]),
        "half": int(generator["uinteger"]),
    }
    return Checkpoint(arrays, counts, note)


def restore(engine: Engine, checkpoint: Checkpoint) -> Run:
    """Put an engine, made as the first time, into the state of the checkpoint; the run to go on from."""
    arrays, counts = checkpoint.arrays, checkpoint.counts
    generator: Any = engine.rng.bit_generator.state
    generator["state"]["state"] = arrays["stream"].astype(np.uint64)
    generator["has_uint32"], generator["uinteger"] = counts["has_half"], counts["half"]
    engine.rng.bit_generator.state = generator
    for name in KERNEL:
        if name in arrays:
            getattr(engine.drawing, name)[:] = arrays[name]
    engine.iterations, engine.drawn = counts["iterations"], float(arrays["drawn_in_all"][0])
    path, own_from = arrays["path"], counts["own_from"]
    chain = Chain(
        state=State(*(arrays[name].copy() for name in State._fields)),
        pinned=arrays["pinned"].copy(),
        done=counts["done"],
        paths=[path[own_from:-1]],
        skipped=counts["skipped"],
        draws=[arrays["draws"]],
        memory={name[len(MEMORY) :]: value.copy() for name, value in arrays.items() if name.startswith(MEMORY)},
    )
    engine.extend(chain.done)
    run = engine.run_of(chain)
    if not own_from:
        return run
    earlier = replace(run, path=path[: own_from + 1], burn_in=counts["burn_in"], before=None)
    return run.after(earlier)
