"""Along slow directions of the variances SAEM goes on with parameter expansion.

No placement of the means helps where a variance itself is slow: one that is nearly zero, or a covariance matrix that is
nearly singular. With working parameters (`saem.algorithms.px_saem`) much less is missing there. That is measured at the
estimate, by the largest missing information over the observed one; the run then goes on from the estimate with
the expanded model.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from saem.algorithms.accuracy.error import directions
from saem.algorithms.accuracy.precision import Precision
from saem.algorithms.engine.chain import Run
from saem.algorithms.engine.continuation import Checkpoint
from saem.algorithms.engine.expanded import ExpandedIteration
from saem.algorithms.engine.passes import Engine
from saem.errors import ModelError

Array = np.ndarray

WORTHWHILE = 0.5  # of what is missing: with more left, the iterations made so far are worth more


def successor(engine: Engine) -> Engine | None:
    """An engine that goes on in place of another, with its random stream and its budget; None where it cannot."""
    own = engine.iteration
    problem = own.placement.problem
    if problem.latent.expand is None:
        return None
    try:
        expansion = problem.latent.expand()
    except ModelError:
        return None
    expanded = ExpandedIteration(problem, own.tolerance, own.rng, engine.target).with_expansion(expansion)
    expanded.spent = engine.spent
    expanded.counts = replace(engine.counts, hands_over=0, taken_over=engine.spent.iterations)
    heir = Engine(expanded, engine.schedule, engine.watch, engine.truncation)
    for name in ("once", "history", "keep"):
        setattr(heir, name, getattr(engine, name))
    return heir


def heir_of(engine: Engine, run: Run, precision: Precision) -> Engine | None:
    """The engine that should go on from a run in place of its own: None unless much less is missing with it."""
    can_hand_over = engine.counts.hands_over and engine.problem.latent.has_expectation
    if not (can_hand_over and np.isfinite(precision.missing).all()):
        return None
    information = precision.information
    if not np.isfinite(information.root).all():
        return None
    heir = successor(engine)
    if heir is None:
        return None
    own, other = (
        largest_share(information.root, missing)
        for missing in (precision.missing, heir.iteration.missing(precision.x, run.pinned, information))
    )
    return heir if other < WORTHWHILE * own else None


def as_then(engine: Engine, checkpoint: Checkpoint) -> Engine:
    """The engine, or the one that had taken over from it when the checkpoint was made."""
    heir = successor(engine) if checkpoint.numbers.get("taken_over") else None
    return engine if heir is None else heir


def largest_share(root: Array, missing: Array) -> float:
    """The largest ratio of the missing to the observed information over all directions."""
    iota = directions(root, missing, missing).iota
    return float(np.max(1.0 / iota - 1.0, initial=0.0))
