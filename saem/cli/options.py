"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def optional(help: str, metavar: str, *names: str, **more: Any) -> Any:
    """An option that is None if it is not given."""
    return typer.Option(*names, help=help, metavar=metavar, show_default=False, **more)


def written_to(help: str, metavar: str = "FOLDER") -> Any:
    """The option that says where to write, if at all."""
    return optional(help, metavar, "--output", "-o")


ModelFile = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Model file (TOML); `saem recipe` writes one to edit.")
]
DataFile = Annotated[Path, typer.Argument(metavar="DATA", help="Table: CSV or Parquet.")]
Where = Annotated[str | None, optional("Use only these rows, e.g. \"treatment in ['Ctrl', 'CCCP']\".", "EXPRESSION")]
Level = Annotated[float, typer.Option(help="Of the intervals.", metavar="SHARE")]
DropMissing = Annotated[
    bool, typer.Option("--drop-missing", help="Leave out rows with missing values, and count them.")
]
Mcse = Annotated[
    float | None,
    optional(
        "A simulated fit goes on until each Monte Carlo error is at most this share of the standard error (0.05).",
        "SHARE",
    ),
]
MaxIterations = Annotated[
    int | None,
    optional("Iterations at most (20000); those of the schedule (1300 of SAEM) are always made.", "N", min=0),
]
MaxDraws = Annotated[
    int | None, optional("End when so many random effects are drawn, even within the schedule.", "N", min=1)
]
MaxSeconds = Annotated[
    float | None,
    optional("End after so many seconds, even within the schedule; the result then depends on the machine.", "S"),
]
Threads = Annotated[
    int,
    typer.Option(
        help="Threads that share the clusters of a nonlinear model or a glmm with more than 1000; "
        "the result is the same.",
        metavar="N",
        min=1,
    ),
]
MStep = Annotated[
    str | None,
    optional(
        "Constrained maximiser of the M-step, or of ml: sqp, elimination, quadratic_penalty, l1_penalty, "
        "augmented_lagrangian, slsqp, trust_constr, newton_step, gradient_step.",
        "NAME",
    ),
]
SamplerName = Annotated[
    str | None,
    optional(
        "How random effects are drawn: independently and exactly if omitted, antithetic or lattice (exactly, but "
        "dependent within an iteration), or metropolis (a Markov kernel); where there are no exact draws by a mixture "
        "of Markov kernels, or independent, walk or componentwise moves alone.",
        "NAME",
        "--sampler",
    ),
]
AugmentationName = Annotated[
    str | None,
    optional(
        "Random effects that are drawn uncentred, or centred on the means; where the latter is better if omitted.",
        "NAME",
        "--augmentation",
    ),
]


Replicates = Annotated[int, typer.Option(help="Data sets to draw and fit.", metavar="N", min=20)]
Seed = Annotated[int, typer.Option(help="Same seed, same result.", metavar="N", min=0)]
Workers = Annotated[int | None, optional("Processes; as many as there are cores if omitted.", "N", min=1)]
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
