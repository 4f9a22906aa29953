"""Draws by nutpie: the No-U-Turn sampler (Hoffman & Gelman 2014) with nutpie's adaptation of the mass matrix.

Each chain is a sampler of its own with a seed of its own, so that more chains change none of those before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from saem.algorithms.bayes.target import Target
from saem.errors import FitError, ModelError
from saem.system.optional import quiet_import

Array = np.ndarray
STATS = {  # by their names in nutpie
    "logp": "lp",
    "diverging": "diverging",
    "energy": "energy",
    "depth": "tree_depth",
    "n_steps": "n_steps",
    "mean_tree_accept": "acceptance_rate",
    "step_size": "step_size",
}

# after what the density needs, the block of a chain has these numbers, and then room for whole draws
SEEN, SKIPPED, EVERY, MOST = range(
    4
)  # draws so far; how many come before the first that is held; every which; how many
HEAD = 4


class Drawn(NamedTuple):
    """Draws of some chains."""

    coordinates: Array  # (chains, draws, d) of the parameters, those that are standardised
    effects: Array  # (chains, draws / every, C, q) the model's random effects; no clusters where they are not drawn
    stats: dict[str, Array]  # (chains, draws)


def check_installed() -> None:
    """Say how to install what the method needs.

    Raises
    ------
    ModelError
        When it is not there.
    """
    missing = [name for name in ("nutpie", "arviz") if find_spec(name) is None]
    if missing:
        raise ModelError(
            f"method 'bayes' needs {' and '.join(missing)}, which is not installed: "
            "pip install nutpie arviz, or '.[bayes]' in a clone"
        )


def sample(
    targets: Sequence[Target],
    starts: Sequence[Array],
    seeds: Sequence[int],
    tune: int,
    draws: int,
    target_accept: float,
    every: int = 1,
) -> Drawn:
    """Draw from a density by one chain from each start, all at the same time.

    Parameters
    ----------
    targets : sequence of Target
        The density of each chain, in coordinates of its own.
    starts : sequence of (d,) ndarray
        In these coordinates.
    seeds : sequence of int
        Same seed and start, same draws.
    tune, draws : int
        Of each chain.
    target_accept : float
    every : int
        Random effects are those of the first draw, and of every so-many-th after it.

    Returns
    -------
    Drawn

    Raises
    ------
    FitError
        When the sampler fails.
    KeyboardInterrupt
        On Ctrl-C, when all chains have ended.
    """
    nutpie = quiet_import("nutpie")
    models = [model_of(target, start, tune, draws, every) for target, start in zip(targets, starts, strict=True)]
    running = [
        nutpie.sample(
            model,
            draws=draws,
            tune=tune,
            chains=1,
            cores=1,
            seed=seed,
            target_accept=target_accept,
            progress_bar=False,
            blocking=False,
            return_raw_trace=True,
        )
        for model, seed in zip(models, seeds, strict=True)
    ]
    traces: list[Any] = []
    try:
        for sampler in running:
            traces.append(sampler.wait().get_arrow_trace())
    except BaseException as error:
        for sampler in running[len(traces) :]:
            sampler.cancel()
        if isinstance(error, KeyboardInterrupt):
            raise
        raise FitError(f"the sampler failed: {error}") from error
    found, effects = [], []
    stats: dict[str, list[Array]] = {name: [] for name in STATS.values()}
    for target, model, ((points,), (measured,)) in zip(targets, models, traces, strict=True):
        kept = ~column(measured, "tuning").astype(bool)
        own = column(points, "v").reshape(len(kept), -1)[kept]
        found.append(target.coordinates(own))
        effects.append(target.effects(held(model.user_data, target, own, every)))
        for key, name in STATS.items():
            stats[name].append(column(measured, key)[kept])
    return Drawn(np.array(found), np.array(effects), {name: np.array(values) for name, values in stats.items()})


def held(block: Array, target: Target, own: Array, every: int) -> Array:
    """The whole draws that a block holds, (draws / every, dimension), given those (draws, d) of the parameters.

    Raises
    ------
    FitError
        When they are not draws of these parameters.
    """
    from saem.algorithms.bayes.native import BLOCK

    d = target.of_parameters
    if d == target.dimension:
        return own[:0]
    whole = block[BLOCK + HEAD :].reshape(-1, target.dimension)
    if not np.array_equal(whole[:, :d], own[::every]):
        raise FitError("the sampler has not given each draw once, so the random effects are not known; report this")
    return whole


def column(batch: Any, name: str) -> Array:
    """A column of a record batch; lists of numbers one after the other."""
    import pyarrow

    values = pyarrow.array(batch.column(name))
    return np.asarray((values.flatten() if hasattr(values, "flatten") else values).to_numpy(zero_copy_only=False))


@lru_cache(maxsize=1)
def copying() -> Any:
    """The C function by which nutpie asks what to keep of a draw: its first coordinates.

    nutpie would keep them of all draws, those of the tuning too. Whole draws are therefore written to the block.
    """
    from saem.algorithms.bayes.native import BLOCK
    from saem.system.jit import c_function
    from saem.system.jit import types as numba_types

    types: Any = numba_types

    pointer = types.CPointer(types.float64)

    def copy(d: int, kept: int, v: Any, out: Any, block: Any) -> int:
        for k in range(kept):
            out[k] = v[k]
        past = int(block[BLOCK + SEEN]) - int(block[BLOCK + SKIPPED])
        block[BLOCK + SEEN] += 1.0
        every = int(block[BLOCK + EVERY])
        if past >= 0 and past % every == 0 and past // every < block[BLOCK + MOST]:
            begin = BLOCK + HEAD + past // every * d
            for k in range(d):
                block[begin + k] = v[k]
        return 0

    return c_function(copy, types.int64(types.int64, types.int64, pointer, pointer, pointer))


def model_of(target: Target, start: Array, tune: int, draws: int, every: int) -> Any:
    """A density as a model of nutpie, whose only chain begins at ``start``; for the others see `sample`."""
    from saem.algorithms.bayes.native import BLOCK, compiled

    model = quiet_import("nutpie.compile_pymc").CompiledPyMCModel
    d, kept = len(start), target.of_parameters
    most = 0 if kept == d else len(range(0, draws, every))
    address, block, arguments = compiled(target, HEAD + most * d)
    block[BLOCK : BLOCK + HEAD] = 0.0, tune, every, most
    # nutpie keeps the model, and with it the block and the arrays that it points to, while it draws
    return model(
        dims={},
        compiled_logp_func=SimpleNamespace(address=address, arguments=arguments),
        compiled_expand_func=copying(),
        initial_point_func=lambda seed: start,
        shared_data={},
        user_data=block,
        n_expanded=kept,
        shape_info=(["v"], None, [(kept,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=d,
        _shapes={"v": (kept,)},
        _coords=None,
    )
