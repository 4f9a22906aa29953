"""Individual parameters of the clusters, or of their occasions, from population parameters and random effects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saem.families.family import IndividualLaw
from saem.families.levels import Listed
from saem.families.nonlinear import trees
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.evaluation import AT_ONCE, NonlinearRows, value_of
from saem.families.nonlinear.laws import Law
from saem.families.nonlinear.other_rows import own_rows
from saem.families.nonlinear.specification import NonlinearModel
from saem.families.nonlinear.structure import Effect, of_occasion

if TYPE_CHECKING:
    import pandas as pd

    from saem.families.model import Model

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Places:
    """Where the individual parameters are: in clusters, or in their occasions where the model has these.

    Attributes
    ----------
    first : (U,) ndarray of int64
        The first row of each place; those of a cluster follow each other.
    cluster, position : (U,) ndarray of int64
        The cluster of each, and which of its occasions it is, from 0.
    coordinates : dict of int to (U, 1 or 2) ndarray of int64
        Of the effects that are shown: those whose sum is the random effect of the parameter in each place.
    """

    first: Codes
    cluster: Codes
    position: Codes
    coordinates: dict[int, Codes]


def places(data: NonlinearData) -> Places:
    """The places of the individual parameters that have a centre of their own."""
    effects = data.structure.effects
    index = {effect.name: j for j, effect in enumerate(effects)}
    first = np.unique(data.cluster, return_index=True)[1]
    position = np.zeros(len(first), dtype=np.int64)
    if any(of_occasion(effect.name, 0) in index for effect in effects):
        (units,) = data.units
        first = units.first[np.lexsort((units.position[units.first], data.cluster[units.first]))]
        position = units.position[first]
    coordinates = {}
    for j, effect in enumerate(effects):
        if effect.centre:
            own = [np.full(len(first), j)]
            if of_occasion(effect.name, 0) in index:
                own.append(np.array([index[of_occasion(effect.name, int(k))] for k in position]))
            coordinates[j] = np.column_stack(own)
    return Places(first, data.cluster[first], position, coordinates)


def individual(data: NonlinearData, x: Floats, effects: Floats) -> dict[str, Floats]:
    """See `saem.families.family.Family.individual`."""
    at = places(data)
    rows = own_rows(data).take(at.first)
    found = {data.structure.effects[j].name: np.empty((len(x), len(rows))) for j in at.coordinates}
    step = max(1, AT_ONCE // max(1, len(rows)))
    for begin in range(0, len(x), step):
        part = slice(begin, begin + step)
        centres = rows.centres(x[part, None, :])
        for j, coordinates in at.coordinates.items():
            moved = effects[part][:, at.cluster[:, None], coordinates].sum(axis=2)
            effect = data.structure.effects[j]
            found[effect.name][part] = value(effect, centres[:, :, j] + moved)
    return found


def individual_laws(data: NonlinearData, x: Floats, mean: Floats, covariance: Floats) -> dict[str, IndividualLaw]:
    """See `saem.families.family.Family.individual_laws`."""
    at = places(data)
    rows: NonlinearRows = own_rows(data).take(at.first)
    centres, c = rows.centres(x), at.cluster
    found = {}
    for j, k in at.coordinates.items():
        variance = covariance[c[:, None, None], k[:, :, None], k[:, None, :]].sum(axis=(1, 2))
        effect = data.structure.effects[j]
        place = centres[:, j] + mean[c[:, None], k].sum(axis=1)
        found[effect.name] = IndividualLaw(place, np.sqrt(np.maximum(variance, 0.0)), partial(value, effect))
    return found


def value(effect: Effect, z: Floats) -> Floats:
    """A parameter (.., U) from its coordinate (.., U), on the scale on which that is normal."""
    law = Law(effect.law, trees.number(0.0), "", effect.low, effect.high)
    return np.broadcast_to(
        value_of(law.value(trees.coordinate(effect.name)), {f"z.{effect.name}": z}, z.shape[-1]), z.shape
    )


def occasion_of(model: Model) -> tuple[str, ...]:
    """The columns of occasions; none of a model of another family that is written in its own way."""
    return model.occasion if isinstance(model, NonlinearModel) else ()


def labels(model: NonlinearModel, data: NonlinearData, table: pd.DataFrame) -> pd.DataFrame:
    """See `saem.families.family.Family.individual_labels`."""
    return table[[*model.cluster, *occasion_of(model)]].iloc[places(data).first].reset_index(drop=True)


def listed(model: NonlinearModel, data: NonlinearData, table: pd.DataFrame) -> Listed | None:
    """See `saem.families.family.Family.listed`: the effects of a cluster, whose occasion is nan, then the others."""
    import pandas as pd

    if not occasion_of(model):
        return None
    at, names = places(data), [effect.name for effect in data.structure.effects]
    own = [name for name, law in model.reading.laws.items() if law.occasion_sd is not None]
    of = " \u00d7 ".join(model.occasion)
    rows: list[tuple[int, int, int, str]] = []
    for u, (cluster, position) in enumerate(zip(at.cluster.tolist(), at.position.tolist(), strict=True)):
        if position == 0:
            rows += [(cluster, names.index(name), -1, name) for name in model.term_names]
        rows += [(cluster, names.index(of_occasion(name, position)), u, f"{name}[{of}]") for name in own]
    cluster, coordinate, place, term = (list(column) for column in zip(*rows, strict=True))
    index = labels(model, data, table)
    clusters = index.iloc[np.searchsorted(at.cluster, cluster)].reset_index(drop=True)
    occasions = index[list(model.occasion)].astype(object).iloc[place].reset_index(drop=True)
    occasions = occasions.where((np.array(place) >= 0)[:, None], other=np.nan)
    found = pd.concat([clusters[list(model.cluster)], occasions, pd.Series(term, name="term")], axis=1)
    return Listed(pd.MultiIndex.from_frame(found), np.array(cluster), np.array(coordinate))
