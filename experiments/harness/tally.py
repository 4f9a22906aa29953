"""How the fits of a run end, and what deserves to be said while it is under way."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from .study.records import FAILED
from .study.tasks import Result

EARLY = 5  # fits of a method after which it is said that none of them succeeded


@dataclass
class Tally:
    """Fits by method.

    Attributes
    ----------
    fits, failures : Counter of str
        How many there were, and how many gave nothing.
    messages : dict of str to Counter
        Why they gave nothing.
    missing, known : Counter of (method, estimand, cell)
        Fits that ended without a finite estimate, and with one.
    """

    fits: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    messages: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    missing: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    known: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    told: set[str] = field(default_factory=set)

    def learn(self, results: Iterable[Result], estimands: Sequence[str]) -> None:
        """Take results into account."""
        for result in results:
            for record in result.records:
                method = record["method"]
                self.fits[method] += 1
                if record["status"] in FAILED:
                    self.failures[method] += 1
                    self.messages[method][f"{record['status']}: {record['message']}"] += 1
                    continue
                for name, numbers in zip(estimands, record["numbers"], strict=False):
                    found = self.known if math.isfinite(numbers[0]) else self.missing
                    found[method, name, result.task.cell.key] += 1

    def warnings(self) -> Iterator[str]:
        """What is to be said now, each once: methods that have never succeeded so far."""
        for method, count in self.fits.items():
            if count >= EARLY and self.failures[method] == count and method not in self.told:
                self.told.add(method)
                yield f"none of the first {count} fits of {method} succeeded ({self.reason(method)})"

    def reason(self, method: str) -> str:
        """The most frequent reason for failures of a method."""
        ((text, _),) = self.messages[method].most_common(1)
        return text if len(text) <= 200 else text[:200] + " …"

    def lines(self) -> Iterator[str]:
        """What is to be said at the end: failures by method, and estimates that are missing."""
        for method, count in self.failures.items():
            yield f"{method}: {count:,} of {self.fits[method]:,} fits failed, most often {self.reason(method)}"
        known = {(name, cell) for _, name, cell in self.known}
        somewhere = {name for name, _ in known}
        lost: Counter[tuple[str, str]] = Counter()
        ended: Counter[tuple[str, str]] = Counter()
        for counter in (self.missing, self.known):
            for (method, name, cell), count in counter.items():
                if (name, cell) in known or name not in somewhere:  # else the models of the cell have no such thing
                    ended[method, name] += count
                    lost[method, name] += count if counter is self.missing else 0
        for (method, name), count in lost.items():
            if count:
                yield (
                    f"{method}: {count:,} of {ended[method, name]:,} fits that ended gave no finite estimate of {name};"
                    " they are in none of its measures but no_estimate"
                )
