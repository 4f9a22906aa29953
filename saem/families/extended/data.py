"""From an extended linear model and a table to what the nonlinear family consumes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.data.weights import check_weights
from saem.errors import DataError
from saem.expressions.columns import Factor, Values
from saem.families.arranged import DesignedData
from saem.families.designed_data import (
    Intake,
    apart_from,
    check_numbers_of_clusters,
    designs_of,
    grouped,
    shared_fields,
    take_in,
)
from saem.families.extended.columns import structure_of
from saem.families.extended.specification import ExtendedModel, ExtendedResidual, layout_of, outcome_of
from saem.families.glmm.data import centred
from saem.families.nonlinear import support
from saem.families.nonlinear.data import NonlinearData, is_constant
from saem.families.nonlinear.past import columns_back
from saem.families.nonlinear.structure import Structure
from saem.specification.layout import automatic_names

if TYPE_CHECKING:
    import pandas as pd

    from saem.data.table import Rows

_Floats = NDArray[np.float64]
_Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class ExtendedData(NonlinearData, DesignedData):
    """Designs, and the law of a row that is made of them.

    Attributes
    ----------
    carried : Structure
        The same with all means in the centres; see `saem.families.carrying`.
    residual_levels : tuple of str
    residual_names : tuple of str
        Parameters that are in the residuals alone.
    residual_said : ExtendedResidual
    """

    carried: Structure
    residual_levels: tuple[str, ...]
    residual_names: tuple[str, ...]
    residual_said: ExtendedResidual


def arrange(
    model: ExtendedModel, table: pd.DataFrame, drop_missing: bool = False, formula_state: dict[str, Any] | None = None
) -> ExtendedData:
    """See `saem.families.arrange`."""
    taken = take_in(model, table, drop_missing)
    found = designs_of(model, taken, formula_state)
    if isinstance(model.mean, str):
        found = replace(found, mean=apart_from(automatic_names(model.random, found.group_levels), found.mean))
    n, mean, residual = len(taken.response), found.mean, model.residual
    _, levels = grouped(residual.by, residual.sd, taken.factors, n)
    largest = int(np.bincount(found.cluster).max())
    layout, parameters = layout_of(model, mean.names, found.group_levels, levels, largest)
    _check_parameters(model, parameters.names[len(layout.parameters) - 1 :], [str(name) for name in table.columns])
    check_numbers_of_clusters(model, layout, found.cluster_group)
    columns = columns_of(model, mean.names, mean.matrix, found.random, mean.offset, read_of(taken), taken.rows)
    columns |= {f"response[{model.response}]": taken.response}
    n_back, said = 0, residual.correlated
    if said is not None:
        time = None if said.time is None else support.numbers(said.time, taken.columns[said.time], taken.rows)
        back, gap = said.backward(found.cluster, time, taken.rows)
        n_back = len(back)
        columns |= columns_back(columns, back, gap)
    said_of = partial(structure_of, model, layout, parameters, mean, residuals=levels, n_back=n_back)
    structure = said_of(centred(model, found))  # type: ignore[arg-type]
    carried = said_of({}, is_carried=True)
    return ExtendedData(
        **shared_fields(model, taken, found, layout) | {"parameters": parameters},
        response=taken.response,
        structure=structure,
        columns=columns,
        constant_columns=frozenset(
            name for name, values in columns.items() if is_constant(values, found.cluster, found.first)
        ),
        outcome=outcome_of(model),
        predictors={},
        carried=carried,
        residual_levels=levels,
        residual_names=parameters.names[len(layout.parameters) - 1 :],
        residual_said=residual,
        correlation=said,
    )


def read_of(taken: Intake) -> dict[str, Values]:
    """Columns of the table, those of groups among them."""
    return {**taken.factors, **taken.columns}


def columns_of(
    model: ExtendedModel,
    means: tuple[str, ...],
    design: _Floats,
    random: _Floats,
    offset: _Floats | None,
    read: dict[str, Values],
    rows: Rows,
) -> dict[str, Values]:
    """The columns of the law of some rows alone.

    Parameters
    ----------
    model : ExtendedModel
    means : tuple of str
        (p,) of the columns of the design.
    design, random : (m, p), (m, q) ndarray
    offset : (m,) ndarray or None
    read : dict of str to Values
        Columns of the table.
    rows : Rows
    """
    found: dict[str, Values] = {f"mean[{name}]": column for name, column in zip(means, design.T, strict=True)}
    found |= {f"term[{name}]": column for name, column in zip(model.term_names, random.T, strict=True)}
    if offset is not None:
        found["offset[]"] = offset
    by, weights = model.residual.by, model.residual.weights
    for name in (*model.sd_columns, *(() if by is None else (by,))):
        values = read[name]
        is_number = not isinstance(values, Factor) and values.dtype.kind in "iuf"
        found[f"column[{name}]"] = np.ascontiguousarray(values, dtype=np.float64) if is_number else values
    if by is not None and not isinstance(found[f"column[{by}]"], Factor):
        raise DataError(f"residual.by = {by!r} must be a column of text here; write the SD as an expression of it")
    if weights is not None:
        found["weight[]"] = support.numbers(weights, read[weights], rows)
        check_weights(weights, found["weight[]"], rows)
    return found


def _check_parameters(model: ExtendedModel, names: tuple[str, ...], columns: list[str]) -> None:
    """Refuse parameters of residuals that are called as a column of the table.

    Raises
    ------
    DataError
    """
    said = {*model.fixed, *model.priors}
    for name in names:
        if name in columns and name not in said:
            raise DataError(
                f"residual.sd: {name!r} is taken for a parameter, and the table has a column of that name; if the "
                f"column is meant, add residual.columns = ['{name}']"
            )
