"""What is to be run next: all cells get as far, until their precision suffices or the time is up."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from saem.errors import ModelError

from .precision import Shortfall, next_look, worst
from .rows import measured
from .store import Store
from .study import Cell, Study
from .study.records import Record
from .study.tasks import Result, Task
from .study.truths import Truths


@dataclass(frozen=True)
class Shard:
    """Every N-th replicate, for a machine of its own.

    Attributes
    ----------
    number, count : int
        From 1 to ``count``.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def of(cls, text: str) -> Shard:
        """From ``"2/8"``.

        Raises
        ------
        ModelError
            When it is none.
        """
        number, slash, count = text.partition("/")
        if not (slash and number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
            raise ModelError(f"a shard must be written i/N with i from 1 to N, such as 2/8; got {text!r}")
        return cls(int(number), int(count))

    def has(self, replicate: int) -> bool:
        """Whether a replicate belongs to it."""
        return replicate % self.count == self.number - 1


@dataclass
class Line:
    """The replicates of one cell.

    Attributes
    ----------
    cell : Cell
    done : (n_methods, n_replicates) ndarray of bool
        What need not be run.
    missing : (k,) ndarray of int
        Replicates of which something is not done.
    goal : int
        Replicates until the next look, or the end.
    at : int
        How many of the missing were handed out.
    under_way, finished : int
        Tasks that were handed out; tasks of this run that came back.
    spent : float
        Their seconds.
    worst : Shortfall or None
        As of the last look.
    open : bool
        Whether there is more to do.
    """

    cell: Cell
    done: np.ndarray
    missing: np.ndarray
    goal: int
    at: int = 0
    under_way: int = 0
    finished: int = 0
    spent: float = 0.0
    worst: Shortfall | None = None
    open: bool = True

    @property
    def is_able(self) -> bool:
        """Whether a replicate below the goal is missing."""
        return self.at < len(self.missing) and bool(self.missing[self.at] < self.goal)

    @property
    def share(self) -> float:
        """Seconds that the cell has had, with those that are under way."""
        return self.spent * (1.0 + self.under_way / max(self.finished, 1))


class Agenda:
    """Tasks in the order in which they are to be run.

    Parameters
    ----------
    study : Study
    done : mapping of str to (n_methods, n_replicates) ndarray of bool
        What is in the store, by the cell's key.
    shard : Shard
    look : callable, optional
        ``look(cell, replicates)``: the worst error of a cell beside its target, from its first replicates. All
        replicates are run without it.

    Attributes
    ----------
    total, finished : int
        Replicates of all cells that are wanted, as far as is known; those of them that are done.
    """

    def __init__(
        self,
        study: Study,
        done: Mapping[str, np.ndarray],
        shard: Shard,
        look: Callable[[Cell, int], Shortfall | None] | None = None,
    ) -> None:
        if look is not None and shard.count > 1:
            raise ModelError(
                "a shard does not see the replicates of the others, so that it cannot tell when the precision "
                "suffices; add --fixed to run all replicates"
            )
        self.methods, self.most, self.look = tuple(study.methods), study.run.replicates, look
        self.deadline = None if study.run.budget is None else time.monotonic() + study.run.budget
        others = ~np.array([shard.has(k) for k in range(self.most)])
        goal = self.most if look is None else study.run.minimum
        nothing = np.zeros((len(self.methods), self.most), dtype=bool)
        self.lines = {}
        for cell in study.design.all():
            known = done.get(cell.key, nothing) | others
            self.lines[cell.key] = Line(cell, known, np.flatnonzero(~known.all(axis=0)), goal)
        self.queue: list[tuple[int, int, str]] = []  # next replicate, number of the cell, its key: all get as far
        self.number = {key: k for k, key in enumerate(self.lines)}
        self.total = self.finished = 0
        for line in self.lines.values():
            self._count(line, ~others, 0)
            self._enqueue(line)
            self._settle(line)

    def _count(self, line: Line, own: np.ndarray, first: int) -> None:
        """Count replicates up to a new goal."""
        part = slice(first, line.goal)
        self.total += int(own[part].sum())
        self.finished += int((own & line.done.all(axis=0))[part].sum())

    def take(self) -> Task | None:
        """The next task; None if there is none before results of those under way are known, or at all."""
        line = self._next()
        if line is None:
            return None
        replicate = int(line.missing[line.at])
        methods = tuple(
            name for name, is_done in zip(self.methods, line.done[:, replicate], strict=True) if not is_done
        )
        line.at += 1
        line.under_way += 1
        self._enqueue(line)
        return Task(line.cell, replicate, methods)

    def _next(self) -> Line | None:
        """The cell whose turn it is: the one that is behind, or, with a budget, the one that has had the least time."""
        if self.deadline is None:
            return self.lines[heapq.heappop(self.queue)[2]] if self.queue else None
        able = [line for line in self.lines.values() if line.open and line.is_able]
        if not able or time.monotonic() > self.deadline:
            return None
        return min(able, key=lambda line: (line.share, line.at))

    def _enqueue(self, line: Line) -> None:
        """Have a cell wait for its turn, if there is something to do in it."""
        if self.deadline is None and line.is_able:
            key = line.cell.key
            heapq.heappush(self.queue, (int(line.missing[line.at]), self.number[key], key))

    def learn(self, results: Iterable[Result]) -> None:
        """Take note of what is done."""
        for result in results:
            line = self.lines[result.task.cell.key]
            line.under_way -= 1
            line.finished += 1
            line.spent += sum(map(seconds_of, result.records))
            self.finished += 1
            self._settle(line)

    def _settle(self, line: Line) -> None:
        """Look at the precision of a cell whose replicates are done so far, and go on or stop."""
        while line.open and not line.under_way and not line.is_able:
            if self.look is not None:
                line.worst = self.look(line.cell, line.goal)
            if line.worst is None or line.worst.ratio <= 1.0 or line.goal >= self.most:
                line.open = False
                return
            before, line.goal = line.goal, next_look(line.goal, line.worst.ratio, self.most)
            self._count(line, np.ones(self.most, dtype=bool), before)  # a shard has no looks
            self._enqueue(line)

    def goals(self) -> dict[str, int]:
        """Replicates of each cell that are wanted, as far as is known, by name."""
        return {line.cell.name: line.goal for line in self.lines.values()}

    def shortfalls(self) -> dict[str, Shortfall]:
        """Cells whose errors were above a target when they were looked at last, by name."""
        worst = {line.cell.name: line.worst for line in self.lines.values()}
        return {name: found for name, found in worst.items() if found is not None and found.ratio > 1.0}


def seconds_of(record: Record) -> float:
    """The time that a fit has cost, whatever came of it."""
    seconds = float(record["seconds"])
    return seconds if seconds == seconds else float(record.get("limit", 0.0))


def agenda_of(
    store: Store,
    study: Study,
    path: Path,
    shard: Shard | None = None,
    again: bool = True,
    before_look: Callable[[], None] = lambda: None,
    retried: Collection[str] = (),
) -> Agenda:
    """What is left to be run of a study.

    Parameters
    ----------
    store : Store
    study : Study
    path : Path
        Of its TOML file.
    shard : Shard, optional
    again : bool
        Whether to try again what was killed, or did not end within less time than now.
    before_look : callable
        Called before the store is read for a look at the precision.
    retried : collection of str
        Statuses of fits that are made again.
    """
    truths = Truths(path, study.run)

    def look(cell: Cell, replicates: int) -> Shortfall | None:
        before_look()
        return worst(measured(store, study, truths, cell, replicates), study.precision)

    done = store.done(study.methods, study.run.replicates, study.run.timeout, again, retried)
    return Agenda(study, done, shard or Shard(), look if study.precision else None)
