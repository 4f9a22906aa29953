"""Draws by nutpie: the No-U-Turn sampler (Hoffman & Gelman 2014) with nutpie's adaptation of the mass matrix.

Each chain is a sampler of its own with a seed of its own, so that more chains change none of those before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

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
) -> tuple[Array, dict[str, Array]]:
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

    Returns
    -------
    draws : (chains, draws, kept) ndarray
        In the coordinates of the density that is standardised.
    stats : dict of str to (chains, draws) ndarray

    Raises
    ------
    FitError
        When the sampler fails.
    KeyboardInterrupt
        On Ctrl-C, when all chains have ended.
    """
    nutpie = quiet_import("nutpie")
    running = [
        nutpie.sample(
            model_of(target, start),
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
        for target, start, seed in zip(targets, starts, seeds, strict=True)
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
    found = []
    stats: dict[str, list[Array]] = {name: [] for name in STATS.values()}
    for target, ((points,), (measured,)) in zip(targets, traces, strict=True):
        kept = ~column(measured, "tuning").astype(bool)
        found.append(target.coordinates(column(points, "v").reshape(len(kept), -1)[kept]))
        for key, name in STATS.items():
            stats[name].append(column(measured, key)[kept])
    return np.array(found), {name: np.array(values) for name, values in stats.items()}


def column(batch: Any, name: str) -> Array:
    """A column of a record batch; lists of numbers one after the other."""
    import pyarrow

    values = pyarrow.array(batch.column(name))
    return np.asarray((values.flatten() if hasattr(values, "flatten") else values).to_numpy(zero_copy_only=False))


@lru_cache(maxsize=1)
def copying() -> Any:
    """The C function by which nutpie asks what to keep of a point: its first coordinates."""
    from saem.system.jit import c_function
    from saem.system.jit import types as numba_types

    types: Any = numba_types

    pointer = types.CPointer(types.float64)

    def copy(d: int, kept: int, v: Any, out: Any, block: Any) -> int:
        for k in range(kept):
            out[k] = v[k]
        return 0

    return c_function(copy, types.int64(types.uint64, types.uint64, pointer, pointer, types.voidptr))


def model_of(target: Target, start: Array) -> Any:
    """A density as a model of nutpie, whose only chain begins at ``start``."""
    from saem.algorithms.bayes.native import compiled

    model = quiet_import("nutpie.compile_pymc").CompiledPyMCModel
    d = len(start)
    address, block, arguments = compiled(target)
    # nutpie keeps the model, and with it the block and the arrays that it points to, while it draws
    return model(
        dims={},
        compiled_logp_func=SimpleNamespace(address=address, arguments=arguments),
        compiled_expand_func=copying(),
        initial_point_func=lambda seed: start,
        shared_data={},
        user_data=block,
        n_expanded=target.kept,
        shape_info=(["v"], None, [(target.kept,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=d,
        _shapes={"v": (target.kept,)},
        _coords=None,
    )
