"""`saem formula`: a formula as lme4 writes it, as a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saem.cli.options import written_to


def formula(
    text: Annotated[str, typer.Argument(metavar="FORMULA", help='For instance "y ~ x + (1 + x | batch/cask)".')],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DATA", help="Table; needed where a column of text is a random term."),
    ] = None,
    distribution: Annotated[
        str, typer.Option(metavar="NAME", help="Of the response: normal, bernoulli, binomial or poisson.")
    ] = "normal",
    trials: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="With the numbers of trials of a binomial response.")
    ] = None,
    output: Annotated[Path | None, written_to("File to write; shown if omitted.", "FILE")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there already.")] = False,
) -> None:
    """Translate a formula with random effects, as lme4 writes it, into a model file."""
    import tomli_w

    from saem.cli.console import say
    from saem.data import read_table
    from saem.errors import StorageError
    from saem.families import Model
    from saem.specification.formula.bars import levels_of, model_of_formula
    from saem.system.files import check_writable, replacing

    number = int(trials) if trials is not None and trials.isdecimal() else trials
    table = None if data is None else read_table(data, ())
    said = model_of_formula(text, distribution, number, levels_of(table))
    Model(**said)  # which refuses what is wrong; its own text would have every default in it
    content = tomli_w.dumps(said)
    if output is None:
        say(content.rstrip())
        return
    if output.exists() and not force:
        raise StorageError(f"{output} exists already; choose another file by --output, or overwrite it by --force")
    check_writable(output.parent)
    with replacing(output) as temporary:
        temporary.write_text(content, encoding="utf-8")
    say(f"{output} written")
