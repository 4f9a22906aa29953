"""Which figures and tables a rerun contradicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paper.digest import KEYS, Digest
from paper.pipeline.agreement import RATE, Agreement, compare
from paper.pipeline.manifest import Manifest, modules, read_manifest
from paper.pipeline.watching import Key, used_by
from saem.errors import StorageError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Finding:
    """A figure, a table, or the numbers of a section, beside a rerun.

    Attributes
    ----------
    name : str
        "figure absorption".
    entries : DataFrame
        Those that it uses and both have; columns of `Agreement.entries` and `study`, the smallest p first.
    used : int
        How many it uses that do not depend on the machine or on real data.
    rate : float
        Of false alarms.
    """

    name: str
    entries: pd.DataFrame
    used: int
    rate: float = RATE

    @property
    def compared(self) -> int:
        """Entries about which something can be told."""
        return int(self.entries["p"].notna().sum())

    @property
    def limit(self) -> float:
        """The p-value below which an entry disagrees."""
        return self.rate / max(1, self.compared)

    @property
    def disagreeing(self) -> pd.DataFrame:
        """The entries that disagree."""
        return self.entries[self.entries["p"] < self.limit]

    @property
    def agrees(self) -> bool:
        """Whether there are none."""
        return not len(self.disagreeing)


def verify(committed: Mapping[str, Digest], rerun: Mapping[str, Digest]) -> tuple[list[Finding], list[Agreement]]:
    """Every figure, every table and the numbers of every section beside a rerun of their studies.

    What a figure uses is what it asks of the committed digests as it is drawn. Digests that a rerun has borrowed from
    the committed results tell nothing, and are left out.
    """
    manifest = read_manifest()
    agreements = {
        name: compare(committed[name], rerun[name])
        for name in manifest.sources
        if name in committed and name in rerun and not rerun[name].borrowed
    }
    for name, agreement in agreements.items():
        if is_quick(name, rerun[name]):
            agreement.notes[:] = [line for line in agreement.notes if "the configuration" not in line]
            agreement.notes.append(f"{name}: the rerun is the quick form of the study as it is now")
    return findings(agreements, uses(committed, manifest)), list(agreements.values())


def is_quick(name: str, digest: Digest) -> bool:
    """Whether a digest is of the quick form of a study that has not changed since."""
    from experiments.provenance import configuration_hash
    from experiments.study import STUDIES, load_study

    path = STUDIES / f"{name}.toml"
    return path.exists() and digest.provenance.get("configuration") == configuration_hash(load_study(path, True), path)


def uses(committed: Mapping[str, Digest], manifest: Manifest) -> dict[str, set[Key]]:
    """The entries that each figure, table and module of numbers uses."""
    wanted: dict[str, Callable[[Any], Any]] = {}
    for kind, name, _ in manifest.shown():
        module = modules(kind).get(name)
        if module is not None:
            wanted[f"{kind.removesuffix('s')} {name}"] = module.draw if kind == "figures" else module.table
    wanted |= {f"numbers {name}": module.numbers for name, module in modules("numbers").items()}
    return {name: used_by(function, committed) for name, function in wanted.items()}


def findings(agreements: Mapping[str, Agreement], used: Mapping[str, set[Key]]) -> list[Finding]:
    """By figure, table and module of numbers."""
    import pandas as pd

    tables = [agreement.entries.assign(study=name) for name, agreement in agreements.items()]
    if not tables:
        raise StorageError(
            "there is no study that the committed results and the rerun both have; run the studies first"
        )
    every = pd.concat(tables).reset_index().set_index(["study", *KEYS])
    found = []
    for name, keys in used.items():
        if keys:
            own = every[every.index.isin(list(keys))].sort_values("p", kind="stable")
            found.append(Finding(name, own, len(keys)))
    return found


def identical(agreement: Agreement) -> int:
    """Entries that are the same number in both."""
    return int((agreement.entries["value_a"] == agreement.entries["value_b"]).sum())


def sentence(finding: Finding) -> str:
    """What was found, in a line."""
    if not finding.compared:
        return f"{finding.name}: not compared, since the rerun has none of its {finding.used} entries with an error"
    verdict = "agrees" if finding.agrees else "DISAGREES"
    return (
        f"{finding.name}: {verdict}; {finding.compared} of {finding.used} entries compared, smallest p "
        f"{finding.entries['p'].min():.2g} (limit {finding.limit:.2g})"
    )


def worst(finding: Finding, count: int = 5) -> list[str]:
    """The entries with the smallest p-values, a line each."""
    lines = []
    for key, row in finding.entries[finding.entries["p"].notna()].head(count).iterrows():
        study, cell, method, estimand, measure = map(str, key)
        z = "" if row["z"] != row["z"] else f", z {row['z']:.1f}"
        of = method if estimand == "" else f"{method}, {estimand}"
        lines.append(
            f"{measure} of {of} in {study} at {cell}: {row['value_a']:.4g} ({row['mcse_a']:.2g}; n = {row['n_a']:.0f}) "
            f"committed, {row['value_b']:.4g} ({row['mcse_b']:.2g}; n = {row['n_b']:.0f}) now{z}, p {row['p']:.1g}"
        )
    return lines
