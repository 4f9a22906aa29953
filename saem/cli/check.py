"""`saem check`: what is understood of a model and a table, and whether the answer will be unique."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from saem.cli.options import DataFile, DropMissing, ModelFile, Where

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from saem.data import ModelData
    from saem.specification import Model

MOST_CELLS = 24


def check(
    model: ModelFile,
    data: DataFile,
    where: Where = None,
    drop_missing: DropMissing = False,
) -> None:
    """Tell what is understood: parameters, clusters, cells, constraints, and whether they determine the parameters."""
    from saem.cli.console import complain, say
    from saem.data import arrange, read_table, text_columns
    from saem.data import where as rows_where
    from saem.errors import nearest
    from saem.expressions.constraint import compile_constraints
    from saem.specification import Model

    specification = Model.from_toml(model)
    everything = read_table(data, text_columns(specification))
    selected = everything if where is None else rows_where(everything, where)
    table = without_missing(specification, selected) if drop_missing else selected
    columns = list(map(str, table.columns))  # a name that is nearly there is misspelt
    made_of = specification.response_columns
    is_design = not any(name in columns or nearest(name, columns) for name in made_of)
    if is_design:
        specification = specification.plain()
    arranged = arrange(specification, _with_any_response(specification, table) if is_design else table)
    compile_constraints(specification.constraints, arranged.parameters.names)  # before anything is printed
    say(f"{model}: a {specification.family} model for {specification.response}", "bold")
    if specification.is_transformed:
        say(f"Likelihood, estimates and predictions are on the scale of {specification.response}.")
    _show_parameters(specification, arranged)
    _show_constraints(specification)
    _show_priors(specification, None if is_design else table)
    _show_rows((len(everything), len(selected), len(table)), None if is_design else arranged, str(data), where)
    if is_design:
        say(f"There is no column {specification.response}: this is a design, looked at around parameters of zero.")
    _show_coordinates(specification, arranged)
    _show_clusters(specification, arranged)
    _show_cells(specification, table, arranged)
    _show_identifiability(specification, table, arranged)
    for text in arranged.warnings:
        complain("Warning", text, "yellow")


def _show_parameters(model: Model, data: ModelData) -> None:
    """Every parameter with its kind and where it acts."""
    from saem.cli.console import heading, show
    from saem.system.display import table

    heading("Parameters")
    rows = list(describe_parameters(model, data))
    n_columns = 4 if any(fixed for *_, fixed in rows) else 3
    header = ["parameter", "kind", "acts on", "fixed at"]
    show(table(header[:n_columns], [row[:n_columns] for row in rows], "lllr"[:n_columns]))


def describe_parameters(model: Model, data: ModelData) -> Iterator[tuple[str, str, str, str]]:
    """Name, kind in words, where it acts, and its value if it is fixed, for every parameter in order."""
    places: dict[int, list[str]] = {int(i): [] for i in range(len(data.parameters))}
    kinds = {"mean": "mean", "sd": "SD", "corr": "correlation"}
    words = {i: kinds[kind] for i, kind in enumerate(data.parameters.kinds)}
    for i, label in zip(data.mean_index, data.mean_labels, strict=True):
        places[int(i)].append("all rows" if label in ("1", "Intercept") else label)
    for group, level in enumerate(data.group_levels):
        of = f" where {model.random.by} is {level}" if model.random.by else ""
        for k, term in enumerate(data.term_names):
            i = int(data.sd_index[group, k])
            words[i] = "random-effect SD"
            places[i].append(f"{term}{of}")
            for j in range(k):
                if data.corr_index[group, j, k] >= 0:
                    places[int(data.corr_index[group, j, k])].append(f"{data.term_names[j]} and {term}{of}")
    for i, level in zip(data.residual_index, data.residual_levels, strict=True):
        words[int(i)] = "residual SD" if not places[int(i)] else "random-effect and residual SD"
        places[int(i)].append(f"rows where {model.residual.by} is {level}" if model.residual.by else "all rows")
    for i, name in enumerate(data.parameters.names):
        fixed = f"{data.parameters.fixed_values[i]:g}" if data.parameters.fixed[i] else ""
        yield name, words[i], "; ".join(places[i]), fixed


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


def _with_any_response(model: Model, table: pd.DataFrame) -> pd.DataFrame:
    """A design with a response that means nothing, for what only looks at the design."""
    import numpy as np

    return table.assign(**{model.response: np.arange(len(table), dtype=float)})


def _show_rows(sizes: tuple[int, int, int], data: ModelData | None, source: str, where: str | None) -> None:
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
    if data.weights is not None:
        w = data.weights
        say(f"prior weights from {w.min():.4g} to {w.max():.4g}; they divide the residual variance of their rows")


def _show_coordinates(model: Model, data: ModelData) -> None:
    """What is centred and scaled inside."""
    from saem.cli.console import say
    from saem.families import coordinates_of

    found = coordinates_of(model, data).describe()
    if found:
        say(f"Centred and scaled inside, so that no digits are lost: {'; '.join(found)}")
        say("Estimates, errors and likelihoods are those of the columns as they are.")


def _show_clusters(model: Model, data: ModelData) -> None:
    """Clusters and rows of every variance group, and rows of every residual group."""
    import numpy as np

    from saem.cli.console import heading, show
    from saem.system.display import table

    heading(f"Clusters ({' × '.join(model.cluster)})")
    sizes = np.bincount(data.cluster, minlength=len(data.cluster_group))
    rows = []
    for group, level in enumerate(data.group_levels):
        own = sizes[data.cluster_group == group]
        each = f"{own.min()}" if own.min() == own.max() else f"{own.min()} to {own.max()}"
        sds = ", ".join(data.parameters.names[i] for i in data.sd_index[group])
        rows.append([level or "all", sds, str(len(own)), str(own.sum()), each])
    header = [model.random.by or "group", "random-effect SD", "clusters", "rows", "rows per cluster"]
    show(table(header, rows, "llrrr"))
    if model.residual.by:
        heading("Residual groups")
        counts = np.bincount(data.residual_group, minlength=len(data.residual_levels))
        names = [data.parameters.names[i] for i in data.residual_index]
        rows = [[level, name, str(n)] for level, name, n in zip(data.residual_levels, names, counts, strict=True)]
        show(table([model.residual.by, "residual SD", "rows"], rows, "llr"))


def _show_cells(model: Model, rows: pd.DataFrame, data: ModelData) -> None:
    """The distinct means of the model with their counts, and the rank of the mean design."""
    import numpy as np

    from saem.cli.console import heading, say, show
    from saem.system.display import count, table

    design, n_columns = data.mean_design, data.mean_design.shape[1]
    _, first, inverse = np.unique(design, axis=0, return_index=True, return_inverse=True)
    counts = np.bincount(inverse.ravel())
    order = np.argsort(first)
    names = [data.parameters.names[i] for i in data.mean_index]
    heading(f"Cells ({count(len(first), 'different mean')})")
    labels = rows[_mean_columns(model, rows)]
    cells = [
        [*labels.iloc[first[k]].map(str), str(counts[k]), mean_words(design[first[k]], names)]
        for k in order[:MOST_CELLS]
    ]
    show(table([*map(str, labels.columns), "rows", "mean"], cells, "l" * len(labels.columns) + "rl"))
    if len(first) > MOST_CELLS:
        say(f"and {len(first) - MOST_CELLS} more", "dim")
    rank = int(np.linalg.matrix_rank(design[first]))
    fixed = int(data.parameters.fixed[data.mean_index].sum())
    say()
    text = f"{count(n_columns, 'mean parameter')}, rank of their design {rank}"
    if fixed:
        text += f", {fixed} of them fixed"
    if rank < n_columns:
        text += f": the rows alone leave {count(n_columns - rank, 'direction')} of the means to the constraints"
    say(text)


def _mean_columns(model: Model, rows: pd.DataFrame) -> list[str]:
    """The columns that the means depend on, in the order of the table."""
    from saem.expressions.rows import row_expression
    from saem.specification.formula import read

    if isinstance(model.mean, str):
        names = set(read(model.mean).columns)
    else:
        names = {name for text in model.mean.values() for name in row_expression(text).columns}
    return [name for name in rows.columns if name in names]


def without_missing(model: Model, table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a value in every column that the model reads."""
    import numpy as np

    from saem.data import needed_columns
    from saem.expressions.columns import column_of, missing_rows

    keep = np.ones(len(table), bool)
    for name in needed_columns(model):
        missing = missing_rows(column_of(table, name)) if name in table.columns else None
        if missing is not None:
            keep &= ~missing
    return table[keep]


def mean_words(row: np.ndarray, names: list[str]) -> str:
    """A row of the mean design as a sum: `mu + c2 + 2.5 slope`."""
    terms = []
    for value, name in zip(row, names, strict=True):
        if value == 0:
            continue
        sign = "-" if value < 0 else "+"
        terms.append(f"{sign} {name}" if abs(value) == 1 else f"{sign} {abs(value):.4g} {name}")
    return " ".join(terms).removeprefix("+ ") or "0"


def _show_identifiability(model: Model, rows: pd.DataFrame, data: ModelData) -> None:
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
    if found.locally_identified:
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
