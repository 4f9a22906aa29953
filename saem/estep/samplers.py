"""How the latent data are drawn: by the family's own arrays, or by those of another sampler."""

from __future__ import annotations

from typing import Any, Protocol

from saem.errors import ModelError, listing
from saem.families.contract import Problem

KERNEL = ("latent", "acceptance")  # fields of arrays that hold the state and the counts of a Markov kernel


class Sampler(Protocol):
    """A way to draw the latent data of a problem."""

    name: str

    def arrays(self, problem: Problem) -> Any:
        """Arrays of a type of the sampler's own, for which `saem.families.contract.draw` is overloaded.

        With fields ``latent`` and ``acceptance`` they hold the state and the counts of a Markov kernel, which `draw`
        changes in place.
        """
        ...


def arrays_of(sampler: str | Sampler, problem: Problem) -> Any:
    """The arrays of a sampler of the family, by name, or of one of your own.

    Raises
    ------
    ModelError
        When the family has no such sampler.
    """
    if not isinstance(sampler, str):
        return sampler.arrays(problem)
    if sampler not in problem.samplers:
        known = listing(problem.samplers) or "none but its own"
        raise ModelError(f"there is no sampler {sampler!r} for this family; it has {known}")
    return problem.samplers[sampler](problem.arrays)


def are_dependent(drawing: Any, problem: Problem) -> bool:
    """Whether the family's own draws depend on each other within an iteration, as antithetic ones do."""
    return type(drawing) is type(problem.arrays) and drawing is not problem.arrays and KERNEL[0] not in drawing._fields


def own_copy(arrays: Any) -> Any:
    """The arrays with their own copy of what draws change: the state and the counts of a Markov kernel."""
    names = [name for name in KERNEL if name in getattr(arrays, "_fields", ())]
    return arrays._replace(**{name: getattr(arrays, name).copy() for name in names}) if names else arrays
