"""Data that a fitted model has drawn, many times over, and fits to all of them.

Replicate ``k`` has random streams of its own, keyed by the seed, what it is for, and ``k``: more replicates change none
of those before, and neither do the number of workers or an interruption.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.batch import fit_by
from saem.batch.driver import table_digest
from saem.errors import ModelError
from saem.families import family_of
from saem.inference.arguments import whole
from saem.inference.rows import inside, refuse_posterior, rows_of
from saem.system.streams import check_seed, stream

if TYPE_CHECKING:
    import pandas as pd

    from saem.batch import Batch
    from saem.fitting.result import Fit

REPLICATE = "bootstrap replicate"  # the column that tells them apart
ENDED = ("converged", "boundary", "several_solutions")
LEAST = 20  # replicates


def draw_responses(fit: Fit, replicates: int, seed: int, purpose: str) -> np.ndarray:
    """Responses (replicates, n_rows) on the scale of the model, drawn by a fitted model on its own rows.

    Raises
    ------
    ModelError
        When the fit has no table or is a restricted one, or the number of replicates is too small.
    """
    replicates = whole(replicates, "replicates", LEAST)
    check_seed(seed)
    refuse_posterior(fit, "the maximum of the likelihood, which draws the data")
    if fit.status == "several_solutions":
        raise ModelError(
            "several sets of parameters have the highest likelihood, and each replicate would be of one or another: "
            "their spread would mean nothing. Tell them apart by another constraint, or fix a parameter"
        )
    if fit.method == "reml":
        raise ModelError("restricted likelihood is not what draws data; bootstrap a fit by 'ml'")
    data = rows_of(fit)[1]
    within = inside(fit, data)
    family = family_of(fit.model)

    def replicate(k: int) -> np.ndarray:
        streams = (stream(seed, purpose, str(k), part) for part in ("effects", "residuals"))
        made = family.draw_response(within.data, within.values, *streams)
        return family.on_model_scale(within.data, made, within.coordinates)

    return np.array([replicate(k) for k in range(replicates)])


def fit_replicates(
    fit: Fit,
    responses: np.ndarray,
    method: Any,
    seed: int,
    workers: int | None,
    output: Path | None,
    progress: Callable[[int, int], None] | None,
    restart: bool = False,
) -> Batch:
    """The model of a fit on its own rows with each of the responses (N, n_rows); goes on from what is in ``output``."""
    table = rows_of(fit)[0]
    replicates = len(responses)
    repeated = table.iloc[np.tile(np.arange(len(table)), replicates)].reset_index(drop=True)
    plain = fit.model.plain()
    repeated = repeated.assign(**family_of(plain).recorded(plain, repeated, responses.ravel()))
    repeated[REPLICATE] = np.repeat(np.arange(replicates), len(table))
    return fit_by(
        plain,
        repeated,
        REPLICATE,
        [method],
        seed=seed,
        workers=workers,
        output=output,
        progress=progress,
        restart=restart,
        # the first responses tell all others, whose streams are keyed: a run goes on with more of them
        origin=f"{table_digest(table)} {hashlib.sha256(responses[:LEAST].tobytes()).hexdigest()[:16]}",
    )


def fits_of(batch: Batch) -> pd.DataFrame:
    """Take `status`, `loglik` and `message` of every replicate from a batch, in their order."""
    import pandas as pd

    fits = batch.fits.set_index(REPLICATE)[["status", "loglik", "message"]]
    fits.index = pd.Index(fits.index.astype(int), name="replicate")
    return fits.sort_index()
