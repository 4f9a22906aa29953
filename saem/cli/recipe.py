"""`saem recipe`: a model file to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saem.cli.options import written_to


def beginning_with(incomplete: str) -> list[str]:
    """For shells that complete: the recipes whose names begin so."""
    from saem.recipes import names

    return [name for name in names() if name.startswith(incomplete)]


def recipe(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Name of the recipe, for instance peptide.", autocompletion=beginning_with),
    ] = "",
    output: Annotated[Path | None, written_to("File to write; ./NAME.toml if omitted.", "FILE")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there already.")] = False,
    with_data: Annotated[
        bool, typer.Option("--with-data", help="Also write a table that the model file reads as it is, beside it.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the recipes.")] = False,
) -> None:
    """Write a model file to edit: a copy of one of the recipes that come with saem."""
    from saem import datasets
    from saem.cli.console import note, say, show
    from saem.errors import ModelError, StorageError
    from saem.recipes import DATA, names, text
    from saem.system.display import table
    from saem.system.files import check_writable, replacing

    if list_:
        lines = [[each, DATA[each], first_comment(text(each))] for each in names()]
        show(table(["recipe", "data", "model"], lines, "lll"))
        return
    if not name:
        raise ModelError(f"give the name of a recipe: {', '.join(names())}")
    path = output or Path(f"{name}.toml")
    contents = {path: text(name)}
    if with_data:
        contents[path.parent / f"{DATA[name]}.csv"] = datasets.text(DATA[name])
    for each in contents:
        if each.exists() and not force:
            raise StorageError(f"{each} exists already; choose another file by --output, or overwrite it by --force")
    check_writable(path.parent)
    for each, content in contents.items():
        with replacing(each) as temporary:
            temporary.write_text(content, encoding="utf-8")
        say(f"{each} written")
    *_, data = contents
    if with_data:
        note(f"As they are: saem check {path} {data}, and saem fit {path} {data} --method both")
    else:
        note(f"Edit it, then: saem check {path} DATA.csv, and saem fit {path} DATA.csv --method both")


def first_comment(text: str) -> str:
    """The first line of a recipe, which says what it is."""
    return text.split("\n", 1)[0].removeprefix("#").strip()
