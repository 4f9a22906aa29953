"""From the options of the command line to a method object."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from saem.algorithms.registry import DECLARED, METHODS

if TYPE_CHECKING:
    from saem.algorithms.registry import Algorithm


def tailored(
    name: str,
    target: dict[str, Any],
    chains: int | None,
    mstep: str | None,
    sampler: str | None,
    augmentation: str | None = None,
) -> str | Algorithm:
    """A method with what was asked for: its name where nothing was.

    Raises
    ------
    SaemError
        For an option that the method does not take, or a maximiser that there is not.
    """
    drawing = {"sampler": sampler, "augmentation": augmentation}
    own = {"chains": chains, **drawing, **target}
    asked = {option: value for option, value in own.items() if value is not None}
    if not asked and mstep is None:
        return name
    from saem.errors import SaemError
    from saem.mstep.maximisers import maximiser_of

    settings: dict[str, Any] = {} if mstep is None else {"mstep": maximiser_of(mstep)}
    if name in ("ml", "laplace") and not asked:
        return replace(METHODS[name](), **settings)  # type: ignore[type-var]
    if name == "bayes" and asked == {"chains": chains} and mstep is None:
        return replace(METHODS[name](), chains=chains)  # type: ignore[type-var]
    if not DECLARED[name].is_simulated:
        others = [option for option in [*asked, "mstep"] if name != "bayes" or option != "chains"]
        option = "--" + others[0].replace("_", "-")
        raise SaemError(f"{option} is for SAEM and its relatives; method {name!r} does not take it")
    from saem.algorithms.independent_chains import IndependentChains
    from saem.algorithms.saem import SAEM
    from saem.stopping import Target

    method: Any = SAEM() if name == "chains" else METHODS[name]()
    settings |= {option: value for option, value in drawing.items() if value is not None}
    method = replace(method, target=Target(**target), **settings)
    if name == "chains":
        chains = IndependentChains().chains if chains is None else chains
    return IndependentChains(method, chains) if chains is not None else method
