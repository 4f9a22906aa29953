"""What the commands say: results on stdout, everything else on stderr; no traceback for bad input."""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from saem.system.display import plain, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

BAD_INPUT = 2
WIDE = 1000  # tables are as wide as they need to be, and never cut
STYLES = {
    "converged": "green",
    "boundary": "yellow",
    "several_solutions": "yellow",
    "not_identified": "red",
    "not_converged": "red",
    "error": "red",
    "crashed": "red",
}


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console on what is stdout or stderr at this moment."""
    from rich.console import Console

    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=True, emoji=False, markup=False)


def say(text: str = "", style: str | None = None) -> None:
    """A line on stdout."""
    console().print(printable(text), style=style)


def heading(text: str) -> None:
    """The title of a section on stdout, after an empty line."""
    say()
    say(text, style="bold")


def show(table: Table) -> None:
    """A table on stdout."""
    out = console(width=WIDE)
    if out.is_terminal:
        out.print(table, soft_wrap=False)
    else:
        say(plain(table, width=WIDE))


def note(text: str) -> None:
    """A line on stderr, for what is not a result."""
    console(stderr=True).print(printable(text), style="dim")


def complain(label: str, text: str, style: str) -> None:
    """`Label: text` on stderr as one paragraph, with the label in colour."""
    from rich.text import Text

    line = Text.assemble((f"{label}:", f"bold {style}"), " ", printable(text))
    err = console(stderr=True)
    err.print(line, soft_wrap=not err.is_terminal)


@contextmanager
def friendly() -> Iterator[None]:
    """Turn errors into a message and exit code 2, Ctrl-C into exit code 130, warnings into lines."""
    from saem.cli.signals import Stopped, terminated_as_interrupted
    from saem.errors import CacheWarning, SaemError, SaemWarning

    def show_warning(message: Warning | str, category: type[Warning], *details: object, **more: object) -> None:
        if issubclass(category, (SaemWarning, CacheWarning)):
            complain("Warning", str(message), "yellow")
        else:
            shown_before(message, category, *details, **more)  # type: ignore[arg-type]

    with warnings.catch_warnings(), terminated_as_interrupted():
        warnings.simplefilter("always", SaemWarning)
        shown_before = warnings.showwarning
        warnings.showwarning = show_warning
        try:
            yield
        except SaemError as error:
            complain("Error", f"{error}\nSee {error.page}" if error.page else str(error), "red")
            raise typer.Exit(BAD_INPUT) from None
        except MemoryError:
            complain("Error", "the memory does not suffice for this; use fewer rows, levels, draws or workers", "red")
            raise typer.Exit(BAD_INPUT) from None
        except OSError as error:  # of a name that no file can have, of a folder without permission, of the disk
            if error.errno == errno.EPIPE:  # nobody reads on: no mistake
                raise
            what = f"{str(error.filename)!r:.200}: " if error.filename is not None else ""
            complain("Error", f"{what}{error.strerror or error}", "red")
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt as interrupt:
            complain("Interrupted", what_was_kept(interrupt), "yellow")
            raise typer.Exit(Stopped.code()) from None


def what_was_kept(interrupt: KeyboardInterrupt) -> str:
    """What Ctrl-C left behind."""
    driver = sys.modules.get("saem.batch.driver")  # not imported before anything was fitted
    if driver is None or not isinstance(interrupt, driver.Interrupted):
        return "nothing was written."
    if interrupt.folder is None:
        return f"{interrupt.done} of {interrupt.total} were fitted; without --output FOLDER none is kept."
    return (
        f"{interrupt.done} of {interrupt.total} are done and kept in {interrupt.folder}; "
        "the same command again goes on from there."
    )
