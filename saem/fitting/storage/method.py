"""Which parts a fit may have by the method that it names: a name alone is soon replaced, in a file or by a copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saem.algorithms.registry import DECLARED
from saem.errors import StorageError
from saem.fitting.settings import CLASS

KINDS = {each.kind: name for name, each in DECLARED.items() if each.can_resume}
ADVICE = "fit again (a method of your own needs a name of its own)"


def check_method(
    method: str, *, goes_on: bool, settings: Any, is_posterior: bool, chains: int, drawn: int | None
) -> None:
    """Refuse a fit with parts that its method does not give.

    Parameters
    ----------
    method : str
        Its name; of one from outside of the package nothing is known, but that it has no settings in plain values.
    goes_on : bool
        Whether there is something to go on from.
    settings : object
        Of the method, in plain values; None where they are not known.
    is_posterior : bool
        Whether there are draws of a posterior.
    chains : int
        Independent chains.
    drawn : int or None
        Random effects; None where it is not known, or the model has none.

    Raises
    ------
    StorageError
        Saying what does not belong to the method.
    """
    what = ""
    if settings is not None:
        kind = settings.get(CLASS) if isinstance(settings, Mapping) else settings
        if not isinstance(kind, str) or KINDS.get(kind) != method:
            what = f"has the settings of {kind!r:.40}"
    if not what and method in DECLARED:
        declared = DECLARED[method]
        if goes_on and not declared.can_resume:
            what = "has a state to go on from"
        elif is_posterior != declared.gives_posterior:
            what = "has draws of a posterior" if is_posterior else "lacks the draws of a posterior"
        elif chains and not declared.gives_chains:
            what = "has independent chains"
        elif drawn and declared.is_exact:
            what = "has drawn random effects"
        elif drawn == 0 and declared.is_simulated:
            what = "has drawn no random effects"
    if what:
        raise StorageError(f"it names the method {method!r}, and {what}, which no fit by that method does; {ADVICE}")
