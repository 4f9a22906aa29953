"""A progress bar for programs and notebooks."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from saem.system.display import printable
from saem.system.markup import text as as_html

if TYPE_CHECKING:
    from rich.console import Console

    from saem.fitting.progress import Progress

PAUSE = 0.1  # seconds between two looks of a notebook


class Display(Protocol):
    """Where a bar is drawn."""

    def show(self, share: float | None, words: str) -> None:
        """Draw how much is done, None while unknown, and what is said of it."""

    def close(self) -> None:
        """The work has ended."""


class Terminal:
    """A line on stderr that vanishes when the work is done."""

    def __init__(self, title: str, console: Console) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(12), TextColumn("{task.fields[words]}"))
        self.bar = Progress(*columns, console=console, transient=True)
        self.bar.start()
        self.task = self.bar.add_task(printable(title), total=None, words="")

    def show(self, share: float | None, words: str) -> None:
        """See `Display`."""
        self.bar.update(self.task, total=None if share is None else 1.0, completed=share or 0.0, words=words)

    def close(self) -> None:
        """See `Display`."""
        with suppress(OSError):  # of a terminal that was closed, which is no reason to lose the fit
            self.bar.stop()


class Notebook:
    """An output of the cell that is brought up to date."""

    def __init__(self, title: str) -> None:
        self.title, self.began, self.next = title, time.perf_counter(), 0.0
        self.shown: Any = import_module("IPython.display")
        self.handle = self.shown.display(self.line(None, ""), display_id=True)

    def line(self, share: float | None, words: str) -> Any:
        """The output."""
        value = "" if share is None else f' value="{share:.3f}"'
        return self.shown.HTML(f"<div>{as_html(self.title)} <progress{value}></progress> {as_html(words)}</div>")

    def show(self, share: float | None, words: str) -> None:
        """See `Display`."""
        if time.perf_counter() >= self.next:
            self.next = time.perf_counter() + PAUSE
            self.handle.update(self.line(share, words))

    def close(self) -> None:
        """See `Display`."""
        self.handle.update(self.line(1.0, f"{time.perf_counter() - self.began:.1f} s"))


class Bar:
    """What functions of saem take as `callback` or `progress`; it ends nothing."""

    def __init__(self, display: Display | None) -> None:
        self.display = display

    def __call__(self, *told: Any) -> None:
        """Of a fit a `Progress`; of many fits how many are done, and of how many."""
        if self.display is not None:
            share, words = (share_of(told[0]), words_of(told[0])) if len(told) == 1 else counted(*told)
            self.display.show(share, words)


@contextmanager
def progress_bar(title: str = "fitting") -> Iterator[Bar]:
    """A progress bar for what is done within the block: in a notebook below the cell, on a terminal on stderr.

    Elsewhere, as in a file that stderr goes to, it shows nothing::

        with saem.progress_bar() as bar:
            fit = saem.fit(model, table, callback=bar)

    Parameters
    ----------
    title : str
        What stands before it.

    Yields
    ------
    Bar
        For the `callback` of `saem.fit` and `Fit.resume`, or the `progress` of `saem.bootstrap` and its like.
    """
    display = display_for(title)
    try:
        yield Bar(display)
    finally:
        if display is not None:
            display.close()


def display_for(title: str) -> Display | None:
    """Where this process can draw a bar, if anywhere."""
    shell = sys.modules.get("IPython")
    if shell is not None and hasattr(shell.get_ipython(), "kernel"):
        return Notebook(title)
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    return Terminal(title, console) if console.is_terminal else None


def share_of(progress: Progress) -> float | None:
    """How much of the time of a fit is over, as far as is known."""
    left = progress.seconds_left
    return progress.seconds / (progress.seconds + left) if math.isfinite(left) and progress.seconds + left > 0 else None


def words_of(progress: Progress) -> str:
    """The precision so far and the expected time that is left, as far as they are known."""
    if not math.isfinite(progress.mcse_share):
        return progress.phase
    parts = [f"MCSE/SE {100 * progress.mcse_share:.2g} % (target {100 * progress.target.mcse:g} %)"]
    if math.isfinite(progress.deficit):
        parts.append(f"deficit {progress.deficit:.2g}")
    if math.isfinite(progress.seconds_left):  # first: what is too wide for the terminal is cut at the end
        parts.insert(0, f"{progress.seconds_left:.0f} s left")
    return ", ".join(parts)


def counted(done: int, total: int) -> tuple[float, str]:
    """The share that is done, in words too."""
    return done / max(total, 1), f"{done:,} of {total:,}"
