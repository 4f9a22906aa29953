"""A replicate of the study `headline` with 6 + 6 clusters, by SAEM and direct ML: its parts, and an older checkout.

All figures are processor time of one process, which other work on the machine disturbs less than it does a clock. With
the folder of another checkout in ``SAEM_BENCHMARK_BEFORE`` both are measured in turns: `git worktree add` makes one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.timing import Row, median, ratio, run_python, timed

BEFORE = "SAEM_BENCHMARK_BEFORE"
PARTS = {
    "replicate": "a replicate by SAEM and ML",
    "data": "  its data",
    "ml": "  saem.fit(method='ml')",
    "direct ml": "    of which the algorithm",
    "saem": "  saem.fit(method='saem')",
    "loop": "    of which the algorithm",
}
METHODS = ("ml", "saem")
REPLICATES = 60
WARM = 3
TURNS = 5


def measure() -> Iterator[Row]:
    """Processor time of the parts, and of the whole against that of another checkout."""
    roots = {"here": Path(__file__).resolve().parent.parent}
    before = os.environ.get(BEFORE)
    if before:
        roots["before"] = Path(before).resolve()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in roots}
    for _ in range(TURNS):
        for name, root in roots.items():
            found[name].append(json.loads(run_python([__file__], root=root)[1]))
    for part, what in PARTS.items():
        yield timed(what, [turn[part] for turn in found["here"]], "ms", None, "processor time")
    here = [turn["replicate"] for turn in found["here"]]
    if not before:
        return
    yield ratio("a replicate, here / before", here, [turn["replicate"] for turn in found["before"]], 0.5)
    for part, what in {"data": "data", "ml": "fit by ML", "saem": "fit by SAEM", "loop": "algorithm of SAEM"}.items():
        own, other = ([turn[part] for turn in found[name]] for name in ("here", "before"))
        yield ratio(f"  its {what}, here / before", own, other, None, f"{1e3 * median(other):.3g} ms before")


def child() -> None:
    """Measure the checkout that is imported, and print seconds a replicate as JSON."""
    from experiments.harness.running import job_of
    from experiments.harness.study import STUDIES, load_study
    from experiments.harness.study.tasks import Task, data_seed, method_seed, prepared, run_task
    from experiments.studies.peptide import peptide_model
    from saem.algorithms.direct_ml import DirectML
    from saem.algorithms.saem import SAEM
    from saem.families import arrange, pose

    path = STUDIES / "headline.toml"
    study = load_study(path, changes={"design": {"factors": {"replicates": [6], "ratio": [2]}}})
    job, (cell,) = job_of(study, path), study.design.all()
    functions, options = prepared(job.functions, job.digest), dict(job.methods)
    model = peptide_model()
    spent = dict.fromkeys(PARTS, 0.0)

    def run(part: str, function: Callable[..., Any], *arguments: object) -> Any:
        started = time.process_time()
        value = function(*arguments)
        spent[part] += (time.process_time() - started) / REPLICATES
        return value

    for replicate in range(WARM + REPLICATES):
        if replicate == WARM:
            spent.update(dict.fromkeys(PARTS, 0.0))
        seeds = {name: method_seed(job, cell, replicate, name) for name in METHODS}
        run("replicate", run_task, job, Task(cell, replicate, METHODS))
        data = run("data", functions.generate, cell, data_seed(job, cell, replicate))
        for name in METHODS:
            run(name, functions.estimate, data, cell, options[name], seeds[name])
        problem = pose(model, arrange(model, data))
        run("direct ml", DirectML().run, problem)
        run("loop", SAEM().run, problem, seeds["saem"])
    print(json.dumps(spent))


if __name__ == "__main__":
    child()
