"""What the functions of a study give, asked of a process of our own.

`truth` and `performance`, and the import of the file itself, are the user's code: they may hang, end their process, or
take all memory. So they are called elsewhere, within the study's limits, and whatever they do becomes a result or an
error here. One process serves all that is asked, one thing after the other.
"""

from __future__ import annotations

import atexit
import re
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saem.errors import ModelError, SaemError, SaemWarning

from ..process.parent import STARTING, Died, Overdue, Process
from .blame import is_users
from .sources import digest_of

if TYPE_CHECKING:
    from .specification import Run

IMPORT = "import"
LEAST = 10.0  # seconds, where fits have less: an import takes some, however fast the methods are
turn = threading.Lock()


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes
    ----------
    path : Path
        The study's Python file.
    digest : str
        Of its content.
    name : str
        A function of `answering`.
    arguments : sequence
    limit : float
        Seconds.
    memory : float, optional
        MiB; most of what the machine has if omitted.
    what : str
        In words, for messages: ``truth (in size=4)``.
    """

    path: Path
    digest: str
    name: str
    arguments: Sequence[Any]
    limit: float
    memory: float | None
    what: str


class Ended(ModelError):
    """A function of a study ended its process, or did not end in time."""


class Asked(Process):
    """The process that is asked, started when it is first needed; it ends with this one."""

    def __init__(self) -> None:
        super().__init__(f"{__package__}.answering")

    def ask(self, request: Request) -> Any:
        """What it answers; see `ask`."""
        is_new = self.process is None
        answer = self.answer_to(request)
        if isinstance(answer, SaemError) and "MemoryError" in str(answer):
            self.close()
            if not is_new:  # what was asked before may have taken the memory
                answer = self.answer_to(request)
        if isinstance(answer, SaemError):
            raise answer
        value, heard = answer
        for text in heard:
            warnings.warn(f"{request.what} of {request.path.name}: {text}", SaemWarning, stacklevel=4)
        return value

    def answer_to(self, request: Request) -> Any:
        """The answer to a request, or the error that it is."""
        if self.process is None:
            self.launch()
        self.send(request)
        try:
            return self.answer(request.limit, STARTING + 2.0 * request.limit)
        except Overdue as end:
            raise Ended(overdue(request, end)) from None
        except Died as end:
            raise Ended(died(request, end)) from None


def overdue(request: Request, end: Died) -> str:
    """What to say of what did not end in time."""
    return (
        f"{request.path}: {end.at or request.what} did not end within {request.limit:g} s; make it faster, or raise "
        f"run.patience (if omitted run.timeout, and {LEAST:g} s at least){where(request, end)}"
    )


def died(request: Request, end: Died) -> str:
    """What to say of what ended its process."""
    memory = "" if request.memory is None else f", or take more than run.memory = {request.memory:g} MiB"
    return (
        f"{request.path}: {end.at or request.what} ended its process ({end}); it must return or raise an error, and "
        f"not end Python{memory}{where(request, end)}"
    )


def where(request: Request, end: Died) -> str:
    """The innermost line of the study's folder where it ended, on a line of its own; empty if that is not known."""
    files = ((re.match(r'File "([^"]+)"', frame), frame) for frame in end.frames)
    own = [frame for file, frame in files if file and is_users(Path(file[1]), request.path.parent)]
    return f"\n  {own[0]}" if own else ""


process = Asked()
atexit.register(process.close)


def ask(path: Path, run: Run, name: str, *arguments: Any, what: str = "") -> Any:
    """What a function of a study gives.

    Parameters
    ----------
    path : Path
        The study's Python file.
    run : Run
        Of the study: its limits.
    name : str
        A function of `answering`.
    arguments
        Of that function, behind the path.
    what : str
        In words, for messages.

    Raises
    ------
    ModelError
        When it fails, ends its process, or does not end in time.
    """
    limit = max(run.timeout, LEAST) if run.patience is None else run.patience
    request = Request(path, digest_of(path), name, arguments, limit, run.memory, what or name)
    with turn:
        return process.ask(request)
