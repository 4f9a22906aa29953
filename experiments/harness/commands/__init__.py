"""The commands of `python -m experiments`."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Simulation studies.")

from . import looking, results, running  # noqa: E402, F401  (each adds its commands to the app)
