"""Posteriors of a nonlinear model with 12 x 3 random effects: what a step costs, and what guided coordinates are worth.

All by CPU time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

import saem
from benchmarks.timing import Row, median, quartiles
from saem.algorithms.bayes.algorithm import Bayes, acceptance, pose_posterior
from saem.algorithms.bayes.diagnosis import diagnose
from saem.algorithms.bayes.framing import frame_of
from saem.algorithms.bayes.nuts import sample
from saem.algorithms.bayes.space import coordinates
from saem.algorithms.bayes.starts import scattered_start
from saem.algorithms.bayes.target import StandardisedJointly
from saem.families import arrange, pose
from saem.families.contract import log_complete_all
from saem.system.jit import entry
from saem.system.streams import derived_seed, stream

CHAINS, DRAWS, CALLS, REPEATS = 4, 1000, 10_000, 3
STEP = 2.5  # times the gradient of the likelihood alone: what a step of the sampler may cost
WORTH = 0.5  # effective draws a step without guides, by those with them, at most
TRUTH = {"ka_pop": 1.6, "V_pop": 32.0, "CL_pop": 2.7, "a": 0.7, "omega_ka": 0.6, "omega_V": 0.13, "omega_CL": 0.27}
TIMES = [0.25, 0.5, 1.0, 2.0, 3.5, 5.0, 7.0, 9.0, 12.0, 24.0]


@entry
def gradients(arrays: Any, x: np.ndarray, w: np.ndarray, by_x: np.ndarray, by_w: np.ndarray, calls: int) -> float:
    """The density with its gradient, again and again."""
    total = 0.0
    for _ in range(calls):
        total += log_complete_all(arrays, x, w, by_x, by_w)
    return total


def posed_target() -> StandardisedJointly:
    """The posterior of a drawn table like that of theophylline."""
    model = saem.Model(
        family="nonlinear",
        response="y",
        cluster="id",
        columns=["time"],
        individual={name: f"lognormal({name}_pop, omega_{name})" for name in ("ka", "V", "CL")},
        outcome={
            "distribution": "normal",
            "mean": "320 * ka / (V * ka - CL) * (exp(-CL / V * time) - exp(-ka * time))",
            "sd": "a",
        },
        start=TRUTH,
    )
    design = pd.DataFrame({"id": np.repeat(np.arange(12), len(TIMES)), "time": np.tile(TIMES, 12)})
    table = saem.simulate(model, TRUTH, design, seed=1)
    posed = pose_posterior(pose(model, arrange(model, table)))
    centre = coordinates(posed.density.problem, posed.density.space, posed.tops[0])
    target = Bayes().to_sample(posed.density, frame_of(posed.density, posed.solver, centre))
    assert isinstance(target, StandardisedJointly)
    return target


def not_guided(target: StandardisedJointly) -> StandardisedJointly:
    """The same in the coordinates of standard normals before the data, as they are."""
    arrays, frame = target.arrays, target.frame
    plain = frame._replace(
        centre=0.0 * frame.centre,
        slopes=0.0 * frame.slopes,
        root=np.tile(np.eye(frame.centre.shape[1]), (len(frame.centre), 1, 1)),
    )
    arrays = arrays._replace(precisions=0.0 * arrays.precisions, pulls=0.0 * arrays.pulls)
    return StandardisedJointly(target.density, arrays, plain)


def drawn(target: StandardisedJointly, draws: int, seed: int) -> tuple[float, float, float]:
    """CPU seconds, steps after tuning, and the smallest effective number of draws of a parameter."""
    starts = [scattered_start(target, stream(seed, "start", str(k))) for k in range(CHAINS)]
    seeds = [derived_seed(seed, "chain", str(k)) for k in range(CHAINS)]
    started = time.process_time()
    found, _, stats = sample([target] * CHAINS, starts, seeds, Bayes().tune, draws, acceptance(target.dimension))
    seconds, d = time.process_time() - started, len(target.density.space.free)
    worth = diagnose(found[..., :d], np.zeros(d, dtype=bool))
    return seconds, float(stats["n_steps"].sum()), float(np.min(worth.ess_bulk))


def measure() -> Iterator[Row]:
    """Steps of the sampler against bare gradients, and effective draws a step with and without guides."""
    target = posed_target()
    plain = not_guided(target)
    x, w = target.frame.parameters.frozen, np.full(target.frame.centre.shape, 0.1)
    by_x, by_w = np.empty(len(x)), np.empty(w.shape)
    gradients(target.arrays, x, w, by_x, by_w, 1)
    bare, steps, ratios, rates, worths = [], [], [], [], []
    for seed in range(REPEATS + 1):
        started = time.process_time()
        gradients(target.arrays, x, w, by_x, by_w, CALLS)
        bare.append((time.process_time() - started) / CALLS)
        short, long = drawn(target, DRAWS, seed), drawn(target, 4 * DRAWS, seed)
        steps.append((long[0] - short[0]) / (long[1] - short[1]))
        ratios.append(steps[-1] / bare[-1])
        rates.append(short[2] / short[0])
        other = drawn(plain, DRAWS, seed)
        worths.append(other[2] / other[1] / (short[2] / short[1]))
    yield Row("gradient of the likelihood alone", 1e6 * median(bare[1:]), "us", None, quartiles(bare[1:], 1e6))
    yield Row("leapfrog step", 1e6 * median(steps[1:]), "us", None, quartiles(steps[1:], 1e6))
    yield Row("leapfrog step / gradient", median(ratios[1:]), "", STEP, quartiles(ratios[1:]))
    yield Row("effective draws a second", median(rates[1:]), "", None, quartiles(rates[1:]), "smallest bulk ESS")
    yield Row("effective draws a step, not guided / guided", median(worths[1:]), "", WORTH, quartiles(worths[1:]))
