"""What a long fit shows on a terminal, and its orderly end at Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from saem.cli.console import console
from saem.cli.signals import Stopped, handling, interrupt
from saem.system.display import printable

if TYPE_CHECKING:
    from saem.fitting.bar import Terminal
    from saem.fitting.progress import Progress

SHORT = 0.5  # seconds: a fit that is done by then shows nothing


class Watcher:
    """A callback for `saem.fit`: a progress bar on stderr, where that is a terminal, and Ctrl-C as a wish to end.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C was pressed, or SIGTERM or SIGHUP came: the fit ends after the current block of iterations, and
        is not lost.
    """

    def __init__(self, text: str) -> None:
        self.text, self.interrupted = text, False
        self.bar: Terminal | None = None

    def __call__(self, progress: Progress) -> bool:
        """Show how far the fit is; whether it is to end."""
        if progress.seconds > SHORT and console(stderr=True).is_terminal:
            self.show(progress)
        return self.interrupted

    def show(self, progress: Progress) -> None:
        """Draw the bar, or bring it up to date."""
        from saem.fitting.bar import Terminal, share_of, words_of

        if self.bar is None:
            self.bar = Terminal(self.text, console(stderr=True))
        self.bar.show(share_of(progress), words_of(progress))

    def interrupt(self, number: int, frame: object = None) -> None:
        """Ctrl-C, the first time; the second is a KeyboardInterrupt."""
        if self.interrupted:
            interrupt(number)
        self.interrupted, Stopped.last = True, number


@contextmanager
def watching(text: str) -> Iterator[Watcher]:
    """A watcher for a fit that is made within the block."""
    watcher = Watcher(text)
    try:
        with handling(watcher.interrupt):
            yield watcher
    finally:
        if watcher.bar is not None:
            watcher.bar.close()


@contextmanager
def counting(text: str) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on a terminal, and nothing elsewhere."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    err = console(stderr=True)
    if not err.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=err, transient=True) as bar:
        text = printable(text)  # names of columns
        task = bar.add_task(f"{text}: loading, or compiling once", total=None)
        yield lambda done, total: bar.update(task, description=text, completed=done, total=total)
