"""Settings of the software and of the simulations that the text names, taken from the code itself; and theory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import cast

import numpy as np
from scipy.special import digamma

from experiments.studies.headline import LOST
from experiments.studies.peptide import TRUTH
from experiments.studies.remedies import ENOUGH, algorithm
from experiments.studies.uncentred import SCHEDULE
from paper.digest import Digest
from paper.shared.writing import Number, exact, significant
from saem.algorithms.annealed_saem import AnnealedSAEM
from saem.algorithms.course.up_to_target import MARGIN
from saem.algorithms.saem import SAEM
from saem.schedules import LATEST, RobbinsMonroSchedule, Schedule
from saem.stopping import Target

C, D = 6.0, -5.0  # of the example with three solutions


def numbers(digests: Mapping[str, Digest]) -> Iterator[Number]:
    """Defaults, true values and closed forms."""
    yield from settings()
    yield from closed_forms()
    for name, digest in digests.items():
        source = f"{name}: replicates of every cell"
        yield Number(f"{name}.replicates", exact(digest.provenance["replicates"]), source, (name,))


def settings() -> Iterator[Number]:
    """Defaults of the software, and the true values of the simulations."""
    schedule, target = SCHEDULE, Target()
    plain, programs = (cast(RobbinsMonroSchedule, schedule_of(name, 1)) for name in ("textbook", "programs"))
    annealed = cast(AnnealedSAEM, algorithm("programs", 1))
    found = {
        "default.latent": schedule.latent,
        "default.burnin": schedule.burn_in,
        "default.exponent": schedule.exponent,
        "default.latest": LATEST,
        "default.transient": schedule.transient,
        "default.averaged": schedule.iterations - schedule.transient,
        "default.iterations": schedule.burn_in + schedule.iterations,
        "target.mcse": 100 * target.mcse,
        "target.deficit": target.deficit,
        "boundary.margin": MARGIN,
        "target.distance": round(math.sqrt(2.0 * target.deficit), 2),
        "target.iterations": target.max_iterations,
        "textbook.burnin": plain.burn_in,
        "textbook.smoothing": plain.iterations,
        "textbook.enough": ENOUGH,
        "programs.burnin": programs.burn_in,
        "programs.smoothing": programs.iterations,
        "programs.annealing": annealed.annealing,
        "programs.fall": round(100 * (1 - annealed.tau), 2),
        "absorption.lost": 100 * LOST,
        **{f"truth.{name}": round(value, 2) for name, value in TRUTH.items()},
    }
    for key, value in found.items():
        yield Number(key, exact(value), "a setting in the code")


def closed_forms() -> Iterator[Number]:
    """What follows from the formulas of the text."""
    ln2 = math.log(2.0)
    centre = C * (1 + 2**D) / 2
    root = outer_root(C, D, centre)
    drift = math.log(1.5) - float(digamma(1.5))
    found = {
        "example.product": (C * (1 - 2**D), 4, "C (1 - 2^d) at C = 6, d = -5"),
        "example.bound": (4 / ln2, 3, "4 / ln 2"),
        "example.m": (centre, 6, "C (1 + 2^d) / 2 at C = 6, d = -5"),
        "example.low": (-root, 3, "the lowest root of h(b) = m at the centre of symmetry"),
        "example.high": (root, 3, "the highest root of h(b) = m at the centre of symmetry"),
        "example.safe": (2 * math.log(4 / ln2) / ln2**2, 3, "2 ln(4 / ln 2) / (ln 2)^2"),
        "absorption.drift.3": (drift, 2, "ln(3/2) - digamma(3/2)"),
        "absorption.factor.3": (math.exp(-drift), 2, "exp(digamma(3/2) - ln(3/2))"),
    }
    for key, (value, digits, source) in found.items():
        yield Number(key, significant(value, digits), f"theory: {source}")
    few, arms = 3, 2
    for word, method in (
        ("textbook", "textbook"),
        ("chains", "several"),
        ("programs", "programs"),
        ("many", "many"),
        ("default", "once"),
    ):
        steps = schedule_of(method, few).steps(arms * few)
        loss = float(np.sum(steps.step_sizes**2 / (few * steps.draws)))
        source = f"the sum of gamma_k^2 / (n m) over the schedule, n = {few} replicates in each of {arms} arms"
        yield Number(f"drift.{word}", significant(loss, 2), source)


def schedule_of(method: str, replicates: int) -> Schedule:
    """Of a method of the study `remedies`."""
    return cast(SAEM, algorithm(method, replicates)).schedule


def outer_root(c: float, d: float, m: float) -> float:
    """The positive root of ``h(b) = m`` where there are three, by Brent's method."""
    from scipy.optimize import brentq

    return float(brentq(lambda b: b + c * (1 + 2 ** (b + d)) / (1 + 2**b) - m, 1e-6, 50.0))
