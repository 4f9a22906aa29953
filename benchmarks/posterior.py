"""Posteriors at 60 + 60 clusters: effective draws a second, by the C function and as it was before."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

import saem
from benchmarks.timing import Row, median, quartiles
from experiments.studies.peptide import peptide_model, peptide_table
from saem.algorithms.bayes.algorithm import Bayes, Posed, acceptance, pose_posterior
from saem.algorithms.bayes.diagnosis import Diagnosis, diagnose
from saem.algorithms.bayes.framing import frame_of
from saem.algorithms.bayes.native import compiled
from saem.algorithms.bayes.nuts import sample
from saem.algorithms.bayes.space import coordinates
from saem.algorithms.bayes.starts import scattered_start
from saem.algorithms.bayes.target import Standardised
from saem.families import arrange, pose
from saem.system.optional import quiet_import
from saem.system.streams import derived_seed, stream

CHAINS, DRAWS, REPEATS = 4, 1000, 3
TARGET = 4.0  # times the effective draws a second of before


def before(posed: Posed, starts: list[np.ndarray], seed: int) -> np.ndarray:
    """Draws (chains, draws, n) as they were: by a function of Python, in coordinates as they are, 1000 of tuning."""
    nutpie, from_python = quiet_import("nutpie"), quiet_import("nutpie.compiled_pyfunc").from_pyfunc
    density, d = posed.density, len(starts[0])
    running = [
        nutpie.sample(
            from_python(
                ndim=d,
                make_logp_fn=lambda: density,
                make_expand_fn=lambda *seeds: lambda u: {"u": np.array(u, dtype=float)},
                expanded_dtypes=[np.dtype("float64")],
                expanded_shapes=[(d,)],
                expanded_names=["u"],
                make_initial_point_fn=lambda seed, start=start: start,
            ),
            draws=DRAWS,
            tune=1000,
            chains=1,
            cores=1,
            seed=derived_seed(seed, "chain", str(k)),
            target_accept=0.95,
            progress_bar=False,
            save_warmup=False,
            blocking=False,
        )
        for k, start in enumerate(starts)
    ]
    found = np.concatenate([np.asarray(each.wait().posterior["u"].values) for each in running])
    return density.parameters(found.reshape(-1, d)).reshape(CHAINS, DRAWS, -1)


def now(posed: Posed, seed: int) -> np.ndarray:
    """Draws (chains, draws, n), the frame included."""
    density = posed.density
    centre = coordinates(density.problem, density.space, posed.tops[0])
    target = Standardised(density, frame_of(density, posed.solver, centre))
    starts = [scattered_start(target, stream(seed, "start", str(k))) for k in range(CHAINS)]
    seeds = [derived_seed(seed, "chain", str(k)) for k in range(CHAINS)]
    found = sample([target] * CHAINS, starts, seeds, Bayes().tune, DRAWS, acceptance(target.dimension)).coordinates
    return density.parameters(found.reshape(-1, found.shape[2])).reshape(CHAINS, DRAWS, -1)


def least(found: Diagnosis) -> float:
    """The smallest effective number of draws, bulk or tail, over the parameters."""
    return float(min(np.nanmin(found.ess_bulk), np.nanmin(found.ess_tail)))


def measure() -> Iterator[Row]:
    """Both ways in turns, and where the time of a whole fit goes."""
    model, table = peptide_model(), peptide_table(60, seed=1)
    problem = pose(model, arrange(model, table))
    posed = pose_posterior(problem)
    density = posed.density
    centre = coordinates(problem, density.space, posed.tops[0])
    target = Standardised(density, frame_of(density, posed.solver, centre))
    compiled(target)
    rates: dict[str, list[float]] = {"before": [], "now": [], "fit": []}
    seconds: dict[str, list[float]] = {name: [] for name in (*rates, "diagnosis", "frame")}
    nothing = np.zeros(len(problem.parameters), dtype=bool)

    def timed(name: str, made: object) -> object:
        started = time.perf_counter()
        found = made()  # type: ignore[operator]
        seconds[name].append(time.perf_counter() - started)
        return found

    for seed in range(REPEATS + 1):
        around = [scattered_start(target, stream(seed, "start", str(k))) for k in range(CHAINS)]
        starts = list(target.coordinates(np.array(around)))
        draws = {
            "before": timed("before", lambda starts=starts, seed=seed: before(posed, starts, seed)),
            "now": timed("now", lambda seed=seed: now(posed, seed)),
        }
        for name, x in draws.items():
            found = timed("diagnosis", lambda x=x: diagnose(x, nothing))
            rates[name].append(least(found) / seconds[name][-1])  # type: ignore[arg-type]
        timed("frame", lambda: frame_of(density, posed.solver, centre))
        fit = timed("fit", lambda seed=seed: saem.fit(model, table, "bayes", seed=seed))
        posterior = fit.posterior  # type: ignore[attr-defined]
        smallest = min(np.nanmin(posterior.ess_bulk), np.nanmin(posterior.ess_tail))
        rates["fit"].append(float(smallest) / seconds["fit"][-1])
    ratios = [b / n for b, n in zip(rates["before"][1:], rates["now"][1:], strict=True)]
    yield Row("effective draws a second, before", median(rates["before"][1:]), "", None, quartiles(rates["before"][1:]))
    yield Row("effective draws a second, now", median(rates["now"][1:]), "", None, quartiles(rates["now"][1:]))
    yield Row("before / now", median(ratios), "", 1.0 / TARGET, quartiles(ratios), "smallest ESS over the parameters")
    yield Row(
        "effective draws a second of a whole fit", median(rates["fit"][1:]), "", None, quartiles(rates["fit"][1:])
    )
    for name, words in (
        ("before", "4 x 1000 draws, before"),
        ("now", "4 x 1000 draws, now"),
        ("fit", "saem.fit(method='bayes')"),
        ("frame", "  of which: the frame"),
        ("diagnosis", "  of which: R-hat and ESS"),
    ):
        yield Row(words, 1e3 * median(seconds[name][1:]), "ms", None, quartiles(seconds[name][1:], 1e3))
    calls = 2000
    v = np.zeros(target.dimension)
    for words, call in (("the density from Python", target), ("  in the coordinates of before", density)):
        started = time.perf_counter()
        for _ in range(calls):
            call(v)
        yield Row(words, 1e6 * (time.perf_counter() - started) / calls, "us")
