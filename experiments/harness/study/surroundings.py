"""What a function of a study finds around itself, and what it leaves: global generators, folder, environment."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

LARGEST = 2**32  # above all seeds of the generators that are global


@contextmanager
def surroundings(seed: int) -> Iterator[None]:
    """Seed the global generators, and undo what a function does to its folder, the environment, and NumPy's errors.

    So that what a function draws from `random` or `numpy.random` belongs to its replicate, too, and no function changes
    what another one finds.
    """
    folder, variables, depth = os.getcwd(), variables_now().copy(), sys.getrecursionlimit()
    random.seed(seed)
    np.random.seed(seed % LARGEST)  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
    try:
        with np.errstate():
            yield
    finally:
        if sys.getrecursionlimit() != depth:
            sys.setrecursionlimit(depth)
        if variables_now() != variables:
            restore(variables)
        try:
            if os.getcwd() != folder:
                os.chdir(folder)
        except OSError:  # where it was is gone
            os.chdir(folder)


def variables_now() -> dict[bytes, bytes]:
    """The environment as it is kept, since to decode all of it takes longer than many a fit."""
    found: dict[bytes, bytes] = os.environb._data  # type: ignore[attr-defined]
    return found


def restore(variables: dict[bytes, bytes]) -> None:
    """Give the environment these variables, and no others."""
    for name in set(variables_now()) - set(variables):
        del os.environb[name]
    os.environb.update(variables)


@contextmanager
def generators_kept() -> Iterator[None]:
    """Leave the global generators as they were, for whoever uses them in this process."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


class Exited(Exception):
    """A function called `os._exit` in a process that others need."""


@contextmanager
def kept_alive() -> Iterator[None]:
    """Make `os._exit` an error: a command that runs functions in its own process would end as if all were well.

    What they fork may end so.
    """
    real, own = os._exit, os.getpid()

    def refused(code: int) -> None:
        if os.getpid() != own:
            real(code)
        raise Exited(f"it called os._exit({code!r}), which ends the process")

    os._exit = refused  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = real
