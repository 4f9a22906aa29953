"""By which code and on which machine the results were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..provenance import NO_VERSIONS, settings_hash
from .table import Table

if TYPE_CHECKING:
    from ..results import Results

OWN = ("began", "ended", "command")  # differ by nature


def origin(results: Results) -> dict[str, Any]:
    """What all runs have in common, what differs, and what a reader should be warned of."""
    runs = [flat(run) for run in results.runs]
    keys = list(dict.fromkeys(key for run in runs for key in run))
    same = [key for key in keys if len({run.get(key, "") for run in runs}) == 1 and not (key in OWN and len(runs) > 1)]
    differs = [key for key in keys if key not in same]
    rows = [[f"{k + 1}", *(run.get(key, "") for key in differs)] for k, run in enumerate(runs)]
    return {
        "count": len(runs),
        "same": Table(
            ["", "all runs" if len(runs) > 1 else "the run"], [[key, runs[0].get(key, "")] for key in same], "ll"
        ),
        "runs": Table.of(["run", *differs], rows, "r" + "l" * len(differs)) if differs and len(runs) > 1 else None,
        "warnings": warnings_of(results, results.runs),
    }


def flat(run: Mapping[str, Any]) -> dict[str, str]:
    """Texts by key; nested tables with their keys joined by a dot."""
    found: dict[str, str] = {}
    for key, value in run.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{name}": text for name, text in flat(value).items()} if value else {str(key): "default"}
        elif isinstance(value, bool):
            found[str(key)] = "yes" if value else "no"
        else:
            found[str(key)] = "" if value is None else str(value)
    return found


def warnings_of(results: Results, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why the results may not be what the commit gives."""
    found = []
    if not runs:
        found.append("The store has no note of the runs: commit, versions and machine are not known.")
    if any(run.get("dirty") for run in runs):
        found.append("Files differed from the commit when the study was run: the commit alone does not give its code.")
    if any("commit" not in run for run in runs):
        found.append("A run was not made from a git repository: its code is known by version only.")
    found += [
        f"A change of {run['accepted changes']} was accepted by the run of {run['began']}: results of before and after "
        "it are together here."
        for run in runs
        if run.get("accepted changes")
    ]
    versions = [key for key in dict.fromkeys(key for run in runs for key in run) if key not in NO_VERSIONS]
    for key, what in (
        ("commit", "commits"),
        ("settings", "settings"),
        *((key, f"versions of {key}") for key in versions),
    ):
        values = list(dict.fromkeys(str(run[key]) for run in runs if key in run))
        if len(values) > 1:
            found.append(f"The runs were made by different {what}: {', '.join(values)}.")
    last = [str(run["settings"]) for run in runs if "settings" in run][-1:]
    if last and last[0] != settings_hash(results.study):
        found.append(
            "The study as it is now is not that of the last run (such as more cells): this page describes the "
            "study as it is now."
        )
    if results.changed:
        found.append(
            f"Changed since the results were made: {', '.join(results.changed)}. The results are old; true values and "
            "settings on this page are those of now."
        )
    return found
