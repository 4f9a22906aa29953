"""How the latent data are drawn: by the family's own arrays, or by those of another sampler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from saem.errors import ModelError, listing
from saem.families.problem import Problem

KERNEL = ("latent", "acceptance")  # fields of arrays that hold the state and the counts of a Markov kernel
NESTED = "kernel"  # field that holds all that a kernel goes on with, as a NamedTuple with those two among its fields


class Sampler(Protocol):
    """A way to draw the latent data of a problem."""

    name: str

    def arrays(self, problem: Problem) -> Any:
        """Arrays of a type of the sampler's own, for which `saem.families.contract.draw` is overloaded.

        With fields ``latent`` and ``acceptance``, or with these in a NamedTuple ``kernel`` of arrays, they hold all
        that a Markov kernel goes on with, which `draw` changes in place.
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
    if is_drawn_by_kernels(problem):
        import saem.estep.metropolis  # noqa: F401 - how they move
        from saem.estep.kernel_state import KERNELS, metropolis

        known = listing(KERNELS)
        if sampler in KERNELS:
            clusters = problem.clusters
            assert clusters.joint is not None  # see `is_drawn_by_kernels`
            each = problem.latent.size // max(1, clusters.count)
            return metropolis(clusters.joint(), clusters.count, each, len(problem.parameters), KERNELS[sampler])
    else:
        known = listing(problem.latent.samplers) or "none but its own"
        if sampler in problem.latent.samplers:
            return problem.latent.samplers[sampler](problem.arrays)
    raise ModelError(f"there is no sampler {sampler!r} for this family; it has {known}")


def is_drawn_by_kernels(problem: Problem) -> bool:
    """Whether the latent data are drawn by the Markov kernels of `saem.estep.metropolis`, for want of other draws."""
    return not problem.latent.has_draws and problem.clusters.joint is not None


def drawing_of(problem: Problem, sampler: str | Sampler | None = None) -> Any:
    """The arrays by which the latent data of a problem are drawn, with a chain of their own where there is one.

    Parameters
    ----------
    problem : Problem
    sampler : str or Sampler, optional
        Another than the family's own, or than the mixture of the kernels of `saem.estep.metropolis` without such.

    Raises
    ------
    ModelError
        When the family has no such sampler.
    """
    if sampler is not None:
        return own_copy(arrays_of(sampler, problem))
    return arrays_of("mixture", problem) if is_drawn_by_kernels(problem) else own_copy(problem.arrays)


def with_arrays_of(problem: Problem, drawing: Any, sampler: str | Sampler | None) -> Any:
    """The arrays that draw, for another placement of the problem's latent data; a Markov kernel goes on as it is."""
    if NESTED in getattr(drawing, "_fields", ()):
        return drawing._replace(arrays=problem.arrays)
    return problem.arrays if sampler is None else arrays_of(sampler, problem)


@contextmanager
def shared(drawing: Any) -> Iterator[Any]:
    """The arrays to hand to compiled functions that draw, within the block.

    Where clusters are many, threads share them; see `saem.estep.blocks`.
    """
    if NESTED in getattr(drawing, "_fields", ()):
        from saem.estep.blocks import in_blocks
        from saem.estep.kernel_state import Metropolis

        if isinstance(drawing, Metropolis):
            with in_blocks(drawing) as found:
                yield found
            return
    yield drawing


def clusters_of(problem: Problem, drawing: Any) -> Any | None:
    """The arrays by which single clusters are drawn, given those of all; None where the family cannot."""
    if problem.clusters.clusterwise is not None:
        return problem.clusters.clusterwise()
    return drawing if NESTED in getattr(drawing, "_fields", ()) else None


def kernel_state(arrays: Any) -> dict[str, np.ndarray]:
    """All arrays that a Markov kernel goes on with, by name; the very ones that draws change. Empty without a kernel.

    Copies of them are the chain: see `put_back`.
    """
    fields = getattr(arrays, "_fields", ())
    if NESTED in fields:
        found: dict[str, np.ndarray] = getattr(arrays, NESTED)._asdict()
        return found
    return {name: getattr(arrays, name) for name in KERNEL if name in fields}


def put_back(arrays: Any, saved: Mapping[str, np.ndarray]) -> None:
    """Overwrite what a Markov kernel goes on with by copies that were made of `kernel_state`."""
    for name, value in kernel_state(arrays).items():
        value[...] = saved[name]


def is_markov(arrays: Any) -> bool:
    """Whether draws depend on those before."""
    return bool(kernel_state(arrays))


def settled_rates(arrays: Any) -> np.ndarray:
    """Share (C,) of accepted moves of each cluster since a Markov kernel stopped to adapt, see `Metropolis`.

    Nan where too few moves were made to tell; empty for other draws, and while the kernel adapts.
    """
    if NESTED not in getattr(arrays, "_fields", ()):
        return np.empty(0)
    found: np.ndarray = arrays.settled_rates
    return found


def adapt(arrays: Any, on: bool) -> None:
    """Let a Markov kernel adapt from now on, or no more, if it can."""
    if NESTED in getattr(arrays, "_fields", ()):
        arrays.adapt(on)


def renewed(arrays: Any) -> Any:
    """A copy of a Markov kernel that finds its proposals anew at the parameters of the next draw; see `own_copy`."""
    found = own_copy(arrays)
    if hasattr(found, "renew"):
        found.renew()
    return found


def begin_anew(arrays: Any) -> None:
    """Let the chains of a Markov kernel begin where they belong at the parameters of the next draw, if it can."""
    if hasattr(arrays, "begin_anew"):
        arrays.begin_anew()


def are_dependent(drawing: Any, problem: Problem) -> bool:
    """Whether the family's own draws depend on each other within an iteration, as antithetic ones do."""
    return type(drawing) is type(problem.arrays) and drawing is not problem.arrays and not is_markov(drawing)


def own_copy(arrays: Any) -> Any:
    """The arrays with their own copy of what draws change: all that a Markov kernel goes on with."""
    copies = {name: value.copy() for name, value in kernel_state(arrays).items()}
    if not copies:
        return arrays
    if NESTED in arrays._fields:
        return arrays._replace(**{NESTED: getattr(arrays, NESTED)._replace(**copies)})
    return arrays._replace(**copies)
