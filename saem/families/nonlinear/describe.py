"""What a nonlinear model and a table are, for people: parameters, laws, the outcome, and clusters."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from saem.expressions.quoting import Column
from saem.families.description import Section
from saem.families.nonlinear import support
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.laws import LAWS
from saem.families.nonlinear.reading import name_nodes
from saem.families.nonlinear.specification import NonlinearModel
from saem.specification.domains import SD
from saem.system.display import count


def describe(model: NonlinearModel, data: NonlinearData) -> list[Section]:
    """See `saem.families.family.Family.describe`.

    Parameters
    ----------
    model : NonlinearModel
    data : NonlinearData

    Returns
    -------
    list of Section
        The parameters first.
    """
    found = [parameters(model, data), individual(model, data), outcome(model, data), clusters(model, data)]
    return [section for section in found if section.rows]


def parameters(model: NonlinearModel, data: NonlinearData) -> Section:
    """Every parameter with its kind, where it acts, where it starts, and its value if it is fixed."""
    places: dict[str, list[str]] = {name: [] for name in data.parameters.names}
    for name, place in _places(model, data):
        if place not in places[name]:
            places[name].append(place)
    spread = {data.parameters.names[i] for i in data.structure.sd_index.ravel() if i >= 0}
    kinds = {
        name: "random-effect SD" if name in spread and domain == SD else domain.short
        for name, domain in zip(data.parameters.names, data.parameters.domains, strict=True)
    }
    rows = []
    for i, name in enumerate(data.parameters.names):
        domain = data.parameters.domains[i]
        kind = f"in ({domain.low:g}, {domain.high:g})" if domain.short == "bounded" else kinds[name]
        start = f"{model.start[name]:g}" if name in model.start else ""
        fixed = f"{data.parameters.fixed_values[i]:g}" if data.parameters.fixed[i] else ""
        rows.append([name, "real" if kind == "mean" else kind, "; ".join(places[name]), start, fixed])
    header, align = ("parameter", "kind", "acts on", "starts at", "fixed at"), "lllrr"
    kept = [k for k in range(5) if k < 3 or any(row[k] for row in rows)]
    cut = [[row[k] for k in kept] for row in rows]
    return Section("Parameters", tuple(header[k] for k in kept), cut, "".join(align[k] for k in kept))


def _places(model: NonlinearModel, data: NonlinearData) -> Iterator[tuple[str, str]]:
    """Parameters with the places at which they act."""
    reading, structure = model.reading, data.structure
    coefficients = {name: each.coefficients for name, each in data.predictors.items()}
    for where, tree in reading.texts():
        table, _, key = where.partition(".")
        place = f"the {key} of the outcome" if table == "outcome" else key
        if key in reading.laws:
            place = f"the {LAWS[reading.laws[key].kind]} of {key}"
        for node in name_nodes(tree):
            if not isinstance(node, Column) and node.id in data.parameters.names:
                yield node.id, place
    if data.correlation is not None:
        yield data.correlation.parameter, "the correlation of the outcome"
    for predictor, names in coefficients.items():
        for name, label in zip(names, data.predictors[predictor].labels, strict=True):
            yield name, f"{predictor}: {label}"
    for g, level in enumerate(data.group_levels):
        for j, effect in enumerate(structure.effects):
            if structure.sd_index[g, j] < 0:
                continue
            parameter = effect.name.partition("[")[0]
            differs = reading.laws[parameter].sd in model.random.sd
            if parameter != effect.name:
                name = data.parameters.names[structure.sd_index[g, j]]
                yield name, f"{parameter} of each occasion"
                continue
            where = f" where {model.random.by} is {level}" if differs else ""
            yield data.parameters.names[structure.sd_index[g, j]], f"{effect.name}{where}"
            for k in range(j):
                if structure.corr_index[g, k, j] >= 0:
                    both = {reading.laws[structure.effects[i].name].sd for i in (j, k)} & set(model.random.sd)
                    of = f" where {model.random.by} is {level}" if both else ""
                    name = data.parameters.names[structure.corr_index[g, k, j]]
                    yield name, f"{structure.effects[k].name} and {effect.name}{of}"


def individual(model: NonlinearModel, data: NonlinearData) -> Section:
    """The individual parameters and predictors with their laws."""
    reading = model.reading
    effects = {effect.name: effect for effect in data.structure.effects}
    rows, notes = [], []
    for name in reading.order:
        if name in reading.laws:
            law = reading.laws[name]
            rows.append([name, law.words, law.text.strip()])
            if not effects[name].centre and not _is_zero(law.centre):
                notes.append(
                    f"the {LAWS[law.kind]} of {name} is no sum of terms of parameters times terms of columns that are "
                    "constant in each cluster; it stands in the outcome's expressions"
                )
        else:
            rows.append([name, "no random effect of its own", model.individual[name].strip()])
    rows += [[name, "linear predictor", text.strip()] for name, text in model.linear.items()]
    return Section("Individual parameters", ("name", "law", "as written"), rows, "lll", tuple(notes))


def _is_zero(tree: object) -> bool:
    return getattr(tree, "value", None) == 0


def outcome(model: NonlinearModel, data: NonlinearData) -> Section:
    """The outcome with its arguments, and how many rows are censored."""
    said = model.outcome
    rows = [[key, text.strip()] for key, text in said.texts.items()]
    rows += [
        [key, str(getattr(said, key))]
        for key in ("trials", "event", "lower", "upper", "correlation")
        if getattr(said, key)
    ]
    rows += [["interval", ", ".join(said.interval)]] if said.interval else []
    title = said.about.title if said.distribution is not None else "a log-density of your own"
    notes = []
    censored = support.censored(said, data.response, data.columns)
    if censored is not None:
        n = int(censored.sum())
        what = "events" if said.event is not None else "censored"
        number = len(censored) - n if said.event is not None else n
        notes.append(f"{count(len(censored), 'row')}, {number} {what}")
    if not data.structure.information:
        notes.append("its information is estimated by products of scores")
    return Section(f"Outcome ({title})", ("key", "as written"), rows, "ll", tuple(notes))


def clusters(model: NonlinearModel, data: NonlinearData) -> Section:
    """Clusters and rows of every variance group."""
    sizes = np.bincount(data.cluster, minlength=len(data.cluster_group))
    rows = []
    for group, level in enumerate(dict.fromkeys(data.group_levels)):
        own = sizes[variance_group(data) == group]
        each = f"{own.min()}" if own.min() == own.max() else f"{own.min()} to {own.max()}"
        rows.append([level or "all", str(len(own)), str(own.sum()), each])
    header = (model.random.by or "group", "clusters", "rows", "rows per cluster")
    constant = sorted(data.constant_columns & frozenset(model.columns))
    notes = (f"constant in each cluster: {', '.join(constant)}",) if constant else ()
    return Section(f"Clusters ({' × '.join(model.cluster)})", header, rows, "lrrr", (*notes, *occasions(model, data)))


def occasions(model: NonlinearModel, data: NonlinearData) -> Iterator[str]:
    """The numbers of occasions of the clusters, in words."""
    for units in data.units if model.occasion else ():
        numbers, found = np.unique(units.counts, return_counts=True)
        of = [f"{count(int(k), 'occasion')} in {count(int(c), 'cluster')}" for k, c in zip(numbers, found, strict=True)]
        yield f"{' × '.join(model.occasion)}: {', '.join(of)}"


def variance_group(data: NonlinearData) -> np.ndarray:
    """The variance group (C,) of each cluster."""
    return data.cluster_group if data.patterns is None else data.patterns.group[data.cluster_group]
