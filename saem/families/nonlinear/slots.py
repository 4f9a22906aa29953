"""The parameters of a nonlinear model in their order, and where the random effects have theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError, listing, nearest
from saem.families.nonlinear.hints import domains_of, said_domain
from saem.families.nonlinear.predictors import Predictor
from saem.families.nonlinear.reading import Reading
from saem.families.nonlinear.written import Written
from saem.specification.domains import CORRELATION, REAL, SD, Domain
from saem.specification.layout import check_distinct, told_apart
from saem.specification.parameters import Parameters
from saem.specification.part import automatic_name

Codes = NDArray[np.int64]


class Parsed(Written, Protocol):
    """A model as it was written, with its texts parsed."""

    @property
    def reading(self) -> Reading: ...


@dataclass(frozen=True, eq=False)
class Slots:
    """Parameters, and positions of those of the random effects.

    Attributes
    ----------
    parameters : Parameters
        Those of the centres and expressions of individual parameters, those of the outcome, standard deviations of
        the random effects by variance group, correlations.
    sd_index : (G, d) ndarray of int64
    corr_index : (G, d, d) ndarray of int64
        Symmetric; -1 where there is no correlation.
    sds : list of tuple of str
        (G, d) names of the standard deviations.
    occasion_index : (G, o) ndarray of int64
        Standard deviations of what an occasion adds to the effects that have one.
    occasion_sds : list of tuple of str
        (G, o) their names.
    """

    parameters: Parameters
    sd_index: Codes
    corr_index: Codes
    sds: list[tuple[str, ...]]
    occasion_index: Codes
    occasion_sds: list[tuple[str, ...]]


def slots_of(
    model: Parsed, group_levels: tuple[str, ...], predictors: Mapping[str, Predictor], largest: int = 3
) -> Slots:
    """Collect the parameters of a model.

    Parameters
    ----------
    model : NonlinearModel
    group_levels : tuple of str
        (G,) levels of the variance groups; ``("",)`` without `by`.
    predictors : mapping of str to Predictor
    largest : int
        Rows of the largest group of correlated ones.

    Raises
    ------
    ModelError
        When a name has two meanings, or a fixed value, a domain or a start is impossible.
    """
    reading = model.reading
    effects = [name for name in reading.order if name in reading.laws]
    sds = [tuple(model.random.sd_name(reading.laws[name].sd, level) for name in effects) for level in group_levels]
    own = [law.occasion_sd for law in (reading.laws[name] for name in effects) if law.occasion_sd is not None]
    occasion_sds = [tuple(model.random.sd_name(name, level) for name in own) for level in group_levels]
    corrs = _correlations(model, effects, group_levels)
    spread = {name: SD for names in (*sds, *occasion_sds) for name in names} | {
        name: CORRELATION for block in corrs for name in block.values()
    }
    inferred = domains_of(model, reading)
    slots: list[tuple[str, Domain]] = []
    for name in reading.mentioned:
        coefficients = predictors[name].coefficients if name in predictors else (name,)
        slots += [(one, inferred.get(one, REAL)) for one in coefficients if one not in spread]
    if model.outcome.correlated is not None:
        slots.append((model.outcome.correlated.parameter, model.outcome.correlated.domain(largest)))
    said = {name: said_domain(text) for name, text in model.parameters.items()}
    slots = [(name, said.get(name, domain)) for name, domain in slots]
    clash = [name for name, domain in spread.items() if said.get(name, domain) != domain]
    if clash:
        raise ModelError(
            f"[parameters] {clash[0]} = {model.parameters[clash[0]]!r}: it is {spread[clash[0]].words} of random "
            "effects, whose domain is known; remove the line"
        )
    slots += list(spread.items())
    slots = [(name, _first(name, slots)) for name, _ in slots]
    if not slots:
        raise ModelError("the model has no parameter")
    parameters = Parameters.build(slots, model.fixed)
    _check_said(model, parameters)
    _check_zeros(model, sds, corrs, effects)
    position = {name: index for index, name in enumerate(parameters.names)}
    sd_index = np.array([[position[name] for name in names] for names in sds], dtype=np.int64)
    corr_index = np.full((len(group_levels), len(effects), len(effects)), -1, dtype=np.int64)
    for g, block in enumerate(corrs):
        for (a, b), name in block.items():
            corr_index[g, a, b] = corr_index[g, b, a] = position[name]
    occasions = np.array([[position[name] for name in names] for names in occasion_sds], dtype=np.int64)
    return Slots(
        parameters,
        sd_index.reshape(len(group_levels), len(effects)),
        corr_index,
        sds,
        occasions.reshape(len(group_levels), len(own)),
        occasion_sds,
    )


def _check_said(model: Parsed, parameters: Parameters) -> None:
    """Refuse domains and starts of what is no parameter, and starts that are impossible.

    Raises
    ------
    ModelError
    """
    problems = []
    for table in ("parameters", "start"):
        for name in getattr(model, table):
            if name not in parameters.names:
                problems.append(
                    f"[{table}] names {name!r}{nearest(name, parameters.names)}, which is no parameter; the parameters "
                    f"are {listing(parameters.names, 20)}"
                )
    for name, value in model.start.items():
        domain = parameters.domains[parameters.index(name)] if name in parameters.names else REAL
        inside = domain.low < value < domain.high
        if not inside:
            problems.append(f"[start] {name}: {domain.words} must start {_between(domain)}; got {value:g}")
        elif name in model.fixed and model.fixed[name] != value:
            problems.append(f"[start] {name} = {value:g}, but [fixed] holds it at {model.fixed[name]:g}; remove one")
    if problems:
        raise ModelError("; ".join(problems), problems)


def _between(domain: Domain) -> str:
    """Where a start may lie, in words."""
    return f"above {domain.low:g}" if domain.high == np.inf else f"between {domain.low:g} and {domain.high:g}"


def _first(name: str, slots: list[tuple[str, Domain]]) -> Domain:
    """The domain of a coefficient that an expression names, too: that of its first place."""
    return next(domain for other, domain in slots if other == name)


def _correlations(model: Parsed, effects: list[str], group_levels: tuple[str, ...]) -> list[dict[tuple[int, int], str]]:
    """Names of the correlations of each variance group, by the positions of two effects."""
    laws = model.reading.laws
    told = told_apart(group_levels) if model.random.by is not None else list(group_levels)
    found: list[dict[tuple[int, int], str]] = []
    for level in told:
        own: dict[tuple[int, int], str] = {}
        for block in model.random.correlated:
            differs = any(laws[name].sd in model.random.sd for name in block if name in laws)
            for j, b in enumerate(block):
                for a in block[:j]:
                    name = automatic_name("corr", a, b, level if differs else None)
                    own[effects.index(a), effects.index(b)] = name
        check_distinct(list(own.values()), model.random.by)
        found.append(own)
    shared = [name for name in found[0].values() if len(found) > 1 and all(name in own.values() for own in found)]
    check_distinct([name for own in found for name in own.values() if name not in shared], model.random.by)
    return found


def _check_zeros(
    model: Parsed, sds: list[tuple[str, ...]], corrs: list[dict[tuple[int, int], str]], effects: list[str]
) -> None:
    """Refuse correlations of effects whose standard deviation is held at zero."""
    for names, own in zip(sds, corrs, strict=True):
        concerned = {k for pair in own for k in pair}
        zero = [names[k] for k in sorted(concerned) if model.fixed.get(names[k]) == 0.0]
        if zero:
            blocks = [name for k, name in enumerate(effects) if names[k] == zero[0]]
            raise ModelError(
                f"[fixed] {zero[0]} = 0 leaves its correlations without a meaning; take {listing(blocks)} out of "
                "random.correlated"
            )
