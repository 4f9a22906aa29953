"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelFile = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Model file (TOML); `saem recipe` writes one to edit.")
]
DataFile = Annotated[Path, typer.Argument(metavar="DATA", help="Table: CSV or Parquet.")]
Where = Annotated[
    str | None,
    typer.Option(
        help="Use only these rows, e.g. \"treatment in ['Ctrl', 'CCCP']\".", metavar="EXPRESSION", show_default=False
    ),
]
DropMissing = Annotated[
    bool, typer.Option("--drop-missing", help="Leave out rows with missing values, and count them.")
]
