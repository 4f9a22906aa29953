"""`saem simulate`: data from a model, on a design that is read or built by crossing factors."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saem.cli.options import ModelFile, optional, written_to

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 50_000_000
CSV, PARQUET = (".csv", ".txt"), (".parquet", ".pq")


def simulate(
    model: ModelFile,
    set_: Annotated[
        list[str] | None, optional("Value of a parameter, NAME=VALUE; repeat for each.", "NAME=VALUE", "--set")
    ] = None,
    parameters: Annotated[
        Path | None, optional("TOML file of parameter values, one NAME = VALUE a line; --set overrides it.", "FILE")
    ] = None,
    design: Annotated[Path | None, optional("Table whose rows get a response: CSV or Parquet.", "FILE")] = None,
    cross: Annotated[
        list[str] | None,
        optional(
            'Instead of --design: a factor and its levels, e.g. "treatment=Ctrl,CCCP" or "replicate=1..60"; '
            "repeat, and every combination becomes a row.",
            "COLUMN=LEVELS",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same data.", metavar="N", min=0)] = 0,
    output: Annotated[Path | None, written_to("CSV or Parquet file; stdout if omitted.", "FILE")] = None,
) -> None:
    """Simulate a table from a model. Parameters that are left out are computed from the constraints, if they can be."""
    from saem.cli.console import note
    from saem.data import read_table
    from saem.errors import DataError
    from saem.families import Model
    from saem.simulation import simulate
    from saem.system.display import count, printable
    from saem.system.files import as_csv

    if output is not None:
        check_output(output)
    specification = Model.from_toml(model)
    values = {**(read_parameters(parameters) if parameters else {}), **parse_settings(set_ or [])}
    if (design is None) == (not cross):
        raise DataError(
            "give the rows to simulate, either by --design FILE or by --cross, for instance "
            f"--cross {specification.cluster[0]}=1..20" + ("; got both" if design is not None else "")
        )
    text = specification.text_columns
    rows = read_table(design, text) if design is not None else full_factorial(cross or [])
    table = simulate(specification, values, rows, seed=seed)
    if output is None:
        text = table.to_csv(index=False, **as_csv(table))
        typer.echo(printable(text) if sys.stdout.isatty() else text, nl=False)
    else:
        write_table(table, output)
        note(f"{count(len(table), 'row')} written to {output}")


def parse_settings(settings: Sequence[str]) -> dict[str, float]:
    """`NAME=VALUE` texts as numbers by name."""
    from saem.errors import ModelError

    values: dict[str, float] = {}
    for text in settings:
        name, equals, value = (part.strip() for part in text.partition("="))
        number = _number(value)
        if not (name and equals) or number is None:
            raise ModelError(f"--set must be NAME=VALUE with a number as value, such as --set sigma=0.3; got {text!r}")
        if name in values:
            raise ModelError(f"--set gives {name!r} twice: {values[name]:g} and {number:g}")
        values[name] = float(number)
    return values


def read_parameters(path: Path) -> dict[str, float]:
    """Parameter values from a TOML file: NAME = VALUE lines, at the top or under [parameters]."""
    from saem.errors import ModelError
    from saem.specification.modelfile import read_toml, text_of

    if not path.is_file():
        raise ModelError(f"there is no file of parameters {str(path)!r}")
    content = read_toml(text_of(path), str(path))
    if set(content) == {"parameters"} and isinstance(content["parameters"], dict):
        content = content["parameters"]
    for name, value in content.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ModelError(f"{path}: the value of a parameter must be a number, such as {name} = 0.3; got {value!r}")
    return {name: float(value) for name, value in content.items()}


def full_factorial(crosses: Sequence[str]) -> pd.DataFrame:
    """Every combination of the levels of some factors; the first factor varies slowest."""
    import pandas as pd

    from saem.errors import DataError

    factors: dict[str, list[int | float | str]] = {}
    for text in crosses:
        name, levels = parse_cross(text)
        if name in factors:
            raise DataError(f"--cross names {name!r} twice")
        factors[name] = levels
    n_rows = math.prod(len(levels) for levels in factors.values())
    if n_rows > MAX_ROWS:
        raise DataError(f"--cross makes {n_rows:,} rows; at most {MAX_ROWS:,} are allowed")
    index = pd.MultiIndex.from_product(list(factors.values()), names=list(factors))
    return index.to_frame(index=False)


def parse_cross(text: str) -> tuple[str, list[int | float | str]]:
    """`column=a,b,c` or `column=1..60`; levels that are all numbers are numbers."""
    from saem.data.intake import is_number
    from saem.errors import DataError

    name, equals, spec = (part.strip() for part in text.partition("="))
    if not (name and equals and spec):
        raise DataError(
            f'--cross must be COLUMN=LEVELS, such as "treatment=Ctrl,CCCP" or "replicate=1..60"; got {text!r}'
        )
    first, dots, last = (part.strip() for part in spec.partition(".."))
    if dots and any(is_number(part) for part in (first, last)):
        if not all(part.removeprefix("-").isdecimal() for part in (first, last)):
            raise DataError(
                f"--cross {name}: the ends of a range must be whole numbers written in digits, such as 1..60; got "
                f"{spec!r}"
            )
        if not 0 <= int(last) - int(first) < MAX_ROWS:
            raise DataError(
                f"--cross {name}: a range must go upwards, such as 1..60, and have at most {MAX_ROWS:,} levels; "
                f"got {spec!r}"
            )
        return name, list(range(int(first), int(last) + 1))
    texts = [part.strip() for part in spec.split(",")]
    if not all(texts) or len(set(texts)) < len(texts):
        raise DataError(f"--cross {name}: the levels must be different and not empty; got {spec!r}")
    numbers = [_number(part) for part in texts]
    known = [number for number in numbers if number is not None]
    if len(known) < len(texts):
        return name, list(texts)
    whole = all(isinstance(number, int) for number in known)
    return name, [number if whole else float(number) for number in known]


def _number(text: str) -> int | float | None:
    """The whole or finite decimal number that a text is, or None."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet if the file is called so, else as CSV."""
    from saem.system.files import write_csv, write_parquet

    check_output(path)
    if path.suffix.lower() in PARQUET:
        write_parquet(table, path)
    else:
        write_csv(table, path, index=False)


def check_output(path: Path) -> None:
    """Refuse a file that cannot be written, before time is spent on its content.

    Raises
    ------
    StorageError
        Also when it is called neither as a CSV nor as a Parquet file.
    """
    from saem.errors import StorageError
    from saem.system.files import check_writable

    if path.suffix.lower() not in (*CSV, *PARQUET):
        raise StorageError(f"--output must end in .csv or .parquet; got {str(path)!r}")
    if path.is_dir():
        raise StorageError(f"{path} cannot be written: it is a folder")
    check_writable(path.parent)
