"""The law of a row of an extended linear model as expressions, and its parameters.

Columns have names that no parameter can have: ``mean[..]``, ``term[..]``, ``offset[]``, ``column[..]``, ``weight[]``,
``response[..]``, and for earlier rows those of `saem.families.nonlinear.past`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from saem.expressions.grammar import names_in
from saem.families.carrying import CARRIED, linear_predictor
from saem.families.extended.specification import ExtendedModel, outcome_of
from saem.families.nonlinear import trees
from saem.families.nonlinear.past import given_past
from saem.families.nonlinear.row_law import row_law
from saem.families.nonlinear.structure import Structure
from saem.specification.formula import Design
from saem.specification.layout import Layout
from saem.specification.parameters import Parameters


def sd_of(model: ExtendedModel, residuals: tuple[str, ...], means: Mapping[str, ast.expr]) -> ast.expr:
    """The SD of a row, with columns by their names in trees."""
    residual = model.residual
    if residual.tree is None:
        names = residual.sd_names(residuals)
        found = trees.name(names[-1])
        for level, name in list(zip(residuals, names, strict=True))[-2::-1]:
            condition = ast.Compare(trees.column(f"column[{residual.by}]"), [ast.Eq()], [ast.Constant(value=level)])
            found = trees.where(condition, trees.name(name), found)
    else:
        plain = trees.substitute(residual.tree, {})  # columns between backticks are names, too
        columns = {name: trees.column(f"column[{name}]") for name in model.sd_columns}
        found = trees.substitute(plain, columns | dict(means))
    return found if residual.weights is None else trees.divide(found, trees.call("sqrt", trees.column("weight[]")))


def structure_of(
    model: ExtendedModel,
    layout: Layout,
    parameters: Parameters,
    mean: Design,
    centred: Mapping[str, str],
    residuals: tuple[str, ...],
    n_back: int,
    is_carried: bool = False,
) -> Structure:
    """What the likelihood is made of.

    Parameters
    ----------
    model : ExtendedModel
    layout : Layout
    parameters : Parameters
    mean : Design
        Of the fixed part.
    centred : mapping of str to str
        Means in the centre of a random effect -> its term.
    residuals : tuple of str
        Levels of the residual groups.
    n_back : int
        Earlier rows that a row's density depends on.
    is_carried : bool
        Whether all means are in the centres instead, as far as columns ``carried[..]`` say.
    """
    predictor = linear_predictor(mean, model.random.terms, centred, is_carried)
    offset = [] if mean.offset is None else [trees.column("offset[]")]
    at, population = trees.total([*predictor.parts, *offset]), trees.total([*predictor.fixed, *offset])
    own_law: dict[str, ast.expr] = {
        "mean": at,
        "sd": sd_of(model, residuals, {"mean": at, "population_mean": population}),
    }
    df = model.residual.df
    if df is not None:
        own_law["df"] = trees.name(df) if isinstance(df, str) else trees.number(df)
    outcome, response = outcome_of(model), f"response[{model.response}]"
    columns = {name for tree in own_law.values() for name in names_in(tree) if "[" in name} | {response}
    columns -= {name for name in columns if name.startswith(CARRIED)}  # they are the same in earlier rows
    plain = row_law(outcome, own_law, response)
    said = model.residual.correlated
    law = plain if said is None else row_law(outcome, given_past(said, own_law, columns, response, n_back), response)
    structure = Structure(
        parameters=parameters,
        effects=predictor.effects,
        sd_index=layout.sd_index,
        corr_index=layout.corr_index,
        log_density=law.log_density,
        arguments=law.arguments,
        alone=own_law,
        information=law.information,
        scales=(),
        mean=plain.mean,
        variance=plain.variance,
        start={},
        scored=law.scored,
        sds=layout.sds,
    )
    trees.check_size(structure.log_density, "residual.sd")
    return structure


def is_gaussian(structure: Structure) -> bool:
    """Whether responses and random effects are normal together, so that one node of the quadrature is exact."""
    names = {f"{trees.COORDINATE}{effect.name}" for effect in structure.effects}
    return "df" not in structure.alone and not trees.depends(structure.alone["sd"], names)
