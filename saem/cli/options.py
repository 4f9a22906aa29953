"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
Level = Annotated[float, typer.Option(help="Of the intervals.", metavar="SHARE")]
DropMissing = Annotated[
    bool, typer.Option("--drop-missing", help="Leave out rows with missing values, and count them.")
]
Mcse = Annotated[
    float | None,
    typer.Option(
        help="A simulated fit goes on until each Monte Carlo error is at most this share of the standard error (0.05).",
        metavar="SHARE",
        show_default=False,
    ),
]
MaxIterations = Annotated[
    int | None,
    typer.Option(
        help="Iterations at most (20000); those of the schedule (1300 of SAEM) are always made.",
        metavar="N",
        min=0,
        show_default=False,
    ),
]
MaxDraws = Annotated[
    int | None,
    typer.Option(
        help="End when so many random effects are drawn, even within the schedule.",
        metavar="N",
        min=1,
        show_default=False,
    ),
]
MaxSeconds = Annotated[
    float | None,
    typer.Option(
        help="End after so many seconds, even within the schedule; the result then depends on the machine.",
        metavar="S",
        show_default=False,
    ),
]
MStep = Annotated[
    str | None,
    typer.Option(
        help="Constrained maximiser of the M-step, or of ml: sqp, elimination, quadratic_penalty, l1_penalty, "
        "augmented_lagrangian, slsqp, trust_constr, newton_step, gradient_step.",
        metavar="NAME",
        show_default=False,
    ),
]
SamplerName = Annotated[
    str | None,
    typer.Option(
        "--sampler",
        help="How random effects are drawn: independently and exactly if omitted, antithetic or lattice (exactly, but "
        "dependent within an iteration), or metropolis (a Markov kernel).",
        metavar="NAME",
        show_default=False,
    ),
]
AugmentationName = Annotated[
    str | None,
    typer.Option(
        "--augmentation",
        help="Random effects that are drawn uncentred, or centred on the means; where the latter is better if omitted.",
        metavar="NAME",
        show_default=False,
    ),
]


Replicates = Annotated[int, typer.Option(help="Data sets to draw and fit.", metavar="N", min=20)]
Seed = Annotated[int, typer.Option(help="Same seed, same result.", metavar="N", min=0)]
Workers = Annotated[
    int | None,
    typer.Option(help="Processes; as many as there are cores if omitted.", metavar="N", min=1, show_default=False),
]
TTests = Annotated[
    bool,
    typer.Option(
        "--t-tests", help="Test means, or functions of means, against 0, with Satterthwaite's degrees of freedom."
    ),
]


def target_options(
    mcse: float | None, max_iterations: int | None, max_draws: int | None, max_seconds: float | None
) -> dict[str, Any]:
    """Those parts of a `Target` that were given."""
    given = {"mcse": mcse, "max_iterations": max_iterations, "max_draws": max_draws, "max_seconds": max_seconds}
    return {name: value for name, value in given.items() if value is not None}
