"""A posterior as ArviZ has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from saem.data.intake import response_values
from saem.errors import ModelError
from saem.expressions.columns import column_of
from saem.families import family_of
from saem.system.optional import quiet_import

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.record import Record

EFFECTS, CLUSTER, TERM, OCCASION = "random_effects", "cluster", "term", "occasion"


def to_arviz(fit: Record) -> Any:
    """Give the draws of a fit to ArviZ, as `Fit.to_arviz` describes it."""
    if fit.posterior is None:
        raise ModelError(f"only a fit by 'bayes' has draws for ArviZ; this one is by {fit.method!r}")
    try:
        arviz = quiet_import("arviz")
    except ImportError:
        raise ModelError(
            "to_arviz needs the package arviz, which is not installed: pip install '.[bayes]' in a clone of saem, or "
            "pip install arviz"
        ) from None
    draws = fit.posterior.draws
    observed = None
    if fit.table is not None:
        values = response_values(
            fit.model, {name: column_of(fit.table, name) for name in fit.model.response_columns}, len(fit.table)
        )
        observed = {fit.model.response: values.astype(float)}
    variables = {name: draws[:, :, i].copy() for i, name in enumerate(fit.parameters.names)}
    of_clusters = cluster_variables(fit)
    effects, cluster, term = (free(name, [*variables, *of_clusters]) for name in (EFFECTS, CLUSTER, TERM))
    attributes = {"inference_library": "nutpie", "tuning_steps": fit.posterior.tune}
    attributes |= {f"prior of {name}": text for name, text in fit.posterior.priors.items()}
    places = labels_of_individual(fit) if of_clusters else []
    within = cluster if len(places) == fit.n_clusters else free(OCCASION, [*variables, *of_clusters])
    dims, coords = {name: [within] for name in of_clusters}, {within: places} if of_clusters else {}
    if fit.posterior.effect_draws.size:
        of_clusters[effects] = fit.posterior.effect_draws.copy()
        dims[effects], coords = [cluster, term], coords | {cluster: labels(fit), term: list(fit.term_names)}
    else:
        attributes[effects] = (
            "draws took too much memory and were not kept; the fit has means, covariances and quantiles"
            if fit.posterior.effect_covariances.size
            else "integrated out, not drawn"
        )
    return arviz.from_dict(
        posterior=variables | of_clusters,
        sample_stats={name: values.copy() for name, values in fit.posterior.stats.items()},
        observed_data=observed,
        dims=dims,
        coords=coords,
        attrs=attributes,
    )


def cluster_variables(fit: Record) -> dict[str, np.ndarray]:
    """Draws (chains, draws, U) of the individual parameters, by name; none without the table, or draws of effects."""
    from saem.fitting.kept import arranged

    assert fit.posterior is not None
    effects = fit.posterior.effect_draws
    if fit.table is None or not effects.size:
        return {}
    found = family_of(fit.model).individual(
        arranged(fit), fit.posterior.pooled, effects.reshape(-1, *effects.shape[2:]).astype(float)
    )
    return {name: values.reshape(*effects.shape[:2], -1) for name, values in found.items()}


def labels_of_individual(fit: Record) -> list[Any]:
    """The clusters, or occasions, (U,) that the individual parameters are of."""
    from saem.fitting.kept import arranged

    assert fit.table is not None
    return texts(family_of(fit.model).individual_labels(fit.model, arranged(fit), fit.table))


def labels(fit: Record) -> list[Any]:
    """The clusters (C,) by the values of their column; of several columns as one text."""
    return texts(fit.cluster_labels)


def texts(table: pd.DataFrame) -> list[Any]:
    """The rows of a table of labels: values of one column, or one text of several."""
    if len(table.columns) == 1:
        return list(table.iloc[:, 0])
    return [", ".join(map(str, row)) for row in table.itertuples(index=False)]


def free(name: str, taken: list[str]) -> str:
    """The name, with underscores where another thing has it."""
    while name in taken:
        name += "_"
    return name
