"""A posterior as ArviZ has it, and importing packages that have announcements to make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from saem.data.intake import response_values
from saem.errors import ModelError
from saem.expressions.columns import column_of
from saem.system.optional import quiet_import

if TYPE_CHECKING:
    from saem.fitting.record import Record


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
    return arviz.from_dict(
        posterior={name: draws[:, :, i].copy() for i, name in enumerate(fit.parameters.names)},
        sample_stats={name: values.copy() for name, values in fit.posterior.stats.items()},
        observed_data=observed,
        attrs={"inference_library": "nutpie", "tuning_steps": fit.posterior.tune}
        | {f"prior of {name}": text for name, text in fit.posterior.priors.items()},
    )
