"""Which figures and tables a rerun contradicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paper.digest import KEYS, Digest
from paper.pipeline.agreement import RATE, Agreement, compare
from paper.pipeline.checks import cited_in
from paper.pipeline.manifest import TEXT, Manifest, modules, read_manifest
from paper.pipeline.source import Source
from paper.pipeline.watching import Key, entries_of, used_by
from paper.real_data import NAME as SITES
from paper.real_data import configuration_now
from saem.errors import ModelError, StorageError

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
        How many it uses.
    rate : float
        Of false alarms.
    absent : int
        How many of them a rerun of the same configuration lacks.
    """

    name: str
    entries: pd.DataFrame
    used: int
    rate: float = RATE
    absent: int = 0

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
        """Whether there are none, and none is absent."""
        return not len(self.disagreeing) and not self.absent

    @property
    def judged(self) -> bool:
        """Whether something can be told."""
        return bool(self.compared or self.absent)


def verify(
    committed: Mapping[str, Digest], rerun: Mapping[str, Digest], text: Path | None = None
) -> tuple[list[Finding], list[Agreement]]:
    """Every figure, every table and the numbers of every section beside a rerun of their studies.

    What a figure uses is what it asks of the committed digests as it is drawn; what numbers use is what those of them
    ask for that the text cites. Digests that a rerun has borrowed from the committed results tell nothing, and are left
    out.
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
    return findings(agreements, uses(committed, manifest, Source(text or TEXT))), list(agreements.values())


def is_quick(name: str, digest: Digest) -> bool:
    """Whether a digest is of the quick form of a study that has not changed since."""
    from experiments.harness.provenance import configuration_hash
    from experiments.harness.study import STUDIES, load_study

    if name == SITES:
        sites = read_manifest().sites
        draws = digest.provenance.get("draws")
        is_present = digest.provenance.get("configuration") == configuration_now(digest.provenance)
        return sites is not None and draws == sites.draws.quick != sites.draws.full and is_present
    path = STUDIES / f"{name}.toml"
    return path.exists() and digest.provenance.get("configuration") == configuration_hash(load_study(path, True), path)


def uses(committed: Mapping[str, Digest], manifest: Manifest, source: Source) -> dict[str, set[Key]]:
    """The entries that each figure and table uses, and the numbers of each module that the text cites.

    Raises
    ------
    ModelError
        When a figure or table has an error.
    """
    found = {}
    for kind, name, _ in manifest.shown():
        module, what = modules(kind).get(name), f"{kind.removesuffix('s')} {name}"
        if module is None:
            continue
        try:
            found[what] = used_by(module.draw if kind == "figures" else module.table, committed)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise ModelError(
                f"{what} cannot be made of the committed results: {why}; see 'python -m paper build'"
            ) from error
    for name, own in entries_of(committed, cited_in(source, {})).items():
        found[f"numbers {name}"] = set().union(*own.values())
    return found


def findings(agreements: Mapping[str, Agreement], used: Mapping[str, set[Key]]) -> list[Finding]:
    """By figure, table and module of numbers."""
    import pandas as pd

    tables = [agreement.entries.assign(study=name) for name, agreement in agreements.items()]
    if not tables:
        raise StorageError(
            "there is no study that the committed results and the rerun both have; run the studies first"
        )
    every = pd.concat(tables).reset_index().set_index(["study", *KEYS])
    lost = {Key(name, *map(str, entry)) for name, agreement in agreements.items() for entry in agreement.lost}
    found = []
    for name, keys in used.items():
        if keys:
            own = every[every.index.isin(list(keys))].sort_values("p", kind="stable")
            found.append(Finding(name, own, len(keys), absent=len(keys & lost)))
    return found


def identical(agreement: Agreement) -> int:
    """Entries that are the same number in both."""
    return int((agreement.entries["value_a"] == agreement.entries["value_b"]).sum())


def sentence(finding: Finding) -> str:
    """What was found, in a line."""
    if not finding.judged:
        return (
            f"{finding.name}: not compared, since each of its {finding.used} entries depends on the machine, is not in "
            "the rerun, or has no Monte Carlo error"
        )
    verdict = "agrees" if finding.agrees else "DISAGREES"
    absent = f"; {finding.absent} are absent in the rerun" if finding.absent else ""
    smallest = f", smallest p {finding.entries['p'].min():.2g} (limit {finding.limit:.2g})" if finding.compared else ""
    return f"{finding.name}: {verdict}; {finding.compared} of {finding.used} entries compared{smallest}{absent}"


def worst(finding: Finding, count: int = 5) -> list[str]:
    """The entries with the smallest p-values, a line each."""
    lines = []
    for key, row in (
        (finding.disagreeing if finding.absent else finding.entries[finding.entries["p"].notna()])
        .head(count)
        .iterrows()
    ):
        study, cell, method, estimand, measure = map(str, key)
        z = "" if row["z"] != row["z"] else f", z {row['z']:.1f}"
        of = method if estimand == "" else f"{method}, {estimand}"
        lines.append(
            f"{measure} of {of} in {study} at {cell}: {row['value_a']:.4g} ({row['mcse_a']:.2g}; n = {row['n_a']:.0f}) "
            f"committed, {row['value_b']:.4g} ({row['mcse_b']:.2g}; n = {row['n_b']:.0f}) now{z}, p {row['p']:.1g}"
        )
    return lines
