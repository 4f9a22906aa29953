"""What the records of a store depend on, and what may change without their being of another study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from saem.errors import StorageError

ACCEPTABLE = ("the function", "the code", "the method")  # how parts begin that may change if the user says so
METHOD = "the method "


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The parts that differ, or are no more; a method that is no more is no change, and what is new is none."""
    changed = [part for part, value in now.items() if before.get(part, value) != value]
    return changed + [part for part in before if part not in now and not part.startswith(METHOD)]


def refusal(folder: Path, changed: Iterable[str], by_user: bool = False) -> StorageError:
    """Why records and a study do not go together, and what can be done.

    Parameters
    ----------
    folder : Path
    changed : iterable of str
    by_user : bool
        Whether the user has said that changes are accepted.
    """
    changed = list(changed)
    final = [part for part in changed if not part.startswith(ACCEPTABLE)]
    what = f"{folder} holds the results of another study: {', '.join(changed)} changed since then."
    if final and by_user:
        return StorageError(
            f"{what} A change of {', '.join(final)} cannot be accepted, for results of before and of now would not go "
            "together: use another folder, or undo it"
        )
    accept = (
        "" if final else "'run --accept-changes' keeps the results that are there, and the report tells so; or use "
    )
    return StorageError(
        f"{what} {accept or 'Use '}another folder, or undo the change ('sources' shows it); more cells, methods and "
        "replicates may be added"
    )
