"""The linear predictor of a generalised linear mixed model as an expression, and the columns that it reads.

    eta = offset + sum_j beta_j x_j + sum_k theta_k z_k

Coordinates of the nonlinear family are ``theta_k`` with the means in its centre. Columns have names that no parameter
can have: ``mean[..]``, ``term[..]``, ``offset[]``, ``trials[..]`` and ``response[..]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from saem.data.table import Rows
from saem.expressions.columns import Values
from saem.families.carrying import linear_predictor
from saem.families.glmm.specification import GlmmModel
from saem.families.nonlinear import support, trees
from saem.families.nonlinear.row_law import row_law
from saem.families.nonlinear.structure import Structure
from saem.specification.formula import Design
from saem.specification.parameters import Parameters

Floats = NDArray[np.float64]


def columns_of(
    model: GlmmModel,
    means: Iterable[str],
    design: Floats,
    random: Floats,
    offset: Floats | None,
    read: Mapping[str, Values],
    rows: Rows,
    terms: Iterable[str] | None = None,
) -> dict[str, Values]:
    """The columns of the linear predictor of some rows, and their trials.

    Parameters
    ----------
    model : GlmmModel
    means : iterable of str
        (p,) of the columns of the design.
    design, random : (m, p), (m, q) ndarray
    offset : (m,) ndarray or None
    read : mapping of str to Values
        Columns of the table.
    rows : Rows
    terms : iterable of str, optional
        (q,) names of the random effects; by default the terms of the model.

    Raises
    ------
    DataError
        When a number of trials is none.
    """
    found: dict[str, Values] = {f"mean[{name}]": column for name, column in zip(means, design.T, strict=True)}
    found |= {f"term[{name}]": column for name, column in zip(terms or model.term_names, random.T, strict=True)}
    if offset is not None:
        found["offset[]"] = offset
    trials = model.outcome.trials
    if isinstance(trials, str):
        found[f"trials[{trials}]"] = support.numbers(trials, read[trials], rows)
        support.check_trials(model.outcome.row, {trials: found[f"trials[{trials}]"]}, rows)
    return found


class Placed(Protocol):
    """The parameters, and where those of random effects act; see `saem.specification.layout.Layout`."""

    @property
    def parameters(self) -> Parameters: ...
    @property
    def sd_index(self) -> NDArray[np.int64]: ...
    @property
    def corr_index(self) -> NDArray[np.int64]: ...
    @property
    def sds(self) -> list[tuple[str, ...]]: ...


def structure_of(
    model: GlmmModel,
    layout: Placed,
    mean: Design,
    centred: Mapping[str, str],
    terms: Mapping[str, str] | None = None,
    is_carried: bool = False,
) -> Structure:
    """What the likelihood is made of.

    Parameters
    ----------
    model : GlmmModel
    layout : Layout
    mean : Design
        Of the fixed part.
    centred : mapping of str to str
        Means in the centre of a random effect -> its term.
    terms : mapping of str to str, optional
        (q,) names of the random effects -> where they act, as a term of a model says it; by default those of the model.
    is_carried : bool
        Whether all means are in the centres instead; see `saem.families.carrying`.
    """
    predictor = linear_predictor(mean, model.random.terms if terms is None else terms, centred, is_carried)
    offset = [] if mean.offset is None else [trees.column("offset[]")]
    outcome, trials = model.outcome.row, model.outcome.trials
    eta = trees.total([*predictor.parts, *offset])
    arguments = {key: trees.filled(text, {"eta": eta}) for key, text in outcome.texts.items()}
    inner = outcome.model_copy(update={"trials": f"trials[{trials}]"}) if isinstance(trials, str) else outcome
    law = row_law(inner, arguments, f"response[{model.response}]")
    return Structure(
        parameters=layout.parameters,
        effects=predictor.effects,
        sd_index=layout.sd_index,
        corr_index=layout.corr_index,
        log_density=law.log_density,
        arguments=law.arguments,
        alone=law.arguments,
        information=law.information,
        scales=(),
        mean=law.mean,
        variance=law.variance,
        start={},
        sds=layout.sds,
    )
