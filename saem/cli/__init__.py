"""The command `saem`. Only typer is imported here: everything else waits until a command needs it."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from saem import __version__
from saem.cli import (
    bootstrap,
    check,
    compare,
    completion,
    derive,
    diagnose,
    fit,
    formula,
    infer,
    loglik,
    predict,
    prior,
    recipe,
    resume,
    simulate,
    verify,
    warmup,
)
from saem.cli.console import friendly

HELP = """
Mixed-effects models whose means are tied to their variances: SAEM and direct maximum likelihood.

Start with `saem recipe peptide`, which writes a model file to edit; then `saem check MODEL DATA` tells what is
understood, and `saem fit MODEL DATA --method both` fits it.
"""

EXIT_CODES = """
Exit codes: 0 done; 1 no level of `--by` could be fitted, or `verify` found a fit that is not at a maximum; 2 bad input,
with a message that says what to do; 129, 130 and 143 ended by SIGHUP, Ctrl-C and SIGTERM, with what was done until then
kept.
"""


class Commands(TyperGroup):
    """The commands, each of which turns bad input into a message and Ctrl-C into an orderly end."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with friendly():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    help=HELP,
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(name="fit")(fit.fit)
app.command(name="resume")(resume.resume)
app.command(name="compare")(compare.compare)
app.command(name="profile")(infer.profile)
app.command(name="derive")(derive.derive)
app.command(name="bootstrap")(bootstrap.bootstrap)
app.command(name="test")(infer.test)
app.command(name="models")(infer.models)
app.command(name="diagnose")(diagnose.diagnose)
app.command(name="predict")(predict.predict)
app.command(name="loglik")(loglik.loglik)
app.command(name="verify")(verify.verify)
app.command(name="prior")(prior.prior)
app.command(name="sensitivity")(prior.sensitivity)
app.command(name="simulate")(simulate.simulate)
app.command(name="check")(check.check)
app.command(name="recipe")(recipe.recipe)
app.command(name="formula")(formula.formula)
app.command(name="warmup")(warmup.warmup)
app.command(name="completion")(completion.completion)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"saem {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the command itself."""


options.__doc__ = HELP


def main() -> None:
    """Entry point of the console script."""
    if completion.VARIABLE in os.environ:
        completion.prepare()
    app(prog_name="saem")
