"""Random streams keyed by meaning.

A stream belongs to *what it is for* (a role, a level of a column, the name of a method), never to a position or to a
worker: results are the same for one or many workers and for an interrupted run that goes on, and adding a case
changes no other.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from saem.errors import SaemError

if TYPE_CHECKING:
    import numpy as np


def spawn_key(*meaning: str) -> tuple[int, ...]:
    """Four 32-bit words from the SHA-256 of what the stream is for, for ``SeedSequence(spawn_key=...)``."""
    digest = hashlib.sha256("|".join(map(escaped, meaning)).encode()).digest()
    return tuple(int.from_bytes(digest[4 * i : 4 * i + 4], "little") for i in range(4))


def escaped(text: str) -> str:
    """A part of a meaning, so that what separates the parts cannot occur in it."""
    return text.replace("\\", "\\\\").replace("|", "\\|")


def check_seed(seed: int) -> int:
    """The seed itself, if it is a whole number that is not negative."""
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or int(seed) < 0:
        raise SaemError(f"seed must be a whole number, 0 or larger; got {seed!r}")
    return int(seed)


def stream(seed: int, *meaning: str) -> np.random.Generator:
    """The generator of root `seed` for this meaning."""
    import numpy as np

    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(check_seed(seed), spawn_key=spawn_key(*meaning))))


def derived_seed(seed: int, *meaning: str) -> int:
    """A seed below 2**63 derived from the root `seed` for this meaning, to hand to another function."""
    import numpy as np

    sequence = np.random.SeedSequence(check_seed(seed), spawn_key=spawn_key(*meaning))
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def offshoot(rng: np.random.Generator, *meaning: str) -> np.random.Generator:
    """A generator that depends on the state of another for this meaning, and leaves it as it is."""
    import numpy as np

    words = [int(word) for word in np.asarray(rng.bit_generator.state["state"]["state"])]
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(words, spawn_key=spawn_key(*meaning))))
