"""What a fit carries with it so that it can go on: where it stopped, by which method, and with which settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

START, SCHEDULE, REFINEMENT = "start", "schedule", "refinement"  # stages of a fit


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where an algorithm can go on as if it had not ended: plain arrays, numbers and texts.

    Attributes
    ----------
    arrays : dict of ndarray
        The state of the chain, of its random stream and of a Markov kernel, and the way it came.
    numbers : dict of float
        What was done, drawn and begun anew.
    texts : dict of str
        ``stage``: "start", "schedule" or "refinement"; ``note``: what had happened until then, for the user.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=lambda: {"stage": START, "note": ""})


@dataclass(frozen=True, eq=False)
class Continuation:
    """All that it takes to go on with a fit.

    Attributes
    ----------
    checkpoint : Checkpoint
    settings : object
        The method, in plain values (`saem.fitting.settings.describe`); None where it has no such description.
    method : object
        The method itself; None for a fit that was loaded.
    """

    checkpoint: Checkpoint
    settings: Any = None
    method: Any = None
