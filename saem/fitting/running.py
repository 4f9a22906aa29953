"""An algorithm on its problem: posed as it needs it, run with a callback and from a checkpoint where there are."""

from __future__ import annotations

from typing import Any

from saem.algorithms.course.outcome import Outcome
from saem.algorithms.engine.continuation import Checkpoint
from saem.algorithms.registry import Algorithm, declaration_of
from saem.errors import ModelError
from saem.families import Model, coordinates_of, pose
from saem.families.arranged import Arranged
from saem.families.coordinates import USERS
from saem.families.problem import Problem
from saem.fitting.progress import Callback, Reporter
from saem.system.display import method_name

LEFT = 0.01  # of a column's size beside the others: with less, a sampler on the user's scale gets nowhere


def pose_for(algorithm: Algorithm, model: Model, data: Arranged, restricted: bool = False) -> Problem:
    """The problem of an algorithm: on the user's scale where the algorithm asks for it, as priors do.

    Raises
    ------
    ModelError
        When columns are too near combinations of each other for that.
    """
    if not declaration_of(algorithm).on_users_scale:
        return pose(model, data, restricted)
    share, name = coordinates_of(model, data).left(data)
    if share < LEFT:
        raise ModelError(
            f"method {method_name(algorithm)!r} works on the columns as they are, for priors are about their "
            f"parameters; of the column of {name!r} {share:.1g} of its size is left beside the others: subtract a "
            "typical value from a column that is far from zero, such as 'year - 2000' in place of 'year'"
        )
    return pose(model, data, restricted, USERS)


def run(
    algorithm: Algorithm,
    problem: Problem,
    seed: int,
    callback: Callback | None = None,
    resume: Checkpoint | None = None,
) -> Outcome:
    """Run an algorithm, with a callback and from a checkpoint where there are.

    Raises
    ------
    ModelError
        When it takes no callback.
    """
    options: dict[str, Any] = {}
    declared = declaration_of(algorithm)
    if callback is not None and not declared.is_exact:
        if not declared.takes_callback:
            raise ModelError(
                f"the method {method_name(algorithm)!r} takes no callback: its declaration must say "
                "takes_callback=True, and its 'run' take a parameter 'watch', which it calls as watch(engine, chain) "
                "between blocks of iterations"
            )
        options["watch"] = Reporter(callback, method_name(algorithm), int(getattr(algorithm, "chains", 1)))
    if resume is not None:
        options["resume"] = resume
    return algorithm.run(problem, seed, **options)
