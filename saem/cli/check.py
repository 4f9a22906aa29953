"""`saem check`: what is understood of a model and a table, and whether the answer will be unique."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saem.cli.options import DataFile, DropMissing, ModelFile, Where

if TYPE_CHECKING:
    import pandas as pd

    from saem.families import Model
    from saem.families.arranged import Arranged
    from saem.families.description import Section


def check(model: ModelFile, data: DataFile, where: Where = None, drop_missing: DropMissing = False) -> None:
    """Tell what is understood: parameters, clusters, cells, constraints, and whether they determine the parameters."""
    from saem.cli.console import complain, say
    from saem.data import read_table
    from saem.data import where as rows_where
    from saem.errors import nearest
    from saem.expressions.constraint import compile_constraints
    from saem.families import Model, arrange, family_of, with_any_response
    from saem.system.display import an

    specification = Model.from_toml(model)
    everything = read_table(data, specification.text_columns)
    selected = everything if where is None else rows_where(everything, where)
    table = without_missing(specification, selected) if drop_missing else selected
    columns = list(map(str, table.columns))  # a name that is nearly there is misspelt
    made_of = specification.response_columns
    is_design = not any(name in columns or nearest(name, columns) for name in made_of)
    if is_design:
        specification = specification.plain()
    arranged = arrange(specification, with_any_response(specification, table) if is_design else table)
    compile_constraints(specification.constraints, arranged.parameters.names)  # before anything is printed
    say(f"{model}: {an(specification.family)} model for {specification.response}", "bold")
    if specification.is_transformed:
        say(f"Likelihood, estimates and predictions are on the scale of {specification.response}.")
    parameters, *others = family_of(specification).describe(specification, arranged, table)
    _show_section(parameters)
    _show_constraints(specification)
    _show_priors(specification, None if is_design else table)
    _show_rows((len(everything), len(selected), len(table)), None if is_design else arranged, str(data), where)
    if is_design:
        say(f"There is no column {specification.response}: this is a design, looked at around parameters of zero.")
    _show_coordinates(specification, arranged)
    for section in others:
        _show_section(section)
    _show_identifiability(specification, table)
    for text in arranged.warnings:
        complain("Warning", text, "yellow")


def _show_section(section: Section) -> None:
    """A section of what a family says."""
    from saem.cli.console import heading, say, show
    from saem.system.display import table

    heading(section.title)
    if section.rows:
        show(table(list(section.header), section.rows, section.align))
    for text in section.notes:
        say(text)


def _show_constraints(model: Model) -> None:
    from saem.cli.console import heading, say, show
    from saem.system.display import table

    heading("Constraints")
    if model.constraints:
        show(table(["constraint", "equation"], list(model.constraints.items()), "ll"))
    else:
        say("none")


def _show_priors(model: Model, rows: pd.DataFrame | None) -> None:
    """The priors that the model names; of no use to most methods, so nothing where there are none.

    What they say of a determined parameter cannot be read off them, so it is drawn.
    """
    from saem.cli.console import heading, say, show
    from saem.errors import SaemError
    from saem.inference.prior_predictive import prior_predictive
    from saem.system.display import table

    if not model.priors:
        return
    heading("Priors (method bayes; defaults for the others)")
    show(table(["parameter", "prior"], list(model.priors.items()), "ll"))
    if rows is None or not model.constraints:
        return
    try:
        found = prior_predictive(model, rows)
    except SaemError as error:
        say(f"What they say of what the constraints determine could not be found out: {error}", "red")
        return
    implied = found.implied()
    for name, constraint in found.determined.items():
        row = implied.loc[name]
        say(
            f"{name} is determined by {constraint}; before the data it is expected at {row['median']:.4g}, with 95 % "
            f"between {row['lower']:.4g} and {row['upper']:.4g}"
        )
    say("`saem prior MODEL DATA` shows what data the priors expect", "dim")


def _show_rows(sizes: tuple[int, int, int], data: Arranged | None, source: str, where: str | None) -> None:
    """How many rows the file has, how many were selected, left out and used."""
    from saem.cli.console import heading, say
    from saem.system.display import count

    n_file, n_selected, n_used = sizes
    heading("Rows")
    say(f"{count(n_file, 'row')} in {source}")
    if where is not None:
        say(f"{count(n_selected, 'row')} where {where}")
    if n_used < n_selected:
        say(f"{count(n_selected - n_used, 'row')} left out because of missing values", "yellow")
    if data is None:
        return
    y = data.observed
    say(f"{count(n_used, 'row')} used, with a response from {y.min():.4g} to {y.max():.4g}")


def _show_coordinates(model: Model, data: Arranged) -> None:
    """What is centred and scaled inside."""
    from saem.cli.console import say
    from saem.families import coordinates_of

    found = coordinates_of(model, data).describe()
    if found:
        say(f"Centred and scaled inside, so that no digits are lost: {'; '.join(found)}")
        say("Estimates, errors and likelihoods are those of the columns as they are.")


def without_missing(model: Model, table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a value in every column that the model reads."""
    import numpy as np

    from saem.expressions.columns import column_of, missing_rows

    keep = np.ones(len(table), bool)
    for name in model.all_columns:
        missing = missing_rows(column_of(table, name)) if name in table.columns else None
        if missing is not None:
            keep &= ~missing
    return table[keep]


def _show_identifiability(model: Model, rows: pd.DataFrame) -> None:
    """Whether the table and the constraints determine every parameter, and which directions they leave free."""
    from saem.cli.console import heading, say
    from saem.errors import SaemError
    from saem.inference.identifiability import identifiability

    heading("Are the parameters determined?")
    try:
        found = identifiability(model, rows)
    except SaemError as error:
        say(f"This could not be found out: {error}", "red")
        return
    if not found.is_known:
        say("This is not known.", "yellow")
    elif found.locally_identified:
        near = ", near the estimate" if set(model.response_columns) <= set(rows.columns) else ""
        say(f"Yes{near}: no direction is left free.", "green")
    else:
        say("No:", "red")
        for sentence in found.null_directions:
            say(f"  {sentence}", "red")
        say("Fix a parameter ([fixed]), or add a constraint ([constraints]).")
    for heading_, text in found.findings()[1:]:
        say(f"{heading_}: {text}." if heading_ else text)
    if found.n_maximisers > 1:
        say(f"The {found.n_maximisers} sets of parameters with the same likelihood:", "yellow")
        for solution in found.maxima.head(found.n_maximisers).drop(columns=["loglik", "below"]).to_dict("records"):
            say("  " + ", ".join(f"{name}={value:.4g}" for name, value in solution.items()), "yellow")
