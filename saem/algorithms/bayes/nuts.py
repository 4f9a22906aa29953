"""Draws by nutpie: the No-U-Turn sampler (Hoffman & Gelman 2014) with nutpie's adaptation of the mass matrix.

Each chain is a sampler of its own with a seed of its own, so that more chains change none of those before.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from saem.arviz import quiet_import
from saem.errors import FitError, ModelError

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
            "pip install 'saem[bayes]', or '.[bayes]' in a clone"
        )


def sample(
    density: Callable[[Array], tuple[float, Array]],
    starts: Sequence[Array],
    seeds: Sequence[int],
    tune: int,
    draws: int,
    target_accept: float,
) -> tuple[Array, dict[str, Array]]:
    """Draw from a density by one chain from each start, all at the same time.

    Parameters
    ----------
    density : callable
        From coordinates (d,) to the log density and its gradient (d,).
    starts : sequence of (d,) ndarray
    seeds : sequence of int
        Same seed and start, same draws.
    tune, draws : int
        Of each chain.
    target_accept : float

    Returns
    -------
    draws : (chains, draws, d) ndarray
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
            model_of(density, start),
            draws=draws,
            tune=tune,
            chains=1,
            cores=1,
            seed=seed,
            target_accept=target_accept,
            save_warmup=False,
            progress_bar=False,
            blocking=False,
        )
        for start, seed in zip(starts, seeds, strict=True)
    ]
    traces = []
    try:
        for sampler in running:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                traces.append(sampler.wait())
    except BaseException as error:
        for sampler in running[len(traces) :]:
            sampler.cancel()
        if isinstance(error, KeyboardInterrupt):
            raise
        raise FitError(f"the sampler failed: {error}") from error
    found = np.concatenate([np.asarray(trace.posterior["u"].values, dtype=float) for trace in traces])
    stats = {
        name: np.concatenate([np.asarray(trace.sample_stats[key].values) for trace in traces])
        for key, name in STATS.items()
    }
    return found, stats


def model_of(density: Callable[[Array], tuple[float, Array]], start: Array) -> Any:
    """A density as a model of nutpie, whose only chain begins at ``start``."""
    compiled = quiet_import("nutpie.compiled_pyfunc")
    d = len(start)
    return compiled.from_pyfunc(
        ndim=d,
        make_logp_fn=lambda: density,
        make_expand_fn=lambda seed, other_seed, chain: lambda u: {"u": np.array(u, dtype=float)},
        expanded_dtypes=[np.dtype("float64")],
        expanded_shapes=[(d,)],
        expanded_names=["u"],
        make_initial_point_fn=lambda seed: start,
    )
