"""Which entries of the digests a figure, a table or the numbers of a section use."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

from paper.digest import KEYS, Absent, Digest, Entry
from paper.pipeline.manifest import modules
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
    note : callable
        Is given the entries.
    """

    def __init__(self, digest: Digest, note: Callable[[set[Key]], None]) -> None:
        self._digest, self._told = digest, note

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
        self._told({Key(self._digest.name, *key) for key in keys})


class Watching(Mapping[str, Any]):
    """Digests that note in `used` which of their entries are asked for."""

    def __init__(self, digests: Mapping[str, Digest]) -> None:
        self.digests, self.used = digests, set[Key]()

    def __getitem__(self, name: str) -> Any:
        return Watched(self.digests[name], lambda keys: self.used.update(keys))  # `used` may be another set by then

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


def entries_of(digests: Mapping[str, Digest], cited: Collection[str]) -> dict[str, dict[str, set[Key]]]:
    """The entries that numbers are computed from, by module and key.

    Of those that the module asks for before it yields a number, or, where it asks for none, of those that it asked for
    last: the ones whose measure the number's source names, or all where it names none of them; of the studies that it
    says it is from. A module that fails, of which the build says so, has those before.
    """
    found: dict[str, dict[str, set[Key]]] = {}
    for name, module in modules("numbers").items():
        watching, last, every = Watching(digests), set[Key](), set[Key]()
        own = found.setdefault(name, {})
        try:
            for number in module.numbers(watching):
                asked, watching.used = watching.used, set()
                last, every = asked or last, every | asked
                if number.key in cited and number.key not in own:
                    words = set(re.findall(r"\w+", number.source))
                    named = [
                        {key for key in keys if key.measure in words} for keys in (last, set() if asked else every)
                    ]
                    used = named[0] or named[1] or last
                    own[number.key] = {key for key in used if key.study in number.studies}
        except Exception:
            continue
    return found
