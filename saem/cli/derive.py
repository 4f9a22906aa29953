"""`saem derive`: functions of the parameters of a saved fit, and `saem fit --derive`, which does the same at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saem.cli.options import Level, TTests, written_to
from saem.cli.saved import SavedFit, fit_to_examine

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit


class Kind(StrEnum):
    """What --information takes."""

    OBSERVED = "observed"
    EXPECTED = "expected"
    LOUIS = "louis"
    SCORE = "score"
    SANDWICH = "sandwich"


def derive(
    folder: SavedFit,
    quantities: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[QUANTITY]...",
            help='Such as `"icc = sigma1**2 / (sigma1**2 + sigma**2)"`; all parameters and variances if there is none.',
            show_default=False,
        ),
    ] = None,
    information: Annotated[
        Kind,
        typer.Option(
            help="Standard errors from the observed or expected information, from draws (louis), from first "
            "derivatives alone (score), or robust ones (sandwich)."
        ),
    ] = Kind.OBSERVED,
    draws: Annotated[
        int, typer.Option(help="Of the random effects: for louis (20,000 if 0), score, sandwich.", metavar="N", min=0)
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of the draws.", metavar="N", min=0)] = 0,
    t_tests: TTests = False,
    level: Level = 0.95,
    output: Annotated[Path | None, written_to("Write derived.csv here.")] = None,
) -> None:
    """Functions of the parameters of a saved fit, with standard errors by the delta method."""
    import pandas as pd

    from saem.cli.console import say
    from saem.errors import SaemError
    from saem.inference.derived import derive as derived
    from saem.inference.derived import variances
    from saem.inference.fisher_information import fisher_information
    from saem.inference.t_tests import t_tests as tested
    from saem.system.files import make_folder

    texts = read_quantities(quantities or [])
    if seed and not (draws or information is Kind.LOUIS):
        raise SaemError("--seed belongs to --draws N or --information louis; leave it out")
    if t_tests and (draws or information is not Kind.OBSERVED):
        raise SaemError(
            "--t-tests has standard errors of its own, at known variances; leave out --information, --draws"
        )
    fit = fit_to_examine(folder)
    if output is not None:
        make_folder(output)
    known = None  # the fit's own, for which it needs no table
    if t_tests:
        found = tested(fit, texts or None, level)
        say("Satterthwaite's degrees of freedom, standard errors from the expected information")
        show_derived(found)
        write_derived(found, output)
        return
    if information is not Kind.OBSERVED or draws:
        known = fisher_information(fit, information.value, draws, seed)
    if texts:
        found = derived(fit, texts, level, known)
    else:
        rows = fit.estimates[["estimate", "se"]].join(fit.intervals(level)).assign(se_mcse=0.0)
        rows = rows if known is None else known.table(level)
        rows = rows.drop(columns="se_mcse") if known is None or not known.draws else rows
        found = pd.concat([rows, variances(fit, level, known)])
        found.index.name = "quantity"
    drawn = f", {known.draws:,} draws" if known is not None and known.draws else ""
    own = f"by the {information.value} information{drawn}"
    source = own if fit.posterior is None else "and quantiles of the posterior"
    say(f"standard errors {source}")
    show_derived(found)
    write_derived(found, output)


def write_derived(found: pd.DataFrame, output: Path | None) -> None:
    """Write a table of quantities to a folder, where there is one."""
    from saem.cli.console import note
    from saem.system.files import write_csv

    if output is not None:
        write_csv(found, output / "derived.csv")
        note(f"written to {output}")


def read_quantities(texts: Sequence[str]) -> dict[str, str]:
    """Expressions by name, from texts ``name = expression``.

    Raises
    ------
    ModelError
        When a text is none, or two have the same name.
    """
    from saem.errors import ModelError

    found: dict[str, str] = {}
    for text in texts:
        name, equals, expression = (part.strip() for part in text.partition("="))
        if not (equals and name.isidentifier() and expression):
            raise ModelError(f'a quantity must be written "name = expression"; got {text!r}')
        if name in found:
            raise ModelError(f"there are two quantities of the name {name!r}; give one of them another")
        found[name] = expression
    return found


def check_quantities(texts: Mapping[str, str], parameters: Sequence[str]) -> None:
    """Refuse expressions that cannot be read, before time is spent on a fit."""
    if texts:
        from saem.expressions.quantity import compile_quantity

        for name, text in texts.items():
            compile_quantity(name, text, parameters)


def report_derived(fits: Sequence[Fit], texts: Mapping[str, str], output: Path | None) -> None:
    """Print quantities of one or several fits, and write them to a folder."""
    import pandas as pd

    from saem.cli.console import say
    from saem.inference.derived import derive as derived
    from saem.system.files import write_csv

    tables = {fit.method: derived(fit, texts) for fit in fits}
    for method, found in tables.items():
        say()
        if len(tables) > 1:
            say(f"derived from {method}:")
        show_derived(found)
    if output is not None:
        write_csv(pd.concat(tables, names=["method"]), output / "derived.csv")


def show_derived(found: pd.DataFrame) -> None:
    """Print estimates, standard errors and intervals."""
    from saem.cli.console import show
    from saem.fitting.summary import t_tests_table
    from saem.system.display import decimals, number, small, table

    if "df" in found:
        show(t_tests_table(found))
        return
    rows = []
    for quantity, row in found.iterrows():
        places = decimals([row["se"] if row["se"] > 0.0 else abs(row["estimate"])])
        cells = [small(row[key]) if key == "se_mcse" else number(row[key], places) for key in found.columns]
        rows.append([str(quantity), *cells])
    show(table(["quantity", *found.columns], rows))


def report_t_tests(fits: Sequence[Fit], texts: Mapping[str, str], output: Path | None) -> None:
    """Print the t-tests of the means, and of quantities that are functions of means alone; write them to a folder."""
    import pandas as pd

    from saem.cli.console import say, show
    from saem.fitting.summary import T_TESTS, t_tests_table
    from saem.inference.t_tests import quantities_of_means, t_tests
    from saem.system.files import write_csv

    tables = {fit.method: t_tests(fit, quantities_of_means(fit.parameters, texts)) for fit in fits}
    for method, found in tables.items():
        say()
        say(f"{T_TESTS}, of {method}" if len(tables) > 1 else T_TESTS)
        show(t_tests_table(found))
    if output is not None:
        write_csv(pd.concat(tables, names=["method"]), output / "t_tests.csv")
