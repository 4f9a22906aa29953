"""What a user is told of an error in the code of his study: where it is, in his files and below them, not in ours."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import saem
from saem.errors import ModelError, SaemError

from ...names import FOLDER
from ..process import memory

OURS = (FOLDER, Path(saem.__file__).parent)
LONGEST = 3000  # letters


def users_frames(error: BaseException, path: Path) -> list[str]:
    """The lines of the traceback from the first to the last that is in the study's files; nothing if none is."""
    frames = traceback.extract_tb(error.__traceback__)
    folder = path.resolve().parent
    own = [k for k, frame in enumerate(frames) if is_users(Path(frame.filename), folder)]
    return traceback.format_list(frames[own[0] : own[-1] + 1]) if own else []


def where_of(error: BaseException, path: Path) -> str:
    """The last line of the study's files that an error went through, `median.py:12`; empty if there is none."""
    frames = [(Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [f"{file.name}:{line}" for file, line in frames if is_users(file, path.resolve().parent)]
    return own[-1] if own else ""


def is_users(file: Path, folder: Path) -> bool:
    """Whether a file is in the folder of a study, and not a part of the harness or of saem."""
    file = file.resolve()
    is_ours = any(file.is_relative_to(part) for part in OURS)
    return file.is_relative_to(folder) and (not is_ours or file.parent == folder)


def failed(what: str, error: BaseException, path: Path) -> str:
    """A message with the error and the user's part of its traceback."""
    lines = "".join(users_frames(error, path)).rstrip()
    text = "\n".join(str(error).split("\n")[:20])[:LONGEST]
    if isinstance(error, MemoryError) and (limit := memory.in_words()):
        text = f"{text} ({limit})".lstrip()
    return f"{what}: {type(error).__name__}: {text}" + (f"\n{lines}" if lines else "")


@contextmanager
def blamed(what: str, path: Path) -> Iterator[None]:
    """Turn errors of the user's code into one that says so, with his part of the traceback.

    Raises
    ------
    ModelError
    """
    try:
        yield
    except SaemError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ModelError(failed(what, error, path)) from None
