"""Which entries of the digests a figure, a table or the numbers of a section use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from paper.digest import KEYS, Absent, Digest, Entry
from saem.errors import StorageError


class Key(NamedTuple):
    """An entry of a digest."""

    study: str
    cell: str
    method: str
    estimand: str
    measure: str


class Watched:
    """A digest that notes which of its entries are asked for; else it behaves as one.

    Parameters
    ----------
    digest : Digest
    used : set of Key
        To which the entries are added.
    """

    def __init__(self, digest: Digest, used: set[Key]) -> None:
        self._digest, self._used = digest, used

    def __getattr__(self, name: str) -> Any:
        return getattr(self._digest, name)

    def at(self, measure: str, method: str, *arguments: Any, **levels: Any) -> Entry:
        """As `Digest.at`."""
        entry = self._digest.at(measure, method, *arguments, **levels)
        estimand = levels.pop("estimand", arguments[0] if arguments else None)
        chosen = {} if estimand is None else {"estimand": estimand}
        self._note(self._digest.select(measure, method, **chosen, **levels))
        return entry

    def select(self, *arguments: Any, **named: Any) -> Any:
        """As `Digest.select`."""
        found = self._digest.select(*arguments, **named)
        self._note(found)
        return found

    @property
    def measures(self) -> Any:
        """As `Digest.measures`: whoever takes the whole table may use all of it."""
        self._note(self._digest.measures)
        return self._digest.measures

    def _note(self, table: Any) -> None:
        keys = table[list(KEYS)].astype(str).itertuples(index=False, name=None)
        self._used.update(Key(self._digest.name, *key) for key in keys)


class Watching(Mapping[str, Any]):
    """Digests that note in `used` which of their entries are asked for."""

    def __init__(self, digests: Mapping[str, Digest]) -> None:
        self.digests, self.used = digests, set[Key]()

    def __getitem__(self, name: str) -> Any:
        return Watched(self.digests[name], self.used)

    def __iter__(self) -> Iterator[str]:
        return iter(self.digests)

    def __len__(self) -> int:
        return len(self.digests)


def used_by(function: Callable[[Any], Any], digests: Mapping[str, Digest]) -> set[Key]:
    """The entries that a function of digests asks for; where it lacks some, those that it got before."""
    watching = Watching(digests)
    try:
        made = function(watching)
        if isinstance(made, Iterator):
            list(made)
    except (Absent, StorageError):
        pass
    return watching.used
