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
    """Seed the global generators, and undo whatever a function does to them, to its folder and to the environment.

    So that what a function draws from `random` or `numpy.random` belongs to its replicate, too, and no function changes
    what another one finds.
    """
    states, folder, variables = (random.getstate(), np.random.get_state()), os.getcwd(), dict(os.environ)  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed % LARGEST)  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        if os.environ != variables:
            os.environ.clear()
            os.environ.update(variables)
        try:
            if os.getcwd() != folder:
                os.chdir(folder)
        except OSError:  # where it was is gone
            os.chdir(folder)
